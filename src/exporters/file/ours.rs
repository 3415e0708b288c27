//! Whether a record is one that the exporter may have written.

use std::fmt;
use std::io::{self, BufRead, BufReader, Read};

use serde::de::{Deserialize, Deserializer, Error, IgnoredAny, MapAccess, Visitor};
use slimspan_proto::{Field, Fields, Reason, varint};
use zstd::zstd_safe;

/// What an export request has in JSON, whatever its signal.
const NAMES: [&str; 4] = [
    "resourceSpans",
    "resourceLogs",
    "resourceMetrics",
    "resourceProfiles",
];

/// What a frame of zstd begins with.
const ZSTD: [u8; 4] = [0x28, 0xb5, 0x2f, 0xfd];

/// Whether `reader` begins with a line, ended or not, that is a request.
pub(super) fn is_line(reader: impl BufRead) -> io::Result<bool> {
    let line = Line {
        reader,
        is_over: false,
    };
    match serde_json::from_reader::<_, Request>(BufReader::new(line)) {
        Ok(Request) => Ok(true),
        Err(error) if error.is_io() => Err(error.into()),
        Err(_) => Ok(false),
    }
}

/// Whether a request may begin so.
pub(super) fn begins_as_line(head: &[u8]) -> bool {
    NAMES.iter().any(|name| {
        let text = format!("{{\"{name}\":");
        head.iter()
            .zip(text.as_bytes())
            .all(|(one, other)| one == other)
    })
}

/// What is left of a line.
struct Line<R> {
    reader: R,
    is_over: bool,
}

impl<R: BufRead> Read for Line<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.is_over || buffer.is_empty() {
            return Ok(0);
        }
        let there = self.reader.fill_buf()?;
        let mut len = there.len().min(buffer.len());
        if let Some(end) = memchr::memchr(b'\n', &there[..len]) {
            len = end;
            self.is_over = true;
        }
        buffer[..len].copy_from_slice(&there[..len]);
        self.reader.consume(len);
        Ok(len)
    }
}

/// An export request in JSON, of which nothing is kept.
struct Request;

impl<'de> Deserialize<'de> for Request {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(Names)
    }
}

struct Names;

impl<'de> Visitor<'de> for Names {
    type Value = Request;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an export request")
    }

    fn visit_map<M: MapAccess<'de>>(self, mut map: M) -> Result<Request, M::Error> {
        while let Some(name) = map.next_key::<String>()? {
            if !NAMES.contains(&name.as_str()) {
                return Err(M::Error::custom("a name that no export request has"));
            }
            map.next_value::<IgnoredAny>()?;
        }
        Ok(Request)
    }
}

/// Whether a record of that length may begin so; `is_strict` where no more of it can be checked.
pub(super) fn begins_as_frame(head: &[u8], length: u32, is_strict: bool) -> bool {
    if head.iter().zip(ZSTD).all(|(one, other)| *one == other) {
        return true;
    }
    let Ok((tag, at)) = varint(head, 0, head.len()) else {
        return false;
    };
    if tag >> 3 == 0 || (is_strict && tag != 0x0a) {
        return false;
    }
    match tag & 7 {
        // A length of which not all is there is none that can be wrong.
        2 => varint(head, at, head.len()).map_or(head.len() < 16, |(inner, start)| {
            inner.saturating_add(start as u64) <= length.into()
        }),
        0 | 1 | 3 | 5 => true,
        _ => false,
    }
}

/// Whether that is a whole record.
pub(super) fn is_frame(frame: &[u8]) -> bool {
    if frame.starts_with(&ZSTD) {
        return zstd_safe::find_frame_compressed_size(frame) == Ok(frame.len());
    }
    Fields::new(frame, 0..frame.len()).all(|field| field.is_ok())
}

/// Whether that is the beginning of a record of this length, with nothing else behind it.
pub(super) fn is_torn_frame(part: &[u8], length: u32) -> bool {
    if part.starts_with(&ZSTD) {
        // One that ends here has others behind it, and a wrong length.
        return zstd_safe::find_frame_compressed_size(part).is_err();
    }
    let mut at = 0;
    while at < part.len() {
        match Field::read(part, at, part.len()) {
            Ok(field) => at = field.body.end,
            Err(error) => match error.reason {
                Reason::Truncated => return true,
                Reason::LengthPastEnd => {
                    let rest = part.get(at..).unwrap_or_default();
                    let length = u64::from(length) - at as u64;
                    let length = u32::try_from(length).unwrap_or(u32::MAX);
                    return begins_as_frame(rest, length, false);
                }
                _ => return false,
            },
        }
    }
    true
}
