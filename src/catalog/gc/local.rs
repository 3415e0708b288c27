//! What this machine has that the bucket does not.

use std::collections::HashMap;
use std::io;
use std::path::Path;

use jiff::Timestamp;
use slimspan_artifact::Digest;

use super::super::folder;
use super::super::recorder::{from_lines, journals_in};
use super::GcError;
use crate::journal::{Journal, OpenError, ReadError};
use crate::storage::config::StoreConfig;
use crate::storage::{Store, spool};
use crate::tenant::TenantId;

/// What waits on this machine for the bucket, whether or not a slimspan runs here.
#[derive(Debug, Clone, Default)]
pub struct Local {
    /// When something in a journal last referred to each.
    pub(super) references: HashMap<(TenantId, Digest), Timestamp>,
}

impl Local {
    /// Reads the journals of the catalog, and the spool. One that is not there has nothing.
    pub fn read(store: &Store, config: &StoreConfig) -> Result<Self, GcError> {
        let mut local = Self::default();
        for path in journals_in(&folder(&config.catalog.directory, &store.bucket())) {
            let Some(reader) = there(&path, Journal::open_read_only(&path))? else {
                continue;
            };
            for entry in reader.entries() {
                let unreadable = |reason: String| GcError::LocalEntry {
                    path: path.clone(),
                    reason,
                };
                let lines = match reader.read(entry) {
                    Ok(lines) => lines,
                    // It is in the bucket by now.
                    Err(ReadError::Removed) => continue,
                    Err(error) => return Err(unreadable(error.to_string())),
                };
                let (entries, others) = from_lines(&lines);
                if others > 0 {
                    return Err(unreadable(format!("{others} lines cannot be read")));
                }
                for entry in entries {
                    if let Some(digest) = entry.digest {
                        local.refers((entry.tenant, digest), entry.recorded);
                    }
                }
            }
        }
        let directory = &config.spool.directory;
        let now = Timestamp::now();
        for key in there(directory, spool::waiting_in(directory))?.unwrap_or_default() {
            local.refers(key, now);
        }
        Ok(local)
    }

    fn refers(&mut self, key: (TenantId, Digest), at: Timestamp) {
        let last = self.references.entry(key).or_insert(at);
        *last = at.max(*last);
    }
}

fn there<T>(path: &Path, opened: Result<T, OpenError>) -> Result<Option<T>, GcError> {
    match opened {
        Ok(opened) => Ok(Some(opened)),
        Err(OpenError::Folder { source, .. }) if source.kind() == io::ErrorKind::NotFound => {
            Ok(None)
        }
        Err(source) => Err(GcError::Local {
            path: path.to_owned(),
            source,
        }),
    }
}
