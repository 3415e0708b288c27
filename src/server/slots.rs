//! How many artifacts are sent at a time: to all, and to one who asks.

use std::sync::Arc;
use std::time::Duration;

use moka::sync::Cache;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;

/// How long a request waits for others to end.
pub(super) const PATIENCE: Duration = Duration::from_secs(5);

/// Those of whom it is remembered how much they have.
const KNOWN: u64 = 10_000;

/// Longer than anything is sent to somebody who takes nothing.
const IDLE: Duration = Duration::from_hours(1);

/// Places for what is sent.
#[derive(Debug)]
pub(super) struct Slots {
    all: Arc<Semaphore>,
    /// Of which one may have half: who reads slowly, in many requests, leaves the others theirs.
    of_one: usize,
    shares: Cache<String, Arc<Semaphore>>,
}

/// A place that is taken.
#[derive(Debug)]
pub(super) struct Slot {
    _of_all: OwnedSemaphorePermit,
    _of_one: OwnedSemaphorePermit,
}

impl Slots {
    pub(super) fn new(all: usize) -> Self {
        Self {
            all: Arc::new(Semaphore::new(all)),
            of_one: all.div_ceil(2),
            shares: Cache::builder()
                .max_capacity(KNOWN)
                .time_to_idle(IDLE)
                .build(),
        }
    }

    /// Waits for a place for `who`, but not for long.
    pub(super) async fn take(&self, who: &str) -> Option<Slot> {
        let share = || Arc::new(Semaphore::new(self.of_one));
        let share = self.shares.get_with_by_ref(who, share);
        let taking = async {
            let of_one = share.acquire_owned().await.ok()?;
            let of_all = Arc::clone(&self.all).acquire_owned().await.ok()?;
            Some(Slot {
                _of_all: of_all,
                _of_one: of_one,
            })
        };
        timeout(PATIENCE, taking).await.ok().flatten()
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn nobody_has_more_than_half() {
        let slots = Slots::new(5);
        let mut taken = Vec::new();
        for _ in 0..3 {
            taken.push(slots.take("a").await.unwrap());
        }
        assert!(slots.take("a").await.is_none());
        taken.push(slots.take("b").await.unwrap());
        taken.push(slots.take("c").await.unwrap());
        // All are taken.
        assert!(slots.take("d").await.is_none());
        taken.truncate(2);
        assert!(slots.take("a").await.is_some() && slots.take("d").await.is_some());
        Slots::new(1).take("a").await.unwrap();
    }
}
