//! What references take while a request is restored: several times their length.

use memchr::memmem;

use super::inline;
use super::mention::{Mention, Mentions};
use crate::placement::Change;
use crate::{Location, Unrestored};

/// A list that grows has room for twice as many, beside those that it had before.
const GROWING: usize = 3;

/// The least that is allocated, with what the allocator needs.
const SMALL: usize = 32;

/// What one reference takes, while it is found, and left, or changed in its text and in the request.
const OF_ONE: usize = 2 * size_of::<Mention>()
    + GROWING * (size_of::<Unrestored>() + size_of::<Change>() + OF_EDIT)
    + 2 * SMALL;

/// What one change takes in a splice.
const OF_EDIT: usize = 64;

/// What stands before each character that a token says to write otherwise.
const ESCAPE: &[u8] = b"esc=";

// While it is sorted, what was found has its list and as much beside it as there is in it.
const _: () = assert!(OF_ONE >= GROWING * size_of::<Mention>());

/// The most memory that the references of a request take while it is restored, beside the request
/// and what is put back into it.
pub fn memory_of_references(request: &[u8], location: &Location) -> usize {
    let references = Mentions::of(location).at_most(request);
    if references == 0 {
        return 0;
    }
    let escapes = memmem::find_iter(request, ESCAPE).count();
    let escapes = escapes.saturating_mul(GROWING * size_of::<(u8, Vec<u8>)>() + SMALL);
    // What a token says at length, such as a prefix, is kept beside it, and is never longer than it is there.
    let said = request.len();
    // The same of the bytes that a text holds, which are decoded before they are put in its place.
    let held = match memmem::find(request, inline::STEM.as_bytes()) {
        Some(_) => request.len(),
        None => 0,
    };
    let all = references.saturating_mul(OF_ONE);
    let texts = said.saturating_add(held);
    all.saturating_add(escapes).saturating_add(texts)
}
