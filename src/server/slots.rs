//! How much is done at a time: for all, and for one who asks.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, timeout_at};

/// How long a request waits for others to end.
pub(super) const PATIENCE: Duration = Duration::from_secs(5);

/// Places for what is done.
#[derive(Debug)]
pub(super) struct Slots {
    all: Arc<Semaphore>,
    of_all: usize,
    /// Of which one may have half: who is slow, in many requests, leaves the others theirs.
    of_one: usize,
    /// How long a request waits for one.
    patience: Duration,
    /// Those of whom something is done, or waits.
    shares: Mutex<HashMap<String, Weak<Semaphore>>>,
}

/// A place that is taken.
#[derive(Debug)]
pub(super) struct Slot {
    _of_all: OwnedSemaphorePermit,
    _of_one: OwnedSemaphorePermit,
}

/// Which places are taken, and how many there are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Full {
    All(usize),
    OfOne(usize),
}

impl fmt::Display for Full {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::All(places) => write!(f, "all places are taken, of which there are {places}"),
            Self::OfOne(places) => write!(
                f,
                "all places are taken that one tenant, user, token or address may have, which are {places}"
            ),
        }
    }
}

impl Slots {
    pub(super) fn new(all: usize) -> Self {
        Self::waited_for(all, PATIENCE)
    }

    /// The same where a request waits longer, or less long.
    pub(super) fn waited_for(all: usize, patience: Duration) -> Self {
        Self {
            all: Arc::new(Semaphore::new(all)),
            of_all: all,
            of_one: all.div_ceil(2),
            patience,
            shares: Mutex::default(),
        }
    }

    /// Waits for a place for `who`, but not for long.
    pub(super) async fn take(&self, who: &str) -> Result<Slot, Full> {
        self.take_until(Instant::now() + self.patience, who).await
    }

    /// The same for who has waited for something else, too: not at all where `until` is over.
    pub(super) async fn take_until(&self, until: Instant, who: &str) -> Result<Slot, Full> {
        let of_one = permit(self.share(who), until).await;
        let of_one = of_one.ok_or(Full::OfOne(self.of_one))?;
        let of_all = permit(Arc::clone(&self.all), until).await;
        let of_all = of_all.ok_or(Full::All(self.of_all))?;
        Ok(Slot {
            _of_all: of_all,
            _of_one: of_one,
        })
    }

    /// What `who` may have. It is there as long as something of that is taken, however long that is.
    fn share(&self, who: &str) -> Arc<Semaphore> {
        let mut shares = self.shares.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(share) = shares.get(who).and_then(Weak::upgrade) {
            return share;
        }
        shares.retain(|_, share| share.strong_count() > 0);
        let share = Arc::new(Semaphore::new(self.of_one));
        shares.insert(who.to_owned(), Arc::downgrade(&share));
        share
    }
}

async fn permit(places: Arc<Semaphore>, until: Instant) -> Option<OwnedSemaphorePermit> {
    timeout_at(until, places.acquire_owned()).await.ok()?.ok()
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
        // However long that takes.
        tokio::time::advance(Duration::from_hours(24)).await;
        assert_eq!(slots.take("a").await.unwrap_err(), Full::OfOne(3));
        taken.push(slots.take("b").await.unwrap());
        taken.push(slots.take("c").await.unwrap());
        assert_eq!(slots.take("d").await.unwrap_err(), Full::All(5));
        taken.truncate(2);
        let _again = (
            slots.take("a").await.unwrap(),
            slots.take("d").await.unwrap(),
        );
        Slots::new(1).take("a").await.unwrap();
    }

    #[tokio::test(start_paused = true)]
    async fn a_place_is_waited_for_as_long_as_it_may_take_and_no_longer() {
        let patience = 4 * PATIENCE;
        let slots = Slots::waited_for(1, patience);
        let taken = slots.take("a").await.unwrap();
        let begun = Instant::now();
        assert_eq!(slots.take("a").await.unwrap_err(), Full::OfOne(1));
        assert_eq!(begun.elapsed().as_secs(), patience.as_secs());
        let ends = async {
            tokio::time::sleep(3 * PATIENCE).await;
            drop(taken);
        };
        let (again, ()) = tokio::join!(slots.take("a"), ends);
        again.unwrap();
    }

    /// Somebody may have many names.
    #[tokio::test]
    async fn who_has_nothing_is_not_remembered() {
        let slots = Slots::new(5);
        let _taken = slots.take("a").await.unwrap();
        for name in 0..1000 {
            slots.take(&name.to_string()).await.unwrap();
        }
        assert!(slots.shares.lock().unwrap().len() <= 2);
        assert!(slots.shares.lock().unwrap().contains_key("a"));
    }
}
