//! Where requests leave the pipeline.

pub mod dead_letters;
pub mod debug;
mod delivery;
mod departure;
#[cfg(test)]
mod doubts;
pub mod file;
mod fitting;
mod heard;
pub mod otlp_grpc;
pub mod otlp_http;
pub mod queue;
pub mod retry;
mod secrets;
mod terms;
mod wire;

use bytes::Bytes;
use slimspan_proto::Signal;
use tokio::time::Instant;

use crate::answer::Answer;
pub use crate::joining::Divided;
use crate::refusal::Refusal;
pub use delivery::{Delivery, DeliveryConfig, Way};
pub use departure::{Departure, Herald, Notice, Notices};
pub use queue::Load;
pub use terms::{Oversize, Terms};
pub use wire::Wire;
#[cfg(test)]
pub use wire::{Taker, faulty};

/// An exporter of any type.
#[derive(Debug)]
pub enum Exporter {
    /// One for OTLP, over whatever.
    Otlp(Box<Delivery>),
    /// `debug`
    Debug(debug::DebugExporter),
    /// `file`
    File(file::FileExporter),
}

impl Exporter {
    /// Sends an OTLP request on; returns the answer of whoever took it.
    pub async fn export(
        &self,
        signal: Signal,
        request: Bytes,
        terms: &Terms,
    ) -> Result<Answer, Refusal> {
        match self {
            Self::Otlp(delivery) => delivery.deliver(signal, request, terms).await,
            Self::Debug(exporter) => Ok(exporter.export(signal, request).into()),
            Self::File(exporter) => {
                // What the thread that writes was given, it writes.
                let leaving = terms.departure.begin();
                let outcome = exporter.export(signal, request, terms).await;
                leaving.ended(&outcome);
                outcome
            }
        }
    }

    /// So many items are handed back that it was not given, or not again.
    pub fn not_sent(&self, signal: Signal, items: usize) {
        match self {
            Self::Otlp(delivery) => delivery.not_sent(signal, items),
            Self::File(exporter) => exporter.not_sent(signal, items),
            // It refuses nothing.
            Self::Debug(_) => {}
        }
    }

    /// The component's id.
    pub fn id(&self) -> &str {
        match self {
            Self::Otlp(delivery) => delivery.id(),
            Self::Debug(exporter) => exporter.id(),
            Self::File(exporter) => exporter.id(),
        }
    }

    /// How much is in its queue, and how much can be, if it has one.
    pub fn load(&self) -> Option<Load> {
        match self {
            Self::Otlp(delivery) => delivery.load(),
            Self::Debug(_) | Self::File(_) => None,
        }
    }

    /// Whether it acknowledges what only this process has then.
    pub fn acknowledges_in_memory(&self) -> bool {
        match self {
            Self::Otlp(delivery) => delivery.acknowledges_in_memory(),
            Self::Debug(_) | Self::File(_) => false,
        }
    }

    /// Ends by `until`: what is acknowledged is delivered or kept.
    pub async fn end(&self, until: Instant) {
        match self {
            Self::Otlp(delivery) => delivery.end(until).await,
            Self::Debug(_) => {}
            Self::File(exporter) => exporter.end(until).await,
        }
    }
}
