//! JSON text with files in strings of it: chat messages, tool calls, request bodies.
//!
//! The text is not parsed into values: senders write NaN, lone surrogates and texts cut short,
//! and parsing costs more than everything else here. It is looked through for the strings in it,
//! and for what stands beside a string in its object.

mod gate;
mod labels;
mod leaves;
mod string;

use super::{Candidate, Found, data_uri, python_literal};
use crate::encoding::{Base64Text, HEAD, Numbers};
use crate::{Digest, media_type};
use leaves::{Leaf, Leaves};

/// The strings of a JSON object or array that hold a file.
pub(super) fn files(candidate: &Candidate<'_>) -> Option<Vec<Found>> {
    let text = candidate.content;
    if !matches!(text.trim_ascii_start().first(), Some(b'{' | b'[')) {
        return None;
    }
    let threshold = candidate.policy.threshold;
    let base64_len = threshold.div_ceil(3) * 4 - 2;
    if !gate::may_hold_file(text, base64_len) {
        return Some(Vec::new());
    }
    let mut leaves = Leaves::of(text, threshold.min(base64_len));
    let numbers = leaves.take_numbers().into_iter();
    let mut files: Vec<Found> = numbers
        .filter(|(_, numbers)| numbers.bytes.len() >= threshold)
        .map(|(start, numbers)| byte_array(start, numbers))
        .collect();
    let strings = leaves.iter();
    files.extend(strings.filter_map(|leaf| file(text, &leaves, leaf, threshold)));
    files.sort_by_key(|file| file.range.start);
    Some(files)
}

/// Bytes that JavaScript wrote as an object or array of numbers.
fn byte_array(start: usize, numbers: Numbers) -> Found {
    Found {
        range: start..start + numbers.len,
        digest: Digest::of(&numbers.bytes),
        media_type: media_type::of(&numbers.bytes, None),
        encoding: numbers.encoding,
        prefix: None,
        bytes: numbers.bytes.into(),
    }
}

fn file(text: &[u8], leaves: &Leaves, leaf: &Leaf, threshold: usize) -> Option<Found> {
    let content = text.get(leaf.content())?;
    if leaf.escaped {
        // Only texts of backslashes are written like this; base64 that is, is left alone.
        return python_literal::find(&string::unescape(content)?, leaf.literal.clone(), threshold);
    }
    if data_uri::starts(content) {
        return data_uri::find(content, leaf.literal.clone(), threshold);
    }
    let base64 = Base64Text::new(content)?;
    if base64.decoded_len < threshold {
        return None;
    }
    let key = text.get(leaf.key.clone())?;
    let label = leaves.label(text, leaf);
    if labels::is_secret(key, leaves.part_type(text, leaf)) {
        return None;
    }
    // Random bytes are keys and signatures more often than files: something has to say that this
    // is one.
    if label.is_none() {
        media_type::distinctive(base64.head(&mut [0; HEAD])?)?;
    }
    let decoded = base64.decode()?;
    let media_type = media_type::of(&decoded.bytes, label.as_deref());
    Some(Found::base64(leaf.literal.clone(), decoded, media_type))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use bytes::Bytes;

    use super::*;
    use crate::Policy;

    /// Media types of the files in `text`, in which `%` is base64 of bytes without a magic number
    /// and `@` is base64 of a picture.
    fn media_types(text: &str) -> Vec<String> {
        let plain = "A".repeat(400);
        let picture = format!("iVBORw0KGgoA{}", "A".repeat(400));
        let text = text.replace('%', &plain).replace('@', &picture);
        let request = Bytes::new();
        let policy = Policy {
            threshold: 100,
            uri_base: String::new(),
            dropped: BTreeSet::new(),
        };
        let candidate = Candidate {
            request: &request,
            content: text.as_bytes(),
            policy: &policy,
        };
        let found = files(&candidate).unwrap_or_default();
        for file in &found {
            let literal = &text[file.range.clone()];
            assert!(
                literal.starts_with('"') && literal.ends_with('"'),
                "{literal}"
            );
        }
        found.into_iter().map(|file| file.media_type).collect()
    }

    #[test]
    fn base64_needs_a_label_beside_it_or_a_magic_number() {
        for (text, expected) in [
            (r#"["@"]"#, vec!["image/png"]),
            (r#"{"data":"@"}"#, vec!["image/png"]),
            (r#"{"data":"%"}"#, vec![]),
            (r#"{"data":"%","mime_type":"audio/wav"}"#, vec!["audio/wav"]),
            (
                r#"{"mediaType" : "audio/wav" , "data" : "%"}"#,
                vec!["audio/wav"],
            ),
            (r#"{"data":"%","format":"mp3"}"#, vec!["audio/mpeg"]),
            (r#"{"data":"%","format":"anthropic-claude-v1"}"#, vec![]),
            (r#"{"data":"%","mime_type":null}"#, vec![]),
            (r#"{"data":"%","mime_type":"no type"}"#, vec![]),
            (r#"{"mime_type":"audio/wav","part":{"data":"%"}}"#, vec![]),
            (r#"{"part":{"mime_type":"audio/wav"},"data":"%"}"#, vec![]),
            (r#"[{"mime_type":"audio/wav"},{"data":"%"}]"#, vec![]),
            (
                r#"{"data":[{"b64_json":"%"}],"output_format":"png"}"#,
                vec!["image/png"],
            ),
            (
                r#"{"b64_json":"%","output_format":"webp"}"#,
                vec!["image/webp"],
            ),
            (r#"{"data":[{"raw":"%"}],"output_format":"png"}"#, vec![]),
        ] {
            assert_eq!(media_types(text), expected, "{text}");
        }
    }

    #[test]
    fn secrets_stay_whatever_stands_beside_them() {
        for key in [
            "signature",
            "thought_signature",
            "thoughtSignature",
            "encrypted_content",
            "encryptedContent",
            "embedding",
            "vector",
            "authorization",
            "access_token",
        ] {
            let text = format!(r#"{{"{key}":"@","mime_type":"image/png"}}"#);
            assert_eq!(media_types(&text), [""; 0], "{key}");
        }
        let text = r#"{"type":"redacted_thinking","data":"@"}"#;
        assert_eq!(media_types(text), [""; 0]);
        let text = r#"{"data":"@","type":"redacted_thinking"}"#;
        assert_eq!(media_types(text), [""; 0]);
    }

    #[test]
    fn text_that_is_cut_or_odd_is_read_as_far_as_it_goes() {
        for (text, expected) in [
            (r#"[NaN, "@", Infinity, -1e5, "\ud83d", "@"]"#, 2),
            (r#"["@", "@"#, 1),
            (r#"{"a":"@""#, 1),
            (r#"["@" "#, 1),
            (r#"{"@":1}"#, 0),
            (r#"["x\"","@"]"#, 1),
            (r#"["\\","@"]"#, 1),
            (r#"["\\\"@"]"#, 0),
            ("{\"a\":1}\n{\"a\":\"@\"}\n", 1),
            (r#"]]]}}}["@"]"#, 0),
            (r#"["data:image/png;base64,@","data:;base64,%"]"#, 2),
            (
                r#"{"data:image/png;base64,@":"data:image/png;base64,@"}"#,
                1,
            ),
        ] {
            assert_eq!(media_types(text).len(), expected, "{text}");
        }
    }
}
