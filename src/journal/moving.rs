//! How room is made where one record in each segment would keep all of them: what is still needed of a
//! segment that is mostly done is written once more, behind everything else, and the segment is deleted.
//!
//! Nothing is deleted before all that is moved out of it is synced. A record keeps its sequence, so it keeps
//! its turn, and a start that finds it in both places, because a crash came between, knows the newer one
//! for [what it is](super::moved). Those who were told where it stood are led to where it stands.

use std::io;
use std::mem;
use std::time::{Duration, Instant};

use super::disk::write_all;
use super::entry::Entry;
use super::format::{Crc, RECORD_HEADER};
use super::scan::Record;
use super::window::Window;
use super::writer::{Unplaced, Writer};

/// How long a disk rests that did not give what was to be moved, or did not take it: appends come again and again
/// while there is no room, and each of them would read a segment.
const REST: Duration = Duration::from_secs(if cfg!(test) { 1 } else { 5 });

/// What is needed of a segment.
pub(super) struct Standing {
    pub(super) window: Window,
    pub(super) records: Vec<Record>,
}

/// Records that stand in two places for the moment, the older and the newer one of each.
#[derive(Default)]
pub(super) struct Moving {
    /// Not synced yet in the newer place.
    pub(super) unsynced: Vec<(Entry, Entry)>,
    pub(super) durable: Vec<(Entry, Entry)>,
    resting_until: Option<Instant>,
}

impl Writer {
    /// Moves what is needed of one segment and deletes it. Returns whether that was possible, and so made
    /// room.
    ///
    /// For as long as it takes, there is up to half a segment more than there may be, or as much as was
    /// free: else a journal that is full could not be helped.
    pub(super) fn move_sparsest(&mut self) -> bool {
        let resting_until = self.moving.resting_until;
        if resting_until.is_some_and(|until| Instant::now() < until) {
            return false;
        }
        self.move_one().unwrap_or_else(|error| {
            tracing::warn!(
                "{} is full, and what is left of a segment cannot be moved to make room: {error}",
                self.segments.folder().display()
            );
            self.moving.resting_until = Some(Instant::now() + REST);
            false
        })
    }

    /// The same without a rest where it fails.
    fn move_one(&mut self) -> io::Result<bool> {
        let mut but: Vec<u32> = self.active.iter().map(|active| active.slot).collect();
        let mut unread = None;
        loop {
            let most = self.free().max(self.segment_bytes() / 2);
            let Some(slot) = self.segments.sparsest(&but, most) else {
                return unread.map_or(Ok(false), Err);
            };
            match self.segments.standing(slot) {
                Ok(Some(standing)) => return self.move_out_of(slot, standing).map(|()| true),
                // It is not asked for again.
                Ok(None) => {}
                // It may be the only one that the disk does not give.
                Err(error) if unread.is_none() => {
                    but.push(slot);
                    unread = Some(error);
                }
                // Two are the disk's fault, and not theirs.
                Err(error) => return Err(error),
            }
        }
    }

    /// All of it or nothing.
    fn move_out_of(&mut self, slot: u32, standing: Standing) -> io::Result<()> {
        let Standing {
            mut window,
            records,
        } = standing;
        let mut copied = Ok(());
        for record in &records {
            let from = Entry {
                sequence: record.sequence,
                offset: record.offset,
                slot,
                len: record.len,
            };
            match self.copy(&mut window, record) {
                Ok(to) => self.moving.unsynced.push((from, to)),
                Err(error) => {
                    copied = Err(error);
                    break;
                }
            }
        }
        self.commit();
        let moved = mem::take(&mut self.moving.durable);
        if copied.is_ok() && moved.len() != records.len() {
            copied = Err(io::Error::other("a sync failed"));
        }
        if let Err(error) = copied {
            for (_, to) in moved {
                self.segments.give_up(&to);
                self.delete_if_done(to.slot);
            }
            // In it these have their marks now. What is copied the next time shall not be taken for them.
            self.seal();
            return Err(error);
        }
        self.segments.delete(slot, &moved);
        Ok(())
    }

    /// Writes a record once more. Where the file does not have it any more, there is nothing of it.
    fn copy(&mut self, window: &mut Window, record: &Record) -> io::Result<Entry> {
        let unplaced = Unplaced {
            sequence: Some(record.sequence),
            len: record.len,
            body_crc: record.body_crc,
        };
        let body = record.offset + RECORD_HEADER as u64;
        self.place(&unplaced, |file, header| {
            write_all(file, &[header])?;
            let mut sum = Crc::new();
            window.each(body, record.len.into(), |bytes| {
                sum.add(bytes);
                write_all(file, &[bytes])
            })?;
            if sum.sum() == record.body_crc {
                Ok(())
            } else {
                Err(io::ErrorKind::InvalidData.into())
            }
        })
    }
}
