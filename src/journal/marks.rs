//! What became of records and segments, in a file of its own: 24 bytes for each mark, so that one
//! that is damaged takes no other along.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::disk::{Appending, Disk, write_all};
use super::format::{crc, is_sealed, u32_at, u64_at};
use super::window::Window;
use crate::crash::{self, Point};

/// The length of a mark.
pub(super) const MARK: usize = 24;

/// The name of the file.
const FILE: &str = "marks";

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Mark {
    /// A record is done.
    Removed { segment_id: u64, sequence: u64 },
    /// A segment was begun.
    Begun { number: u64, first_sequence: u64 },
    /// A segment has no record any more, and its file goes.
    Deleted { number: u64, first_sequence: u64 },
    /// So have all segments with smaller numbers.
    Floor { number: u64 },
}

impl Mark {
    pub(super) fn encode(self) -> [u8; MARK] {
        let (kind, one, other) = match self {
            Self::Removed {
                segment_id,
                sequence,
            } => (1_u32, segment_id, sequence),
            Self::Begun {
                number,
                first_sequence,
            } => (2, number, first_sequence),
            Self::Deleted {
                number,
                first_sequence,
            } => (3, number, first_sequence),
            Self::Floor { number } => (4, number, 0),
        };
        let mut mark = [0; MARK];
        mark[..8].copy_from_slice(&one.to_le_bytes());
        mark[8..16].copy_from_slice(&other.to_le_bytes());
        mark[16..20].copy_from_slice(&kind.to_le_bytes());
        let sum = crc(&mark[..20]);
        mark[20..].copy_from_slice(&sum.to_le_bytes());
        mark
    }

    pub(super) fn decode(bytes: &[u8]) -> Option<Self> {
        if bytes.len() != MARK || !is_sealed(bytes) {
            return None;
        }
        let (one, other) = (u64_at(bytes, 0), u64_at(bytes, 8));
        match u32_at(bytes, 16) {
            1 => Some(Self::Removed {
                segment_id: one,
                sequence: other,
            }),
            2 => Some(Self::Begun {
                number: one,
                first_sequence: other,
            }),
            3 => Some(Self::Deleted {
                number: one,
                first_sequence: other,
            }),
            4 => Some(Self::Floor { number: one }),
            _ => None,
        }
    }
}

/// What marks say of segments.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct History {
    /// All segments with smaller numbers are done.
    pub(super) floor: u64,
    /// Number and first sequence of the newest segment.
    pub(super) begun: Option<(u64, u64)>,
    /// First sequences of those that are done, by number.
    pub(super) deleted: BTreeMap<u64, u64>,
}

impl History {
    pub(super) fn begin(&mut self, number: u64, first_sequence: u64) {
        self.begun = self.begun.max(Some((number, first_sequence)));
    }

    /// The first sequence of the segment `number`, if it is not there but known.
    pub(super) fn first_sequence(&self, number: u64) -> Option<u64> {
        let begun = self.begun.filter(|(begun, _)| *begun == number);
        let deleted = self.deleted.get(&number).copied();
        deleted.or_else(|| begun.map(|(_, first_sequence)| first_sequence))
    }

    /// What has to be written so that it is read again, with `lowest` the lowest number of a segment
    /// that is there.
    pub(super) fn rewritten(&mut self, lowest: u64) -> Vec<u8> {
        self.floor = self.floor.max(lowest);
        self.deleted = self.deleted.split_off(&self.floor);
        let mut marks = vec![Mark::Floor { number: self.floor }];
        marks.extend(self.begun.map(|(number, first_sequence)| Mark::Begun {
            number,
            first_sequence,
        }));
        let deleted = self.deleted.iter();
        marks.extend(deleted.map(|(number, first_sequence)| Mark::Deleted {
            number: *number,
            first_sequence: *first_sequence,
        }));
        marks.into_iter().flat_map(Mark::encode).collect()
    }
}

/// Where the marks of the journal in `folder` are.
pub(super) fn file(folder: &Path) -> PathBuf {
    folder.join(FILE)
}

/// What the file says. `removed` is told of each record that is done.
pub(super) fn read(
    disk: &dyn Disk,
    folder: &Path,
    mut removed: impl FnMut(u64, u64),
) -> io::Result<Option<(History, u64)>> {
    let mut window = match Window::open(disk, &file(folder)) {
        Ok(window) => window,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    let (mut history, mut damaged) = (History::default(), 0);
    let mut at = 0;
    loop {
        let bytes = window.at(at, MARK)?;
        if bytes.len() < MARK {
            // Nothing, or what a crash left of a mark.
            return Ok(Some((history, damaged)));
        }
        match Mark::decode(bytes) {
            Some(Mark::Removed {
                segment_id,
                sequence,
            }) => removed(segment_id, sequence),
            Some(Mark::Begun {
                number,
                first_sequence,
            }) => history.begin(number, first_sequence),
            Some(Mark::Deleted {
                number,
                first_sequence,
            }) => {
                history.deleted.insert(number, first_sequence);
            }
            Some(Mark::Floor { number }) => history.floor = history.floor.max(number),
            // What a power cut left unwritten.
            None if bytes.iter().all(|byte| *byte == 0) => {}
            None => damaged += 1,
        }
        at += MARK as u64;
    }
}

/// The file as it grows. Marks that cannot be written wait, and go first once they can.
pub(super) struct MarksFile {
    path: PathBuf,
    file: Option<Box<dyn Appending>>,
    len: u64,
    /// What it had when it was written anew.
    needed: u64,
    unwritten: Vec<u8>,
}

/// A file of marks is not written anew for less.
const WORTH_IT: u64 = 1 << 20;

impl MarksFile {
    pub(super) fn new(folder: &Path) -> Self {
        Self {
            path: file(folder),
            file: None,
            len: 0,
            needed: 0,
            unwritten: Vec::new(),
        }
    }

    pub(super) fn add(&mut self, mark: Mark) {
        // Without a file, all of them are going to be written anew.
        if self.file.is_some() {
            self.unwritten.extend(mark.encode());
        }
    }

    /// Gives what was added to the system, so that it survives this process.
    pub(super) fn write(&mut self) {
        let Some(file) = &mut self.file else { return };
        if self.unwritten.is_empty() {
            return;
        }
        match write_all(file.as_mut(), &[&self.unwritten]) {
            Ok(()) => {
                self.len += self.unwritten.len() as u64;
                self.unwritten.clear();
                crash::at(Point::JournalMarked);
            }
            // Where half a mark cannot be cut off, none behind it would be read.
            Err(_) => {
                if file.truncate(self.len).is_err() {
                    self.file = None;
                    self.unwritten.clear();
                }
            }
        }
    }

    /// Makes durable what was written.
    pub(super) fn sync(&mut self) {
        self.write();
        if let Some(file) = &mut self.file
            && file.sync().is_err()
        {
            self.file = None;
            self.unwritten.clear();
        }
    }

    /// Whether the file should be written anew: most of it may be about what is gone, or there is
    /// none.
    pub(super) fn is_stale(&self) -> bool {
        self.file.is_none() || self.len > 2 * self.needed + WORTH_IT
    }

    /// Puts a file with these marks in the place of the old one.
    pub(super) fn replace(&mut self, disk: &dyn Disk, marks: &[u8]) -> io::Result<()> {
        let new = self.path.with_extension("new");
        if fs::exists(&new)? {
            disk.delete(&new)?;
        }
        let mut file = disk.create(&new)?;
        write_all(file.as_mut(), &[marks])?;
        file.sync()?;
        crash::at(Point::JournalReplacing);
        disk.rename(&new, &self.path)?;
        // It is the one that is read from now on, whatever comes of the sync: that only tells whether
        // a power cut can bring the old one back.
        self.file = Some(file);
        self.len = marks.len() as u64;
        self.needed = self.len;
        self.unwritten.clear();
        match self.path.parent() {
            Some(folder) => disk.sync_folder(folder),
            None => Ok(()),
        }
    }
}
