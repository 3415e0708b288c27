//! The requests of which a batch is made.

use std::sync::Arc;

use tokio::sync::oneshot;

use crate::admission::Lease;
use crate::answer::Answer;
use crate::exporters::{Divided, Terms};
use crate::pipeline::artifacts::Recording;
use crate::pipeline::fan_out::Outgoing;
use crate::pipeline::tenancy::InFlight;
use crate::refusal::Refusal;
use crate::tenant::TenantId;

/// The request of one sender.
#[derive(Debug)]
pub(super) struct Part {
    pub(super) outgoing: Outgoing,
    pub(super) items: usize,
    /// With what is known of the sender that all of a batch have in common.
    pub(super) terms: Terms,
    pub(super) reply: oneshot::Sender<Result<Answer, Refusal>>,
    /// It outlives its sender's call.
    pub(super) _held: Held,
}

/// What a request takes as long as it waits for others, or is sent with them.
#[derive(Debug)]
pub(in crate::pipeline) struct Held {
    pub(super) tenants: Vec<TenantId>,
    _in_flight: Arc<[InFlight]>,
    _lease: Option<Lease>,
    /// It is let go of when the request has ended, and written down then if nobody else does it.
    _recording: Option<Arc<Recording>>,
}

impl Held {
    /// Whose it is, where there are tenants, and what these have under way; the lease of bytes that are not
    /// the ones that came, which have one themselves; and what the catalog is to be told.
    pub(in crate::pipeline) fn new(
        tenants: Vec<TenantId>,
        in_flight: Arc<[InFlight]>,
        lease: Option<Lease>,
        recording: Option<Arc<Recording>>,
    ) -> Self {
        Self {
            tenants,
            _in_flight: in_flight,
            _lease: lease,
            _recording: recording,
        }
    }
}

/// Requests that go as one.
pub(super) struct Group {
    pub(super) parts: Vec<Part>,
    /// For the copy that joins them.
    pub(super) lease: Lease,
}

impl Group {
    /// Whether it may be written with this one, too. One that goes alone is not copied.
    pub(super) fn has_memory_for(&mut self, part: &Part) -> bool {
        let first = match self.parts.as_slice() {
            [first] => first.outgoing.len_of_all(),
            _ => 0,
        };
        let more = first + part.outgoing.len_of_all();
        self.lease.try_charge(more).is_ok()
    }
}

/// Requests as one. Only one that goes alone is not copied.
pub(super) fn joined(group: &[Part]) -> Outgoing {
    Outgoing::joined(group.iter().map(|part| part.outgoing.clone()))
}

/// What is done with a group that is refused.
pub(super) fn divided(group: &[Part]) -> Divided {
    if group.len() > 1 {
        Divided::InHalves
    } else {
        Divided::Never
    }
}
