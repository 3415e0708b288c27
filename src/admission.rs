//! The budget of memory for requests in flight.
//!
//! Bytes are charged when they are received, not when a sender announces them (an announcement
//! costs nothing) and not when they are decoded (then it is too late).
//!
//! The last part of it is for requests that have begun, one after the other: many that are half there
//! and wait for one another would take all, and none would end.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, timeout};

use crate::refusal::{Culprit, Refusal};

/// What a permit of the semaphore stands for: fine enough to be fair, coarse enough to be cheap.
const UNIT: usize = 1024;

/// A byte of a request is in memory twice: as it came, and as what is decoded or rewritten from it.
const COPIES: usize = 2;

/// How long a request waits for memory, all in all, before its sender is asked to wait instead.
const PATIENCE: Duration = Duration::from_secs(1);

/// How much all requests in flight may take together, in MiB.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// All of it.
    pub limit_mib: u64,
    /// The part that only requests take that have begun.
    pub spike_mib: u64,
}

impl Limits {
    /// How many of the largest request must fit: a compressed one is there as it came and as what it
    /// expands to, and each of these is charged twice.
    pub const SHARES: u64 = 2 * COPIES as u64;
}

/// The bytes that all requests in flight may take together.
#[derive(Debug, Clone)]
pub struct Budget {
    anybody: Arc<Semaphore>,
    begun: Arc<Semaphore>,
    /// Whose turn it is to take of the last part while it comes.
    turn: Arc<Semaphore>,
    limits: Limits,
}

/// What one request has taken of the budget; given back when dropped.
#[derive(Debug)]
pub struct Lease {
    budget: Budget,
    held: [Option<OwnedSemaphorePermit>; 2],
    charged: usize,
    has_begun: bool,
    /// Whether it is all there, so that it has not to wait for its turn.
    has_come: bool,
    turn: Option<OwnedSemaphorePermit>,
    patience: Duration,
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
    /// A budget within these limits.
    pub fn new(limits: Limits) -> Self {
        let permits = |mib| {
            let permits = usize::try_from(mib).unwrap_or(usize::MAX);
            let permits = permits.saturating_mul((1 << 20) / UNIT);
            Arc::new(Semaphore::new(permits.min(Semaphore::MAX_PERMITS)))
        };
        Self {
            anybody: permits(limits.limit_mib.saturating_sub(limits.spike_mib)),
            begun: permits(limits.spike_mib.min(limits.limit_mib)),
            turn: Arc::new(Semaphore::new(1)),
            limits,
        }
    }

    /// The bytes that requests take now.
    pub fn in_flight(&self) -> u64 {
        let free = self.anybody.available_permits() + self.begun.available_permits();
        self.limit().saturating_sub((free * UNIT) as u64)
    }

    /// The bytes that they may take.
    pub fn limit(&self) -> u64 {
        self.limits.limit_mib << 20
    }

    /// A lease of nothing yet, for a request that comes.
    pub fn lease(&self) -> Lease {
        Lease {
            budget: self.clone(),
            held: [None, None],
            charged: 0,
            has_begun: false,
            has_come: false,
            turn: None,
            patience: PATIENCE,
        }
    }

    /// A lease of nothing yet, for what is made of a request that is there.
    pub fn lease_for_more(&self) -> Lease {
        Lease {
            has_begun: true,
            has_come: true,
            ..self.lease()
        }
    }

    fn exhausted(&self, has_begun: bool) -> Refusal {
        let Limits {
            limit_mib,
            spike_mib,
        } = self.limits;
        let message = if has_begun {
            format!(
                "requests in flight take all of the {limit_mib} MiB of memory_limiter.limit_mib"
            )
        } else {
            format!(
                "requests in flight take all of the {limit_mib} MiB of memory_limiter.limit_mib but \
                 {spike_mib} MiB, which are for those that have begun"
            )
        };
        Refusal::unavailable(Culprit::Slimspan, message)
    }
}

impl Lease {
    /// Charges `bytes` of a request, before they are kept. Waits for other requests to end, but
    /// not for long.
    pub async fn charge(&mut self, bytes: usize) -> Result<(), Refusal> {
        let Some(missing) = self.take(bytes) else {
            return Ok(());
        };
        let [anybody, begun] = self.semaphores();
        let anybody = anybody.acquire_many_owned(missing);
        let (has_begun, has_come) = (self.has_begun, self.has_come);
        let (turn, turns) = (&mut self.turn, &self.budget.turn);
        let begun = async move {
            if !has_begun {
                std::future::pending::<()>().await;
            }
            if !has_come && turn.is_none() {
                *turn = Arc::clone(turns).acquire_owned().await.ok();
            }
            begun.acquire_many_owned(missing).await
        };
        let waiting = Instant::now();
        let either = async {
            tokio::select! {
                biased;
                permit = anybody => (0, permit),
                permit = begun => (1, permit),
            }
        };
        let taken = timeout(self.patience, either).await;
        self.patience = self.patience.saturating_sub(waiting.elapsed());
        match taken {
            Ok((of, Ok(permit))) => {
                self.keep(of, permit);
                self.has_begun = true;
                Ok(())
            }
            Ok((_, Err(_))) | Err(_) => Err(self.budget.exhausted(self.has_begun)),
        }
    }

    /// Charges `bytes` if they are to be had at once: for code that cannot wait.
    pub fn try_charge(&mut self, bytes: usize) -> Result<(), Refusal> {
        match self.take(bytes) {
            None => Ok(()),
            Some(_) => Err(self.budget.exhausted(self.has_begun)),
        }
    }

    /// Ties the lease to the bytes that it was taken for: it lasts as long as anything holds a part
    /// of them, also work on another thread that nobody waits for any more.
    pub fn hold(mut self, bytes: Bytes) -> Bytes {
        self.turn = None;
        Bytes::from_owner(Leased {
            bytes,
            _lease: self,
        })
    }

    /// Takes what is to be had at once for `bytes` more; the permits that are missing then, if any.
    fn take(&mut self, bytes: usize) -> Option<u32> {
        self.charged += bytes * COPIES;
        let held = self.held.iter().flatten();
        let held: usize = held.map(OwnedSemaphorePermit::num_permits).sum();
        let missing = self.charged.div_ceil(UNIT).saturating_sub(held);
        // More than four TiB at once is refused by any budget there is.
        let mut missing = u32::try_from(missing).unwrap_or(u32::MAX);
        let is_its_turn = self.has_come || self.turn.is_some();
        let sources = if is_its_turn { 2 } else { 1 };
        for (of, semaphore) in self.semaphores().into_iter().enumerate().take(sources) {
            let free = u32::try_from(semaphore.available_permits()).unwrap_or(u32::MAX);
            let part = missing.min(free);
            // Somebody else may have been faster; then it is waited for.
            if let Ok(permit) = semaphore.try_acquire_many_owned(part) {
                self.keep(of, permit);
                missing -= part;
            }
        }
        if missing > 0 {
            return Some(missing);
        }
        self.has_begun = true;
        None
    }

    fn semaphores(&self) -> [Arc<Semaphore>; 2] {
        [&self.budget.anybody, &self.budget.begun].map(Arc::clone)
    }

    fn keep(&mut self, of: usize, permit: OwnedSemaphorePermit) {
        match self.held.get_mut(of) {
            Some(Some(held)) => held.merge(permit),
            Some(held) => *held = Some(permit),
            // There are two.
            None => {}
        }
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use super::*;

    fn of(limit_mib: u64, spike_mib: u64) -> Budget {
        Budget::new(Limits {
            limit_mib,
            spike_mib,
        })
    }

    fn free(budget: &Budget) -> usize {
        (budget.anybody.available_permits() + budget.begun.available_permits()) * UNIT
    }

    #[tokio::test]
    async fn charges_in_whole_units_and_gives_back() {
        let budget = of(1, 0);
        let mut lease = budget.lease();
        lease.charge(1).await.unwrap();
        assert_eq!(free(&budget), (1 << 20) - UNIT);
        assert_eq!(budget.in_flight(), UNIT as u64);
        lease.charge(UNIT / COPIES - 1).await.unwrap();
        assert_eq!(free(&budget), (1 << 20) - UNIT, "still the first unit");
        lease.charge(UNIT).await.unwrap();
        assert_eq!(free(&budget), (1 << 20) - 3 * UNIT);
        drop(lease);
        assert_eq!(free(&budget), 1 << 20);
    }

    #[tokio::test]
    async fn lasts_as_long_as_any_part_of_the_bytes() {
        let budget = of(1, 0);
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
        let budget = of(1, 0);
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
        let budget = of(1, 0);
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
    /// Half of it is for what has begun: a request that comes waits, one that is there goes on.
    #[tokio::test(start_paused = true)]
    async fn the_last_part_is_for_requests_that_have_begun() {
        let budget = of(2, 1);
        let mut begun = budget.lease();
        begun.charge(1 << 19).await.unwrap();
        let refusal = budget.lease().charge(1).await.unwrap_err();
        assert!(refusal.to_string().contains("have begun"), "{refusal}");
        assert!(budget.lease().try_charge(1).is_err());
        begun.charge(1 << 18).await.unwrap();
        budget.lease_for_more().try_charge(1 << 18).unwrap();
        begun.charge(1 << 18).await.unwrap();
        assert_eq!(free(&budget), 0);
        let refusal = begun.charge(1).await.unwrap_err();
        assert!(refusal.to_string().contains("limit_mib"), "{refusal}");
        drop(begun);
        assert_eq!(free(&budget), 2 << 20);
    }

    /// Of those that wait in the middle one goes on, and another when that one is there.
    #[tokio::test(start_paused = true)]
    async fn the_last_part_is_for_one_after_the_other() {
        let budget = of(2, 1);
        let [mut first, mut second] = [budget.lease(), budget.lease()];
        first.charge(1 << 18).await.unwrap();
        second.charge(1 << 18).await.unwrap();
        first.charge(1 << 10).await.unwrap();
        let waiting = tokio::spawn(async move { second.charge(1 << 10).await });
        tokio::time::sleep(PATIENCE / 2).await;
        assert!(!waiting.is_finished());
        first.charge(1 << 10).await.unwrap();
        let _there = first.hold(Bytes::new());
        assert_eq!(waiting.await.unwrap(), Ok(()));
    }

    /// What is given back of either part goes to who waits.
    #[tokio::test(start_paused = true)]
    async fn who_has_begun_waits_for_either_part() {
        for of_part in [0, 1] {
            let budget = of(2, 1);
            let mut begun = budget.lease();
            begun.charge(UNIT / COPIES).await.unwrap();
            let mut parts = [budget.lease(), budget.lease_for_more()];
            parts[0].charge((1 << 19) - UNIT / COPIES).await.unwrap();
            parts[1].charge(1 << 19).await.unwrap();
            assert_eq!(free(&budget), 0);
            let waiting = tokio::spawn(async move { begun.charge(1 << 18).await });
            tokio::time::sleep(PATIENCE / 2).await;
            let mut parts = parts.map(Some);
            drop(parts[of_part].take());
            assert_eq!(waiting.await.unwrap(), Ok(()), "{of_part}");
        }
    }

    /// A request that is given a little each time is not given more time each time.
    #[tokio::test(start_paused = true)]
    async fn patience_is_that_of_the_request() {
        let budget = of(1, 0);
        let mut first: Vec<_> = (0..16).map(|_| budget.lease()).collect();
        for lease in &mut first {
            lease.charge(1 << 15).await.unwrap();
        }
        let mut request = budget.lease();
        let begun = Instant::now();
        tokio::spawn(async move {
            while first.pop().is_some() {
                tokio::time::sleep(PATIENCE / 3).await;
            }
        });
        while request.charge(1 << 15).await.is_ok() {}
        assert!(begun.elapsed() <= PATIENCE, "{:?}", begun.elapsed());
    }
}
