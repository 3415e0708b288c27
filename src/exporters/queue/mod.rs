//! Requests that are acknowledged before the backend has them.
//!
//! In memory a queue breaks the rule that nothing acknowledged lives in this process alone; on disk it
//! keeps it. So it is off unless it is configured, and there is more in `docs/delivery.md`.

pub mod config;
mod consumer;
mod record;
mod room;
#[cfg(test)]
mod tests;
mod waiting;

use std::fmt;
use std::path::Path;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, PoisonError};

use bytes::Bytes;
use slimspan_proto::{Signal, count};
use tokio::sync::{Mutex, oneshot};
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout_at};
use tokio_util::sync::CancellationToken;

use super::delivery::{Terms, Way};
use super::departure::Departure;
use crate::admission::Budget;
use crate::answer::Answer;
use crate::client::Client;
use crate::journal::{AppendError, Entry, Journal, OpenError, Options, Recovered};
use crate::refusal::{Culprit, Refusal};
use crate::tally::{Ticket, Tickets};
use crate::telemetry::{Counters, Lately};
use config::{QueueConfig, Sizer};
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
}

/// A request in the queue.
#[derive(Debug)]
struct Queued {
    signal: Signal,
    /// What is known of its sender. On disk it is beside the request.
    client: Client,
    held: Held,
    items: usize,
    size: u64,
    /// Who waits for the answer, if anybody does.
    waiter: Option<oneshot::Sender<Result<Answer, Refusal>>>,
    /// Counts its items as queued, unless somebody waits.
    tickets: Option<Tickets>,
    /// Where it is noted that it may have left, if somebody waits.
    departure: Departure,
    /// Whether nothing is left to be done with it.
    is_done: bool,
}

impl Drop for Queued {
    /// What is not done with stays on disk.
    fn drop(&mut self) {
        if let (Held::Disk(_), false, Some(tickets)) = (&self.held, self.is_done, &self.tickets) {
            tickets.leave();
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
        let opened = on_disk.map(|OnDisk { folder, options }| Journal::open(folder, options));
        let opened = opened.transpose()?;
        Ok(Self::begin(way, config, opened, budget, counters))
    }

    /// Begins to empty the queue, which is in this journal or in memory.
    fn begin(
        way: Arc<Way>,
        config: &QueueConfig,
        opened: Option<(Journal, Recovered)>,
        budget: Budget,
        counters: Arc<Counters>,
    ) -> Self {
        let (journal, recovered) = opened.unzip();
        let Recovered {
            entries, given_up, ..
        } = recovered.unwrap_or_default();
        counters.damage_given_up(given_up);
        let shared = Arc::new(Shared {
            room: Room::new(config.queue_size),
            config: config.clone(),
            waiting: Waiting::default(),
            journal,
            budget,
            counters,
            stop: way.stop.clone(),
            gave_up: AtomicBool::new(false),
            blocked: std::sync::Mutex::default(),
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
    async fn offer(
        &self,
        signal: Signal,
        request: Bytes,
        terms: &Terms,
    ) -> Result<Answer, Refusal> {
        let deadline = terms.deadline;
        let items = count(signal, &request);
        let size = self.size_of(items, request.len());
        let not_queued = |_: &Refusal| self.way.counts().not_queued(signal, items);
        // Behind the queue nobody is there any more to be told.
        self.way.check(&terms.client).inspect_err(not_queued)?;
        let room = self.make_room(size, deadline).await;
        room.inspect_err(not_queued)?;
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
        let client = self.way.remember(&terms.client);
        let held = self.hold(signal, items, request, &client, deadline).await;
        let held = held.inspect_err(not_queued)?;
        let tickets = waiter.is_none().then(|| terms.tickets.clone());
        if let Some(tickets) = &tickets {
            tickets.queue();
        }
        let departure = if waiter.is_some() {
            terms.departure.clone()
        } else {
            Departure::default()
        };
        let queued = Queued {
            signal,
            client,
            held,
            items,
            size,
            waiter,
            tickets,
            departure,
            is_done: false,
        };
        if self.waiting.push(queued, self.journal.is_some()).is_err() {
            return Err(self.refusal("slimspan stops"));
        }
        room.keep();
        // From here on it goes out whether somebody waits or not.
        let leaving = terms.departure.begin();
        let Some(answer) = answer else {
            return Ok(Answer::success());
        };
        match timeout_at(deadline, answer).await {
            Ok(Ok(answer)) => {
                // It was noted already where an attempt was in doubt.
                leaving.ended(&answer);
                answer
            }
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
            self.room.take(size, deadline, &self.stop).await
        } else {
            self.room.try_take(size)
        };
        if taken {
            Ok(())
        } else {
            self.room.lacked(size);
            Err(self.refusal("its queue is full; see sending_queue.queue_size"))
        }
    }

    async fn hold(
        &self,
        signal: Signal,
        items: usize,
        request: Bytes,
        client: &Client,
        deadline: Instant,
    ) -> Result<Held, Refusal> {
        let Some(journal) = &self.journal else {
            // What waits takes memory that nobody else may have.
            let mut lease = self.budget.lease();
            lease.try_charge(request.len() + client.metadata_len())?;
            return Ok(Held::Memory(lease.hold(request)));
        };
        let beginning = record::beginning(signal, items, client, request.len());
        let append = journal.append(&[beginning, request]);
        let Ok(appended) = timeout_at(deadline, append).await else {
            return Err(self.refusal("its queue on disk was not written in time"));
        };
        *self.blocked() = match &appended {
            Err(AppendError::Full { .. } | AppendError::Io(_)) => Lately::now(),
            _ => Lately::default(),
        };
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

    fn blocked(&self) -> std::sync::MutexGuard<'_, Lately> {
        self.blocked.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn storage(&self) -> String {
        let storage = self.config.storage.as_ref();
        storage.map(ToString::to_string).unwrap_or_default()
    }

    /// Takes up a record of an earlier life.
    fn take_up(&self, entry: Entry) {
        let Some(journal) = &self.journal else { return };
        let name = self.way.name();
        let beginning = match journal.read_beginning(&entry, record::BEGINNING) {
            Ok(beginning) => beginning,
            Err(error) => {
                tracing::error!("{name}: a request has to wait for the next start: {error}");
                return;
            }
        };
        let Some((signal, items)) = record::read_beginning(&beginning) else {
            // Intact, and not ours: another version may know what it is.
            tracing::error!("{name}: a record of its queue is no request; it stays");
            return;
        };
        let size = self.size_of(items, entry.len());
        self.room.take_anyway(size);
        let ticket = Ticket::found(Arc::clone(&self.counters), signal, items);
        let queued = Queued {
            signal,
            // It is read with the request.
            client: Client::unknown(),
            held: Held::Disk(entry),
            items,
            size,
            waiter: None,
            tickets: Some(ticket.into()),
            departure: Departure::default(),
            is_done: false,
        };
        // Nothing is too late for what may stay.
        let _ = self.waiting.push(queued, true);
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
