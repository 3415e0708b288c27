//! What became of every item that came in: `received = delivered + rejected + refused + queued`.
//!
//! Items are spans, log records and data points of metrics. What is told is what the sender was told,
//! so that a loss is a line in a log and never a difference that nobody can explain.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use slimspan_proto::{Signal, count};

use crate::answer::Answer;
use crate::refusal::Refusal;

/// The items of each signal.
#[derive(Debug, Default)]
pub struct Tallies {
    traces: Tally,
    metrics: Tally,
    logs: Tally,
}

/// The items of one signal.
#[derive(Debug, Default)]
pub struct Tally {
    received: AtomicU64,
    /// Of requests that were answered with OK, without what that answer rejects.
    accepted: AtomicU64,
    rejected: AtomicU64,
    refused: AtomicU64,
    /// Of those accepted, the ones that wait in a queue of this process.
    queued: AtomicU64,
    under_way: AtomicU64,
}

/// The items of a request on its way. Where it is dropped without an outcome, its sender has gone
/// away, and they count as refused.
#[derive(Debug)]
pub struct UnderWay<'a> {
    tally: &'a Tally,
    signal: Signal,
    /// The request, until its items are counted.
    uncounted: Option<Bytes>,
    items: u64,
    rejected: u64,
    is_accepted: bool,
}

impl Tallies {
    /// The items of one signal.
    pub fn of(&self, signal: Signal) -> &Tally {
        match signal {
            Signal::Traces => &self.traces,
            Signal::Metrics => &self.metrics,
            Signal::Logs => &self.logs,
        }
    }

    /// A request came in whole.
    pub fn begin(&self, signal: Signal, request: &Bytes) -> UnderWay<'_> {
        UnderWay {
            tally: self.of(signal),
            signal,
            uncounted: Some(request.clone()),
            items: 0,
            rejected: 0,
            is_accepted: false,
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
    /// Items of requests that were accepted wait in a queue.
    pub fn queue(&self, items: usize) {
        add(&self.queued, items as u64);
    }

    /// Items of an earlier life of this process were found in a queue.
    pub fn found_queued(&self, items: usize) {
        add(&self.received, items as u64);
        add(&self.accepted, items as u64);
        self.queue(items);
    }

    /// Items have left the queue: they were delivered.
    pub fn unqueue(&self, items: usize) {
        self.queued.fetch_sub(items as u64, Ordering::Relaxed);
    }

    /// Items have left the queue, and no backend takes them.
    pub fn unqueue_rejected(&self, items: usize) {
        self.unqueue(items);
        self.accepted.fetch_sub(items as u64, Ordering::Relaxed);
        add(&self.rejected, items as u64);
    }
}

impl UnderWay<'_> {
    /// The request has this many items.
    pub fn counted(&mut self, items: usize) {
        self.uncounted = None;
        self.items = items as u64;
        add(&self.tally.received, self.items);
        add(&self.tally.under_way, self.items);
    }

    /// Its sender is told this.
    pub fn ended(mut self, outcome: &Result<Answer, Refusal>) {
        if let Ok(answer) = outcome {
            self.is_accepted = true;
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
        if self.is_accepted {
            add(&self.tally.rejected, self.rejected);
            add(&self.tally.accepted, self.items - self.rejected);
        } else {
            add(&self.tally.refused, self.items);
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
        let get = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let queued = get(&self.queued);
        write!(
            f,
            "received {} = delivered {} + rejected {} + refused {} + queued {queued}",
            get(&self.received),
            get(&self.accepted).saturating_sub(queued),
            get(&self.rejected),
            get(&self.refused) + get(&self.under_way),
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
        let tallies = Tallies::default();
        let begin = || {
            let mut under_way = tallies.begin(Signal::Traces, &REQUEST);
            under_way.counted(3);
            under_way
        };
        begin().ended(&Ok(Answer::success()));
        begin().ended(&Ok(Answer::rejecting(1, "one")));
        begin().ended(&Ok(Answer::rejecting(99, "more than there were")));
        begin().ended(&Err(Refusal::unavailable(Culprit::Backend, "later")));
        drop(begin());
        let cut_off = begin();
        // Its sender went away before it was read.
        drop(tallies.begin(Signal::Traces, &REQUEST));
        assert_eq!(
            tallies.of(Signal::Traces).to_string(),
            "received 21 = delivered 5 + rejected 4 + refused 12 + queued 0"
        );
        cut_off.ended(&Ok(Answer::success()));
        let lines: Vec<_> = tallies.lines().collect();
        assert_eq!(
            lines,
            [
                "traces: received 21 = delivered 8 + rejected 4 + refused 9 + queued 0",
                "metrics: received 0 = delivered 0 + rejected 0 + refused 0 + queued 0",
                "logs: received 0 = delivered 0 + rejected 0 + refused 0 + queued 0",
            ]
        );
    }

    #[test]
    fn what_waits_in_a_queue_is_not_delivered_yet() {
        let tally = Tally::default();
        add(&tally.received, 10);
        add(&tally.accepted, 10);
        let told = |queued| {
            assert_eq!(tally.to_string(), queued);
        };
        tally.queue(10);
        told("received 10 = delivered 0 + rejected 0 + refused 0 + queued 10");
        tally.unqueue(4);
        tally.unqueue_rejected(1);
        told("received 10 = delivered 4 + rejected 1 + refused 0 + queued 5");
    }
}
