//! How long it takes to hear that there is nothing.
//!
//! What may not be seen is not looked for. So that nobody tells it by the time from what is not there, both are told at
//! a multiple of [`STEP`] after they were asked for: what was looked for at the next one, and what was not at one at
//! which others were told lately, whichever it is. To that comes a part of a step by chance: what looking leaves behind,
//! such as what is in the caches of a processor, shows in tens of microseconds, and is lost in that.
//!
//! Who asks the catalog waits while entries of others are passed over, also where there is something: the more of them
//! refer to a file, the longer. So whoever sees one tenant alone is told all that comes from it at such a step, too.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::{Instant, sleep_until};

use super::access::Scope;

/// No sooner is told that there is nothing.
const STEP: Duration = Duration::from_millis(25);

/// By how much later than that, at most; less than a step, so that clocks of milliseconds do not run into the next.
const SPREAD: Duration = Duration::from_millis(22);

/// How many of those that were looked for are remembered.
const LATELY: usize = 64;

/// What is not there, by where it is asked for: each does something else before it says so.
#[derive(Debug, Default)]
pub(super) struct Absences {
    /// At the listener for artifacts.
    pub(super) files: Absence,
    /// In the API.
    pub(super) api: Absence,
    /// Among the pages.
    pub(super) pages: Absence,
}

/// What is not there, or may not be seen.
#[derive(Debug, Default)]
pub(super) struct Absence {
    /// How many steps it took lately to look for what is not there.
    lately: Mutex<VecDeque<u32>>,
}

impl Absence {
    /// Waits until it may be told of something that it is not there, for which was asked at `begun`.
    pub(super) async fn until_told(&self, begun: Instant, is_looked_for: bool) {
        let steps = if is_looked_for {
            self.remember(steps(begun.elapsed()))
        } else {
            self.usual()
        };
        sleep_until(moment(begun, steps)).await;
    }

    fn remember(&self, steps: u32) -> u32 {
        let mut lately = self.lately.lock().unwrap_or_else(PoisonError::into_inner);
        if lately.len() >= LATELY {
            lately.pop_front();
        }
        lately.push_back(steps);
        steps
    }

    /// As many as one of the last took. The mean of them would be another time than that of each.
    fn usual(&self) -> u32 {
        let lately = self.lately.lock().unwrap_or_else(PoisonError::into_inner);
        let which = rand::random::<u32>() as usize % lately.len().max(1);
        lately.get(which).copied().unwrap_or(1)
    }
}

/// Waits until who sees these may be told what the catalog has of something, for which was asked at `begun`: that there
/// is nothing, or what there is.
pub(super) async fn until_step(begun: Instant, scope: &Scope) {
    match scope {
        // From them nothing is kept.
        Scope::All => {}
        Scope::One(_) => sleep_until(moment(begun, steps(begun.elapsed()))).await,
    }
}

/// When it is told what was asked for at `begun`, after so many steps.
fn moment(begun: Instant, steps: u32) -> Instant {
    begun + STEP * steps + SPREAD.mul_f64(rand::random())
}

/// How many steps have begun by then.
fn steps(took: Duration) -> u32 {
    let steps = took.as_nanos().div_ceil(STEP.as_nanos());
    u32::try_from(steps.max(1)).unwrap_or(u32::MAX)
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use std::collections::BTreeSet;

    use tokio::time::sleep;

    use super::*;

    /// After how many steps it is told, where the store takes so long.
    async fn told(absence: &Absence, store: Option<Duration>) -> u128 {
        let begun = Instant::now();
        if let Some(store) = store {
            sleep(store).await;
        }
        absence.until_told(begun, store.is_some()).await;
        begun.elapsed().as_millis() / STEP.as_millis()
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_not_looked_for_is_told_when_others_were() {
        let absence = Absence::default();
        assert_eq!(told(&absence, None).await, 1, "nothing was looked for yet");
        for (took, steps) in [(0, 1), (3, 1), (60, 3), (61, 3), (130, 6)] {
            let took = Some(Duration::from_millis(took));
            assert_eq!(told(&absence, took).await, steps, "{took:?}");
        }
        let mut found = BTreeSet::new();
        for _ in 0..500 {
            found.insert(told(&absence, None).await);
        }
        assert_eq!(found, BTreeSet::from([1, 3, 6]));
        // The store is slower now, and that holds for both.
        for _ in 0..LATELY {
            told(&absence, Some(Duration::from_millis(220))).await;
        }
        for _ in 0..100 {
            assert_eq!(told(&absence, None).await, 9);
        }
    }

    /// What others have in the catalog is passed over in less than a step, and shows in none.
    #[tokio::test(start_paused = true)]
    async fn who_sees_one_tenant_is_told_of_the_catalog_at_a_step() {
        let told = async |scope: &Scope, index: u64| {
            let begun = Instant::now();
            sleep(Duration::from_millis(index)).await;
            until_step(begun, scope).await;
            begun.elapsed()
        };
        let one = Scope::One("acme".parse().unwrap());
        for (index, steps) in [(0, 1), (1, 1), (20, 1), (26, 2), (60, 3)] {
            let took = told(&one, index).await.as_millis() / STEP.as_millis();
            assert_eq!(took, steps, "{index} ms");
            let took = told(&Scope::All, index).await;
            let at_once = Duration::from_millis(index + 2);
            assert!(
                took < at_once,
                "nothing is kept from who sees all: {took:?}"
            );
        }
    }
}
