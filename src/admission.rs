//! The budget of memory for requests in flight.
//!
//! Bytes are charged when they are received, not when a sender announces them (an announcement
//! costs nothing) and not when they are decoded (then it is too late).

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, TryAcquireError};

use crate::refusal::{Culprit, Refusal};

/// What a permit of the semaphore stands for: fine enough to be fair, coarse enough to be cheap.
const UNIT: usize = 1024;

/// A byte of a request is in memory twice: as it came, and as what is decoded or rewritten from it.
const COPIES: usize = 2;

/// How long a request waits for memory before its sender is asked to wait instead.
const PATIENCE: Duration = Duration::from_secs(1);

/// The bytes that all requests in flight may take together.
#[derive(Debug, Clone)]
pub struct Budget {
    permits: Arc<Semaphore>,
    limit_mib: u64,
}

/// What one request has taken of the budget; given back when dropped.
#[derive(Debug)]
pub struct Lease {
    budget: Budget,
    held: Option<OwnedSemaphorePermit>,
    charged: usize,
}

struct Leased {
    bytes: Bytes,
    _lease: Lease,
}

impl AsRef<[u8]> for Leased {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

impl Budget {
    /// A budget of this many MiB.
    pub fn new(limit_mib: u64) -> Self {
        let permits = usize::try_from(limit_mib).unwrap_or(usize::MAX);
        let permits = permits.saturating_mul((1 << 20) / UNIT);
        Self {
            permits: Arc::new(Semaphore::new(permits.min(Semaphore::MAX_PERMITS))),
            limit_mib,
        }
    }

    /// A lease of nothing yet.
    pub fn lease(&self) -> Lease {
        Lease {
            budget: self.clone(),
            held: None,
            charged: 0,
        }
    }

    fn exhausted(&self) -> Refusal {
        Refusal::unavailable(
            Culprit::Slimspan,
            format!(
                "requests in flight take all of the {} MiB of memory_limiter.limit_mib",
                self.limit_mib
            ),
        )
    }
}

impl Lease {
    /// Charges `bytes` of a request, before they are kept. Waits for other requests to end, but
    /// not for long.
    pub async fn charge(&mut self, bytes: usize) -> Result<(), Refusal> {
        let Some(missing) = self.missing(bytes) else {
            return Ok(());
        };
        let permits = Arc::clone(&self.budget.permits);
        match tokio::time::timeout(PATIENCE, permits.acquire_many_owned(missing)).await {
            Ok(Ok(permit)) => {
                self.keep(permit);
                Ok(())
            }
            Ok(Err(_)) | Err(_) => Err(self.budget.exhausted()),
        }
    }

    /// Charges `bytes` if they are to be had at once: for code that cannot wait.
    pub fn try_charge(&mut self, bytes: usize) -> Result<(), Refusal> {
        let Some(missing) = self.missing(bytes) else {
            return Ok(());
        };
        match Arc::clone(&self.budget.permits).try_acquire_many_owned(missing) {
            Ok(permit) => {
                self.keep(permit);
                Ok(())
            }
            Err(TryAcquireError::NoPermits | TryAcquireError::Closed) => {
                Err(self.budget.exhausted())
            }
        }
    }

    /// Ties the lease to the bytes that it was taken for: it lasts as long as anything holds a part
    /// of them, also work on another thread that nobody waits for any more.
    pub fn hold(self, bytes: Bytes) -> Bytes {
        Bytes::from_owner(Leased {
            bytes,
            _lease: self,
        })
    }

    /// The permits that are to be had for `bytes` more.
    fn missing(&mut self, bytes: usize) -> Option<u32> {
        self.charged += bytes * COPIES;
        let needed = self.charged.div_ceil(UNIT);
        let held = self
            .held
            .as_ref()
            .map_or(0, OwnedSemaphorePermit::num_permits);
        let missing = needed.saturating_sub(held);
        // More than four TiB at once is refused by any budget there is.
        (missing > 0).then(|| u32::try_from(missing).unwrap_or(u32::MAX))
    }

    fn keep(&mut self, permit: OwnedSemaphorePermit) {
        match &mut self.held {
            Some(held) => held.merge(permit),
            held => *held = Some(permit),
        }
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use super::*;

    fn free(budget: &Budget) -> usize {
        budget.permits.available_permits() * UNIT
    }

    #[tokio::test]
    async fn charges_in_whole_units_and_gives_back() {
        let budget = Budget::new(1);
        let mut lease = budget.lease();
        lease.charge(1).await.unwrap();
        assert_eq!(free(&budget), (1 << 20) - UNIT);
        lease.charge(UNIT / COPIES - 1).await.unwrap();
        assert_eq!(free(&budget), (1 << 20) - UNIT, "still the first unit");
        lease.charge(UNIT).await.unwrap();
        assert_eq!(free(&budget), (1 << 20) - 3 * UNIT);
        drop(lease);
        assert_eq!(free(&budget), 1 << 20);
    }

    #[tokio::test]
    async fn lasts_as_long_as_any_part_of_the_bytes() {
        let budget = Budget::new(1);
        let mut lease = budget.lease();
        lease.charge(UNIT).await.unwrap();
        let part = lease.hold(Bytes::from_static(b"request")).slice(2..4);
        assert_eq!(part, "qu");
        assert_eq!(free(&budget), (1 << 20) - 2 * UNIT);
        drop(part);
        assert_eq!(free(&budget), 1 << 20);
    }

    #[tokio::test(start_paused = true)]
    async fn refuses_when_nothing_is_given_back_in_time() {
        let budget = Budget::new(1);
        let mut first = budget.lease();
        first.charge(1 << 19).await.unwrap();
        let mut second = budget.lease();
        assert!(second.try_charge(1).is_err());
        let refusal = budget.lease().charge(1).await.unwrap_err();
        assert!(refusal.is_retryable());
        assert!(refusal.to_string().contains("memory_limiter.limit_mib"));
        drop(first);
        second.try_charge(1).unwrap();
    }

    #[tokio::test(start_paused = true)]
    async fn waits_for_what_another_gives_back() {
        let budget = Budget::new(1);
        let mut first = budget.lease();
        first.charge(1 << 19).await.unwrap();
        let waiting = tokio::spawn({
            let mut lease = budget.lease();
            async move { lease.charge(1).await }
        });
        tokio::time::sleep(PATIENCE / 2).await;
        drop(first);
        assert_eq!(waiting.await.unwrap(), Ok(()));
    }
}
