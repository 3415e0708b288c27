//! Bytes that Python printed: `b'\x89PNG…'`, or the same without its quotes.
//!
//! Text without quotes is taken only where the bytes begin like a file: any text of ASCII is a
//! literal of itself. A literal of base64 is the base64 in it.

use memchr::{memchr, memmem};

use super::found::Found;
use super::{About, Scanner, base64_run, runs};
use crate::encoding::python;
use crate::media_type::magic;

/// A text that is one literal.
pub(super) fn whole(scanner: &mut Scanner<'_>, text: &[u8], _about: &About) -> Option<Found> {
    if text.len() < scanner.threshold() {
        return None;
    }
    // The first look costs next to nothing, and most strings are neither.
    let quoted = text.starts_with(b"b'") || text.starts_with(b"b\"");
    if quoted {
        let found = quoted_literal(scanner, text, 0)?;
        let is_all = found.range == (0..text.len());
        return is_all.then_some(found);
    }
    // No file is without bytes that Python escapes.
    memchr(b'\\', text)?;
    magic::distinctive(&python::head(text))?;
    let payload = scanner.python(text)?;
    if payload.content.is_damaged() || payload.content.size < scanner.threshold() {
        return None;
    }
    Some(Found::new(0..text.len(), payload, None))
}

/// The literals in `text`, which is longer than they are.
pub(super) fn within(scanner: &mut Scanner<'_>, text: &[u8]) -> Vec<Found> {
    let mut found: Vec<Found> = Vec::new();
    let mut end = 0;
    // A quote that is missing behind one literal is missing behind the next.
    let mut open_ended = [false; 2];
    for at in memmem::find_iter(text, b"b") {
        let quote = text.get(at + 1).copied();
        let which = usize::from(quote == Some(b'"'));
        let before = at.checked_sub(1).and_then(|before| text.get(before));
        if at < end
            || !matches!(quote, Some(b'\'' | b'"'))
            || before.is_some_and(|c| c.is_ascii_alphanumeric() || matches!(c, b'_' | b'\\'))
            || open_ended.get(which) == Some(&true)
        {
            continue;
        }
        if closing(text, at).is_none() {
            if let Some(open_ended) = open_ended.get_mut(which) {
                *open_ended = true;
            }
            continue;
        }
        if let Some(one) = quoted_literal(scanner, text, at) {
            end = one.range.end;
            found.push(one);
        }
    }
    found
}

/// The literal of bytes that starts at `at`, or the base64 in it.
fn quoted_literal(scanner: &Scanner<'_>, text: &[u8], at: usize) -> Option<Found> {
    let end = closing(text, at)?;
    let literal = text.get(at..end)?;
    if literal.len() < scanner.threshold() {
        return None;
    }
    let inner = literal.get(2..literal.len() - 1)?;
    if runs::len(inner) == inner.len() {
        // Letters and digits alone are text that was bytes, and no file but in base64.
        return base64_in(scanner, inner, at + 2);
    }
    let payload = scanner.python(literal)?;
    if payload.content.size < scanner.threshold() {
        return None;
    }
    Some(Found::new(at..end, payload, None))
}

fn base64_in(scanner: &Scanner<'_>, text: &[u8], at: usize) -> Option<Found> {
    if !base64_run::shows_file(text) {
        return None;
    }
    let base64 = crate::encoding::Base64Text::new(text)?;
    if base64.decoded_len < scanner.threshold() {
        return None;
    }
    let payload = scanner.base64(base64)?;
    Some(Found::new(at..at + text.len(), payload, None))
}

/// Where the literal ends that starts at `at`.
fn closing(text: &[u8], at: usize) -> Option<usize> {
    let quote = *text.get(at + 1)?;
    let mut from = at + 2;
    loop {
        let found = from + memchr(quote, text.get(from..)?)?;
        let inside = text.get(at + 2..found)?;
        let backslashes = inside.iter().rev().take_while(|c| **c == b'\\').count();
        if backslashes.is_multiple_of(2) {
            return Some(found + 1);
        }
        from = found + 1;
    }
}
