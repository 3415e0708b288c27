//! References that are objects in JSON text.

use std::borrow::Cow;

use serde::Deserialize;

use super::Reference;

/// A reference is shorter than this wherever it stands, so a search for its end stops here.
const LONGEST: usize = 8 << 10;

/// How many closing braces are tried as the end of a reference: its strings may hold some.
const MOST_BRACES: usize = 16;

/// Backslashes before a quotation mark of JSON text that stands zero to three times in a JSON
/// string.
const ESCAPES: [&str; 4] = ["", r"\", r"\\\", r"\\\\\\\"];

/// What references call themselves.
const TYPES: [&str; 2] = ["artifact", "logfire.artifact"];

/// The reference that `text`, which begins with a brace, begins with, and its length in `text`.
pub(super) fn leading(text: &str) -> Option<(Reference, usize)> {
    let depth = ESCAPES.iter().position(|escape| is_opening(text, escape))?;
    let window = text.get(..text.floor_char_boundary(LONGEST))?;
    if depth == 0 {
        let mut documents = serde_json::Deserializer::from_str(window).into_iter();
        let reference = read(documents.next()?.ok()?)?;
        return Some((reference, documents.byte_offset()));
    }
    window
        .match_indices('}')
        .take(MOST_BRACES)
        .find_map(|(brace, _)| {
            let end = brace + 1;
            let json = unescape(window.get(..end)?, depth)?;
            Some((read(serde_json::from_str(&json).ok()?)?, end))
        })
}

/// Whether `text` begins with `{"type":"artifact",`, its quotation marks escaped so.
fn is_opening(text: &str, escape: &str) -> bool {
    let is_of_type = |kind: &str| {
        ["type", ":", kind, ","]
            .into_iter()
            .try_fold(text.strip_prefix('{'), |rest, word| {
                let rest = rest?.strip_prefix(escape)?.strip_prefix('"')?;
                Some(rest.strip_prefix(word))
            })
            .flatten()
            .is_some()
    };
    TYPES.into_iter().any(is_of_type)
}

#[derive(Deserialize)]
struct Wire {
    sha256: String,
    content_type: String,
    size_bytes: u64,
    preview: Option<String>,
    uri: Option<String>,
}

fn read(wire: Wire) -> Option<Reference> {
    Some(Reference {
        digest: wire.sha256.parse().ok()?,
        content_type: Some(wire.content_type),
        size: Some(wire.size_bytes),
        preview: wire.preview,
        uri: wire.uri,
    })
}

/// `text` as it reads after being taken out of `depth` JSON strings.
fn unescape(text: &str, depth: usize) -> Option<Cow<'_, str>> {
    (0..depth).try_fold(Cow::Borrowed(text), |inner, _| {
        serde_json::from_str(&format!("\"{inner}\""))
            .ok()
            .map(Cow::Owned)
    })
}
