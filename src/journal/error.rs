use std::io;
use std::path::PathBuf;
use std::sync::Arc;

/// A journal cannot be opened. Damage inside of it is no reason, as long as the disk gives it.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// Another process, or another part of this one, has it open.
    #[error(
        "the folder {folder} is in use by another process: give each process a folder of its own"
    )]
    InUse {
        /// The folder.
        folder: PathBuf,
    },
    /// The disk does not give the file that says which records are done. All of them would come again.
    #[error(
        "cannot read {file}, which says what of this folder is done already: {source}. Make its disk \
         work, or the file readable for this user, and start again. Where it is lost for good, move it \
         away: what still stands beside it is then delivered once more"
    )]
    Marks {
        /// The file.
        file: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The folder cannot be made, read or locked.
    #[error("cannot use the folder {folder}: {source}")]
    Folder {
        /// The folder.
        folder: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

impl OpenError {
    /// Whether somebody else has it open.
    pub fn is_in_use(&self) -> bool {
        matches!(self, Self::InUse { .. })
    }
}

/// A record was not appended. No part of it will ever be delivered as if it had been.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum AppendError {
    /// The journal has no room until records are removed.
    #[error("it holds {held} bytes, and with {wanted} more it would have more than its {limit}")]
    Full {
        /// The bytes on disk.
        held: u64,
        /// What the record would take.
        wanted: u64,
        /// The most that there may be.
        limit: u64,
    },
    /// The record would not fit even if the journal were empty.
    #[error("a record of {len} bytes is more than it may ever hold, {limit}")]
    TooLarge {
        /// The length of the record.
        len: u64,
        /// The longest that fits.
        limit: u64,
    },
    /// The disk is full, read-only or broken. A later append may succeed.
    #[error("{0}")]
    Io(Arc<io::Error>),
    /// The journal was closed meanwhile.
    #[error("it is closed")]
    Closed,
}

impl AppendError {
    /// Whether it is room that is missing, in the journal or on its disk.
    pub fn is_full(&self) -> bool {
        match self {
            Self::Full { .. } => true,
            Self::Io(error) => matches!(
                error.kind(),
                io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded
            ),
            Self::TooLarge { .. } | Self::Closed => false,
        }
    }
}

impl From<io::Error> for AppendError {
    fn from(error: io::Error) -> Self {
        Self::Io(Arc::new(error))
    }
}

/// A record cannot be read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReadError {
    /// It was removed.
    #[error("the record was removed")]
    Removed,
    /// The bytes on disk are not the record any more.
    #[error("the record is damaged on disk: {file}, {len} bytes from {offset} on")]
    Damaged {
        /// The segment.
        file: PathBuf,
        /// Where in it.
        offset: u64,
        /// The record's length.
        len: usize,
    },
    /// The disk does not give it.
    #[error("cannot read the record from {file}: {source}")]
    Io {
        /// The segment.
        file: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}
