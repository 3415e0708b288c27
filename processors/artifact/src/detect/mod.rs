//! Is this value an artifact? One file a shape, one table that lists them.

mod base64_run;
mod bytes;
mod data_uri;
mod json;
mod python_literal;

use std::ops::Range;

use ::bytes::Bytes;
use slimspan_proto::{Value, ValueKind};

use crate::encoding::Decoded;
use crate::{Digest, Encoding, Policy};

/// An artifact in a value.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Found {
    /// The part of the value's content that a reference can stand for.
    pub(crate) range: Range<usize>,
    pub(crate) bytes: Bytes,
    pub(crate) digest: Digest,
    pub(crate) media_type: String,
    pub(crate) encoding: Encoding,
    /// What stands before the base64 text: a data URI up to and including its comma.
    pub(crate) prefix: Option<String>,
}

/// Looks for the artifacts of one shape: `None` where the value has another shape, else the
/// artifacts in it in ascending order, which may be none.
type Shape = fn(&Candidate<'_>) -> Option<Vec<Found>>;

/// The shapes of strings, the surest first: the first that fits decides.
const STRINGS: [Shape; 4] = [
    data_uri::whole,
    json::files,
    base64_run::whole,
    python_literal::whole,
];

/// A value to judge.
pub(crate) struct Candidate<'a> {
    /// The request that the value is a part of.
    pub(crate) request: &'a Bytes,
    pub(crate) content: &'a [u8],
    pub(crate) policy: &'a Policy,
}

impl<'a> Candidate<'a> {
    /// The artifacts in `value`, in ascending order.
    pub(crate) fn artifacts(
        request: &'a Bytes,
        value: &Value<'a>,
        policy: &'a Policy,
    ) -> Vec<Found> {
        let candidate = Self {
            request,
            content: value.content,
            policy,
        };
        let found = match value.kind {
            ValueKind::Bytes => bytes::whole(&candidate),
            ValueKind::String => STRINGS.iter().find_map(|shape| shape(&candidate)),
            _ => None,
        };
        found.unwrap_or_default()
    }
}

impl Found {
    fn base64(range: Range<usize>, decoded: Decoded, media_type: String) -> Self {
        Self {
            range,
            bytes: decoded.bytes,
            digest: decoded.digest,
            media_type,
            encoding: decoded.encoding,
            prefix: None,
        }
    }
}
