//! Data URIs (RFC 2397) with a base64 payload.

use std::ops::Range;

use memchr::memchr;

use super::{Candidate, Found};
use crate::encoding::Base64Text;
use crate::media_type;

/// Everything up to and including the comma. Longer ones are nobody's, and would make references
/// that are not small.
const MAX_PREFIX: usize = 256;

const SCHEME: &[u8] = b"data:";

/// A string that is one data URI.
pub(super) fn whole(candidate: &Candidate<'_>) -> Option<Vec<Found>> {
    let content = candidate.content;
    if !starts(content) {
        return None;
    }
    Some(Vec::from_iter(find(
        content,
        0..content.len(),
        candidate.policy.threshold,
    )))
}

/// Whether `text` starts like a data URI.
pub(super) fn starts(text: &[u8]) -> bool {
    text.get(..SCHEME.len())
        .is_some_and(|scheme| scheme.eq_ignore_ascii_case(SCHEME))
}

/// The artifact in the data URI `uri`, which stands for `range` of the value.
pub(super) fn find(uri: &[u8], range: Range<usize>, threshold: usize) -> Option<Found> {
    let (prefix, media_type) = prefix(uri)?;
    let text = Base64Text::new(uri.get(prefix.len()..)?)?;
    if text.decoded_len < threshold {
        return None;
    }
    let decoded = text.decode()?;
    let media_type = media_type::of(&decoded.bytes, Some(media_type));
    let mut found = Found::base64(range, decoded, media_type);
    found.prefix = Some(prefix.to_owned());
    Some(found)
}

/// The part before the payload and the media type in it, where `;base64` stands once, at its end.
fn prefix(uri: &[u8]) -> Option<(&str, &str)> {
    let head = uri.get(..MAX_PREFIX).unwrap_or(uri);
    let comma = memchr(b',', head)?;
    let prefix = head.get(..=comma)?;
    let plain = |c: &u8| c.is_ascii_graphic() && !matches!(c, b'"' | b'\\');
    if !prefix.iter().all(plain) {
        return None;
    }
    let prefix = std::str::from_utf8(prefix).ok()?;
    let header = prefix.get(SCHEME.len()..comma)?;
    let (media_type, marker) = header.rsplit_once(';')?;
    let is_base64 = |parameter: &str| parameter.eq_ignore_ascii_case("base64");
    let mut parameters = media_type.split(';');
    let media_type = parameters.next()?;
    (is_base64(marker) && !parameters.any(is_base64)).then_some((prefix, media_type))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_the_media_type_before_parameters() {
        for (uri, expected) in [
            ("data:image/png;base64,AA", Some("image/png")),
            ("DATA:Image/PNG;BASE64,AA", Some("Image/PNG")),
            (
                "data:text/plain;charset=utf-8;base64,AA",
                Some("text/plain"),
            ),
            ("data:;base64,AA", Some("")),
            ("data:image/png;base64;base64,AA", None),
            ("data:image/png;base64;charset=x,AA", None),
            ("data:image/svg+xml,%3Csvg", None),
            ("data:,hello", None),
            ("data:image/png;base64", None),
            ("data:a\"b/c;base64,AA", None),
            ("data:a b/c;base64,AA", None),
        ] {
            let found = prefix(uri.as_bytes()).map(|(_, media_type)| media_type);
            assert_eq!(found, expected, "{uri}");
        }
    }

    #[test]
    fn a_prefix_has_an_end() {
        let uri = |len: usize| format!("data:{};base64,", "x".repeat(len - 13));
        assert!(prefix(uri(MAX_PREFIX).as_bytes()).is_some());
        assert!(prefix(uri(MAX_PREFIX + 1).as_bytes()).is_none());
    }
}
