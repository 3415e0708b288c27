//! What a journal changes and reads on disk goes through here, so that tests can make it fail, end it
//! half-way and see what was synced.

use std::fs::{self, File, OpenOptions};
use std::io::{self, IoSlice, Read, Seek, Write as _};
use std::path::Path;

/// Changes and reads files and folders.
pub(crate) trait Disk: Send + Sync + std::fmt::Debug {
    /// Opens a file to read it.
    fn open(&self, path: &Path) -> io::Result<Box<dyn Reading>>;
    /// Makes a file that is not there yet, to append to.
    fn create(&self, path: &Path) -> io::Result<Box<dyn Appending>>;
    /// Cuts a file.
    fn truncate(&self, path: &Path, len: u64) -> io::Result<()>;
    /// Gives a file another name; who has that name is replaced.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;
    /// Deletes a file.
    fn delete(&self, path: &Path) -> io::Result<()>;
    /// Makes a folder and those above it, if they are missing, so that a power cut does not take them
    /// away.
    fn create_folder(&self, path: &Path) -> io::Result<()>;
    /// Makes the names in a folder durable.
    fn sync_folder(&self, path: &Path) -> io::Result<()>;
}

/// A file that is read.
pub(crate) trait Reading: Read + Seek + Send {
    /// How many bytes it has.
    fn size(&self) -> io::Result<u64>;
}

impl Reading for File {
    fn size(&self) -> io::Result<u64> {
        Ok(self.metadata()?.len())
    }
}

/// A file that grows.
pub(crate) trait Appending: Send {
    /// Writes at the end, maybe less than there is.
    fn write(&mut self, bytes: &[IoSlice<'_>]) -> io::Result<usize>;
    /// Makes durable what was written. After an error nobody knows what is: no second call helps.
    fn sync(&mut self) -> io::Result<()>;
    /// Cuts off what was written last.
    fn truncate(&mut self, len: u64) -> io::Result<()>;
}

/// Writes all of `parts`, or an error and some of them.
pub(crate) fn write_all(file: &mut dyn Appending, parts: &[&[u8]]) -> io::Result<()> {
    let mut slices: Vec<IoSlice<'_>> = parts.iter().map(|part| IoSlice::new(part)).collect();
    let mut rest = slices.as_mut_slice();
    // Takes away empty ones at the beginning: a write of nothing is no progress.
    IoSlice::advance_slices(&mut rest, 0);
    while !rest.is_empty() {
        match file.write(rest) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(written) => IoSlice::advance_slices(&mut rest, written),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// The disk of this machine.
#[derive(Debug)]
pub(crate) struct LocalDisk;

impl Disk for LocalDisk {
    fn open(&self, path: &Path) -> io::Result<Box<dyn Reading>> {
        Ok(Box::new(File::open(path)?))
    }

    fn create(&self, path: &Path) -> io::Result<Box<dyn Appending>> {
        let file = private(OpenOptions::new().append(true).create_new(true)).open(path)?;
        Ok(Box::new(LocalFile(file)))
    }

    fn truncate(&self, path: &Path, len: u64) -> io::Result<()> {
        let file = OpenOptions::new().write(true).open(path)?;
        file.set_len(len)?;
        file.sync_all()
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        fs::rename(from, to)
    }

    fn delete(&self, path: &Path) -> io::Result<()> {
        fs::remove_file(path)
    }

    fn create_folder(&self, path: &Path) -> io::Result<()> {
        durable_folder(path, private_folder)
    }

    #[cfg(unix)]
    fn sync_folder(&self, path: &Path) -> io::Result<()> {
        File::open(path)?.sync_all()
    }

    #[cfg(not(unix))]
    fn sync_folder(&self, _: &Path) -> io::Result<()> {
        Ok(())
    }
}

struct LocalFile(File);

impl Appending for LocalFile {
    fn write(&mut self, bytes: &[IoSlice<'_>]) -> io::Result<usize> {
        self.0.write_vectored(bytes)
    }

    fn sync(&mut self) -> io::Result<()> {
        self.0.sync_data()
    }

    fn truncate(&mut self, len: u64) -> io::Result<()> {
        self.0.set_len(len)
    }
}

/// Has a folder made that is missing, so that a power cut does not take it away.
fn durable_folder(path: &Path, make: impl FnOnce(&Path) -> io::Result<()>) -> io::Result<()> {
    if path.is_dir() {
        return Ok(());
    }
    // Each new folder is a name in its parent, and a power cut must not take that name away.
    let missing: Vec<&Path> = path.ancestors().take_while(|path| !path.exists()).collect();
    make(path)?;
    for made in missing {
        match made.parent() {
            Some(parent) if parent.as_os_str().is_empty() => {
                LocalDisk.sync_folder(Path::new("."))?;
            }
            Some(parent) => LocalDisk.sync_folder(parent)?,
            None => {}
        }
    }
    Ok(())
}

/// Makes a folder and those above it, if they are missing, with these permissions, less what the umask takes away.
pub(super) fn shared_folder(path: &Path, mode: u32) -> io::Result<()> {
    durable_folder(path, |path| {
        let mut builder = fs::DirBuilder::new();
        builder.recursive(true);
        #[cfg(unix)]
        std::os::unix::fs::DirBuilderExt::mode(&mut builder, mode);
        #[cfg(not(unix))]
        let _ = mode;
        builder.create(path)
    })
}

/// Records are what users sent to a model: nobody else on the machine reads them.
#[cfg(unix)]
pub(super) fn private(options: &mut OpenOptions) -> &mut OpenOptions {
    use std::os::unix::fs::OpenOptionsExt as _;
    options.mode(0o600)
}

#[cfg(unix)]
fn private_folder(path: &Path) -> io::Result<()> {
    use std::os::unix::fs::DirBuilderExt as _;
    if let Some(parent) = path.parent() {
        fs::create_dir_all(parent)?;
    }
    match fs::DirBuilder::new().mode(0o700).create(path) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists && path.is_dir() => Ok(()),
        done => done,
    }
}

#[cfg(not(unix))]
pub(super) fn private(options: &mut OpenOptions) -> &mut OpenOptions {
    options
}

#[cfg(not(unix))]
fn private_folder(path: &Path) -> io::Result<()> {
    fs::create_dir_all(path)
}
