//! The budget of memory for requests in flight.
//!
//! Bytes are charged when they are received, not when a sender announces them (an announcement
//! costs nothing) and not when they are decoded (then it is too late).
//!
//! The limit is that of the process, as operators know it from the Collector. So a quarter of it is for
//! what is no request: the program itself, what has come over connections and is not read yet, and
//! pieces of requests that wait for memory.
//!
//! The last part of it is for requests that have begun, one after the other: many that are half there
//! and wait for one another would take all, and none would end.

mod lease;
mod share;

use std::sync::Arc;

use tokio::sync::Semaphore;

pub use self::lease::{Lease, tie};
pub use self::share::Share;
use crate::buffers::Buffers;
use crate::refusal::Refusal;

/// What a permit of the semaphore stands for: fine enough to be fair, coarse enough to be cheap.
const UNIT: usize = 1024;

/// A byte of a request is in memory twice: as it came, and as what is decoded or rewritten from it.
const COPIES: usize = 2;

/// How much all requests in flight may take together, in MiB.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// All of it.
    pub limit_mib: u64,
    /// The part that only requests take that have begun.
    pub spike_mib: u64,
}

/// The part of the limit that is not for requests is one in so many.
const REST: u64 = 4;

/// And of the limit so much is for pieces of requests that have come and wait for memory.
const WAITING: u64 = 32;

/// Requests that wait in the middle may hold one in so many of what is for requests. Many that come at
/// once would have a part each, none would go on, and all would be refused at the same time.
const STUCK: u64 = 4;

impl Limits {
    /// How many of the largest request the limit must have room for: a compressed one is there as it
    /// came, and what it expands to is charged twice. That are three, and they have to fit beside what
    /// is not for requests.
    pub const SHARES: u64 = 2 + COPIES as u64;

    /// What requests may take of the limit, in KiB.
    pub fn of_requests_kib(&self) -> u64 {
        of_requests_kib(self.limit_mib)
    }
}

fn of_requests_kib(mib: u64) -> u64 {
    let kib = mib.saturating_mul(1024);
    kib - kib / REST
}

/// The bytes that all requests in flight may take together.
#[derive(Debug, Clone)]
pub struct Budget {
    anybody: Arc<Semaphore>,
    begun: Arc<Semaphore>,
    /// Whose turn it is to take of the last part while it comes.
    turn: Arc<Semaphore>,
    /// What may have come and wait.
    waiting: Arc<Semaphore>,
    /// What requests may hold that wait in the middle.
    stuck: Arc<Semaphore>,
    most_stuck: usize,
    /// All of it, in bytes.
    of_requests: u64,
    /// What is read back from disk is charged as no more than that, or it might never have its turn.
    most_read_back: usize,
    /// What leases take a part of, too.
    share: Option<Arc<Share>>,
    /// Where requests arrive.
    buffers: Buffers,
    limits: Limits,
}

impl Budget {
    /// A budget that keeps the process within these limits.
    pub fn new(limits: Limits) -> Self {
        let spike_mib = limits.spike_mib.min(limits.limit_mib);
        let begun = of_requests_kib(spike_mib);
        let anybody = limits.of_requests_kib() - begun;
        let waiting = limits.limit_mib.saturating_mul(1024) / WAITING;
        Self::of([anybody, begun], waiting, limits)
    }

    /// A budget of so many KiB for anybody, and for requests that have begun.
    fn of([anybody, begun]: [u64; 2], waiting: u64, limits: Limits) -> Self {
        let permits = |kib| {
            let permits = usize::try_from(kib).unwrap_or(usize::MAX);
            let permits = permits.saturating_mul(1024 / UNIT);
            Arc::new(Semaphore::new(permits.min(Semaphore::MAX_PERMITS)))
        };
        let stuck = permits((anybody + begun) / STUCK);
        Self {
            most_stuck: stuck.available_permits(),
            of_requests: (anybody + begun) << 10,
            most_read_back: permits(anybody).available_permits() * UNIT / COPIES,
            anybody: permits(anybody),
            begun: permits(begun),
            turn: Arc::new(Semaphore::new(1)),
            waiting: permits(waiting),
            stuck,
            share: None,
            buffers: Buffers::within(limits.limit_mib),
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
        self.of_requests
    }

    fn exhausted(&self, has_begun: bool) -> Refusal {
        let Limits {
            limit_mib,
            spike_mib,
        } = self.limits;
        let all = self.limits.of_requests_kib() >> 10;
        let all = format!(
            "requests in flight take all of the {all} MiB that memory_limiter.limit_mib, \
             {limit_mib}, leaves them"
        );
        let message = if has_begun {
            all
        } else {
            let kept = of_requests_kib(spike_mib) >> 10;
            format!("{all} but {kept} MiB, which are for those that have begun")
        };
        Refusal::no_memory(message)
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use std::time::Duration;

    use bytes::Bytes;
    use tokio::time::Instant;

    use super::lease::PATIENCE;
    use super::*;

    /// All of it for requests, however many wait.
    fn of(limit_mib: u64, spike_mib: u64) -> Budget {
        let limits = Limits {
            limit_mib,
            spike_mib,
        };
        let kib = [limit_mib - spike_mib, spike_mib].map(|mib| mib << 10);
        Budget {
            stuck: Arc::new(Semaphore::new(Semaphore::MAX_PERMITS)),
            most_stuck: Semaphore::MAX_PERMITS,
            ..Budget::of(kib, u64::MAX, limits)
        }
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

    /// The process has a limit, and requests get what is left of it.
    #[tokio::test(start_paused = true)]
    async fn a_part_of_the_limit_is_not_for_requests() {
        let budget = Budget::new(Limits {
            limit_mib: 256,
            spike_mib: 32,
        });
        assert_eq!(free(&budget), 192 << 20);
        // The largest request that may be configured for it, compressed.
        let largest = (256 << 20) / usize::try_from(Limits::SHARES).unwrap();
        let mut compressed = budget.lease();
        compressed.charge(16 << 10).await.unwrap();
        compressed.is_compressed();
        compressed.charge(largest - (16 << 10)).await.unwrap();
        let _compressed = compressed.hold(Bytes::new());
        assert_eq!(free(&budget), (192 << 20) - largest);
        budget.lease_for_more().try_charge(largest).unwrap();
    }

    /// What waits for memory is in memory, so only so much of it may.
    #[tokio::test(start_paused = true)]
    async fn what_waits_has_a_limit_of_its_own() {
        const PIECE: usize = 16 << 10;
        let budget = Budget::new(Limits {
            limit_mib: 16,
            spike_mib: 0,
        });
        let mut all = budget.lease();
        all.charge_ahead((12 << 20) / COPIES).await.unwrap();
        let begun = Instant::now();
        let wait = || {
            let mut lease = budget.lease();
            tokio::spawn(async move { lease.charge(PIECE).await.is_err().then(Instant::now) })
        };
        let waiting: Vec<_> = (0..40).map(|_| wait()).collect();
        let mut at_once = 0;
        for waiting in waiting {
            let refused = waiting.await.unwrap().unwrap();
            at_once += usize::from(refused == begun);
        }
        assert_eq!(at_once, 40 - (16 << 20) / 32 / PIECE);
        assert!(
            wait().await.unwrap().unwrap() > begun,
            "there is room again"
        );
    }

    /// Of many that come at once most are refused as soon as there is no memory, and with what they give
    /// back others end.
    #[tokio::test(start_paused = true)]
    async fn of_many_that_come_at_once_some_end() {
        const SIZE: usize = 16 << 20;
        const PIECE: usize = 64 << 10;
        let budget = Budget::new(Limits {
            limit_mib: 256,
            spike_mib: 51,
        });
        let arrive = |mut lease: Lease| async move {
            for _ in 0..SIZE / PIECE {
                lease.charge(PIECE).await?;
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
            Ok::<_, Refusal>(lease.hold(Bytes::new()))
        };
        let arriving = (0..64).map(|_| tokio::spawn(arrive(budget.lease())));
        let arriving: Vec<_> = arriving.collect();
        let mut whole = Vec::new();
        for arriving in arriving {
            whole.extend(arriving.await.unwrap());
        }
        // Of six that there is room for.
        assert!(whole.len() >= 4, "{}", whole.len());
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
