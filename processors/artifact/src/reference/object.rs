use std::borrow::Cow;

use serde::{Deserialize, Serialize};

use crate::{Digest, Encoding};

/// How every reference starts, as JSON text.
pub(crate) const OPENING: &[u8] = br#"{"type":"artifact""#;

/// What stands in a request in place of an artifact.
///
/// As JSON text it is one object with the members in this order and without white space, so that
/// exactly one text stands for a reference and a text can be told to be one by writing it again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Reference {
    pub(crate) digest: Digest,
    pub(crate) media_type: String,
    /// Decoded bytes.
    pub(crate) size: u64,
    pub(crate) encoding: Encoding,
    /// What stood before the base64 text: a data URI up to and including its comma.
    pub(crate) prefix: Option<String>,
    /// Where the bytes are, unless they were given up.
    pub(crate) uri: Option<String>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Json<'a> {
    #[serde(rename = "type")]
    kind: Cow<'a, str>,
    sha256: Cow<'a, str>,
    content_type: Cow<'a, str>,
    size_bytes: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    uri: Option<Cow<'a, str>>,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    dropped: bool,
    encoding: Cow<'a, str>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    prefix: Option<Cow<'a, str>>,
}

impl Reference {
    pub(crate) fn to_json(&self) -> Vec<u8> {
        let json = Json {
            kind: "artifact".into(),
            sha256: self.digest.to_string().into(),
            content_type: self.media_type.as_str().into(),
            size_bytes: self.size,
            uri: self.uri.as_deref().map(Cow::Borrowed),
            dropped: self.uri.is_none(),
            encoding: self.encoding.to_string().into(),
            prefix: self.prefix.as_deref().map(Cow::Borrowed),
        };
        // Strings and numbers only: there is nothing here that JSON could refuse.
        serde_json::to_vec(&json).unwrap_or_default()
    }

    /// Reads the reference at the start of `text`; returns it and its length.
    pub(crate) fn parse(text: &[u8]) -> Option<(Self, usize)> {
        if !text.starts_with(OPENING) {
            return None;
        }
        let mut documents = serde_json::Deserializer::from_slice(text).into_iter::<Json<'_>>();
        let json = documents.next()?.ok()?;
        let len = documents.byte_offset();
        let reference = Self {
            digest: json.sha256.parse().ok()?,
            media_type: json.content_type.into_owned(),
            size: json.size_bytes,
            encoding: json.encoding.parse().ok()?,
            prefix: json.prefix.map(Cow::into_owned),
            uri: json.uri.map(Cow::into_owned),
        };
        (text.get(..len)? == reference.to_json()).then_some((reference, len))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::encoding::Alphabet;

    fn reference() -> Reference {
        Reference {
            digest: Digest::of(b"abc"),
            media_type: "image/png".into(),
            size: 3,
            encoding: Encoding::Base64 {
                alphabet: Alphabet::Standard,
                padded: true,
            },
            prefix: Some("data:image/png;base64,".into()),
            uri: Some("s3://bucket/default/sha256/ba/ba78".into()),
        }
    }

    #[test]
    fn is_one_json_object() {
        assert_eq!(
            String::from_utf8(reference().to_json()).unwrap(),
            r#"{"type":"artifact","sha256":"ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad","content_type":"image/png","size_bytes":3,"uri":"s3://bucket/default/sha256/ba/ba78","encoding":"base64","prefix":"data:image/png;base64,"}"#
        );
    }

    #[test]
    fn is_read_back_with_its_length_and_only_as_it_was_written() {
        let dropped = Reference {
            uri: None,
            prefix: None,
            encoding: Encoding::Bytes,
            ..reference()
        };
        for reference in [reference(), dropped] {
            let mut text = reference.to_json();
            let len = text.len();
            text.extend_from_slice(b", \"more\"]");
            assert_eq!(Reference::parse(&text), Some((reference, len)));
        }
        let text = String::from_utf8(reference().to_json()).unwrap();
        for (from, to) in [
            ("\"size_bytes\":3", "\"size_bytes\": 3"),
            ("\"size_bytes\":3", "\"size_bytes\":3,\"more\":1"),
            ("image/png", "image\\/png"),
            ("ba7816", "BA7816"),
        ] {
            assert_eq!(
                Reference::parse(text.replacen(from, to, 1).as_bytes()),
                None
            );
        }
    }
}
