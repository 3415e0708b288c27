use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use futures::FutureExt as _;
use futures::future::{BoxFuture, Shared, WeakShared};

/// Work in progress, at most one piece per key: who asks for a key that is in flight joins it.
///
/// A flight lives as long as somebody waits for it. One who goes away takes nothing from the
/// others: the work neither stops nor starts again, and its deadline does not move.
pub(super) struct Flights<K, T> {
    table: Arc<Mutex<Table<K, T>>>,
}

struct Table<K, T> {
    flights: HashMap<K, Flight<T>>,
    next_id: u64,
}

struct Flight<T> {
    id: u64,
    work: WeakShared<BoxFuture<'static, T>>,
}

/// One who waits for a flight.
pub(super) struct Passenger<T> {
    /// Ends when the flight ends.
    pub(super) work: Shared<BoxFuture<'static, T>>,
    /// The flight began with this passenger.
    pub(super) first: bool,
}

impl<K, T> Flights<K, T>
where
    K: Eq + Hash + Clone + Send + 'static,
    T: Clone + Send + Sync + 'static,
{
    pub(super) fn new() -> Self {
        Self {
            table: Arc::new(Mutex::new(Table {
                flights: HashMap::new(),
                next_id: 0,
            })),
        }
    }

    /// Joins the flight of `key`, or begins it with `work`.
    pub(super) fn join(
        &self,
        key: K,
        work: impl Future<Output = T> + Send + 'static,
    ) -> Passenger<T> {
        let mut table = lock(&self.table);
        if let Some(work) = table.flights.get(&key).and_then(|f| f.work.upgrade()) {
            return Passenger { work, first: false };
        }
        let id = table.next_id;
        table.next_id += 1;
        let landing = Landing {
            table: Arc::clone(&self.table),
            key: key.clone(),
            id,
        };
        let work = async move {
            let _landing = landing;
            work.await
        }
        .boxed()
        .shared();
        if let Some(weak) = work.downgrade() {
            table.flights.insert(key, Flight { id, work: weak });
        }
        Passenger { work, first: true }
    }
}

/// Takes a flight off the table when it ends, also when its last passenger goes away.
struct Landing<K: Eq + Hash, T> {
    table: Arc<Mutex<Table<K, T>>>,
    key: K,
    id: u64,
}

impl<K: Eq + Hash, T> Drop for Landing<K, T> {
    fn drop(&mut self) {
        let mut table = lock(&self.table);
        // Between the last passenger's leaving and this moment the next flight may have begun.
        if table
            .flights
            .get(&self.key)
            .is_some_and(|f| f.id == self.id)
        {
            table.flights.remove(&self.key);
        }
    }
}

fn lock<K, T>(table: &Mutex<Table<K, T>>) -> MutexGuard<'_, Table<K, T>> {
    // Nothing under the lock panics half-way.
    table.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use tokio::sync::Notify;

    use super::*;

    fn in_flight<T>(flights: &Flights<&'static str, T>) -> usize {
        lock(&flights.table).flights.len()
    }

    #[tokio::test]
    async fn passengers_share_one_run_and_survive_each_other() {
        let flights = Flights::new();
        let runs = Arc::new(AtomicUsize::new(0));
        let gate = Arc::new(Notify::new());
        let work = || {
            let (runs, gate) = (Arc::clone(&runs), Arc::clone(&gate));
            async move {
                runs.fetch_add(1, Ordering::Relaxed);
                gate.notified().await;
                "landed"
            }
        };
        let mut passengers = Vec::new();
        for number in 0..300 {
            let passenger = flights.join("key", work());
            assert_eq!(passenger.first, number == 0);
            passengers.push(tokio::spawn(passenger.work));
        }
        tokio::task::yield_now().await;
        // The first ones go away, one after the other.
        let last = passengers.pop();
        for passenger in passengers {
            passenger.abort();
            assert!(passenger.await.is_err_and(|error| error.is_cancelled()));
        }
        gate.notify_one();
        let landed = last.map(|last| async { last.await.ok() });
        assert_eq!(
            futures::future::OptionFuture::from(landed).await,
            Some(Some("landed"))
        );
        assert_eq!(runs.load(Ordering::Relaxed), 1);
        assert_eq!(in_flight(&flights), 0);
    }

    #[tokio::test]
    async fn an_abandoned_flight_leaves_nothing_behind() {
        let flights = Flights::new();
        let abandoned = flights.join("key", std::future::pending::<u8>());
        assert_eq!(in_flight(&flights), 1);
        drop(abandoned);
        assert_eq!(in_flight(&flights), 0);
        let next = flights.join("key", async { 7 });
        assert!(next.first);
        assert_eq!(next.work.await, 7);
    }

    #[tokio::test]
    async fn a_late_landing_leaves_the_next_flight_alone() {
        let flights = Flights::new();
        let late = Landing {
            table: Arc::clone(&flights.table),
            key: "key",
            id: u64::MAX,
        };
        let _next = flights.join("key", std::future::pending::<u8>());
        drop(late);
        assert!(!flights.join("key", std::future::pending()).first);
    }

    #[tokio::test]
    async fn keys_do_not_wait_for_each_other() {
        let flights = Flights::new();
        let _hung = flights.join("hung", std::future::pending::<u8>());
        assert_eq!(flights.join("other", async { 7 }).work.await, 7);
        assert_eq!(in_flight(&flights), 1);
    }
}
