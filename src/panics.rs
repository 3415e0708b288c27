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

    /// The same for work on a request that has not come as a whole. What is known of it others have in
    /// common with it, so its sender is always asked to come back.
    pub fn guard_arrival<'a, T>(
        &'a self,
        what: &'static str,
        work: impl Future<Output = Result<T, Refusal>> + Send + 'a,
    ) -> impl Future<Output = Result<T, Refusal>> + Send + 'a
    where
        T: Send + 'a,
    {
        let done = caught(work);
        async move {
            match done.await {
                Some(outcome) => outcome,
                None => Err(self.passing(what)),
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

    fn passing(&self, what: &str) -> Refusal {
        self.all.fetch_add(1, Ordering::Relaxed);
        tracing::error!(
            culprit = "slimspan",
            "{what} failed by a fault of slimspan; its sender is asked to come back"
        );
        told(what, false)
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
        told(what, is_lasting)
    }
}

fn told(what: &str, is_lasting: bool) -> Refusal {
    Refusal::fault(
        format!("{what} failed by a fault of slimspan, whose log says where"),
        is_lasting,
    )
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

    /// Heads of different requests are alike, and one that is sound is not to be dropped for another.
    #[tokio::test]
    async fn what_has_not_come_as_a_whole_may_always_come_again() {
        let panics = Panics::default();
        for _ in 0..3 * TIMES {
            let refusal = panics.guard_arrival("x", panicking()).await.unwrap_err();
            assert!(refusal.is_retryable() && refusal.is_fault());
        }
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
