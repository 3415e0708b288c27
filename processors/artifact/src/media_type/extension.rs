//! File name extensions: links to artifacts end in one, because that is what viewers go by.

use super::usual;

/// Extensions and the type of each, each once.
const EXTENSIONS: [(&str, &str); 64] = [
    ("png", "image/png"),
    ("jpg", "image/jpeg"),
    ("gif", "image/gif"),
    ("webp", "image/webp"),
    ("avif", "image/avif"),
    ("heic", "image/heic"),
    ("heif", "image/heif"),
    ("tiff", "image/tiff"),
    ("bmp", "image/bmp"),
    ("ico", "image/vnd.microsoft.icon"),
    ("jxl", "image/jxl"),
    ("jp2", "image/jp2"),
    ("svg", "image/svg+xml"),
    ("psd", "image/vnd.adobe.photoshop"),
    ("wav", "audio/wav"),
    ("mp3", "audio/mpeg"),
    ("flac", "audio/flac"),
    ("ogg", "audio/ogg"),
    ("opus", "audio/opus"),
    ("m4a", "audio/mp4"),
    ("aac", "audio/aac"),
    ("aiff", "audio/aiff"),
    ("mid", "audio/midi"),
    ("amr", "audio/amr"),
    ("pcm", "audio/l16"),
    ("mp4", "video/mp4"),
    ("webm", "video/webm"),
    ("mkv", "video/matroska"),
    ("mov", "video/quicktime"),
    ("3gp", "video/3gpp"),
    ("avi", "video/x-msvideo"),
    ("mpg", "video/mpeg"),
    ("pdf", "application/pdf"),
    ("epub", "application/epub+zip"),
    ("zip", "application/zip"),
    ("gz", "application/gzip"),
    ("zst", "application/zstd"),
    ("xz", "application/x-xz"),
    ("bz2", "application/x-bzip2"),
    ("7z", "application/x-7z-compressed"),
    ("rar", "application/vnd.rar"),
    ("tar", "application/x-tar"),
    ("sqlite", "application/vnd.sqlite3"),
    ("rtf", "application/rtf"),
    ("ps", "application/postscript"),
    (
        "docx",
        "application/vnd.openxmlformats-officedocument.wordprocessingml.document",
    ),
    (
        "xlsx",
        "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
    ),
    (
        "pptx",
        "application/vnd.openxmlformats-officedocument.presentationml.presentation",
    ),
    ("doc", "application/msword"),
    ("xls", "application/vnd.ms-excel"),
    ("parquet", "application/vnd.apache.parquet"),
    ("arrow", "application/vnd.apache.arrow.file"),
    ("h5", "application/x-hdf5"),
    ("npy", "application/x-npy"),
    ("wasm", "application/wasm"),
    ("dcm", "application/dicom"),
    ("woff", "font/woff"),
    ("woff2", "font/woff2"),
    ("txt", "text/plain"),
    ("csv", "text/csv"),
    ("md", "text/markdown"),
    ("html", "text/html"),
    ("xml", "application/xml"),
    ("json", "application/json"),
];

/// The extension of files whose type has none.
const NONE: &str = "bin";

/// What the names of files of the type end in, without the dot.
pub fn of(media_type: &str) -> &'static str {
    let usual = usual(media_type);
    let known = EXTENSIONS.iter().find(|(_, of)| *of == usual);
    known.map_or(NONE, |(extension, _)| extension)
}

/// The type of files whose names end in `extension`, without the dot.
pub fn media_type(extension: &str) -> Option<&'static str> {
    if extension == NONE {
        return Some(super::UNKNOWN);
    }
    let known = EXTENSIONS.iter().find(|(known, _)| *known == extension);
    known.map(|(_, media_type)| *media_type)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_type_has_one_extension_and_every_extension_one_type() {
        for (extension, of_extension) in EXTENSIONS {
            assert_eq!(of(of_extension), extension);
            assert_eq!(media_type(extension), Some(of_extension));
        }
        assert_eq!(of("image/jpg"), "jpg");
        assert_eq!(of("x/y"), "bin");
        assert_eq!(media_type("exe"), None);
    }
}
