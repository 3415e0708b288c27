use std::time::{Duration, SystemTime};

use moka::policy::EvictionPolicy;
use moka::sync::Cache;
use slimspan_artifact::Digest;
use tokio::time::Instant;

use crate::tenant::TenantId;

/// Artifacts of one tenant that this process stored less than `refresh` ago. A hit spares the upload, so what
/// others stored does not count: a bucket's lifecycle may be about to delete it.
#[derive(Debug)]
pub(super) struct Known {
    tenant: TenantId,
    /// That of all tenants, of whom none learns what another one stored.
    began: Cache<(TenantId, Digest), Moment>,
    refresh: Duration,
}

/// A moment by both clocks. One stands still while the machine sleeps, the other can be set.
#[derive(Debug, Clone, Copy)]
pub(super) struct Moment {
    steady: Instant,
    wall: SystemTime,
}

impl Moment {
    pub(super) fn now() -> Self {
        Self {
            steady: Instant::now(),
            wall: SystemTime::now(),
        }
    }

    /// The time between, by the clock that says more.
    fn since(self, earlier: Self) -> Duration {
        let wall = self.wall.duration_since(earlier.wall);
        let steady = self.steady.saturating_duration_since(earlier.steady);
        // A wall clock that was set back says nothing.
        wall.unwrap_or_default().max(steady)
    }
}

impl Known {
    pub(super) fn new(capacity: u64, refresh: Duration) -> Self {
        Self {
            tenant: TenantId::default(),
            began: Cache::builder()
                .max_capacity(capacity)
                .eviction_policy(EvictionPolicy::lru())
                .build(),
            refresh,
        }
    }

    /// Those of another tenant, within the same capacity.
    pub(super) fn of(&self, tenant: TenantId) -> Self {
        Self {
            tenant,
            began: self.began.clone(),
            refresh: self.refresh,
        }
    }

    /// Whether the artifact counts as stored.
    pub(super) fn has(&self, digest: &Digest) -> bool {
        let began = self.began.get(&(self.tenant.clone(), *digest));
        began.is_some_and(|began| Moment::now().since(began) < self.refresh)
    }

    /// The artifact does not count as stored any more.
    pub(super) fn forget(&self, digest: &Digest) {
        self.began.invalidate(&(self.tenant.clone(), *digest));
    }

    /// None of the tenant's artifacts counts as stored any more.
    pub(super) fn forget_all(&self) {
        for (key, _) in &self.began {
            if key.0 == self.tenant {
                self.began.invalidate(&*key);
            }
        }
    }

    /// The artifact is stored. The store's own clock started when the put `began`, or later.
    pub(super) fn stored(&self, digest: Digest, began: Moment) {
        self.began.insert((self.tenant.clone(), digest), began);
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use super::*;

    const HOUR: Duration = Duration::from_hours(1);

    #[test]
    fn the_clock_that_says_more_counts() {
        let begin = Moment::now();
        let later = |steady: Duration, wall: SystemTime| Moment {
            steady: begin.steady + steady,
            wall,
        };
        for (now, expected) in [
            (later(HOUR, begin.wall + HOUR), HOUR),
            // The machine slept.
            (later(HOUR, begin.wall + 9 * HOUR), 9 * HOUR),
            // The clock was set back.
            (later(HOUR, begin.wall - 9 * HOUR), HOUR),
            (later(HOUR, begin.wall), HOUR),
        ] {
            assert_eq!(now.since(begin), expected);
        }
    }

    #[test]
    fn what_one_tenant_stored_is_unknown_to_another() {
        let known = Known::new(10, HOUR);
        let other = known.of("acme".parse().unwrap());
        let digest = Digest::of(b"");
        other.stored(digest, Moment::now());
        assert!(other.has(&digest));
        assert!(!known.has(&digest));
    }

    #[tokio::test(start_paused = true)]
    async fn a_digest_is_known_until_its_time_is_over() {
        let known = Known::new(10, HOUR);
        let digest = Digest::of(b"");
        assert!(!known.has(&digest));
        let slept = Moment {
            wall: SystemTime::now().checked_sub(2 * HOUR).unwrap(),
            ..Moment::now()
        };
        known.stored(digest, slept);
        assert!(!known.has(&digest), "hours passed while the machine slept");
        known.stored(digest, Moment::now());
        tokio::time::advance(Duration::from_secs(3599)).await;
        assert!(known.has(&digest));
        tokio::time::advance(Duration::from_secs(1)).await;
        assert!(!known.has(&digest));
    }
}
