use std::time::Duration;

use crate::storage::error::StoreError;
use crate::storage::spool::SpoolError;

/// What became of the artifacts of one request. All of them are durable.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Stored {
    /// Artifacts that were uploaded.
    pub written: usize,
    /// Their size in bytes.
    pub written_bytes: u64,
    /// Artifacts that were stored lately, or uploaded by another request meanwhile.
    pub known: usize,
}

/// What became of the artifacts of one request, wherever they are kept. All of them are durable.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Kept {
    /// Artifacts that were put into the store.
    pub stored: usize,
    /// Artifacts that were written to the spool.
    pub spooled: usize,
}

/// Artifacts could not be kept.
#[derive(Debug, Clone, thiserror::Error)]
pub enum KeepError {
    /// In the store.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// In the spool.
    #[error(transparent)]
    Spool(#[from] SpoolError),
}

impl KeepError {
    /// When to try again, where that is known.
    pub fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Store(error) => error.retry_after(),
            Self::Spool(_) => None,
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Outcome {
    Written,
    Known,
}
