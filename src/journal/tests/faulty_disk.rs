use std::collections::{HashMap, HashSet};
use std::io::{self, IoSlice, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};

use memchr::memmem;
use tokio::sync::watch;

use crate::journal::disk::{Appending, Disk, LocalDisk, Reading};

/// The disk of this machine, with what can be wrong with one.
#[derive(Debug, Clone, Default)]
pub(crate) struct FaultyDisk {
    faults: Arc<Faults>,
}

#[derive(Debug)]
struct Faults {
    /// Changes that may still be made; then the process has ended.
    changes: AtomicUsize,
    /// Whether nothing may be changed (EROFS).
    read_only: AtomicBool,
    /// Bytes that may still be written.
    room: AtomicU64,
    /// The longest write.
    at_once: AtomicUsize,
    syncs: AtomicUsize,
    failing_syncs: AtomicUsize,
    failing_folder_syncs: AtomicUsize,
    failing_cuts: AtomicUsize,
    /// Whether syncs are said to be done, and are not.
    lies: AtomicBool,
    /// Syncs of files that were asked for.
    asked: watch::Sender<usize>,
    /// How much of each file was synced.
    synced: Mutex<HashMap<PathBuf, u64>>,
    /// Files whose names are in no folder that was synced since.
    unnamed: Mutex<HashSet<PathBuf>>,
    /// Which file cannot be read from where on, or all of them.
    unreadable: Mutex<Option<(Option<PathBuf>, u64)>>,
    /// Reads that failed.
    unread: watch::Sender<usize>,
    /// Held while something is synced, by a test that wants it to take long.
    gate: Mutex<()>,
}

impl Default for Faults {
    fn default() -> Self {
        Self {
            changes: AtomicUsize::new(usize::MAX),
            read_only: AtomicBool::new(false),
            room: AtomicU64::new(u64::MAX),
            at_once: AtomicUsize::new(usize::MAX),
            syncs: AtomicUsize::new(0),
            failing_syncs: AtomicUsize::new(0),
            failing_folder_syncs: AtomicUsize::new(0),
            failing_cuts: AtomicUsize::new(0),
            lies: AtomicBool::new(false),
            asked: watch::Sender::new(0),
            synced: Mutex::default(),
            unnamed: Mutex::default(),
            unreadable: Mutex::default(),
            unread: watch::Sender::new(0),
            gate: Mutex::default(),
        }
    }
}

/// While it is there, every sync waits.
pub(crate) struct HeldSyncs<'d> {
    _gate: MutexGuard<'d, ()>,
}

impl FaultyDisk {
    /// Nothing changes after so many changes.
    pub(crate) fn end_after(&self, changes: usize) {
        self.faults.changes.store(changes, Ordering::SeqCst);
    }

    /// Whether the end has come.
    pub(crate) fn has_ended(&self) -> bool {
        self.faults.changes.load(Ordering::SeqCst) == 0
    }

    /// Whether everything may only be read (EROFS).
    pub(crate) fn set_read_only(&self, is_it: bool) {
        self.faults.read_only.store(is_it, Ordering::SeqCst);
    }

    /// So many bytes fit on it from now on.
    pub(crate) fn set_room(&self, bytes: u64) {
        self.faults.room.store(bytes, Ordering::SeqCst);
    }

    /// Writes no more than this in one call.
    pub(crate) fn write_at_once(&self, bytes: usize) {
        self.faults.at_once.store(bytes, Ordering::SeqCst);
    }

    /// The next syncs of files fail.
    pub(crate) fn fail_syncs(&self, count: usize) {
        self.faults.failing_syncs.store(count, Ordering::SeqCst);
    }

    /// From now on it says that files are synced, and syncs nothing.
    pub(crate) fn lie(&self) {
        self.faults.lies.store(true, Ordering::SeqCst);
    }

    /// The next syncs of folders fail.
    pub(crate) fn fail_folder_syncs(&self, count: usize) {
        let failing = &self.faults.failing_folder_syncs;
        failing.store(count, Ordering::SeqCst);
    }

    /// The next times nothing can be cut off a file that is written.
    pub(crate) fn fail_cuts(&self, count: usize) {
        self.faults.failing_cuts.store(count, Ordering::SeqCst);
    }

    /// Waits until one more sync of a file is asked for than at the time of the call.
    pub(crate) fn next_sync(&self) -> impl Future<Output = ()> + use<> {
        let mut asked = self.faults.asked.subscribe();
        let before = *asked.borrow_and_update();
        async move {
            asked.wait_for(|asked| *asked > before).await.unwrap();
        }
    }

    /// Nothing can be read (EIO).
    pub(crate) fn fail_reads(&self) {
        *self.faults.unreadable.lock().unwrap() = Some((None, 0));
    }

    /// This file cannot be read from there on.
    pub(crate) fn fail_reads_of(&self, path: &Path, from: u64) {
        *self.faults.unreadable.lock().unwrap() = Some((Some(path.to_owned()), from));
    }

    /// All can be read again.
    pub(crate) fn mend_reads(&self) {
        *self.faults.unreadable.lock().unwrap() = None;
    }

    /// Waits until as many reads have failed.
    pub(crate) async fn reads_failed(&self, count: usize) {
        let mut unread = self.faults.unread.subscribe();
        unread.wait_for(|unread| *unread >= count).await.unwrap();
    }

    /// How many reads have failed.
    pub(crate) fn failed_reads(&self) -> usize {
        *self.faults.unread.borrow()
    }

    /// How often a file was synced.
    pub(crate) fn syncs(&self) -> usize {
        self.faults.syncs.load(Ordering::SeqCst)
    }

    /// Nothing is synced while this is held.
    pub(crate) fn hold_syncs(&self) -> HeldSyncs<'_> {
        HeldSyncs {
            _gate: self.faults.gate.lock().unwrap(),
        }
    }

    /// Whether these bytes are in some file, and stay there if the power is cut now.
    pub(crate) fn has_synced(&self, bytes: &[u8]) -> bool {
        // In the order in which they are taken elsewhere.
        let synced = self.faults.synced.lock().unwrap();
        let unnamed = self.faults.unnamed.lock().unwrap();
        let mut named = synced.iter().filter(|(file, _)| !unnamed.contains(*file));
        named.any(|(file, synced)| {
            let all = std::fs::read(file).unwrap_or_default();
            let synced = usize::try_from(*synced).unwrap_or(usize::MAX);
            let stays = &all[..synced.min(all.len())];
            memmem::find(stays, bytes).is_some()
        })
    }

    /// Cuts what a power cut may take away: all that was not synced, bytes and names.
    pub(crate) fn cut_power(&self, of: &Path, to: &Path) {
        super::copy_into(of, to);
        for file in &*self.faults.unnamed.lock().unwrap() {
            let Ok(name) = file.strip_prefix(of) else {
                continue;
            };
            let copied = to.join(name);
            if copied.exists() {
                std::fs::remove_file(copied).unwrap();
            }
        }
        for (file, synced) in self.faults.synced.lock().unwrap().iter() {
            let Ok(name) = file.strip_prefix(of) else {
                continue;
            };
            let copied = to.join(name);
            if copied.exists() {
                let file = std::fs::OpenOptions::new()
                    .write(true)
                    .open(copied)
                    .unwrap();
                let len = file.metadata().unwrap().len();
                file.set_len(len.min(*synced)).unwrap();
            }
        }
    }
}

impl Faults {
    fn change(&self) -> io::Result<()> {
        if self.read_only.load(Ordering::SeqCst) {
            return Err(io::Error::from_raw_os_error(30));
        }
        let count = |left: usize| left.checked_sub(1);
        match self
            .changes
            .fetch_update(Ordering::SeqCst, Ordering::SeqCst, count)
        {
            Ok(_) => Ok(()),
            Err(_) => Err(io::Error::other("the process has ended")),
        }
    }
}

impl Disk for FaultyDisk {
    fn open(&self, path: &Path) -> io::Result<Box<dyn Reading>> {
        Ok(Box::new(FaultyReading {
            file: LocalDisk.open(path)?,
            path: path.to_owned(),
            at: 0,
            faults: Arc::clone(&self.faults),
        }))
    }

    fn create(&self, path: &Path) -> io::Result<Box<dyn Appending>> {
        self.faults.change()?;
        let file = LocalDisk.create(path)?;
        self.faults
            .synced
            .lock()
            .unwrap()
            .insert(path.to_owned(), 0);
        let mut unnamed = self.faults.unnamed.lock().unwrap();
        unnamed.insert(path.to_owned());
        Ok(Box::new(FaultyFile {
            file,
            path: path.to_owned(),
            len: 0,
            faults: Arc::clone(&self.faults),
        }))
    }

    fn truncate(&self, path: &Path, len: u64) -> io::Result<()> {
        self.faults.change()?;
        LocalDisk.truncate(path, len)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.faults.change()?;
        let mut synced = self.faults.synced.lock().unwrap();
        if let Some(len) = synced.remove(from) {
            synced.insert(to.to_owned(), len);
        }
        let mut unnamed = self.faults.unnamed.lock().unwrap();
        unnamed.remove(from);
        // Who is replaced leaves the name behind.
        if !to.exists() {
            unnamed.insert(to.to_owned());
        }
        LocalDisk.rename(from, to)
    }

    fn delete(&self, path: &Path) -> io::Result<()> {
        self.faults.change()?;
        self.faults.synced.lock().unwrap().remove(path);
        LocalDisk.delete(path)
    }

    fn create_folder(&self, path: &Path) -> io::Result<()> {
        if path.is_dir() {
            return Ok(());
        }
        self.faults.change()?;
        std::fs::create_dir_all(path)
    }

    fn sync_folder(&self, path: &Path) -> io::Result<()> {
        self.faults.change()?;
        fails(&self.faults.failing_folder_syncs)?;
        let mut unnamed = self.faults.unnamed.lock().unwrap();
        unnamed.retain(|file| file.parent() != Some(path));
        Ok(())
    }
}

/// Fails as often as `failing` says.
fn fails(failing: &AtomicUsize) -> io::Result<()> {
    let count = |left: usize| left.checked_sub(1);
    match failing.fetch_update(Ordering::SeqCst, Ordering::SeqCst, count) {
        Ok(_) => Err(io::Error::other("the disk is broken")),
        Err(_) => Ok(()),
    }
}

struct FaultyReading {
    file: Box<dyn Reading>,
    path: PathBuf,
    at: u64,
    faults: Arc<Faults>,
}

impl Read for FaultyReading {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let unreadable = self.faults.unreadable.lock().unwrap().clone();
        let readable = match unreadable {
            Some((None, from)) => from,
            Some((Some(path), from)) if path == self.path => from,
            _ => u64::MAX,
        };
        let left = readable.saturating_sub(self.at);
        if left == 0 && self.at < self.file.size()? {
            self.faults.unread.send_modify(|unread| *unread += 1);
            return Err(io::Error::from_raw_os_error(5));
        }
        let len = buffer
            .len()
            .min(usize::try_from(left).unwrap_or(usize::MAX));
        let read = self.file.read(&mut buffer[..len])?;
        self.at += read as u64;
        Ok(read)
    }
}

impl Seek for FaultyReading {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        self.at = self.file.seek(to)?;
        Ok(self.at)
    }
}

impl Reading for FaultyReading {
    fn size(&self) -> io::Result<u64> {
        self.file.size()
    }
}

struct FaultyFile {
    file: Box<dyn Appending>,
    path: PathBuf,
    len: u64,
    faults: Arc<Faults>,
}

impl Appending for FaultyFile {
    fn write(&mut self, bytes: &[IoSlice<'_>]) -> io::Result<usize> {
        self.faults.change()?;
        let room = self.faults.room.load(Ordering::SeqCst);
        if room == 0 {
            return Err(io::ErrorKind::StorageFull.into());
        }
        let at_once = self.faults.at_once.load(Ordering::SeqCst);
        let most = at_once.min(usize::try_from(room).unwrap_or(usize::MAX));
        let total: usize = bytes.iter().map(|slice| slice.len()).sum();
        let written = if total <= most {
            self.file.write(bytes)?
        } else {
            let all: Vec<u8> = bytes
                .iter()
                .flat_map(|slice| slice.iter().copied())
                .collect();
            self.file.write(&[IoSlice::new(&all[..most])])?
        };
        self.len += written as u64;
        if room != u64::MAX {
            self.faults.room.fetch_sub(written as u64, Ordering::SeqCst);
        }
        Ok(written)
    }

    fn sync(&mut self) -> io::Result<()> {
        self.faults.change()?;
        self.faults.asked.send_modify(|asked| *asked += 1);
        drop(self.faults.gate.lock().unwrap());
        self.faults.syncs.fetch_add(1, Ordering::SeqCst);
        fails(&self.faults.failing_syncs)?;
        if self.faults.lies.load(Ordering::SeqCst) {
            return Ok(());
        }
        // What makes it durable is not needed: who counts on it asks here.
        let mut synced = self.faults.synced.lock().unwrap();
        if let Some(synced) = synced.get_mut(&self.path) {
            *synced = self.len;
        }
        Ok(())
    }

    fn truncate(&mut self, len: u64) -> io::Result<()> {
        self.faults.change()?;
        fails(&self.faults.failing_cuts)?;
        self.len = len;
        self.file.truncate(len)
    }
}
