//! Files that end too early.
//!
//! SDKs cut long values (`OTEL_ATTRIBUTE_VALUE_LENGTH_LIMIT`), base64 in the middle. What is left
//! may well be canonical base64, yet no file. Only files whose own structure says so are called
//! cut: bytes that begin like a file and have no structure are nobody's loss. Nothing that is whole
//! may be called cut, so where writers are known to get a length wrong, it proves nothing.

mod bmp;
mod flac;
mod matroska;
mod mpeg;
mod ogg;
mod pdf;
#[cfg(test)]
mod tests;
mod tiff;

use memchr::memmem;

use crate::encoding::{Base64Text, HEAD};
use crate::media_type::magic;

/// Whether `base64`, which cannot be decoded as a whole, is the beginning of a file.
pub(super) fn is_cut_base64(base64: &[u8]) -> bool {
    let mut buffer = [0; HEAD];
    let head = Base64Text::head(base64, &mut buffer);
    head.is_some_and(|head| magic::distinctive(head).is_some())
}

/// Whether the bytes are the beginning of a file whose structure goes on beyond their end.
pub(crate) fn is_cut(bytes: &[u8]) -> bool {
    let cut = match magic::any(bytes) {
        Some("image/png") => png(bytes),
        Some("image/jpeg") => jpeg(bytes),
        Some("image/gif") => gif(bytes),
        Some("image/webp" | "audio/wav" | "video/x-msvideo") => riff(bytes),
        Some("image/bmp") => bmp::is_cut(bytes),
        Some("image/tiff") => tiff::is_cut(bytes),
        Some("audio/aiff") => aiff(bytes),
        Some("audio/flac") => flac::is_cut(bytes),
        Some("audio/mpeg") => mpeg::is_cut(bytes),
        Some("audio/ogg") => ogg::is_cut(bytes),
        Some("video/webm" | "video/matroska") => matroska::is_cut(bytes),
        Some("application/pdf") => pdf::is_cut(bytes),
        Some("application/zip" | "application/epub+zip") => zip(bytes),
        Some("video/mp4" | "audio/mp4" | "video/quicktime" | "image/heic" | "image/avif") => {
            boxes(bytes)
        }
        _ => None,
    };
    cut.unwrap_or(false)
}

/// Whether the bytes begin like a file that tells its length, and have another: what is left of a
/// file that was cut or went through a text encoding on its way.
pub(crate) fn is_damaged(bytes: &[u8]) -> bool {
    let Some((b"RIFF", rest)) = bytes.split_first_chunk::<4>() else {
        return false;
    };
    let Some((length, rest)) = rest.split_first_chunk::<4>() else {
        return true;
    };
    // Streams are written before their length is known.
    let told = u32::from_le_bytes(*length) as usize;
    !matches!(told, 0 | 0xffff_ffff) && rest.len() != told && rest.len() != told + 1
}

fn be32(bytes: &[u8], at: usize) -> Option<usize> {
    let word = bytes.get(at..)?.first_chunk::<4>()?;
    Some(u32::from_be_bytes(*word) as usize)
}

/// Chunks, the last of which is IEND (ISO 15948, 5).
fn png(bytes: &[u8]) -> Option<bool> {
    if bytes.get(12..16)? != b"IHDR" || be32(bytes, 8)? != 13 {
        return Some(false);
    }
    let mut at = 8;
    loop {
        let Some(kind) = bytes.get(at + 4..at + 8) else {
            return Some(true);
        };
        if kind == b"IEND" {
            return Some(bytes.len() < at + 12);
        }
        if !kind.iter().all(u8::is_ascii_alphabetic) {
            return Some(false);
        }
        at += be32(bytes, at)? + 12;
    }
}

/// Segments up to the first scan, and somewhere behind it the end of the image (ISO 10918-1, B).
fn jpeg(bytes: &[u8]) -> Option<bool> {
    let mut at = 2;
    loop {
        let Some(marker) = bytes.get(at..).and_then(<[u8]>::first_chunk::<4>) else {
            return Some(true);
        };
        let [0xff, kind @ 0xc0..=0xfe, high, low] = *marker else {
            return Some(false);
        };
        if kind == 0xda {
            let scan = bytes.get(at..)?;
            return Some(memmem::find(scan, b"\xff\xd9").is_none());
        }
        let len = usize::from(u16::from_be_bytes([high, low]));
        if len < 2 {
            return Some(false);
        }
        at += 2 + len;
    }
}

/// Blocks, the last of which is the trailer (GIF89a specification, 27).
fn gif(bytes: &[u8]) -> Option<bool> {
    let table = |flags: u8| -> usize {
        if flags & 0x80 == 0 {
            0
        } else {
            3 << ((flags & 7) + 1)
        }
    };
    let mut at = 13 + table(*bytes.get(10)?);
    loop {
        let Some(kind) = bytes.get(at) else {
            return Some(true);
        };
        at += match kind {
            0x21 => 2,
            0x2c => match bytes.get(at + 9) {
                Some(flags) => 11 + table(*flags),
                None => return Some(true),
            },
            // The trailer, or no block at all.
            _ => return Some(false),
        };
        loop {
            let Some(len) = bytes.get(at) else {
                return Some(true);
            };
            at += usize::from(*len) + 1;
            if *len == 0 {
                break;
            }
        }
    }
}

/// A length in front, and a first chunk that is one. The length is that of what follows it; headers
/// that were written by hand tell that of the whole file.
fn riff(bytes: &[u8]) -> Option<bool> {
    let known: [&[u8]; 6] = [b"fmt ", b"VP8 ", b"VP8L", b"VP8X", b"LIST", b"JUNK"];
    let told = u32::from_le_bytes(*bytes.get(4..)?.first_chunk::<4>()?);
    let sound = known.contains(&bytes.get(12..16)?);
    // Streams are written before their length is known, and say the most there is.
    Some(sound && told < 0x7fff_f000 && bytes.len() < told as usize)
}

/// The same, with numbers the other way round.
fn aiff(bytes: &[u8]) -> Option<bool> {
    let told = be32(bytes, 4)?;
    let sound = [b"COMM", b"FVER", b"NAME", b"SSND"].contains(&bytes.get(12..16)?.first_chunk()?);
    Some(sound && told < 0x7fff_f000 && bytes.len() < told)
}

/// A directory at the end (APPNOTE.TXT, 4.3.16).
fn zip(bytes: &[u8]) -> Option<bool> {
    let name = usize::from(u16::from_le_bytes(*bytes.get(26..)?.first_chunk::<2>()?));
    let name = bytes.get(30..30 + name)?;
    let sound = !name.is_empty() && name.iter().all(|c| !c.is_ascii_control());
    Some(sound && memmem::rfind(bytes, b"PK\x05\x06").is_none())
}

/// What stands in a file beside the box at its start (ISO 14496-12, 6.2; the QuickTime file format).
const BOXES: [&[u8; 4]; 19] = [
    b"ftyp", b"styp", b"moov", b"mdat", b"meta", b"free", b"skip", b"wide", b"uuid", b"moof",
    b"mfra", b"sidx", b"ssix", b"prft", b"emsg", b"pdin", b"meco", b"imda", b"pnot",
];

/// Boxes that tell their lengths (ISO 14496-12, 4.2). Whatever else follows them is none of the
/// file's.
fn boxes(bytes: &[u8]) -> Option<bool> {
    let mut at = 0;
    while at < bytes.len() {
        let Some(kind) = bytes.get(at + 4..at + 8) else {
            return Some(false);
        };
        if at > 0 && !BOXES.iter().any(|known| known[..] == *kind) {
            return Some(false);
        }
        // A length can be any number; one that turned back would be read for ever.
        let len = match be32(bytes, at)? {
            0 => return Some(false),
            1 => {
                let Some(len) = bytes.get(at + 8..).and_then(<[u8]>::first_chunk::<8>) else {
                    return Some(true);
                };
                usize::try_from(u64::from_be_bytes(*len)).ok()?.max(16)
            }
            len => len.max(8),
        };
        at = at.saturating_add(len);
    }
    Some(at > bytes.len())
}
