//! Entries that the disk did not take in time. They are in this process alone until the bucket has them: their request
//! waits for that, unless the bucket does not take them, either. When the process ends the disk is asked once more, and
//! what neither of them took is counted.

use std::collections::BTreeMap;
use std::mem;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures::future::join_all;
use tokio::sync::oneshot;
use tokio::time::{Instant, timeout_at};
use tokio_util::sync::CancellationToken;

use super::warnings::Matter;
use super::{PATIENCE, Shared};
use crate::journal::Entry;

/// What waits in memory at most, where there is no folder to wait in, or its disk does not take it.
pub(super) const IN_MEMORY: usize = 8 << 20;

/// How long after it is to end the disk may take to write down what is in memory: what is on its way there when
/// the end comes has its own patience first.
pub(crate) const KEEPING: Duration = PATIENCE.saturating_add(Duration::from_millis(500));

/// How long a request whose entries the disk did not take waits at most for the bucket to have them. Where that took
/// longer nobody waits for it, until it takes some.
pub(super) const FLUSH: Duration = Duration::from_secs(5);

/// The lines of requests, wherever their records are: in the queue, on their way into the bucket, or waiting for
/// the spool.
#[derive(Debug, Default)]
pub(super) struct Memory {
    held: BTreeMap<u64, Held>,
    next: u64,
    /// Of all of them.
    pub(super) bytes: usize,
    /// Whether the bucket takes what comes, so that requests may wait for it.
    takes: bool,
    /// Whether it did not take what came last.
    fails: bool,
}

#[derive(Debug)]
struct Held {
    lines: Bytes,
    /// Those of them that the bucket does not have.
    unlisted: usize,
    /// Where the disk has them by now, too: in which journal.
    copy: Option<(usize, Entry)>,
    /// Tells their request that they outlive the process, or by its end that nobody knows when.
    told: Option<oneshot::Sender<()>>,
}

/// Lines that are held.
pub(super) struct Holding {
    /// By what they are found.
    pub(super) id: u64,
    /// What tells that they outlive the process; none where the bucket does not take any.
    pub(super) told: Option<oneshot::Receiver<()>>,
}

/// What goes with the process.
#[derive(Debug, Default)]
struct Gone {
    /// Entries that nobody has.
    entries: usize,
    /// Requests of which the bucket has the entries, but not what became of their files in the spool.
    unsettled: usize,
}

impl Memory {
    /// Whether there is room for so much that senders say alone: what was taken out of telemetry has most of it.
    pub(super) fn has_room_for_claims(&self, bytes: usize) -> bool {
        self.bytes + bytes <= IN_MEMORY / 4
    }

    /// Takes the lines of so many entries, if there is room.
    pub(super) fn hold(&mut self, lines: Bytes, entries: usize) -> Option<Holding> {
        if self.bytes + lines.len() > IN_MEMORY {
            return None;
        }
        self.bytes += lines.len();
        let id = self.next;
        self.next += 1;
        let (tell, told) = self.takes.then(oneshot::channel).unzip();
        let held = Held {
            lines,
            unlisted: entries,
            copy: None,
            told: tell,
        };
        self.held.insert(id, held);
        Some(Holding { id, told })
    }

    /// From now on requests may wait for the bucket.
    fn flushes(&mut self) {
        self.takes = true;
        self.fails = false;
    }

    /// Whether the bucket did not take what came last.
    pub(super) fn fails(&self) -> bool {
        self.fails
    }

    /// Nobody waits for the bucket any more, until it takes something.
    fn flushes_no_more(&mut self) {
        self.takes = false;
        for held in self.held.values_mut() {
            held.told = None;
        }
    }

    /// Whether the bucket does not have some of the entries, nor the disk.
    fn is_at_risk(&self) -> bool {
        let mut held = self.held.values();
        held.any(|held| held.unlisted > 0 && held.copy.is_none())
    }

    pub(super) fn is_empty(&self) -> bool {
        self.held.is_empty()
    }

    pub(super) fn lines(&self, id: u64) -> Option<Bytes> {
        self.held.get(&id).map(|held| held.lines.clone())
    }

    /// The bucket has them, but not what becomes of their files.
    pub(super) fn is_listed(&mut self, id: u64) {
        if let Some(held) = self.held.get_mut(&id) {
            held.unlisted = 0;
            held.tell();
        }
    }

    /// The bucket has all that is to say of them; returns where the disk has them, too.
    pub(super) fn forget(&mut self, id: u64) -> Option<(usize, Entry)> {
        let mut held = self.held.remove(&id)?;
        self.bytes -= held.lines.len();
        held.tell();
        held.copy
    }

    /// What the disk does not have.
    fn unwritten(&self) -> Vec<(u64, Bytes)> {
        let unwritten = self.held.iter().filter(|(_, held)| held.copy.is_none());
        unwritten
            .map(|(id, held)| (*id, held.lines.clone()))
            .collect()
    }

    /// The disk has them, too; whether somebody still needs that.
    fn is_written(&mut self, id: u64, number: usize, entry: Entry) -> bool {
        let Some(held) = self.held.get_mut(&id) else {
            return false;
        };
        held.copy = Some((number, entry));
        held.tell();
        true
    }

    /// Lets go of everything; returns what nobody has after that.
    fn give_up(&mut self) -> Gone {
        self.bytes = 0;
        let held = mem::take(&mut self.held).into_values();
        let mut gone = Gone::default();
        for held in held.filter(|held| held.copy.is_none()) {
            gone.entries += held.unlisted;
            gone.unsettled += usize::from(held.unlisted == 0);
        }
        gone
    }
}

impl Held {
    /// They outlive the process.
    fn tell(&mut self) {
        if let Some(told) = self.told.take() {
            // Its sender may have gone away.
            let _ = told.send(());
        }
    }
}

/// When `drain` is cancelled, writes into the journal what is in memory, beside what is put into the bucket
/// meanwhile, which may hang; why the disk did not take all of it, if it did not.
pub(super) async fn keep(shared: Arc<Shared>, drain: CancellationToken) -> Option<String> {
    drain.cancelled().await;
    let until = Instant::now() + KEEPING;
    // It may come into memory, too.
    shared.writing.close();
    shared.writing.wait().await;
    let (number, journal) = shared.journals().own()?;
    let appends = shared.memory().unwritten().into_iter().map(|(id, lines)| {
        let (appended, shared, journal) = (journal.append(&[lines]), &shared, &journal);
        async move {
            let entry = appended.await.map_err(|error| error.to_string())?;
            if !shared.memory().is_written(id, number, entry) {
                // The bucket was faster.
                journal.remove(&entry);
            }
            Ok::<(), String>(())
        }
    });
    // All of them share a sync.
    match timeout_at(until, join_all(appends)).await {
        Ok(appended) => appended.into_iter().find_map(Result::err),
        Err(_) => Some(format!("the disk did not write them within {KEEPING:?}")),
    }
}

/// While it is there, somebody puts into the bucket what is in memory.
pub(super) struct Flushes<'s>(&'s Shared);

impl Drop for Flushes<'_> {
    fn drop(&mut self) {
        self.0.memory().flushes_no_more();
    }
}

impl Shared {
    /// From now on somebody puts into the bucket what is in memory, until what this returns is dropped.
    pub(super) fn begin_to_flush(&self) -> Flushes<'_> {
        self.bucket_takes();
        Flushes(self)
    }

    /// The bucket takes entries.
    pub(super) fn bucket_takes(&self) {
        // One that is in memory is gone with the process, too.
        if self.outlives {
            self.memory().flushes();
        }
    }

    /// The bucket does not: nobody waits for it, and what that means for what is in memory is told.
    pub(super) fn bucket_fails(&self, reason: &str) {
        if self.memory().is_at_risk() {
            // Before anybody is answered whose entries these are.
            self.warn_of_memory(reason);
        }
        let mut memory = self.memory();
        memory.flushes_no_more();
        memory.fails = true;
    }

    /// Waits until entries that are in memory alone are in the bucket, but no longer than their sender waits; whether
    /// they outlive the process.
    pub(super) async fn flushed(
        &self,
        told: oneshot::Receiver<()>,
        deadline: Option<Instant>,
    ) -> bool {
        let longest = Instant::now() + FLUSH;
        let until = deadline.map_or(longest, |deadline| deadline.min(longest));
        // Where the bucket fails that is told before this ends.
        if let Ok(told) = timeout_at(until, told).await {
            return told.is_ok();
        }
        if until == longest {
            self.bucket_fails(&format!("the store did not take them within {FLUSH:?}"));
        } else {
            let reason = "neither the disk nor the store took them while their sender waited";
            self.warn_of_memory(reason);
        }
        false
    }

    /// A span that refers to a file is not to be forgotten because two things are slow for a moment.
    pub(super) fn warn_of_memory(&self, reason: &str) {
        let what = format!(
            "{}: entries of the catalog wait in memory, and are lost where slimspan is killed, or stops before the \
             store or the disk takes them: {reason}",
            self.folder.display()
        );
        self.warn(Matter::Memory, &what);
    }

    /// Nobody puts anything into the bucket any more: what is in memory alone is lost.
    pub(super) fn let_go_of_memory(&self, reason: Option<String>) {
        let gone = self.memory().give_up();
        let reason = reason.map_or_else(String::new, |reason| format!(": {reason}"));
        let folder = self.folder.display();
        // Once for each end, so this is not kept quiet beside the warnings before it.
        if gone.entries > 0 {
            self.counts.catalog.lost(gone.entries);
            tracing::warn!(
                "{folder}: {} entries are missing in the catalog: they were in memory when slimspan stopped or \
                 reloaded its configuration, and neither the store nor the disk took them{reason}",
                gone.entries
            );
        }
        if gone.unsettled > 0 {
            tracing::warn!(
                "{folder}: the catalog is not told what becomes of the files of {} requests in the spool: their \
                 entries were in memory when slimspan stopped or reloaded its configuration{reason}",
                gone.unsettled
            );
        }
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        // Also where the end was cut off, or something was written down after it.
        self.let_go_of_memory(None);
    }
}
