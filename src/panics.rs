//! Requests at which slimspan itself fails: a panic has an answer, and costs no other request.
//!
//! A fault may pass, so the sender is asked to come back. What fails each time would come back for
//! ever: after some times it is refused for good.

use std::fmt;
use std::panic::{AssertUnwindSafe, PanicHookInfo, resume_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use futures::FutureExt as _;
use futures::future::BoxFuture;
use http::request::Parts;
use moka::policy::EvictionPolicy;
use moka::sync::Cache;

use crate::compute::{self, Panicked};
use crate::refusal::Refusal;

/// How often a sender is asked to come back with the same request.
const TIMES: u32 = 3;

/// How many requests are remembered.
const REMEMBERED: u64 = 4096;

/// For how long one is remembered that does not come again.
const FORGOTTEN: Duration = Duration::from_hours(1);

/// Larger requests are hashed on threads for such work.
const INLINE: usize = 256 * 1024;

type Digest = [u8; blake3::OUT_LEN];

/// The requests at which slimspan failed lately. Of each there is a hash of which the key is random.
pub struct Panics {
    key: [u8; blake3::KEY_LEN],
    seen: Cache<Digest, Arc<AtomicU32>>,
    all: AtomicU64,
}

impl Default for Panics {
    fn default() -> Self {
        Self {
            key: rand::random(),
            seen: Cache::builder()
                .max_capacity(REMEMBERED)
                .eviction_policy(EvictionPolicy::lru())
                .time_to_idle(FORGOTTEN)
                .build(),
            all: AtomicU64::default(),
        }
    }
}

impl Panics {
    /// Does `work` on a request, which is `what` it is called. A panic in it becomes a refusal.
    pub fn guard<'a, T>(
        &'a self,
        what: &'static str,
        request: &'a Bytes,
        work: impl Future<Output = Result<T, Refusal>> + Send + 'a,
    ) -> impl Future<Output = Result<T, Refusal>> + Send + 'a
    where
        T: Send + 'a,
    {
        let done = caught(work);
        async move {
            match done.await {
                Some(outcome) => outcome,
                None => Err(self.refusal(what, self.digest(request).await)),
            }
        }
    }

    /// The same for work on a request of which no more is known than its `head`.
    pub fn guard_head<'a, T>(
        &'a self,
        what: &'static str,
        head: &'a Parts,
        work: impl Future<Output = Result<T, Refusal>> + Send + 'a,
    ) -> impl Future<Output = Result<T, Refusal>> + Send + 'a
    where
        T: Send + 'a,
    {
        let done = caught(work);
        async move {
            match done.await {
                Some(outcome) => outcome,
                None => Err(self.refusal(what, self.digest_of_head(head))),
            }
        }
    }

    /// How many there were.
    pub fn all(&self) -> &AtomicU64 {
        &self.all
    }

    async fn digest(&self, request: &Bytes) -> Digest {
        if request.len() <= INLINE {
            return blake3::keyed_hash(&self.key, request).into();
        }
        let (key, request) = (self.key, request.clone());
        let hashed = compute::run(move || blake3::keyed_hash(&key, &request).into()).await;
        hashed.unwrap_or_else(Panicked::go_on)
    }

    fn digest_of_head(&self, head: &Parts) -> Digest {
        let mut hasher = blake3::Hasher::new_keyed(&self.key);
        let mut add = |bytes: &[u8]| {
            hasher.update(&bytes.len().to_le_bytes()).update(bytes);
        };
        add(head.method.as_str().as_bytes());
        add(head.uri.path().as_bytes());
        for (name, value) in &head.headers {
            add(name.as_str().as_bytes());
            add(value.as_bytes());
        }
        hasher.finalize().into()
    }

    fn refusal(&self, what: &str, digest: Digest) -> Refusal {
        self.all.fetch_add(1, Ordering::Relaxed);
        let times = self.seen.get_with(digest, Arc::default);
        let times = times.fetch_add(1, Ordering::Relaxed).saturating_add(1);
        let is_lasting = times > TIMES;
        let then = if is_lasting {
            "its sender is asked not to send it again"
        } else {
            "its sender is asked to come back"
        };
        tracing::error!(
            culprit = "slimspan",
            "{what} failed by a fault of slimspan, {times} times now with the same request; {then}"
        );
        Refusal::fault(
            format!("{what} failed by a fault of slimspan, whose log says where"),
            is_lasting,
        )
    }
}

/// What comes of `work`, or nothing if it panics. What that says is no use to anybody. The work has a place
/// of its own, or what waits for it would have to have room for it twice.
fn caught<'a, T: Send + 'a>(
    work: impl Future<Output = T> + Send + 'a,
) -> impl Future<Output = Option<T>> + Send + 'a {
    let work: BoxFuture<'a, T> = Box::pin(work);
    AssertUnwindSafe(work).catch_unwind().map(Result::ok)
}

impl fmt::Debug for Panics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let all = self.all.load(Ordering::Relaxed);
        f.debug_struct("Panics")
            .field("all", &all)
            .finish_non_exhaustive()
    }
}

impl Panicked {
    /// Panics here, too: whoever waits for the work has failed with it. What is told of a panic was
    /// told already.
    pub fn go_on<T>(self) -> T {
        resume_unwind(Box::new(self))
    }
}

/// From now on the log tells where something panicked. What it says can quote a request, unless it
/// stands in the program as it is.
pub fn tell_without_contents() {
    std::panic::set_hook(Box::new(|info: &PanicHookInfo<'_>| {
        let place = info.location().map(ToString::to_string);
        let says = info.payload().downcast_ref::<&'static str>();
        tracing::error!(
            "panicked at {}: {}",
            place.as_deref().unwrap_or("an unknown place"),
            says.unwrap_or(&"what it says is not told, because it may quote a request"),
        );
    }));
}

#[cfg(test)]
#[expect(
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test of what happens then"
)]
mod tests {
    use super::*;

    async fn panicking() -> Result<(), Refusal> {
        std::future::ready(()).await;
        panic!("as the test wants it")
    }

    async fn panicking_elsewhere() -> Result<(), Refusal> {
        let work = || panic!("as the test wants it");
        compute::run(work).await.unwrap_or_else(Panicked::go_on)
    }

    #[tokio::test]
    async fn what_fails_each_time_is_refused_for_good() {
        let panics = Panics::default();
        let (poison, other) = (Bytes::from_static(b"poison"), Bytes::from(vec![1; 1 << 20]));
        for time in 0..10 {
            let refusal = panics.guard("x", &poison, panicking()).await.unwrap_err();
            assert_eq!(refusal.is_retryable(), time < TIMES, "{time}");
            assert!(refusal.is_fault());
        }
        // Another one is as new as it was, and so is what does not fail.
        for time in 0..10 {
            let work = panicking_elsewhere();
            let refusal = panics.guard("x", &other, work).await.unwrap_err();
            assert_eq!(refusal.is_retryable(), time < TIMES, "{time}");
        }
        let sound = panics.guard("x", &poison, async { Ok(7) }).await;
        assert_eq!(sound, Ok(7));
        assert_eq!(panics.all().load(Ordering::Relaxed), 20);
    }

    #[tokio::test]
    async fn requests_are_told_apart_by_their_heads_where_no_more_is_known() {
        let panics = Panics::default();
        let head = |tenant: &str| {
            let request = http::Request::post("/v1/traces").header("x-tenant", tenant);
            request.body(()).unwrap().into_parts().0
        };
        for time in 0..=TIMES {
            let refusal = panics.guard_head("x", &head("a"), panicking()).await;
            assert_eq!(refusal.unwrap_err().is_retryable(), time < TIMES);
        }
        let other = panics.guard_head("x", &head("b"), panicking()).await;
        assert!(other.unwrap_err().is_retryable());
    }

    #[tokio::test]
    async fn a_bounded_number_is_remembered() {
        let panics = Panics::default();
        for number in 0..3 * REMEMBERED {
            let request = Bytes::copy_from_slice(&number.to_le_bytes());
            let digest = panics.digest(&request).await;
            panics.seen.get_with(digest, Arc::default);
        }
        panics.seen.run_pending_tasks();
        assert!(panics.seen.entry_count() <= REMEMBERED);
    }
}
