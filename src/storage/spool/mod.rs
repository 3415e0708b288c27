//! Artifacts on disk that the store does not have yet: a sender gets its answer when they are here,
//! and the store gets them when it can.
//!
//! The spool is a [journal](crate::journal) in which each artifact stands once. An entry is removed
//! after the store has it, and never before.

mod beside;
pub mod config;
mod keep;
mod label;
mod pieces;
mod record;
#[cfg(test)]
mod tests;
mod tries;
mod uploader;
mod usual;
mod waiting;

use std::fmt;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use bytes::Bytes;
use bytesize::ByteSize;
use jiff::Timestamp;
use slimspan_artifact::Digest;
use tokio::sync::{Notify, watch};

use super::Store;
use super::error::OpenError;
use super::flights::Flights;
use crate::crash::{self, Point};
#[cfg(test)]
pub(crate) use crate::journal::{FaultyDisk, HeldSyncs};
use crate::journal::{Journal, LocalDisk, Options, ReadError, Recovered};
use crate::telemetry::{Lately, SpoolSight};
use crate::tenant::TenantId;
pub(super) use beside::Beside;
pub(crate) use beside::{is_open, left_in, waiting_in};
use config::SpoolConfig;
pub use keep::SpoolError;
pub use label::OfAnother;
pub(crate) use label::meant_for;
pub(super) use pieces::SpoolSeen;
use record::Key;
pub(crate) use waiting::Fate;
use waiting::Waiting;

/// A segment is deleted when all of its artifacts are uploaded, so it is not much larger than one.
const SEGMENT: u64 = 64 << 20;

/// The spool of a store. Clones share everything.
#[derive(Clone)]
pub struct Spool {
    shared: Arc<Shared>,
}

struct Shared {
    journal: Journal,
    directory: PathBuf,
    /// The path of its configuration, for people.
    key: String,
    max_bytes_per_tenant: Option<u64>,
    waiting: Mutex<Waiting>,
    /// Something new waits.
    arrived: Notify,
    appends: Flights<Key, Result<(), SpoolError>>,
    limit: u64,
    /// When an artifact did not fit, unless one has since.
    full: Mutex<Lately>,
    /// Damaged bytes that the start did not keep.
    given_up: u64,
    /// Whether uploads wait until it was looked for what was deleted meanwhile.
    held: watch::Sender<bool>,
}

impl Spool {
    /// Opens the spool of `store` and finds what waits in it, which must not be for another one; `key` is the path
    /// of its configuration.
    pub fn open(config: &SpoolConfig, key: String, store: &Store) -> Result<Self, OpenError> {
        let (journal, found) = Journal::open(&config.directory, options(config))?;
        label::claim(&LocalDisk, &config.directory, store.base(), held(&found))?;
        Ok(Self::begin(config, key, journal, found))
    }

    /// The same on a disk that can be broken.
    #[cfg(test)]
    pub(crate) fn open_on(
        disk: &FaultyDisk,
        config: &SpoolConfig,
    ) -> Result<Self, crate::journal::OpenError> {
        let disk = Arc::new(disk.clone());
        let (journal, found) = Journal::open_on(disk, &config.directory, options(config))?;
        Ok(Self::begin(config, "spool".to_owned(), journal, found))
    }

    fn begin(config: &SpoolConfig, key: String, journal: Journal, found: Recovered) -> Self {
        let mut waiting = Waiting::default();
        let now = Timestamp::now();
        for entry in found.entries {
            crash::at(Point::SpoolTakingUp);
            let head = match journal.read_beginning(&entry, record::HEAD) {
                Ok(head) => head,
                Err(error) => {
                    tracing::error!("an artifact has to wait for the next start: {error}");
                    continue;
                }
            };
            match record::key(&head) {
                // It came again after a power cut, or was appended by a request that was given up.
                Some((key, kept)) if waiting.by_key.contains_key(&key) => {
                    waiting.relies(&key, kept.unwrap_or(now));
                    journal.remove(&entry);
                }
                Some((key, kept)) => waiting.add(key, entry, kept.unwrap_or(now)),
                None => tracing::error!(
                    "{}: an entry of {} bytes is no artifact, it stays",
                    config.directory.display(),
                    entry.len()
                ),
            }
        }
        let spool = Self {
            shared: Arc::new(Shared {
                journal,
                directory: config.directory.clone(),
                key,
                max_bytes_per_tenant: config.max_bytes_per_tenant.map(|size| size.as_u64()),
                waiting: Mutex::new(waiting),
                arrived: Notify::new(),
                appends: Flights::new(),
                limit: config.max_bytes.as_u64(),
                full: Mutex::default(),
                given_up: found.given_up,
                held: watch::Sender::new(false),
            }),
        };
        let left = spool.left();
        if left.artifacts > 0 {
            tracing::info!("{spool}: {left} from an earlier run wait for the store");
        }
        spool
    }

    /// What waits for the store.
    pub fn left(&self) -> Left {
        let waiting = self.shared.waiting();
        Left {
            artifacts: waiting.artifacts,
            bytes: waiting.bytes,
        }
    }

    /// How it looks now.
    pub fn sight(&self) -> SpoolSight {
        let left = self.left();
        let waiting = self.shared.waiting();
        let oldest = waiting.oldest();
        drop(waiting);
        let full = self.shared.full.lock();
        SpoolSight {
            artifacts: left.artifacts as u64,
            bytes: left.bytes,
            limit: self.shared.limit,
            is_full: full.unwrap_or_else(PoisonError::into_inner).holds(),
            oldest: oldest.map(|since| since.elapsed()),
        }
    }

    /// The damaged bytes that were found at the start and are not kept.
    pub fn given_up(&self) -> u64 {
        self.shared.given_up
    }

    /// Reads an artifact that waits, and checks it; `None` where none waits, or a damaged one. An error
    /// says that it waits, and that the disk does not give it.
    pub async fn get(
        &self,
        tenant: &TenantId,
        digest: &Digest,
    ) -> Result<Option<Bytes>, ReadError> {
        let key = (tenant.clone(), *digest);
        let Some(entry) = self.shared.waiting().by_key.get(&key).copied() else {
            return Ok(None);
        };
        checked(self.shared.journal.read(&entry).await, digest)
    }

    /// An artifact of a tenant was deleted at `until`, or all of them: what has waited since before that, and
    /// no request relies on that came later, is given up.
    pub(crate) fn give_up(
        &self,
        tenant: &TenantId,
        digest: Option<&Digest>,
        until: Timestamp,
    ) -> GivenUp {
        let mut waiting = self.shared.waiting();
        let late = waiting.deleted_late(tenant, digest, until);
        let deleted = waiting.deleted(tenant, digest, until);
        for (key, entry) in &deleted {
            waiting.forget(key, entry, Fate::GivenUp);
        }
        drop(waiting);
        for (_, entry) in &deleted {
            self.shared.journal.remove(entry);
        }
        GivenUp {
            artifacts: deleted.len(),
            late,
        }
    }

    /// Whether an artifact was kept again later than at `since`; none while an earlier one is uploaded.
    pub(crate) fn is_back(
        &self,
        tenant: &TenantId,
        digest: &Digest,
        since: Timestamp,
    ) -> Option<bool> {
        let key = (tenant.clone(), *digest);
        self.shared.waiting().is_back(&key, since)
    }

    /// When a request last had an artifact kept that waits.
    pub(crate) fn wanted(&self, tenant: &TenantId, digest: &Digest) -> Option<Timestamp> {
        let key = (tenant.clone(), *digest);
        self.shared.waiting().wanted(&key)
    }

    /// It was looked for deletions from `begun` on, and all that were found are told by now.
    pub(crate) fn looked(&self, begun: Instant) {
        self.shared.waiting().looked(begun);
    }

    /// When the first of all that wait was kept.
    pub(crate) fn kept_first(&self) -> Option<Timestamp> {
        self.shared.waiting().kept_first()
    }

    /// What became of an artifact, if it has left the spool lately.
    pub(crate) fn fate(&self, tenant: &TenantId, digest: &Digest) -> Option<Fate> {
        self.shared.waiting().fate(&(tenant.clone(), *digest))
    }

    /// Uploads wait for a while, until it is found out what was deleted while nobody was here.
    pub(crate) fn hold(&self) {
        self.shared.held.send_replace(true);
    }

    /// They wait no more.
    pub(crate) fn release(&self) {
        self.shared.held.send_replace(false);
    }

    /// Ends when it is written down what the store has.
    pub async fn settle(&self) {
        self.shared.journal.settle().await;
    }

    /// Whether it waits here, for a request that relies on it.
    pub(super) fn relies(&self, tenant: &TenantId, digest: &Digest) -> bool {
        let key = (tenant.clone(), *digest);
        self.shared.waiting().relies(&key, Timestamp::now())
    }

    /// A request of an earlier run relied on it at `time`.
    pub(crate) fn relied_on(&self, tenant: &TenantId, digest: &Digest, time: Timestamp) {
        let key = (tenant.clone(), *digest);
        self.shared.waiting().relies(&key, time);
    }

    /// The tenants of whom something waits here.
    pub fn tenants(&self) -> Vec<TenantId> {
        self.shared.waiting().by_tenant.keys().cloned().collect()
    }

    /// Whether it waits here.
    pub fn has(&self, tenant: &TenantId, digest: &Digest) -> bool {
        let key = (tenant.clone(), *digest);
        self.shared.waiting().by_key.contains_key(&key)
    }
}

impl Shared {
    /// An artifact did not fit, or did.
    fn is_full(&self, is: bool) {
        let now = if is { Lately::now() } else { Lately::default() };
        *self.full.lock().unwrap_or_else(PoisonError::into_inner) = now;
    }

    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        // Nothing under the lock panics half-way.
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What a deletion left of the spool.
#[derive(Debug, Default)]
pub(crate) struct GivenUp {
    /// Artifacts that waited, and do not any more.
    pub(crate) artifacts: usize,
    /// Those that were uploaded meanwhile, or may be yet: the store may have them after they were deleted.
    pub(crate) late: Vec<Digest>,
}

/// How its journal is used.
fn options(config: &SpoolConfig) -> Options {
    Options {
        segment_bytes: SEGMENT,
        max_bytes: config.max_bytes.as_u64(),
        fsync: true,
        max_damaged_bytes: config.max_damaged_bytes.as_u64(),
    }
}

/// All that may be an artifact, for people; none where that is nothing.
fn held(found: &Recovered) -> Option<String> {
    let lens = found.entries.iter().map(|entry| entry.len() as u64);
    let left = Left {
        artifacts: found.entries.len(),
        bytes: lens.sum(),
    };
    match (left.artifacts, found.damage.unreadable_segments) {
        (0, 0) => None,
        (_, 0) => Some(left.to_string()),
        (_, segments) => Some(format!("{left} and {segments} unreadable segments")),
    }
}

/// The artifact of a record, if it is intact.
fn checked(record: Result<Bytes, ReadError>, digest: &Digest) -> Result<Option<Bytes>, ReadError> {
    let record = match record {
        Ok(record) => record,
        // Nobody knows what it is.
        Err(error @ ReadError::Io { .. }) => return Err(error),
        Err(ReadError::Removed | ReadError::Damaged { .. }) => return Ok(None),
    };
    let artifact = record::artifact(&record).map(|(_, artifact)| artifact.bytes);
    Ok(artifact.filter(|bytes| Digest::of(bytes) == *digest))
}

/// How much waits for the store, for people.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Left {
    /// How many artifacts.
    pub artifacts: usize,
    /// Their size.
    pub bytes: u64,
}

impl fmt::Display for Left {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let noun = if self.artifacts == 1 {
            "artifact"
        } else {
            "artifacts"
        };
        write!(
            f,
            "{} {noun} of {}",
            self.artifacts,
            ByteSize::b(self.bytes)
        )
    }
}

impl fmt::Display for Spool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the spool {}", self.shared.directory.display())
    }
}

impl fmt::Debug for Spool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Spool")
            .field(&self.shared.directory)
            .finish()
    }
}
