//! Bytes that Python printed: `b'\x89PNG…'`, or the same without its quotes.
//!
//! Text without quotes is taken only where the bytes begin like a file: any text of ASCII is a
//! literal of itself.

use std::ops::Range;

use memchr::memchr;

use super::{Candidate, Found};
use crate::encoding::python;
use crate::{Digest, media_type};

/// A string that is one literal.
pub(super) fn whole(candidate: &Candidate<'_>) -> Option<Vec<Found>> {
    let content = candidate.content;
    let found = find(content, 0..content.len(), candidate.policy.threshold)?;
    Some(vec![found])
}

/// The artifact in the literal `text`, which stands for `range` of the value.
pub(super) fn find(text: &[u8], range: Range<usize>, threshold: usize) -> Option<Found> {
    if text.len() < threshold {
        return None;
    }
    // The first look costs next to nothing, and most strings are neither.
    let quoted = text.starts_with(b"b'") || text.starts_with(b"b\"");
    if !quoted {
        // No file is without bytes that Python escapes.
        memchr(b'\\', text)?;
        media_type::distinctive(&python::head(text))?;
    }
    let (bytes, encoding) = python::read(text)?;
    if !quoted && media_type::is_damaged(&bytes) {
        return None;
    }
    (bytes.len() >= threshold).then(|| Found {
        range,
        digest: Digest::of(&bytes),
        media_type: media_type::of(&bytes, None),
        encoding,
        prefix: None,
        bytes: bytes.into(),
    })
}
