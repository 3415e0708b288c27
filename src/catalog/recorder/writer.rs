use std::collections::{HashMap, HashSet};
use std::mem;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use futures::{StreamExt as _, stream};
use jiff::Timestamp;
use slimspan_artifact::Digest;
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;

use super::super::entry::{Entry, State};
use super::super::layout;
use super::adoption::Adoption;
use super::deletions::Deletions;
use super::lines::Lines;
use super::queue::{Home, Record};
use super::risk::at_risk;
use super::warnings::Matter;
use super::{REST, Shared, from_lines, to_lines};
use crate::backoff::Backoff;
use crate::storage::{Fate, Store};
use crate::tenant::TenantId;

/// The pauses of a bucket that takes nothing.
const PAUSE: Backoff = Backoff::doubling(Duration::from_secs(1), Duration::from_secs(30));

/// So many artifacts are asked for at a time.
const ASKED: usize = 16;

/// What has waited for so long is named anew: others look for new objects among the latest names.
const STALE: Duration = Duration::from_secs(30);

/// Whose artifact, and which.
type Key = (TenantId, Digest);

/// What goes into one object.
struct Batch {
    key: String,
    named: Instant,
    body: Bytes,
    /// Each with whether nothing more is to be said of it.
    records: Vec<(Record, bool)>,
    failed: u32,
}

/// Lines that tell of artifacts in the spool, until these are not there any more.
struct Spooled {
    record: Record,
    /// Whether it was told that they are stored, in the batch that is under way.
    told: bool,
}

pub(super) async fn run(shared: Arc<Shared>, store: &Store, drain: CancellationToken) {
    let _flushes = shared.begin_to_flush();
    let mut writer = Writer {
        shared: &shared,
        store,
        spooled: Vec::new(),
        batch: None,
        due: None,
        adoption: Adoption::new(),
        settle: Instant::now(),
        again: Instant::now(),
        deletions: Deletions::new(store, shared.config.interval),
    };
    writer.deletions.begin(&shared, store, &drain).await;
    let mut draining = false;
    loop {
        writer.step(draining).await;
        let failing = writer.batch.is_some();
        // What its disk does not give stays there for the next start.
        if draining && (failing || shared.queue().is_idle()) {
            return;
        }
        let wake = writer.wake();
        tokio::select! {
            () = writer.adoption.found(&shared) => {}
            () = drain.cancelled(), if !draining => {
                draining = true;
                // What is being written down is there then, also where nobody waits for it.
                shared.writing.close();
                shared.writing.wait().await;
            }
            () = sleep_until(wake) => {}
            // While the bucket takes nothing, its pause is what is waited for.
            () = shared.arrived.notified(), if !failing => {}
        }
    }
}

struct Writer<'s> {
    shared: &'s Arc<Shared>,
    store: &'s Store,
    spooled: Vec<Spooled>,
    /// What the bucket did not take yet.
    batch: Option<Batch>,
    /// When that is tried again.
    due: Option<Instant>,
    adoption: Adoption,
    /// When a disk that did not give something is next asked for it.
    again: Instant,
    /// When it is next told what became of artifacts that were in the spool.
    settle: Instant,
    deletions: Deletions,
}

impl Writer<'_> {
    /// When there is something to do, if nothing comes.
    fn wake(&self) -> Instant {
        let interval = self.shared.config.interval;
        let now = Instant::now();
        let mut wake = self.adoption.due().min(self.deletions.due());
        if self.batch.is_some() {
            wake = wake.min(self.due.unwrap_or(now));
        } else if let Some(since) = self.shared.queue().since() {
            wake = wake.min(since + interval);
        }
        if self.batch.is_none() && !self.spooled.is_empty() {
            wake = wake.min(self.settle);
        }
        if self.shared.queue().waits_for_disk() {
            wake = wake.min(self.again);
        }
        wake
    }

    async fn step(&mut self, draining: bool) {
        let now = Instant::now();
        if !draining && now >= self.adoption.due() {
            self.adoption.look(self.shared);
        }
        if now >= self.again && self.shared.queue().waits_for_disk() {
            self.again = now + REST;
            if !self.shared.unread.hangs() {
                self.shared.queue().take_back();
            }
        }
        if !draining {
            self.deletions.look(self.shared, self.store).await;
        }
        loop {
            if self.batch.is_none() {
                self.batch = self.next(draining).await;
            }
            let Some(batch) = &self.batch else { return };
            if batch.failed > 0 && !draining && self.due.is_some_and(|due| Instant::now() < due) {
                return;
            }
            if !self.put().await {
                return;
            }
        }
    }

    /// What is to be put now, if anything is.
    async fn next(&mut self, draining: bool) -> Option<Batch> {
        let config = &self.shared.config;
        let most = config.max_batch.as_u64() as usize;
        let taken = {
            let mut queue = self.shared.queue();
            let age = queue.since().map(|since| since.elapsed());
            let is_due = draining && !queue.is_idle()
                || queue.is_awaited()
                || queue.bytes() >= most
                || age.is_some_and(|age| age >= config.interval);
            if is_due { queue.take(most) } else { Vec::new() }
        };
        let now = Instant::now();
        let settles = draining || now >= self.settle;
        if taken.is_empty() && !settles {
            return None;
        }
        let mut read = Vec::with_capacity(taken.len());
        let mut unread = Vec::new();
        for record in taken {
            match self.shared.lines(&record).await {
                Lines::There(lines) => read.push((record, lines)),
                Lines::Gone => {}
                Lines::Later => unread.push(record),
            }
        }
        if !unread.is_empty() {
            self.again = Instant::now() + REST;
            self.shared.queue().set_aside(unread);
        }
        let fates = self.fates(&read, settles).await;
        let mut body = BytesMut::new();
        let mut records = Vec::with_capacity(read.len());
        for (record, lines) in read {
            if let Some(entries) = settled(&record, &lines, &fates) {
                // The first line is spared where there is a later one already.
                body.extend_from_slice(&to_lines(&entries));
                records.push((record, true));
            } else {
                body.extend_from_slice(&lines);
                let is_settled = record.waits.is_empty();
                records.push((record, is_settled));
            }
        }
        if settles {
            self.settle = now + config.interval;
            self.tell_settled(&mut body, most, &fates).await;
        }
        if body.is_empty() {
            return None;
        }
        Some(Batch {
            key: layout::entries(Timestamp::now(), self.shared.replica),
            named: Instant::now(),
            body: body.freeze(),
            records,
            failed: 0,
        })
    }

    /// What became of the artifacts that these records wait for, and of those that others have waited for;
    /// of some nobody knows.
    async fn fates(&self, read: &[(Record, Bytes)], settles: bool) -> HashMap<Key, State> {
        let old = self.spooled.iter().filter(|of| settles && !of.told);
        let old = old.map(|spooled| &spooled.record);
        let records = read.iter().map(|(record, _)| record).chain(old);
        let waits: HashSet<&Key> = records.flat_map(|record| &record.waits).collect();
        let spool = self.store.spool();
        let mut fates = HashMap::new();
        let mut unknown = Vec::new();
        for key in waits {
            let (tenant, digest) = key;
            if spool
                .as_ref()
                .is_some_and(|spool| spool.has(tenant, digest))
            {
                continue;
            }
            match spool.as_ref().and_then(|spool| spool.fate(tenant, digest)) {
                Some(Fate::Stored) => drop(fates.insert(key.clone(), State::Stored)),
                Some(Fate::GivenUp) => drop(fates.insert(key.clone(), State::Dropped)),
                None => unknown.push(key.clone()),
            }
        }
        // Those of an earlier process: what cannot be read from the spool is given up there, so to have left
        // it is not enough.
        let asked = unknown.into_iter().map(|key| async move {
            let has = self.store.of_tenant(&key.0).has(&key.1).await;
            (key, has)
        });
        let mut asked = stream::iter(asked).buffer_unordered(ASKED);
        while let Some((key, has)) = asked.next().await {
            match has {
                Ok(true) => drop(fates.insert(key, State::Stored)),
                Ok(false) => drop(fates.insert(key, State::Dropped)),
                // Another time: a store that hangs would hold up everything else.
                Err(_) => break,
            }
        }
        fates
    }

    /// Adds what became of artifacts that were in the spool when their first lines were put.
    async fn tell_settled(
        &mut self,
        body: &mut BytesMut,
        most: usize,
        fates: &HashMap<Key, State>,
    ) {
        for number in 0..self.spooled.len() {
            if body.len() >= most {
                // The rest follows at once.
                self.settle = Instant::now();
                return;
            }
            let Some(spooled) = self.spooled.get(number) else {
                return;
            };
            let known = |key| fates.contains_key(key);
            if spooled.told || !spooled.record.waits.iter().all(known) {
                continue;
            }
            let lines = match self.shared.lines(&spooled.record).await {
                Lines::There(lines) => lines,
                Lines::Gone => Bytes::new(),
                Lines::Later => continue,
            };
            let mut entries = settled(&spooled.record, &lines, fates).unwrap_or_default();
            entries.retain(|entry| entry.settled.is_some());
            body.extend_from_slice(&to_lines(&entries));
            if let Some(spooled) = self.spooled.get_mut(number) {
                spooled.told = true;
            }
        }
    }

    /// Puts what is to be put; whether the bucket took it.
    async fn put(&mut self) -> bool {
        let Some(batch) = &mut self.batch else {
            return true;
        };
        if batch.named.elapsed() > STALE {
            // The same lines under two names are the same entries.
            batch.key = layout::entries(Timestamp::now(), self.shared.replica);
            batch.named = Instant::now();
        }
        let outcome = self.shared.bucket.put(&batch.key, batch.body.clone()).await;
        if let Err(error) = outcome {
            self.shared.counts.catalog.failed();
            self.due = Some(Instant::now() + PAUSE.wait(batch.failed));
            batch.failed = batch.failed.saturating_add(1);
            let waiting = self.shared.queue().len() + batch.records.len();
            let recorded = batch.records.iter().map(|(record, _)| record.recorded);
            // What cannot be read has no time.
            let since = recorded.filter(|at| *at > Timestamp::UNIX_EPOCH).min();
            let within = self.store.knows_within();
            let risk = since.map(|since| at_risk(since, Timestamp::now(), within));
            let risk = risk.unwrap_or_default();
            let what =
                format!("the catalog waits for the store, {waiting} requests of it: {error}{risk}");
            self.shared.warn(Matter::Bucket, &what);
            self.shared.bucket_fails(&error.to_string());
            return false;
        }
        self.shared.counts.catalog.put();
        self.shared.bucket_takes();
        self.due = None;
        let records = self.batch.take().map(|batch| batch.records);
        for (record, is_settled) in records.unwrap_or_default() {
            if is_settled {
                self.forget(&record);
            } else {
                if let Home::Memory(id) = &record.home {
                    self.shared.memory().is_listed(*id);
                }
                self.spooled.push(Spooled {
                    record,
                    told: false,
                });
            }
        }
        for spooled in mem::take(&mut self.spooled) {
            if spooled.told {
                self.forget(&spooled.record);
            } else {
                self.spooled.push(spooled);
            }
        }
        true
    }

    /// The bucket has all that is to say about it.
    fn forget(&self, record: &Record) {
        let on_disk = match &record.home {
            Home::Journal { number, entry } => Some((*number, *entry)),
            Home::Memory(id) => self.shared.memory().forget(*id),
        };
        if let Some((number, entry)) = on_disk
            && let Some(journal) = self.shared.journals().get(number)
        {
            journal.remove(&entry);
        }
    }
}

/// The entries of a record when it is known what became of all that it waits for, and there is something to
/// tell of that.
fn settled(record: &Record, lines: &[u8], fates: &HashMap<Key, State>) -> Option<Vec<Entry>> {
    let is_known = record.waits.iter().all(|key| fates.contains_key(key));
    if record.waits.is_empty() || !is_known {
        return None;
    }
    let (mut entries, _) = from_lines(lines);
    let now = Timestamp::now();
    for entry in &mut entries {
        if entry.state != State::Spooled {
            continue;
        }
        let key = entry.digest.map(|digest| (entry.tenant.clone(), digest));
        if let Some(state) = key.and_then(|key| fates.get(&key)) {
            // It is the same reference: a deletion that came between hides it, too.
            entry.settled = Some(now);
            entry.state = *state;
        }
    }
    Some(entries)
}
