//! Where requests leave the pipeline.

pub mod dead_letters;
pub mod debug;
mod delivery;
mod fitting;
pub mod otlp_grpc;
pub mod retry;

use bytes::Bytes;
use slimspan_proto::Signal;

use crate::answer::Answer;
use crate::refusal::Refusal;
pub use delivery::{Delivery, Oversize};
use retry::Patience;

/// An exporter of any type.
#[derive(Debug)]
pub enum Exporter {
    /// `otlp_grpc`
    OtlpGrpc(Box<Delivery>),
    /// `debug`
    Debug(debug::DebugExporter),
}

impl Exporter {
    /// Sends an OTLP request on; returns the answer of whoever took it.
    pub async fn export(
        &self,
        signal: Signal,
        request: Bytes,
        patience: Patience,
        oversize: Oversize,
    ) -> Result<Answer, Refusal> {
        match self {
            Self::OtlpGrpc(delivery) => delivery.deliver(signal, request, patience, oversize).await,
            Self::Debug(exporter) => Ok(exporter.export(signal, request).into()),
        }
    }
}
