use std::collections::HashMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use bytes::Bytes;

use super::damage::Damage;
use super::disk::LocalDisk;
use super::entry::Entry;
use super::error::{OpenError, ReadError};
use super::read;
use super::survey::Survey;

/// The records of a journal as they are at one moment, beside the process that owns it.
#[derive(Debug)]
pub struct Reader {
    folder: PathBuf,
    entries: Vec<Entry>,
    damage: Damage,
    segments: HashMap<u32, (PathBuf, u64)>,
    /// The same at a later moment, where a segment has gone since: what stood in it may have been moved.
    later: Mutex<Option<Box<Reader>>>,
}

impl Reader {
    /// Looks at the journal in `folder`, and changes nothing. What is appended later is not seen;
    /// what is removed later may be readable or not.
    pub fn open(folder: &Path) -> Result<Self, OpenError> {
        let survey = Survey::of(&LocalDisk, folder).map_err(|source| OpenError::Folder {
            folder: folder.to_owned(),
            source,
        })?;
        if let Some(error) = &survey.unread_marks {
            tracing::error!(
                "cannot read which records of {} are done: {error}",
                folder.display()
            );
        }
        let segments = survey.segments.into_iter();
        Ok(Self {
            folder: folder.to_owned(),
            entries: survey.entries,
            damage: survey.damage,
            segments: segments
                .map(|(slot, found)| (slot, (found.path, found.header.id)))
                .collect(),
            later: Mutex::default(),
        })
    }

    /// What is not removed, oldest first.
    pub fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// What is wrong with it. A record that is being appended looks half written.
    pub fn damage(&self) -> &Damage {
        &self.damage
    }

    /// Reads a record and checks it.
    pub fn read(&self, entry: &Entry) -> Result<Bytes, ReadError> {
        self.read_moved(entry, |path, id, place| {
            read::record(&LocalDisk, path, id, place)
        })
    }

    /// Reads the first `len` bytes of a record, which was intact when the journal was opened.
    pub fn read_beginning(&self, entry: &Entry, len: usize) -> Result<Bytes, ReadError> {
        self.read_moved(entry, |path, _, place| {
            read::part(&LocalDisk, path, place, 0..len)
        })
    }

    /// Reads something of a record, also where its owner has moved it. Whether it has, or has removed it, shows
    /// only in all of the journal.
    fn read_moved(
        &self,
        entry: &Entry,
        read: impl Fn(&Path, u64, &Entry) -> Result<Bytes, ReadError>,
    ) -> Result<Bytes, ReadError> {
        let done = self.read_here(entry, &read);
        if !matches!(done, Err(ReadError::Removed)) {
            return done;
        }
        let mut later = self.later.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            if let Some(reader) = later.as_ref() {
                let Some(place) = reader.find(entry) else {
                    return Err(ReadError::Removed);
                };
                let done = reader.read_here(&place, &read);
                if !matches!(done, Err(ReadError::Removed)) {
                    return done;
                }
            }
            *later =
                Some(
                    Self::open(&self.folder)
                        .map(Box::new)
                        .map_err(|error| ReadError::Io {
                            file: self.folder.clone(),
                            source: io::Error::other(error.to_string()),
                        })?,
                );
        }
    }

    /// Where the record of an earlier reader stands: it has its sequence wherever that is.
    fn find(&self, earlier: &Entry) -> Option<Entry> {
        let first = self
            .entries
            .partition_point(|entry| entry.sequence < earlier.sequence);
        let same = self.entries.iter().skip(first);
        let mut same = same.take_while(|entry| entry.sequence == earlier.sequence);
        same.find(|entry| entry.len == earlier.len).copied()
    }

    fn read_here(
        &self,
        entry: &Entry,
        read: impl Fn(&Path, u64, &Entry) -> Result<Bytes, ReadError>,
    ) -> Result<Bytes, ReadError> {
        let segment = self.segments.get(&entry.slot);
        let (path, id) = segment.ok_or(ReadError::Removed)?;
        read(path, *id, entry)
    }
}
