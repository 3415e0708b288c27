//! How many puts go to a store at a time.
//!
//! A store that takes little would get more puts than it can end in the time that each has. Then all
//! of them end unfinished, and it has worked for nothing. So puts wait for one another, in the order
//! in which they came, and how many go at a time follows from how long they take: more while they are
//! quick, fewer when they become slow.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::Instant;

use super::together::Together;

/// At the beginning, when nothing is known.
const FIRST: usize = 16;

const FEWEST: usize = 2;
const MOST: usize = 512;

/// How many puts go at a time, and who goes next. Clones are of the same.
#[derive(Debug, Clone)]
pub(super) struct Pace {
    /// Who know of an outage for all; none in what all share themselves.
    together: Option<Arc<Together>>,
    slots: Arc<Semaphore>,
    state: Arc<Mutex<State>>,
}

#[derive(Debug)]
struct State {
    /// So many go at a time.
    width: usize,
    /// Never more than that.
    most: usize,
    /// So many more do that went before it became narrower.
    surplus: usize,
    /// Quick ones since it last changed.
    quick: usize,
    /// When it became narrower last: what began before says nothing about how it is since.
    narrowed: Option<Instant>,
}

/// The place of one put among those that go; free again when dropped.
#[derive(Debug)]
pub(super) struct Slot {
    pace: Pace,
    permit: Option<OwnedSemaphorePermit>,
    began: Instant,
    /// A put that takes longer is slow.
    slow: Duration,
    /// Whether how long it took says nothing.
    is_odd: bool,
    /// Its place among those of all tenants, right after an outage.
    of_all: Option<Box<Slot>>,
}

impl Pace {
    /// That of one tenant.
    pub(super) fn new(together: Arc<Together>) -> Self {
        Self::of(Some(together), MOST)
    }

    /// That of all tenants right after an outage.
    pub(super) fn of_all() -> Self {
        Self::of(None, Semaphore::MAX_PERMITS)
    }

    fn of(together: Option<Arc<Together>>, most: usize) -> Self {
        Self {
            together,
            slots: Arc::new(Semaphore::new(FIRST)),
            state: Arc::new(Mutex::new(State {
                width: FIRST,
                most,
                surplus: 0,
                quick: 0,
                narrowed: None,
            })),
        }
    }

    /// Waits until a put may go that has `patience`.
    pub(super) async fn slot(&self, patience: Duration) -> Slot {
        let permit = self.permit().await;
        let of_all = match self.together.as_ref().and_then(|all| all.eased()) {
            Some(all) => {
                let permit = all.permit().await;
                Some(Box::new(all.begin(permit, patience, None)))
            }
            None => None,
        };
        self.begin(permit, patience, of_all)
    }

    /// Whether one more could go at once.
    pub(super) fn is_free(&self) -> bool {
        self.slots.available_permits() > 0
    }

    async fn permit(&self) -> Option<OwnedSemaphorePermit> {
        // It is never closed.
        Arc::clone(&self.slots).acquire_owned().await.ok()
    }

    fn begin(
        &self,
        permit: Option<OwnedSemaphorePermit>,
        patience: Duration,
        of_all: Option<Box<Slot>>,
    ) -> Slot {
        Slot {
            pace: self.clone(),
            permit,
            began: Instant::now(),
            slow: patience / 2,
            is_odd: false,
            of_all,
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Nothing under the lock panics half-way.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// How many more may go.
    fn quick(&mut self) -> usize {
        self.quick += 1;
        // Twice as many each time round until one was slow, then one more each time.
        if self.width >= self.most || self.narrowed.is_some() && self.quick < self.width {
            return 0;
        }
        self.quick = 0;
        self.width += 1;
        let owed = self.surplus.min(1);
        self.surplus -= owed;
        1 - owed
    }

    fn slow(&mut self, began: Instant) {
        if self.narrowed.is_some_and(|narrowed| began < narrowed) {
            return;
        }
        let width = (self.width * 3 / 4).max(FEWEST);
        self.surplus += self.width - width;
        self.width = width;
        self.quick = 0;
        self.narrowed = Some(Instant::now());
    }
}

impl Slot {
    /// The store did not do what it was asked, so how quick it was says nothing.
    pub(super) fn failed(&mut self) {
        self.is_odd = true;
        if let Some(of_all) = &mut self.of_all {
            of_all.failed();
        }
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        let mut state = self.pace.lock();
        // Also one that nobody waits for any more.
        if self.began.elapsed() > self.slow {
            state.slow(self.began);
        } else if !self.is_odd {
            let more = state.quick();
            self.pace.slots.add_permits(more);
        }
        if state.surplus > 0
            && let Some(permit) = self.permit.take()
        {
            state.surplus -= 1;
            permit.forget();
        }
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt as _;
    use tokio::task::unconstrained;
    use tokio::time::advance;

    use super::*;

    const PATIENCE: Duration = Duration::from_secs(4);

    fn pace() -> Pace {
        Pace::new(Together::new("s3://media".into()))
    }

    /// As many as may go now.
    fn all(pace: &Pace) -> Vec<Slot> {
        let slot = || unconstrained(pace.slot(PATIENCE)).now_or_never();
        std::iter::from_fn(slot).collect()
    }

    /// Lets all go at a time that may, until each has taken so long; returns how many there were.
    async fn round(pace: &Pace, takes: Duration) -> usize {
        let going = all(pace);
        advance(takes).await;
        going.len()
    }

    #[tokio::test(start_paused = true)]
    async fn quick_ones_bring_more_and_slow_ones_fewer() {
        let pace = pace();
        let quick = Duration::from_millis(50);
        for expected in [16, 32, 64, 128, 256, 512, 512] {
            assert_eq!(round(&pace, quick).await, expected);
        }
        for expected in [512, 384, 288, 216] {
            assert_eq!(round(&pace, PATIENCE).await, expected, "one step a round");
        }
        for expected in [162, 163, 164] {
            assert_eq!(round(&pace, quick).await, expected);
        }
        for _ in 0..100 {
            round(&pace, PATIENCE).await;
        }
        assert_eq!(round(&pace, quick).await, FEWEST);
    }

    /// A store that answers at once that it does not work is not a quick one.
    #[tokio::test(start_paused = true)]
    async fn what_fails_at_once_brings_no_more() {
        let pace = pace();
        for _ in 0..10 {
            let mut going = all(&pace);
            assert_eq!(going.len(), FIRST);
            going.iter_mut().for_each(Slot::failed);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn who_came_first_goes_first() {
        let pace = pace();
        let mut going = all(&pace);
        let mut first = Box::pin(pace.slot(PATIENCE));
        let mut second = Box::pin(pace.slot(PATIENCE));
        assert!((&mut first).now_or_never().is_none());
        assert!((&mut second).now_or_never().is_none());
        if let Some(mut slot) = going.pop() {
            slot.failed();
        }
        assert!((&mut second).now_or_never().is_none());
        assert!((&mut first).now_or_never().is_some());
    }
}
