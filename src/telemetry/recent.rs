use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError, TryLockError};
use std::time::Duration;

use jiff::Timestamp;
use slimspan_proto::Signal;

use super::ReceiverCounts;

/// How many are remembered.
const MOST: usize = 50;

/// A request that takes longer is worth a look.
const SLOW: Duration = Duration::from_secs(1);

/// The latest requests that were refused, or that took long. Not a word of what was in them.
#[derive(Debug, Default)]
pub struct Recent(Mutex<VecDeque<Told>>);

/// A request that is worth a look.
#[derive(Debug, Clone)]
pub struct Told {
    /// When it was answered.
    pub at: Timestamp,
    /// Where it came in.
    pub by: Arc<ReceiverCounts>,
    /// What it was a request of.
    pub signal: Signal,
    /// How long its sender waited from the moment it began to arrive.
    pub took: Duration,
    /// How it was answered.
    pub outcome: Outcome,
}

/// How a request was answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// With OK.
    Accepted,
    /// It was refused.
    Refused {
        /// Whose doing it was.
        culprit: &'static str,
        /// As gRPC calls it.
        code: &'static str,
    },
}

impl Recent {
    /// A request was answered. It is remembered if it is worth that, and if nobody else is being
    /// remembered at the same moment: in a flood that does not matter, and nobody waits for it.
    pub(super) fn add(
        &self,
        by: &Arc<ReceiverCounts>,
        signal: Signal,
        took: Duration,
        outcome: Outcome,
    ) {
        if outcome == Outcome::Accepted && took < SLOW {
            return;
        }
        let mut told = match self.0.try_lock() {
            Ok(told) => told,
            Err(TryLockError::Poisoned(told)) => told.into_inner(),
            Err(TryLockError::WouldBlock) => return,
        };
        if told.len() >= MOST {
            told.pop_back();
        }
        told.push_front(Told {
            at: Timestamp::now(),
            by: Arc::clone(by),
            signal,
            took,
            outcome,
        });
    }

    /// The latest, the last one first.
    pub fn read(&self) -> Vec<Told> {
        let told = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        told.iter().cloned().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_worth_a_look_is_remembered_and_not_for_ever() {
        let (recent, by) = (Recent::default(), Arc::default());
        recent.add(&by, Signal::Logs, SLOW / 2, Outcome::Accepted);
        assert!(recent.read().is_empty());
        recent.add(&by, Signal::Logs, SLOW, Outcome::Accepted);
        let refused = Outcome::Refused {
            culprit: "store",
            code: "unavailable",
        };
        recent.add(&by, Signal::Traces, Duration::ZERO, refused);
        let told = recent.read();
        assert_eq!(told.len(), 2);
        assert_eq!((told[0].signal, told[0].outcome), (Signal::Traces, refused));
        for _ in 0..2 * MOST {
            recent.add(&by, Signal::Traces, Duration::ZERO, refused);
        }
        assert_eq!(recent.read().len(), MOST);
    }
}
