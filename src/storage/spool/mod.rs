//! Artifacts on disk that the store does not have yet: a sender gets its answer when they are here,
//! and the store gets them when it can.
//!
//! The spool is a [journal](crate::journal) in which each artifact stands once. An entry is removed
//! after the store has it, and never before.

mod beside;
pub mod config;
mod keep;
mod record;
mod uploader;

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use bytesize::ByteSize;
use slimspan_artifact::Digest;
use tokio::sync::Notify;

use super::flights::Flights;
use crate::journal::{Entry, Journal, OpenError, Options};
pub(super) use beside::Beside;
pub(crate) use beside::left_in;
use config::SpoolConfig;
pub use keep::SpoolError;

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
    waiting: Mutex<Waiting>,
    /// Something new waits.
    arrived: Notify,
    appends: Flights<Digest, Result<(), SpoolError>>,
}

/// What the store does not have yet.
#[derive(Default)]
struct Waiting {
    by_digest: HashMap<Digest, Entry>,
    /// By sequence, oldest first.
    in_order: BTreeMap<u64, (Digest, Entry)>,
    bytes: u64,
}

impl Waiting {
    fn add(&mut self, digest: Digest, entry: Entry) {
        self.by_digest.insert(digest, entry);
        self.in_order.insert(entry.sequence(), (digest, entry));
        self.bytes += entry.len() as u64;
    }

    fn forget(&mut self, digest: &Digest, entry: &Entry) {
        if self.in_order.remove(&entry.sequence()).is_some() {
            self.bytes -= entry.len() as u64;
        }
        if self.by_digest.get(digest) == Some(entry) {
            self.by_digest.remove(digest);
        }
    }
}

impl Spool {
    /// Opens the spool and finds what waits in it; `key` is the path of its configuration.
    pub fn open(config: &SpoolConfig, key: String) -> Result<Self, OpenError> {
        let options = Options {
            segment_bytes: SEGMENT,
            max_bytes: config.max_bytes.as_u64(),
            fsync: true,
        };
        let (journal, found) = Journal::open(&config.directory, options)?;
        let mut waiting = Waiting::default();
        for entry in found.entries {
            let head = journal.read_beginning(&entry, record::HEAD);
            match head.as_deref().ok().and_then(record::digest) {
                // It came again after a power cut, or was appended by a request that was given up.
                Some(digest) if waiting.by_digest.contains_key(&digest) => journal.remove(&entry),
                Some(digest) => waiting.add(digest, entry),
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
                waiting: Mutex::new(waiting),
                arrived: Notify::new(),
                appends: Flights::new(),
            }),
        };
        let left = spool.left();
        if left.artifacts > 0 {
            tracing::info!("{spool}: {left} from an earlier run wait for the store");
        }
        Ok(spool)
    }

    /// What waits for the store.
    pub fn left(&self) -> Left {
        let waiting = self.shared.waiting();
        Left {
            artifacts: waiting.in_order.len(),
            bytes: waiting.bytes,
        }
    }

    /// Reads an artifact that waits, and checks it.
    pub async fn get(&self, digest: &Digest) -> Option<Bytes> {
        let entry = self.shared.waiting().by_digest.get(digest).copied()?;
        let record = self.shared.journal.read(&entry).await.ok()?;
        checked(&record, digest)
    }

    /// Ends when it is written down what the store has.
    pub async fn settle(&self) {
        self.shared.journal.settle().await;
    }

    /// Whether it waits here.
    pub fn has(&self, digest: &Digest) -> bool {
        self.shared.waiting().by_digest.contains_key(digest)
    }
}

impl Shared {
    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        // Nothing under the lock panics half-way.
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn checked(record: &Bytes, digest: &Digest) -> Option<Bytes> {
    let bytes = record::artifact(record)?.bytes;
    (Digest::of(&bytes) == *digest).then_some(bytes)
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
