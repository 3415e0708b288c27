use std::collections::HashSet;
use std::mem;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use jiff::Timestamp;
use slimspan_artifact::Digest;
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;

use super::super::entry::{Entry, State};
use super::super::layout;
use super::deletions::Deletions;
use super::journals::left_in;
use super::queue::{Home, Record};
use super::{Shared, from_lines, to_lines};
use crate::backoff::Backoff;
use crate::storage::Store;
use crate::tenant::TenantId;

/// The pauses of a bucket that takes nothing.
const PAUSE: Backoff = Backoff::doubling(Duration::from_secs(1), Duration::from_secs(30));

/// How often journals are looked for that a process of this machine left.
const ADOPT: Duration = Duration::from_secs(30);

/// What has waited for so long is named anew: others look for new objects among the latest names.
const STALE: Duration = Duration::from_secs(30);

/// What goes into one object.
struct Batch {
    key: String,
    named: Instant,
    body: Bytes,
    records: Vec<Record>,
    failed: u32,
}

/// Lines that tell of artifacts in the spool, until these are not there any more.
struct Spooled {
    record: Record,
    /// Whether it was told that they are stored, in the batch that is under way.
    told: bool,
}

pub(super) async fn run(shared: Arc<Shared>, store: &Store, drain: CancellationToken) {
    let mut writer = Writer {
        shared: &shared,
        store,
        spooled: Vec::new(),
        batch: None,
        due: None,
        adopt: Instant::now() + ADOPT,
        deletions: Deletions::new(),
    };
    let mut draining = false;
    loop {
        writer.step(draining).await;
        let failing = writer.batch.is_some();
        if draining && (failing || shared.queue().len() == 0) {
            return;
        }
        let wake = writer.wake();
        tokio::select! {
            () = drain.cancelled(), if !draining => draining = true,
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
    adopt: Instant,
    deletions: Deletions,
}

impl Writer<'_> {
    /// When there is something to do, if nothing comes.
    fn wake(&self) -> Instant {
        let interval = self.shared.config.interval;
        let now = Instant::now();
        let mut wake = self.adopt.min(self.deletions.due());
        if self.batch.is_some() {
            wake = wake.min(self.due.unwrap_or(now));
        } else if let Some(since) = self.shared.queue().since() {
            wake = wake.min(since + interval);
        }
        if !self.spooled.is_empty() {
            wake = wake.min(now + interval);
        }
        wake
    }

    async fn step(&mut self, draining: bool) {
        let now = Instant::now();
        if now >= self.adopt {
            self.adopt = now + ADOPT;
            self.adopt_others().await;
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

    async fn adopt_others(&self) {
        if self.shared.journals().own().is_none() {
            return;
        }
        let shared = Arc::clone(self.shared);
        let adopt = move || {
            let has = shared.journals().numbers();
            let left = left_in(&shared.folder, &shared.config, &has);
            let mut journals = shared.journals();
            let found = left.into_iter().flat_map(|left| journals.add(left));
            found.collect::<Vec<_>>()
        };
        let found = tokio::task::spawn_blocking(adopt).await;
        self.shared.take_up(found.unwrap_or_default());
    }

    /// What is to be put now, if anything is.
    async fn next(&mut self, draining: bool) -> Option<Batch> {
        let config = &self.shared.config;
        let most = config.max_batch.as_u64() as usize;
        let is_due = {
            let queue = self.shared.queue();
            let age = queue.since().map(|since| since.elapsed());
            draining && queue.len() > 0
                || queue.bytes() >= most
                || age.is_some_and(|age| age >= config.interval)
        };
        let mut body = BytesMut::new();
        let mut records = if is_due {
            self.shared.queue().take(most)
        } else {
            Vec::new()
        };
        let mut readable = Vec::with_capacity(records.len());
        for record in mem::take(&mut records) {
            if let Some(lines) = self.read(&record).await {
                body.extend_from_slice(&lines);
                readable.push(record);
            }
        }
        self.tell_stored(&mut body).await;
        if body.is_empty() {
            return None;
        }
        Some(Batch {
            key: layout::entries(Timestamp::now(), self.shared.replica),
            named: Instant::now(),
            body: body.freeze(),
            records: readable,
            failed: 0,
        })
    }

    /// The lines of a record; none where they cannot be read any more.
    async fn read(&self, record: &Record) -> Option<Bytes> {
        let (number, entry) = match &record.home {
            Home::Memory(lines) => return Some(lines.clone()),
            Home::Journal { number, entry } => (*number, *entry),
        };
        let journal = self.shared.journals().get(number)?;
        match journal.read(&entry).await {
            Ok(lines) => Some(lines),
            Err(error) => {
                // What is damaged goes into quarantine at the next start, which tells of it.
                self.shared.lost(1, &error.to_string());
                None
            }
        }
    }

    /// Adds lines about artifacts that were in the spool and are not any more.
    async fn tell_stored(&mut self, body: &mut BytesMut) {
        for number in 0..self.spooled.len() {
            let Some(spooled) = self.spooled.get(number) else {
                return;
            };
            let waits = spooled.record.waits.iter();
            let mut waits = waits.filter(|(tenant, digest)| self.is_spooled(tenant, digest));
            if spooled.told || waits.next().is_some() {
                continue;
            }
            let Some(lines) = self.read(&spooled.record).await else {
                continue;
            };
            let (entries, _) = from_lines(&lines);
            let Some(entries) = self.settled(entries, &spooled.record.waits).await else {
                continue;
            };
            body.extend_from_slice(&to_lines(&entries));
            if let Some(spooled) = self.spooled.get_mut(number) {
                spooled.told = true;
            }
            if body.len() as u64 >= self.shared.config.max_batch.as_u64() {
                return;
            }
        }
    }

    fn is_spooled(&self, tenant: &TenantId, digest: &Digest) -> bool {
        let spool = self.store.spool();
        spool.is_some_and(|spool| spool.has(tenant, digest))
    }

    /// What became of entries whose artifacts left the spool; none where the store does not say.
    async fn settled(
        &self,
        entries: Vec<Entry>,
        waits: &[(TenantId, Digest)],
    ) -> Option<Vec<Entry>> {
        let mut stored = HashSet::new();
        for (tenant, digest) in waits {
            // What cannot be read from the spool is given up there, so to have left it is not enough.
            if self.store.of_tenant(tenant).has(digest).await.ok()? {
                stored.insert((tenant.clone(), *digest));
            }
        }
        let recorded = Timestamp::now();
        let spooled = entries.into_iter();
        let spooled = spooled.filter(|entry| entry.state == State::Spooled);
        let settled = spooled.filter_map(|entry| {
            let is_stored = stored.contains(&(entry.tenant.clone(), entry.digest?));
            Some(Entry {
                recorded,
                state: if is_stored {
                    State::Stored
                } else {
                    State::Dropped
                },
                ..entry
            })
        });
        Some(settled.collect())
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
            let what =
                format!("the catalog waits for the store, {waiting} requests of it: {error}");
            self.shared.warn(&what);
            return false;
        }
        self.shared.counts.catalog.put();
        self.due = None;
        for record in self
            .batch
            .take()
            .map(|batch| batch.records)
            .unwrap_or_default()
        {
            if record.waits.is_empty() {
                self.forget(&record);
            } else {
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
        if let Home::Journal { number, entry } = &record.home
            && let Some(journal) = self.shared.journals().get(*number)
        {
            journal.remove(entry);
        }
    }
}
