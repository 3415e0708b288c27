//! Magic numbers: what the first bytes of a file say it is.

/// A magic number: bytes at offsets that only files of one type have.
struct Magic {
    media_type: &'static str,
    /// The parts that must all be there: an offset and the bytes at it.
    parts: &'static [(usize, &'static [u8])],
}

const fn magic(media_type: &'static str, parts: &'static [(usize, &'static [u8])]) -> Magic {
    Magic { media_type, parts }
}

/// Magic numbers that are long enough (three bytes and more) not to be met by chance in the random
/// bytes of a key, a signature or an encrypted value.
const DISTINCTIVE: [Magic; 55] = [
    magic("image/png", &[(0, b"\x89PNG\r\n\x1a\n")]),
    magic("image/jpeg", &[(0, b"\xff\xd8\xff")]),
    magic("image/gif", &[(0, b"GIF87a")]),
    magic("image/gif", &[(0, b"GIF89a")]),
    magic("image/webp", &[(0, b"RIFF"), (8, b"WEBP")]),
    magic("image/avif", &[(4, b"ftypavif")]),
    magic("image/avif", &[(4, b"ftypavis")]),
    magic("image/heic", &[(4, b"ftypheic")]),
    magic("image/heic", &[(4, b"ftypheix")]),
    magic("image/heif", &[(4, b"ftypmif1")]),
    magic("image/tiff", &[(0, b"II*\0")]),
    magic("image/tiff", &[(0, b"MM\0*")]),
    magic("image/jxl", &[(0, b"\0\0\0\x0cJXL \r\n\x87\n")]),
    magic("image/jp2", &[(0, b"\0\0\0\x0cjP  \r\n\x87\n")]),
    magic("image/vnd.adobe.photoshop", &[(0, b"8BPS")]),
    magic("audio/wav", &[(0, b"RIFF"), (8, b"WAVE")]),
    magic("audio/mpeg", &[(0, b"ID3")]),
    magic("audio/flac", &[(0, b"fLaC")]),
    magic("audio/ogg", &[(0, b"OggS")]),
    magic("audio/mp4", &[(4, b"ftypM4A ")]),
    magic("audio/aiff", &[(0, b"FORM"), (8, b"AIFF")]),
    magic("audio/midi", &[(0, b"MThd")]),
    magic("audio/amr", &[(0, b"#!AMR")]),
    magic("video/quicktime", &[(4, b"ftypqt  ")]),
    magic("video/3gpp", &[(4, b"ftyp3gp")]),
    magic("video/mp4", &[(4, b"ftyp")]),
    magic("video/webm", &[(0, b"\x1a\x45\xdf\xa3"), (31, b"webm")]),
    magic("video/webm", &[(0, b"\x1a\x45\xdf\xa3"), (24, b"webm")]),
    magic("video/matroska", &[(0, b"\x1a\x45\xdf\xa3")]),
    magic("video/x-msvideo", &[(0, b"RIFF"), (8, b"AVI ")]),
    magic("video/mpeg", &[(0, b"\0\0\x01\xba")]),
    magic("application/pdf", &[(0, b"%PDF-")]),
    magic(
        "application/epub+zip",
        &[(0, b"PK\x03\x04"), (30, b"mimetypeapplication/epub+zip")],
    ),
    magic("application/zip", &[(0, b"PK\x03\x04")]),
    magic("application/zip", &[(0, b"PK\x05\x06")]),
    magic("application/zstd", &[(0, b"\x28\xb5\x2f\xfd")]),
    magic("application/x-xz", &[(0, b"\xfd7zXZ\0")]),
    magic("application/x-bzip2", &[(0, b"BZh"), (4, b"1AY&SY")]),
    magic("application/x-7z-compressed", &[(0, b"7z\xbc\xaf\x27\x1c")]),
    magic("application/vnd.rar", &[(0, b"Rar!\x1a\x07")]),
    magic("application/x-tar", &[(257, b"ustar")]),
    magic("application/vnd.sqlite3", &[(0, b"SQLite format 3\0")]),
    magic(
        "application/x-ole-storage",
        &[(0, b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1")],
    ),
    magic("application/rtf", &[(0, b"{\\rtf")]),
    magic("application/postscript", &[(0, b"%!PS")]),
    magic("application/vnd.apache.parquet", &[(0, b"PAR1")]),
    magic("application/vnd.apache.arrow.file", &[(0, b"ARROW1\0\0")]),
    magic("application/x-hdf5", &[(0, b"\x89HDF\r\n\x1a\n")]),
    magic("application/x-npy", &[(0, b"\x93NUMPY")]),
    magic("application/wasm", &[(0, b"\0asm\x01\0\0\0")]),
    magic("application/x-elf", &[(0, b"\x7fELF")]),
    magic("application/dicom", &[(128, b"DICM")]),
    magic("font/woff", &[(0, b"wOFF")]),
    magic("font/woff2", &[(0, b"wOF2")]),
    magic("font/otf", &[(0, b"OTTO\0")]),
];

/// Magic numbers that are good enough to name what is a file anyway, not to tell a file: two bytes,
/// and gzip, which senders use for settings, cookies and secrets more often than for files.
const WEAK: [Magic; 7] = [
    magic("application/gzip", &[(0, b"\x1f\x8b\x08")]),
    magic("image/bmp", &[(0, b"BM"), (6, b"\0\0\0\0")]),
    magic("image/vnd.microsoft.icon", &[(0, b"\0\0\x01\0")]),
    magic("audio/mpeg", &[(0, b"\xff\xfb")]),
    magic("audio/mpeg", &[(0, b"\xff\xf3")]),
    magic("audio/aac", &[(0, b"\xff\xf1")]),
    magic("audio/aac", &[(0, b"\xff\xf9")]),
];

/// The media type that the bytes show, by a magic number that is not met by chance.
pub(crate) fn distinctive(bytes: &[u8]) -> Option<&'static str> {
    find(&DISTINCTIVE, bytes)
}

/// The media type that the bytes show, if they are known to be a file.
pub fn any(bytes: &[u8]) -> Option<&'static str> {
    distinctive(bytes).or_else(|| find(&WEAK, bytes))
}

/// The media type that the bytes show, by a magic number that tells something of a file only.
pub(super) fn weak(bytes: &[u8]) -> Option<&'static str> {
    find(&WEAK, bytes)
}

/// Whether files of the type have a magic number here.
pub(super) fn is_known(media_type: &str) -> bool {
    DISTINCTIVE
        .iter()
        .any(|magic| magic.media_type == media_type)
}

fn find(table: &[Magic], bytes: &[u8]) -> Option<&'static str> {
    let found = table.iter().find(|magic| {
        magic
            .parts
            .iter()
            .all(|(at, part)| bytes.get(*at..).is_some_and(|rest| rest.starts_with(part)))
    });
    found.map(|magic| magic.media_type)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_head_of_a_file_is_enough_to_tell_it() {
        for magic in &DISTINCTIVE {
            let mut head = [0; crate::encoding::HEAD];
            for (at, part) in magic.parts {
                head[*at..at + part.len()].copy_from_slice(part);
            }
            assert!(distinctive(&head).is_some(), "{}", magic.media_type);
        }
    }

    #[test]
    fn containers_are_told_apart_by_what_is_in_them() {
        assert_eq!(distinctive(b"RIFF....WEBPVP8 "), Some("image/webp"));
        assert_eq!(distinctive(b"RIFF....WAVEfmt "), Some("audio/wav"));
        assert_eq!(distinctive(b"RIFF....????"), None);
    }

    #[test]
    fn weak_numbers_do_not_tell_a_file() {
        assert_eq!(distinctive(b"\x1f\x8b\x08\0"), None);
        assert_eq!(weak(b"\x1f\x8b\x08\0"), Some("application/gzip"));
        assert_eq!(distinctive(b"\xff\xfb\x90\x64"), None);
        assert_eq!(weak(b"\xff\xfb\x90\x64"), Some("audio/mpeg"));
    }
}
