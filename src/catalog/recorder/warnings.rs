//! What is told of that comes again and again: seldom, but each matter for itself. That entries are in memory alone is
//! to be known also where the bucket fails every second.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use super::Shared;
use crate::telemetry::Seldom;

/// What a warning is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Matter {
    /// Entries are in memory alone.
    Memory,
    /// Entries are missing.
    Lost,
    /// The disk does not give what is on it.
    Disk,
    /// The bucket does not take entries.
    Bucket,
    /// What others delete is not noticed.
    Deletions,
    /// Deletions are not gone on with.
    Unfinished,
}

/// When each was told last.
#[derive(Debug, Default)]
pub(super) struct Warnings(Mutex<BTreeMap<Matter, Seldom>>);

impl Warnings {
    /// It occurred once more: how often since it was told, where it is to be told again.
    fn occurred(&self, matter: Matter) -> Option<u64> {
        let mut warnings = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        warnings.entry(matter).or_default().occurred()
    }
}

impl Shared {
    /// Tells of something that comes again and again.
    pub(super) fn warn(&self, matter: Matter, what: &str) {
        if let Some(times) = self.warnings.occurred(matter) {
            tracing::warn!("{what} ({times} times)");
        }
    }

    /// Counts entries that are missing, and tells why.
    pub(super) fn lost(&self, count: usize, reason: &str) {
        self.counts.catalog.lost(count);
        let folder = self.folder.display();
        let what = format!("{folder}: entries are missing in the catalog: {reason}");
        self.warn(Matter::Lost, &what);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn one_matter_keeps_no_other_quiet() {
        let warnings = Warnings::default();
        for matter in [Matter::Bucket, Matter::Memory, Matter::Lost] {
            assert_eq!(warnings.occurred(matter), Some(1), "{matter:?}");
            assert_eq!(warnings.occurred(matter), None, "{matter:?}");
        }
    }
}
