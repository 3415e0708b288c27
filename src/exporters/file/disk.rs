//! How bytes and names come to the disk. Tests look on here, and make it fail.

use std::fs::File;
use std::io;
use std::path::Path;

use super::open::folder_of;

/// What brings them there.
#[derive(Debug, Clone, Copy)]
pub(super) struct Disk {
    /// The bytes of a file.
    file: fn(&File) -> io::Result<()>,
    /// The names in a folder.
    folder: fn(&Path) -> io::Result<()>,
}

impl Disk {
    /// The disk of this machine.
    pub(super) const LOCAL: Self = Self {
        file: File::sync_data,
        folder: sync_names,
    };

    /// One of a test's own.
    #[cfg(test)]
    pub(super) const fn of(
        file: fn(&File) -> io::Result<()>,
        folder: fn(&Path) -> io::Result<()>,
    ) -> Self {
        Self { file, folder }
    }

    /// Returns when the bytes of the file are on the disk.
    pub(super) fn sync(self, file: &File) -> io::Result<()> {
        (self.file)(file)
    }

    /// Returns when the name of a file or folder is on the disk: a new or renamed one may be gone
    /// after a power cut, whatever became of its bytes.
    pub(super) fn sync_folder_of(self, path: &Path) -> io::Result<()> {
        (self.folder)(folder_of(path))
    }
}

#[cfg(unix)]
fn sync_names(folder: &Path) -> io::Result<()> {
    File::open(folder)?.sync_all()
}

#[cfg(not(unix))]
fn sync_names(_: &Path) -> io::Result<()> {
    Ok(())
}
