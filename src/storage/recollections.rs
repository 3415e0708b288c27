use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use moka::policy::EvictionPolicy;
use moka::sync::Cache;
use slimspan_artifact::{Facts, Fingerprint, Recall};

/// Encoded values of one tenant whose artifacts this process has stored, so that those who come again
/// need not be decoded. Whether an artifact still counts as stored is another question.
pub(super) struct Recollections {
    /// Random, so that nobody can look for two values with one fingerprint, and each tenant's own, so
    /// that nobody recalls what is another's.
    key: [u8; 32],
    values: Arc<Values>,
}

/// Those of all tenants.
struct Values {
    facts: Cache<Fingerprint, Facts>,
    shortest: usize,
    /// Sketches of values that came before, each in a place of its own or over another.
    sketches: Box<[AtomicU64]>,
}

/// The length from which a value is looked up. To decode and digest 16 KiB of base64 takes about
/// 10 us, and a look takes one or two.
const SHORTEST: usize = 16 * 1024;

/// Places for sketches: enough that few share one, and 16 MiB at most.
fn places(capacity: u64) -> usize {
    usize::try_from(capacity.saturating_mul(4).min(2 << 20)).unwrap_or_default()
}

impl Recollections {
    pub(super) fn new(capacity: u64) -> Self {
        Self {
            key: rand::random(),
            values: Arc::new(Values {
                facts: Cache::builder()
                    .max_capacity(capacity)
                    .eviction_policy(EvictionPolicy::lru())
                    .build(),
                sketches: std::iter::repeat_with(AtomicU64::default)
                    .take(places(capacity))
                    .collect(),
                // What is never found need not be hashed.
                shortest: if capacity == 0 { usize::MAX } else { SHORTEST },
            }),
        }
    }

    /// Those of another tenant, within the same capacity.
    pub(super) fn of_another(&self) -> Self {
        Self {
            key: rand::random(),
            values: Arc::clone(&self.values),
        }
    }

    /// The artifacts of these values are stored.
    pub(super) fn learn(&self, learned: impl IntoIterator<Item = (Fingerprint, Facts)>) {
        for (fingerprint, facts) in learned {
            self.values.facts.insert(fingerprint, facts);
        }
    }
}

impl Recall for Recollections {
    fn key(&self) -> &[u8; 32] {
        &self.key
    }

    fn shortest(&self) -> usize {
        self.values.shortest
    }

    fn met(&self, sketch: u64) -> bool {
        let place = sketch
            .checked_rem(self.values.sketches.len() as u64)
            .unwrap_or_default();
        let place = usize::try_from(place)
            .ok()
            .and_then(|place| self.values.sketches.get(place));
        place.is_some_and(|place| place.swap(sketch, Ordering::Relaxed) == sketch)
    }

    fn recall(&self, fingerprint: &Fingerprint) -> Option<Facts> {
        self.values.facts.get(fingerprint)
    }
}

/// Without the key.
impl fmt::Debug for Recollections {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Recollections").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_is_met_the_second_time() {
        let recollections = Recollections::new(100);
        for sketch in [7, 1 << 60, u64::MAX] {
            assert!(!recollections.met(sketch));
            assert!(recollections.met(sketch));
        }
        assert!(!Recollections::new(0).met(7));
        assert!(!Recollections::new(0).met(7));
        Recollections::new(u64::MAX);
    }

    #[test]
    fn what_one_tenant_learned_has_another_name_for_the_next() {
        let one = Recollections::new(100);
        let (two, three) = (one.of_another(), one.of_another());
        assert_ne!(one.key(), two.key());
        assert_ne!(two.key(), three.key());
    }
}
