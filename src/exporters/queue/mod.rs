//! Requests that are acknowledged before the backend has them.
//!
//! In memory a queue breaks the rule that nothing acknowledged lives in this process alone; on disk it
//! keeps it. So it is off unless it is configured, and there is more in `docs/delivery.md`.

pub mod config;
mod consumer;
mod intake;
mod line;
mod outlook;
mod partition;
mod record;
mod resting;
mod room;
#[cfg(test)]
mod tests;
mod tries;
mod turns;
mod waiting;

use std::fmt;
use std::path::Path;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, PoisonError};

use bytes::Bytes;
use http::HeaderName;
use slimspan_proto::Signal;
use tokio::sync::{Mutex, oneshot};
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout_at};
use tokio_util::sync::CancellationToken;

use super::delivery::Way;
use super::departure::{Departure, Herald};
use super::heard::Heard;
use super::terms::Terms;
use crate::admission::Budget;
use crate::answer::Answer;
use crate::joining::Divided;
use crate::journal::{Entry, Journal, OpenError, Options, Recovered};
use crate::refusal::{Culprit, Refusal};
use crate::tally::Tickets;
use crate::telemetry::{Counters, Lately};
use config::{BatchSizer, QueueBatchConfig, QueueConfig, Sizer};
use line::{Batches, Waits};
use partition::{Partition, Sender};
use room::Room;
use waiting::Waiting;

/// An exporter's queue, and what empties it.
#[derive(Debug)]
pub struct Queue {
    shared: Arc<Shared>,
    consumers: Mutex<JoinSet<()>>,
}

/// How much is in a queue.
#[derive(Debug, Clone, Copy)]
pub struct Load {
    /// How much there is, in the unit of its `sizer`.
    pub size: u64,
    /// How much there can be.
    pub capacity: u64,
    /// Whether it had no room for a request lately, and has none for it yet.
    pub is_full: bool,
}

#[derive(Debug)]
struct Shared {
    way: Arc<Way>,
    config: QueueConfig,
    /// The headers of senders that tell requests apart, beside those that are passed on.
    partition: Vec<HeaderName>,
    room: Room,
    waiting: Waiting<Queued>,
    /// Where requests are, if not in memory.
    journal: Option<Journal>,
    budget: Budget,
    counters: Arc<Counters>,
    /// The queue takes and retries nothing more.
    stop: CancellationToken,
    /// The backend failed after the stop: what is left need not be tried.
    gave_up: AtomicBool,
    /// When the disk took nothing more.
    blocked: std::sync::Mutex<Lately>,
    /// When it was told that some of it cannot be read.
    unread: std::sync::Mutex<Lately>,
    /// Who tells what an earlier process has not.
    herald: Herald,
}

/// A request in the queue.
#[derive(Debug)]
struct Queued {
    signal: Signal,
    sender: Sender,
    held: Held,
    items: usize,
    bytes: usize,
    /// Of the queue.
    size: u64,
    /// When its sender stops waiting, if it waits.
    deadline: Option<Instant>,
    /// What is done with it where it is refused, by who waits for the answer.
    divided: Divided,
    /// Who waits for the answer, if anybody does.
    waiter: Option<oneshot::Sender<Result<Answer, Refusal>>>,
    /// Counts its items as queued, unless somebody waits.
    tickets: Option<Tickets>,
    /// Where it is noted that it may have left, if somebody waits.
    departure: Departure,
    /// Whether another process took it, which may have ended before it told what stands beside it.
    is_found: bool,
    /// What the backend said of its parts, where it went in several and not all of them are there.
    heard: Heard,
    /// Whether nothing is left to be done with it.
    is_done: bool,
}

impl Waits for Queued {
    fn partition(&self) -> Option<Partition> {
        Partition::of(self.signal, &self.sender)
    }

    fn size(&self, sizer: BatchSizer) -> u64 {
        match sizer {
            BatchSizer::Items => self.items as u64,
            BatchSizer::Bytes => self.bytes as u64,
        }
    }

    fn deadline(&self) -> Option<Instant> {
        self.deadline
    }

    fn place(&self) -> Entry {
        match &self.held {
            Held::Memory(_) => Entry::nowhere(),
            Held::Disk(entry) => *entry,
        }
    }
}

impl Drop for Queued {
    /// What is not done with stays on disk.
    fn drop(&mut self) {
        if let (Held::Disk(_), false, Some(tickets)) = (&self.held, self.is_done, &self.tickets) {
            tickets.leave(&self.sender.tenants);
        }
    }
}

#[derive(Debug)]
enum Held {
    Memory(Bytes),
    Disk(Entry),
}

/// Where a queue on disk is, and how.
#[derive(Debug, Clone, Copy)]
pub struct OnDisk<'a> {
    /// The folder, which is this queue's alone.
    pub folder: &'a Path,
    /// How it is used.
    pub options: Options,
    /// Who tells what stands beside the requests in it that an earlier process left.
    pub herald: &'a Herald,
}

impl Queue {
    /// Opens the queue and begins to empty it. On disk, what another life of this process left there
    /// goes first.
    pub fn open(
        way: Arc<Way>,
        config: &QueueConfig,
        on_disk: Option<OnDisk<'_>>,
        budget: Budget,
        counters: Arc<Counters>,
    ) -> Result<Self, OpenError> {
        let herald = on_disk.map(|of| of.herald.clone()).unwrap_or_default();
        let opened = on_disk.map(|of| Journal::open(of.folder, of.options));
        let opened = opened.transpose()?;
        let parts = (budget, counters, herald);
        Ok(Self::begin(way, config, opened, parts))
    }

    /// Begins to empty the queue, which is in this journal or in memory.
    fn begin(
        way: Arc<Way>,
        config: &QueueConfig,
        opened: Option<(Journal, Recovered)>,
        (budget, counters, herald): (Budget, Arc<Counters>, Herald),
    ) -> Self {
        let (journal, recovered) = opened.unzip();
        let Recovered {
            entries, given_up, ..
        } = recovered.unwrap_or_default();
        counters.damage_given_up(given_up);
        let batches = config.batch.as_ref().map(|batch| Batches {
            flush_timeout: batch.flush_timeout,
            min_size: batch.min_size,
            max_size: match batch.max_size {
                0 => u64::MAX,
                most => most,
            },
            sizer: config.batch_sizer(),
            max_bytes: way.max_bytes() as u64,
        });
        let partition = config.batch.as_ref().map(QueueBatchConfig::metadata_keys);
        let shared = Arc::new(Shared {
            room: Room::new(config.queue_size),
            config: config.clone(),
            partition: partition.unwrap_or_default(),
            waiting: Waiting::new(batches, way.backoff(), config.num_consumers),
            journal,
            budget,
            counters,
            stop: way.stop.clone(),
            gave_up: AtomicBool::new(false),
            blocked: std::sync::Mutex::default(),
            unread: std::sync::Mutex::default(),
            herald,
            way,
        });
        for entry in entries {
            shared.take_up(entry);
        }
        let mut consumers = JoinSet::new();
        for _ in 0..config.num_consumers {
            consumers.spawn(Arc::clone(&shared).consume());
        }
        Self {
            shared,
            consumers: Mutex::new(consumers),
        }
    }

    /// Takes a request. What is acknowledged by this is delivered, or kept as a dead letter, once, or
    /// again after a crash.
    pub(super) async fn offer(
        &self,
        signal: Signal,
        request: Bytes,
        terms: &Terms,
    ) -> Result<Answer, Refusal> {
        self.shared.offer(signal, request, terms).await
    }

    /// How much is in it, and how much can be.
    pub(super) fn load(&self) -> Load {
        let room = &self.shared.room;
        Load {
            size: room.taken(),
            capacity: room.limit(),
            is_full: room.is_full() || self.shared.blocked().holds(),
        }
    }

    /// Whether what it has is nowhere else.
    pub(super) fn is_in_memory(&self) -> bool {
        self.shared.journal.is_none() && !self.shared.config.wait_for_result
    }

    /// Ends by `until`. In memory, what is left is sent for half of that time unless the backend
    /// fails, and the rest is kept as dead letters; on disk it stays for the next start.
    pub(super) async fn drain(&self, until: Instant) {
        let half = until.saturating_duration_since(Instant::now()) / 2;
        let shared = &self.shared;
        shared.waiting.close(until - half);
        shared.stop.cancel();
        let mut consumers = self.consumers.lock().await;
        let ended = async {
            while consumers.join_next().await.is_some() {}
            if shared.journal.is_none() {
                shared.keep_rest().await;
            }
        };
        let name = shared.way.name();
        if timeout_at(until, ended).await.is_err() {
            tracing::error!("{name}: its queue did not end in time; requests were cut off");
        }
        let left = shared.waiting.len();
        if left > 0 {
            tracing::info!("{name}: {left} requests wait for the next start");
        }
    }
}

impl Shared {
    fn size_of(&self, items: usize, bytes: usize) -> u64 {
        match self.config.sizer {
            Sizer::Requests => 1,
            Sizer::Items => items as u64,
            Sizer::Bytes => bytes as u64,
        }
    }

    fn blocked(&self) -> std::sync::MutexGuard<'_, Lately> {
        self.blocked.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn storage(&self) -> String {
        let storage = self.config.storage.as_ref();
        storage.map(ToString::to_string).unwrap_or_default()
    }

    fn refusal(&self, reason: impl fmt::Display) -> Refusal {
        let name = self.way.name();
        Refusal::unavailable(Culprit::Slimspan, format!("{name}: {reason}"))
    }
}

/// What there is, for people.
impl fmt::Display for Queue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Shared {
            config, waiting, ..
        } = &*self.shared;
        let unit = match config.sizer {
            Sizer::Requests => "requests",
            Sizer::Items => "items",
            Sizer::Bytes => "bytes",
        };
        write!(f, "through a queue of {} {unit} ", config.queue_size)?;
        match &config.storage {
            Some(storage) => write!(f, "in {storage}, {} waiting", waiting.len())?,
            None => f.write_str("in memory")?,
        }
        match &config.batch {
            None => Ok(()),
            Some(batch) => {
                let unit = match config.batch_sizer() {
                    BatchSizer::Items => "items",
                    BatchSizer::Bytes => "bytes",
                };
                let (size, after) = (batch.min_size, batch.flush_timeout);
                write!(
                    f,
                    ", in batches of {size} {unit}, after {after:?} at the latest"
                )
            }
        }
    }
}
