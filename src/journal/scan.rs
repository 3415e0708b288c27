use std::io;
use std::ops::Range;

use memchr::memmem;

use super::format::{RECORD_HEADER, RECORD_MAGIC, RecordHeader};
use super::window::Window;

/// What a segment holds.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Scan {
    pub(super) records: Vec<Record>,
    /// Damaged bytes.
    pub(super) holes: Vec<Range<u64>>,
    /// Where a record begins that was not written to its end.
    pub(super) torn: Option<u64>,
}

/// An intact record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Record {
    pub(super) sequence: u64,
    pub(super) offset: u64,
    pub(super) len: u32,
    pub(super) body_crc: u32,
}

/// What stands at a place.
enum Look {
    Intact(RecordHeader),
    /// No record, and none before the offset.
    Damaged(u64),
    /// The beginning of a record that ends behind the file.
    Short(u64),
}

impl Scan {
    /// Finds what is intact in the segment `id` from `begin` on. After an error it holds what was
    /// found until then.
    ///
    /// Time is linear: each byte is summed as a part of a body once, and looked at once more where
    /// that body is damaged.
    pub(super) fn run(&mut self, window: &mut Window, id: u64, begin: u64) -> io::Result<()> {
        let mut at = begin;
        while at < window.len() {
            let (next, short) = match look(window, id, at)? {
                Look::Intact(header) => {
                    self.records.push(Record {
                        sequence: header.sequence,
                        offset: at,
                        len: header.len,
                        body_crc: header.body_crc,
                    });
                    at += (RECORD_HEADER as u64) + u64::from(header.len);
                    continue;
                }
                Look::Damaged(from) => (find(window, id, from)?, false),
                Look::Short(from) => (find(window, id, from)?, true),
            };
            if let Some(next) = next {
                self.holes.push(at..next);
                at = next;
                continue;
            }
            if short || is_unwritten(window, at)? {
                self.torn = Some(at);
            } else {
                self.holes.push(at..window.len());
            }
            break;
        }
        Ok(())
    }
}

fn look(window: &mut Window, id: u64, at: u64) -> io::Result<Look> {
    let header = window.at(at, RECORD_HEADER)?;
    let Some(header) = RecordHeader::decode(header, id) else {
        let cut = header.len() < RECORD_HEADER
            && header.starts_with(&RECORD_MAGIC[..header.len().min(RECORD_MAGIC.len())]);
        return Ok(if cut {
            Look::Short(at + 1)
        } else {
            Look::Damaged(at + 1)
        });
    };
    let body = at + RECORD_HEADER as u64;
    if body + u64::from(header.len) > window.len() {
        return Ok(Look::Short(body));
    }
    let sum = window.crc(body, header.len.into())?;
    Ok(if sum == header.body_crc {
        Look::Intact(header)
    } else {
        // Not behind the body: some of it may be missing.
        Look::Damaged(body)
    })
}

/// The next place from `at` on where an intact header stands.
fn find(window: &mut Window, id: u64, mut at: u64) -> io::Result<Option<u64>> {
    let magic = memmem::Finder::new(&RECORD_MAGIC);
    loop {
        let bytes = window.some(at)?;
        if let Some(found) = magic.find(bytes) {
            at += found as u64;
            if RecordHeader::decode(window.at(at, RECORD_HEADER)?, id).is_some() {
                return Ok(Some(at));
            }
            at += 1;
            continue;
        }
        // Its beginning may stand at the end of what is in memory.
        let (seen, rest) = (bytes.len(), RECORD_MAGIC.len() - 1);
        if at + seen as u64 >= window.len() {
            return Ok(None);
        }
        at += seen.saturating_sub(rest).max(1) as u64;
        window.at(at, RECORD_HEADER)?;
    }
}

/// Whether nothing but zeros follows: a file may be longer than what reached the disk before a
/// power cut.
fn is_unwritten(window: &mut Window, mut at: u64) -> io::Result<bool> {
    while at < window.len() {
        let bytes = window.some(at)?;
        if bytes.is_empty() {
            break;
        }
        if bytes.iter().any(|byte| *byte != 0) {
            return Ok(false);
        }
        at += bytes.len() as u64;
    }
    Ok(true)
}
