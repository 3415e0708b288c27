use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

use tokio::sync::Notify;
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;

use crate::telemetry::Lately;

/// How much a queue holds, and who waits until it holds less.
#[derive(Debug)]
pub(super) struct Room {
    limit: u64,
    taken: Mutex<u64>,
    freed: Notify,
    waiters: AtomicUsize,
    lacked: Mutex<(u64, Lately)>,
}

impl Room {
    pub(super) fn new(limit: u64) -> Self {
        Self {
            limit,
            taken: Mutex::new(0),
            freed: Notify::new(),
            waiters: AtomicUsize::new(0),
            lacked: Mutex::default(),
        }
    }

    pub(super) fn limit(&self) -> u64 {
        self.limit
    }

    pub(super) fn taken(&self) -> u64 {
        *self.lock()
    }

    /// There was no room for so much.
    pub(super) fn lacked(&self, size: u64) {
        *self.lacked.lock().unwrap_or_else(PoisonError::into_inner) = (size, Lately::now());
    }

    /// Whether there was no room for something lately, and is none for it yet. With requests of many
    /// sizes nothing may fit long before everything is taken.
    pub(super) fn is_full(&self) -> bool {
        let (size, lately) = *self.lacked.lock().unwrap_or_else(PoisonError::into_inner);
        lately.holds() && self.taken().saturating_add(size) > self.limit
    }

    /// Takes `size` if there is as much.
    pub(super) fn try_take(&self, size: u64) -> bool {
        let mut taken = self.lock();
        let fits = taken.saturating_add(size) <= self.limit;
        if fits {
            *taken += size;
        }
        fits
    }

    /// Takes `size` as soon as there is as much, until `deadline` or the `stop`.
    pub(super) async fn take(
        &self,
        size: u64,
        deadline: Instant,
        stop: &CancellationToken,
    ) -> bool {
        let _waits = Waits::one(&self.waiters);
        loop {
            // Asked for before the look, so that nothing is missed between the two.
            let freed = self.freed.notified();
            if self.try_take(size) {
                return true;
            }
            tokio::select! {
                () = freed => {}
                () = sleep_until(deadline) => return false,
                () = stop.cancelled() => return false,
            }
        }
    }

    /// Whether somebody waits for room: what is in it is to go, and not to wait for more.
    pub(super) fn is_waited_for(&self) -> bool {
        self.waiters.load(Ordering::Relaxed) > 0
    }

    /// Takes `size` whether there is as much or not: it is there already.
    pub(super) fn take_anyway(&self, size: u64) {
        *self.lock() += size;
    }

    pub(super) fn give_back(&self, size: u64) {
        *self.lock() -= size;
        self.freed.notify_waiters();
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, u64> {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One who waits, as long as this lasts.
struct Waits<'a>(&'a AtomicUsize);

impl<'a> Waits<'a> {
    fn one(waiters: &'a AtomicUsize) -> Self {
        waiters.fetch_add(1, Ordering::Relaxed);
        Self(waiters)
    }
}

impl Drop for Waits<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn is_full_while_there_is_none_for_what_found_none() {
        let room = Room::new(100);
        assert!(room.try_take(99));
        assert!(!room.is_full());
        assert!(!room.try_take(2));
        room.lacked(2);
        assert!(room.is_full());
        room.give_back(1);
        assert!(!room.is_full());
    }

    #[tokio::test(start_paused = true)]
    async fn takes_what_there_is_and_waits_for_more() {
        let room = Room::new(10);
        assert!(room.try_take(10));
        assert!(!room.try_take(1));
        let soon = Instant::now() + Duration::from_secs(1);
        let stop = CancellationToken::new();
        assert!(!room.take(1, soon, &stop).await);
        assert_eq!(Instant::now(), soon);
        let later = soon + Duration::from_secs(1);
        let (taken, ()) = tokio::join!(room.take(4, later, &stop), async {
            for _ in 0..4 {
                room.give_back(1);
            }
        });
        assert!(taken);
        let (taken, ()) = tokio::join!(room.take(9, later, &stop), async { stop.cancel() });
        assert!(!taken);
        room.give_back(4);
        assert!(room.try_take(4));
        room.take_anyway(100);
        room.give_back(100);
        assert!(!room.try_take(1));
    }
}
