//! What one request takes of the budget, and how it waits for it.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, timeout};

use super::share::Part;
use super::{Budget, COPIES, UNIT};
use crate::buffers::Buffers;
use crate::refusal::Refusal;

/// How long a request waits for memory, all in all, before its sender is asked to wait instead.
pub(super) const PATIENCE: Duration = Duration::from_secs(1);

/// What one request has taken of the budget; given back when dropped.
#[derive(Debug)]
pub struct Lease {
    budget: Budget,
    pub(super) held: [Option<OwnedSemaphorePermit>; 2],
    pub(super) charged: usize,
    /// How often a byte of it is in memory.
    pub(super) copies: usize,
    has_begun: bool,
    /// Whether it is all there, so that it has not to wait for its turn.
    has_come: bool,
    turn: Option<OwnedSemaphorePermit>,
    /// What it takes of shares, too.
    pub(super) parts: Vec<Part>,
    pub(super) patience: Duration,
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

/// Lets `bytes` that were made of a request hold the request's lease: as long as they are somewhere, it
/// lasts.
pub fn tie(bytes: Bytes, request: &Bytes) -> Bytes {
    Bytes::from_owner(Tied {
        bytes,
        _request: request.clone(),
    })
}

struct Tied {
    bytes: Bytes,
    _request: Bytes,
}

impl AsRef<[u8]> for Tied {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

impl Budget {
    /// A lease of nothing yet, for a request that comes.
    pub fn lease(&self) -> Lease {
        Lease {
            budget: self.clone(),
            held: [None, None],
            charged: 0,
            copies: COPIES,
            has_begun: false,
            has_come: false,
            turn: None,
            parts: self.share.iter().map(Part::of).collect(),
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

    /// The same for what is in memory once, and of which nothing is made but what would have been made of
    /// the request.
    pub fn lease_for_copy(&self) -> Lease {
        Lease {
            copies: 1,
            ..self.lease_for_more()
        }
    }

    /// A lease for a record of a queue that is to be read back from disk, and sent.
    pub async fn lease_to_send_again(&self, bytes: usize) -> Result<Lease, Refusal> {
        let mut lease = self.lease();
        lease.charge_ahead(bytes.min(self.most_read_back)).await?;
        Ok(lease)
    }

    /// A lease for an artifact that is to be read back from disk, and uploaded as it is. Waits for as
    /// long as it takes: nobody else does.
    pub async fn lease_to_upload(&self, bytes: usize) -> Lease {
        loop {
            let mut lease = Lease {
                copies: 1,
                ..self.lease()
            };
            let charged = lease.charge_ahead(bytes.min(self.most_read_back)).await;
            if charged.is_ok() {
                return lease;
            }
        }
    }
}

impl Lease {
    /// Where what is charged arrives.
    pub fn buffers(&self) -> Buffers {
        self.budget.buffers.clone()
    }

    /// Charges `bytes` of a request that have come, before they are kept. Waits for other requests to
    /// end, but not for long, and not where too much waits already: what waits is in memory, too.
    pub async fn charge(&mut self, bytes: usize) -> Result<(), Refusal> {
        let piece = u32::try_from(bytes.div_ceil(UNIT)).unwrap_or(u32::MAX);
        if self.try_parts(bytes).is_err() {
            let waiting = Arc::clone(&self.budget.waiting);
            let waits = waiting.try_acquire_many_owned(piece);
            let _waits = waits.map_err(|_| self.budget.exhausted(self.has_begun))?;
            self.wait_for_parts(bytes).await?;
        }
        let Some(missing) = self.take(bytes) else {
            return Ok(());
        };
        let waiting = Arc::clone(&self.budget.waiting);
        let stuck = Arc::clone(&self.budget.stuck);
        // One may always wait, however large it is.
        let held = self.held().min(self.budget.most_stuck);
        let held = u32::try_from(held).unwrap_or(u32::MAX);
        let (Ok(_waits), Ok(_sticks)) = (
            waiting.try_acquire_many_owned(piece),
            stuck.try_acquire_many_owned(held),
        ) else {
            return Err(self.budget.exhausted(self.has_begun));
        };
        self.wait_for(missing).await
    }

    /// Charges `bytes` of a request that are not in memory yet. Waits as [`Lease::charge`] does.
    pub async fn charge_ahead(&mut self, bytes: usize) -> Result<(), Refusal> {
        self.wait_for_parts(bytes).await?;
        match self.take(bytes) {
            None => Ok(()),
            Some(missing) => self.wait_for(missing).await,
        }
    }

    async fn wait_for(&mut self, missing: u32) -> Result<(), Refusal> {
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
        self.try_parts(bytes)?;
        match self.take(bytes) {
            None => Ok(()),
            Some(_) => Err(self.budget.exhausted(self.has_begun)),
        }
    }

    /// Whether what was charged last is not to be had even when all other requests have ended, but for
    /// `beside` bytes that this one is made of.
    pub fn is_hopeless(&self, beside: usize) -> bool {
        let needed = self.charged.saturating_add(beside.saturating_mul(COPIES));
        needed as u64 > self.budget.of_requests
    }

    /// From now on its bytes are in memory once: nothing is made of what is compressed but what it
    /// expands to, and that has a lease of its own.
    pub fn is_compressed(&mut self) {
        self.charged /= self.copies;
        self.copies = 1;
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
        self.charged += bytes * self.copies;
        let missing = self.charged.div_ceil(UNIT).saturating_sub(self.held());
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

    /// The permits that it has.
    fn held(&self) -> usize {
        let held = self.held.iter().flatten();
        held.map(OwnedSemaphorePermit::num_permits).sum()
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
