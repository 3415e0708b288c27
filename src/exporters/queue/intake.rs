//! How requests come into a queue: from who offers them, or from an earlier life of the process.

use std::sync::Arc;

use bytes::Bytes;
use slimspan_proto::{Signal, count};
use tokio::sync::oneshot;
use tokio::time::{Instant, timeout_at};

use super::room::Room;
use super::{Held, Queued, Sender, Shared, record};
use crate::answer::Answer;
use crate::crash::{self, Point};
use crate::exporters::departure::Departure;
use crate::exporters::heard::Heard;
use crate::exporters::terms::Terms;
use crate::joining::Divided;
use crate::journal::{AppendError, Entry, Journal, ReadError};
use crate::refusal::Refusal;
use crate::tally::Ticket;
use crate::telemetry::Lately;

impl Shared {
    pub(super) async fn offer(
        &self,
        signal: Signal,
        request: Bytes,
        terms: &Terms,
    ) -> Result<Answer, Refusal> {
        let deadline = terms.deadline;
        let items = count(signal, &request);
        let size = self.size_of(items, request.len());
        let not_queued = |refusal: &Refusal| {
            // What goes again in parts may find room, and counts then.
            if !terms.divided.goes_again(refusal) {
                self.way.counts().not_queued(signal, items);
            }
        };
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
        let client = self.way.remember(&terms.client, &self.partition);
        let (sender, bytes) = (Sender::of(client, terms), request.len());
        let held = self.hold(signal, items, request, &sender, terms).await;
        let held = held.inspect_err(not_queued);
        let held = held.inspect_err(|_| self.waiting.hurry())?;
        let tickets = waiter.is_none().then(|| terms.tickets.clone());
        if let Some(tickets) = &tickets {
            tickets.queue();
        }
        let (departure, divided) = if waiter.is_some() {
            (terms.departure.clone(), terms.divided)
        } else {
            (Departure::default(), Divided::Never)
        };
        let queued = Queued {
            signal,
            sender,
            held,
            items,
            bytes,
            size,
            deadline: waiter.is_some().then_some(deadline),
            divided,
            waiter,
            tickets,
            departure,
            is_found: false,
            heard: Heard::default(),
            is_done: false,
        };
        if self.waiting.push(queued, self.journal.is_some()).is_err() {
            return Err(self.refusal("slimspan stops"));
        }
        room.keep();
        if self.room.is_waited_for() {
            // This one has the room that others wait for.
            self.waiting.hurry();
        }
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

    async fn make_room(&self, size: u64, deadline: Instant) -> Result<(), Refusal> {
        if self.stop.is_cancelled() {
            return Err(self.refusal("slimspan stops"));
        }
        if size > self.room.limit() {
            let key = format!("exporters.{}.sending_queue.queue_size", self.way.name());
            let limit = usize::try_from(self.room.limit()).unwrap_or(usize::MAX);
            return Err(Refusal::too_large(size, limit, &key));
        }
        if self.room.try_take(size) {
            return Ok(());
        }
        // What waits for more to go with it would wait in vain.
        self.waiting.hurry();
        let may_wait = self.config.block_on_overflow;
        if may_wait && self.room.take(size, deadline, &self.stop).await {
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
        sender: &Sender,
        terms: &Terms,
    ) -> Result<Held, Refusal> {
        let Some(journal) = &self.journal else {
            // What waits takes memory that nobody else may have.
            let mut lease = self.budget.lease();
            lease.try_charge(request.len() + sender.client.metadata_len())?;
            return Ok(Held::Memory(lease.hold(request)));
        };
        // From the moment on that it is on disk it goes out, whether or not this process lives to tell of it.
        let notices = terms.departure.notices();
        let beginning = record::beginning(signal, items, sender, &notices, request.len());
        let append = journal.append(&[beginning, request]);
        let Ok(appended) = timeout_at(terms.deadline, append).await else {
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

    /// Takes up a record of an earlier life.
    pub(super) fn take_up(&self, entry: Entry) {
        let Some(journal) = &self.journal else { return };
        crash::at(Point::QueueTakingUp);
        let name = self.way.name();
        let found = match self.look_at(journal, &entry) {
            Ok(found) => found,
            Err(error) => {
                tracing::error!("{name}: a request has to wait for the next start: {error}");
                return;
            }
        };
        let Some(Found {
            signal,
            items,
            sender,
        }) = found
        else {
            // Intact, and not ours: another version may know what it is.
            tracing::error!("{name}: a record of its queue is no request; it stays");
            return;
        };
        let size = self.size_of(items, entry.len());
        self.room.take_anyway(size);
        let counters = Arc::clone(&self.counters);
        let ticket = Ticket::found(counters, signal, items, &sender.tenants);
        let queued = Queued {
            signal,
            sender,
            held: Held::Disk(entry),
            items,
            bytes: entry.len(),
            size,
            deadline: None,
            divided: Divided::Never,
            waiter: None,
            tickets: Some(ticket.into()),
            departure: Departure::default(),
            is_found: true,
            heard: Heard::default(),
            is_done: false,
        };
        // Nothing is too late for what may stay.
        let _ = self.waiting.push(queued, true);
    }

    /// What is to be known of a record before the request is read; nothing where it is no request.
    fn look_at(&self, journal: &Journal, entry: &Entry) -> Result<Option<Found>, ReadError> {
        let mut len = record::BEGINNING;
        let mut beginning = journal.read_beginning(entry, len)?;
        let Some((signal, items)) = record::read_beginning(&beginning) else {
            return Ok(None);
        };
        let is_joined = self.config.batch.is_some();
        loop {
            if let Some(mut sender) = record::sender(&beginning) {
                if !is_joined {
                    sender = Sender {
                        tenants: sender.tenants,
                        ..Sender::default()
                    };
                }
                return Ok(Some(Found {
                    signal,
                    items,
                    sender,
                }));
            }
            if beginning.len() < len {
                // Who is not joined with others may be unknown.
                return Ok((!is_joined).then(|| Found {
                    signal,
                    items,
                    sender: Sender::default(),
                }));
            }
            len *= 8;
            beginning = journal.read_beginning(entry, len)?;
        }
    }
}

/// A request in the queue of an earlier life.
struct Found {
    signal: Signal,
    items: usize,
    /// Whose it is; the rest where it is to be known before the request is read.
    sender: Sender,
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
