//! A store of which somebody else decides when each thing that is asked of it ends, and how: for tests that go
//! through the orders in which that may happen.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::future::pending;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use futures::stream::BoxStream;
use object_store::path::Path;
use object_store::{
    CopyOptions, Error, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta,
    ObjectStore, PutMultipartOptions, PutOptions, PutPayload, PutResult, Result,
};
use tokio::sync::oneshot;
use tokio::time::Instant;

use super::Action;

/// How something ends that was asked of the store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ending {
    /// It is done.
    Done,
    /// The connection breaks, and nothing is done. To try again may help.
    Reset,
    /// It is done, and the connection breaks.
    ResetAfter,
    /// Nothing is done, and there is no answer.
    Hang,
    /// It is done, and there is no answer.
    HangAfter,
    /// Others write there, and nothing is done (409).
    Conflict,
    /// It is not allowed, and nothing is done.
    Denied,
    /// The answer is that it is done, and nothing is.
    Lie,
}

/// What waits until it is told how it ends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Waiting {
    pub(crate) number: u64,
    pub(crate) action: Action,
    pub(crate) key: String,
}

/// What everything waits at that is asked of a store. Clones are one.
#[derive(Debug, Clone, Default)]
pub(crate) struct Gate {
    state: Arc<Mutex<State>>,
    is_hasty: bool,
}

#[derive(Debug, Default)]
struct State {
    waiting: BTreeMap<u64, (Waiting, oneshot::Sender<Ending>)>,
    next: u64,
    /// What the store has, and since when.
    kept: HashMap<String, (Bytes, Instant)>,
}

impl Gate {
    /// One before a client that says of each put that it is done before it has begun, as SDKs do that upload in
    /// the background.
    pub(crate) fn hasty() -> Self {
        Self {
            is_hasty: true,
            ..Self::default()
        }
    }

    /// Puts it in front of a client.
    pub(crate) fn before(&self, inner: Arc<dyn ObjectStore>) -> Arc<dyn ObjectStore> {
        let gate = self.clone();
        Arc::new(GatedStore { gate, inner })
    }

    /// What somebody waits for, in the order in which it came.
    pub(crate) fn waiting(&self) -> Vec<Waiting> {
        let mut state = self.lock();
        state.waiting.retain(|_, (_, told)| !told.is_closed());
        let waiting = state.waiting.values();
        waiting.map(|(waiting, _)| waiting.clone()).collect()
    }

    /// Lets one of them end so.
    pub(crate) fn end(&self, number: u64, ending: Ending) {
        let waiting = self.lock().waiting.remove(&number);
        if let Some((_, told)) = waiting {
            // Fails where nobody waits for it any more.
            let _ = told.send(ending);
        }
    }

    /// What the store has under a key, whatever it says.
    pub(crate) fn kept(&self, key: &str) -> Option<Bytes> {
        let state = self.lock();
        state.kept.get(key).map(|(bytes, _)| bytes.clone())
    }

    /// A rule of the bucket deletes what was written last longer ago than that; returns how many those are.
    pub(crate) fn expire(&self, age: Duration) -> usize {
        let mut state = self.lock();
        let before = state.kept.len();
        state.kept.retain(|_, (_, since)| since.elapsed() <= age);
        before - state.kept.len()
    }

    /// Waits until it is said how this ends.
    async fn ending(&self, action: Action, key: &Path) -> Ending {
        let (told, ending) = oneshot::channel();
        {
            let mut state = self.lock();
            let number = state.next;
            state.next += 1;
            let waiting = Waiting {
                number,
                action,
                key: key.to_string(),
            };
            state.waiting.insert(number, (waiting, told));
        }
        match ending.await {
            Ok(ending) => ending,
            Err(_) => pending().await,
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }
}

/// A client behind a gate.
#[derive(Debug, Clone)]
struct GatedStore {
    gate: Gate,
    inner: Arc<dyn ObjectStore>,
}

impl GatedStore {
    async fn put(&self, key: &Path, payload: PutPayload, options: PutOptions) -> Result<PutResult> {
        let ending = self.gate.ending(Action::Put, key).await;
        before(ending, key).await?;
        if ending == Ending::Lie {
            return self.pretend().await;
        }
        let bytes = Bytes::from(payload.clone());
        let done = self.inner.put_opts(key, payload, options).await;
        if done.is_ok() {
            let kept = (bytes, Instant::now());
            self.gate.lock().kept.insert(key.to_string(), kept);
        }
        after(ending).await?;
        done
    }

    /// The answer of a put that was done.
    async fn pretend(&self) -> Result<PutResult> {
        let nowhere = Path::from("nowhere");
        let (nothing, options) = (PutPayload::default(), PutOptions::default());
        self.inner.put_opts(&nowhere, nothing, options).await
    }
}

/// What goes wrong before anything is done.
async fn before(ending: Ending, key: &Path) -> Result<()> {
    let path = key.to_string();
    match ending {
        Ending::Reset => Err(reset()),
        Ending::Conflict => Err(Error::AlreadyExists {
            path,
            source: "injected".into(),
        }),
        Ending::Denied => Err(Error::PermissionDenied {
            path,
            source: "injected".into(),
        }),
        Ending::Hang => pending().await,
        Ending::Done | Ending::ResetAfter | Ending::HangAfter | Ending::Lie => Ok(()),
    }
}

/// What goes wrong when it is done.
async fn after(ending: Ending) -> Result<()> {
    match ending {
        Ending::ResetAfter => Err(reset()),
        Ending::HangAfter => pending().await,
        _ => Ok(()),
    }
}

fn reset() -> Error {
    Error::Generic {
        store: "gated",
        source: Box::new(io::Error::from(io::ErrorKind::ConnectionReset)),
    }
}

impl fmt::Display for GatedStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "gated {}", self.inner)
    }
}

#[async_trait]
impl ObjectStore for GatedStore {
    async fn put_opts(
        &self,
        location: &Path,
        payload: PutPayload,
        options: PutOptions,
    ) -> Result<PutResult> {
        if self.gate.is_hasty {
            let (this, key) = (self.clone(), location.clone());
            tokio::spawn(async move { this.put(&key, payload, options).await });
            return self.pretend().await;
        }
        self.put(location, payload, options).await
    }

    async fn put_multipart_opts(
        &self,
        location: &Path,
        options: PutMultipartOptions,
    ) -> Result<Box<dyn MultipartUpload>> {
        self.inner.put_multipart_opts(location, options).await
    }

    async fn get_opts(&self, location: &Path, options: GetOptions) -> Result<GetResult> {
        let ending = self.gate.ending(Action::Get, location).await;
        before(ending, location).await?;
        let got = self.inner.get_opts(location, options).await;
        after(ending).await?;
        got
    }

    fn delete_stream(
        &self,
        locations: BoxStream<'static, Result<Path>>,
    ) -> BoxStream<'static, Result<Path>> {
        self.inner.delete_stream(locations)
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        self.inner.list(prefix)
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        self.inner.list_with_delimiter(prefix).await
    }

    async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> Result<()> {
        self.inner.copy_opts(from, to, options).await
    }
}
