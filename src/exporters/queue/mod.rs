//! Requests that are acknowledged before the backend has them.
//!
//! In memory a queue breaks the rule that nothing acknowledged lives in this process alone; on disk it
//! keeps it. So it is off unless it is configured, and there is more in `docs/delivery.md`.

pub mod config;
mod consumer;
mod record;
mod room;
mod waiting;

use std::fmt;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use slimspan_proto::{Signal, count};
use tokio::sync::{Mutex, oneshot};
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout_at};
use tokio_util::sync::CancellationToken;

use super::delivery::Way;
use crate::admission::Budget;
use crate::answer::Answer;
use crate::journal::{AppendError, Entry, Journal, OpenError, Options};
use crate::refusal::{Culprit, Refusal};
use crate::telemetry::Counters;
use config::{QueueConfig, Sizer};
use room::Room;
use waiting::Waiting;

/// How much of a shutdown is left for keeping what could not be delivered.
const LAST_WRITES: Duration = Duration::from_secs(2);

/// An exporter's queue, and what empties it.
#[derive(Debug)]
pub struct Queue {
    shared: Arc<Shared>,
    consumers: Mutex<JoinSet<()>>,
}

#[derive(Debug)]
struct Shared {
    way: Arc<Way>,
    config: QueueConfig,
    room: Room,
    waiting: Waiting<Queued>,
    /// Where requests are, if not in memory.
    journal: Option<Journal>,
    budget: Budget,
    counters: Arc<Counters>,
    /// The queue takes and retries nothing more.
    stop: CancellationToken,
}

/// A request in the queue.
#[derive(Debug)]
struct Queued {
    signal: Signal,
    held: Held,
    items: usize,
    size: u64,
    /// Who waits for the answer, if anybody does.
    waiter: Option<oneshot::Sender<Result<Answer, Refusal>>>,
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
        let (journal, entries) = match on_disk {
            None => (None, Vec::new()),
            Some(OnDisk { folder, options }) => {
                let (journal, recovered) = Journal::open(folder, options)?;
                (Some(journal), recovered.entries)
            }
        };
        let shared = Arc::new(Shared {
            room: Room::new(config.queue_size),
            config: config.clone(),
            waiting: Waiting::default(),
            journal,
            budget,
            counters,
            stop: way.stop.clone(),
            way,
        });
        for entry in entries {
            shared.take_up(entry);
        }
        let mut consumers = JoinSet::new();
        for _ in 0..config.num_consumers {
            consumers.spawn(Arc::clone(&shared).consume());
        }
        Ok(Self {
            shared,
            consumers: Mutex::new(consumers),
        })
    }

    /// Takes a request. What is acknowledged by this is delivered, or kept as a dead letter, once, or
    /// again after a crash.
    pub(super) async fn offer(
        &self,
        signal: Signal,
        request: Bytes,
        deadline: Instant,
    ) -> Result<Answer, Refusal> {
        self.shared.offer(signal, request, deadline).await
    }

    /// Ends by `until`. In memory, what is left is sent once more, and kept as dead letters where
    /// that fails; on disk it stays for the next start.
    pub(super) async fn drain(&self, until: Instant) {
        let now = Instant::now();
        let last_writes = LAST_WRITES.min(until.saturating_duration_since(now) / 4);
        self.shared.waiting.close(until - last_writes);
        self.shared.stop.cancel();
        let mut consumers = self.consumers.lock().await;
        let ended = async { while consumers.join_next().await.is_some() {} };
        if timeout_at(until, ended).await.is_err() {
            tracing::warn!(
                "{}: requests under way were cut off",
                self.shared.way.name()
            );
        }
        let left = self.shared.waiting.len();
        if left > 0 && self.shared.journal.is_some() {
            tracing::info!(
                "{}: {left} requests wait for the next start",
                self.shared.way.name()
            );
        } else if left > 0 {
            tracing::error!(
                "{}: {left} acknowledged requests are lost",
                self.shared.way.name()
            );
        }
    }
}

impl Shared {
    async fn offer(
        &self,
        signal: Signal,
        request: Bytes,
        deadline: Instant,
    ) -> Result<Answer, Refusal> {
        let items = count(signal, &request);
        let size = self.size_of(items, request.len());
        self.make_room(size, deadline).await?;
        let room = Taken {
            room: &self.room,
            size,
        };
        let (waiter, answer) = if self.config.wait_for_result {
            let (waiter, answer) = oneshot::channel();
            (Some(waiter), Some(answer))
        } else {
            (None, None)
        };
        let held = self.hold(signal, items, request).await?;
        room.keep();
        // Nothing is awaited between these: what is acknowledged counts as queued at once.
        if waiter.is_none() {
            self.counters.items.of(signal).queue(items);
        }
        self.waiting.push(Queued {
            signal,
            held,
            items,
            size,
            waiter,
        });
        let Some(answer) = answer else {
            return Ok(Answer::success());
        };
        match timeout_at(deadline, answer).await {
            Ok(Ok(answer)) => answer,
            Ok(Err(_)) => Err(self.refusal("its request was cut off by the shutdown")),
            Err(_) => Err(self
                .refusal("the request still waits in the queue; see sending_queue.num_consumers")),
        }
    }

    fn size_of(&self, items: usize, bytes: usize) -> u64 {
        match self.config.sizer {
            Sizer::Requests => 1,
            Sizer::Items => items as u64,
            Sizer::Bytes => bytes as u64,
        }
    }

    async fn make_room(&self, size: u64, deadline: Instant) -> Result<(), Refusal> {
        if self.stop.is_cancelled() {
            return Err(self.refusal("slimspan stops"));
        }
        if size > self.room.limit() {
            let key = format!("exporters.{}.sending_queue.queue_size", self.way.name());
            let limit = usize::try_from(self.room.limit()).unwrap_or(usize::MAX);
            return Err(Refusal::too_large(size, limit, &key));
        }
        let taken = if self.config.block_on_overflow {
            self.room.take(size, deadline).await
        } else {
            self.room.try_take(size)
        };
        if taken {
            Ok(())
        } else {
            Err(self.refusal("its queue is full; see sending_queue.queue_size"))
        }
    }

    async fn hold(&self, signal: Signal, items: usize, request: Bytes) -> Result<Held, Refusal> {
        let Some(journal) = &self.journal else {
            // What waits takes memory that nobody else may have.
            let mut lease = self.budget.lease();
            lease.try_charge(request.len())?;
            return Ok(Held::Memory(lease.hold(request)));
        };
        let beginning = record::beginning(signal, items, request.len());
        let appended = journal.append(&[beginning, request]).await;
        appended.map(Held::Disk).map_err(|error| match error {
            AppendError::Full { .. } => self.refusal(format_args!(
                "its queue on disk is full: {error}; see extensions.{}.max_bytes",
                self.storage()
            )),
            AppendError::TooLarge { len, limit } => Refusal::too_large(
                len,
                usize::try_from(limit).unwrap_or(usize::MAX),
                &format!("extensions.{}.max_bytes", self.storage()),
            ),
            AppendError::Io(_) | AppendError::Closed => {
                tracing::error!("{}: its queue cannot be written: {error}", self.way.name());
                self.refusal(format_args!("its queue cannot be written: {error}"))
            }
        })
    }

    fn storage(&self) -> String {
        let storage = self.config.storage.as_ref();
        storage.map(ToString::to_string).unwrap_or_default()
    }

    /// Takes up a record of an earlier life.
    fn take_up(&self, entry: Entry) {
        let Some(journal) = &self.journal else { return };
        let beginning = journal.read_beginning(&entry, record::BEGINNING);
        let known = beginning
            .ok()
            .and_then(|bytes| record::read_beginning(&bytes));
        let Some((signal, items)) = known else {
            // Intact, and not ours: another version may know what it is.
            tracing::error!(
                "{}: a record of its queue is no request; it stays",
                self.way.name()
            );
            return;
        };
        let size = self.size_of(items, entry.len());
        self.room.take_anyway(size);
        self.counters.items.of(signal).found_queued(items);
        self.waiting.push(Queued {
            signal,
            held: Held::Disk(entry),
            items,
            size,
            waiter: None,
        });
    }

    fn refusal(&self, reason: impl fmt::Display) -> Refusal {
        let name = self.way.name();
        Refusal::unavailable(Culprit::Slimspan, format!("{name}: {reason}"))
    }
}

/// Room that is given back unless something comes to stand in it.
struct Taken<'a> {
    room: &'a Room,
    size: u64,
}

impl Taken<'_> {
    /// Something stands in it now.
    fn keep(self) {
        std::mem::forget(self);
    }
}

impl Drop for Taken<'_> {
    fn drop(&mut self) {
        self.room.give_back(self.size);
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
            Some(storage) => write!(f, "in {storage}, {} waiting", waiting.len()),
            None => f.write_str("in memory"),
        }
    }
}
