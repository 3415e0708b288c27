//! A string that is one run of base64 or base64url.
//!
//! Alphabet and length prove nothing: hex, identifiers, signatures and encrypted values have them
//! too. Only bytes that start like a file are one.

use super::{Candidate, Found};
use crate::encoding::{Base64Text, HEAD};
use crate::media_type;

pub(super) fn whole(candidate: &Candidate<'_>) -> Option<Vec<Found>> {
    let text = Base64Text::new(candidate.content)?;
    if text.decoded_len < candidate.policy.threshold {
        return None;
    }
    // Cheap and nearly always the end of it: most strings are no base64 and no file.
    media_type::distinctive(text.head(&mut [0; HEAD])?)?;
    let decoded = text.decode()?;
    let media_type = media_type::of(&decoded.bytes, None);
    Some(vec![Found::base64(
        0..candidate.content.len(),
        decoded,
        media_type,
    )])
}
