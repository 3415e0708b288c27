//! Checks that take long: each is made once, whoever asks for it, and whoever of them leaves meanwhile.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::timeout;

/// How long somebody waits for what another has begun: they have a place for that, which others need.
const WAIT: Duration = Duration::from_mins(1);

/// What comes of each check that is under way.
type UnderWay<K, T> = Mutex<HashMap<K, watch::Receiver<Option<T>>>>;

/// Checks that are under way. They end with this.
pub(super) struct Checks<K, T> {
    under_way: Arc<UnderWay<K, T>>,
    tasks: Mutex<JoinSet<()>>,
}

/// One of them, for one who waits for it.
pub(super) struct Check<T> {
    outcome: watch::Receiver<Option<T>>,
    is_own: bool,
}

impl<K, T> Checks<K, T>
where
    K: Clone + Eq + Hash + Send + 'static,
    T: Send + Sync + 'static,
{
    pub(super) fn new() -> Self {
        Self {
            under_way: Arc::default(),
            tasks: Mutex::default(),
        }
    }

    /// The one that another has begun.
    pub(super) fn under_way(&self, key: &K) -> Option<Check<T>> {
        let under_way = lock(&self.under_way);
        under_way.get(key).map(|outcome| Check {
            outcome: outcome.clone(),
            is_own: false,
        })
    }

    /// Begins one, unless another has done so meanwhile. It goes on also where nobody waits for it any more: who reads
    /// parts often leaves for another part of the same.
    pub(super) fn begin(
        &self,
        key: K,
        check: impl Future<Output = T> + Send + 'static,
    ) -> Check<T> {
        let mut under_way = lock(&self.under_way);
        if let Some(outcome) = under_way.get(&key) {
            return Check {
                outcome: outcome.clone(),
                is_own: false,
            };
        }
        let (sender, outcome) = watch::channel(None);
        under_way.insert(key.clone(), outcome.clone());
        drop(under_way);
        let ends = Ends {
            under_way: Arc::clone(&self.under_way),
            key,
        };
        let mut tasks = lock(&self.tasks);
        while tasks.try_join_next().is_some() {}
        tasks.spawn(async move {
            let found = check.await;
            drop(ends);
            sender.send_replace(Some(found));
        });
        Check {
            outcome,
            is_own: true,
        }
    }
}

impl<T: Clone> Check<T> {
    /// What comes of it; nothing where that takes too long for another's, or where it broke off.
    pub(super) async fn outcome(mut self) -> Option<T> {
        let ends = self.outcome.wait_for(Option::is_some);
        let ended = if self.is_own {
            ends.await
        } else {
            timeout(WAIT, ends).await.ok()?
        };
        ended.ok()?.clone()
    }
}

/// A check that is under way until this is dropped, however it ends.
struct Ends<K: Eq + Hash, T> {
    under_way: Arc<UnderWay<K, T>>,
    key: K,
}

impl<K: Eq + Hash, T> Drop for Ends<K, T> {
    fn drop(&mut self) {
        lock(&self.under_way).remove(&self.key);
    }
}

fn lock<T>(locked: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    locked.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use std::future::pending;

    use tokio::sync::oneshot;
    use tokio::time::{Instant, sleep};

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_check_goes_on_when_its_first_asker_leaves() {
        let checks = Checks::new();
        let (ends, end) = oneshot::channel::<u32>();
        let first = checks.begin("a", async { end.await.unwrap() });
        let left = timeout(2 * WAIT, first.outcome()).await;
        assert!(left.is_err(), "who has begun it waits for its end");
        let second = checks.under_way(&"a").unwrap();
        let third = checks.begin("a", async { 9 });
        assert!(checks.under_way(&"b").is_none());
        ends.send(7).unwrap();
        assert_eq!(second.outcome().await, Some(7));
        assert_eq!(third.outcome().await, Some(7));
        // It is over, and another one may begin.
        assert!(checks.under_way(&"a").is_none());
        let again = checks.begin("a", async { 8 });
        assert_eq!(again.outcome().await, Some(8));
    }

    #[tokio::test(start_paused = true)]
    async fn who_waits_for_the_check_of_another_does_not_wait_for_ever() {
        let checks = Checks::new();
        let _first = checks.begin("a", pending::<u32>());
        let begun = Instant::now();
        let second = checks.under_way(&"a").unwrap();
        assert_eq!(second.outcome().await, None);
        assert_eq!(begun.elapsed().as_secs(), WAIT.as_secs());
    }

    /// What it has is needed elsewhere: a folder is opened once.
    #[tokio::test(start_paused = true)]
    async fn nothing_is_checked_for_a_server_that_is_gone() {
        let held = Arc::new(());
        let checks = Checks::new();
        let kept = Arc::clone(&held);
        let check = checks.begin("a", async move {
            sleep(WAIT).await;
            drop(kept);
        });
        drop(checks);
        assert_eq!(check.outcome().await, None);
        assert_eq!(Arc::strong_count(&held), 1);
    }
}
