use std::sync::{Mutex, PoisonError};

use tokio::sync::Notify;
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;

/// How much a queue holds, and who waits until it holds less.
#[derive(Debug)]
pub(super) struct Room {
    limit: u64,
    taken: Mutex<u64>,
    freed: Notify,
}

impl Room {
    pub(super) fn new(limit: u64) -> Self {
        Self {
            limit,
            taken: Mutex::new(0),
            freed: Notify::new(),
        }
    }

    pub(super) fn limit(&self) -> u64 {
        self.limit
    }

    pub(super) fn taken(&self) -> u64 {
        *self.lock()
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

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

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
