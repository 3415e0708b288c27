//! As what an artifact is served: by its first bytes, and by nothing that anybody says.

use slimspan_artifact::{extension_of_media_type, media_type_of_bytes};

use super::pixels::Pixels;

/// How many bytes of an artifact are looked at.
pub(crate) const HEAD: usize = 4096;

/// What is shown by browsers and cannot do anything there.
const SHOWN: [&str; 13] = [
    "image/png",
    "image/jpeg",
    "image/gif",
    "image/webp",
    "image/avif",
    "image/bmp",
    "audio/wav",
    "audio/mpeg",
    "audio/flac",
    "audio/ogg",
    "audio/mp4",
    "video/mp4",
    "video/webm",
];

/// What senders call a file of a type above after what is in it.
const WITHIN: [&str; 2] = ["audio/opus", "audio/webm"];

const UNKNOWN: &str = "application/octet-stream";
const TEXT: &str = "text/plain; charset=utf-8";
const SVG: &str = "image/svg+xml";

/// As what the bytes of an artifact are served.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Media {
    /// What the bytes show to be, for people.
    pub(crate) shown: &'static str,
    /// As what they are served.
    pub(crate) content_type: &'static str,
    /// What the name of a file with them ends in.
    pub(crate) extension: &'static str,
    /// Whether a browser may show it by itself.
    pub(crate) is_inline: bool,
    /// How large it is where it is a picture, if that is to be seen.
    pub(crate) pixels: Option<Pixels>,
}

impl Media {
    /// By the first bytes, of which there should be [`HEAD`] if the artifact has as many. How large a picture is may
    /// stand behind them.
    pub(crate) fn of(bytes: &[u8]) -> Self {
        let head = bytes.get(..HEAD).unwrap_or(bytes);
        if let Some(shown) = media_type_of_bytes(head) {
            let is_inline = SHOWN.contains(&shown);
            return Self {
                shown,
                content_type: if is_inline { shown } else { UNKNOWN },
                extension: extension_of_media_type(shown),
                is_inline,
                pixels: Pixels::of(shown, bytes),
            };
        }
        let Some(text) = text(head) else {
            return Self::unknown();
        };
        let begun = text.trim_start_matches('\u{feff}').trim_start();
        if begun.starts_with('<') {
            return Self::markup(begun);
        }
        // A web archive is a mail, and browsers have opened such.
        let is_mail = text
            .lines()
            .any(|line| line.to_ascii_lowercase().starts_with("mime-version:"));
        if is_mail {
            return Self::unknown();
        }
        let is_json = begun.starts_with(['{', '[']);
        Self {
            shown: if is_json {
                "application/json"
            } else {
                "text/plain"
            },
            content_type: TEXT,
            extension: if is_json { "json" } else { "txt" },
            is_inline: true,
            pixels: None,
        }
    }

    /// Whether a file that is said to be of a type would be shown by a browser, if it is one: also by the other names
    /// that the type has.
    pub(crate) fn is_shown(said: &str) -> bool {
        let extension = extension_of_media_type(said);
        let is_so_called = |shown: &&str| extension_of_media_type(shown) == extension;
        SHOWN.iter().any(is_so_called) || WITHIN.contains(&said)
    }

    /// As what it is served to a page that asked for it as a picture: there an SVG is only one.
    #[must_use]
    pub(crate) fn as_picture(self) -> Self {
        if self.shown == SVG {
            Self {
                content_type: SVG,
                ..self
            }
        } else {
            self
        }
    }

    /// Whether a browser has no more than so many pixels to decode of it. An SVG has none, and as many as there is room
    /// for.
    pub(super) fn has_at_most(self, pixels: u64) -> bool {
        match self.pixels {
            Some(of) => of.count() <= pixels,
            None => self.shown == SVG,
        }
    }

    fn unknown() -> Self {
        Self {
            shown: UNKNOWN,
            content_type: UNKNOWN,
            extension: extension_of_media_type(UNKNOWN),
            is_inline: false,
            pixels: None,
        }
    }

    /// Of which a browser would run what is in it.
    fn markup(text: &str) -> Self {
        let text = text.to_ascii_lowercase();
        let shown = if text.contains("<svg") && !text.contains("<html") {
            SVG
        } else if text.starts_with("<?xml") {
            "application/xml"
        } else if text.starts_with("<!doctype html") || text.contains("<html") {
            "text/html"
        } else {
            UNKNOWN
        };
        Self {
            shown,
            extension: extension_of_media_type(shown),
            ..Self::unknown()
        }
    }
}

/// The text that begins here, if it is one that people read.
fn text(head: &[u8]) -> Option<&str> {
    let text = match std::str::from_utf8(head) {
        Ok(text) => text,
        // Cut within a character.
        Err(error) if error.error_len().is_none() => {
            std::str::from_utf8(head.get(..error.valid_up_to())?).ok()?
        }
        Err(_) => return None,
    };
    let is_read = |c: char| !c.is_control() || matches!(c, '\t' | '\n' | '\r' | '\x0c' | '\x1b');
    (!text.is_empty() && text.chars().all(is_read)).then_some(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_bytes_show_decides() {
        for (head, content_type, extension, is_inline) in [
            (&b"\x89PNG\r\n\x1a\n..."[..], "image/png", "png", true),
            (
                b"GIF89a/*<script>alert(1)</script>",
                "image/gif",
                "gif",
                true,
            ),
            (b"RIFF....WAVEfmt ", "audio/wav", "wav", true),
            (b"....ftypM4A ", "audio/mp4", "m4a", true),
            (b"%PDF-1.7", UNKNOWN, "pdf", false),
            (b"PK\x03\x04....", UNKNOWN, "zip", false),
            (b"\x1f\x8b\x08svgz", UNKNOWN, "gz", false),
            (b"{\"a\":1}", TEXT, "json", true),
            (b"# Title\n\na <b>word</b>", TEXT, "txt", true),
            (b"\xef\xbb\xbfa,b\n1,2\n", TEXT, "txt", true),
            ("h\u{e9}".as_bytes(), TEXT, "txt", true),
            (b"+ADw-script+AD4-", TEXT, "txt", true),
            (b"<svg onload=alert(1)>", UNKNOWN, "svg", false),
            (
                b"\xef\xbb\xbf  <svg onload=alert(1)>",
                UNKNOWN,
                "svg",
                false,
            ),
            (b"<?xml version=\"1.0\"?><svg>", UNKNOWN, "svg", false),
            (b"<?xml version=\"1.0\"?><x>", UNKNOWN, "xml", false),
            (b" <!DOCTYPE HTML><p>", UNKNOWN, "html", false),
            (b"<!-- --><html><svg>", UNKNOWN, "html", false),
            (b"<script>alert(1)</script>", UNKNOWN, "bin", false),
            (b"From: a\r\nMIME-Version: 1.0\r\n", UNKNOWN, "bin", false),
            (b"\xff\xfe<\0s\0v\0g\0", UNKNOWN, "bin", false),
            (b"a\0<script>", UNKNOWN, "bin", false),
            (b"", UNKNOWN, "bin", false),
        ] {
            let media = Media::of(head);
            let told = (media.content_type, media.extension, media.is_inline);
            assert_eq!(told, (content_type, extension, is_inline), "{head:?}");
        }
    }

    #[test]
    fn what_is_shown_is_known_by_each_of_its_names() {
        for (said, is_shown) in [
            ("image/png", true),
            ("image/jpg", true),
            ("audio/x-wav", true),
            ("audio/opus", true),
            ("video/webm", true),
            ("image/tiff", false),
            ("audio/aiff", false),
            ("audio/midi", false),
            ("video/quicktime", false),
            ("video/x-matroska", false),
            ("video/nothing", false),
            ("", false),
        ] {
            assert_eq!(Media::is_shown(said), is_shown, "{said}");
        }
    }

    #[test]
    fn only_a_picture_becomes_one() {
        assert_eq!(Media::of(b"<svg/>").as_picture().content_type, SVG);
        for other in [&b"<html><svg>"[..], b"<script>", b"%PDF-", b"a"] {
            let media = Media::of(other);
            assert_eq!(media.as_picture(), media);
        }
    }

    #[test]
    fn a_picture_that_does_not_say_how_large_it_is_is_too_large() {
        for (head, most) in [
            (
                &b"\x89PNG\r\n\x1a\n\0\0\0\x0dIHDR\0\0\0\x03\0\0\0\x05"[..],
                Some(15),
            ),
            (b"\xff\xd8\xff\xe0\xff\xff", None),
            (b"%PDF-1.7", None),
            (b"<svg/>", Some(0)),
        ] {
            let media = Media::of(head);
            assert_eq!(media.has_at_most(u64::MAX), most.is_some(), "{media:?}");
            if let Some(most) = most {
                assert!(media.has_at_most(most), "{media:?}");
                assert!(most == 0 || !media.has_at_most(most - 1), "{media:?}");
            }
        }
    }

    #[test]
    fn a_character_that_is_cut_is_none_that_is_wrong() {
        let mut long = "x".repeat(HEAD - 1);
        long.push('\u{e9}');
        assert_eq!(Media::of(long.as_bytes()).content_type, TEXT);
        assert_eq!(Media::of(b"abc\xff").content_type, UNKNOWN);
    }
}
