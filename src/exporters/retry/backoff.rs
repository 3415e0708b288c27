use std::time::Duration;

use super::config::RetryConfig;

/// The waits between attempts: each longer than the last, and none that many senders share, so
/// that they do not come back all at once.
#[derive(Debug)]
pub(crate) struct Backoff {
    interval: Duration,
    multiplier: f64,
    longest: Duration,
    spread: f64,
}

impl Backoff {
    pub(crate) fn new(config: &RetryConfig) -> Self {
        Self {
            interval: config.initial_interval.min(config.max_interval),
            multiplier: config.multiplier,
            longest: config.max_interval,
            spread: config.randomization_factor,
        }
    }

    /// The next wait, anywhere from `interval * (1 - spread)` to `interval * (1 + spread)`.
    pub(crate) fn next(&mut self) -> Duration {
        let factor = 1.0 + self.spread * (2.0 * fastrand::f64() - 1.0);
        let wait = self.interval.mul_f64(factor);
        let grown = self.interval.as_secs_f64() * self.multiplier;
        self.interval = if grown < self.longest.as_secs_f64() {
            Duration::from_secs_f64(grown)
        } else {
            self.longest
        };
        wait
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_are_spread_around_their_interval() {
        let config = RetryConfig::default();
        let mut first = Vec::new();
        for _ in 0..1_000 {
            let mut backoff = Backoff::new(&config);
            first.push(backoff.next());
            let tenth = (0..9).map(|_| backoff.next()).last();
            let tenth = tenth.unwrap_or_default();
            assert!((15..=45).contains(&tenth.as_secs()), "{tenth:?}");
        }
        let (shortest, longest) = (first.iter().min(), first.iter().max());
        assert!(shortest.is_some_and(|wait| (2.5..3.0).contains(&wait.as_secs_f64())));
        assert!(longest.is_some_and(|wait| (7.0..7.5).contains(&wait.as_secs_f64())));
    }

    #[test]
    fn extreme_settings_are_only_long() {
        let config = RetryConfig {
            initial_interval: Duration::from_nanos(i64::MAX as u64),
            max_interval: Duration::from_nanos(i64::MAX as u64),
            multiplier: 1e300,
            ..RetryConfig::default()
        };
        let mut backoff = Backoff::new(&config);
        for _ in 0..5 {
            assert!(backoff.next() > Duration::from_hours(1));
        }
    }
}
