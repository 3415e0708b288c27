use std::collections::{HashMap, HashSet};
use std::fmt;
use std::ops::Deref;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use futures::StreamExt as _;
use futures::stream::{self, BoxStream};
use object_store::path::Path;
use object_store::{
    CopyOptions, Error, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta,
    ObjectStore, PutMultipartOptions, PutOptions, PutPayload, PutResult, Result,
};
use tokio::sync::{Notify, watch};
use tokio::time::Instant;

/// What happens to puts, and what has happened.
#[derive(Debug, Default)]
pub(super) struct Faults {
    begun: AtomicUsize,
    running: AtomicUsize,
    peak: AtomicUsize,
    hung: Mutex<HashSet<Path>>,
    fail: Mutex<HashSet<Path>>,
    fail_after_storing: AtomicUsize,
    /// Puts of these wait until they are let go.
    held: Mutex<HashMap<Path, watch::Receiver<bool>>>,
    kept: Mutex<HashSet<Path>>,
    keeps_all: AtomicBool,
    /// Deletions of these wait until they are let go.
    held_deletions: Mutex<HashMap<Path, watch::Receiver<bool>>>,
    deletions_that_wait: AtomicUsize,
    /// Listings of these end when they are let go.
    held_listings: Mutex<HashMap<Path, watch::Receiver<bool>>>,
    listings_that_wait: AtomicUsize,
    /// These are listed, and not there.
    lost: Mutex<HashSet<Path>>,
    looks: AtomicUsize,
    panics: AtomicUsize,
    away: Mutex<Option<Away>>,
    /// How long a put takes.
    slow: Mutex<Duration>,
    /// When each key was put last, by the store's clock.
    put_at: Mutex<HashMap<Path, Instant>>,
    arrival: Notify,
}

impl Faults {
    /// Puts that reached the client.
    pub(super) fn begun(&self) -> usize {
        self.begun.load(Ordering::SeqCst)
    }

    /// The most puts that ran side by side.
    pub(super) fn peak(&self) -> usize {
        self.peak.load(Ordering::SeqCst)
    }

    /// Puts of `key` never end.
    pub(super) fn hang(&self, key: Path) {
        self.hung.lock().unwrap().insert(key);
    }

    /// Puts of `key` wait until the sender says true.
    pub(super) fn hold(&self, key: Path) -> watch::Sender<bool> {
        let (go, wait) = watch::channel(false);
        self.held.lock().unwrap().insert(key, wait);
        go
    }

    /// Whoever deletes `key` is told that it did not work, and it did not.
    pub(super) fn keep(&self, key: Path) {
        self.kept.lock().unwrap().insert(key);
    }

    /// The same with whatever is deleted, as where a role may not.
    pub(super) fn keep_all(&self) {
        self.keeps_all.store(true, Ordering::SeqCst);
    }

    /// `key` is listed, and whoever reads it is told that it is not there.
    pub(super) fn lose(&self, key: Path) {
        self.lost.lock().unwrap().insert(key);
    }

    /// Deletions of `key` wait until the sender says true.
    pub(super) fn hold_deletion(&self, key: Path) -> watch::Sender<bool> {
        let (go, wait) = watch::channel(false);
        self.held_deletions.lock().unwrap().insert(key, wait);
        go
    }

    /// Waits until a deletion waits.
    pub(super) async fn deletion_waits(&self) {
        while self.deletions_that_wait.load(Ordering::SeqCst) == 0 {
            self.arrival.notified().await;
        }
    }

    /// Waits where deletions of `key` do.
    async fn lets_delete(&self, key: &Path) {
        let held = self.held_deletions.lock().unwrap().get(key).cloned();
        if let Some(mut held) = held {
            self.deletions_that_wait.fetch_add(1, Ordering::SeqCst);
            self.arrival.notify_one();
            held.wait_for(|go| *go).await.unwrap();
        }
    }

    /// Listings of `prefix` have shown all and end when the sender says true.
    pub(super) fn hold_listing(&self, prefix: Path) -> watch::Sender<bool> {
        let (go, wait) = watch::channel(false);
        self.held_listings.lock().unwrap().insert(prefix, wait);
        go
    }

    /// Waits until a listing waits.
    pub(super) async fn listing_waits(&self) {
        while self.listings_that_wait.load(Ordering::SeqCst) == 0 {
            self.arrival.notified().await;
        }
    }

    /// How often it was asked whether there is something.
    pub(super) fn looks(&self) -> usize {
        self.looks.load(Ordering::SeqCst)
    }

    /// Puts of `key` fail and store nothing.
    pub(super) fn fail(&self, key: Path) {
        self.fail.lock().unwrap().insert(key);
    }

    /// The next `count` puts store their bytes and fail then.
    pub(super) fn fail_after_storing(&self, count: usize) {
        self.fail_after_storing.store(count, Ordering::SeqCst);
    }

    /// The next `count` puts panic.
    pub(super) fn panic(&self, count: usize) {
        self.panics.store(count, Ordering::SeqCst);
    }

    /// No put works.
    pub(super) fn go_away(&self, how: Away) {
        *self.away.lock().unwrap() = Some(how);
    }

    /// Puts take so long.
    pub(super) fn slow(&self, by: Duration) {
        *self.slow.lock().unwrap() = by;
    }

    /// What was put, in the order in which it was. Of what was put at the same moment nothing is known.
    pub(super) fn put_in_order(&self) -> Vec<Path> {
        let put_at = self.put_at.lock().unwrap();
        let mut put: Vec<_> = put_at.iter().map(|(key, at)| (*at, key.clone())).collect();
        put.sort_unstable();
        put.into_iter().map(|(_, key)| key).collect()
    }

    /// Takes the keys out that were put last more than `age` ago.
    pub(super) fn older_than(&self, age: Duration) -> Vec<Path> {
        let mut put_at = self.put_at.lock().unwrap();
        put_at
            .extract_if(|_, at| at.elapsed() > age)
            .map(|(key, _)| key)
            .collect()
    }

    /// All that is asked for from now on works.
    pub(super) fn heal(&self) {
        *self.away.lock().unwrap() = None;
        self.hung.lock().unwrap().clear();
        self.fail.lock().unwrap().clear();
        self.kept.lock().unwrap().clear();
        self.keeps_all.store(false, Ordering::SeqCst);
        self.lost.lock().unwrap().clear();
        self.fail_after_storing(0);
    }

    /// Waits until `count` puts have reached the client.
    pub(super) async fn arrived(&self, count: usize) {
        while self.begun() < count {
            self.arrival.notified().await;
        }
    }
}

/// How a store is away.
#[derive(Debug, Clone, Copy)]
pub(super) enum Away {
    /// It does not answer.
    Silent,
    /// Its connections end at once.
    Reset,
}

/// A client in front of another one that counts and breaks puts.
#[derive(Debug)]
pub(super) struct FaultyStore {
    inner: Arc<dyn ObjectStore>,
    faults: Arc<Faults>,
}

impl FaultyStore {
    pub(super) fn new(inner: Arc<dyn ObjectStore>, faults: Arc<Faults>) -> Self {
        Self { inner, faults }
    }
}

impl fmt::Display for FaultyStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "faulty {}", self.inner)
    }
}

/// Counts a put as running until it ends or is dropped.
struct Running<'a>(&'a Faults);

impl<'a> Running<'a> {
    fn begin(faults: &'a Faults) -> Self {
        let now = faults.running.fetch_add(1, Ordering::SeqCst) + 1;
        faults.peak.fetch_max(now, Ordering::SeqCst);
        faults.begun.fetch_add(1, Ordering::SeqCst);
        faults.arrival.notify_one();
        Self(faults)
    }
}

impl Drop for Running<'_> {
    fn drop(&mut self) {
        self.0.running.fetch_sub(1, Ordering::SeqCst);
    }
}

/// Whether there was one left.
fn count_down(left: &AtomicUsize) -> bool {
    let count = |left: usize| left.checked_sub(1);
    left.fetch_update(Ordering::SeqCst, Ordering::SeqCst, count)
        .is_ok()
}

fn injected(problem: &'static str) -> Error {
    Error::Generic {
        store: "faulty",
        source: problem.into(),
    }
}

#[async_trait]
impl ObjectStore for FaultyStore {
    async fn put_opts(
        &self,
        location: &Path,
        payload: PutPayload,
        options: PutOptions,
    ) -> Result<PutResult> {
        let faults = self.faults.deref();
        let _running = Running::begin(faults);
        // Lets others begin, as a put over a network does.
        tokio::task::yield_now().await;
        let away = *faults.away.lock().unwrap();
        match away {
            Some(Away::Silent) => std::future::pending().await,
            Some(Away::Reset) => {
                let reset = std::io::Error::from(std::io::ErrorKind::ConnectionReset);
                return Err(Error::Generic {
                    store: "faulty",
                    source: Box::new(reset),
                });
            }
            None => {}
        }
        assert!(!count_down(&faults.panics), "injected");
        let at = Instant::now();
        let slow = *faults.slow.lock().unwrap();
        if !slow.is_zero() {
            tokio::time::sleep(slow).await;
        }
        let held = faults.held.lock().unwrap().get(location).cloned();
        if let Some(mut held) = held {
            held.wait_for(|go| *go).await.unwrap();
        }
        if faults.hung.lock().unwrap().contains(location) {
            std::future::pending::<()>().await;
        }
        if faults.fail.lock().unwrap().contains(location) {
            return Err(injected("injected before storing"));
        }
        let stored = self.inner.put_opts(location, payload, options).await?;
        faults.put_at.lock().unwrap().insert(location.clone(), at);
        if count_down(&faults.fail_after_storing) {
            return Err(injected("injected after storing"));
        }
        Ok(stored)
    }

    async fn put_multipart_opts(
        &self,
        location: &Path,
        options: PutMultipartOptions,
    ) -> Result<Box<dyn MultipartUpload>> {
        self.inner.put_multipart_opts(location, options).await
    }

    async fn get_opts(&self, location: &Path, options: GetOptions) -> Result<GetResult> {
        let looks = usize::from(options.head);
        self.faults.looks.fetch_add(looks, Ordering::SeqCst);
        if self.faults.lost.lock().unwrap().contains(location) {
            return Err(Error::NotFound {
                path: location.to_string(),
                source: "injected".into(),
            });
        }
        self.inner.get_opts(location, options).await
    }

    fn delete_stream(
        &self,
        locations: BoxStream<'static, Result<Path>>,
    ) -> BoxStream<'static, Result<Path>> {
        let faults = Arc::clone(&self.faults);
        let locations = locations.then(move |location| {
            let faults = Arc::clone(&faults);
            async move {
                let location = location?;
                faults.lets_delete(&location).await;
                let keeps_all = faults.keeps_all.load(Ordering::SeqCst);
                if keeps_all || faults.kept.lock().unwrap().contains(&location) {
                    return Err(injected("injected instead of deleting"));
                }
                Ok(location)
            }
        });
        self.inner.delete_stream(locations.boxed())
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        let listing = self.inner.list(prefix);
        let held = self.faults.held_listings.lock().unwrap();
        let Some(mut held) = prefix.and_then(|prefix| held.get(prefix).cloned()) else {
            return listing;
        };
        let faults = Arc::clone(&self.faults);
        let end = stream::once(async move {
            faults.listings_that_wait.fetch_add(1, Ordering::SeqCst);
            faults.arrival.notify_one();
            held.wait_for(|go| *go).await.unwrap();
        });
        let nothing = end.filter_map(|()| std::future::ready(None));
        listing.chain(nothing).boxed()
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        self.inner.list_with_delimiter(prefix).await
    }

    async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> Result<()> {
        self.inner.copy_opts(from, to, options).await
    }
}
