//! What comes through the `memory_limiter` processors of a pipeline, and what is refused for want of memory.
//!
//! Memory is taken where requests arrive and wherever something is made of them, and not in one place of a
//! pipeline; so whether the items of a request came through is known when it has ended.

use std::sync::Arc;

use slimspan_proto::Signal;

use crate::answer::Answer;
use crate::refusal::Refusal;
use crate::telemetry::LimiterCounts;

/// The `memory_limiter` processors of a pipeline.
#[derive(Debug, Default)]
pub(super) struct Limiters(Vec<Arc<LimiterCounts>>);

/// Items on their way. Where nobody waits for them any more they came through.
#[must_use]
pub(super) struct Entered<'l> {
    limiters: &'l Limiters,
    signal: Signal,
    items: u64,
}

impl Limiters {
    pub(super) fn new(all: Vec<Arc<LimiterCounts>>) -> Self {
        Self(all)
    }

    /// So many items come in.
    pub(super) fn enter(&self, signal: Signal, items: usize) -> Entered<'_> {
        Entered {
            limiters: self,
            signal,
            items: items as u64,
        }
    }

    /// So many items do not come in, if it is memory that they are refused for.
    pub(super) fn refused(&self, signal: Signal, items: usize, refusal: &Refusal) {
        if refusal.is_for_memory() {
            for limiter in &self.0 {
                limiter.refused.add(signal, items as u64);
            }
        }
    }
}

impl Entered<'_> {
    /// That is what became of them.
    pub(super) fn ended(mut self, outcome: Result<Answer, Refusal>) -> Result<Answer, Refusal> {
        if let Err(refusal) = &outcome
            && refusal.is_for_memory()
        {
            let items = std::mem::take(&mut self.items);
            for limiter in &self.limiters.0 {
                limiter.refused.add(self.signal, items);
            }
        }
        outcome
    }
}

impl Drop for Entered<'_> {
    fn drop(&mut self) {
        for limiter in &self.limiters.0 {
            limiter.accepted.add(self.signal, self.items);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::refusal::Culprit;

    #[test]
    fn what_finds_no_memory_further_on_did_not_come_through_either() {
        let counts = Arc::<LimiterCounts>::default();
        let limiters = Limiters::new(vec![Arc::clone(&counts)]);
        let read = || [&counts.accepted, &counts.refused].map(|of| of.get(Signal::Logs));
        for (outcome, expected) in [
            (Ok(Answer::success()), [3, 0]),
            (Err(Refusal::no_memory("all is taken")), [3, 3]),
            (Err(Refusal::unavailable(Culprit::Backend, "away")), [6, 3]),
        ] {
            let entered = limiters.enter(Signal::Logs, 3);
            assert_eq!(entered.ended(outcome.clone()), outcome);
            assert_eq!(read(), expected, "{outcome:?}");
        }
        // Its sender went away.
        drop(limiters.enter(Signal::Logs, 3));
        assert_eq!(read(), [9, 3]);
    }
}
