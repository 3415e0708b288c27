//! What stands in a request in place of an artifact, and how it is found there again.
//!
//! There are three ways to write one: a URI, an object as JSON text, and an object as a kvlist.
//! All carry the digest and the same token (see [`Written`]). What holds its bytes itself is none of them,
//! and found by what it holds them in: see [`inline`].

pub(crate) mod claim;
pub(crate) mod inline;
pub(crate) mod list;
pub(crate) mod memory;
pub(crate) mod mention;
pub(crate) mod object;
#[cfg(test)]
mod tests;
pub(crate) mod uri;

use crate::encoding::Written;
use crate::media_type::MediaType;
use crate::{Digest, Location};

/// What the type of a reference ends with that a sender wrote, and the folder of its URI.
const UNTRUSTED: &str = "untrusted";

/// All there is to say about an artifact in a request.
#[derive(Debug, Clone)]
pub(crate) struct Reference<'a> {
    pub(crate) digest: Digest,
    pub(crate) media_type: &'a MediaType,
    /// Decoded bytes.
    pub(crate) size: u64,
    pub(crate) file_name: Option<&'a str>,
    /// The beginning of a text.
    pub(crate) preview: Option<&'a str>,
    /// Where the bytes are, unless they are given up.
    pub(crate) location: Option<&'a Location>,
    pub(crate) written: &'a Written,
}

/// What a reference that was found says: enough to put the artifact back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Standing {
    pub(crate) digest: Digest,
    /// Whether the bytes were given up.
    pub(crate) dropped: bool,
    pub(crate) written: Written,
}
