//! How often what waits in a spool was not taken, and whose turn it is therefore.

use std::time::Duration;

use tokio::time::Instant;

use crate::backoff::Backoff;

/// The pauses of an artifact that was not taken.
const DELAY: Backoff = Backoff::doubling(Duration::from_millis(500), Duration::from_secs(5));

/// How often an artifact is tried in its turn. If the store takes others and still not this one, those behind it go
/// first.
const TURNS: u32 = 3;

/// While the store takes nothing, one attempt counts as so many places in line.
const PLACES: usize = 16;

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

    /// While the store takes others: who has the least of it goes first, and of these the oldest.
    pub(super) fn rank(&self) -> u32 {
        self.refused.saturating_sub(TURNS)
    }

    /// While the store takes nothing: who has the least of it is tried next, of what waits there in line. The oldest are
    /// tried the most, for the one that is taken overtakes all before it; and each is tried in the end, for those may
    /// be what the store never takes.
    pub(super) fn rank_of_probe(tries: Option<&Self>, place: usize) -> usize {
        place + PLACES * tries.map_or(0, |tries| tries.all() as usize)
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
        for _ in 0..100 {
            tries.failed(true, now);
        }
        assert!(tries.due > now);
        tries.works_again(now);
        assert_eq!((tries.rank(), tries.due), (0, now));
        for refused in 1..=5 {
            tries.failed(false, now);
            assert_eq!(tries.rank(), u32::saturating_sub(refused, TURNS));
        }
    }

    /// The last of them overtakes as many as there are.
    #[tokio::test(start_paused = true)]
    async fn an_outage_tries_few_and_each_in_the_end() {
        let now = Instant::now();
        let mut line: Vec<Option<Tries>> = (0..1_000).map(|_| None).collect();
        let mut reached = 0;
        for attempts in 1..=2_000_usize {
            let rank = |place: &usize| Tries::rank_of_probe(line[*place].as_ref(), *place);
            let next = (0..line.len()).min_by_key(rank).unwrap_or_default();
            let tries = line[next].get_or_insert_with(|| Tries::none(now));
            tries.failed(true, now);
            reached = reached.max(next + 1);
            let root = attempts.isqrt();
            assert!(
                reached <= 6 * root && reached + 4 >= 4 * root,
                "{reached} of {attempts}"
            );
        }
    }
}
