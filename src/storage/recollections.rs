use std::fmt;

use moka::policy::EvictionPolicy;
use moka::sync::Cache;
use slimspan_artifact::{Facts, Fingerprint, Recall};

/// Encoded values whose artifacts this process has stored, so that those who come again need not be
/// decoded. Whether an artifact still counts as stored is another question.
pub(super) struct Recollections {
    /// Random, so that nobody can look for two values with one fingerprint.
    key: [u8; 32],
    facts: Cache<Fingerprint, Facts>,
    shortest: usize,
}

/// The length from which a value is looked up. To decode and digest 16 KiB of base64 takes about
/// 10 us, and a look takes one or two.
const SHORTEST: usize = 16 * 1024;

impl Recollections {
    pub(super) fn new(capacity: u64) -> Self {
        Self {
            key: rand::random(),
            facts: Cache::builder()
                .max_capacity(capacity)
                .eviction_policy(EvictionPolicy::lru())
                .build(),
            // What is never found need not be hashed.
            shortest: if capacity == 0 { usize::MAX } else { SHORTEST },
        }
    }

    /// The artifacts of these values are stored.
    pub(super) fn learn(&self, learned: impl IntoIterator<Item = (Fingerprint, Facts)>) {
        for (fingerprint, facts) in learned {
            self.facts.insert(fingerprint, facts);
        }
    }
}

impl Recall for Recollections {
    fn key(&self) -> &[u8; 32] {
        &self.key
    }

    fn shortest(&self) -> usize {
        self.shortest
    }

    fn recall(&self, fingerprint: &Fingerprint) -> Option<Facts> {
        self.facts.get(fingerprint)
    }
}

/// Without the key.
impl fmt::Debug for Recollections {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Recollections").finish_non_exhaustive()
    }
}
