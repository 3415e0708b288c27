//! A part of the budget that requests of one kind may have, all of them together.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, timeout};

use super::{Budget, COPIES, Lease, UNIT};
use crate::refusal::Refusal;

/// What leases take that are [`of`](Lease::of) it, beside what they take of the budget.
#[derive(Debug)]
pub struct Share {
    free: Arc<Semaphore>,
    /// How many permits there are.
    all: usize,
    /// What it is, for people.
    told: String,
}

/// What a lease has of a share.
#[derive(Debug)]
pub(super) struct Part {
    share: Arc<Share>,
    held: Option<OwnedSemaphorePermit>,
}

/// What a request has of a share by itself, until this is dropped.
#[derive(Debug)]
pub struct Taken {
    _permit: OwnedSemaphorePermit,
}

impl Share {
    /// One of so many bytes; `told` says what they are, behind "more than" and "all is taken of".
    pub fn new(bytes: u64, told: String) -> Self {
        let permits = usize::try_from(bytes).unwrap_or(usize::MAX) / UNIT;
        let all = permits.min(Semaphore::MAX_PERMITS);
        Self {
            free: Arc::new(Semaphore::new(all)),
            all,
            told,
        }
    }

    /// Takes what a request of so many bytes takes of the budget, if that is to be had at once. One that is
    /// larger than all of it goes alone.
    pub fn take(&self, bytes: usize) -> Result<Taken, Refusal> {
        let wanted = bytes.saturating_mul(COPIES).div_ceil(UNIT).min(self.all);
        let permits = u32::try_from(wanted).unwrap_or(u32::MAX);
        let permit = Arc::clone(&self.free).try_acquire_many_owned(permits);
        let permit = permit.map_err(|_| self.refused(wanted))?;
        Ok(Taken { _permit: permit })
    }

    /// The bytes that are taken of it now.
    pub fn taken(&self) -> u64 {
        let taken = self.all.saturating_sub(self.free.available_permits());
        (taken * UNIT) as u64
    }

    /// It has not what one lease wants, which are so many permits in all.
    fn refused(&self, wanted: usize) -> Refusal {
        let told = &self.told;
        if wanted > self.all {
            Refusal::too_costly(format!("the request takes more than {told}"))
        } else {
            Refusal::no_memory(format!("all is taken of {told}"))
        }
    }
}

impl Budget {
    /// The same, where what leases take is taken of `share`, too, if there is one.
    #[must_use]
    pub fn within(&self, share: Option<&Arc<Share>>) -> Self {
        let most = share.map_or(usize::MAX, |share| share.all * UNIT / COPIES);
        Self {
            share: share.cloned(),
            most_read_back: self.most_read_back.min(most),
            ..self.clone()
        }
    }
}

impl Part {
    pub(super) fn of(share: &Arc<Share>) -> Self {
        Self {
            share: Arc::clone(share),
            held: None,
        }
    }

    /// What it has not, of so many permits.
    fn missing(&self, wanted: usize) -> Result<u32, Refusal> {
        let held = self.held.as_ref();
        let held = held.map_or(0, OwnedSemaphorePermit::num_permits);
        if wanted > self.share.all {
            return Err(self.share.refused(wanted));
        }
        u32::try_from(wanted.saturating_sub(held)).map_err(|_| self.share.refused(usize::MAX))
    }

    fn keep(&mut self, permit: OwnedSemaphorePermit) {
        match &mut self.held {
            Some(held) => held.merge(permit),
            None => self.held = Some(permit),
        }
    }
}

impl Lease {
    /// What it charges from now on is taken of `share`, too.
    #[must_use]
    pub fn of(mut self, share: &Arc<Share>) -> Self {
        self.parts.push(Part::of(share));
        self
    }

    /// What it has charged, and charges from now on, is taken of `share`, too. Waits as
    /// [`Lease::charge_ahead`] does.
    pub async fn enter(&mut self, share: &Arc<Share>) -> Result<(), Refusal> {
        self.parts.push(Part::of(share));
        self.wait_for_parts(0).await
    }

    /// Keeps what so many bytes take, once each, and gives back the rest.
    pub fn settle(&mut self, bytes: usize) {
        self.copies = 1;
        self.charged = bytes;
        let kept = bytes.div_ceil(UNIT);
        let mut left = kept;
        for held in &mut self.held {
            left -= give_back(held, left);
        }
        for part in &mut self.parts {
            give_back(&mut part.held, kept);
        }
    }

    /// What its shares hold then of each, for `bytes` more.
    fn wanted(&self, bytes: usize) -> usize {
        let more = bytes.saturating_mul(self.copies);
        self.charged.saturating_add(more).div_ceil(UNIT)
    }

    /// Takes of its shares what `bytes` more need, if that is to be had at once.
    pub(super) fn try_parts(&mut self, bytes: usize) -> Result<(), Refusal> {
        let wanted = self.wanted(bytes);
        for part in &mut self.parts {
            let missing = part.missing(wanted)?;
            let permit = Arc::clone(&part.share.free).try_acquire_many_owned(missing);
            part.keep(permit.map_err(|_| part.share.refused(wanted))?);
        }
        Ok(())
    }

    /// The same, and waits for what others give back, but not for longer than for all else.
    pub(super) async fn wait_for_parts(&mut self, bytes: usize) -> Result<(), Refusal> {
        let wanted = self.wanted(bytes);
        for part in &mut self.parts {
            let missing = part.missing(wanted)?;
            let waiting = Instant::now();
            let permit = Arc::clone(&part.share.free).acquire_many_owned(missing);
            let permit = timeout(self.patience, permit).await;
            self.patience = self.patience.saturating_sub(waiting.elapsed());
            match permit {
                Ok(Ok(permit)) => part.keep(permit),
                Ok(Err(_)) | Err(_) => return Err(part.share.refused(wanted)),
            }
        }
        Ok(())
    }
}

/// Gives back what is more than `kept`; how many are kept.
fn give_back(held: &mut Option<OwnedSemaphorePermit>, kept: usize) -> usize {
    let Some(permit) = held else { return 0 };
    let more = permit.num_permits().saturating_sub(kept);
    drop(permit.split(more));
    permit.num_permits()
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use super::super::{Budget, Limits};
    use super::*;

    const MIB: usize = 1 << 20;

    fn budget() -> Budget {
        Budget::new(Limits {
            limit_mib: 64,
            spike_mib: 0,
        })
    }

    fn share(mib: u64) -> Arc<Share> {
        Arc::new(Share::new(mib << 20, format!("the {mib} MiB")))
    }

    #[tokio::test(start_paused = true)]
    async fn leases_have_no_more_together_than_their_share() {
        let (budget, share) = (budget(), share(10));
        let mut first = budget.lease_for_copy().of(&share);
        first.charge(6 * MIB).await.unwrap();
        let mut second = budget.lease_for_copy().of(&share);
        second.charge_ahead(4 * MIB).await.unwrap();
        let refused = second.charge(1).await.unwrap_err();
        assert!(refused.is_retryable());
        assert_eq!(refused.to_string(), "all is taken of the 10 MiB");
        assert!(second.try_charge(1).is_err());
        // Others have the rest.
        budget.lease_for_copy().charge(20 * MIB).await.unwrap();
        // What no other gives back is more than there ever is.
        let mut third = budget.lease_for_copy().of(&share);
        let refused = third.charge_ahead(11 * MIB).await.unwrap_err();
        assert!(!refused.is_retryable());
        assert_eq!(
            refused.to_string(),
            "the request takes more than the 10 MiB"
        );
        let bytes = first.hold(bytes::Bytes::from_static(b"request"));
        assert_eq!(share.taken(), 10 << 20);
        drop(bytes);
        assert_eq!(share.taken(), 4 << 20);
        second.charge(6 * MIB).await.unwrap();
    }

    #[tokio::test]
    async fn a_request_has_its_part_at_once_or_not_at_all() {
        let share = share(10);
        let first = share.take(3 * MIB).unwrap();
        assert_eq!(share.taken(), 6 << 20);
        let refused = share.take(3 * MIB).unwrap_err();
        assert!(refused.is_retryable(), "{refused}");
        share.take(2 * MIB).unwrap();
        drop(first);
        // One that is larger than all goes alone.
        let all = share.take(30 * MIB).unwrap();
        assert_eq!(share.taken(), 10 << 20);
        let refused = share.take(1).unwrap_err();
        assert!(refused.is_retryable(), "{refused}");
        drop(all);
        assert_eq!(share.taken(), 0);
    }

    #[tokio::test(start_paused = true)]
    async fn a_budget_may_be_within_a_share() {
        let (budget, share) = (budget(), share(10));
        let within = budget.within(Some(&share));
        let mut lease = within.lease();
        lease.try_charge(4 * MIB).unwrap();
        assert_eq!(share.taken(), 8 << 20);
        assert!(within.lease_for_copy().try_charge(3 * MIB).is_err());
        // What is read back may be larger, and has its turn.
        assert!(within.lease_to_send_again(20 * MIB).await.is_err());
        drop(lease);
        within.lease_to_send_again(20 * MIB).await.unwrap();
        budget.within(None).lease().try_charge(20 * MIB).unwrap();
    }

    #[tokio::test(start_paused = true)]
    async fn what_another_gives_back_is_waited_for() {
        let (budget, share) = (budget(), share(10));
        let mut first = budget.lease_for_copy().of(&share);
        first.charge(10 * MIB).await.unwrap();
        let waiting = tokio::spawn({
            let mut lease = budget.lease_for_copy().of(&share);
            async move { lease.charge(MIB).await }
        });
        tokio::time::sleep(std::time::Duration::from_millis(500)).await;
        drop(first);
        waiting.await.unwrap().unwrap();
    }

    #[tokio::test]
    async fn what_is_not_needed_any_more_is_given_back() {
        let (budget, [all, own]) = (budget(), [share(20), share(5)]);
        let mut lease = budget.lease_for_more().of(&all);
        lease.charge_ahead(8 * MIB).await.unwrap();
        assert_eq!((budget.in_flight(), all.taken()), (16 << 20, 16 << 20));
        lease.settle(3 * MIB);
        assert_eq!((budget.in_flight(), all.taken()), (3 << 20, 3 << 20));
        lease.enter(&own).await.unwrap();
        assert_eq!(own.taken(), 3 << 20);
        lease.charge_ahead(MIB).await.unwrap();
        for taken in [budget.in_flight(), all.taken(), own.taken()] {
            assert_eq!(taken, 4 << 20);
        }
        drop(lease);
        for taken in [budget.in_flight(), all.taken(), own.taken()] {
            assert_eq!(taken, 0);
        }
    }
}
