use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Mutex, PoisonError};

use tokio::time::Instant;
use tracing::callsite::Identifier;

use super::config::SamplingConfig;

/// Counts the lines of each place in the code, or of whatever else there are only so many.
pub(crate) struct Sampling<P = Identifier> {
    config: SamplingConfig,
    places: Mutex<HashMap<P, Count>>,
}

struct Count {
    since: Instant,
    lines: u64,
}

impl<P: Eq + Hash> Sampling<P> {
    pub(crate) fn new(config: &SamplingConfig) -> Self {
        Self {
            config: config.clone(),
            places: Mutex::default(),
        }
    }

    /// Whether one more line of that place is written.
    pub(crate) fn admits(&self, place: P) -> bool {
        let now = Instant::now();
        let new = || Count {
            since: now,
            lines: 0,
        };
        let mut places = self.places.lock().unwrap_or_else(PoisonError::into_inner);
        let count = places.entry(place).or_insert_with(new);
        if now - count.since >= self.config.tick {
            *count = new();
        }
        count.lines += 1;
        let SamplingConfig {
            initial,
            thereafter,
            ..
        } = self.config;
        match count.lines.checked_sub(initial) {
            None | Some(0) => true,
            Some(over) => thereafter > 0 && over % thereafter == 0,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn of_many_lines_the_first_are_written_and_then_one_in_so_many() {
        let sampling = Sampling::new(&SamplingConfig {
            enabled: true,
            tick: Duration::from_secs(1),
            initial: 3,
            thereafter: 10,
        });
        let written = |place| (0..33).filter(|_| sampling.admits(place)).count();
        assert_eq!((written("one"), written("other")), (6, 6));
        tokio::time::advance(Duration::from_secs(1)).await;
        assert_eq!(written("one"), 6);
    }
}
