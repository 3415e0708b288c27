//! The file: each record is in it as a whole, or not at all.

#[cfg(test)]
mod tests;

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread::{self, JoinHandle};

use super::aside::Aside;
use super::config::{Compression, FileConfig, Format};
use super::disk::Disk;
use super::open::{OpenError, is_regular, is_same, make_folder, open};
use super::rotation::Rotation;
use super::tail::{Framing, Tail, is_zeros, tail};
use crate::telemetry::Counters;

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
