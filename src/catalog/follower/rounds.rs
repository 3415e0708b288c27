//! When a catalog that is followed is looked at, and how far back.

use std::convert::Infallible;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::{Instant, sleep, sleep_until};
use tokio_util::sync::CancellationToken;

use super::super::error::CatalogError;
use super::{Catalog, Looked, Reach, Synced};
use crate::telemetry::Seldom;

/// How often it is looked for what is new, at least.
pub(super) const POLL: Duration = Duration::from_secs(2);

/// How often at most: a bucket has its price for each look.
const SOONEST: Duration = Duration::from_millis(200);

/// How often it is looked further back, for what a slow replica put late, or one whose clock goes otherwise.
const LOOK_BACK: Duration = Duration::from_mins(1);

/// How often everything is listed.
const LOOK_OVER: Duration = Duration::from_hours(1);

/// What is told of a catalog that cannot be followed.
#[derive(Debug, Default)]
struct Failing(Mutex<Seldom>);

impl Failing {
    fn tell(&self, error: &CatalogError) {
        let mut seldom = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(times) = seldom.occurred() {
            tracing::warn!("the catalog is not up to date: {error} ({times} times)");
        }
    }
}

impl Catalog {
    /// The same for who has new entries put so often: what others put is to be seen as soon.
    #[must_use]
    pub fn as_often_as(self, interval: Duration) -> Self {
        Self {
            poll: interval.clamp(SOONEST, POLL),
            ..self
        }
    }

    /// Follows what is written, until `stop` is cancelled. `ready` is called when the index first has
    /// everything. However long it takes to list all objects, what is new comes meanwhile.
    pub async fn follow(&self, stop: CancellationToken, ready: impl FnOnce()) {
        let failing = Failing::default();
        // An index that has nothing yet is made ready for very much before the first that is new comes into it. Where
        // that fails, so does what comes next, which tells of it.
        let _ = self.index.begin_load().await;
        let missed = Notify::new();
        let two = self.for_two();
        tokio::select! {
            () = stop.cancelled() => {}
            never = two.look_over(ready, &missed, &failing) => match never {},
            never = two.look_on(&missed, &failing) => match never {},
        }
    }

    /// Looks at everything now and then, and when something was `missed`.
    async fn look_over(
        &self,
        ready: impl FnOnce(),
        missed: &Notify,
        failing: &Failing,
    ) -> Infallible {
        let mut ready = Some(ready);
        loop {
            let begun = Instant::now();
            match self.sync(Reach::All).await {
                Ok(_) => {
                    if let Some(ready) = ready.take() {
                        ready();
                    }
                    tokio::select! {
                        () = sleep_until(begun + LOOK_OVER) => {}
                        () = missed.notified() => {}
                    }
                }
                Err(error) => failing.tell(&error),
            }
            sleep(POLL).await;
        }
    }

    /// Looks for what is new.
    async fn look_on(&self, missed: &Notify, failing: &Failing) -> Infallible {
        let mut looked_back = Instant::now();
        loop {
            sleep(self.poll).await;
            let begun = Instant::now();
            let reach = if looked_back.elapsed() >= LOOK_BACK {
                Reach::Back
            } else {
                Reach::Recent
            };
            match self.look(reach, &mut Synced::default()).await {
                Ok(looked) => {
                    if looked == Looked::Merged {
                        // They may be among what is older than what is looked at here by now.
                        missed.notify_one();
                    }
                    if reach == Reach::Back {
                        looked_back = begun;
                    }
                }
                Err(error) => failing.tell(&error),
            }
        }
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use super::*;
    use crate::storage::{Store, StoreConfig};

    #[tokio::test]
    async fn it_is_looked_as_often_as_something_is_put_within_reason() {
        let store = Store::open(&StoreConfig::new("memory://")).unwrap();
        for (interval, poll) in [
            (Duration::from_millis(1), SOONEST),
            (Duration::from_secs(1), Duration::from_secs(1)),
            (Duration::from_mins(1), POLL),
        ] {
            let catalog = Catalog::open_temporary(&store).unwrap();
            assert_eq!(catalog.as_often_as(interval).poll, poll);
        }
    }
}
