//! What the last attempts say of a backend.

use std::time::Duration;

use tokio::time::Instant;

use super::tries::{Later, after};
use crate::backoff::Backoff;

/// So many failures in a row are no accident.
const FAILURES: u32 = 3;

/// Where somebody refuses, it may be these requests that are refused and no others. Who takes nothing for so long,
/// or for the first interval where that is shorter, takes nothing.
const LASTING: Duration = Duration::from_secs(5);

/// Whether a backend takes anything. While it does not, one request at a time shows whether it still does not.
#[derive(Debug)]
pub(super) struct Outlook {
    backoff: Backoff,
    /// In a row.
    failures: u32,
    /// When the first of them was.
    since: Option<Instant>,
    /// Counts these rows.
    row: u64,
    /// The delay that the last one asked for.
    asked: Duration,
    failing: Option<Failing>,
}

/// A backend that takes nothing.
#[derive(Debug, Clone, Copy)]
pub(super) struct Failing {
    /// How often it was asked since.
    probes: u32,
    /// When it is asked again.
    pub(super) until: Instant,
    /// Whether anybody is there, who may refuse only what it is asked with.
    pub(super) is_reached: bool,
}

impl Outlook {
    pub(super) fn new(backoff: Backoff) -> Self {
        Self {
            backoff,
            failures: 0,
            since: None,
            row: 0,
            asked: Duration::ZERO,
            failing: None,
        }
    }

    pub(super) fn backoff(&self) -> &Backoff {
        &self.backoff
    }

    /// Nothing, if the backend takes requests.
    pub(super) fn failing(&self) -> Option<Failing> {
        self.failing
    }

    /// The row of failures that the next one is in, and whether nothing is taken.
    pub(super) fn row(&self) -> (u64, bool) {
        (self.row, self.failing.is_some())
    }

    /// A request was refused for now. `is_known` if others are taken where this one is refused, which is nothing new
    /// then; `is_probe` if it was to show whether anything is.
    pub(super) fn failed(&mut self, later: Later, is_known: bool, is_probe: bool, now: Instant) {
        // What is told of one request need not hold for all, and what is told of two does.
        let asked = self.asked.min(later.asked);
        let pause = |times| after(now, self.backoff.wait(times).max(asked));
        if let Some(failing) = &mut self.failing {
            if is_probe {
                failing.probes = failing.probes.saturating_add(1);
                failing.until = pause(failing.probes);
                failing.is_reached = later.is_reached;
                self.asked = later.asked;
            }
            return;
        }
        if is_known && later.is_reached {
            return;
        }
        self.failures = self.failures.saturating_add(1);
        let since = *self.since.get_or_insert(now);
        let lasts = now.duration_since(since) >= self.backoff.first.min(LASTING);
        if self.failures >= FAILURES && (lasts || !later.is_reached) {
            self.failing = Some(Failing {
                probes: 0,
                until: pause(0),
                is_reached: later.is_reached,
            });
        }
        self.asked = later.asked;
    }

    /// The backend took a request, or said what is wrong with it; returns whether it took nothing before.
    pub(super) fn answered(&mut self) -> bool {
        self.row += u64::from(self.failures > 0);
        self.failures = 0;
        self.since = None;
        self.asked = Duration::ZERO;
        self.failing.take().is_some()
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn outlook() -> Outlook {
        Outlook::new(Backoff {
            spread: 0.0,
            ..Backoff::doubling(10 * SECOND, 60 * SECOND)
        })
    }

    fn later(asked: u64, is_reached: bool) -> Later {
        Later {
            asked: Duration::from_secs(asked),
            is_reached,
        }
    }

    #[test]
    fn where_nobody_is_there_some_failures_are_enough_and_pauses_grow() {
        let (mut outlook, mut now) = (outlook(), Instant::now());
        for _ in 1..FAILURES {
            outlook.failed(later(1, false), false, false, now);
            assert!(outlook.failing().is_none());
        }
        outlook.failed(later(1, false), false, false, now);
        for pause in [10, 20, 40, 60, 60] {
            // What was under way then says nothing new.
            outlook.failed(later(1, false), false, false, now + SECOND);
            let until = outlook.failing().unwrap().until;
            assert_eq!(until, now + pause * SECOND);
            now = until;
            outlook.failed(later(1, false), false, true, now);
        }
        assert!(outlook.answered());
        assert!(outlook.failing().is_none() && !outlook.answered());
    }

    #[test]
    fn where_somebody_refuses_it_has_to_last() {
        let (mut outlook, now) = (outlook(), Instant::now());
        for _ in 0..1_000 {
            outlook.failed(later(0, true), false, false, now);
        }
        assert!(outlook.failing().is_none());
        // One that is refused where others are taken is nothing new, however long.
        outlook.failed(later(0, true), true, false, now + LASTING);
        assert!(outlook.failing().is_none());
        outlook.failed(later(0, true), false, false, now + LASTING);
        assert!(outlook.failing().is_some());
    }

    #[test]
    fn a_delay_that_two_are_told_in_a_row_is_for_all() {
        for (delays, pause) in [([0, 0, 300], 10), ([0, 200, 300], 200), ([0, 300, 12], 12)] {
            let (mut outlook, now) = (outlook(), Instant::now());
            for delay in delays {
                outlook.failed(later(delay, false), false, false, now);
            }
            let until = outlook.failing().unwrap().until;
            assert_eq!(until, now + pause * SECOND, "{delays:?}");
        }
    }
}
