use std::sync::atomic::AtomicU64;

use super::{add, get};

/// What became of the entries of one store's catalog.
#[derive(Debug, Default)]
pub struct CatalogCounts {
    recorded: AtomicU64,
    lost: AtomicU64,
    objects: AtomicU64,
    failures: AtomicU64,
    given_up: AtomicU64,
    finished: AtomicU64,
}

/// The counts at one moment.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Catalogued {
    /// Entries that were written down.
    pub recorded: u64,
    /// Entries that were not.
    pub lost: u64,
    /// Objects that were put into the bucket.
    pub objects: u64,
    /// Attempts at that which failed.
    pub failures: u64,
    /// Artifacts that were deleted while they waited for the store.
    pub given_up: u64,
    /// Deletions that others had not finished.
    pub finished: u64,
}

impl CatalogCounts {
    /// How they are now.
    pub fn read(&self) -> Catalogued {
        Catalogued {
            recorded: get(&self.recorded),
            lost: get(&self.lost),
            objects: get(&self.objects),
            failures: get(&self.failures),
            given_up: get(&self.given_up),
            finished: get(&self.finished),
        }
    }

    /// Entries were written down.
    pub fn recorded(&self, entries: usize) {
        add(&self.recorded, entries);
    }

    /// Entries were not.
    pub fn lost(&self, entries: usize) {
        add(&self.lost, entries);
    }

    /// An object was put into the bucket.
    pub fn put(&self) {
        add(&self.objects, 1);
    }

    /// Artifacts were deleted while they waited for the store.
    pub fn given_up(&self, artifacts: usize) {
        add(&self.given_up, artifacts);
    }

    /// A deletion was finished that others had not.
    pub fn finished(&self) {
        add(&self.finished, 1);
    }

    /// One was not.
    pub fn failed(&self) {
        add(&self.failures, 1);
    }
}
