//! What senders say they store themselves: a request has very much of it in few bytes, and a line of each takes more. So
//! it has room of its own, and what has none is left out: nothing else waits for it, or is lost for it.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::super::entry::{Entry, State};
use super::Recorder;

/// What they may take of the memory, in KiB, until they are written down.
const ROOM_KIB: usize = 16 << 10;

/// So many of those of which the senders have gone away are written down at a time.
const ABANDONED: usize = 2_048;

/// What an entry and its line take beside their texts.
const BESIDES: usize = size_of::<Entry>() + 768;

/// A byte of a text, there and in the line: most take one there, and some six.
const OF_A_BYTE: usize = 7;

/// The room of all of them.
#[derive(Debug)]
pub(super) struct Claims {
    room: Arc<Semaphore>,
    /// How many more of which the senders have gone away.
    pub(super) abandoned: Arc<Semaphore>,
}

/// The room that some of them have.
#[derive(Debug)]
pub struct RoomForClaims {
    _permit: OwnedSemaphorePermit,
}

impl Default for Claims {
    fn default() -> Self {
        Self {
            room: Arc::new(Semaphore::new(ROOM_KIB)),
            abandoned: Arc::new(Semaphore::new(ABANDONED)),
        }
    }
}

impl Claims {
    /// The most there may be of those that are abandoned.
    pub(super) const MOST_ABANDONED: usize = ABANDONED;
}

/// Whether it is said alone that there is a file.
pub(super) fn is_claim(entry: &Entry) -> bool {
    entry.state == State::Referred
}

impl Recorder {
    /// The room for those of these entries by which senders say that they store something themselves. Where there is
    /// none, they are left out, and counted as lost.
    pub fn make_room(&self, entries: &mut Vec<Entry>) -> Option<RoomForClaims> {
        let claims = entries.iter().filter(|entry| is_claim(entry));
        let bytes: usize = claims.map(bytes).sum();
        if bytes == 0 {
            return None;
        }
        let wanted = u32::try_from(bytes.div_ceil(1 << 10)).unwrap_or(u32::MAX);
        let room = Arc::clone(&self.shared.claims.room);
        if let Ok(permit) = room.try_acquire_many_owned(wanted) {
            return Some(RoomForClaims { _permit: permit });
        }
        let before = entries.len();
        entries.retain(|entry| !is_claim(entry));
        let why = "requests refer to too many files at once that their senders store themselves";
        self.shared.lost(before - entries.len(), why);
        None
    }
}

/// What an entry and its line take.
fn bytes(entry: &Entry) -> usize {
    let texts = [&entry.service, &entry.span_name, &entry.attribute];
    let named = [&entry.event_name, &entry.path, &entry.file_name];
    let texts = texts.into_iter().chain(named.into_iter().flatten());
    BESIDES + OF_A_BYTE * texts.map(String::len).sum::<usize>()
}
