use std::collections::BTreeSet;

use crate::Digest;

/// What the extractor moves, and how it refers to it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Policy {
    /// Smallest artifact that is moved, in decoded bytes.
    pub threshold: usize,
    /// What stands before `/<first two hex digits>/<digest>` in a reference's URI.
    pub uri_base: String,
    /// Artifacts whose bytes are given up: their references say so and carry no URI.
    pub dropped: BTreeSet<Digest>,
}

impl Policy {
    /// Where the artifact is to be found, unless its bytes are given up.
    pub fn uri(&self, digest: Digest) -> Option<String> {
        if self.dropped.contains(&digest) {
            return None;
        }
        let hex = digest.to_string();
        let shard = hex.get(..2).unwrap_or_default();
        Some(format!("{}/{shard}/{hex}", self.uri_base))
    }
}
