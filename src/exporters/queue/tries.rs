//! How often a request on disk was refused for now, and when it goes again.

use std::time::Duration;

use tokio::time::Instant;

use crate::backoff::Backoff;
use crate::exporters::retry;
use crate::refusal::Refusal;

/// So often it is refused while the backend takes others until it makes way for those behind it.
const TURNS: u32 = 2;

/// How long one waits that cannot be read.
const UNREAD: Duration = Duration::from_secs(1);

/// Longer than this nothing waits that can be said in time.
const LONGEST: Duration = Duration::from_hours(24 * 365);

/// What a refusal for now says of the next attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Later {
    /// The delay that was asked for.
    pub(super) asked: Duration,
    /// Whether anybody was there who may have looked at the request.
    pub(super) is_reached: bool,
}

impl Later {
    pub(super) fn of(refusal: &Refusal) -> Self {
        Self {
            asked: retry::asked(refusal),
            is_reached: !refusal.is_unreached(),
        }
    }

    /// Of two that are about what goes as one.
    pub(super) fn and(self, other: Self) -> Self {
        Self {
            asked: self.asked.max(other.asked),
            is_reached: self.is_reached || other.is_reached,
        }
    }
}

/// The attempts at a request, or at several that go as one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Tries {
    /// The backend refused it, and had taken another one since it refused this one first.
    refused: u32,
    /// Others, which say nothing of this one.
    others: u32,
    /// Which row of failures the first one was in.
    row: Option<u64>,
    /// When it goes again.
    due: Instant,
    /// Before this it does not go, whatever happens: somebody said so of this one, or it could not be read.
    told: Instant,
}

impl Tries {
    pub(super) fn none(now: Instant) -> Self {
        Self {
            refused: 0,
            others: 0,
            row: None,
            due: now,
            told: now,
        }
    }

    /// It was refused for now, in this row of failures; `is_failing` if nothing is taken.
    pub(super) fn failed(
        self,
        later: Later,
        (row, is_failing): (u64, bool),
        backoff: &Backoff,
        now: Instant,
    ) -> Self {
        let wait = backoff.wait(self.all()).max(later.asked);
        let is_known = self.is_known() || self.row.is_some_and(|first| first < row);
        let says = u32::from(is_known && later.is_reached && !is_failing);
        Self {
            refused: self.refused.saturating_add(says),
            others: self.others.saturating_add(1 - says),
            row: self.row.or_else(|| later.is_reached.then_some(row)),
            due: after(now, wait),
            told: after(now, later.asked),
        }
    }

    /// It could not be read, which says nothing of the backend. Whatever happens, others go first.
    pub(super) fn unread(self, now: Instant) -> Self {
        let until = now + UNREAD;
        Self {
            due: until,
            told: until,
            ..self
        }
    }

    /// It goes at once.
    pub(super) fn at_once(self, now: Instant) -> Self {
        Self { due: now, ..self }
    }

    /// The backend takes something again. Who was not refused too often goes as soon as it may.
    pub(super) fn works_again(self, now: Instant) -> Self {
        let due = if self.is_stubborn() {
            self.due
        } else {
            self.due.min(self.told.max(now))
        };
        Self {
            others: 0,
            due,
            ..self
        }
    }

    /// Whether it is refused where others are taken.
    pub(super) fn is_known(&self) -> bool {
        self.refused > 0
    }

    /// Whether it is that so often that those behind it go first.
    pub(super) fn is_stubborn(&self) -> bool {
        self.refused >= TURNS
    }

    /// How often it was tried.
    pub(super) fn all(&self) -> u32 {
        self.refused.saturating_add(self.others)
    }

    pub(super) fn due(&self) -> Instant {
        self.due
    }

    pub(super) fn told(&self) -> Instant {
        self.told
    }
}

/// So much later, whatever is asked for.
pub(super) fn after(now: Instant, wait: Duration) -> Instant {
    now + wait.min(LONGEST)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    const BACKOFF: Backoff = Backoff {
        spread: 0.0,
        ..Backoff::doubling(SECOND, Duration::from_mins(1))
    };

    fn later(asked: u64) -> Later {
        Later {
            asked: Duration::from_secs(asked),
            is_reached: true,
        }
    }

    #[test]
    fn only_what_is_refused_where_others_are_taken_makes_way() {
        let now = Instant::now();
        let unreached = Later {
            is_reached: false,
            ..later(0)
        };
        let mut tries = Tries::none(now);
        for _ in 0..10 {
            tries = tries.failed(later(0), (1, false), &BACKOFF, now);
            tries = tries.failed(later(0), (1, true), &BACKOFF, now);
            tries = tries.failed(unreached, (2, false), &BACKOFF, now);
        }
        assert!(!tries.is_known());
        assert_eq!(tries.works_again(now).due(), now);
        tries = tries.failed(later(0), (2, false), &BACKOFF, now);
        assert!(tries.is_known() && !tries.is_stubborn());
        tries = tries.failed(later(0), (2, false), &BACKOFF, now);
        assert!(tries.is_stubborn());
        let due = tries.due();
        assert_eq!(tries.works_again(now).due(), due, "it has its own time");
    }

    #[test]
    fn what_it_was_told_holds_whatever_happens() {
        let now = Instant::now();
        let tries = Tries::none(now).failed(later(40), (1, false), &BACKOFF, now);
        assert_eq!(tries.due(), now + 40 * SECOND);
        let woken = tries.works_again(now + SECOND);
        assert_eq!(woken.due(), now + 40 * SECOND);
        let forever = Backoff::doubling(Duration::MAX, Duration::MAX);
        let tries = Tries::none(now).failed(later(0), (1, false), &forever, now);
        assert_eq!(tries.due(), now + LONGEST);
        assert_eq!(tries.works_again(now + SECOND).due(), now + SECOND);
    }
}
