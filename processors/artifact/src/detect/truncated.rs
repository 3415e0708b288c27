//! Files that end too early.
//!
//! SDKs cut long values (`OTEL_ATTRIBUTE_VALUE_LENGTH_LIMIT`), base64 in the middle. What is left
//! may well be canonical base64, yet no file. Only files whose own structure says so are called
//! cut: bytes that begin like a file and have no structure are nobody's loss.

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
    let cut = match magic::distinctive(bytes) {
        Some("image/png") => png(bytes),
        Some("image/jpeg") => jpeg(bytes),
        Some("image/gif") => gif(bytes),
        Some("image/webp" | "audio/wav" | "video/x-msvideo") => riff(bytes),
        Some("application/pdf") => pdf(bytes),
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

/// A length in front, and a first chunk that is one.
fn riff(bytes: &[u8]) -> Option<bool> {
    let known: [&[u8]; 6] = [b"fmt ", b"VP8 ", b"VP8L", b"VP8X", b"LIST", b"JUNK"];
    let told = u32::from_le_bytes(*bytes.get(4..)?.first_chunk::<4>()?);
    let sound = known.contains(&bytes.get(12..16)?);
    // Streams are written before their length is known, and say the most there is.
    Some(sound && told < 0x7fff_f000 && bytes.len() < told as usize + 8)
}

/// Objects, and a mark at the end (ISO 32000-1, 7.5.5).
fn pdf(bytes: &[u8]) -> Option<bool> {
    let head = bytes.get(..4096).unwrap_or(bytes);
    memmem::find(head, b" obj")?;
    Some(memmem::rfind(bytes, b"%%EOF").is_none())
}

/// A directory at the end (APPNOTE.TXT, 4.3.16).
fn zip(bytes: &[u8]) -> Option<bool> {
    let name = usize::from(u16::from_le_bytes(*bytes.get(26..)?.first_chunk::<2>()?));
    let name = bytes.get(30..30 + name)?;
    let sound = !name.is_empty() && name.iter().all(|c| !c.is_ascii_control());
    Some(sound && memmem::rfind(bytes, b"PK\x05\x06").is_none())
}

/// Boxes that tell their lengths (ISO 14496-12, 4.2).
fn boxes(bytes: &[u8]) -> Option<bool> {
    let mut at = 0;
    while at < bytes.len() {
        let Some(kind) = bytes.get(at + 4..at + 8) else {
            return Some(true);
        };
        if !kind.iter().all(|c| c.is_ascii_graphic() || *c == b' ') {
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

#[cfg(test)]
mod tests {
    use super::*;

    /// Data that no structure is in, and no end of one.
    fn data(len: usize) -> Vec<u8> {
        (0..len).map(|n| (n % 97) as u8 | 0x80).collect()
    }

    fn png_file() -> Vec<u8> {
        let chunk = |kind: &[u8], data: &[u8]| {
            [&(data.len() as u32).to_be_bytes()[..], kind, data, &[0; 4]].concat()
        };
        [
            &b"\x89PNG\r\n\x1a\n"[..],
            &chunk(b"IHDR", &[1; 13]),
            &chunk(b"IDAT", &data(300)),
            &chunk(b"IDAT", &data(300)),
            &chunk(b"IEND", b""),
        ]
        .concat()
    }

    fn jpeg_file() -> Vec<u8> {
        let segment = |kind: u8, data: &[u8]| {
            let len = data.len() as u16 + 2;
            [&[0xff, kind][..], &len.to_be_bytes(), data].concat()
        };
        // A preview in a segment ends like a picture.
        let preview = [&data(100)[..], b"\xff\xd9", &data(100)].concat();
        [
            &b"\xff\xd8"[..],
            &segment(0xe0, b"JFIF\0"),
            &segment(0xe1, &preview),
            &segment(0xda, &[0; 10]),
            &data(500),
            b"\xff\xd9",
        ]
        .concat()
    }

    fn gif_file() -> Vec<u8> {
        let blocks = |data: &[u8]| {
            let mut blocks = Vec::new();
            for block in data.chunks(255) {
                blocks.push(block.len() as u8);
                blocks.extend_from_slice(block);
            }
            blocks.push(0);
            blocks
        };
        [
            // A table of four colours for all, and one of two for the picture.
            &b"GIF89a\x01\0\x01\0\x81\0\0"[..],
            &[7; 12],
            b"\x21\xfe",
            &blocks(b"a comment"),
            b"\x2c\0\0\0\0\x01\0\x01\0\x80",
            &[7; 6],
            b"\x02",
            &blocks(&data(600)),
            b"\x3b",
        ]
        .concat()
    }

    fn riff_file(kind: &[u8], chunk: &[u8]) -> Vec<u8> {
        let data = data(600);
        let size = |len: usize| (len as u32).to_le_bytes();
        [
            &b"RIFF"[..],
            &size(data.len() + 12),
            kind,
            chunk,
            &size(data.len()),
            &data,
        ]
        .concat()
    }

    fn pdf_file() -> Vec<u8> {
        let stream = data(600);
        [
            &b"%PDF-1.7\n1 0 obj\n<<>>stream\n"[..],
            &stream,
            b"\nendstream\nendobj\n%%EOF\n",
        ]
        .concat()
    }

    fn zip_file() -> Vec<u8> {
        let mut header = [0; 30];
        header[..4].copy_from_slice(b"PK\x03\x04");
        header[26] = 5;
        [&header[..], b"a.txt", &data(600), b"PK\x05\x06", &[0; 18]].concat()
    }

    fn mp4_file(brand: &[u8]) -> Vec<u8> {
        let sized = |kind: &[u8], data: &[u8]| {
            [&(data.len() as u32 + 8).to_be_bytes()[..], kind, data].concat()
        };
        let long = |kind: &[u8], data: &[u8]| {
            let len = data.len() as u64 + 16;
            [&1_u32.to_be_bytes()[..], kind, &len.to_be_bytes(), data].concat()
        };
        [
            sized(b"ftyp", brand),
            sized(b"moov", &data(200)),
            long(b"mdat", &data(400)),
        ]
        .concat()
    }

    #[test]
    fn a_file_is_cut_wherever_it_is_cut() {
        for file in [
            png_file(),
            jpeg_file(),
            gif_file(),
            riff_file(b"WEBP", b"VP8 "),
            riff_file(b"WAVE", b"fmt "),
            riff_file(b"AVI ", b"LIST"),
            pdf_file(),
            zip_file(),
            mp4_file(b"isom"),
            mp4_file(b"M4A "),
            mp4_file(b"qt  "),
            mp4_file(b"heic"),
            mp4_file(b"avif"),
        ] {
            let kind = magic::distinctive(&file).unwrap();
            assert!(!is_cut(&file), "{kind}");
            for tenth in 1..10 {
                let cut = &file[..file.len() * tenth / 10];
                assert!(is_cut(cut), "{tenth} tenths of {kind}");
            }
            // The last byte is part of it, but for the line break of a PDF.
            let last = file.len() - if kind == "application/pdf" { 2 } else { 1 };
            if kind != "application/zip" {
                assert!(is_cut(&file[..last]) || kind == "image/gif", "{kind}");
            }
        }
    }

    #[test]
    fn what_only_begins_like_a_file_is_not_cut() {
        for magic in [
            &b"\x89PNG\r\n\x1a\n"[..],
            b"\xff\xd8\xff",
            b"GIF89a",
            b"RIFF\xff\xff\0\0WEBP",
            b"RIFF\xff\xff\0\0WAVE",
            b"RIFF\xff\xff\0\0AVI ",
            b"%PDF-1.7",
            b"PK\x03\x04",
            b"\0\0\0\x10ftypisom\0\0\0\0",
            b"OggS",
            b"\x1f\x8b\x08",
        ] {
            let fake = [magic, &data(600)].concat();
            assert!(!is_cut(&fake), "{}", magic.escape_ascii());
        }
        // A stream was written before its length was known.
        let mut stream = riff_file(b"WAVE", b"fmt ");
        stream[4..8].fill(0xff);
        assert!(!is_cut(&stream));
    }

    #[test]
    fn a_riff_of_another_length_is_damaged() {
        let file = riff_file(b"WAVE", b"fmt ");
        assert!(!is_damaged(&file));
        assert!(!is_damaged(&[&file[..], b"\0"].concat()), "padding");
        assert!(is_damaged(&file[..file.len() - 1]));
        assert!(is_damaged(&[&file[..], b"\0\0"].concat()));
        assert!(is_damaged(b"RIFF\0"));
        assert!(!is_damaged(&png_file()));
    }
}
