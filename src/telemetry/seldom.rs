use std::time::Duration;

use tokio::time::Instant;

/// How often the log tells of what comes in floods.
const INTERVAL: Duration = Duration::from_secs(10);

/// Counts what may come in floods, so that the log tells of it seldom, but tells how often it was.
#[derive(Debug, Default)]
pub struct Seldom {
    told: Option<Instant>,
    untold: u64,
}

impl Seldom {
    /// It occurred once more. Returns how often since the log told of it, where it is to tell again.
    pub fn occurred(&mut self) -> Option<u64> {
        self.untold += 1;
        let now = Instant::now();
        if self.told.is_some_and(|told| now < told + INTERVAL) {
            return None;
        }
        self.told = Some(now);
        Some(std::mem::take(&mut self.untold))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_flood_is_told_once_in_an_interval_with_its_number() {
        let mut flood = Seldom::default();
        assert_eq!(flood.occurred(), Some(1));
        for _ in 0..1000 {
            assert_eq!(flood.occurred(), None);
        }
        tokio::time::advance(INTERVAL).await;
        assert_eq!(flood.occurred(), Some(1001));
        assert_eq!(flood.occurred(), None);
    }
}
