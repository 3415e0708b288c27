//! When an attempt is made again, and how long one may take.

use std::time::Duration;

use tokio::time::{Instant, sleep};

use crate::backoff::Backoff;

const BACKOFF: Backoff = Backoff::doubling(Duration::from_millis(100), Duration::from_secs(2));

/// A store that is silent for so long is asked again, over another connection.
const SILENCE: Duration = Duration::from_secs(2);

/// Beside that an upload has the time that it takes at this rate.
const BYTES_PER_SECOND: u32 = 1 << 20;

/// The attempts at one thing, in the time that there is for it.
#[derive(Debug)]
pub(super) struct Attempts {
    /// None where it is farther away than a clock can tell.
    until: Option<Instant>,
    failed: u32,
}

impl Attempts {
    pub(super) fn within(time: Duration) -> Self {
        Self {
            until: Instant::now().checked_add(time),
            failed: 0,
        }
    }

    /// The time that is left.
    pub(super) fn left(&self) -> Duration {
        self.until
            .map_or(Duration::MAX, |until| until - Instant::now())
    }

    /// Waits until the next attempt; false where there is no time for one.
    pub(super) async fn again(&mut self) -> bool {
        let pause = BACKOFF.wait(self.failed);
        self.failed = self.failed.saturating_add(1);
        let may = pause < self.left();
        if may {
            sleep(pause).await;
        }
        may
    }
}

/// How long one attempt to put so many bytes may take.
pub(super) fn patience(bytes: usize) -> Duration {
    let bytes = u32::try_from(bytes).unwrap_or(u32::MAX);
    SILENCE + Duration::from_secs(1) * bytes / BYTES_PER_SECOND
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn attempts_end_with_their_time() {
        let time = Duration::from_secs(5);
        let begun = Instant::now();
        let mut attempts = Attempts::within(time);
        let mut made = 1;
        while attempts.again().await {
            made += 1;
        }
        assert!((4..=11).contains(&made), "{made}");
        assert!(begun.elapsed() < time);
        assert_eq!(Attempts::within(Duration::MAX).left(), Duration::MAX);
    }

    #[test]
    fn patience_grows_with_the_file() {
        assert_eq!(patience(0), SILENCE);
        assert_eq!(patience(8 << 20), SILENCE + Duration::from_secs(8));
        assert!(patience(usize::MAX) > Duration::from_hours(1));
    }
}
