//! How often what waits in a spool was not taken, and whose turn it is therefore.

use std::time::Duration;

use tokio::time::Instant;

use crate::backoff::Backoff;

/// The pauses of an artifact that was not taken.
const DELAY: Backoff = Backoff::doubling(Duration::from_millis(500), Duration::from_secs(5));

/// How often an artifact is tried in its turn. If the store takes others and still not this one, those behind it go
/// first.
const TURNS: u32 = 3;

/// How often an artifact was not taken.
pub(super) struct Tries {
    /// While the store took others.
    refused: u32,
    /// Since the store takes nothing, which says nothing of this artifact.
    probes: u32,
    /// When it is tried again.
    pub(super) due: Instant,
}

impl Tries {
    pub(super) fn none(now: Instant) -> Self {
        Self {
            refused: 0,
            probes: 0,
            due: now,
        }
    }

    /// It was not taken; `is_failing` if nothing is.
    pub(super) fn failed(&mut self, is_failing: bool, now: Instant) {
        self.due = now + DELAY.wait(self.all());
        let count = if is_failing {
            &mut self.probes
        } else {
            &mut self.refused
        };
        *count = count.saturating_add(1);
    }

    /// The store takes something again, so this one has its turn again.
    pub(super) fn works_again(&mut self, now: Instant) {
        self.probes = 0;
        self.due = now;
    }

    /// Who has the least of it goes first, and of these the oldest. A store that takes nothing is asked with another
    /// artifact each time: it may be one that it never takes.
    pub(super) fn rank(&self, is_failing: bool) -> u32 {
        if is_failing {
            self.all()
        } else {
            self.refused.saturating_sub(TURNS)
        }
    }

    fn all(&self) -> u32 {
        self.refused.saturating_add(self.probes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn an_outage_costs_no_turn_and_refusals_do() {
        let now = Instant::now();
        let mut tries = Tries::none(now);
        for probes in 1..=100 {
            tries.failed(true, now);
            assert_eq!(tries.rank(true), probes);
        }
        assert!(tries.due > now);
        tries.works_again(now);
        assert_eq!((tries.rank(false), tries.due), (0, now));
        for refused in 1..=5 {
            tries.failed(false, now);
            assert_eq!(tries.rank(false), u32::saturating_sub(refused, TURNS));
        }
        assert_eq!(tries.rank(true), 5);
    }
}
