use std::fs::{File, OpenOptions, TryLockError};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::sync::mpsc::{Sender, channel};
use std::thread::{self, JoinHandle};

use bytes::Bytes;
use tokio::sync::oneshot;

use super::command::Command;
use super::damage::Damage;
use super::disk::{self, Disk, LocalDisk};
use super::entry::Entry;
use super::error::{AppendError, OpenError, ReadError};
use super::marks;
use super::parts::Parts;
use super::quarantine::Quarantine;
use super::read;
use super::reader::Reader;
use super::repair::Repair;
use super::shared::Shared;
use super::survey::Survey;
use super::writer::Writer;
use crate::crash::{self, Point};

/// The file that whoever has a journal open holds locked.
const LOCK: &str = "lock";

/// How a journal uses its disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Options {
    /// The size at which a segment is full and the next one begins. At most an eighth of `max_bytes`
    /// is used, so that removing records makes room soon.
    pub segment_bytes: u64,
    /// The bytes that all segments may have together; half a segment more for as long as it takes to
    /// move records from one that is mostly done.
    pub max_bytes: u64,
    /// Whether what is appended survives a power cut; otherwise it survives the process.
    pub fsync: bool,
    /// The bytes of damage that are kept for people, beside `max_bytes`.
    pub max_damaged_bytes: u64,
}

/// What was found in a journal.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Recovered {
    /// What is not removed, oldest first.
    pub entries: Vec<Entry>,
    /// What was wrong.
    pub damage: Damage,
    /// Damaged bytes that are not kept for people, because they are more than there may be.
    pub given_up: u64,
}

/// A journal that this process owns. Clones share it; when the last one is dropped, what is under way
/// ends first.
#[derive(Debug, Clone)]
pub struct Journal {
    owner: Arc<Owner>,
}

#[derive(Debug)]
struct Owner {
    disk: Arc<dyn Disk>,
    shared: Arc<Shared>,
    commands: Sender<Command>,
    thread: Option<JoinHandle<()>>,
    /// Held for as long as the journal is open.
    _lock: File,
}

impl Journal {
    /// Opens the journal in `folder`, which is made if it is missing, and returns what is in it.
    ///
    /// Damage is put in order and told, and is no error. Blocks for as long as reading all of it
    /// takes; memory is bounded by the number of records, at 24 bytes for each.
    pub fn open(folder: &Path, options: Options) -> Result<(Self, Recovered), OpenError> {
        Self::open_on(Arc::new(LocalDisk), folder, options)
    }

    /// Looks at the journal in `folder`, which another process may own.
    pub fn open_read_only(folder: &Path) -> Result<Reader, OpenError> {
        Reader::open(folder)
    }

    /// Whether somebody has the journal in `folder` open: another process, or this one. Asking takes
    /// the lock for a moment, and changes nothing.
    pub fn is_open(folder: &Path) -> bool {
        let lock = File::open(folder.join(LOCK));
        lock.is_ok_and(|lock| matches!(lock.try_lock_shared(), Err(TryLockError::WouldBlock)))
    }

    pub(crate) fn open_on(
        disk: Arc<dyn Disk>,
        folder: &Path,
        options: Options,
    ) -> Result<(Self, Recovered), OpenError> {
        let failed = |source| OpenError::Folder {
            folder: folder.to_owned(),
            source,
        };
        disk.create_folder(folder).map_err(failed)?;
        let lock = lock(folder)?;
        let mut survey = Survey::of(disk.as_ref(), folder).map_err(failed)?;
        // They are written anew below. What is done would come again, and be done twice.
        if let Some(source) = survey.unread_marks.take() {
            let file = marks::file(folder);
            return Err(OpenError::Marks { file, source });
        }
        crash::at(Point::JournalFound);
        if survey.damage.is_any() {
            tracing::warn!("damage in {}: {}", folder.display(), survey.damage);
        }
        let mut recovered = Recovered {
            entries: std::mem::take(&mut survey.entries),
            damage: survey.damage,
            given_up: 0,
        };
        let quarantine = Quarantine::with_room_for(
            survey.segments.values(),
            disk.as_ref(),
            folder,
            options.max_damaged_bytes,
        );
        let mut repair = Repair {
            disk: disk.as_ref(),
            quarantine,
        };
        let mut done = Vec::new();
        survey.segments.retain(|slot, segment| {
            let mended = repair.mend(segment);
            if segment.is_only_a_copy() {
                return !repair.set_aside(&segment.path, segment.len);
            }
            if mended && segment.live == 0 {
                done.push(*slot);
            }
            true
        });
        recovered.given_up = repair.quarantine.tell();

        let shared = Arc::new(Shared::default());
        let (commands, receiver) = channel();
        let mut writer = Writer::new(
            Arc::clone(&disk),
            folder,
            options,
            survey,
            &shared,
            commands.clone(),
        );
        writer.tidy(&done);
        crash::at(Point::JournalOpened);
        let thread = thread::Builder::new()
            .name("journal".to_owned())
            .spawn(move || writer.run(&receiver))
            .map_err(failed)?;
        let owner = Owner {
            disk,
            shared,
            commands,
            thread: Some(thread),
            _lock: lock,
        };
        let journal = Self {
            owner: Arc::new(owner),
        };
        Ok((journal, recovered))
    }

    /// Appends a record of all `parts`, one behind the other. When this ends well, the record is
    /// durable; records that are appended at the same time are synced together.
    ///
    /// It may be dropped at any time: its bytes are given back unless they are being written, and a
    /// record that nobody has heard of is removed again.
    pub fn append(
        &self,
        parts: &[Bytes],
    ) -> impl Future<Output = Result<Entry, AppendError>> + Send + use<> {
        let (reply, appended) = oneshot::channel();
        let (parts, taken_back) = Parts::new(parts);
        let append = Command::Append { parts, reply };
        // Where the thread is gone, so is the other end of the reply.
        let _ = self.owner.commands.send(append);
        async move {
            let _taken_back = taken_back;
            let unclaimed = appended.await.map_err(|_| AppendError::Closed)??;
            Ok(unclaimed.claim())
        }
    }

    /// Reads a record and checks it.
    pub async fn read(&self, entry: &Entry) -> Result<Bytes, ReadError> {
        // Not the owner itself: who closes the journal does not wait for a disk that hangs.
        let (disk, shared) = (Arc::clone(&self.owner.disk), Arc::clone(&self.owner.shared));
        let entry = *entry;
        let read = move || {
            shared.read(&entry, |path, id, place| {
                read::record(disk.as_ref(), path, id, place)
            })
        };
        let read = tokio::task::spawn_blocking(read);
        // Fails only where the runtime ends.
        read.await.unwrap_or(Err(ReadError::Removed))
    }

    /// Reads a record and checks it, and blocks meanwhile.
    pub fn read_blocking(&self, entry: &Entry) -> Result<Bytes, ReadError> {
        let disk = self.owner.disk.as_ref();
        let shared = &self.owner.shared;
        shared.read(entry, |path, id, place| read::record(disk, path, id, place))
    }

    /// Reads the first `len` bytes of a record, unchecked, and blocks meanwhile: for what was intact
    /// when the journal was opened.
    pub fn read_beginning(&self, entry: &Entry, len: usize) -> Result<Bytes, ReadError> {
        self.read_part(entry, 0..len)
    }

    /// Reads these bytes of a record, as far as it has them, unchecked, and blocks meanwhile: for those who
    /// see from the whole of it whether it is right.
    pub fn read_part(&self, entry: &Entry, range: Range<usize>) -> Result<Bytes, ReadError> {
        let disk = self.owner.disk.as_ref();
        let shared = &self.owner.shared;
        shared.read(entry, |path, _, place| {
            read::part(disk, path, place, range.clone())
        })
    }

    /// A record is done. It comes again only after a power cut, or where the process ends at once.
    pub fn remove(&self, entry: &Entry) {
        let _ = self.owner.commands.send(Command::Remove(*entry));
    }

    /// Ends when what was asked before is done, removals included.
    pub fn settle(&self) -> impl Future<Output = ()> + Send + use<> {
        let (reply, settled) = oneshot::channel();
        let _ = self.owner.commands.send(Command::Settle(reply));
        async move {
            // Where the thread is gone, there is nothing to wait for.
            let _ = settled.await;
        }
    }

    /// The bytes that it takes on disk: those of all segments in which a record is not removed.
    pub fn held(&self) -> u64 {
        self.owner.shared.held.load(Ordering::Relaxed)
    }
}

impl Drop for Owner {
    fn drop(&mut self) {
        let _ = self.commands.send(Command::Stop);
        if let Some(thread) = self.thread.take() {
            // A panic of the thread was told where it happened.
            let _ = thread.join();
        }
    }
}

fn lock(folder: &Path) -> Result<File, OpenError> {
    let path: PathBuf = folder.join(LOCK);
    let failed = |source| OpenError::Folder {
        folder: folder.to_owned(),
        source,
    };
    let mut options = OpenOptions::new();
    let options = disk::private(options.write(true).create(true).truncate(false));
    let file = options.open(path).map_err(failed)?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(OpenError::InUse {
            folder: folder.to_owned(),
        }),
        Err(TryLockError::Error(source)) => Err(failed(source)),
    }
}
