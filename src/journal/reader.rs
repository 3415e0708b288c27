use std::collections::HashMap;
use std::path::{Path, PathBuf};

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
    entries: Vec<Entry>,
    damage: Damage,
    segments: HashMap<u32, (PathBuf, u64)>,
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
            entries: survey.entries,
            damage: survey.damage,
            segments: segments
                .map(|(slot, found)| (slot, (found.path, found.header.id)))
                .collect(),
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
        let (path, id) = self.segment(entry)?;
        read::record(&LocalDisk, path, id, entry)
    }

    /// Reads the first `len` bytes of a record, which was intact when the journal was opened.
    pub fn read_beginning(&self, entry: &Entry, len: usize) -> Result<Bytes, ReadError> {
        let (path, _) = self.segment(entry)?;
        read::part(&LocalDisk, path, entry, 0..len)
    }

    fn segment(&self, entry: &Entry) -> Result<(&Path, u64), ReadError> {
        let segment = self.segments.get(&entry.slot);
        let (path, id) = segment.ok_or(ReadError::Removed)?;
        Ok((path, *id))
    }
}
