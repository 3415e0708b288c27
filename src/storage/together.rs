//! What the breakers of all tenants of a store know together.
//!
//! Where a store works for nobody, each tenant would find that out for itself, ask it now and then, and come
//! back with all that waits once it works again. A thousand tenants are a crowd. So where it fails for
//! several and works for none, one attempt at a time stands for all, and when the store works again, the
//! puts of all share one pace for a while.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use tokio::time::Instant;

use super::breaker::{PROBE, Refused};
use super::pace::Pace;
use crate::telemetry::Lately;

/// A store that fails for as many tenants may be away for all of them.
const SEVERAL: usize = 3;

/// Failures that are older say nothing about now.
const RECENT: Duration = Duration::from_secs(30);

/// A store that worked for somebody so short a time ago is there.
const JUST: Duration = Duration::from_secs(2);

/// How often a tenant may ask for which the store has not failed: it may work for that one. Those for which
/// it has failed come second to it.
const SOONER: Duration = Duration::from_secs(1);

/// So long at least puts share one pace after an outage, and longer where some of them have to wait.
const EASED: Duration = Duration::from_secs(5);

/// What is known of a store, whoever's artifacts it was for.
#[derive(Debug)]
pub(super) struct Together {
    /// The store, for the log.
    place: Arc<str>,
    joined: AtomicU64,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// For which tenants it failed, and when last, since it worked for somebody: as many as count.
    failing: Vec<(u64, Instant)>,
    /// When it worked last, for anybody.
    worked: Option<Instant>,
    outage: Option<Outage>,
    /// When the last outage ended.
    healed: Option<Instant>,
    /// The pace of all, and since when they share it.
    eased: Option<(Instant, Pace)>,
}

/// What is known of a store that is away for all.
#[derive(Debug)]
struct Outage {
    since: Timestamp,
    /// When it was asked last.
    asked: Instant,
    /// Whether there is no answer yet.
    probing: bool,
    cause: Arc<str>,
    failed: Lately,
}

/// Leave of all others to ask the store; a tenant's own breaker may know better.
#[derive(Debug, Clone, Copy)]
pub(super) struct Leave {
    /// Whether this attempt stands for all.
    pub(super) is_for_all: bool,
    /// When an outage for all ended. What a tenant knows from before is old.
    pub(super) healed: Option<Instant>,
}

impl Together {
    pub(super) fn new(place: Arc<str>) -> Arc<Self> {
        Arc::new(Self {
            place,
            joined: AtomicU64::new(0),
            state: Mutex::default(),
        })
    }

    /// One tenant more; returns what it is called here.
    pub(super) fn join(&self) -> u64 {
        self.joined.fetch_add(1, Ordering::Relaxed)
    }

    /// Asks whether a tenant may ask the store now; `has_failed` where it does not work for that one.
    pub(super) fn admit(&self, has_failed: bool, now: Instant) -> Result<Leave, Refused> {
        let mut state = self.lock();
        let healed = state.healed;
        let Some(outage) = &mut state.outage else {
            return Ok(Leave {
                is_for_all: false,
                healed,
            });
        };
        // One that hangs for longer stands in nobody's way: it may be the only one that does.
        let pause = if outage.probing || has_failed {
            PROBE
        } else {
            SOONER
        };
        let wait = (outage.asked + pause).saturating_duration_since(now);
        if !wait.is_zero() {
            return Err(Refused {
                since: outage.since,
                // As for one tenant: it may work in a moment.
                wait: if outage.probing { Duration::ZERO } else { wait },
                cause: Arc::clone(&outage.cause),
            });
        }
        outage.probing = true;
        outage.asked = now;
        Ok(Leave {
            is_for_all: true,
            healed,
        })
    }

    /// It worked for somebody.
    pub(super) fn worked(&self) {
        let now = Instant::now();
        let mut state = self.lock();
        state.worked = Some(now);
        state.failing.clear();
        let Some(outage) = state.outage.take() else {
            return;
        };
        state.healed = Some(now);
        state.eased = Some((now, Pace::of_all()));
        drop(state);
        tracing::info!(
            "{} works again for all tenants, after {}",
            self.place,
            outage.since
        );
    }

    /// What `tenant` asked at `began` failed; `is_open` where the store does not work for that one.
    pub(super) fn failed(
        &self,
        tenant: u64,
        began: Instant,
        is_open: bool,
        cause: &dyn Fn() -> Arc<str>,
    ) {
        let now = Instant::now();
        let mut state = self.lock();
        if state.worked.is_some_and(|worked| worked > began) {
            return;
        }
        if let Some(outage) = &mut state.outage {
            // All others began before the outage, or hung for so long that there was another one.
            if outage.probing && outage.asked == began {
                outage.probing = false;
                outage.cause = cause();
                outage.failed = Lately::now();
            }
            return;
        }
        let is_recent = |at: Instant| now.saturating_duration_since(at) < RECENT;
        // Right after an outage the puts of all are few, and each tenant has too few of them to open its own.
        if !is_open && !state.healed.is_some_and(is_recent) {
            return;
        }
        state
            .failing
            .retain(|(other, at)| *other != tenant && is_recent(*at));
        state.failing.push((tenant, now));
        if state.failing.len() > SEVERAL {
            state.failing.remove(0);
        }
        let works = state.worked.is_some_and(|worked| now - worked < JUST);
        if works || state.failing.len() < SEVERAL {
            return;
        }
        let cause = cause();
        state.failing.clear();
        state.eased = None;
        state.outage = Some(Outage {
            since: Timestamp::now(),
            asked: now,
            probing: false,
            cause: Arc::clone(&cause),
            failed: Lately::now(),
        });
        drop(state);
        tracing::warn!(
            "{} fails for {SEVERAL} tenants and works for none: one attempt at a time is made for all, \
             until it works: {cause}",
            self.place
        );
    }

    /// Whether it is away for all, and that was shown lately.
    pub(super) fn is_failing(&self) -> bool {
        let state = self.lock();
        let outage = state.outage.as_ref();
        outage.is_some_and(|outage| outage.failed.holds())
    }

    /// The pace that all keep to for a while after an outage.
    pub(super) fn eased(&self) -> Option<Pace> {
        let mut state = self.lock();
        let (since, pace) = state.eased.as_ref()?;
        if since.elapsed() >= EASED && pace.is_free() {
            state.eased = None;
            return None;
        }
        Some(pace.clone())
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Nothing under the lock panics half-way.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use std::slice;

    use futures::FutureExt as _;
    use slimspan_artifact::Digest;
    use tokio::task::unconstrained;
    use tokio::time::advance;

    use super::*;
    use crate::storage::breaker::Breaker;
    use crate::storage::pace::Slot;
    use crate::storage::{Action, StoreError};

    /// As long as an attempt may take.
    const TELLING: Duration = Duration::from_secs(4);

    const STEP: Duration = Duration::from_millis(300);

    fn tenants(count: usize) -> (Arc<Together>, Vec<Arc<Breaker>>) {
        let together = Together::new("s3://media".into());
        let one = |_| Breaker::new("s3://media".into(), Arc::clone(&together));
        let all = (0..count).map(one).collect();
        (together, all)
    }

    #[expect(
        clippy::unnecessary_wraps,
        reason = "it is one of the two that an attempt comes to"
    )]
    fn works() -> Result<(), StoreError> {
        Ok(())
    }

    fn fails() -> Result<(), StoreError> {
        Err(StoreError::Silent {
            store: "s3://media".into(),
            action: Action::Put,
            digest: Digest::of(b""),
            waited: Duration::from_secs(2),
        })
    }

    /// Each asks the store once if it may; returns how many did.
    fn ask(tenants: &[Arc<Breaker>], store: fn() -> Result<(), StoreError>) -> usize {
        let mut asked = 0;
        for tenant in tenants {
            if let Ok(permit) = tenant.admit(TELLING) {
                permit.ended(&store());
                asked += 1;
            }
        }
        asked
    }

    /// All ask until none may any more.
    fn break_for(tenants: &[Arc<Breaker>]) {
        while ask(tenants, fails) > 0 {}
    }

    #[tokio::test(start_paused = true)]
    async fn many_tenants_ask_a_store_that_is_away_as_one() {
        let (together, all) = tenants(1_000);
        break_for(&all);
        assert!(together.is_failing());
        let mut asked = 0;
        for _ in 0..200 {
            advance(STEP).await;
            asked += ask(&all, fails);
        }
        assert!((12..=60).contains(&asked), "{asked} in a minute");
        // It works again: one finds out, and then all go on at once.
        let healed = Instant::now();
        while ask(&all, works) == 0 {
            advance(STEP).await;
        }
        assert!(healed.elapsed() <= PROBE, "{:?}", healed.elapsed());
        assert!(!together.is_failing());
        assert_eq!(ask(&all, works), all.len());
    }

    #[tokio::test(start_paused = true)]
    async fn those_for_whom_it_fails_hold_up_nobody_for_whom_it_works() {
        let (_, all) = tenants(1_000);
        // As long as they are few, it does not take others to know.
        let (few, others) = all.split_at(SEVERAL - 1);
        for _ in 0..100 {
            ask(few, fails);
            advance(STEP).await;
        }
        assert_eq!(ask(others, works), others.len());
        let (many, others) = all.split_at(100);
        for _ in 0..100 {
            ask(many, fails);
            assert_eq!(ask(others, works), others.len());
            advance(STEP).await;
        }
    }

    /// Also where it was idle while the others failed.
    #[tokio::test(start_paused = true)]
    async fn for_whom_it_has_not_failed_is_let_through_first() {
        let (_, all) = tenants(SEVERAL + 1);
        let (idle, failing) = all.split_last().unwrap();
        break_for(failing);
        let begun = Instant::now();
        while ask(slice::from_ref(idle), works) == 0 {
            advance(STEP).await;
            assert!(begun.elapsed() <= SOONER + STEP, "{:?}", begun.elapsed());
            ask(failing, fails);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn one_that_hangs_for_all_is_not_the_last() {
        let (_, all) = tenants(SEVERAL + 2);
        break_for(&all[..SEVERAL]);
        advance(PROBE).await;
        let hangs = all[SEVERAL].admit(TELLING).unwrap();
        for _ in 0..2 {
            let refused = all[SEVERAL + 1].admit(TELLING).unwrap_err();
            assert_eq!(refused.wait, Duration::ZERO, "what it shows comes soon");
            advance(PROBE.saturating_sub(STEP)).await;
            assert!(all[SEVERAL + 1].admit(TELLING).is_err(), "one at a time");
            advance(STEP).await;
            // Nobody waits for what becomes of it.
            drop(all[SEVERAL + 1].admit(TELLING).unwrap());
        }
        advance(PROBE).await;
        all[SEVERAL + 1].admit(TELLING).unwrap().ended(&works());
        hangs.ended(&fails());
        assert_eq!(ask(&all, works), all.len());
    }

    #[tokio::test(start_paused = true)]
    async fn a_store_that_works_once_and_no_more_is_soon_left_alone() {
        let (_, all) = tenants(1_000);
        break_for(&all[..SEVERAL]);
        advance(PROBE).await;
        assert_eq!(ask(&all[..1], works), 1);
        advance(JUST).await;
        assert_eq!(ask(&all[SEVERAL..], fails), SEVERAL);
    }

    /// As many puts as may go now.
    fn all_that_may(paces: &[Pace]) -> Vec<Slot> {
        let mut going = Vec::new();
        for pace in paces {
            while let Some(slot) = unconstrained(pace.slot(TELLING)).now_or_never() {
                going.push(slot);
            }
        }
        going
    }

    #[tokio::test(start_paused = true)]
    async fn after_an_outage_the_puts_of_all_keep_to_one_pace() {
        let (together, all) = tenants(SEVERAL);
        let pace = |_| Pace::new(Arc::clone(&together));
        let paces: Vec<_> = (0..1_000).map(pace).collect();
        break_for(&all);
        advance(PROBE).await;
        assert_eq!(ask(&all[..1], works), 1);
        for expected in [16, 32, 64, 128, 256, 512, 1_024] {
            let going = all_that_may(&paces);
            assert_eq!(going.len(), expected);
            advance(Duration::from_millis(50)).await;
        }
        // The store takes them slowly: as long as others wait there are fewer of them.
        let going = all_that_may(&paces);
        assert_eq!(going.len(), 2_048);
        advance(EASED).await;
        assert_eq!(all_that_may(&paces).len(), 0);
        drop(going);
        // When nobody waits any more, all go by themselves again.
        assert!(all_that_may(&paces).len() > 10_000);
    }
}
