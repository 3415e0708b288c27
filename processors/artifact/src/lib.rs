//! Takes files out of OTLP requests and puts them back.
//!
//! Bytes in, slim bytes and artifacts out: no clock, no I/O, no randomness. Content addressing
//! makes that possible, because a reference is known before anything is uploaded. The oracle of
//! it all is that `restore(extract(x)) == x`, byte for byte: what cannot be put back exactly is
//! not taken out.

#![cfg_attr(not(test), warn(clippy::indexing_slicing))]
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::panic))]

mod detect;
mod digest;
mod encoding;
mod extract;
mod extraction;
mod media_type;
mod pattern;
mod placement;
mod policy;
mod recall;
mod reference;
mod restore;
mod shape;
mod shapes;
mod value_path;

use bytes::Bytes;

pub use digest::{Digest, NotADigest};
pub use extract::{extract, extract_recalling, memory_of_texts};
pub use extraction::{Claim, Cut, Extraction, MOST_CLAIMS, Move};
pub use media_type::extension::media_type as media_type_of_extension;
pub use media_type::extension::of as extension_of_media_type;
pub use media_type::magic::any as media_type_of_bytes;
pub use pattern::Pattern;
pub use policy::{Action, BytesValues, Form, Location, MediaTypes, Policy, Rule};
pub use recall::{Facts, Fingerprint, Recall};
pub use reference::memory::memory_of_references;
pub use restore::{Restoration, Unrestored, references, restore, restore_within};
pub use shape::Shape;
pub use value_path::ValuePath;

/// A file that stood in a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Artifact {
    /// SHA-256 of `bytes`.
    pub digest: Digest,
    /// What the bytes show to be, else what the payload's own label says, else
    /// `application/octet-stream`.
    pub media_type: String,
    /// The file.
    pub bytes: Bytes,
}
