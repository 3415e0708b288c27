use std::borrow::Cow;

use bytesize::ByteSize;
use serde::Deserialize;
use slimspan_artifact::Digest;

/// What [`replace_references`] puts where a reference stood.
pub const PLACEHOLDER: &str = "‹artifact›";

/// A reference is shorter than this wherever it stands, so a search for its end stops here.
const LONGEST: usize = 8 << 10;

/// How many closing braces are tried as the end of a reference: its URI may hold some.
const MOST_BRACES: usize = 4;

/// Backslashes before a quotation mark of JSON text that stands zero to three times in a JSON
/// string.
const ESCAPES: [&str; 4] = ["", r"\", r"\\\", r"\\\\\\\"];

/// What a value says about the artifact that stood in its place. Only a display may believe it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reference {
    /// SHA-256 of the artifact's bytes.
    pub digest: Digest,
    /// The artifact's media type.
    pub content_type: String,
    /// The artifact's size, in bytes.
    pub size: u64,
    /// Where the artifact lies.
    pub uri: String,
}

impl Reference {
    /// One line: media type, size, beginning of the digest, and place.
    pub fn summary(&self) -> String {
        let digest = self.digest.to_string();
        format!(
            "artifact {} {} sha256 {}… {}",
            self.content_type,
            ByteSize::b(self.size),
            digest.get(..12).unwrap_or(&digest),
            self.uri
        )
    }

    fn parse(json: &str) -> Option<Self> {
        #[derive(Deserialize)]
        struct Wire {
            sha256: String,
            content_type: String,
            size_bytes: u64,
            uri: String,
        }
        let wire: Wire = serde_json::from_str(json).ok()?;
        Some(Self {
            digest: wire.sha256.parse().ok()?,
            content_type: wire.content_type,
            size: wire.size_bytes,
            uri: wire.uri,
        })
    }
}

/// `text` with [`PLACEHOLDER`] for each reference in it, and the references in their order.
///
/// A reference is found as the whole text, inside other text or JSON, and in JSON held by the
/// strings of other JSON.
pub fn replace_references(text: &str) -> (Cow<'_, str>, Vec<Reference>) {
    let mut replaced = String::new();
    let mut references = Vec::new();
    let mut rest = text;
    let mut searched = 0;
    while let Some(offset) = rest.get(searched..).and_then(|tail| tail.find('{')) {
        let start = searched + offset;
        let (before, candidate) = rest.split_at(start);
        let Some((reference, length)) = leading_reference(candidate) else {
            searched = start + 1;
            continue;
        };
        replaced.push_str(before);
        replaced.push_str(PLACEHOLDER);
        references.push(reference);
        rest = candidate.get(length..).unwrap_or_default();
        searched = 0;
    }
    if references.is_empty() {
        return (Cow::Borrowed(text), references);
    }
    replaced.push_str(rest);
    (Cow::Owned(replaced), references)
}

/// The reference that `text` begins with, and its length in `text`.
fn leading_reference(text: &str) -> Option<(Reference, usize)> {
    let depth = ESCAPES.iter().position(|escape| is_opening(text, escape))?;
    let window = text.get(..text.floor_char_boundary(LONGEST))?;
    window
        .match_indices('}')
        .take(MOST_BRACES)
        .find_map(|(brace, _)| {
            let end = brace + 1;
            let json = unescape(window.get(..end)?, depth)?;
            Some((Reference::parse(&json)?, end))
        })
}

/// Whether `text` begins with `{"type":"artifact",`, its quotation marks escaped so.
fn is_opening(text: &str, escape: &str) -> bool {
    ["type", ":", "artifact", ","]
        .into_iter()
        .try_fold(text.strip_prefix('{'), |rest, word| {
            let rest = rest?.strip_prefix(escape)?.strip_prefix('"')?;
            Some(rest.strip_prefix(word))
        })
        .flatten()
        .is_some()
}

/// `text` as it reads after being taken out of `depth` JSON strings.
fn unescape(text: &str, depth: usize) -> Option<Cow<'_, str>> {
    (0..depth).try_fold(Cow::Borrowed(text), |inner, _| {
        serde_json::from_str(&format!("\"{inner}\""))
            .ok()
            .map(Cow::Owned)
    })
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]

    use super::*;

    fn reference(uri: &str) -> String {
        format!(
            r#"{{"type":"artifact","sha256":"{}","content_type":"image/png","size_bytes":19763,"uri":"{uri}","encoding":"base64","prefix":"data:image/png;base64,"}}"#,
            Digest::of(b"abc")
        )
    }

    #[test]
    fn finds_a_reference_that_is_the_whole_text() {
        let text = reference("file:///blobs/ba/ba78.png");
        let (replaced, found) = replace_references(&text);
        assert_eq!(replaced, PLACEHOLDER);
        assert_eq!(
            found.first().unwrap().summary(),
            "artifact image/png 19.3 KiB sha256 ba7816bf8f01… file:///blobs/ba/ba78.png"
        );
    }

    #[test]
    fn finds_references_in_json_and_in_json_inside_json() {
        let mut nested = format!(
            r#"[{{"a":{}}},{{"b":{}}}]"#,
            reference("file:///1"),
            reference("file:///2")
        );
        let mut expected = format!(r#"[{{"a":{PLACEHOLDER}}},{{"b":{PLACEHOLDER}}}]"#);
        for _ in 0..ESCAPES.len() {
            let (replaced, found) = replace_references(&nested);
            assert_eq!(replaced, expected);
            assert_eq!(found.len(), 2, "{nested}");
            nested = serde_json::to_string(&nested).unwrap();
            expected = serde_json::to_string(&expected).unwrap();
        }
    }

    #[test]
    fn finds_a_reference_whose_uri_holds_a_brace() {
        let text = reference("file:///a}b");
        let (_, found) = replace_references(&text);
        assert_eq!(found.first().unwrap().uri, "file:///a}b");
    }

    #[test]
    fn leaves_what_only_looks_like_a_reference() {
        for text in [
            "{",
            "no reference",
            r#"{"type":"artifact"}"#,
            r#"{"type":"artifact","#,
            r#"{"type":"artifact","sha256":"ab","content_type":"a/b","size_bytes":1,"uri":"u"}"#,
            r#"{\"type":"artifact","sha256":1}"#,
        ] {
            let (replaced, found) = replace_references(text);
            assert_eq!(replaced, text);
            assert!(found.is_empty());
        }
    }
}
