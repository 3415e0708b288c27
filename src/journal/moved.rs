use std::collections::{HashMap, HashSet};

use super::scan::Record;

/// Records that were moved into newer segments, and may stand in the older ones still: a crash can come
/// between.
///
/// One that was moved has its sequence still, and so a smaller one than the first of the segment in which
/// it stands. Length and checksum are compared as well: where the disk neither synced nor cut something,
/// another record may have its sequence.
#[derive(Default)]
pub(super) struct Moved {
    all: HashSet<Key>,
    /// In which segment each stands that was met.
    met: HashMap<Key, u64>,
}

/// Sequence, length and checksum.
type Key = (u64, u32, u32);

fn key(record: &Record) -> Key {
    (record.sequence, record.len, record.body_crc)
}

impl Moved {
    /// Those among `records`, each of which comes with the first sequence of its segment.
    pub(super) fn among<'r>(records: impl Iterator<Item = (u64, &'r Record)>) -> Self {
        let moved = records.filter(|(first, record)| record.sequence < *first);
        Self {
            all: moved.map(|(_, record)| key(record)).collect(),
            met: HashMap::new(),
        }
    }

    /// Whether a record that is not removed was met in an older segment: that one is sure to be on the
    /// disk, as it is deleted only when the newer one is synced. To be asked from the oldest segment on.
    pub(super) fn was_met(&mut self, segment_id: u64, record: &Record) -> bool {
        let key = key(record);
        // Within one segment, or a copy of its file, it is nothing that was moved.
        self.all.contains(&key) && *self.met.entry(key).or_insert(segment_id) != segment_id
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_of_the_same_records_stays() {
        let record = |sequence, body_crc| Record {
            sequence,
            offset: 40,
            len: 5,
            body_crc,
        };
        // Another record with the same sequence, the one that was moved, and one that was not.
        let (ghost, moved, own) = (record(3, 1), record(3, 2), record(9, 2));
        let mut of = Moved::among([(1, &ghost), (1, &moved), (8, &moved), (8, &own)].into_iter());
        let asked = [
            (10, &ghost),
            (10, &moved),
            (20, &moved),
            (20, &own),
            (30, &moved),
            (30, &own),
        ];
        let met = asked.map(|(id, record)| of.was_met(id, record));
        assert_eq!(met, [false, false, true, false, true, false]);
    }
}
