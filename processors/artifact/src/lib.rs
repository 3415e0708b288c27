//! Takes files out of OTLP requests and puts them back.
//!
//! Bytes in, slim bytes and artifacts out: no clock, no I/O, no randomness. Content addressing
//! makes that possible, because a reference is known before anything is uploaded.

mod digest;

use bytes::Bytes;

pub use digest::{Digest, NotADigest};

/// A file that stood in a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Artifact {
    /// SHA-256 of `bytes`.
    pub digest: Digest,
    /// What the bytes are, by their magic number, else by the payload's own label.
    pub media_type: String,
    /// The file.
    pub bytes: Bytes,
}

/// What the extractor moves, and how it refers to it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Policy {
    /// Smallest artifact that is moved, in decoded bytes.
    pub threshold: usize,
    /// What stands before `/<first two hex digits>/<digest>` in a reference's URI.
    pub uri_base: String,
}
