//! Base64 or base64url, bare.
//!
//! Alphabet and length prove nothing: hex, identifiers, signatures and encrypted values have them
//! too. Only bytes that start like a file are one, or those that stand beside a media type.

use super::found::{Found, Payload};
use super::{About, Scanner, gate, runs};
use crate::encoding::{Base64Text, HEAD, Lines};
use crate::media_type::{is_text, magic};

/// A text that is base64 and nothing else, in one line or in lines of one width.
pub(super) fn whole(scanner: &mut Scanner<'_>, text: &[u8], about: &About) -> Option<Found> {
    if text.len() < scanner.base64_len() {
        return None;
    }
    let label = about.label.as_deref();
    // Cheap and nearly always the end of it: most texts are no base64 and no file.
    if !shows_file(text) && label.is_none() {
        return None;
    }
    let payload =
        match Base64Text::new(text).filter(|base64| base64.decoded_len >= scanner.threshold()) {
            Some(base64) => scanner.base64(base64),
            None => None,
        };
    let Some(payload) = payload.or_else(|| in_lines(scanner, text)) else {
        if runs::len(text) == text.len() {
            scanner.note_cut(text);
        }
        return None;
    };
    // Hex and other words are base64 as well, but not of text.
    let is_other = label.is_some_and(is_text) && !payload.content.is_utf8();
    if !scanner.is_whole(&payload.content) || is_other && !shows_file(text) {
        return None;
    }
    Some(Found::new(0..text.len(), payload, label))
}

/// Files in `text`, which is longer than they are, told by their magic numbers; `from` is where
/// to begin.
pub(super) fn within(scanner: &mut Scanner<'_>, text: &[u8]) -> Vec<Found> {
    let mut found = Vec::new();
    let min_len = scanner.base64_len().max(gate::WINDOW);
    let step = min_len.saturating_sub(gate::WINDOW).max(1);
    let mut seen = 0;
    let mut at = 0;
    while let Some(window) = text.get(at..at + gate::WINDOW) {
        if !window.iter().all(|byte| runs::is_digit(*byte)) {
            at += step;
            continue;
        }
        let start = at - runs::len_before(text, seen, at);
        let run = text.get(start..).unwrap_or_default();
        let run = run.get(..runs::len(run)).unwrap_or_default();
        // Padding ends base64. What goes on behind it is something else, all of it.
        let odd = text.get(start + run.len()..).unwrap_or_default();
        let odd = runs::padded_len(odd) * usize::from(run.ends_with(b"="));
        seen = start + run.len() + odd;
        at = seen.max(at + 1);
        if odd > 0 || !shows_file(run) {
            continue;
        }
        let base64 =
            Base64Text::new(run).filter(|base64| base64.decoded_len >= scanner.threshold());
        let ends_text = seen == text.len();
        let Some(payload) = base64.and_then(|base64| scanner.base64(base64)) else {
            if ends_text {
                scanner.note_cut(run);
            }
            continue;
        };
        if runs::is_in_url(text, start) || !scanner.is_whole_within(&payload.content, ends_text) {
            continue;
        }
        found.push(Found::new(start..seen, payload, None));
    }
    found
}

/// Whether the text begins like base64 of a file.
pub(super) fn shows_file(text: &[u8]) -> bool {
    let mut buffer = [0; HEAD];
    let head = Base64Text::head(text, &mut buffer);
    head.is_some_and(|head| magic::distinctive(head).is_some())
}

/// Reads base64 in lines of one width.
pub(super) fn in_lines(scanner: &Scanner<'_>, text: &[u8]) -> Option<Payload> {
    let first = text.get(..=Lines::MAX_WIDTH).unwrap_or(text);
    memchr::memchr(b'\n', first)?;
    let (joined, lines) = Lines::join(text)?;
    let base64 =
        Base64Text::new(&joined).filter(|base64| base64.decoded_len >= scanner.threshold())?;
    let mut payload = scanner.base64(base64)?;
    payload.lines = Some(lines);
    Some(payload)
}
