use bytes::Bytes;

use slimspan_proto::Carrier;

use crate::{Artifact, Digest, Facts, Fingerprint, Shape, ValuePath};

/// What [`extract`](crate::extract) makes of a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Extraction {
    /// The request with references in place of artifacts; the very same bytes if there are none.
    pub request: Bytes,
    /// The artifacts in the order of the request, each once.
    pub artifacts: Vec<Artifact>,
    /// Artifacts that were recalled, each once: they have to be stored already, and their bytes are
    /// not among `artifacts`.
    pub recalled: Vec<Digest>,
    /// What can be recalled next time, once the artifacts are stored.
    pub learned: Vec<(Fingerprint, Facts)>,
    /// What was replaced, in the order of the request; at least as much as there are artifacts
    /// and recalled ones.
    pub moves: Vec<Move>,
    /// Values that are the beginning of a file in base64, cut before they came here. They stay.
    pub truncated: usize,
    /// Where these are.
    pub cuts: Vec<Cut>,
    /// Files that are something else than their senders say.
    pub mislabelled: usize,
    /// Texts that were moved whole.
    pub texts: usize,
    /// References that the sender wrote itself. They were marked.
    pub untrusted: usize,
    /// Files that the sender says it stores itself: the first [`MOST_CLAIMS`] of them.
    pub claims: Vec<Claim>,
}

/// So many claims are kept of one request: each is short, and what is to be told of it is not.
pub const MOST_CLAIMS: usize = 1_024;

/// A value, or part of one, that a reference stands for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Move {
    /// The key of the attribute, or its first 255 bytes; `(body)` for the body of a log record.
    pub attribute: String,
    /// How it stood there.
    pub shape: Shape,
    /// What the sender says the file is, else what it shows to be.
    pub media_type: String,
    /// SHA-256 of the file.
    pub digest: Digest,
    /// Decoded bytes.
    pub size: usize,
    /// Bytes that it took in the request.
    pub before: usize,
    /// Bytes that its reference takes.
    pub after: usize,
    /// Whether its bytes are kept; else they are given up.
    pub stored: bool,
    /// What the attribute belongs to.
    pub carrier: Carrier,
    /// Where the value stands in the request as it came.
    pub at: usize,
    /// Where the file stands in the value, where that is JSON text.
    pub path: ValuePath,
    /// What the bytes show to be, where the sender says something else.
    pub proven: Option<String>,
    /// What the payload calls the file, if it does.
    pub file_name: Option<String>,
}

/// A value that is the beginning of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cut {
    /// The key of the attribute, or its first 255 bytes; `(body)` for the body of a log record.
    pub attribute: String,
    /// What the attribute belongs to.
    pub carrier: Carrier,
    /// Where the value stands in the request.
    pub at: usize,
    /// The bytes of the value.
    pub size: usize,
}

/// A value by which a sender refers to a file that it stores itself, as `logfire.Artifact` does. It goes on as it came,
/// and nothing that it says is known to be true.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claim {
    /// The key of the attribute, or its first 255 bytes; `(body)` for the body of a log record.
    pub attribute: String,
    /// What the attribute belongs to.
    pub carrier: Carrier,
    /// Where the value stands in the request.
    pub at: usize,
    /// SHA-256 of the file.
    pub digest: Digest,
    /// What the file is.
    pub media_type: String,
    /// Its bytes.
    pub size: u64,
    /// What it is called, if it is.
    pub file_name: Option<String>,
}

impl Extraction {
    /// Of a request that stays as it is.
    pub(crate) fn untouched(request: &Bytes) -> Self {
        Self {
            request: request.clone(),
            artifacts: Vec::new(),
            recalled: Vec::new(),
            learned: Vec::new(),
            moves: Vec::new(),
            truncated: 0,
            cuts: Vec::new(),
            mislabelled: 0,
            texts: 0,
            untrusted: 0,
            claims: Vec::new(),
        }
    }
}
