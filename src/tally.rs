//! What became of every item that came in: `received = delivered + rejected + refused + queued`.
//!
//! Items are spans, log records, data points of metrics, and profiles. What is told is what the sender was told,
//! so that a loss is a line in a log and never a difference that nobody can explain.

mod shares;
#[cfg(test)]
mod tests;
mod tickets;

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use slimspan_proto::{Signal, count};

pub use self::shares::Share;
use self::shares::{Left, Whose};
pub use self::tickets::{Ticket, Tickets};
use crate::answer::Answer;
use crate::refusal::Refusal;
use crate::telemetry::ReceiverCounts;
use crate::telemetry::traces::Trace;

/// The items of each signal.
#[derive(Debug, Default)]
pub struct Tallies {
    traces: Tally,
    metrics: Tally,
    logs: Tally,
    profiles: Tally,
    /// What is left on disk, of tenants.
    left: Left,
}

/// The items of one signal.
#[derive(Debug, Default)]
pub struct Tally {
    received: AtomicU64,
    /// Of requests that were answered with OK, without what that answer rejects, and without what
    /// still waits in a queue.
    delivered: AtomicU64,
    rejected: AtomicU64,
    refused: AtomicU64,
    /// Of those acknowledged, the ones that wait in a queue of this process.
    queued: AtomicU64,
    /// Of those, the ones that stay on disk for a collector that comes after the one that had them.
    left: AtomicU64,
    under_way: AtomicU64,
}

/// What a [`Tally`] says at one moment.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Sum {
    /// All that came in.
    pub received: u64,
    /// What backends have.
    pub delivered: u64,
    /// What was told to senders in answers of partial success, or is not delivered out of a queue.
    pub rejected: u64,
    /// What was refused with its whole request.
    pub refused: u64,
    /// What waits in a queue.
    pub queued: u64,
    /// What has not been answered yet.
    pub under_way: u64,
}

impl Sum {
    /// Whether every item has exactly one fate.
    pub fn is_even(self) -> bool {
        let fates = [
            self.delivered,
            self.rejected,
            self.refused,
            self.queued,
            self.under_way,
        ];
        fates.iter().sum::<u64>() == self.received
    }
}

/// The items of a request on its way. Where it is dropped without an outcome, its sender has gone
/// away, and they count as refused.
#[derive(Debug)]
pub struct UnderWay<'a> {
    tally: &'a Tally,
    signal: Signal,
    /// The request, until its items are counted.
    uncounted: Option<Bytes>,
    /// Items beside those that are in it.
    unread: u64,
    items: u64,
    rejected: u64,
    /// The items that its receiver could not pass on; all of them until it goes into a pipeline.
    unfit: Option<u64>,
    /// Where it was accepted.
    accepted: Option<Arc<Ticket>>,
    whose: Whose,
    /// Where it came in.
    by: Option<&'a ReceiverCounts>,
    trace: Trace,
}

impl Tallies {
    /// The items of one signal.
    pub fn of(&self, signal: Signal) -> &Tally {
        match signal {
            Signal::Traces => &self.traces,
            Signal::Metrics => &self.metrics,
            Signal::Logs => &self.logs,
            Signal::Profiles => &self.profiles,
        }
    }

    /// A request came in whole, with `unread` items that are not in its message.
    pub fn begin(&self, signal: Signal, request: &Bytes, unread: usize) -> UnderWay<'_> {
        UnderWay {
            tally: self.of(signal),
            signal,
            uncounted: Some(request.clone()),
            unread: unread as u64,
            items: 0,
            rejected: 0,
            unfit: None,
            accepted: None,
            whose: Whose::default(),
            by: None,
            trace: Trace::default(),
        }
    }

    /// A line for each signal, for the end: requests that are still under way are cut off then.
    pub fn lines(&self) -> impl Iterator<Item = String> {
        Signal::ALL
            .map(|signal| format!("{signal}: {}", self.of(signal)))
            .into_iter()
    }
}

impl Tally {
    /// So many items are not under way any more.
    fn end(&self, items: u64) {
        self.under_way.fetch_sub(items, Ordering::Relaxed);
    }

    /// Items have left the queue; of these, `rejected` are not delivered.
    fn unqueue(&self, items: u64, rejected: u64) {
        self.queued.fetch_sub(items, Ordering::Relaxed);
        add(&self.delivered, items - rejected);
        add(&self.rejected, rejected);
    }

    /// Of so many items that are found in a queue, those that are counted as queued already, because a
    /// collector of this process has left them there.
    fn take_left(&self, items: u64) -> u64 {
        let less = |left: u64| Some(left.saturating_sub(items));
        let before = self
            .left
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, less);
        before.unwrap_or_else(|left| left).min(items)
    }

    /// What it says now. Who counts does not wait for who reads, so this reads again while a request
    /// is between two of its numbers; at the worst the sum is off by the requests of this moment.
    pub fn read(&self) -> Sum {
        /// More than enough for two threads to miss each other.
        const TIMES: usize = 1000;
        let mut sum = self.read_once();
        for _ in 0..TIMES {
            if sum.is_even() {
                break;
            }
            std::hint::spin_loop();
            sum = self.read_once();
        }
        sum
    }

    fn read_once(&self) -> Sum {
        let get = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        Sum {
            received: get(&self.received),
            delivered: get(&self.delivered),
            rejected: get(&self.rejected),
            refused: get(&self.refused),
            queued: get(&self.queued),
            under_way: get(&self.under_way),
        }
    }
}

impl<'a> UnderWay<'a> {
    /// The request came in there, and has these spans.
    #[must_use]
    pub fn by(mut self, by: &'a ReceiverCounts, trace: Trace) -> Self {
        self.by = Some(by);
        self.trace = trace;
        self
    }

    /// Whose it is will be known by this ticket.
    #[must_use]
    pub fn with(mut self, ticket: &Ticket) -> Self {
        self.whose = ticket.whose();
        self
    }
}

impl UnderWay<'_> {
    /// The message has this many items.
    pub fn counted(&mut self, items: usize) {
        self.uncounted = None;
        self.items = items as u64 + self.unread;
        add(&self.tally.received, self.items);
        add(&self.tally.under_way, self.items);
    }

    /// It goes into pipelines without so many of the items in the message.
    pub fn passed_on(&mut self, unfit: usize) {
        self.unfit = Some(unfit as u64 + self.unread);
    }

    /// Its sender is told this.
    pub fn ended(mut self, outcome: &Result<Answer, Refusal>, ticket: Arc<Ticket>) {
        if let Ok(answer) = outcome {
            self.accepted = Some(ticket);
            // Nobody can reject more than there was.
            self.rejected = answer.rejected().unwrap_or(0).min(self.items);
        }
    }
}

impl Drop for UnderWay<'_> {
    fn drop(&mut self) {
        if let Some(request) = self.uncounted.take() {
            self.counted(count(self.signal, &request));
        }
        let accepted = if let Some(ticket) = &self.accepted {
            add(&self.tally.rejected, self.rejected);
            let shares = self.whose.accepted(self.items, self.rejected);
            ticket.accept(self.items - self.rejected, shares);
            self.items - self.rejected
        } else {
            add(&self.tally.refused, self.items);
            self.whose.refused();
            0
        };
        if let Some(by) = self.by {
            let not_taken = self.items - accepted;
            let failed = self.unfit.map_or(not_taken, |unfit| unfit.min(not_taken));
            let refused = not_taken - failed;
            by.ended(self.signal, accepted, refused, failed);
            // As the Collector calls them.
            let names = match self.signal {
                Signal::Traces => ["accepted_spans", "refused_spans", "failed_spans"],
                Signal::Metrics => [
                    "accepted_metric_points",
                    "refused_metric_points",
                    "failed_metric_points",
                ],
                Signal::Logs => [
                    "accepted_log_records",
                    "refused_log_records",
                    "failed_log_records",
                ],
                // The Collector counts the samples in them.
                Signal::Profiles => ["accepted_profiles", "refused_profiles", "failed_profiles"],
            };
            for (name, number) in names.into_iter().zip([accepted, refused, failed]) {
                self.trace.number(name, number);
            }
        }
        self.tally.end(self.items);
        self.whose.over();
    }
}

fn add(counter: &AtomicU64, items: u64) {
    counter.fetch_add(items, Ordering::Relaxed);
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Sum {
            received,
            delivered,
            rejected,
            refused,
            queued,
            under_way,
        } = self.read();
        let refused = refused + under_way;
        write!(
            f,
            "received {received} = delivered {delivered} + rejected {rejected} + refused {refused} \
             + queued {queued}",
        )
    }
}
