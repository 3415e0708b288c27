use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::{Notify, watch};
use tokio::time::{Instant, sleep_until};

use super::line::{Batches, Waits};
use super::turns::{Ended, Turn, Turns, Went};
use crate::backoff::Backoff;

/// What waits for one of several consumers, in order.
#[derive(Debug)]
pub(super) struct Waiting<T> {
    turns: Mutex<Turns<T>>,
    more: Notify,
    /// When all has to have ended, once that is known.
    end: watch::Sender<Option<Instant>>,
}

impl<T: Waits> Waiting<T> {
    /// Each goes alone, or in `batches`, to so many consumers. What is refused for now rests as `backoff` says.
    pub(super) fn new(batches: Option<Batches>, backoff: Backoff, consumers: usize) -> Self {
        Self {
            turns: Mutex::new(Turns::new(batches, backoff, consumers)),
            more: Notify::new(),
            end: watch::Sender::new(None),
        }
    }

    /// To the end of the line; back where it is too late and it `may_stay` nowhere.
    pub(super) fn push(&self, one: T, may_stay: bool) -> Result<(), T> {
        let mut turns = self.lock();
        // Under the lock, so that nothing is pushed behind the back of the last consumer.
        if self.end().is_some() && !may_stay {
            return Err(one);
        }
        turns.line().push_back(one);
        drop(turns);
        self.more.notify_one();
        Ok(())
    }

    /// No more can come, so that nothing waits for it.
    pub(super) fn hurry(&self) {
        self.lock().line().hurry();
        self.more.notify_one();
    }

    /// All that still waits.
    pub(super) fn take_rest(&self) -> Vec<T> {
        self.lock().take_rest()
    }

    /// The backend takes requests. Who waited for that is told.
    pub(super) fn answered(&self) {
        self.lock().answered();
        self.more.notify_one();
    }

    /// What had its turn shows nothing of the backend, and is busy. Somebody else may show it.
    pub(super) fn shows_nothing(&self, went: &Went) {
        self.lock().shows_nothing(went);
        self.more.notify_one();
    }

    /// What became of what had its turn. Nobody is told: what is left of it is there for the next start, or for
    /// who had it, and who takes the next one tells others of what is left.
    pub(super) fn ended(&self, went: Went, ended: Ended<T>) {
        self.lock().ended(went, ended);
    }

    pub(super) fn len(&self) -> usize {
        self.lock().len()
    }

    /// The next, or those that go with it; `None` at the end. What may stay is not begun any more after
    /// [`close`](Self::close), and what may not does not wait for more then.
    pub(super) async fn next(&self, may_stay: bool) -> Option<Turn<T>> {
        let mut end = self.end.subscribe();
        loop {
            let more = self.more.notified();
            let closed = self.end().is_some();
            if closed && may_stay {
                return None;
            }
            let due = {
                let mut turns = self.lock();
                match turns.take(Instant::now(), closed) {
                    Ok(next) => {
                        if turns.len() > 0 {
                            // Who comes next may have slept through what this one knew of.
                            self.more.notify_one();
                        }
                        return Some(next);
                    }
                    Err(due) => due,
                }
            };
            if closed {
                return None;
            }
            tokio::select! {
                () = more => {}
                _ = end.changed() => {}
                () = until(due) => {}
            }
        }
    }

    /// Nothing more comes, and what is under way ends by `end`.
    pub(super) fn close(&self, end: Instant) {
        let _turns = self.lock();
        self.end.send_replace(Some(end));
    }

    /// When all has to have ended, if that is known.
    pub(super) fn end(&self) -> Option<Instant> {
        *self.end.borrow()
    }

    /// Waits until all has to have ended.
    pub(super) async fn over(&self) {
        let mut end = self.end.subscribe();
        let known = end
            .wait_for(Option::is_some)
            .await
            .ok()
            .and_then(|end| *end);
        until(known).await;
    }

    fn lock(&self) -> MutexGuard<'_, Turns<T>> {
        self.turns.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn until(due: Option<Instant>) {
    match due {
        Some(due) => sleep_until(due).await,
        None => std::future::pending().await,
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::Duration;

    use super::*;

    fn waiting() -> Waiting<i32> {
        let second = Duration::from_secs(1);
        Waiting::new(None, Backoff::doubling(second, second), 4)
    }

    #[tokio::test]
    async fn every_one_has_one_consumer() {
        let waiting = Arc::new(waiting());
        let consumers: Vec<_> = (0..4)
            .map(|_| {
                let waiting = Arc::clone(&waiting);
                tokio::spawn(async move {
                    let mut had = Vec::new();
                    while let Some(turn) = waiting.next(false).await {
                        had.extend(turn.ones);
                        tokio::task::yield_now().await;
                    }
                    had
                })
            })
            .collect();
        for one in 0..1_000 {
            assert_eq!(waiting.push(one, false), Ok(()));
            if one % 7 == 0 {
                tokio::task::yield_now().await;
            }
        }
        waiting.close(Instant::now());
        let mut all = Vec::new();
        for consumer in consumers {
            all.extend(consumer.await.unwrap_or_default());
        }
        all.sort_unstable();
        assert_eq!(all, (0..1_000).collect::<Vec<_>>());
    }

    #[tokio::test(start_paused = true)]
    async fn what_may_stay_stays_after_the_close() {
        let waiting = waiting();
        for one in [1, 2] {
            assert_eq!(waiting.push(one, true), Ok(()));
        }
        let turn = waiting.next(true).await;
        let Some(Turn { ones, went }) = turn else {
            unreachable!("two are there")
        };
        assert_eq!(ones, [1]);
        let ended = Ended {
            is_answered: false,
            again: ones,
            left: Vec::new(),
            refused: Vec::new(),
            later: None,
        };
        waiting.ended(went, ended);
        let end = Instant::now() + Duration::from_secs(1);
        waiting.close(end);
        assert!(waiting.next(true).await.is_none());
        assert_eq!((waiting.len(), waiting.end()), (2, Some(end)));
        assert_eq!(
            (waiting.push(3, true), waiting.push(4, false)),
            (Ok(()), Err(4))
        );
        assert_eq!(waiting.take_rest(), [1, 2, 3]);
        waiting.over().await;
        assert_eq!(Instant::now(), end);
    }
}
