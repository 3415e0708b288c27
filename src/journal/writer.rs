use std::collections::{BTreeMap, HashMap};
use std::hash::{BuildHasher as _, RandomState};
use std::io;
use std::mem;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::sync::mpsc::{Receiver, Sender};

use bytes::Bytes;
use tokio::sync::oneshot;

use super::disk::{Appending, Disk, write_all};
use super::entry::Entry;
use super::error::AppendError;
use super::format::{Crc, MAX_BODY, RECORD_HEADER, RecordHeader, SEGMENT_HEADER, SegmentHeader};
use super::marks::{History, Mark, MarksFile};
use super::owner::{Options, Shared};
use super::parts::Parts;
use super::sequences::Sequences;
use super::survey::Survey;

/// So much waits for one sync at most: what comes later shall not hold up what is written.
const MOST_UNSYNCED: u64 = 32 << 20;

/// What the thread of a journal is asked to do.
#[derive(Debug)]
pub(super) enum Command {
    Append {
        parts: Parts,
        reply: Reply,
    },
    Remove(Entry),
    /// Answers when all before it is done.
    Settle(oneshot::Sender<()>),
    Stop,
}

type Reply = oneshot::Sender<Result<Unclaimed, AppendError>>;

/// A record that is durable, and that nobody has heard of yet. It is removed when dropped.
#[derive(Debug)]
pub(super) struct Unclaimed {
    entry: Option<Entry>,
    commands: Sender<Command>,
}

impl Unclaimed {
    pub(super) fn claim(mut self) -> Entry {
        let none = Entry {
            sequence: 0,
            offset: 0,
            slot: u32::MAX,
            len: 0,
        };
        self.entry.take().unwrap_or(none)
    }
}

impl Drop for Unclaimed {
    fn drop(&mut self) {
        if let Some(entry) = self.entry.take() {
            let _ = self.commands.send(Command::Remove(entry));
        }
    }
}

/// The only one who changes the folder of a journal.
pub(super) struct Writer {
    disk: Arc<dyn Disk>,
    folder: PathBuf,
    options: Options,
    shared: Arc<Shared>,
    commands: Sender<Command>,
    segments: BTreeMap<u32, Segment>,
    removed: HashMap<u64, Sequences>,
    history: History,
    marks: MarksFile,
    active: Option<Active>,
    /// What is written and not synced, all of it in the active segment.
    unsynced: Vec<(Entry, Reply)>,
    next_slot: u32,
    next_number: u64,
    next_sequence: u64,
}

#[derive(Debug)]
struct Segment {
    path: PathBuf,
    header: SegmentHeader,
    len: u64,
    /// Records that are durable and not removed.
    live: u64,
}

/// The segment that grows.
struct Active {
    slot: u32,
    id: u64,
    file: Box<dyn Appending>,
    len: u64,
    synced: u64,
}

impl Writer {
    pub(super) fn new(
        disk: Arc<dyn Disk>,
        folder: &Path,
        options: Options,
        survey: Survey,
        shared: &Arc<Shared>,
        commands: Sender<Command>,
    ) -> Self {
        let next_slot = survey.segments.keys().max().map_or(0, |slot| slot + 1);
        let segments = survey.segments.into_iter().map(|(slot, found)| {
            shared.add_segment(slot, &found.path, found.header.id);
            shared.held.fetch_add(found.len, Ordering::Relaxed);
            let segment = Segment {
                path: found.path,
                header: found.header,
                len: found.len,
                // What the disk did not give may hold records: it is never done.
                live: found.live + u64::from(!found.is_whole),
            };
            (slot, segment)
        });
        Self {
            segments: segments.collect(),
            disk,
            folder: folder.to_owned(),
            options,
            shared: Arc::clone(shared),
            commands,
            removed: survey.removed,
            history: survey.history,
            marks: MarksFile::new(folder),
            active: None,
            unsynced: Vec::new(),
            next_slot,
            next_number: survey.next_number,
            next_sequence: survey.next_sequence,
        }
    }

    /// Deletes the segments that have nothing left, and begins the file of marks.
    pub(super) fn tidy(&mut self, done: &[u32]) {
        self.rewrite_marks();
        for slot in done {
            self.delete(*slot);
        }
    }

    /// Does what comes until it is told to stop, and what came before that.
    pub(super) fn run(mut self, commands: &Receiver<Command>) {
        let mut stopping = false;
        let mut settling = Vec::new();
        while !stopping {
            let Ok(mut command) = commands.recv() else {
                break;
            };
            // All that waits now shares one sync.
            loop {
                match command {
                    Command::Append { parts, reply } => self.append(parts, reply),
                    Command::Remove(entry) => self.remove(&entry),
                    Command::Settle(reply) => settling.push(reply),
                    Command::Stop => stopping = true,
                }
                let unsynced = self.active.as_ref().map_or(0, |of| of.len - of.synced);
                if unsynced >= MOST_UNSYNCED {
                    break;
                }
                match commands.try_recv() {
                    Ok(next) => command = next,
                    Err(_) => break,
                }
            }
            self.commit();
            self.marks.write();
            for settled in settling.drain(..) {
                let _ = settled.send(());
            }
        }
        self.seal();
    }

    fn append(&mut self, parts: Parts, reply: Reply) {
        let Some(parts) = parts.take() else { return };
        match self.write(&parts) {
            Ok(entry) => self.unsynced.push((entry, reply)),
            Err(error) => {
                // Nobody may wait for it any more.
                let _ = reply.send(Err(error));
            }
        }
    }

    fn write(&mut self, parts: &[Bytes]) -> Result<Entry, AppendError> {
        let len: u64 = parts.iter().map(|part| part.len() as u64).sum();
        let wanted = RECORD_HEADER as u64 + len;
        let limit = self.options.max_bytes.min(MAX_BODY as u64);
        let limit = limit.saturating_sub((RECORD_HEADER + SEGMENT_HEADER) as u64);
        if len > limit {
            return Err(AppendError::TooLarge { len, limit });
        }
        if self.free() < self.needed(wanted) {
            // Nobody needs what stands in the newest segment, either.
            self.discard_active();
        }
        let needed = self.needed(wanted);
        if self.free() < needed {
            return Err(AppendError::Full {
                held: self.shared.held.load(Ordering::Relaxed),
                wanted: needed,
                limit: self.options.max_bytes,
            });
        }
        let entry = self.write_to_active(parts, len);
        let entry = match entry {
            Err(error) if error.kind() == io::ErrorKind::StorageFull && self.discard_active() => {
                self.write_to_active(parts, len)
            }
            done => done,
        };
        Ok(entry?)
    }

    /// The bytes that may still be added.
    fn free(&self) -> u64 {
        let held = self.shared.held.load(Ordering::Relaxed);
        self.options.max_bytes.saturating_sub(held)
    }

    /// What a record of `wanted` bytes takes.
    fn needed(&self, wanted: u64) -> u64 {
        match &self.active {
            Some(active) if self.fits(active, wanted) => wanted,
            _ => wanted + SEGMENT_HEADER as u64,
        }
    }

    fn fits(&self, active: &Active, wanted: u64) -> bool {
        let segment_bytes = self.options.segment_bytes.min(self.options.max_bytes / 8);
        active.len <= SEGMENT_HEADER as u64 || active.len + wanted <= segment_bytes
    }

    fn write_to_active(&mut self, parts: &[Bytes], len: u64) -> io::Result<Entry> {
        let wanted = RECORD_HEADER as u64 + len;
        if self
            .active
            .as_ref()
            .is_some_and(|active| !self.fits(active, wanted))
        {
            self.commit();
            self.seal();
        }
        let mut active = match self.active.take() {
            Some(active) => active,
            None => self.begin()?,
        };
        let mut sum = Crc::new();
        for part in parts {
            sum.add(part);
        }
        let header = RecordHeader {
            // No longer than a body may be.
            len: len as u32,
            sequence: self.next_sequence,
            segment_id: active.id,
            body_crc: sum.sum(),
        };
        let encoded = header.encode();
        let mut slices: Vec<&[u8]> = vec![&encoded];
        slices.extend(parts.iter().map(AsRef::as_ref));
        if let Err(error) = write_all(active.file.as_mut(), &slices) {
            let cut = active.file.truncate(active.len);
            self.active = Some(active);
            if cut.is_err() {
                // What it ends with is no record: nothing may stand behind it.
                self.commit();
                self.seal();
            }
            return Err(error);
        }
        let entry = Entry {
            sequence: header.sequence,
            offset: active.len,
            slot: active.slot,
            len: header.len,
        };
        self.next_sequence += 1;
        active.len += wanted;
        self.grow(active.slot, wanted);
        self.active = Some(active);
        Ok(entry)
    }

    /// Begins a segment. Its name is durable when this returns, its header is with the first record.
    fn begin(&mut self) -> io::Result<Active> {
        let header = SegmentHeader {
            number: self.next_number,
            // Keyed by the system's random numbers.
            id: RandomState::new().hash_one(self.next_number),
            first_sequence: self.next_sequence,
        };
        let path = self.folder.join(header.file_name());
        let mut file = self.disk.create(&path)?;
        let mut begun = write_all(file.as_mut(), &[&header.encode()]);
        if begun.is_ok() && self.options.fsync {
            begun = self.disk.sync_folder(&self.folder);
        }
        if let Err(error) = begun {
            let _ = self.disk.delete(&path);
            return Err(error);
        }
        let slot = self.next_slot;
        let len = SEGMENT_HEADER as u64;
        self.shared.add_segment(slot, &path, header.id);
        let segment = Segment {
            path,
            header,
            len: 0,
            live: 0,
        };
        self.segments.insert(slot, segment);
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

    fn grow(&mut self, slot: u32, by: u64) {
        self.shared.held.fetch_add(by, Ordering::Relaxed);
        if let Some(segment) = self.segments.get_mut(&slot) {
            segment.len += by;
        }
    }

    /// Makes durable what is written, and tells those who wait for it.
    fn commit(&mut self) {
        let unsynced = mem::take(&mut self.unsynced);
        let Some(active) = &mut self.active else {
            return;
        };
        if unsynced.is_empty() {
            return;
        }
        if self.options.fsync
            && let Err(error) = active.file.sync()
        {
            self.poison(unsynced, error);
            return;
        }
        active.synced = active.len;
        if let Some(segment) = self.segments.get_mut(&active.slot) {
            segment.live += unsynced.len() as u64;
            if let (Some(removed), Some((last, _))) =
                (self.removed.get_mut(&segment.header.id), unsynced.last())
            {
                removed.reach(last.sequence);
            }
        }
        for (entry, reply) in unsynced {
            // Who does not wait any more drops it, and so removes it.
            let _ = reply.send(Ok(Unclaimed {
                entry: Some(entry),
                commands: self.commands.clone(),
            }));
        }
    }

    /// Nobody knows what of the active segment is on the disk, and after a failed sync the system
    /// forgets that it does not know: nothing is ever added to it again.
    fn poison(&mut self, unsynced: Vec<(Entry, Reply)>, error: io::Error) {
        let Some(mut active) = self.active.take() else {
            return;
        };
        tracing::error!(
            "a sync in {} failed, its newest segment is given up: {error}",
            self.folder.display()
        );
        if let Some((first, _)) = unsynced.first() {
            self.next_sequence = first.sequence;
        }
        if active.file.truncate(active.synced).is_ok()
            && let Some(segment) = self.segments.get_mut(&active.slot)
        {
            let cut = segment.len - active.synced;
            segment.len -= cut;
            self.shared.held.fetch_sub(cut, Ordering::Relaxed);
        }
        let error = AppendError::from(error);
        for (_, reply) in unsynced {
            let _ = reply.send(Err(error.clone()));
        }
        self.delete_if_done(active.slot);
    }

    /// Adds no more to the active segment, all of which is synced.
    fn seal(&mut self) {
        if let Some(active) = self.active.take() {
            self.delete_if_done(active.slot);
        }
    }

    /// Gives up the active segment if no record in it is needed; returns whether there was one.
    fn discard_active(&mut self) -> bool {
        let Some(active) = &self.active else {
            return false;
        };
        let slot = active.slot;
        let is_done = self.segments.get(&slot).is_some_and(|of| of.live == 0);
        if is_done && self.unsynced.is_empty() {
            self.seal();
        }
        is_done && self.active.is_none()
    }

    fn remove(&mut self, entry: &Entry) {
        let Some(segment) = self.segments.get_mut(&entry.slot) else {
            return;
        };
        let id = segment.header.id;
        let removed = self.removed.get_mut(&id);
        if !removed.is_some_and(|removed| removed.insert(entry.sequence)) {
            return;
        }
        segment.live = segment.live.saturating_sub(1);
        self.marks.add(Mark::Removed {
            segment_id: id,
            sequence: entry.sequence,
        });
        self.delete_if_done(entry.slot);
    }

    fn delete_if_done(&mut self, slot: u32) {
        let is_active = self
            .active
            .as_ref()
            .is_some_and(|active| active.slot == slot);
        let is_done = self.segments.get(&slot).is_some_and(|of| of.live == 0);
        if is_done && !is_active {
            self.delete(slot);
        }
    }

    fn delete(&mut self, slot: u32) {
        let Some(segment) = self.segments.remove(&slot) else {
            return;
        };
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
        self.shared.forget_segment(slot);
        self.shared.held.fetch_sub(segment.len, Ordering::Relaxed);
        let deleted = self.disk.delete(&segment.path);
        if let Err(error) = deleted.and_then(|()| self.disk.sync_folder(&self.folder)) {
            tracing::error!("cannot delete {}: {error}", segment.path.display());
        }
        if !self.segments.values().any(|other| other.header.id == id) {
            self.removed.remove(&id);
        }
        if self.marks.is_stale() {
            self.rewrite_marks();
        }
    }

    fn rewrite_marks(&mut self) {
        let numbers = self.segments.values().map(|of| of.header.number);
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
