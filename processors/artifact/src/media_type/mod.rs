//! What kind of file the bytes are, by what they show and by what the sender says.

pub(crate) mod extension;
pub(crate) mod magic;

/// The type of bytes whose type nothing tells.
pub(crate) const UNKNOWN: &str = "application/octet-stream";

/// What the bytes of a file show it to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Shown {
    /// By a magic number that is not met by chance.
    distinctive: Option<&'static str>,
    /// By any.
    any: Option<&'static str>,
}

impl Shown {
    pub(crate) fn by(bytes: &[u8]) -> Self {
        let distinctive = magic::distinctive(bytes);
        Self {
            distinctive,
            any: distinctive.or_else(|| magic::weak(bytes)),
        }
    }
}

/// What kind of file something is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct MediaType {
    /// What the sender says, else what the bytes show.
    pub(crate) declared: String,
    /// What the bytes show, where the sender says something else.
    pub(crate) contradiction: Option<String>,
}

impl MediaType {
    /// Judges bytes by what they show, about which the sender says `label`.
    ///
    /// A label is kept even where the bytes contradict it, because senders' tools look for what
    /// they wrote. It decides nothing else: bytes are kept, and named, as what they show.
    pub(crate) fn of(shown: Shown, label: Option<&str>) -> Self {
        let label = label
            .filter(|label| is_media_type(label))
            .map(str::to_ascii_lowercase)
            .filter(|label| label != UNKNOWN);
        let Some(label) = label else {
            return Self::shown(shown.any.unwrap_or(UNKNOWN));
        };
        let contradiction = match shown.distinctive {
            Some(shown) if !agree(&label, shown) => Some(shown),
            // A weak magic number may be there by chance, but the label's own is certainly not.
            None if ALWAYS_SHOWN.contains(&usual(&label)) => Some(shown.any.unwrap_or(UNKNOWN)),
            _ => None,
        };
        Self {
            declared: label,
            contradiction: contradiction.map(str::to_owned),
        }
    }

    /// What the bytes show and nobody says.
    pub(crate) fn shown(shown: &str) -> Self {
        Self {
            declared: shown.to_owned(),
            contradiction: None,
        }
    }

    /// What the bytes may be kept and served as.
    pub(crate) fn proven(&self) -> &str {
        self.contradiction.as_deref().unwrap_or(&self.declared)
    }
}

/// Types of which every file begins with its magic number.
const ALWAYS_SHOWN: [&str; 5] = [
    "image/png",
    "image/jpeg",
    "image/gif",
    "image/webp",
    "application/pdf",
];

/// Names that senders use, and the usual name of the same type.
const ALIASES: [(&str, &str); 16] = [
    ("image/jpg", "image/jpeg"),
    ("image/pjpeg", "image/jpeg"),
    ("image/x-png", "image/png"),
    ("image/x-icon", "image/vnd.microsoft.icon"),
    ("audio/mp3", "audio/mpeg"),
    ("audio/x-mp3", "audio/mpeg"),
    ("audio/wave", "audio/wav"),
    ("audio/x-wav", "audio/wav"),
    ("audio/vnd.wave", "audio/wav"),
    ("audio/x-flac", "audio/flac"),
    ("audio/x-aiff", "audio/aiff"),
    ("audio/x-m4a", "audio/mp4"),
    ("video/x-matroska", "video/matroska"),
    ("application/x-pdf", "application/pdf"),
    ("application/x-gzip", "application/gzip"),
    ("application/x-zip-compressed", "application/zip"),
];

/// Types whose magic number is that of a container, and says little about what is in it.
const FAMILIES: [&[&str]; 5] = [
    &[
        "video/mp4",
        "audio/mp4",
        "video/quicktime",
        "video/3gpp",
        "audio/3gpp",
    ],
    &["video/matroska", "video/webm", "audio/webm"],
    &["audio/ogg", "video/ogg", "application/ogg", "audio/opus"],
    &["image/heic", "image/heif", "image/avif"],
    &["audio/mpeg", "audio/aac"],
];

/// Containers of documents, which have names of their own.
const ENVELOPES: [&str; 4] = [
    "application/zip",
    "application/gzip",
    "application/x-ole-storage",
    "image/tiff",
];

pub(crate) fn usual(media_type: &str) -> &str {
    let alias = ALIASES.iter().find(|(alias, _)| *alias == media_type);
    alias.map_or(media_type, |(_, usual)| usual)
}

/// Whether files of the type are text.
pub(crate) fn is_text(media_type: &str) -> bool {
    let media_type = media_type.to_ascii_lowercase();
    media_type.starts_with("text/")
        || ["json", "xml", "javascript"]
            .iter()
            .any(|format| media_type.ends_with(format))
}

/// Whether a file that shows to be `shown` can be what its sender calls it.
fn agree(label: &str, shown: &str) -> bool {
    let label = usual(label);
    label == shown
        || FAMILIES
            .iter()
            .any(|family| family.contains(&label) && family.contains(&shown))
        || ENVELOPES.contains(&shown) && !magic::is_known(label)
}

/// Whether a sender's text is `type/subtype` and nothing else (RFC 9110, 8.3.1), so that it can
/// stand in a reference and as an object's content type.
pub(crate) fn is_media_type(text: &str) -> bool {
    fn is_token(text: &str) -> bool {
        !text.is_empty()
            && text
                .bytes()
                .all(|c| c.is_ascii_alphanumeric() || b"!#$&^_.+-".contains(&c))
    }
    text.len() <= 127
        && text
            .split_once('/')
            .is_some_and(|(kind, subtype)| is_token(kind) && is_token(subtype))
}

#[cfg(test)]
mod tests {
    use super::*;

    const PNG: &[u8] = b"\x89PNG\r\n\x1a\n....";
    const ZIP: &[u8] = b"PK\x03\x04....";
    const DOCX: &str = "application/vnd.openxmlformats-officedocument.wordprocessingml.document";

    const GZIP: &[u8] = b"\x1f\x8b\x08\0";

    #[test]
    fn a_label_is_kept_and_a_contradiction_is_seen() {
        for (bytes, label, declared, contradiction) in [
            (PNG, None, "image/png", None),
            (PNG, Some("image/png"), "image/png", None),
            (PNG, Some("IMAGE/PNG"), "image/png", None),
            (PNG, Some("image/x-png"), "image/x-png", None),
            (PNG, Some("image/jpeg"), "image/jpeg", Some("image/png")),
            (PNG, Some("text/html"), "text/html", Some("image/png")),
            (PNG, Some(UNKNOWN), "image/png", None),
            (PNG, Some("png"), "image/png", None),
            (b"<html>", Some("image/png"), "image/png", Some(UNKNOWN)),
            (
                GZIP,
                Some("image/png"),
                "image/png",
                Some("application/gzip"),
            ),
            (GZIP, Some("text/csv"), "text/csv", None),
            (b"<html>", Some("text/html"), "text/html", None),
            (b"no magic", Some("Text/CSV"), "text/csv", None),
            (b"no magic", None, UNKNOWN, None),
            (ZIP, Some(DOCX), DOCX, None),
            (ZIP, Some("image/png"), "image/png", Some("application/zip")),
            (b"\xff\xfb\x90\x64", Some("audio/mp3"), "audio/mp3", None),
            (b"....ftypM4A ", Some("video/mp4"), "video/mp4", None),
        ] {
            let media_type = MediaType::of(Shown::by(bytes), label);
            assert_eq!(media_type.declared, declared, "{label:?}");
            assert_eq!(
                media_type.contradiction.as_deref(),
                contradiction,
                "{label:?}"
            );
        }
    }

    #[test]
    fn a_label_that_is_no_media_type_is_not_repeated() {
        for label in [
            "",
            "png",
            "text/html\r\nSet-Cookie: x",
            "a/b/c",
            "a b/c",
            "/",
            "\"/\"",
        ] {
            assert_eq!(
                MediaType::of(Shown::by(b"no magic"), Some(label)).declared,
                UNKNOWN
            );
        }
    }
}
