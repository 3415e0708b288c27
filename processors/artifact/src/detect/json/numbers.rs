//! Bytes that JavaScript wrote as an object or array of numbers.

use std::sync::LazyLock;

use memchr::memmem::Finder;

use crate::detect::Found;
use crate::encoding::Numbers;
use crate::{Digest, media_type};

static OPENINGS: LazyLock<[Finder<'static>; 2]> =
    LazyLock::new(|| Numbers::OPENINGS.map(Finder::new));

/// The byte arrays in `text`, in ascending order.
pub(super) fn files(text: &[u8], threshold: usize) -> Vec<Found> {
    let mut found: Vec<Found> = OPENINGS
        .iter()
        .flat_map(|opening| opening.find_iter(text))
        .filter_map(|start| {
            let numbers = Numbers::read(text.get(start..)?)?;
            (numbers.bytes.len() >= threshold).then(|| Found {
                range: start..start + numbers.len,
                digest: Digest::of(&numbers.bytes),
                media_type: media_type::of(&numbers.bytes, None),
                encoding: numbers.encoding,
                prefix: None,
                bytes: numbers.bytes.into(),
            })
        })
        .collect();
    found.sort_by_key(|file| file.range.start);
    found
}
