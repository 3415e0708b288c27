//! Files back into the places of references.

mod originals;
mod texts;
mod unrestored;
mod values;

use bytes::Bytes;
use slimspan_proto::{Malformed, OnMalformed, Signal, Splice, Walk, walk};

use self::originals::Originals;
use self::values::Restorer;
use crate::extract::SHORTEST_REFERENCE;
use crate::reference::mention::Mentions;
use crate::{Digest, Location};

pub use self::unrestored::Unrestored;

/// What [`restore`] makes of a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Restoration {
    /// The request with artifacts in place of references.
    pub request: Bytes,
    /// How many references were replaced.
    pub restored: usize,
    /// The references that stay, because their artifacts could not be had.
    pub left: Vec<Unrestored>,
}

/// No request is larger: protobuf libraries refuse more.
const LARGEST: usize = 2 << 30;

/// Undoes [`extract`](crate::extract): puts the artifacts back where references stand, in whatever
/// form they are.
///
/// `location` is where the references point to: links to other places are nobody's references.
/// `fetch` gives the bytes of an artifact; they are checked against their digest, and what was
/// checked is not asked for again. What `extract` made comes back byte for byte. References whose
/// artifact cannot be had stay, and are listed; so do those behind which the request would be larger
/// than 2 GiB.
pub fn restore(
    signal: Signal,
    request: &Bytes,
    location: &Location,
    fetch: impl FnMut(Digest) -> Option<Bytes>,
) -> Result<Restoration, Malformed> {
    restore_within(LARGEST, signal, request, location, fetch)
}

/// The same for a request that may become at most so large, but for the lengths of messages around
/// what is put back, which may get longer. That is counted from its front to its back, with every
/// reference that is replaced taken off.
pub fn restore_within(
    largest: usize,
    signal: Signal,
    request: &Bytes,
    location: &Location,
    fetch: impl FnMut(Digest) -> Option<Bytes>,
) -> Result<Restoration, Malformed> {
    let mut restoration = Restoration {
        request: request.clone(),
        restored: 0,
        left: Vec::new(),
    };
    if let Some(changes) = changes(largest, signal, request, location, fetch)? {
        restoration.restored = changes.restored;
        restoration.left = changes.left;
        if !changes.splice.is_empty() {
            restoration.request = changes.splice.apply(request)?.into();
        }
    }
    Ok(restoration)
}

/// Calls `found` for every reference of a request whose artifact is wanted to restore it. Makes no
/// other request.
pub fn references(
    signal: Signal,
    request: &[u8],
    location: &Location,
    mut found: impl FnMut(Digest),
) -> Result<(), Malformed> {
    let fetch = |digest| {
        found(digest);
        None
    };
    changes(usize::MAX, signal, request, location, fetch).map(|_| ())
}

/// What restoring changes.
struct Changes {
    splice: Splice,
    restored: usize,
    left: Vec<Unrestored>,
}

/// None where there can be no reference.
fn changes(
    largest: usize,
    signal: Signal,
    request: &[u8],
    location: &Location,
    fetch: impl FnMut(Digest) -> Option<Bytes>,
) -> Result<Option<Changes>, Malformed> {
    let mentions = Mentions::of(location);
    // Metrics and profiles are never changed, so there is nothing to undo in them.
    if matches!(signal, Signal::Metrics | Signal::Profiles) || !mentions.any(request) {
        return Ok(None);
    }
    let mut restorer = Restorer {
        mentions: &mentions,
        originals: Originals::within(largest, request.len(), fetch),
    };
    // The same way through the request as the extractor's when it marks what it did not write.
    let everything = Walk {
        min_len: SHORTEST_REFERENCE,
        on_malformed: OnMalformed::StepOver,
    };
    let splice = walk(signal, request, everything, |value, edit| {
        restorer.visit(value, edit);
    })?;
    let Originals { restored, left, .. } = restorer.originals;
    Ok(Some(Changes {
        splice,
        restored,
        left,
    }))
}
