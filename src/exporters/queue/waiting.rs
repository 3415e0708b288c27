use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::{Notify, watch};
use tokio::time::{Instant, sleep_until};

/// What waits for one of several consumers, in order.
#[derive(Debug)]
pub(super) struct Waiting<T> {
    line: Mutex<VecDeque<T>>,
    more: Notify,
    /// When all has to have ended, once that is known.
    end: watch::Sender<Option<Instant>>,
}

impl<T> Default for Waiting<T> {
    fn default() -> Self {
        Self {
            line: Mutex::new(VecDeque::new()),
            more: Notify::new(),
            end: watch::Sender::new(None),
        }
    }
}

impl<T> Waiting<T> {
    /// To the end of the line; back where it is too late and it `may_stay` nowhere.
    pub(super) fn push(&self, one: T, may_stay: bool) -> Result<(), T> {
        let mut line = self.lock();
        // Under the lock, so that nothing is pushed behind the back of the last consumer.
        if self.end().is_some() && !may_stay {
            return Err(one);
        }
        line.push_back(one);
        drop(line);
        self.more.notify_one();
        Ok(())
    }

    /// All that still waits.
    pub(super) fn take_rest(&self) -> Vec<T> {
        self.lock().drain(..).collect()
    }

    /// To the front, where it came from. Nobody is told: it is there for the next start.
    pub(super) fn put_back(&self, one: T) {
        self.lock().push_front(one);
    }

    pub(super) fn len(&self) -> usize {
        self.lock().len()
    }

    /// The next; `None` at the end. What may stay is not begun any more after [`close`](Self::close).
    pub(super) async fn next(&self, may_stay: bool) -> Option<T> {
        let mut end = self.end.subscribe();
        loop {
            let more = self.more.notified();
            let closed = self.end().is_some();
            if closed && may_stay {
                return None;
            }
            if let Some(next) = self.lock().pop_front() {
                return Some(next);
            }
            if closed {
                return None;
            }
            tokio::select! {
                () = more => {}
                _ = end.changed() => {}
            }
        }
    }

    /// Nothing more comes, and what is under way ends by `end`.
    pub(super) fn close(&self, end: Instant) {
        let _line = self.lock();
        self.end.send_replace(Some(end));
    }

    /// When all has to have ended, if that is known.
    pub(super) fn end(&self) -> Option<Instant> {
        *self.end.borrow()
    }

    /// Waits until all has to have ended.
    pub(super) async fn ended(&self) {
        let mut end = self.end.subscribe();
        let known = end
            .wait_for(Option::is_some)
            .await
            .ok()
            .and_then(|end| *end);
        match known {
            Some(end) => sleep_until(end).await,
            None => std::future::pending().await,
        }
    }

    fn lock(&self) -> MutexGuard<'_, VecDeque<T>> {
        self.line.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::Duration;

    use super::*;

    #[tokio::test]
    async fn every_one_has_one_consumer() {
        let waiting = Arc::new(Waiting::default());
        let consumers: Vec<_> = (0..4)
            .map(|_| {
                let waiting = Arc::clone(&waiting);
                tokio::spawn(async move {
                    let mut had = Vec::new();
                    while let Some(one) = waiting.next(false).await {
                        had.push(one);
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
        let waiting = Waiting::default();
        for one in [1, 2] {
            assert_eq!(waiting.push(one, true), Ok(()));
        }
        assert_eq!(waiting.next(true).await, Some(1));
        waiting.put_back(1);
        let end = Instant::now() + Duration::from_secs(1);
        waiting.close(end);
        assert_eq!(waiting.next(true).await, None);
        assert_eq!((waiting.len(), waiting.end()), (2, Some(end)));
        assert_eq!(
            (waiting.push(3, true), waiting.push(4, false)),
            (Ok(()), Err(4))
        );
        assert_eq!(waiting.take_rest(), [1, 2, 3]);
        waiting.ended().await;
        assert_eq!(Instant::now(), end);
    }
}
