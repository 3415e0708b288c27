//! The lines of records, from wherever they are. A disk that does not give them keeps nothing else from the bucket:
//! they stay where they are, and are asked for again.

use std::sync::{Mutex, PoisonError};

use bytes::Bytes;
use tokio::task::JoinHandle;
use tokio::time::timeout;

use super::super::entry::Entry;
use super::queue::{Home, Record};
use super::warnings::Matter;
use super::{PATIENCE, Shared};

/// The lines of a record.
pub(super) enum Lines {
    There(Bytes),
    /// They cannot be read any more.
    Gone,
    /// The disk did not give them in time.
    Later,
}

/// What is being read though nobody waits for it any more. Nothing else is read from that disk meanwhile: each read
/// that hangs has a thread.
#[derive(Debug, Default)]
pub(super) struct Unread(Mutex<Option<JoinHandle<()>>>);

impl Unread {
    /// Whether it hangs still.
    pub(super) fn hangs(&self) -> bool {
        let mut reading = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if reading.as_ref().is_some_and(JoinHandle::is_finished) {
            *reading = None;
        }
        reading.is_some()
    }

    fn set(&self, hangs: JoinHandle<()>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(hangs);
    }
}

impl Shared {
    /// The lines of a record, for which it is waited so long at most.
    pub(super) async fn lines(&self, record: &Record) -> Lines {
        let (number, entry) = match &record.home {
            Home::Memory(id) => {
                let lines = self.memory().lines(*id);
                return lines.map_or(Lines::Gone, Lines::There);
            }
            Home::Journal { number, entry } => (*number, *entry),
        };
        if self.unread.hangs() {
            return Lines::Later;
        }
        let Some(journal) = self.journals().get(number) else {
            return Lines::Gone;
        };
        let (give, given) = tokio::sync::oneshot::channel();
        let reading = tokio::spawn(async move {
            // Who asked may have gone on.
            let _ = give.send(journal.read(&entry).await);
        });
        match timeout(PATIENCE, given).await {
            Ok(Ok(Ok(lines))) => Lines::There(lines),
            Ok(Ok(Err(error))) => {
                // What is damaged goes into quarantine at the next start, which tells of it.
                self.lost(1, &error.to_string());
                Lines::Gone
            }
            // The runtime ends.
            Ok(Err(_)) => Lines::Later,
            Err(_) => {
                self.unread.set(reading);
                let what = format!(
                    "{}: entries of the catalog stay there for now, because the disk did not give them within \
                     {PATIENCE:?}",
                    self.folder.display()
                );
                self.warn(Matter::Disk, &what);
                Lines::Later
            }
        }
    }
}

/// Entries as they stand in journals and objects.
pub(in crate::catalog) fn to_lines(entries: &[Entry]) -> Bytes {
    let mut lines = Vec::with_capacity(entries.len() * 512);
    for entry in entries {
        // There is nothing in an entry that JSON does not have.
        if serde_json::to_writer(&mut lines, entry).is_ok() {
            lines.push(b'\n');
        }
    }
    lines.into()
}

/// The entries of an object or a journal's record, and how many lines are none.
pub(in crate::catalog) fn from_lines(lines: &[u8]) -> (Vec<Entry>, usize) {
    let mut unreadable = 0;
    let lines = lines.split(|byte| *byte == b'\n');
    let lines = lines.filter(|line| !line.is_empty());
    let entries = lines.filter_map(|line| {
        let entry = serde_json::from_slice(line);
        unreadable += usize::from(entry.is_err());
        entry.ok()
    });
    (entries.collect(), unreadable)
}
