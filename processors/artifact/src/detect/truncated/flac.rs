//! FLAC (RFC 9639).

use memchr::memchr_iter;

/// Whether the metadata goes on beyond the end, or no frame reaches the last sample that it
/// announces. A cut within that last frame is not told.
pub(super) fn is_cut(bytes: &[u8]) -> Option<bool> {
    let info = StreamInfo::read(bytes)?;
    let Some(frames) = bytes.get(metadata_len(bytes)?..) else {
        return Some(true);
    };
    // Encoders that do not know the number write none.
    if info.samples == 0 || info.block == 0 {
        return None;
    }
    if Frame::read(frames, &info).is_none() {
        // Frames of silence may be shorter than the longest header.
        let begun = frames.get(..2).unwrap_or(frames);
        let is_header = frames.len() < Frame::LONGEST && Frame::SYNC.starts_with(begun);
        return is_header.then_some(true);
    }
    let mut places = memchr_iter(0xff, frames);
    // Bytes within a frame may read like a header, and make a cut one pass for whole; no whole one
    // can pass for cut.
    let is_last = |at: usize| {
        let frame = frames.get(at..).and_then(|rest| Frame::read(rest, &info));
        frame.is_some_and(|frame| frame.end >= info.samples)
    };
    Some(!places.any(is_last))
}

struct StreamInfo {
    /// Samples in every block but the last; zero where that differs.
    block: u64,
    /// Samples there are in all; zero where that was not known.
    samples: u64,
}

impl StreamInfo {
    fn read(bytes: &[u8]) -> Option<Self> {
        // The first block, and 34 bytes long.
        let info = bytes.strip_prefix(b"fLaC")?;
        let [kind, 0, 0, 34, ..] = *info else {
            return None;
        };
        let info = info.get(4..38)?.first_chunk::<18>()?;
        let [a, b, c, d, .., s0, s1, s2, s3, s4] = *info;
        let (min, max) = (u16::from_be_bytes([a, b]), u16::from_be_bytes([c, d]));
        (matches!(kind, 0 | 0x80) && (16..=max).contains(&min)).then_some(Self {
            block: if min == max { min.into() } else { 0 },
            samples: u64::from_be_bytes([0, 0, 0, s0 & 0x0f, s1, s2, s3, s4]),
        })
    }
}

/// Where the frames start, as far as that can be read.
fn metadata_len(bytes: &[u8]) -> Option<usize> {
    let mut at = 4;
    loop {
        let Some([kind, len @ ..]) = bytes.get(at..).and_then(<[u8]>::first_chunk::<4>) else {
            return Some(at + 4);
        };
        if kind & 0x7f == 0x7f {
            return None;
        }
        let [high, middle, low] = *len;
        at += 4 + u32::from_be_bytes([0, high, middle, low]) as usize;
        if kind & 0x80 != 0 {
            return Some(at);
        }
    }
}

/// A frame's header.
struct Frame {
    /// The number of the first sample behind it.
    end: u64,
}

impl Frame {
    /// The longest header there is.
    const LONGEST: usize = 16;
    /// How one begins where blocks are of one size.
    const SYNC: [u8; 2] = [0xff, 0xf8];

    fn read(bytes: &[u8], info: &StreamInfo) -> Option<Self> {
        // Blocks of one size are numbered, and StreamInfo says that they are of one size.
        let [0xff, 0xf8, sizes, channels] = *bytes.first_chunk::<4>()? else {
            return None;
        };
        if channels & 1 != 0 || channels >> 4 > 10 {
            return None;
        }
        let (number, len) = number(bytes.get(4..)?)?;
        let mut at = 4 + len;
        let byte = |at: usize| bytes.get(at).copied().map(u64::from);
        let block = match sizes >> 4 {
            0 => return None,
            1 => 192,
            code @ 2..=5 => 144 << code,
            6 => {
                at += 1;
                byte(at - 1)? + 1
            }
            7 => {
                at += 2;
                (byte(at - 2)? << 8 | byte(at - 1)?) + 1
            }
            code => 1 << code,
        };
        at += match sizes & 0x0f {
            12 => 1,
            13 | 14 => 2,
            15 => return None,
            _ => 0,
        };
        (crc8(bytes.get(..at)?) == *bytes.get(at)?).then_some(Self {
            end: number.checked_mul(info.block)?.checked_add(block)?,
        })
    }
}

/// The number at the start, which is written like a character in UTF-8, and how long it is.
fn number(bytes: &[u8]) -> Option<(u64, usize)> {
    let first = *bytes.first()?;
    let len = match first.leading_ones() {
        0 => return Some((first.into(), 1)),
        len @ 2..=7 => len as usize,
        _ => return None,
    };
    let initial = u64::from(first & (0x7f_u8 >> len));
    let rest = bytes.get(1..len)?;
    let number = rest.iter().try_fold(initial, |number, byte| {
        (byte & 0xc0 == 0x80).then_some(number << 6 | u64::from(byte & 0x3f))
    })?;
    Some((number, len))
}

fn crc8(bytes: &[u8]) -> u8 {
    bytes.iter().fold(0, |crc, byte| {
        (0..8).fold(crc ^ byte, |crc: u8, _| {
            crc << 1 ^ if crc & 0x80 == 0 { 0 } else { 0x07 }
        })
    })
}
