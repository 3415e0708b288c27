use std::collections::HashMap;
use std::io::{self, IoSlice};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};

use tokio::sync::watch;

use crate::journal::disk::{Appending, Disk, LocalDisk};

/// The disk of this machine, with what can be wrong with one.
#[derive(Debug, Clone, Default)]
pub(super) struct FaultyDisk {
    faults: Arc<Faults>,
}

#[derive(Debug)]
struct Faults {
    /// Changes that may still be made; then the process has ended.
    changes: AtomicUsize,
    /// Bytes that may still be written.
    room: AtomicU64,
    /// The longest write.
    at_once: AtomicUsize,
    syncs: AtomicUsize,
    failing_syncs: AtomicUsize,
    failing_folder_syncs: AtomicUsize,
    /// Syncs of files that were asked for.
    asked: watch::Sender<usize>,
    /// How much of each file was synced.
    synced: Mutex<HashMap<PathBuf, u64>>,
    /// Held while something is synced, by a test that wants it to take long.
    gate: Mutex<()>,
}

impl Default for Faults {
    fn default() -> Self {
        Self {
            changes: AtomicUsize::new(usize::MAX),
            room: AtomicU64::new(u64::MAX),
            at_once: AtomicUsize::new(usize::MAX),
            syncs: AtomicUsize::new(0),
            failing_syncs: AtomicUsize::new(0),
            failing_folder_syncs: AtomicUsize::new(0),
            asked: watch::Sender::new(0),
            synced: Mutex::default(),
            gate: Mutex::default(),
        }
    }
}

/// While it is there, every sync waits.
pub(super) struct HeldSyncs<'d> {
    _gate: MutexGuard<'d, ()>,
}

impl FaultyDisk {
    /// Nothing changes after so many changes.
    pub(super) fn end_after(&self, changes: usize) {
        self.faults.changes.store(changes, Ordering::SeqCst);
    }

    /// Whether the end has come.
    pub(super) fn has_ended(&self) -> bool {
        self.faults.changes.load(Ordering::SeqCst) == 0
    }

    /// So many bytes fit on it from now on.
    pub(super) fn set_room(&self, bytes: u64) {
        self.faults.room.store(bytes, Ordering::SeqCst);
    }

    /// Writes no more than this in one call.
    pub(super) fn write_at_once(&self, bytes: usize) {
        self.faults.at_once.store(bytes, Ordering::SeqCst);
    }

    /// The next syncs of files fail.
    pub(super) fn fail_syncs(&self, count: usize) {
        self.faults.failing_syncs.store(count, Ordering::SeqCst);
    }

    /// The next syncs of folders fail.
    pub(super) fn fail_folder_syncs(&self, count: usize) {
        let failing = &self.faults.failing_folder_syncs;
        failing.store(count, Ordering::SeqCst);
    }

    /// Waits until one more sync of a file is asked for than at the time of the call.
    pub(super) fn next_sync(&self) -> impl Future<Output = ()> + use<> {
        let mut asked = self.faults.asked.subscribe();
        let before = *asked.borrow_and_update();
        async move {
            asked.wait_for(|asked| *asked > before).await.unwrap();
        }
    }

    /// How often a file was synced.
    pub(super) fn syncs(&self) -> usize {
        self.faults.syncs.load(Ordering::SeqCst)
    }

    /// Nothing is synced while this is held.
    pub(super) fn hold_syncs(&self) -> HeldSyncs<'_> {
        HeldSyncs {
            _gate: self.faults.gate.lock().unwrap(),
        }
    }

    /// Cuts what a power cut may take away: all that was not synced.
    pub(super) fn cut_power(&self, of: &Path, to: &Path) {
        super::copy_into(of, to);
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
    fn create(&self, path: &Path) -> io::Result<Box<dyn Appending>> {
        self.faults.change()?;
        let file = LocalDisk.create(path)?;
        self.faults
            .synced
            .lock()
            .unwrap()
            .insert(path.to_owned(), 0);
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

    fn sync_folder(&self, _: &Path) -> io::Result<()> {
        self.faults.change()?;
        fails(&self.faults.failing_folder_syncs)
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
        // What makes it durable is not needed: who counts on it asks here.
        let mut synced = self.faults.synced.lock().unwrap();
        if let Some(synced) = synced.get_mut(&self.path) {
            *synced = self.len;
        }
        Ok(())
    }

    fn truncate(&mut self, len: u64) -> io::Result<()> {
        self.faults.change()?;
        self.len = len;
        self.file.truncate(len)
    }
}
