//! The waits between attempts at something that failed.

use std::time::Duration;

/// Waits that grow from one failure to the next, and differ between those who failed together, so
/// that they do not come back together.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Backoff {
    /// The first wait.
    pub first: Duration,
    /// By what each is longer than the one before it; at least 1.
    pub multiplier: f64,
    /// The longest before it is spread: a wait may be as long as `longest * (1 + spread)`.
    pub longest: Duration,
    /// How much longer or shorter a wait may be, as a part of it; from 0 to 1.
    pub spread: f64,
}

impl Backoff {
    /// Waits that double, spread by half.
    pub const fn doubling(first: Duration, longest: Duration) -> Self {
        Self {
            first,
            multiplier: 2.0,
            longest,
            spread: 0.5,
        }
    }

    /// The wait after `times` that were waited before.
    pub fn wait(&self, times: u32) -> Duration {
        let longest = self.longest.as_secs_f64();
        let exponent = i32::try_from(times).unwrap_or(i32::MAX);
        let grown = self.first.as_secs_f64() * self.multiplier.powi(exponent);
        // Not less, also where the power is no number any more.
        let interval = if grown < longest { grown } else { longest };
        let factor = 1.0 + self.spread * (2.0 * chance() - 1.0);
        Duration::try_from_secs_f64(interval * factor).unwrap_or(Duration::MAX)
    }
}

/// By how much a wait is spread, from 0 to 1.
#[cfg(not(test))]
fn chance() -> f64 {
    rand::random()
}

#[cfg(test)]
use seeded::chance;

/// Waits that a test can have again.
#[cfg(test)]
pub(crate) mod seeded {
    use std::cell::RefCell;

    use slimspan_generators::Random;

    thread_local! {
        static CHANCES: RefCell<Option<Random>> = const { RefCell::new(None) };
    }

    /// While it is there, the waits of this thread follow from its seed.
    #[must_use]
    pub(crate) struct Seeded(());

    impl Seeded {
        pub(crate) fn new(seed: u64) -> Self {
            CHANCES.set(Some(Random::new(seed)));
            Self(())
        }
    }

    impl Drop for Seeded {
        fn drop(&mut self) {
            CHANCES.set(None);
        }
    }

    pub(super) fn chance() -> f64 {
        CHANCES.with_borrow_mut(|chances| match chances {
            Some(random) => random.number() as f64 / u64::MAX as f64,
            None => rand::random(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn waits_grow_up_to_the_longest() {
        let exact = Backoff {
            spread: 0.0,
            ..Backoff::doubling(SECOND, 20 * SECOND)
        };
        let waits: Vec<_> = (0..7).map(|times| exact.wait(times).as_secs()).collect();
        assert_eq!(waits, [1, 2, 4, 8, 16, 20, 20]);
        assert_eq!(exact.wait(u32::MAX), 20 * SECOND);
    }

    #[test]
    fn waits_are_spread_around_their_interval() {
        let backoff = Backoff::doubling(SECOND, 20 * SECOND);
        let waits: Vec<_> = (0..1_000).map(|_| backoff.wait(0).as_secs_f64()).collect();
        let shortest = waits.iter().copied().fold(f64::MAX, f64::min);
        let longest = waits.iter().copied().fold(0.0, f64::max);
        assert!((0.5..0.6).contains(&shortest), "{shortest}");
        assert!((1.4..=1.5).contains(&longest), "{longest}");
    }

    #[test]
    fn extreme_settings_are_only_long() {
        let backoff = Backoff {
            multiplier: 1e300,
            ..Backoff::doubling(Duration::MAX, Duration::MAX)
        };
        for times in [0, 5, u32::MAX] {
            assert!(backoff.wait(times) > Duration::from_hours(1));
        }
    }
}
