//! Opening the file: its folder, and that nobody else writes to it.

use std::fs::{DirBuilder, File, Metadata, OpenOptions, TryLockError};
use std::io;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use super::config::FileConfig;
use super::disk::Disk;
use super::tail::Framing;

/// Why the file cannot be used; the text begins with the key to change.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Its folder is missing.
    #[error("path: the folder {} is missing: make it, or set create_directory to true", folder.display())]
    NoFolder {
        /// The folder.
        folder: PathBuf,
    },
    /// Somebody else writes to it.
    #[error("path: {} is written by another exporter or process: give each a file of its own", path.display())]
    InUse {
        /// The file.
        path: PathBuf,
    },
    /// It holds something that is not to be destroyed.
    #[error("path: {} holds something else than {expected}: name another file, or move this one away", path.display())]
    Foreign {
        /// The file.
        path: PathBuf,
        /// What it would hold had the exporter written it.
        expected: Framing,
    },
    /// It cannot be opened.
    #[error("path: cannot write {}: {reason}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// Why.
        reason: io::Error,
    },
}

/// How long a writer that ends may keep the file.
const PATIENCE: Duration = Duration::from_secs(1);

/// The folder that a file is in.
pub(super) fn folder_of(path: &Path) -> &Path {
    match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    }
}

/// Makes the folder of the file, if that is wanted and it is missing.
pub(super) fn make_folder(disk: Disk, config: &FileConfig) -> Result<(), OpenError> {
    let folder = folder_of(&config.path);
    if folder.is_dir() {
        return Ok(());
    }
    if !config.create_directory {
        return Err(OpenError::NoFolder {
            folder: folder.to_owned(),
        });
    }
    let there = folder.ancestors().skip(1).find(|above| above.is_dir());
    let mut builder = DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, config.permissions_of_directory());
    let mut made = builder.create(folder);
    if config.fsync {
        // Each folder's name is in the one above it.
        let new = folder
            .ancestors()
            .take_while(|above| Some(*above) != there && !above.as_os_str().is_empty());
        for folder in new {
            made = made.and_then(|()| disk.sync_folder_of(folder));
        }
    }
    made.map_err(|reason| OpenError::Io {
        path: folder.to_owned(),
        reason,
    })
}

/// Opens a file that nobody else writes to.
pub(super) fn open(path: &Path) -> Result<File, OpenError> {
    let file = OpenOptions::new().append(true).create(true).open(path);
    let file = file.map_err(|reason| OpenError::Io {
        path: path.to_owned(),
        reason,
    })?;
    let until = Instant::now() + PATIENCE;
    while is_regular(&file).unwrap_or(false)
        && let Err(TryLockError::WouldBlock) = file.try_lock()
    {
        // Where a file system has no locks, nothing can be said.
        if Instant::now() >= until {
            return Err(OpenError::InUse {
                path: path.to_owned(),
            });
        }
        thread::sleep(PATIENCE / 50);
    }
    Ok(file)
}

/// Whether it is no pipe, terminal or device.
pub(super) fn is_regular(file: &File) -> io::Result<bool> {
    Ok(file.metadata()?.is_file())
}

/// Whether both are of one file.
#[cfg(unix)]
pub(super) fn is_same(one: &Metadata, other: &Metadata) -> bool {
    use std::os::unix::fs::MetadataExt as _;
    (one.dev(), one.ino()) == (other.dev(), other.ino())
}

/// The same where nobody can tell.
#[cfg(not(unix))]
pub(super) fn is_same(_: &Metadata, _: &Metadata) -> bool {
    true
}
