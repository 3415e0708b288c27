//! What is counted of batches, limits of memory, pipelines and tenants.

use std::sync::atomic::AtomicU64;

use slimspan_proto::Signal;

use super::{BySignal, Sizes};
use crate::tally::Tally;

/// What a `batch` processor joins.
#[derive(Debug)]
pub struct BatchCounts {
    pub(crate) processor: String,
    /// Batches that were sent because they were full.
    pub(crate) full: AtomicU64,
    /// Batches that were sent because it was time.
    pub(crate) due: AtomicU64,
    /// The items of what was sent.
    pub(crate) items: Sizes,
    /// The bytes of what was sent.
    pub(crate) bytes: Sizes,
    /// Combinations of metadata that wait now.
    pub(crate) combinations: AtomicU64,
}

impl Default for BatchCounts {
    fn default() -> Self {
        Self::of("")
    }
}

impl BatchCounts {
    pub(super) fn of(id: &str) -> Self {
        Self {
            processor: id.to_owned(),
            full: AtomicU64::new(0),
            due: AtomicU64::new(0),
            items: Sizes::of_items(),
            bytes: Sizes::of_bytes(),
            combinations: AtomicU64::new(0),
        }
    }
}

/// What a `memory_limiter` processor lets through.
#[derive(Debug, Default)]
pub struct LimiterCounts {
    pub(crate) processor: String,
    /// Items that came through it.
    pub(crate) accepted: BySignal,
    /// Items that were refused because other requests had the memory.
    pub(crate) refused: BySignal,
}

/// What goes through a pipeline.
#[derive(Debug, Default)]
pub struct PipelineCounts {
    pub(crate) pipeline: String,
    /// Items that came into it.
    pub(crate) incoming: AtomicU64,
    /// Items that all of its exporters took.
    pub(crate) accepted: AtomicU64,
}

/// What is one tenant's.
#[derive(Debug, Default)]
pub struct TenantCounts {
    pub(crate) tenant: String,
    /// What became of its items.
    pub(crate) items: BySignal<Tally>,
    /// Requests, or parts of them.
    pub(crate) requests: AtomicU64,
    /// Their bytes.
    pub(crate) bytes: AtomicU64,
    /// Those that were refused because there was enough under way.
    pub(crate) refused: AtomicU64,
    /// Artifacts of them that were kept, each once for each request.
    pub(crate) artifacts: AtomicU64,
    /// The bytes of these.
    pub(crate) artifact_bytes: AtomicU64,
}

impl TenantCounts {
    /// Whether any of its items of this signal came in.
    pub(crate) fn has_sent(&self, signal: Signal) -> bool {
        self.items.of(signal).read().received > 0
    }
}

/// The log tells at the end of as many tenants.
pub(super) const TENANTS_TOLD: usize = 100;

/// As many tenants are told apart; senders name them, and there may be any number.
pub(super) const TENANTS: usize = 1000;

/// Those that are more. No tenant can have this name.
pub(super) const OTHER_TENANTS: &str = "(others)";
