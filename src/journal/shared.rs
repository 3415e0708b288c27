use std::collections::HashMap;
use std::path::Path;
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, PoisonError, RwLock};

use super::entry::Entry;
use super::error::ReadError;

/// What the journal and its thread both know.
#[derive(Debug, Default)]
pub(super) struct Shared {
    /// Where segments are, and their ids.
    segments: RwLock<HashMap<u32, (Arc<Path>, u64)>>,
    /// Where those records stand now that were moved since they were told.
    moved: RwLock<HashMap<Entry, Entry>>,
    /// The bytes of all segments.
    pub(super) held: AtomicU64,
}

impl Shared {
    pub(super) fn add_segment(&self, slot: u32, path: &Path, id: u64) {
        let mut segments = self
            .segments
            .write()
            .unwrap_or_else(PoisonError::into_inner);
        segments.insert(slot, (path.into(), id));
    }

    pub(super) fn forget_segment(&self, slot: u32) {
        let mut segments = self
            .segments
            .write()
            .unwrap_or_else(PoisonError::into_inner);
        segments.remove(&slot);
    }

    /// The record that was told as `entry` stands at `place`, before it goes from where it stood.
    pub(super) fn is_moved(&self, entry: Entry, place: Entry) {
        let mut moved = self.moved.write().unwrap_or_else(PoisonError::into_inner);
        moved.insert(entry, place);
    }

    /// Nobody needs the record any more; where it stands.
    pub(super) fn forget(&self, entry: &Entry) -> Entry {
        let mut moved = self.moved.write().unwrap_or_else(PoisonError::into_inner);
        moved.remove(entry).unwrap_or(*entry)
    }

    /// Reads something of a record, wherever it stands.
    pub(super) fn read<T>(
        &self,
        entry: &Entry,
        read: impl Fn(&Path, u64, &Entry) -> Result<T, ReadError>,
    ) -> Result<T, ReadError> {
        loop {
            let place = self.place(entry);
            let segment = self.segment(place.slot).ok_or(ReadError::Removed);
            let done = segment.and_then(|(path, id)| read(&path, id, &place));
            match done {
                // It was moved meanwhile, and its segment went.
                Err(ReadError::Removed) if self.place(entry) != place => {}
                done => return done,
            }
        }
    }

    fn place(&self, entry: &Entry) -> Entry {
        let moved = self.moved.read().unwrap_or_else(PoisonError::into_inner);
        moved.get(entry).copied().unwrap_or(*entry)
    }

    fn segment(&self, slot: u32) -> Option<(Arc<Path>, u64)> {
        let segments = self.segments.read().unwrap_or_else(PoisonError::into_inner);
        segments.get(&slot).cloned()
    }
}
