use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use slimspan_proto::Signal;

use crate::telemetry::Counters;

/// How often the totals are remembered, and for how long.
pub(super) const EVERY: Duration = Duration::from_secs(2);
const KEPT: usize = 16;

/// What had passed at one moment.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Totals {
    pub(super) items: [u64; Signal::ALL.len()],
    pub(super) requests: u64,
    pub(super) bytes_in: u64,
    pub(super) bytes_out: u64,
    pub(super) artifacts: u64,
}

impl Totals {
    pub(super) fn of(counters: &Counters) -> Self {
        let receivers = counters.receivers();
        let (bytes_in, bytes_out) = counters.bytes();
        Self {
            items: Signal::ALL.map(|signal| counters.items.of(signal).read().received),
            requests: receivers.iter().map(|of| of.requests()).sum(),
            bytes_in,
            bytes_out,
            artifacts: counters.found.read().map(|(_, _, files, _)| files).sum(),
        }
    }
}

/// The totals of the last half minute.
#[derive(Debug, Default)]
pub(super) struct Rates(Mutex<VecDeque<(Instant, Totals)>>);

impl Rates {
    /// Remembers the totals of now.
    pub(super) fn remember(&self, now: Instant, totals: Totals) {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.len() >= KEPT {
            kept.pop_front();
        }
        kept.push_back((now, totals));
    }

    /// How much of what `pick` picks has passed in each second, lately.
    pub(super) fn per_second(
        &self,
        now: Instant,
        totals: &Totals,
        pick: impl Fn(&Totals) -> u64,
    ) -> f64 {
        let kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let Some((since, before)) = kept.front() else {
            return 0.0;
        };
        let seconds = now.saturating_duration_since(*since).as_secs_f64();
        if seconds <= 0.0 {
            return 0.0;
        }
        pick(totals).saturating_sub(pick(before)) as f64 / seconds
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_are_those_of_the_last_half_minute() {
        let (rates, start) = (Rates::default(), Instant::now());
        let total = |requests| Totals {
            requests,
            ..Totals::default()
        };
        let requests = |totals: &Totals| totals.requests;
        assert!(rates.per_second(start, &total(9), requests) < 1e-9);
        let mut now = start;
        for second in 0..100 {
            now = start + Duration::from_secs(second);
            rates.remember(now, total(if second < 50 { 0 } else { 10 * second }));
        }
        let rate = rates.per_second(now, &total(990), requests);
        assert!((rate - 10.0).abs() < 1e-9, "{rate}");
    }
}
