//! JSON text with data URIs as whole strings in it: chat messages, tool calls, request bodies.
//!
//! The text is not parsed: senders write NaN, lone surrogates and texts cut short, and parsing
//! costs more than everything else here. What stands around a string tells that it is a value.

use std::ops::Range;
use std::sync::LazyLock;

use memchr::{memchr2, memmem};

use super::{Candidate, Found, data_uri};

static DATA_URI: LazyLock<memmem::Finder<'static>> =
    LazyLock::new(|| memmem::Finder::new(b"\"data:"));

/// The data URIs that are string values of a JSON object or array.
pub(super) fn leaves(candidate: &Candidate<'_>) -> Option<Vec<Found>> {
    let text = candidate.content;
    if !matches!(text.trim_ascii_start().first(), Some(b'{' | b'[')) {
        return None;
    }
    let mut found = Vec::new();
    let mut from = 0;
    while let Some(at) = text.get(from..).and_then(|rest| DATA_URI.find(rest)) {
        let start = from + at;
        from = start + 1;
        if let Some(literal) = string_value(text, start) {
            from = literal.end;
            let uri = text.get(literal.start + 1..literal.end - 1);
            found.extend(
                uri.and_then(|uri| {
                    data_uri::find(uri, literal.clone(), candidate.policy.threshold)
                }),
            );
        }
    }
    Some(found)
}

/// The string literal that opens at `start`, quotes included, if it is a value (not a member's
/// name, not a part of another string) and is written without escapes.
fn string_value(text: &[u8], start: usize) -> Option<Range<usize>> {
    // In JSON nothing but these can stand before a value that is a string.
    let before = text.get(..start)?.trim_ascii_end().last()?;
    if !matches!(before, b'[' | b',' | b':') {
        return None;
    }
    let inner = text.get(start + 1..)?;
    let len = memchr2(b'"', b'\\', inner)?;
    if inner.get(len) != Some(&b'"') {
        return None;
    }
    let after = inner.get(len + 1..)?.trim_ascii_start().first()?;
    matches!(after, b',' | b']' | b'}').then_some(start..start + len + 2)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tells_values_from_names_and_from_text() {
        for (text, expected) in [
            (r#"["data:x"]"#, true),
            (r#"{"a": "data:x" }"#, true),
            (r#"{"a":1,"b":"data:x","c":2}"#, true),
            (r#"{"data:x":1}"#, false),
            (r#"{"a":1,"data:x":1}"#, false),
            (r#"["say \"data:x\" now"]"#, false),
            (r#"["data:image\/png"]"#, false),
            (r#"["data:x"#, false),
            (r#"["data:x" "y"]"#, false),
        ] {
            let start = text.find("\"data:").unwrap();
            let found = string_value(text.as_bytes(), start);
            assert_eq!(found.is_some(), expected, "{text}");
            if let Some(literal) = found {
                assert_eq!(&text[literal], "\"data:x\"");
            }
        }
    }
}
