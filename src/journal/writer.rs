use std::io;
use std::mem;
use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender};

use bytes::Bytes;

use super::command::{Command, Reply, Unclaimed};
use super::disk::{Appending, Disk, write_all};
use super::entry::Entry;
use super::error::AppendError;
use super::format::{Crc, MAX_BODY, RECORD_HEADER, RecordHeader, SEGMENT_HEADER};
use super::moving::Moving;
use super::owner::Options;
use super::parts::Parts;
use super::segments::{Active, Segments};
use super::shared::Shared;
use super::survey::Survey;
use crate::crash::{self, Point};

/// So much waits for one sync at most: what comes later shall not hold up what is written.
const MOST_UNSYNCED: u64 = 32 << 20;

/// A record that stands nowhere yet.
pub(super) struct Unplaced {
    /// Of one that is moved. A new one gets the next, and not before it is known where it goes.
    pub(super) sequence: Option<u64>,
    pub(super) len: u32,
    pub(super) body_crc: u32,
}

/// The only one who changes the folder of a journal.
pub(super) struct Writer {
    options: Options,
    commands: Sender<Command>,
    pub(super) segments: Segments,
    pub(super) active: Option<Active>,
    /// What is written and not synced, all of it in the active segment.
    unsynced: Vec<(Entry, Reply)>,
    pub(super) moving: Moving,
    next_sequence: u64,
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
        Self {
            next_sequence: survey.next_sequence,
            segments: Segments::new(disk, folder, survey, shared),
            options,
            commands,
            active: None,
            unsynced: Vec::new(),
            moving: Moving::default(),
        }
    }

    /// Deletes the segments that have nothing left, and begins the file of marks.
    pub(super) fn tidy(&mut self, done: &[u32]) {
        self.segments.tidy(done);
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
            self.segments.write_marks();
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
        while self.free() < self.needed(wanted) && self.move_sparsest() {}
        let needed = self.needed(wanted);
        if self.free() < needed {
            return Err(AppendError::Full {
                held: self.segments.held(),
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
    pub(super) fn free(&self) -> u64 {
        self.options.max_bytes.saturating_sub(self.segments.held())
    }

    /// What a record of `wanted` bytes takes.
    fn needed(&self, wanted: u64) -> u64 {
        match &self.active {
            Some(active) if self.fits(active, wanted) => wanted,
            _ => wanted + SEGMENT_HEADER as u64,
        }
    }

    /// Of at most an eighth of all that there may be.
    pub(super) fn segment_bytes(&self) -> u64 {
        self.options.segment_bytes.min(self.options.max_bytes / 8)
    }

    fn fits(&self, active: &Active, wanted: u64) -> bool {
        active.len <= SEGMENT_HEADER as u64 || active.len + wanted <= self.segment_bytes()
    }

    fn write_to_active(&mut self, parts: &[Bytes], len: u64) -> io::Result<Entry> {
        let mut sum = Crc::new();
        for part in parts {
            sum.add(part);
        }
        let record = Unplaced {
            sequence: None,
            // No longer than a body may be.
            len: len as u32,
            body_crc: sum.sum(),
        };
        let entry = self.place(&record, |file, header| {
            let mut slices: Vec<&[u8]> = vec![header];
            slices.extend(parts.iter().map(AsRef::as_ref));
            write_all(file, &slices)
        })?;
        self.next_sequence += 1;
        Ok(entry)
    }

    /// The segment that a record of `wanted` bytes goes into, behind one that ends where it has no room. That one
    /// is synced, and where this fails, its last sequences are free again: which is next is known only then.
    fn ready(&mut self, wanted: u64) -> io::Result<Active> {
        if self
            .active
            .as_ref()
            .is_some_and(|active| !self.fits(active, wanted))
        {
            self.commit();
            self.seal();
            crash::at(Point::JournalRotating);
        }
        match self.active.take() {
            Some(active) => Ok(active),
            None => self.segments.begin(self.next_sequence),
        }
    }

    /// Has a record written at the end of the active segment: its header, which is given, and its body.
    pub(super) fn place(
        &mut self,
        record: &Unplaced,
        write: impl FnOnce(&mut dyn Appending, &[u8]) -> io::Result<()>,
    ) -> io::Result<Entry> {
        let wanted = RECORD_HEADER as u64 + u64::from(record.len);
        let mut active = self.ready(wanted)?;
        let header = RecordHeader {
            len: record.len,
            sequence: record.sequence.unwrap_or(self.next_sequence),
            segment_id: active.id,
            body_crc: record.body_crc,
        };
        if let Err(error) = write(active.file.as_mut(), &header.encode()) {
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
        active.len += wanted;
        self.segments.grow(active.slot, wanted);
        self.active = Some(active);
        crash::at(Point::JournalWritten);
        Ok(entry)
    }

    /// Makes durable what is written, and tells those who wait for it.
    pub(super) fn commit(&mut self) {
        let unsynced = mem::take(&mut self.unsynced);
        let copied = mem::take(&mut self.moving.unsynced);
        let Some(active) = &mut self.active else {
            return;
        };
        if unsynced.is_empty() && copied.is_empty() {
            return;
        }
        // What is moved may have been on the disk for days, and where it stood is deleted.
        let is_to_last = !copied.is_empty() || self.options.fsync;
        if is_to_last && let Err(error) = active.file.sync() {
            for (_, place) in copied {
                // It may be there in spite of that.
                self.segments.mark(&place);
            }
            self.poison(unsynced, error);
            return;
        }
        crash::at(Point::JournalSynced);
        active.synced = active.len;
        for moved in copied {
            self.segments.committed(&moved.1);
            self.moving.durable.push(moved);
        }
        for (entry, reply) in unsynced {
            self.segments.committed(&entry);
            // Who does not wait any more drops it, and so removes it.
            let _ = reply.send(Ok(Unclaimed::new(entry, self.commands.clone())));
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
            self.segments.folder().display()
        );
        if active.file.truncate(active.synced).is_ok() {
            self.segments.cut(active.slot, active.synced);
            if let Some((first, _)) = unsynced.first() {
                self.next_sequence = first.sequence;
            }
        } else {
            // The next start may find them: no other record has their sequences.
            for (entry, _) in &unsynced {
                self.segments.mark(entry);
            }
        }
        let error = AppendError::from(error);
        for (_, reply) in unsynced {
            let _ = reply.send(Err(error.clone()));
        }
        self.delete_if_done(active.slot);
    }

    /// Adds no more to the active segment, all of which is synced.
    pub(super) fn seal(&mut self) {
        if let Some(active) = self.active.take() {
            self.delete_if_done(active.slot);
        }
    }

    /// Gives up the active segment if no record in it is needed; returns whether there was one.
    fn discard_active(&mut self) -> bool {
        let Some(active) = &self.active else {
            return false;
        };
        let is_done = self.segments.is_done(active.slot);
        if is_done && self.unsynced.is_empty() {
            self.seal();
        }
        is_done && self.active.is_none()
    }

    fn remove(&mut self, entry: &Entry) {
        let place = self.segments.remove(entry);
        self.delete_if_done(place.slot);
    }

    pub(super) fn delete_if_done(&mut self, slot: u32) {
        let is_active = self
            .active
            .as_ref()
            .is_some_and(|active| active.slot == slot);
        if !is_active && self.segments.is_done(slot) {
            self.segments.delete(slot, &[]);
        }
    }
}
