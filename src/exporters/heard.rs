//! What a backend said of the parts of a request, some of which it could not take yet.

use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::answer::Answer;
use crate::journal::Entry;
use crate::refusal::Refusal;

/// The outcomes of the parts of what was sent, in order, without those that may change. A request is divided in the
/// same way each time, so that with them it goes on where it could not go on before, and nothing is sent twice that
/// was taken.
#[derive(Debug, Default)]
pub(super) struct Heard(Mutex<Outcomes>);

#[derive(Debug, Default)]
struct Outcomes {
    /// What went as one then: with others it would be divided in another way.
    of: Vec<Entry>,
    known: Vec<Result<Answer, Refusal>>,
}

impl Heard {
    /// These go as one from now on.
    pub(super) fn begin(&self, of: Vec<Entry>) {
        let mut outcomes = self.lock();
        if outcomes.of != of {
            *outcomes = Outcomes {
                of,
                known: Vec::new(),
            };
        }
    }

    /// What is known of the part of this number.
    pub(super) fn of(&self, part: usize) -> Option<Result<Answer, Refusal>> {
        self.lock().known.get(part).cloned()
    }

    /// What was said of the next one.
    pub(super) fn note(&self, outcome: &Result<Answer, Refusal>) {
        if !matches!(outcome, Err(refusal) if refusal.is_retryable()) {
            self.lock().known.push(outcome.clone());
        }
    }

    fn lock(&self) -> MutexGuard<'_, Outcomes> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::refusal::Culprit;

    #[test]
    fn what_may_change_is_not_known_and_others_have_outcomes_of_their_own() {
        let heard = Heard::default();
        let entries = [1, 2].map(|number| Entry::numbered(number, 0));
        heard.begin(entries.to_vec());
        let outcomes = [
            Ok(Answer::success()),
            Err(Refusal::malformed("no")),
            Err(Refusal::unavailable(Culprit::Backend, "later")),
        ];
        for outcome in &outcomes {
            heard.note(outcome);
        }
        heard.begin(entries.to_vec());
        let known = [0, 1, 2].map(|part| heard.of(part));
        let [first, second, _] = outcomes;
        assert_eq!(known, [Some(first), Some(second), None]);
        heard.begin(entries[..1].to_vec());
        assert_eq!(heard.of(0), None);
    }
}
