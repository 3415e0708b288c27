//! How often somebody may ask.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use moka::sync::Cache;
use tokio::time::Instant;

/// Those of whom it is remembered how often they asked.
const KNOWN: u64 = 10_000;

/// A limit of requests, for each who asks by itself: as many at once as in a second, and then as many as
/// time passes.
#[derive(Debug)]
pub(super) struct Rate {
    pace: Option<Duration>,
    /// When what was asked so far would be paid for.
    paid: Cache<String, Arc<Mutex<Instant>>>,
}

impl Rate {
    pub(super) fn new(per_second: u32) -> Self {
        let pace = Duration::from_secs(1).checked_div(per_second);
        Self {
            pace,
            paid: Cache::builder()
                .max_capacity(KNOWN)
                .time_to_idle(Duration::from_mins(1))
                .build(),
        }
    }

    /// Whether `who` may ask now.
    pub(super) fn admit(&self, who: &str) -> bool {
        let Some(pace) = self.pace else { return true };
        let now = Instant::now();
        let paid = self.paid.get_with_by_ref(who, || Arc::new(Mutex::new(now)));
        let mut paid = paid.lock().unwrap_or_else(PoisonError::into_inner);
        let next = (*paid).max(now) + pace;
        let may = next <= now + Duration::from_secs(1);
        if may {
            *paid = next;
        }
        may
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn as_many_as_there_are_in_a_second() {
        let rate = Rate::new(10);
        for _ in 0..10 {
            assert!(rate.admit("a"));
        }
        assert!(!rate.admit("a") && rate.admit("b"));
        tokio::time::advance(Duration::from_millis(250)).await;
        assert!(rate.admit("a") && rate.admit("a") && !rate.admit("a"));
        assert!((0..1000).all(|_| Rate::new(0).admit("a")));
    }
}
