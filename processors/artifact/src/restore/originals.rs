//! What comes in place of references: fetched, held against its digest, and written as it stood, where there
//! is room for it.

use std::collections::HashMap;

use bytes::Bytes;

use super::{LARGEST, Unrestored};
use crate::Digest;
use crate::encoding::Written;
use crate::reference::Standing;

/// What references of one request stand for.
pub(super) struct Originals<F> {
    fetch: F,
    /// The artifacts whose digests were looked at; none where the bytes are others.
    read: HashMap<Digest, Option<Bytes>>,
    /// How many more bytes are written before it turns out that they are too many in their place.
    /// A text can ask for that very often.
    in_vain: usize,
    /// Whether something had no room.
    had_no_room: bool,
    /// How much larger the request may become.
    room: usize,
    /// How many were put back.
    pub(super) restored: usize,
    /// The references that stay.
    pub(super) left: Vec<Unrestored>,
}

impl<F: FnMut(Digest) -> Option<Bytes>> Originals<F> {
    /// For a request of `len` bytes that may become `largest`.
    pub(super) fn within(largest: usize, len: usize, fetch: F) -> Self {
        Self {
            fetch,
            read: HashMap::new(),
            in_vain: largest.min(LARGEST),
            had_no_room: false,
            room: largest.saturating_sub(len),
            restored: 0,
            left: Vec::new(),
        }
    }

    /// Takes note that so many bytes became fewer.
    pub(super) fn shrunk(&mut self, before: usize, after: usize) {
        self.room += before.saturating_sub(after);
    }

    /// What comes in place of so many bytes, if there is room for it.
    pub(super) fn original(&mut self, standing: &Standing, replaced: usize) -> Option<Vec<u8>> {
        let room = self.room.saturating_add(replaced);
        match self.write(standing, room) {
            Ok(original) => {
                self.room = room.saturating_sub(original.len());
                self.restored += 1;
                Some(original)
            }
            Err(why) => {
                self.left.push(why);
                None
            }
        }
    }

    fn write(&mut self, standing: &Standing, room: usize) -> Result<Vec<u8>, Unrestored> {
        let digest = standing.digest;
        if standing.dropped {
            return Err(Unrestored::Dropped(digest));
        }
        let bytes = match self.read.get(&digest) {
            Some(Some(bytes)) => bytes.clone(),
            Some(None) => return Err(Unrestored::Corrupt(digest)),
            None => (self.fetch)(digest).ok_or(Unrestored::Missing(digest))?,
        };
        // No way to write them makes less of them, and to read them takes longest.
        let longest = Written::longest(bytes.len());
        let limit = room.min(longest);
        if bytes.len() > limit {
            return Err(self.no_room(digest));
        }
        if self.in_vain == 0 {
            // What was too large in any request would be so with more room, too.
            return Err(if self.had_no_room {
                Unrestored::NoRoom(digest)
            } else {
                Unrestored::TooLarge(digest)
            });
        }
        let read = self.read.entry(digest);
        let read = read.or_insert_with(|| (Digest::of(&bytes) == digest).then(|| bytes.clone()));
        if read.is_none() {
            return Err(Unrestored::Corrupt(digest));
        }
        let original = standing.written.write_within(&bytes, limit);
        original.map_err(|len| {
            self.in_vain = self.in_vain.saturating_sub(bytes.len());
            if len > longest {
                Unrestored::TooLarge(digest)
            } else {
                self.no_room(digest)
            }
        })
    }

    fn no_room(&mut self, digest: Digest) -> Unrestored {
        self.had_no_room = true;
        Unrestored::NoRoom(digest)
    }
}
