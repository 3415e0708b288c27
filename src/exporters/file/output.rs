//! The file: each record is in it as a whole, or not at all.

use std::fs::{self, DirBuilder, File, Metadata, OpenOptions, TryLockError};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use super::aside::Aside;
use super::config::{Compression, FileConfig, Format};
use super::disk::Disk;
use super::rotation::Rotation;
use super::tail::{Framing, Tail, is_zeros, tail};
use crate::telemetry::Counters;

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

/// The open file.
#[derive(Debug)]
pub(super) struct Output {
    path: PathBuf,
    framing: Framing,
    rotation: Option<Rotation>,
    aside: Aside,
    fsync: bool,
    file: File,
    /// Where the last whole record ends.
    len: u64,
    /// No pipe, terminal or device: what was written can be cut off.
    is_regular: bool,
    /// A part of a record may be behind that.
    is_torn: bool,
    /// Whether it is known what the file holds; nothing is written or cut before.
    is_ready: bool,
    /// What was written to it may be lost, for good: the system tells of that only once.
    has_failed_to_sync: bool,
    /// Brings to the disk what was written.
    syncing: Option<JoinHandle<()>>,
    disk: Disk,
}

/// How long a writer that ends may keep the file.
const PATIENCE: Duration = Duration::from_secs(1);

impl Output {
    pub(super) fn open(config: &FileConfig, counters: Arc<Counters>) -> Result<Self, OpenError> {
        Self::open_on(Disk::LOCAL, config, counters)
    }

    pub(super) fn open_on(
        disk: Disk,
        config: &FileConfig,
        counters: Arc<Counters>,
    ) -> Result<Self, OpenError> {
        let path = &config.path;
        let failed = |reason| OpenError::Io {
            path: path.clone(),
            reason,
        };
        make_folder(disk, config)?;
        let framing = match (config.format, config.compression) {
            (Format::Json, Compression::None) => Framing::Lines,
            _ => Framing::Lengths,
        };
        let file = open(path)?;
        if !config.append && is_regular(&file).map_err(failed)? {
            let len = file.metadata().map_err(failed)?.len();
            if tail(path, len, framing).map_err(failed)? == Tail::Foreign {
                return Err(OpenError::Foreign {
                    path: path.clone(),
                    expected: framing,
                });
            }
            file.set_len(0).map_err(failed)?;
        }
        let rotation = config
            .rotation
            .as_ref()
            .map(|rotation| Rotation::new(path, rotation));
        let mut output = Self {
            path: path.clone(),
            framing,
            rotation,
            aside: Aside::new(path, config.max_damaged_bytes, counters),
            fsync: config.fsync,
            file,
            len: 0,
            is_regular: false,
            is_torn: false,
            is_ready: false,
            has_failed_to_sync: false,
            syncing: None,
            disk,
        };
        match output.begin() {
            // As at any other time, senders come back until there is room.
            Err(OpenError::Io { path, reason }) if reason.kind() == io::ErrorKind::StorageFull => {
                tracing::warn!("{}: cannot be written to yet: {reason}", path.display());
            }
            begun => begun?,
        }
        if let Some(rotation) = &output.rotation {
            rotation.prune();
        }
        output.aside.prune();
        Ok(output)
    }

    /// Finds the end of what the file holds, and moves away what is behind the last whole record.
    /// Nothing is written before this has succeeded.
    fn begin(&mut self) -> Result<(), OpenError> {
        let path = self.path.clone();
        let failed = |reason| OpenError::Io {
            path: path.clone(),
            reason,
        };
        self.is_ready = false;
        self.is_torn = false;
        self.len = 0;
        self.is_regular = is_regular(&self.file).map_err(failed)?;
        if self.is_regular {
            self.survey()?;
            if self.fsync {
                self.disk.sync_folder_of(&self.path).map_err(failed)?;
            }
        }
        self.is_ready = true;
        Ok(())
    }

    fn survey(&mut self) -> Result<(), OpenError> {
        let path = self.path.clone();
        let failed = |reason| OpenError::Io {
            path: path.clone(),
            reason,
        };
        let len = self.file.metadata().map_err(failed)?.len();
        match tail(&self.path, len, self.framing).map_err(failed)? {
            Tail::Whole => self.len = len,
            Tail::Unended => {
                self.len = len;
                self.put(b"\n").map_err(failed)?;
            }
            Tail::Torn { whole } => {
                self.move_tail(whole, len).map_err(failed)?;
                self.len = whole;
                self.cut().map_err(failed)?;
            }
            Tail::Damaged { at } => {
                let damaged = self.aside.rename().map_err(failed)?;
                tracing::error!(
                    "{}: damaged at byte {at}; it is {} from now on, and a new file is begun",
                    self.path.display(),
                    damaged.display()
                );
                self.file = open(&self.path)?;
            }
            Tail::Foreign => {
                return Err(OpenError::Foreign {
                    path: self.path.clone(),
                    expected: self.framing,
                });
            }
        }
        Ok(())
    }

    /// Before it is cut off: it is a part of a request, or what somebody else has written.
    fn move_tail(&self, whole: u64, len: u64) -> io::Result<()> {
        let bytes = len - whole;
        let path = self.path.display();
        if is_zeros(&mut File::open(&self.path)?, whole, len)? {
            tracing::warn!(
                "{path}: {bytes} zeros at its end, as power cuts leave them, are cut off"
            );
            return Ok(());
        }
        let beside = self.aside.copy_tail(whole, len)?;
        if self.fsync {
            self.disk.sync_folder_of(&self.path)?;
        }
        tracing::warn!(
            "{path}: {bytes} bytes at its end are a part of a request that was never acknowledged; \
             they are moved to {}",
            beside.display()
        );
        Ok(())
    }

    /// Writes a record at the end.
    pub(super) fn append(&mut self, record: &[u8]) -> io::Result<()> {
        if self.has_failed_to_sync || self.is_elsewhere() {
            self.reopen()?;
        }
        if !self.is_ready || self.is_changed()? {
            self.begin().map_err(io::Error::other)?;
        }
        if self.is_torn {
            self.cut()?;
        }
        let is_full = self.rotation.as_ref().is_some_and(|rotation| {
            self.len > 0 && self.len + record.len() as u64 > rotation.max_bytes
        });
        if is_full && self.is_regular {
            self.rotate()?;
        }
        self.put(record)
    }

    /// Whether somebody else has cut or lengthened it, as logrotate's `copytruncate` does.
    fn is_changed(&self) -> io::Result<bool> {
        if !self.is_regular {
            return Ok(false);
        }
        let len = self.file.metadata()?.len();
        Ok(len < self.len || (len > self.len && !self.is_torn))
    }

    fn put(&mut self, record: &[u8]) -> io::Result<()> {
        match self.file.write_all(record) {
            Ok(()) => {
                self.len += record.len() as u64;
                Ok(())
            }
            Err(error) => {
                // Tried again before the next record, should it not work now.
                self.is_torn = self.is_regular;
                if self.is_torn {
                    let _ = self.cut();
                }
                Err(error)
            }
        }
    }

    /// Cuts off a part of a record.
    fn cut(&mut self) -> io::Result<()> {
        if self.file.metadata()?.len() < self.len {
            // Somebody else has cut it meanwhile; setting the length would fill it with zeros.
            self.is_ready = false;
            return Err(io::Error::other("the file was cut while it was written to"));
        }
        self.file.set_len(self.len)?;
        self.is_torn = false;
        Ok(())
    }

    /// Whether the path leads to another file by now, or to none: somebody has renamed or deleted it.
    fn is_elsewhere(&self) -> bool {
        if !self.is_regular && self.is_ready {
            return false;
        }
        match (self.file.metadata(), fs::metadata(&self.path)) {
            (Ok(open), Ok(named)) => !is_same(&open, &named),
            (Ok(_), Err(error)) => error.kind() == io::ErrorKind::NotFound,
            _ => false,
        }
    }

    fn reopen(&mut self) -> io::Result<()> {
        if self.has_failed_to_sync {
            // It may be the same file that is opened anew.
            let _ = self.file.unlock();
        } else {
            self.retire()?;
        }
        self.replace()
    }

    fn rotate(&mut self) -> io::Result<()> {
        self.retire()?;
        if let Some(rotation) = &self.rotation {
            rotation.rename()?;
        }
        // Should it fail from here on, the next record finds that the path leads nowhere.
        self.replace()?;
        if let Some(rotation) = &self.rotation {
            rotation.prune();
        }
        Ok(())
    }

    /// Goes on in the file that the path leads to.
    fn replace(&mut self) -> io::Result<()> {
        self.is_ready = false;
        self.file = open(&self.path).map_err(io::Error::other)?;
        self.has_failed_to_sync = false;
        self.begin().map_err(io::Error::other)
    }

    /// Brings to the disk what was written. Where that fails, it fails until the file is opened
    /// anew: the system would tell of what is lost only once.
    pub(super) fn sync(&mut self) -> io::Result<()> {
        if !self.is_regular {
            return Ok(());
        }
        if self.has_failed_to_sync {
            return Err(io::Error::other(
                "what was written before may not be on the disk",
            ));
        }
        let synced = self.disk.sync(&self.file);
        self.has_failed_to_sync = synced.is_err() && self.fsync;
        synced
    }

    /// Whether what was written and not yet acknowledged must not be.
    pub(super) fn has_failed_to_sync(&self) -> bool {
        self.has_failed_to_sync
    }

    /// The same in a thread of its own; false if that is still at it from the last time.
    pub(super) fn sync_beside(&mut self) -> bool {
        if self.syncing.as_ref().is_some_and(|one| !one.is_finished()) {
            return false;
        }
        self.syncing = self.begin_sync();
        true
    }

    /// Before another file takes the place of this one.
    fn retire(&mut self) -> io::Result<()> {
        if self.fsync {
            self.sync()
        } else {
            // Nobody waits for it.
            drop(self.begin_sync());
            Ok(())
        }
    }

    /// At the end: everything is on the disk, or it is told why not.
    pub(super) fn finish(&mut self) {
        if let Some(syncing) = self.syncing.take() {
            let _ = syncing.join();
        }
        if let Err(error) = self.sync() {
            not_synced(&self.path, &error);
        }
    }

    fn begin_sync(&self) -> Option<JoinHandle<()>> {
        if !self.is_regular {
            return None;
        }
        let (path, disk) = (self.path.clone(), self.disk);
        let begun = self.file.try_clone().and_then(|file| {
            let sync = move || {
                if let Err(error) = disk.sync(&file) {
                    not_synced(&path, &error);
                }
            };
            thread::Builder::new()
                .name("file sync".to_owned())
                .spawn(sync)
        });
        if let Err(error) = &begun {
            not_synced(&self.path, error);
        }
        begun.ok()
    }
}

fn not_synced(path: &Path, error: &io::Error) {
    tracing::error!(
        "{}: what was written to it may not survive a power cut: {error}",
        path.display()
    );
}

/// The folder that a file is in.
pub(super) fn folder_of(path: &Path) -> &Path {
    match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    }
}

fn make_folder(disk: Disk, config: &FileConfig) -> Result<(), OpenError> {
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
fn open(path: &Path) -> Result<File, OpenError> {
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

fn is_regular(file: &File) -> io::Result<bool> {
    Ok(file.metadata()?.is_file())
}

#[cfg(unix)]
fn is_same(one: &Metadata, other: &Metadata) -> bool {
    use std::os::unix::fs::MetadataExt as _;
    (one.dev(), one.ino()) == (other.dev(), other.ino())
}

#[cfg(not(unix))]
fn is_same(_: &Metadata, _: &Metadata) -> bool {
    true
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use super::super::config::RotationConfig;
    use super::*;

    fn config(folder: &tempfile::TempDir) -> FileConfig {
        FileConfig::new(folder.path().join("telemetry.json"))
    }

    fn names(folder: &tempfile::TempDir) -> Vec<String> {
        let entries = fs::read_dir(folder.path()).unwrap();
        let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
        let mut names: Vec<_> = names.collect();
        names.sort();
        names
    }

    const A: &str = "{\"resourceSpans\":[1]}\n";
    const B: &str = "{\"resourceLogs\":[2]}\n";
    const C: &str = "{\"resourceLogs\":[3]}\n";

    #[test]
    fn what_is_torn_goes_and_what_is_whole_stays() {
        let torn = "{\"resourceSpans\":[4";
        let zeros = "\0\0\0";
        for (before, after, moved) in [
            (String::new(), B.to_owned(), None),
            (A.to_owned(), [A, B].concat(), None),
            ([A, torn].concat(), [A, B].concat(), Some(torn)),
            (torn.to_owned(), B.to_owned(), Some(torn)),
            // All but the end of the line, as some editors leave it.
            (A.trim_end().to_owned(), [A, B].concat(), None),
            // What a power cut leaves of what had not come to the disk.
            ([A, zeros].concat(), [A, B].concat(), None),
            (zeros.to_owned(), B.to_owned(), None),
        ] {
            let folder = tempfile::tempdir().unwrap();
            let mut config = config(&folder);
            config.fsync = true;
            fs::write(&config.path, &before).unwrap();
            let mut output = Output::open(&config, Arc::default()).unwrap();
            output.append(B.as_bytes()).unwrap();
            let text = fs::read_to_string(&config.path).unwrap();
            assert_eq!(text, after, "{before:?}");
            let names = names(&folder);
            let kept = names.iter().find(|name| name.contains(".json.torn-2"));
            let kept = kept.map(|name| fs::read_to_string(folder.path().join(name)).unwrap());
            assert_eq!(kept.as_deref(), moved, "{before:?}");
        }
    }

    #[test]
    fn a_damaged_file_is_kept_as_it_is() {
        let folder = tempfile::tempdir().unwrap();
        let mut config = config(&folder);
        config.format = Format::Proto;
        let record = b"\0\0\0\x04\x0a\x02\x08\x01";
        let mut damaged = record.repeat(3);
        damaged[8] = 0xff;
        fs::write(&config.path, &damaged).unwrap();
        let mut output = Output::open(&config, Arc::default()).unwrap();
        output.append(record).unwrap();
        assert_eq!(fs::read(&config.path).unwrap(), record);
        let names = names(&folder);
        let kept = names.iter().find(|name| name.contains(".json.damaged-2"));
        assert_eq!(
            fs::read(folder.path().join(kept.unwrap())).unwrap(),
            damaged
        );
    }

    #[test]
    fn a_file_of_something_else_is_not_touched() {
        let folder = tempfile::tempdir().unwrap();
        let mut config = config(&folder);
        for append in [true, false] {
            config.append = append;
            for (format, content) in [
                (Format::Json, &b"\x00\x01\x00\x00\x0a"[..]),
                (Format::Json, b"hello"),
                (Format::Json, b"{\n  \"resourceSpans\": []\n}"),
                (Format::Proto, A.as_bytes()),
                (Format::Proto, b"hello"),
            ] {
                config.format = format;
                fs::write(&config.path, content).unwrap();
                let error = Output::open(&config, Arc::default())
                    .unwrap_err()
                    .to_string();
                assert!(error.contains("holds something else"), "{error}");
                assert_eq!(fs::read(&config.path).unwrap(), content);
            }
        }
        config.format = Format::Json;
        fs::write(&config.path, A).unwrap();
        let mut output = Output::open(&config, Arc::default()).unwrap();
        output.append(B.as_bytes()).unwrap();
        assert_eq!(fs::read_to_string(&config.path).unwrap(), B);
    }

    #[test]
    fn nothing_is_written_to_a_foreign_file_that_takes_the_place() {
        let folder = tempfile::tempdir().unwrap();
        let config = config(&folder);
        let mut output = Output::open(&config, Arc::default()).unwrap();
        output.append(A.as_bytes()).unwrap();
        fs::rename(&config.path, folder.path().join("moved")).unwrap();
        fs::write(&config.path, "hello").unwrap();
        for _ in 0..3 {
            output.append(B.as_bytes()).unwrap_err();
            assert_eq!(fs::read_to_string(&config.path).unwrap(), "hello");
        }
        fs::remove_file(&config.path).unwrap();
        output.append(B.as_bytes()).unwrap();
        assert_eq!(fs::read_to_string(&config.path).unwrap(), B);
    }

    #[test]
    fn a_file_that_was_cut_from_outside_gets_no_zeros() {
        let folder = tempfile::tempdir().unwrap();
        let config = config(&folder);
        let mut output = Output::open(&config, Arc::default()).unwrap();
        output.append(A.as_bytes()).unwrap();
        let cut = || {
            let file = OpenOptions::new().write(true).open(&config.path).unwrap();
            file.set_len(0).unwrap();
        };
        cut();
        // As after a write that failed.
        output.is_torn = true;
        output.append(B.as_bytes()).unwrap();
        assert_eq!(fs::read_to_string(&config.path).unwrap(), B);
        cut();
        assert!(output.cut().is_err(), "in the middle of a write");
        assert_eq!(fs::metadata(&config.path).unwrap().len(), 0);
        output.append(C.as_bytes()).unwrap();
        assert_eq!(fs::read_to_string(&config.path).unwrap(), C);
    }

    #[test]
    fn a_sync_that_failed_has_failed_until_the_file_is_opened_anew() {
        let folder = tempfile::tempdir().unwrap();
        let mut config = config(&folder);
        config.fsync = true;
        let mut output = Output::open(&config, Arc::default()).unwrap();
        output.append(A.as_bytes()).unwrap();
        output.has_failed_to_sync = true;
        assert!(output.sync().is_err());
        assert!(output.sync().is_err());
        output.append(B.as_bytes()).unwrap();
        output.sync().unwrap();
        let text = fs::read_to_string(&config.path).unwrap();
        assert_eq!(text, [A, B].concat());
        assert!(
            Output::open(&config, Arc::default()).is_err(),
            "it is locked again"
        );
    }

    #[test]
    fn a_record_that_does_not_fit_leaves_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let config = config(&folder);
        let mut output = Output::open(&config, Arc::default()).unwrap();
        output.append(A.as_bytes()).unwrap();
        // A disk that fails in the middle of a record.
        output.file.write_all(b"{\"torn").unwrap();
        output.is_torn = true;
        output.append(B.as_bytes()).unwrap();
        let text = fs::read_to_string(&config.path).unwrap();
        assert_eq!(text, [A, B].concat());
        // One that is read-only for this process.
        output.file = File::open(&config.path).unwrap();
        assert!(output.append(C.as_bytes()).is_err());
        assert!(output.is_torn);
        output.file = OpenOptions::new().append(true).open(&config.path).unwrap();
        output.append(C.as_bytes()).unwrap();
        let text = fs::read_to_string(&config.path).unwrap();
        assert_eq!(text, [A, B, C].concat());
    }

    #[test]
    fn a_file_has_one_writer() {
        let folder = tempfile::tempdir().unwrap();
        let config = config(&folder);
        let one = Output::open(&config, Arc::default()).unwrap();
        let error = Output::open(&config, Arc::default()).unwrap_err();
        assert!(matches!(error, OpenError::InUse { .. }), "{error}");
        drop(one);
        Output::open(&config, Arc::default()).unwrap();
    }

    #[test]
    fn a_folder_is_made_only_where_that_is_wanted() {
        let folder = tempfile::tempdir().unwrap();
        let mut config = FileConfig::new(folder.path().join("a/b/telemetry.json"));
        let error = Output::open(&config, Arc::default())
            .unwrap_err()
            .to_string();
        assert!(error.contains("create_directory"), "{error}");
        config.create_directory = true;
        config.directory_permissions = Some(0o700);
        Output::open(&config, Arc::default()).unwrap();
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt as _;
            let made = fs::metadata(folder.path().join("a/b")).unwrap();
            assert_eq!(made.permissions().mode() & 0o777, 0o700);
        }
    }

    #[test]
    fn what_was_renamed_or_deleted_from_outside_is_begun_anew() {
        let folder = tempfile::tempdir().unwrap();
        let config = config(&folder);
        let mut output = Output::open(&config, Arc::default()).unwrap();
        output.append(b"{\"a\":1}\n").unwrap();
        fs::rename(&config.path, folder.path().join("moved")).unwrap();
        output.append(b"{\"b\":2}\n").unwrap();
        fs::remove_file(&config.path).unwrap();
        output.append(b"{\"c\":3}\n").unwrap();
        assert_eq!(fs::read(&config.path).unwrap(), b"{\"c\":3}\n");
        assert_eq!(
            fs::read(folder.path().join("moved")).unwrap(),
            b"{\"a\":1}\n"
        );
    }

    #[test]
    fn a_full_file_makes_room_and_old_ones_go() {
        let folder = tempfile::tempdir().unwrap();
        let mut config = config(&folder);
        let rotation = RotationConfig {
            max_megabytes: 1,
            max_backups: 3,
            ..RotationConfig::default()
        };
        config.rotation = Some(rotation);
        // Neither is a renamed one.
        for other in ["telemetry-2020.json", "other-2020-01-02T03-04-05.678.json"] {
            fs::write(folder.path().join(other), "kept").unwrap();
        }
        let mut output = Output::open(&config, Arc::default()).unwrap();
        let record = |number: u8| [vec![number; 400_000], vec![b'\n']].concat();
        let numbers = b'a'..=b'l';
        for number in numbers.clone() {
            output.append(&record(number)).unwrap();
        }
        // Two to a file: six files, of which the last is open and three are kept.
        let names = names(&folder);
        let renamed = |name: &&String| name.starts_with("telemetry-2") && name.len() > 30;
        let renamed: Vec<_> = names.iter().filter(renamed).collect();
        assert_eq!(renamed.len(), 3, "{names:?}");
        assert_eq!(names.len(), 6, "{names:?}");
        let paths = renamed.iter().map(|name| folder.path().join(name));
        let paths: Vec<_> = paths.chain([config.path.clone()]).collect();
        let all = paths.iter().flat_map(|path| fs::read(path).unwrap());
        let expected: Vec<u8> = numbers.skip(4).flat_map(record).collect();
        assert!(all.eq(expected), "in the order of their names");
        // What is larger than a file may be has one of its own.
        output.append(&vec![b'x'; 3 << 20]).unwrap();
        assert_eq!(fs::metadata(&config.path).unwrap().len(), 3 << 20);
    }
}
