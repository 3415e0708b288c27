//! What became of every item that came in: `received = delivered + rejected + refused + queued`.
//!
//! Items are spans, log records, data points of metrics, and profiles. What is told is what the sender was told,
//! so that a loss is a line in a log and never a difference that nobody can explain.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use bytes::Bytes;
use slimspan_proto::{Signal, count};

use crate::answer::Answer;
use crate::refusal::Refusal;
use crate::telemetry::traces::Trace;
use crate::telemetry::{Counters, ReceiverCounts};

/// The items of each signal.
#[derive(Debug, Default)]
pub struct Tallies {
    traces: Tally,
    metrics: Tally,
    logs: Tally,
    profiles: Tally,
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
    /// Where it was accepted.
    accepted: Option<Arc<Ticket>>,
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
            accepted: None,
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

/// The items of one request for as long as queues hold it: every queue that takes it, or a part of it,
/// keeps a ticket until it is done with it. They count as queued until the last one is.
#[derive(Debug)]
pub struct Ticket {
    counters: Arc<Counters>,
    signal: Signal,
    is_queued: AtomicBool,
    /// Whether a queue on disk has it still, and lets go of it.
    is_left: AtomicBool,
    /// Those that were accepted.
    items: AtomicU64,
    rejected: AtomicU64,
}

/// The tickets of all requests that travel as one, in their order there.
#[derive(Debug, Clone)]
pub struct Tickets(Arc<[(Arc<Ticket>, usize)]>);

impl Tickets {
    /// Those of requests that have as many items each.
    pub fn of(tickets: impl IntoIterator<Item = (Arc<Ticket>, usize)>) -> Self {
        Self(tickets.into_iter().collect())
    }

    /// Those of several groups, of which each has as many items.
    pub fn joined<'t>(groups: impl IntoIterator<Item = (&'t Self, usize)>) -> Self {
        Self::of(groups.into_iter().flat_map(|(group, items)| {
            let tickets = group.0.iter();
            tickets.map(move |(ticket, most)| (Arc::clone(ticket), items.min(*most)))
        }))
    }

    /// A queue holds them, or a part of them.
    pub fn queue(&self) {
        for (ticket, _) in &*self.0 {
            ticket.queue();
        }
    }

    /// A queue on disk lets go of them, and they stay there.
    pub fn leave(&self) {
        for (ticket, _) in &*self.0 {
            ticket.is_left.store(true, Ordering::Relaxed);
        }
    }

    /// No backend takes as many of their items. Which ones those are is not known, so that the first
    /// requests have them: together it is right.
    pub fn reject(&self, mut items: usize) {
        for (ticket, most) in &*self.0 {
            let of_this = items.min(*most);
            ticket.reject(of_this);
            items -= of_this;
        }
    }
}

impl From<Arc<Ticket>> for Tickets {
    fn from(ticket: Arc<Ticket>) -> Self {
        Self::of([(ticket, usize::MAX)])
    }
}

impl Ticket {
    /// A ticket for a request that no queue holds yet.
    pub fn new(counters: Arc<Counters>, signal: Signal) -> Arc<Self> {
        Arc::new(Self {
            counters,
            signal,
            is_queued: AtomicBool::new(false),
            is_left: AtomicBool::new(false),
            items: AtomicU64::new(0),
            rejected: AtomicU64::new(0),
        })
    }

    /// A ticket for items that an earlier life of this process, or the collector before, left in a queue.
    pub fn found(counters: Arc<Counters>, signal: Signal, items: usize) -> Arc<Self> {
        let ticket = Self::new(counters, signal);
        let (tally, items) = (ticket.counters.items.of(signal), items as u64);
        let new = items - tally.take_left(items);
        add(&tally.received, new);
        add(&tally.queued, new);
        ticket.queue();
        ticket.items.store(items, Ordering::Relaxed);
        ticket
    }

    /// A queue holds the request, or a part of it.
    fn queue(&self) {
        self.is_queued.store(true, Ordering::Relaxed);
    }

    /// No backend takes as many of its items.
    fn reject(&self, items: usize) {
        add(&self.rejected, items as u64);
    }

    /// The request is acknowledged but for what its sender was told.
    fn accept(&self, items: u64) {
        let tally = self.counters.items.of(self.signal);
        if self.is_queued.load(Ordering::Relaxed) {
            add(&tally.queued, items);
            self.items.store(items, Ordering::Relaxed);
        } else {
            add(&tally.delivered, items);
        }
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        let items = *self.items.get_mut();
        // Two exporters may have rejected the same ones.
        let rejected = (*self.rejected.get_mut()).min(items);
        let tally = self.counters.items.of(self.signal);
        if *self.is_left.get_mut() {
            add(&tally.left, items);
        } else {
            tally.unqueue(items, rejected);
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
}

impl UnderWay<'_> {
    /// The message has this many items.
    pub fn counted(&mut self, items: usize) {
        self.uncounted = None;
        self.items = items as u64 + self.unread;
        add(&self.tally.received, self.items);
        add(&self.tally.under_way, self.items);
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
            ticket.accept(self.items - self.rejected);
            self.items - self.rejected
        } else {
            add(&self.tally.refused, self.items);
            0
        };
        if let Some(by) = self.by {
            by.ended(self.signal, accepted, self.items - accepted);
            // As the Collector calls them.
            let (taken, refused) = match self.signal {
                Signal::Traces => ("accepted_spans", "refused_spans"),
                Signal::Metrics => ("accepted_metric_points", "refused_metric_points"),
                Signal::Logs => ("accepted_log_records", "refused_log_records"),
                // The Collector counts the samples in them.
                Signal::Profiles => ("accepted_profiles", "refused_profiles"),
            };
            self.trace.number(taken, accepted);
            self.trace.number(refused, self.items - accepted);
        }
        self.tally
            .under_way
            .fetch_sub(self.items, Ordering::Relaxed);
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::refusal::Culprit;

    /// Three spans.
    const REQUEST: Bytes = Bytes::from_static(&[0x0a, 8, 0x12, 6, 0x12, 0, 0x12, 0, 0x12, 0]);

    #[test]
    fn every_item_has_one_end() {
        let counters = Arc::new(Counters::default());
        let tallies = &counters.items;
        let begin = || {
            let mut under_way = tallies.begin(Signal::Traces, &REQUEST, 0);
            under_way.counted(3);
            under_way
        };
        let ended = |under_way: UnderWay<'_>, outcome| {
            under_way.ended(&outcome, Ticket::new(Arc::clone(&counters), Signal::Traces));
        };
        ended(begin(), Ok(Answer::success()));
        ended(begin(), Ok(Answer::rejecting(1, "one")));
        ended(begin(), Ok(Answer::rejecting(99, "more than there were")));
        ended(
            begin(),
            Err(Refusal::unavailable(Culprit::Backend, "later")),
        );
        drop(begin());
        let cut_off = begin();
        // Its sender went away before it was read.
        drop(tallies.begin(Signal::Traces, &REQUEST, 0));
        assert_eq!(
            tallies.of(Signal::Traces).to_string(),
            "received 21 = delivered 5 + rejected 4 + refused 12 + queued 0"
        );
        ended(cut_off, Ok(Answer::success()));
        let lines: Vec<_> = tallies.lines().collect();
        assert_eq!(
            lines,
            [
                "traces: received 21 = delivered 8 + rejected 4 + refused 9 + queued 0",
                "metrics: received 0 = delivered 0 + rejected 0 + refused 0 + queued 0",
                "logs: received 0 = delivered 0 + rejected 0 + refused 0 + queued 0",
                "profiles: received 0 = delivered 0 + rejected 0 + refused 0 + queued 0",
            ]
        );
    }

    /// What could not even be read has an end like everything else.
    #[test]
    fn items_that_are_in_no_message_count_too() {
        let counters = Arc::new(Counters::default());
        let told = |line: &str| {
            let traces = counters.items.of(Signal::Traces);
            assert_eq!(traces.to_string(), line);
        };
        let mut under_way = counters.items.begin(Signal::Traces, &REQUEST, 2);
        under_way.counted(3);
        let ticket = Ticket::new(Arc::clone(&counters), Signal::Traces);
        under_way.ended(&Ok(Answer::rejecting(2, "unread")), ticket);
        told("received 5 = delivered 3 + rejected 2 + refused 0 + queued 0");
        drop(counters.items.begin(Signal::Traces, &REQUEST, 2));
        told("received 10 = delivered 3 + rejected 2 + refused 5 + queued 0");
    }

    /// Two queues take a request of three items, of which its sender was told that one is rejected.
    #[test]
    fn what_any_queue_holds_is_not_delivered_yet() {
        let counters = Arc::new(Counters::default());
        let told = |line: &str| {
            let traces = counters.items.of(Signal::Traces);
            assert_eq!(traces.to_string(), line);
        };
        for (rejected, last) in [
            (
                &[][..],
                "received 3 = delivered 2 + rejected 1 + refused 0 + queued 0",
            ),
            (
                &[1, 2],
                "received 6 = delivered 2 + rejected 4 + refused 0 + queued 0",
            ),
        ] {
            let mut under_way = counters.items.begin(Signal::Traces, &REQUEST, 0);
            under_way.counted(3);
            let ticket = Ticket::new(Arc::clone(&counters), Signal::Traces);
            ticket.queue();
            let queues = [Arc::clone(&ticket), Arc::clone(&ticket)];
            under_way.ended(&Ok(Answer::rejecting(1, "one")), ticket);
            for queue in queues {
                assert!(
                    counters
                        .items
                        .of(Signal::Traces)
                        .to_string()
                        .ends_with("queued 2")
                );
                for items in rejected {
                    queue.reject(*items);
                }
            }
            told(last);
        }
        let found = Ticket::found(Arc::clone(&counters), Signal::Traces, 5);
        told("received 11 = delivered 2 + rejected 4 + refused 0 + queued 5");
        drop(found);
        told("received 11 = delivered 7 + rejected 4 + refused 0 + queued 0");
    }

    /// One collector leaves requests in a queue on disk, and the next one finds them there.
    #[test]
    fn what_one_collector_leaves_and_another_finds_is_queued_throughout() {
        let counters = Arc::new(Counters::default());
        let told = |line: &str| {
            let traces = counters.items.of(Signal::Traces);
            assert_eq!(traces.to_string(), line);
        };
        let found = |items| Ticket::found(Arc::clone(&counters), Signal::Traces, items);
        let before: [Tickets; 2] = [found(3).into(), found(2).into()];
        told("received 5 = delivered 0 + rejected 0 + refused 0 + queued 5");
        for tickets in before {
            tickets.leave();
        }
        told("received 5 = delivered 0 + rejected 0 + refused 0 + queued 5");
        // One of another life, too.
        let after = [found(3), found(2), found(1)];
        told("received 6 = delivered 0 + rejected 0 + refused 0 + queued 6");
        drop(after);
        told("received 6 = delivered 6 + rejected 0 + refused 0 + queued 0");
    }

    #[test]
    fn what_is_rejected_of_several_requests_is_rejected_once() {
        let counters = Arc::new(Counters::default());
        let tickets: Vec<_> = (0..3)
            .map(|_| Ticket::found(Arc::clone(&counters), Signal::Traces, 3))
            .collect();
        let together = Tickets::of(tickets.into_iter().map(|ticket| (ticket, 3)));
        together.reject(4);
        drop(together);
        assert_eq!(
            counters.items.of(Signal::Traces).to_string(),
            "received 9 = delivered 5 + rejected 4 + refused 0 + queued 0"
        );
    }

    /// One exporter refuses what another one's queue has taken: its sender sends it again.
    #[test]
    fn what_was_refused_is_not_queued() {
        let counters = Arc::new(Counters::default());
        let mut under_way = counters.items.begin(Signal::Traces, &REQUEST, 0);
        under_way.counted(3);
        let ticket = Ticket::new(Arc::clone(&counters), Signal::Traces);
        ticket.queue();
        let refused = Err(Refusal::unavailable(Culprit::Backend, "later"));
        under_way.ended(&refused, Arc::clone(&ticket));
        ticket.reject(3);
        drop(ticket);
        assert_eq!(
            counters.items.of(Signal::Traces).to_string(),
            "received 3 = delivered 0 + rejected 0 + refused 3 + queued 0"
        );
    }
}
