//! A circuit breaker: who needs a store that does not work is told so at once.
//!
//! Without it every request with a file waits for a store that hangs as long as its sender allows,
//! and a store that comes back is met by all of them at the same moment.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use tokio::time::Instant;

use super::error::StoreError;
use super::together::Together;
use crate::telemetry::Lately;

/// Failures in a row that open it.
const FAILURES: u32 = 5;

/// Two failures and no success in so long open it, too: one sender alone makes few attempts.
const TROUBLE: Duration = Duration::from_secs(2);

/// How often an open one lets an attempt through, to see whether the store works again.
pub(super) const PROBE: Duration = Duration::from_secs(5);

/// Counts what becomes of one tenant's attempts.
#[derive(Debug)]
pub(super) struct Breaker {
    /// The store, for the log.
    place: Arc<str>,
    together: Arc<Together>,
    /// What it is called there.
    tenant: u64,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    circuit: Circuit,
    /// When the store worked last. What began before and failed is no news.
    worked: Option<Instant>,
}

#[derive(Debug)]
enum Circuit {
    Closed {
        failures: u32,
        /// When the first of them was seen.
        since: Option<Instant>,
    },
    Open(Outage),
}

/// What is known of a store that does not work.
#[derive(Debug, Clone)]
struct Outage {
    since: Timestamp,
    /// When the last attempt was let through; at first, when it was known.
    asked: Instant,
    /// Whether it is under way.
    probing: bool,
    /// What the last attempt failed with.
    cause: Arc<str>,
    /// When that was.
    failed: Lately,
}

/// Leave to make one attempt; what became of it has to be said.
#[derive(Debug)]
pub(super) struct Permit {
    breaker: Arc<Breaker>,
    began: Instant,
    /// An attempt that is given up earlier says nothing about the store.
    telling: Duration,
    probe: bool,
    said: bool,
}

/// No attempt is made.
#[derive(Debug, Clone)]
pub(super) struct Refused {
    pub(super) since: Timestamp,
    /// Until the next attempt is let through; none is left where one is under way.
    pub(super) wait: Duration,
    pub(super) cause: Arc<str>,
}

impl Breaker {
    pub(super) fn new(place: Arc<str>, together: Arc<Together>) -> Arc<Self> {
        Arc::new(Self {
            place,
            tenant: together.join(),
            together,
            state: Mutex::new(State {
                circuit: Circuit::Closed {
                    failures: 0,
                    since: None,
                },
                worked: None,
            }),
        })
    }

    /// Asks whether an attempt may be made now. One that is given up before `telling`, the time that an
    /// attempt may take, shows how long somebody waits, and not whether the store works.
    pub(super) fn admit(self: &Arc<Self>, telling: Duration) -> Result<Permit, Refused> {
        let now = Instant::now();
        let mut state = self.lock();
        let is_open = matches!(state.circuit, Circuit::Open(_));
        let leave = self.together.admit(is_open, now)?;
        let probe = match &mut state.circuit {
            Circuit::Closed { .. } => false,
            Circuit::Open(outage) => {
                let wait = outage.wait(now);
                let is_old = leave.healed.is_some_and(|healed| healed > outage.asked);
                if !leave.is_for_all && !is_old && (outage.probing || !wait.is_zero()) {
                    return Err(Refused {
                        since: outage.since,
                        // The store may work again in a moment, and who is told to come back after the
                        // next probe would come late.
                        wait: if outage.probing { Duration::ZERO } else { wait },
                        cause: Arc::clone(&outage.cause),
                    });
                }
                outage.probing = true;
                outage.asked = now;
                true
            }
        };
        drop(state);
        Ok(Permit {
            breaker: Arc::clone(self),
            began: now,
            telling,
            probe,
            said: false,
        })
    }

    /// Whether it is open, and that was shown lately.
    pub(super) fn is_failing(&self) -> bool {
        match &self.lock().circuit {
            Circuit::Open(outage) => outage.failed.holds(),
            Circuit::Closed { .. } => false,
        }
    }

    fn worked(&self) {
        let mut state = self.lock();
        state.worked = Some(Instant::now());
        let closed = Circuit::Closed {
            failures: 0,
            since: None,
        };
        let before = std::mem::replace(&mut state.circuit, closed);
        drop(state);
        if let Circuit::Open(outage) = before {
            tracing::info!("{} works again, after {}", self.place, outage.since);
        }
        self.together.worked();
    }

    fn failed(&self, permit: &Permit, cause: &dyn Fn() -> Arc<str>) {
        let is_open = self.count(permit, cause);
        self.together
            .failed(self.tenant, permit.began, is_open, cause);
    }

    /// Counts a failure, and returns whether that shows that the store does not work.
    fn count(&self, permit: &Permit, cause: &dyn Fn() -> Arc<str>) -> bool {
        let now = Instant::now();
        let mut state = self.lock();
        if state.worked.is_some_and(|worked| worked > permit.began) {
            return false;
        }
        match &mut state.circuit {
            Circuit::Open(outage) => {
                if permit.probe {
                    outage.probing = false;
                    outage.cause = cause();
                    outage.failed = Lately::now();
                }
            }
            Circuit::Closed { failures, since } => {
                *failures += 1;
                let since = *since.get_or_insert(now);
                let enough = *failures >= FAILURES || *failures > 1 && now - since >= TROUBLE;
                if !enough {
                    return false;
                }
                let outage = Outage {
                    since: Timestamp::now(),
                    asked: now,
                    probing: false,
                    cause: cause(),
                    failed: Lately::now(),
                };
                let told = Arc::clone(&outage.cause);
                state.circuit = Circuit::Open(outage);
                drop(state);
                tracing::warn!(
                    "{} is not asked any more but once in {PROBE:?}, until it works: {told}",
                    self.place
                );
            }
        }
        true
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Nothing under the lock panics half-way.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Outage {
    /// Until an attempt is let through again.
    fn wait(&self, now: Instant) -> Duration {
        (self.asked + PROBE).saturating_duration_since(now)
    }
}

impl Permit {
    /// Says what became of the attempt.
    pub(super) fn ended<T>(mut self, outcome: &Result<T, StoreError>) {
        self.said = true;
        match outcome {
            Err(error) if error.is_outage() => {
                self.breaker.failed(&self, &|| error.to_string().into());
            }
            // A store that says no is there.
            _ => self.breaker.worked(),
        }
    }
}

/// An attempt that nobody waits for any more has no outcome. It was a failure if the store was silent
/// for as long as an attempt may take.
impl Drop for Permit {
    fn drop(&mut self) {
        if !self.said && (self.probe || self.began.elapsed() >= self.telling) {
            let waited = self.began.elapsed();
            self.breaker
                .failed(self, &|| format!("no answer within {waited:.1?}").into());
        }
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use slimspan_artifact::Digest;
    use tokio::time::advance;

    use super::*;
    use crate::storage::Action;

    /// As long as an attempt may take.
    const TELLING: Duration = Duration::from_millis(2_500);

    /// A moment before the next attempt is let through.
    const SHORTLY: Duration = Duration::from_millis(4_999);

    fn breaker() -> Arc<Breaker> {
        let place: Arc<str> = "s3://media".into();
        Breaker::new(Arc::clone(&place), Together::new(place))
    }

    fn silence() -> Result<(), StoreError> {
        Err(StoreError::TimedOut {
            store: "s3://media".into(),
            action: Action::Put,
            digest: Digest::of(b""),
            limit: Duration::from_secs(1),
        })
    }

    fn denied() -> Result<(), StoreError> {
        Err(StoreError::Denied {
            store: "s3://media".into(),
            action: Action::Put,
            digest: Digest::of(b""),
            source: Arc::new(std::io::Error::other("no")),
        })
    }

    fn open() -> Arc<Breaker> {
        let breaker = breaker();
        for _ in 0..FAILURES {
            breaker.admit(TELLING).unwrap().ended(&silence());
        }
        breaker
    }

    #[tokio::test(start_paused = true)]
    async fn failures_in_a_row_open_it() {
        let breaker = breaker();
        for _ in 0..10 {
            for _ in 1..FAILURES {
                breaker.admit(TELLING).unwrap().ended(&silence());
            }
            breaker.admit(TELLING).unwrap().ended(&Ok(()));
            advance(Duration::from_millis(1)).await;
        }
        for _ in 0..FAILURES {
            breaker.admit(TELLING).unwrap().ended(&silence());
        }
        let refused = breaker.admit(TELLING).unwrap_err();
        assert_eq!(refused.wait, PROBE);
        assert!(refused.cause.contains("within 1s"), "{}", refused.cause);
    }

    #[tokio::test(start_paused = true)]
    async fn few_failures_open_it_when_nothing_works_for_a_while() {
        let breaker = breaker();
        breaker.admit(TELLING).unwrap().ended(&silence());
        advance(TROUBLE).await;
        // The store may have been busy once.
        breaker.admit(TELLING).unwrap().ended(&silence());
        assert!(breaker.admit(TELLING).is_err());
    }

    #[tokio::test(start_paused = true)]
    async fn who_goes_away_from_a_silent_store_is_counted() {
        let breaker = breaker();
        for _ in 0..100 {
            let permit = breaker.admit(TELLING).unwrap();
            // It is a large file, and its sender has little time.
            advance(Duration::from_millis(2_499)).await;
            drop(permit);
        }
        let permits: Vec<_> = (0..FAILURES)
            .map(|_| breaker.admit(TELLING).unwrap())
            .collect();
        advance(TELLING).await;
        drop(permits);
        let refused = breaker.admit(TELLING).unwrap_err();
        assert_eq!(&*refused.cause, "no answer within 2.5s");
    }

    #[tokio::test(start_paused = true)]
    async fn a_store_that_says_no_works() {
        let breaker = breaker();
        for _ in 0..100 {
            breaker.admit(TELLING).unwrap().ended(&denied());
        }
        assert!(breaker.admit(TELLING).is_ok());
    }

    #[tokio::test(start_paused = true)]
    async fn an_open_one_lets_one_through_every_five_seconds() {
        let breaker = open();
        advance(SHORTLY).await;
        let refused = breaker.admit(TELLING).unwrap_err();
        assert_eq!(refused.wait, Duration::from_millis(1));
        for _ in 0..3 {
            advance(Duration::from_millis(1)).await;
            let probe = breaker.admit(TELLING).unwrap();
            assert!(probe.probe);
            for _ in 0..64 {
                let refused = breaker.admit(TELLING).unwrap_err();
                assert_eq!(
                    refused.wait,
                    Duration::ZERO,
                    "one only, and what it shows comes soon"
                );
            }
            probe.ended(&silence());
            advance(SHORTLY).await;
            assert!(breaker.admit(TELLING).is_err(), "not before its time");
        }
        advance(Duration::from_millis(1)).await;
        breaker.admit(TELLING).unwrap().ended(&Ok(()));
        let permits: Vec<_> = (0..64).map(|_| breaker.admit(TELLING).unwrap()).collect();
        assert!(!permits.iter().any(|permit| permit.probe));
    }

    #[tokio::test(start_paused = true)]
    async fn a_probe_that_nobody_ends_is_not_the_last() {
        let breaker = open();
        advance(PROBE).await;
        drop(breaker.admit(TELLING).unwrap());
        assert!(breaker.admit(TELLING).is_err());
        advance(PROBE).await;
        assert!(breaker.admit(TELLING).unwrap().probe);
    }

    #[tokio::test(start_paused = true)]
    async fn what_began_before_the_store_worked_is_no_news() {
        let breaker = breaker();
        let old: Vec<_> = (0..64).map(|_| breaker.admit(TELLING).unwrap()).collect();
        advance(Duration::from_secs(1)).await;
        breaker.admit(TELLING).unwrap().ended(&Ok(()));
        for permit in old {
            permit.ended(&silence());
        }
        assert!(breaker.admit(TELLING).is_ok());
    }

    #[tokio::test(start_paused = true)]
    async fn an_old_attempt_that_works_closes_it() {
        let breaker = breaker();
        let old = breaker.admit(TELLING).unwrap();
        for _ in 0..FAILURES {
            breaker.admit(TELLING).unwrap().ended(&silence());
        }
        assert!(breaker.admit(TELLING).is_err());
        old.ended(&Ok(()));
        assert!(breaker.admit(TELLING).is_ok());
    }
}
