//! The end of files that nothing has referred to for longer than they are kept.
//!
//! It is done in two runs. The first marks, durably and in the bucket, what is too old. The second, not before
//! a grace period has passed, looks again and removes what still is. What is removed cannot be counted as
//! stored by any replica: a replica counts only what it put itself less than `refresh` ago, a put renews the
//! file's own time, and a file whose own time is later than its mark stays. So the last reference that may have
//! left, wherever it is written down, left at most `refresh` after the file's own time: from there on a file
//! ages, unless a later reference is known. And a reference that a replica wrote down is in the bucket when it
//! is looked again, where the replica was without the bucket for less than what the grace is longer than
//! `refresh`.

mod local;
mod marks;
mod plan;
mod references;
mod sweep;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use slimspan_artifact::Digest;

use super::config::RetentionConfig;
use super::error::CatalogError;
use crate::journal::OpenError;
use crate::storage::config::StoreConfig;
use crate::storage::{ListError, Store};
use crate::tenant::TenantId;
pub use local::Local;
pub use plan::{Plan, Step, Stepped};
pub use sweep::Swept;

/// Removes what is kept for too long.
pub struct Gc {
    store: Store,
    retention: RetentionConfig,
    /// How long a replica counts a file as stored after it stored it.
    refresh: Duration,
    /// What this machine has that is not in the bucket yet.
    local: Local,
    clock: Arc<dyn Fn() -> Timestamp + Send + Sync>,
}

/// A file that is older than files of its tenant are kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Expired {
    /// Whose it is.
    pub tenant: TenantId,
    /// Which.
    pub digest: Digest,
    /// Its bytes.
    pub size: u64,
    /// When something may last have referred to it: the last reference that is known, or the end of the time for
    /// which whoever stored it last counts it as stored, whichever is later.
    pub last: Timestamp,
    /// When it was found to be too old, unless something has referred to it since.
    pub marked: Option<Timestamp>,
}

/// Nothing can be removed, or not everything that was to be.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum GcError {
    /// Nothing is too old, ever.
    #[error(
        "catalog.retention.max_age is 0, and so is every age in by_tenant: all files are kept for ever"
    )]
    KeepsAll,
    /// Nobody writes down what refers to files.
    #[error(
        "extensions.artifact_store.catalog.enabled is false: what refers to a file is not known, so nothing is \
         removed"
    )]
    NoCatalog,
    /// A replica may count as stored what was marked.
    #[error("catalog.retention.grace: {0}")]
    Grace(String),
    /// The catalog may refer to more than can be read.
    #[error(
        "{lines} lines of {key} cannot be read: a later version of slimspan may have written them. What they \
         refer to is not known, so nothing is removed"
    )]
    Unreadable {
        /// The object.
        key: String,
        /// How many.
        lines: usize,
    },
    /// Objects come and go faster than they can be read.
    #[error("the catalog is merged at the moment: try again when that has ended")]
    Restless,
    /// What waits on this machine is not known.
    #[error(
        "{path}: what waits there for the bucket cannot be read, so nothing is removed: {source}"
    )]
    Local {
        /// The folder.
        path: PathBuf,
        /// What the disk said.
        source: OpenError,
    },
    /// The same for a part of it.
    #[error("{path}: {reason}, so nothing is removed")]
    LocalEntry {
        /// The folder.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// The bucket does not give or take an object.
    #[error(transparent)]
    Catalog(#[from] CatalogError),
    /// The bucket does not say what it has.
    #[error(transparent)]
    Listing(#[from] ListError),
}

impl From<crate::storage::BucketError> for GcError {
    fn from(error: crate::storage::BucketError) -> Self {
        Self::Catalog(error.into())
    }
}

impl Gc {
    /// For the files of `store`, as its configuration says. What waits for the bucket on this machine is
    /// read there, too.
    pub fn new(store: Store, config: &StoreConfig) -> Result<Self, GcError> {
        let local = Local::read(&store, config)?;
        Self::with(store, config, local, Arc::new(Timestamp::now))
    }

    /// The same by another clock.
    pub fn with(
        store: Store,
        config: &StoreConfig,
        local: Local,
        clock: Arc<dyn Fn() -> Timestamp + Send + Sync>,
    ) -> Result<Self, GcError> {
        if !config.catalog.enabled {
            return Err(GcError::NoCatalog);
        }
        let retention = config.catalog.retention.clone();
        if retention.keeps_all() {
            return Err(GcError::KeepsAll);
        }
        if let Some(mistake) = retention.mistake(config.refresh) {
            return Err(GcError::Grace(mistake));
        }
        Ok(Self {
            store,
            retention,
            refresh: config.refresh,
            local,
            clock,
        })
    }

    fn now(&self) -> Timestamp {
        (self.clock)()
    }
}

/// So long before `time`.
fn before(time: Timestamp, by: Duration) -> Timestamp {
    let by = jiff::SignedDuration::try_from(by).unwrap_or(jiff::SignedDuration::MAX);
    time.checked_sub(by).unwrap_or(Timestamp::MIN)
}

/// So long after `time`.
fn after(time: Timestamp, by: Duration) -> Timestamp {
    let by = jiff::SignedDuration::try_from(by).unwrap_or(jiff::SignedDuration::MAX);
    time.checked_add(by).unwrap_or(Timestamp::MAX)
}

impl std::fmt::Debug for Gc {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Gc")
            .field("store", &self.store)
            .field("retention", &self.retention)
            .finish_non_exhaustive()
    }
}
