//! A `bytes_value`: bytes are a file whatever they are.

use super::{Candidate, Found};
use crate::{Digest, Encoding, media_type};

pub(super) fn whole(candidate: &Candidate<'_>) -> Option<Vec<Found>> {
    let content = candidate.content;
    if content.len() < candidate.policy.threshold {
        return None;
    }
    Some(vec![Found {
        range: 0..content.len(),
        bytes: candidate.request.slice_ref(content),
        digest: Digest::of(content),
        media_type: media_type::of(content, None),
        encoding: Encoding::Bytes,
        prefix: None,
    }])
}
