//! How segments and records look on disk. All numbers are little-endian.
//!
//! | segment | bytes | | record | bytes |
//! |---|---|---|---|---|
//! | `slimjrnl` | 8 | | `rec\n` | 4 |
//! | version | 4 | | length of the body | 4 |
//! | number | 8 | | sequence | 8 |
//! | id | 8 | | id of the segment | 8 |
//! | first sequence | 8 | | CRC-32C of the body | 4 |
//! | CRC-32C of all that | 4 | | CRC-32C of all that | 4 |
//! | records | | | body | |
//!
//! The id is drawn at random when a segment is begun: bytes that look like a record are one only in the
//! segment that they were written to. The name of the file repeats what the header says. Sequences count
//! the records of a journal, so that it shows where some are missing.

use crc_fast::{CrcAlgorithm, Digest, checksum};

/// The only version there is so far.
pub(super) const VERSION: u32 = 1;

/// What a segment begins with.
const SEGMENT_MAGIC: [u8; 8] = *b"slimjrnl";

/// What a record begins with: what is looked for behind damage.
pub(super) const RECORD_MAGIC: [u8; 4] = *b"rec\n";

/// The length of a segment's header.
pub(super) const SEGMENT_HEADER: usize = 40;

/// The length of a record's header.
pub(super) const RECORD_HEADER: usize = 32;

/// The longest body. What claims to be longer is damaged.
pub(super) const MAX_BODY: usize = 1 << 30;

/// How the name of a segment ends.
pub(super) const EXTENSION: &str = "segment";

/// The CRC-32C of `bytes`.
pub(super) fn crc(bytes: &[u8]) -> u32 {
    checksum(CrcAlgorithm::Crc32Iscsi, bytes) as u32
}

/// A CRC-32C of bytes that come in parts.
pub(super) struct Crc(Digest);

impl Crc {
    pub(super) fn new() -> Self {
        Self(Digest::new(CrcAlgorithm::Crc32Iscsi))
    }

    pub(super) fn add(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    pub(super) fn sum(&self) -> u32 {
        self.0.finalize() as u32
    }
}

/// What a segment says of itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct SegmentHeader {
    /// Segments are counted in the order in which they are begun.
    pub(super) number: u64,
    /// Drawn at random.
    pub(super) id: u64,
    /// The sequence of its first record. The records of the segment before it end there.
    pub(super) first_sequence: u64,
}

/// What the beginning of a file is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Beginning {
    Segment(SegmentHeader),
    /// A later slimspan wrote it.
    Newer(u32),
    Damaged,
}

impl SegmentHeader {
    pub(super) fn encode(&self) -> [u8; SEGMENT_HEADER] {
        let mut header = [0; SEGMENT_HEADER];
        let mut writer = Fields(&mut header, 0);
        writer.put(&SEGMENT_MAGIC);
        writer.put(&VERSION.to_le_bytes());
        writer.put(&self.number.to_le_bytes());
        writer.put(&self.id.to_le_bytes());
        writer.put(&self.first_sequence.to_le_bytes());
        writer.seal();
        header
    }

    pub(super) fn decode(bytes: &[u8]) -> Beginning {
        let Some(header) = bytes.first_chunk::<SEGMENT_HEADER>() else {
            return Beginning::Damaged;
        };
        if !header.starts_with(&SEGMENT_MAGIC) || !is_sealed(header) {
            return Beginning::Damaged;
        }
        match u32_at(header, 8) {
            VERSION => Beginning::Segment(Self {
                number: u64_at(header, 12),
                id: u64_at(header, 20),
                first_sequence: u64_at(header, 28),
            }),
            newer => Beginning::Newer(newer),
        }
    }

    pub(super) fn file_name(&self) -> String {
        format!(
            "{:010}-{:010}-{:016x}.{EXTENSION}",
            self.number, self.first_sequence, self.id
        )
    }

    /// What the name of a file says of a segment whose header is damaged.
    pub(super) fn of_file_name(name: &str) -> Option<Self> {
        let stem = name.strip_suffix(EXTENSION)?.strip_suffix('.')?;
        let (number, rest) = stem.split_once('-')?;
        let (first_sequence, id) = rest.split_once('-')?;
        let header = Self {
            number: number.parse().ok()?,
            id: u64::from_str_radix(id, 16).ok()?,
            first_sequence: first_sequence.parse().ok()?,
        };
        (header.file_name() == name).then_some(header)
    }
}

/// What a record says of itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct RecordHeader {
    pub(super) len: u32,
    pub(super) sequence: u64,
    pub(super) segment_id: u64,
    pub(super) body_crc: u32,
}

impl RecordHeader {
    pub(super) fn encode(&self) -> [u8; RECORD_HEADER] {
        let mut header = [0; RECORD_HEADER];
        let mut writer = Fields(&mut header, 0);
        writer.put(&RECORD_MAGIC);
        writer.put(&self.len.to_le_bytes());
        writer.put(&self.sequence.to_le_bytes());
        writer.put(&self.segment_id.to_le_bytes());
        writer.put(&self.body_crc.to_le_bytes());
        writer.seal();
        header
    }

    /// The header that `bytes` begin with, if they do and it belongs to the segment `id`.
    pub(super) fn decode(bytes: &[u8], id: u64) -> Option<Self> {
        let header = bytes.first_chunk::<RECORD_HEADER>()?;
        if !header.starts_with(&RECORD_MAGIC) || !is_sealed(header) {
            return None;
        }
        let decoded = Self {
            len: u32_at(header, 4),
            sequence: u64_at(header, 8),
            segment_id: u64_at(header, 16),
            body_crc: u32_at(header, 24),
        };
        (decoded.segment_id == id && decoded.len as usize <= MAX_BODY).then_some(decoded)
    }
}

/// Writes fields one behind the other.
struct Fields<'b>(&'b mut [u8], usize);

impl Fields<'_> {
    fn put(&mut self, field: &[u8]) {
        let end = self.1 + field.len();
        if let Some(place) = self.0.get_mut(self.1..end) {
            place.copy_from_slice(field);
        }
        self.1 = end;
    }

    fn seal(mut self) {
        let sum = crc(self.0.get(..self.1).unwrap_or_default());
        self.put(&sum.to_le_bytes());
    }
}

/// Whether the last four bytes are the checksum of those before them.
pub(super) fn is_sealed(bytes: &[u8]) -> bool {
    bytes
        .split_last_chunk::<4>()
        .is_some_and(|(rest, sum)| crc(rest) == u32::from_le_bytes(*sum))
}

pub(super) fn u32_at(bytes: &[u8], at: usize) -> u32 {
    let number = bytes.get(at..).and_then(<[u8]>::first_chunk);
    number.copied().map_or(0, u32::from_le_bytes)
}

pub(super) fn u64_at(bytes: &[u8], at: usize) -> u64 {
    let number = bytes.get(at..).and_then(<[u8]>::first_chunk);
    number.copied().map_or(0, u64::from_le_bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_checksum_is_crc_32c() {
        assert_eq!(crc(b"123456789"), 0xe306_9283);
        let mut parts = Crc::new();
        parts.add(b"1234");
        parts.add(b"56789");
        assert_eq!(parts.sum(), 0xe306_9283);
    }

    #[test]
    fn headers_come_back_and_every_flipped_bit_shows() {
        let segment = SegmentHeader {
            number: 7,
            id: 0x0123_4567_89ab_cdef,
            first_sequence: 99,
        };
        let bytes = segment.encode();
        assert_eq!(SegmentHeader::decode(&bytes), Beginning::Segment(segment));
        let record = RecordHeader {
            len: 5,
            sequence: 100,
            segment_id: segment.id,
            body_crc: 1,
        };
        let of_record = record.encode();
        assert_eq!(RecordHeader::decode(&of_record, segment.id), Some(record));
        assert_eq!(RecordHeader::decode(&of_record, 1), None);
        for bit in 0..bytes.len() * 8 {
            let mut flipped = bytes;
            flipped[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(SegmentHeader::decode(&flipped), Beginning::Damaged);
        }
        for bit in 0..of_record.len() * 8 {
            let mut flipped = of_record;
            flipped[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(RecordHeader::decode(&flipped, segment.id), None);
        }
    }

    #[test]
    fn a_name_tells_what_its_segment_is() {
        let header = SegmentHeader {
            number: 12,
            id: 0xab,
            first_sequence: 345,
        };
        let name = header.file_name();
        assert_eq!(name, "0000000012-0000000345-00000000000000ab.segment");
        assert_eq!(SegmentHeader::of_file_name(&name), Some(header));
        for other in ["marks", "12-345-ab.segment", &format!("copy of {name}")] {
            assert_eq!(SegmentHeader::of_file_name(other), None, "{other}");
        }
    }
}
