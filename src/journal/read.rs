use std::io::{self, Read as _, Seek as _, SeekFrom};
use std::ops::Range;
use std::path::Path;

use bytes::Bytes;

use super::disk::Disk;
use super::entry::Entry;
use super::error::ReadError;
use super::format::{RECORD_HEADER, RecordHeader, crc};

/// Reads the record of `entry` from its segment, and checks it.
pub(super) fn record(
    disk: &dyn Disk,
    path: &Path,
    segment_id: u64,
    entry: &Entry,
) -> Result<Bytes, ReadError> {
    let bytes = read(disk, path, entry.offset, RECORD_HEADER + entry.len())
        .map_err(|source| failed(path, entry, source))?;
    let header = RecordHeader::decode(&bytes, segment_id);
    let body = Bytes::from(bytes).split_off(RECORD_HEADER);
    let intact = header.is_some_and(|header| {
        header.sequence == entry.sequence
            && header.len == entry.len
            && header.body_crc == crc(&body)
    });
    if intact {
        Ok(body)
    } else {
        Err(damaged(path, entry))
    }
}

/// Reads these bytes of a record, as far as it has them, unchecked.
pub(super) fn part(
    disk: &dyn Disk,
    path: &Path,
    entry: &Entry,
    range: Range<usize>,
) -> Result<Bytes, ReadError> {
    let body = entry.offset + RECORD_HEADER as u64;
    let end = range.end.min(entry.len());
    let start = range.start.min(end);
    read(disk, path, body + start as u64, end - start)
        .map(Bytes::from)
        .map_err(|source| failed(path, entry, source))
}

fn read(disk: &dyn Disk, path: &Path, offset: u64, len: usize) -> io::Result<Vec<u8>> {
    let mut file = disk.open(path)?;
    file.seek(SeekFrom::Start(offset))?;
    let mut bytes = vec![0; len];
    file.read_exact(&mut bytes)?;
    Ok(bytes)
}

fn failed(path: &Path, entry: &Entry, source: io::Error) -> ReadError {
    match source.kind() {
        // A segment goes when all its records are removed.
        io::ErrorKind::NotFound => ReadError::Removed,
        io::ErrorKind::UnexpectedEof => damaged(path, entry),
        _ => ReadError::Io {
            file: path.to_owned(),
            source,
        },
    }
}

fn damaged(path: &Path, entry: &Entry) -> ReadError {
    ReadError::Damaged {
        file: path.to_owned(),
        offset: entry.offset,
        len: entry.len(),
    }
}
