//! References to files that their senders' SDKs store themselves.
//!
//! `logfire.Artifact` puts a file by its own requests and leaves an object in the span that has no URI and no
//! encoding, so none of it is ours to put back: it goes on as it came. What it says of the file is the sender's word.

use std::borrow::Cow;

use serde::Deserialize;
use serde::de::IgnoredAny;

use crate::Digest;
use crate::media_type::is_media_type;

/// The longest that is read: it is a digest, a type and a name.
const LONGEST: usize = 8 * 1024;

/// How it begins as the SDK writes it. Others are nobody's, as with ours: requests are not looked through for them.
const BEGINNING: &[u8] = br#"{"type":"logfire.artifact","sha256":""#;

/// What a sender says of a file that it stores itself.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Claimed {
    pub(crate) digest: Digest,
    pub(crate) media_type: String,
    pub(crate) size: u64,
    pub(crate) file_name: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Object<'a> {
    #[serde(rename = "type")]
    _kind: IgnoredAny,
    #[serde(borrow)]
    sha256: Cow<'a, str>,
    #[serde(borrow)]
    content_type: Cow<'a, str>,
    size_bytes: u64,
    #[serde(borrow)]
    filename: Option<Cow<'a, str>>,
}

impl Claimed {
    /// What a text says that is such a reference, and nothing else.
    pub(crate) fn read(text: &[u8]) -> Option<Self> {
        if text.len() > LONGEST || !text.starts_with(BEGINNING) {
            return None;
        }
        let object: Object<'_> = serde_json::from_slice(text).ok()?;
        let (media_type, _) =
            (object.content_type.split_once(';')).unwrap_or((&object.content_type, ""));
        let media_type = media_type.trim();
        if !is_media_type(media_type) {
            return None;
        }
        Some(Self {
            digest: object.sha256.parse().ok()?,
            media_type: media_type.to_owned(),
            size: object.size_bytes,
            file_name: object.filename.map(Cow::into_owned),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn object(rest: &str) -> String {
        let sha256 = Digest::of(b"a");
        format!(r#"{{"type":"logfire.artifact","sha256":"{sha256}",{rest}}}"#)
    }

    #[test]
    fn what_the_sdk_writes_is_read() {
        let all =
            object(r#""content_type":"image/png","size_bytes":9,"filename":"\u00e9 \"a\".png""#);
        let expected = Claimed {
            digest: Digest::of(b"a"),
            media_type: "image/png".to_owned(),
            size: 9,
            file_name: Some("é \"a\".png".to_owned()),
        };
        assert_eq!(Claimed::read(all.as_bytes()), Some(expected));
        let text = object(r#""content_type":"text/plain; charset=utf-8","size_bytes":1"#);
        let read = Claimed::read(text.as_bytes());
        assert_eq!(read.map(|of| of.media_type).as_deref(), Some("text/plain"));
        for nameless in ["", r#","filename":null"#] {
            let text = object(&format!(r#""content_type":"a/b","size_bytes":0{nameless}"#));
            let read = Claimed::read(text.as_bytes());
            assert_eq!(read.and_then(|of| of.file_name), None, "{text}");
        }
    }

    #[test]
    fn nothing_else_is() {
        let ours = r#""content_type":"a/b","size_bytes":1,"uri":"http://a","encoding":"base64""#;
        let long = format!(
            r#""content_type":"a/b","size_bytes":1,"filename":"{}""#,
            "a".repeat(LONGEST)
        );
        for rest in [
            ours,
            &long,
            r#""content_type":"a/b""#,
            r#""content_type":"a/b","size_bytes":-1"#,
            r#""content_type":"a/b","size_bytes":1.0"#,
            r#""content_type":"no type","size_bytes":1"#,
            r#""content_type":"a/b","size_bytes":1,"size_bytes":2"#,
        ] {
            assert_eq!(Claimed::read(object(rest).as_bytes()), None, "{rest}");
        }
        let whole = object(r#""content_type":"a/b","size_bytes":1"#);
        for text in [
            whole.replace("logfire.", ""),
            whole.replace("logfire.artifact", "logfire.artifact.untrusted"),
            whole.to_uppercase(),
            whole.replace(':', ": "),
            format!("[{whole}]"),
            format!("see {whole}"),
            format!("{whole} there"),
        ] {
            assert_eq!(Claimed::read(text.as_bytes()), None, "{text}");
        }
    }
}
