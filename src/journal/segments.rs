use std::collections::{BTreeMap, HashMap};
use std::hash::{BuildHasher as _, RandomState};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Instant;

use super::disk::{Appending, Disk, write_all};
use super::entry::Entry;
use super::format::{SEGMENT_HEADER, SegmentHeader};
use super::marks::{History, Mark, MarksFile};
use super::moving::Standing;
use super::scan::Scan;
use super::sequences::Sequences;
use super::shared::Shared;
use super::survey::Survey;
use super::window::Window;
use crate::crash::{self, Point};

/// The files of a journal, what of them is done, and the marks that say so.
pub(super) struct Segments {
    disk: Arc<dyn Disk>,
    folder: PathBuf,
    shared: Arc<Shared>,
    by_slot: BTreeMap<u32, Segment>,
    /// As what those records were told that were moved, by where they stand.
    told_as: HashMap<Entry, Entry>,
    removed: HashMap<u64, Sequences>,
    history: History,
    marks: MarksFile,
    next_slot: u32,
    next_number: u64,
}

#[derive(Debug)]
struct Segment {
    path: PathBuf,
    header: SegmentHeader,
    len: u64,
    /// Records that are durable and not removed.
    live: u64,
    /// Their bytes.
    live_bytes: u64,
    /// Whether nothing stands in it that is not known, or only here.
    is_clean: bool,
    /// When the disk did not give what was to be moved out of it.
    unread: Option<Instant>,
}

/// The segment that grows.
pub(super) struct Active {
    pub(super) slot: u32,
    pub(super) id: u64,
    pub(super) file: Box<dyn Appending>,
    pub(super) len: u64,
    pub(super) synced: u64,
}

impl Segments {
    /// Those that a survey has found.
    pub(super) fn new(
        disk: Arc<dyn Disk>,
        folder: &Path,
        survey: Survey,
        shared: &Arc<Shared>,
    ) -> Self {
        let next_slot = survey.segments.keys().max().map_or(0, |slot| slot + 1);
        let by_slot = survey.segments.into_iter().map(|(slot, found)| {
            shared.add_segment(slot, &found.path, found.header.id);
            shared.held.fetch_add(found.len, Ordering::Relaxed);
            let segment = Segment {
                path: found.path,
                header: found.header,
                len: found.len,
                live_bytes: survey.live_bytes.get(&slot).copied().unwrap_or(0),
                is_clean: found.is_whole && found.holes.is_empty(),
                // What the disk did not give may hold records: it is never done.
                live: found.live + u64::from(!found.is_whole),
                unread: None,
            };
            (slot, segment)
        });
        Self {
            by_slot: by_slot.collect(),
            told_as: HashMap::new(),
            disk,
            folder: folder.to_owned(),
            shared: Arc::clone(shared),
            removed: survey.removed,
            history: survey.history,
            marks: MarksFile::new(folder),
            next_slot,
            next_number: survey.next_number,
        }
    }

    /// Deletes those that have nothing left, and begins the file of marks.
    pub(super) fn tidy(&mut self, done: &[u32]) {
        self.rewrite_marks();
        for slot in done {
            self.delete(*slot, &[]);
        }
    }

    pub(super) fn folder(&self) -> &Path {
        &self.folder
    }

    /// The bytes of all of them.
    pub(super) fn held(&self) -> u64 {
        self.shared.held.load(Ordering::Relaxed)
    }

    /// Begins a segment. Its name is durable when this returns, its header is with the first record.
    pub(super) fn begin(&mut self, first_sequence: u64) -> io::Result<Active> {
        let header = SegmentHeader {
            number: self.next_number,
            // Keyed by the system's random numbers.
            id: RandomState::new().hash_one(self.next_number),
            first_sequence,
        };
        let path = self.folder.join(header.file_name());
        let mut file = self.disk.create(&path)?;
        let mut begun = write_all(file.as_mut(), &[&header.encode()]);
        // Also where appends are not: what is moved into it may have been on the disk for days.
        if begun.is_ok() {
            begun = self.disk.sync_folder(&self.folder);
        }
        if let Err(error) = begun {
            let _ = self.disk.delete(&path);
            return Err(error);
        }
        crash::at(Point::JournalBegun);
        let slot = self.next_slot;
        let len = SEGMENT_HEADER as u64;
        self.shared.add_segment(slot, &path, header.id);
        let segment = Segment {
            path,
            header,
            len: 0,
            live: 0,
            live_bytes: 0,
            is_clean: true,
            unread: None,
        };
        self.by_slot.insert(slot, segment);
        self.grow(slot, len);
        let first = header.first_sequence;
        self.removed
            .insert(header.id, Sequences::none_of(first..first));
        self.history.begin(header.number, first);
        self.marks.add(Mark::Begun {
            number: header.number,
            first_sequence: first,
        });
        self.next_slot += 1;
        self.next_number += 1;
        Ok(Active {
            slot,
            id: header.id,
            file,
            len,
            synced: 0,
        })
    }

    /// So many bytes more were written.
    pub(super) fn grow(&mut self, slot: u32, by: u64) {
        self.shared.held.fetch_add(by, Ordering::Relaxed);
        if let Some(segment) = self.by_slot.get_mut(&slot) {
            segment.len += by;
        }
    }

    /// It was cut.
    pub(super) fn cut(&mut self, slot: u32, len: u64) {
        if let Some(segment) = self.by_slot.get_mut(&slot) {
            let cut = segment.len - len;
            segment.len = len;
            self.shared.held.fetch_sub(cut, Ordering::Relaxed);
        }
    }

    /// A record is durable.
    pub(super) fn committed(&mut self, place: &Entry) {
        let Some(segment) = self.by_slot.get_mut(&place.slot) else {
            return;
        };
        segment.live += 1;
        segment.live_bytes += place.taken();
        if let Some(removed) = self.removed.get_mut(&segment.header.id) {
            removed.reach(place.sequence);
        }
    }

    /// Whether no record in it is needed.
    pub(super) fn is_done(&self, slot: u32) -> bool {
        self.by_slot.get(&slot).is_some_and(|of| of.live == 0)
    }

    /// The record that was told as `entry` is not needed any more. Returns where it stands.
    pub(super) fn remove(&mut self, entry: &Entry) -> Entry {
        let place = self.shared.forget(entry);
        self.told_as.remove(&place);
        self.give_up(&place);
        place
    }

    /// The record at this place is not needed any more.
    pub(super) fn give_up(&mut self, place: &Entry) {
        if self.mark(place)
            && let Some(segment) = self.by_slot.get_mut(&place.slot)
        {
            segment.live = segment.live.saturating_sub(1);
            segment.live_bytes = segment.live_bytes.saturating_sub(place.taken());
        }
    }

    /// What stands at this place is none, whether or not it is found there by the next start. Returns whether
    /// that is new.
    pub(super) fn mark(&mut self, place: &Entry) -> bool {
        let segment = self.by_slot.get(&place.slot);
        segment.is_some_and(|segment| {
            let id = segment.header.id;
            if let Some(removed) = self.removed.get_mut(&id) {
                // It may be one that was never committed.
                removed.reach(place.sequence);
            }
            mark(&mut self.removed, &mut self.marks, id, place.sequence)
        })
    }

    /// Deletes a segment of which nothing is needed any more, but for what is `moved` elsewhere.
    pub(super) fn delete(&mut self, slot: u32, moved: &[(Entry, Entry)]) {
        let Some(segment) = self.by_slot.remove(&slot) else {
            return;
        };
        for (from, to) in moved {
            let told_as = self.told_as.remove(from).unwrap_or(*from);
            self.told_as.insert(*to, told_as);
            self.shared.is_moved(told_as, *to);
        }
        let SegmentHeader {
            number,
            first_sequence,
            id,
        } = segment.header;
        self.history.deleted.insert(number, first_sequence);
        self.marks.add(Mark::Deleted {
            number,
            first_sequence,
        });
        // Else a power cut could leave neither the file nor the mark, which looks like a loss.
        self.marks.sync();
        crash::at(Point::JournalDeleting);
        self.shared.forget_segment(slot);
        self.shared.held.fetch_sub(segment.len, Ordering::Relaxed);
        let deleted = self.disk.delete(&segment.path);
        let deleted = deleted.and_then(|()| self.disk.sync_folder(&self.folder));
        if let Err(error) = &deleted {
            tracing::error!("cannot delete {}: {error}", segment.path.display());
            // The next start may find the file, and what was moved may be done by then.
            for (from, _) in moved {
                mark(&mut self.removed, &mut self.marks, id, from.sequence);
            }
        } else if !self.by_slot.values().any(|other| other.header.id == id) {
            self.removed.remove(&id);
        }
        if self.marks.is_stale() {
            self.rewrite_marks();
        }
    }

    /// The segment of which the least is needed, where half of it or more is done: to move the rest, of no more
    /// than `most` bytes, makes room. None of `but`, and one that the disk did not give before only where there
    /// is no other.
    pub(super) fn sparsest(&self, but: &[u32], most: u64) -> Option<u32> {
        let is_sparse = |of: &Segment| 2 * (of.live_bytes + SEGMENT_HEADER as u64) <= of.len;
        let may_move = |(slot, of): &(&u32, &Segment)| {
            !but.contains(slot)
                && of.is_clean
                && of.live > 0
                && of.live_bytes <= most
                && is_sparse(of)
        };
        let sparse = self.by_slot.iter().filter(may_move);
        let share = |of: &Segment| of.live_bytes.saturating_mul(1 << 10) / of.len.max(1);
        let sparsest = sparse.min_by_key(|(_, of)| (of.unread, share(of)));
        sparsest.map(|(slot, _)| *slot)
    }

    /// What is needed of a segment, as it stands in the file; nothing where that is not what is known of it.
    pub(super) fn standing(&mut self, slot: u32) -> io::Result<Option<Standing>> {
        let Some(segment) = self.by_slot.get_mut(&slot) else {
            return Ok(None);
        };
        let id = segment.header.id;
        let mut scan = Scan::default();
        let window = Window::open(self.disk.as_ref(), &segment.path);
        let scanned = window.and_then(|mut window| {
            scan.run(&mut window, id, SEGMENT_HEADER as u64)?;
            Ok(window)
        });
        let window = scanned.inspect_err(|error| {
            tracing::warn!(
                "cannot read {} to move what is needed of it: {error}",
                segment.path.display()
            );
            segment.unread = Some(Instant::now());
        })?;
        let mut records = scan.records;
        if let Some(removed) = self.removed.get(&id) {
            records.retain(|record| !removed.contains(record.sequence));
        }
        if records.len() as u64 != segment.live {
            // It is damaged since, or what was never told stands there: both is for the next start.
            segment.is_clean = false;
            return Ok(None);
        }
        Ok(Some(Standing { window, records }))
    }

    /// Gives what was marked to the system, so that it survives this process.
    pub(super) fn write_marks(&mut self) {
        self.marks.write();
    }

    fn rewrite_marks(&mut self) {
        let numbers = self.by_slot.values().map(|of| of.header.number);
        let lowest = numbers.min().unwrap_or(self.next_number);
        let mut marks = self.history.rewritten(lowest);
        for (id, removed) in &self.removed {
            for sequence in removed.iter() {
                let mark = Mark::Removed {
                    segment_id: *id,
                    sequence,
                };
                marks.extend(mark.encode());
            }
        }
        if let Err(error) = self.marks.replace(self.disk.as_ref(), &marks) {
            tracing::warn!(
                "cannot write down which records of {} are done; they may come again: {error}",
                self.folder.display()
            );
        }
    }
}

/// A record of a segment is done; whether that is new.
fn mark(
    removed: &mut HashMap<u64, Sequences>,
    marks: &mut MarksFile,
    segment_id: u64,
    sequence: u64,
) -> bool {
    let removed = removed.get_mut(&segment_id);
    let is_new = removed.is_some_and(|removed| removed.insert(sequence));
    if is_new {
        marks.add(Mark::Removed {
            segment_id,
            sequence,
        });
    }
    is_new
}
