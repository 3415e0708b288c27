//! Requests at which slimspan itself fails: a panic has an answer, and costs no other request.
//!
//! A fault may pass, so the sender is asked to come back. What fails each time would come back for
//! ever: after some times it is refused for good.

use std::fmt;
use std::panic::{AssertUnwindSafe, PanicHookInfo, resume_unwind};
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
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

/// Where slimspan has failed at a request since it came. Through several pipelines it may come to one place several
/// times, and its sender has sent it once.
#[derive(Debug, Default)]
pub struct Failed(Mutex<Vec<(String, Digest)>>);

impl Failed {
    /// Remembers one, and tells whether the place is new, and whether what failed there is.
    fn add(&self, what: &str, digest: Digest) -> (bool, bool) {
        let mut places = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let is_place_new = places.iter().all(|(place, _)| place != what);
        let is_new = places.iter().all(|(_, known)| *known != digest);
        if is_new {
            places.push((what.to_owned(), digest));
        }
        (is_place_new, is_new)
    }
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
    /// Does `work`, which is called `what` where it fails. A panic in it becomes a refusal, which is for good
    /// where the same work fails at the same `request` again and again. What is known of a request that has not
    /// come as a whole others have in common with it: without one its sender is always asked to come back.
    pub fn guard<'a, T>(
        &'a self,
        what: impl FnOnce() -> String + Send + 'a,
        request: Option<&'a Bytes>,
        work: impl Future<Output = Result<T, Refusal>> + Send + 'a,
    ) -> impl Future<Output = Result<T, Refusal>> + Send + 'a
    where
        T: Send + 'a,
    {
        self.guard_once(what, request, None, work)
    }

    /// The same where the request may come by again before its sender hears of it: what has `failed` already counts
    /// once.
    pub fn guard_once<'a, T>(
        &'a self,
        what: impl FnOnce() -> String + Send + 'a,
        request: Option<&'a Bytes>,
        failed: Option<&'a Failed>,
        work: impl Future<Output = Result<T, Refusal>> + Send + 'a,
    ) -> impl Future<Output = Result<T, Refusal>> + Send + 'a
    where
        T: Send + 'a,
    {
        let done = caught(work);
        async move {
            match done.await {
                Some(outcome) => outcome,
                None => Err(self.refusal(&what(), request, failed).await),
            }
        }
    }

    /// How many there were.
    pub fn all(&self) -> &AtomicU64 {
        &self.all
    }

    /// Of a request and the work on it: where one exporter fails, others have not.
    async fn digest(&self, what: &str, request: &Bytes) -> Digest {
        let mut hasher = blake3::Hasher::new_keyed(&self.key);
        hasher.update(&what.len().to_le_bytes());
        hasher.update(what.as_bytes());
        if request.len() <= INLINE {
            return hasher.update(request).finalize().into();
        }
        let request = request.clone();
        let digest = compute::run(move || hasher.update(&request).finalize().into()).await;
        digest.unwrap_or_else(Panicked::go_on)
    }

    /// How often the same work has failed at the same request by now, of which this is one more time or none.
    fn times(&self, digest: Digest, more: bool) -> u32 {
        let times = self.seen.get_with(digest, Arc::default);
        let more = u32::from(more);
        times
            .fetch_add(more, Ordering::Relaxed)
            .saturating_add(more)
    }

    async fn refusal(
        &self,
        what: &str,
        request: Option<&Bytes>,
        failed: Option<&Failed>,
    ) -> Refusal {
        let (is_lasting, times) = match request {
            None => {
                self.all.fetch_add(1, Ordering::Relaxed);
                (false, String::new())
            }
            Some(request) => {
                let digest = self.digest(what, request).await;
                let (is_place_new, is_new) =
                    failed.map_or((true, true), |failed| failed.add(what, digest));
                self.all.fetch_add(is_place_new.into(), Ordering::Relaxed);
                let times = self.times(digest, is_new);
                let told = format!(", {times} times now with the same request");
                (times > TIMES, told)
            }
        };
        let then = if is_lasting {
            "its sender is asked not to send it again"
        } else {
            "its sender is asked to come back"
        };
        tracing::error!(
            culprit = "slimspan",
            "{what} failed by a fault of slimspan{times}; {then}"
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
    use std::fmt::Write as _;
    use std::panic::{catch_unwind, take_hook};
    use std::sync::{Mutex, PoisonError};

    use tracing::field::Field;
    use tracing::subscriber::with_default;
    use tracing::{Event, Subscriber};
    use tracing_subscriber::layer::{Context, SubscriberExt as _};
    use tracing_subscriber::{Layer, registry};

    use super::*;

    /// What is logged.
    #[derive(Clone, Default)]
    struct Log(Arc<Mutex<String>>);

    impl Log {
        fn text(&self) -> std::sync::MutexGuard<'_, String> {
            self.0.lock().unwrap_or_else(PoisonError::into_inner)
        }
    }

    impl<S: Subscriber> Layer<S> for Log {
        fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
            let mut text = self.text();
            event.record(&mut |field: &Field, value: &dyn fmt::Debug| {
                writeln!(text, "{} {field}={value:?}", event.metadata().level()).unwrap();
            });
        }
    }

    fn x() -> String {
        "x".to_owned()
    }

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
            let refusal = panics
                .guard(x, Some(&poison), panicking())
                .await
                .unwrap_err();
            assert_eq!(refusal.is_retryable(), time < TIMES, "{time}");
            assert!(refusal.is_fault());
        }
        // Another one is as new as it was, and so is what does not fail.
        for time in 0..10 {
            let work = panicking_elsewhere();
            let refusal = panics.guard(x, Some(&other), work).await.unwrap_err();
            assert_eq!(refusal.is_retryable(), time < TIMES, "{time}");
        }
        let sound = panics.guard(x, Some(&poison), async { Ok(7) }).await;
        assert_eq!(sound, Ok(7));
        assert_eq!(panics.all().load(Ordering::Relaxed), 20);
    }

    /// A request goes to several exporters, and those that are sound get it whatever becomes of it elsewhere.
    #[tokio::test]
    async fn what_fails_in_one_place_has_not_failed_in_another() {
        let panics = Panics::default();
        let places = [
            "the exporter a (traces)",
            "the exporter a (logs)",
            "the exporter b (traces)",
        ];
        for request in [Bytes::from_static(b"poison"), Bytes::from(vec![1; 1 << 20])] {
            for place in places {
                for time in 0..=TIMES {
                    let what = || place.to_owned();
                    let refusal = panics.guard(what, Some(&request), panicking()).await;
                    let refusal = refusal.unwrap_err();
                    assert_eq!(refusal.is_retryable(), time < TIMES, "{place} {time}");
                    assert!(refusal.to_string().contains(place), "{refusal}");
                }
            }
        }
    }

    /// A sender that is asked to come back comes once, however many pipelines lead to the exporter.
    #[tokio::test]
    async fn what_comes_to_a_place_several_times_at_once_has_failed_there_once() {
        let panics = Panics::default();
        // The second pipeline has changed it.
        let requests = [b"poison", b"poison", b"Poison"].map(|bytes| Bytes::from_static(bytes));
        for time in 0..2 * TIMES {
            let came = Failed::default();
            for request in &requests {
                let failing = panics.guard_once(x, Some(request), Some(&came), panicking());
                let refusal = failing.await.unwrap_err();
                assert_eq!(refusal.is_retryable(), time < TIMES, "{time}");
            }
            let all = u64::from(time + 1);
            assert_eq!(panics.all().load(Ordering::Relaxed), 2 * all - 1);
            // At another place it is another fault.
            let (request, elsewhere) = (&requests[0], || "y".to_owned());
            let failing = panics.guard_once(elsewhere, Some(request), Some(&came), panicking());
            let refusal = failing.await.unwrap_err();
            assert_eq!(refusal.is_retryable(), time < TIMES, "{time}");
            assert_eq!(panics.all().load(Ordering::Relaxed), 2 * all);
        }
    }

    /// Heads of different requests are alike, and one that is sound is not to be dropped for another.
    #[tokio::test]
    async fn what_has_not_come_as_a_whole_may_always_come_again() {
        let panics = Panics::default();
        for _ in 0..3 * TIMES {
            let refusal = panics.guard(x, None, panicking()).await.unwrap_err();
            assert!(refusal.is_retryable() && refusal.is_fault());
        }
    }

    #[tokio::test]
    async fn a_bounded_number_is_remembered() {
        let panics = Panics::default();
        for number in 0..3 * REMEMBERED {
            let request = Bytes::copy_from_slice(&number.to_le_bytes());
            let digest = panics.digest("x", &request).await;
            panics.seen.get_with(digest, Arc::default);
        }
        panics.seen.run_pending_tasks();
        assert!(panics.seen.entry_count() <= REMEMBERED);
    }

    /// The hook is that of all threads, on which other tests may panic meanwhile; the log is that of this one.
    #[test]
    fn a_panic_is_told_with_its_place_and_without_what_it_may_quote() {
        let log = Log::default();
        let quoted = String::from("canary");
        tell_without_contents();
        with_default(registry().with(log.clone()), || {
            catch_unwind(|| assert!(quoted.is_empty(), "cannot read {quoted}")).unwrap_err();
            catch_unwind(|| assert!(quoted.is_empty(), "words of the program")).unwrap_err();
        });
        drop(take_hook());
        let text = log.text();
        let lines: Vec<_> = text.lines().collect();
        let [quoting, own] = lines[..] else {
            panic!("{text}")
        };
        for line in [quoting, own] {
            let place = format!("ERROR message=panicked at {}:", file!());
            assert!(line.starts_with(&place), "{line}");
        }
        assert!(quoting.contains("may quote a request"), "{quoting}");
        assert!(!text.contains("canary"), "{text}");
        assert!(own.ends_with("words of the program"), "{own}");
    }
}
