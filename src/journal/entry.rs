use super::format::RECORD_HEADER;

/// Where a record of a journal stands, or stood when it was told: the journal knows where it was moved to
/// since. Small, so that there may be many; good for as long as the journal is open, and only for that
/// journal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Entry {
    /// Older records have smaller ones.
    pub(super) sequence: u64,
    /// Of the header.
    pub(super) offset: u64,
    /// The segment, as this process counts the files it has found.
    pub(super) slot: u32,
    /// Of the body.
    pub(super) len: u32,
}

impl Entry {
    /// The length of the record in bytes.
    #[expect(clippy::len_without_is_empty, reason = "a record is no container")]
    pub fn len(&self) -> usize {
        self.len as usize
    }

    /// The bytes that it takes in its segment.
    pub(super) fn taken(&self) -> u64 {
        RECORD_HEADER as u64 + u64::from(self.len)
    }

    /// One that is in no journal, with this number, and of the segment of that one.
    #[cfg(test)]
    pub(crate) fn numbered(sequence: u64, slot: u32) -> Self {
        Self {
            sequence,
            slot,
            ..Self::nowhere()
        }
    }

    /// One that is in no journal.
    pub(crate) fn nowhere() -> Self {
        Self {
            sequence: 0,
            offset: 0,
            slot: 0,
            len: 0,
        }
    }

    /// The record's place among those of its journal: older ones have smaller numbers.
    #[cfg(test)]
    pub(super) fn sequence(&self) -> u64 {
        self.sequence
    }
}
