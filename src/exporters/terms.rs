//! On what terms a request is handed to an exporter, and how it counts by them.

use std::sync::Arc;

use slimspan_proto::{Signal, count};
use tokio::time::Instant;

use super::departure::Departure;
use crate::client::Client;
use crate::joining::Divided;
use crate::refusal::Refusal;
use crate::tally::Tickets;
use crate::telemetry::traces::{Onward, Trace};
use crate::telemetry::{ExporterCounts, InFlight};
use crate::tenant::TenantId;

/// On what terms a request is handed to an exporter.
#[derive(Debug, Clone)]
pub struct Terms {
    /// Who sent it.
    pub client: Arc<Client>,
    /// Whose it is, where there are tenants: what is one's is joined with nobody else's.
    pub tenants: Arc<[TenantId]>,
    /// Whether it goes with no other request: what is odd in it must take nothing along.
    pub alone: bool,
    /// When its sender stops waiting.
    pub deadline: Instant,
    /// What becomes of an item that is too large.
    pub oversize: Oversize,
    /// What is done with it where it is refused.
    pub divided: Divided,
    /// For queues, which count what they hold by it.
    pub tickets: Tickets,
    /// For the spans of its stages.
    pub trace: Trace,
    /// What the backend hears of its trace, unless it has to wait in a queue.
    pub onward: Onward,
    /// For who has to know whether it may have left.
    pub departure: Departure,
}

/// What becomes of a single item that the backend refuses for its size.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Oversize {
    /// It is kept as a dead letter, and rejected.
    Kept,
    /// It is kept as a dead letter, and rejected. Where it cannot be kept, it is rejected and left to who has the
    /// request, and does not count as lost.
    Left,
    /// The request is refused: another time it may be smaller.
    Refused,
}

impl Terms {
    /// Counts there from now on what becomes of a request.
    pub(super) fn begin<'c>(
        &self,
        counts: &'c ExporterCounts,
        signal: Signal,
        request: &[u8],
    ) -> InFlight<'c> {
        let mut in_flight = counts.begin(signal, count(signal, request));
        if self.divided == Divided::InHalves {
            // Also where slimspan fails at it, of which nobody is told here.
            in_flight.goes_again();
        }
        in_flight
    }

    /// The backend took all of its items but so many, or refused it.
    pub(super) fn ended(&self, mut in_flight: InFlight<'_>, outcome: Result<u64, &Refusal>) {
        match outcome {
            Ok(rejected) => in_flight.sent_all_but(rejected),
            Err(refusal) if self.divided.goes_again(refusal) => in_flight.goes_again(),
            Err(_) => in_flight.failed(),
        }
    }
}
