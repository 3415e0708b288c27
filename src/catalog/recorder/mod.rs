//! Entries on their way into the bucket: in a journal of this machine first, then many of them in one
//! object.
//!
//! What the disk does not take in time waits in memory and is put at once, together with all that waits then, and its
//! request is answered when the bucket has it. Where the bucket does not take it, either, that is told, and nobody waits:
//! the request is refused, and so are those that come then, or they are answered all the same, as it is configured. What
//! does not fit into memory, or is still there alone at the end, is counted and told.

mod adoption;
mod claims;
mod deletions;
mod disk;
mod finishing;
mod journals;
mod lines;
mod memory;
mod queue;
mod recording;
mod risk;
#[cfg(test)]
mod tests;
mod warnings;
mod writer;

use std::fmt;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use jiff::Timestamp;
use tokio::runtime::Handle;
use tokio::sync::{Notify, Semaphore};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::config::{CatalogConfig, OnCatalogFailure};
use super::entry::Entry;
use super::error::CatalogError;
use crate::storage::{Bucket, Store};
use crate::telemetry::StoreCounts;
pub use claims::RoomForClaims;
use claims::{Claims, is_claim};
use finishing::Finishing;
use journals::Journals;
pub(super) use journals::journals_in;
use lines::Unread;
pub(super) use lines::{from_lines, to_lines};
pub(crate) use memory::KEEPING;
use memory::Memory;
use queue::{Queue, Record};
use recording::Written;
use warnings::Warnings;

/// How long a request waits at most for its entries to be on disk. Group commits take milliseconds.
const PATIENCE: Duration = Duration::from_secs(1);

/// How long after a disk that did not end in time nobody waits for it.
const REST: Duration = Duration::from_secs(5);

/// Entries of requests whose senders have gone away that are written down at a time: nobody waits for them, so
/// nothing else holds up those that come after them.
const ABANDONED: usize = 16_384;

/// Writes down the entries of one store. Clones share everything.
#[derive(Clone)]
pub struct Recorder {
    shared: Arc<Shared>,
}

struct Shared {
    config: CatalogConfig,
    bucket: Bucket,
    /// Where this bucket's entries wait.
    folder: PathBuf,
    /// Whether what is in the bucket outlives this process.
    outlives: bool,
    /// What tells the objects of this process from those of others.
    replica: u32,
    journals: Mutex<Journals>,
    queue: Mutex<Queue>,
    memory: Mutex<Memory>,
    /// Something new is in the queue.
    arrived: Notify,
    counts: Arc<StoreCounts>,
    /// What is being written down: also what nobody waits for any more.
    writing: TaskTracker,
    /// How much more of what nobody waits for may be.
    abandoned: Arc<Semaphore>,
    /// What senders say they store themselves.
    claims: Claims,
    /// Until when nobody waits for the disk.
    resting: Mutex<Option<Instant>>,
    /// Where the disk did not take what came last: when the next one finds out whether it does.
    failing: Mutex<Option<Instant>>,
    /// What is read from it for longer than anybody waits.
    unread: Unread,
    warnings: Warnings,
}

impl Recorder {
    /// Opens the journal of the catalog of `store` and finds what waits in it. Where it cannot be opened,
    /// that is told, and entries wait in memory.
    pub fn open(config: &CatalogConfig, store: &Store, counts: Arc<StoreCounts>) -> Self {
        let bucket = store.bucket();
        let folder = super::folder(&config.directory, &bucket);
        if let Some(spool) = store.spool().filter(|spool| spool.left().artifacts > 0) {
            // It was not looked yet for what was deleted while nobody was here.
            spool.hold();
        }
        // What is in memory is gone with the process, and so is what refers to it.
        let (journals, found) = if store.is_in_memory() {
            Default::default()
        } else {
            Journals::open(&folder, config)
        };
        let recorder = Self {
            shared: Arc::new(Shared {
                config: config.clone(),
                bucket,
                folder,
                outlives: !store.is_in_memory(),
                replica: rand::random(),
                journals: Mutex::new(journals),
                queue: Mutex::default(),
                memory: Mutex::default(),
                arrived: Notify::new(),
                counts,
                writing: TaskTracker::new(),
                abandoned: Arc::new(Semaphore::new(ABANDONED)),
                claims: Claims::default(),
                resting: Mutex::default(),
                failing: Mutex::default(),
                unread: Unread::default(),
                warnings: Warnings::default(),
            }),
        };
        if let Some(spool) = store.spool() {
            // The spool has when each was kept, and not when others relied on it after that.
            for record in &found {
                for (tenant, digest) in &record.waits {
                    spool.relied_on(tenant, digest, record.recorded);
                }
            }
        }
        recorder.shared.take_up(found);
        recorder
    }

    /// Writes entries down. When this ends they outlive the process, or it was told that they may not; it ends within
    /// some seconds. Where nobody waits for it, it goes on. Returns whether who waits may hear that all is well.
    pub fn record(&self, entries: Vec<Entry>) -> impl Future<Output = bool> + Send + use<> {
        self.record_by(entries, None)
    }

    /// The same for a sender that waits until `deadline`: what the disk does not take is not waited for longer. The
    /// disk itself has a second.
    pub fn record_by(
        &self,
        entries: Vec<Entry>,
        deadline: Option<Instant>,
    ) -> impl Future<Output = bool> + Send + use<> {
        let shared = Arc::clone(&self.shared);
        let written = (!entries.is_empty()).then(|| {
            let shared = Arc::clone(&shared);
            self.shared
                .writing
                .spawn(async move { shared.record(entries).await })
        });
        async move {
            let Some(written) = written else { return true };
            let is_durable = match written.await {
                Ok(Written::OnDisk) => true,
                // Not in the task: the end waits for these before it puts what is left.
                Ok(Written::Awaited(told)) => shared.flushed(told, deadline).await,
                // Where it did not end, they are counted as lost.
                Ok(Written::AtRisk) | Err(_) => false,
            };
            is_durable || !shared.insists()
        }
    }

    /// Whether entries that come now may be written down, as far as is known: a request that would only be refused is
    /// not to leave before. Now and then one finds out whether the disk takes something again.
    pub fn takes(&self) -> bool {
        let shared = &self.shared;
        // Where nothing waits for the bucket any more, nothing else would find out that it takes something again.
        let bucket_may_take = {
            let memory = shared.memory();
            !memory.fails() || memory.is_empty()
        };
        !shared.insists() || bucket_may_take || shared.disk_may_take()
    }

    /// Writes entries down for which nobody waits any more, or counts them as lost where there are too many
    /// of these at once.
    pub fn record_abandoned(&self, entries: Vec<Entry>) {
        let (claims, entries) = entries.into_iter().partition(is_claim);
        let shared = &self.shared;
        self.record_within(entries, &shared.abandoned, ABANDONED);
        self.record_within(claims, &shared.claims.abandoned, Claims::MOST_ABANDONED);
    }

    /// The same where there may be so many of these in all.
    fn record_within(&self, entries: Vec<Entry>, room: &Arc<Semaphore>, most: usize) {
        if entries.is_empty() {
            return;
        }
        let (shared, count) = (Arc::clone(&self.shared), entries.len());
        // More than all of them nobody can take.
        let wanted = u32::try_from(count.min(most)).unwrap_or(u32::MAX);
        let Ok(room) = Arc::clone(room).try_acquire_many_owned(wanted) else {
            return shared.lost(
                count,
                "too many requests were given up by their senders at once",
            );
        };
        if Handle::try_current().is_err() {
            return shared.lost(count, "slimspan has stopped");
        }
        self.shared.writing.spawn(async move {
            // Nobody waits for the bucket, and it is put as soon.
            drop(shared.record(entries).await);
            drop(room);
        });
    }

    /// Where its entries come to be: what an earlier process left for the catalog of this place is for it.
    pub fn place(&self) -> String {
        self.shared.bucket.to_string()
    }

    /// Entries for [`Recorder::record_lines`] of another process.
    pub fn lines(entries: &[Entry]) -> Bytes {
        to_lines(entries)
    }

    /// Writes down what an earlier process may not have come to write down. What it had changes nothing.
    pub async fn record_lines(&self, lines: &[u8]) {
        let (entries, unreadable) = from_lines(lines);
        if unreadable > 0 {
            let reason = "a later version of slimspan left them in a queue on disk";
            self.shared.lost(unreadable, reason);
        }
        // Nobody is told of it.
        let _ = self.record(entries).await;
    }

    /// Puts what is written down into the bucket until `drain` is cancelled; then what is left, unless that
    /// fails. What it cannot put stays for the next start, or is counted as lost where no disk takes it. Meanwhile
    /// it notices what others delete, and goes on with deletions that nobody has finished.
    pub async fn run(&self, store: &Store, drain: CancellationToken) {
        let shared = || Arc::clone(&self.shared);
        let finishing = finishing::run(shared(), store, drain.clone());
        let keeping = memory::keep(shared(), drain.clone());
        let ((), (), unkept) =
            tokio::join!(writer::run(shared(), store, drain), finishing, keeping);
        self.shared.let_go_of_memory(unkept);
    }

    /// Counts as lost, and tells, what is in memory alone where [`Recorder::run`] was cut off.
    pub fn cut_off(&self) {
        let reason = Some("putting them did not end in time".to_owned());
        self.shared.let_go_of_memory(reason);
    }

    /// Goes on with deletions that nobody has finished and that are due at `now`, as [`Recorder::run`] does now and
    /// then; whether there are more of them.
    pub async fn finish(&self, store: &Store, now: Timestamp) -> Result<bool, CatalogError> {
        let mut finishing = Finishing::default();
        finishing.look(&self.shared, store, now).await
    }

    /// Whether what was written down outlives the process by now.
    pub fn is_durable(&self) -> bool {
        self.shared.writing.is_empty() && self.shared.memory().is_empty()
    }

    /// How many entries wait for the bucket, in records.
    pub fn waiting(&self) -> usize {
        self.shared.queue().len()
    }
}

impl Shared {
    fn queue(&self) -> std::sync::MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn memory(&self) -> std::sync::MutexGuard<'_, Memory> {
        self.memory.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn journals(&self) -> std::sync::MutexGuard<'_, Journals> {
        self.journals.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether entries have to outlive this process before anybody is answered. What refers to a store in memory does
    /// not: its files are gone, too.
    fn insists(&self) -> bool {
        self.outlives && self.config.on_failure == OnCatalogFailure::Refuse
    }

    /// What an earlier process left.
    fn take_up(&self, found: Vec<Record>) {
        if found.is_empty() {
            return;
        }
        tracing::info!(
            "{}: {} records of an earlier run are put into the catalog",
            self.folder.display(),
            found.len()
        );
        let mut queue = self.queue();
        for record in found {
            queue.push(record);
        }
        drop(queue);
        self.arrived.notify_one();
    }
}

impl fmt::Debug for Recorder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Recorder")
            .field(&self.shared.folder)
            .finish()
    }
}
