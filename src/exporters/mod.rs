//! Where requests leave the pipeline.

pub mod debug;
pub mod otlp_grpc;
pub mod retry;

use bytes::Bytes;
use slimspan_proto::Signal;

use crate::answer::Answer;
use crate::refusal::Refusal;
use retry::Patience;

/// An exporter of any type.
#[derive(Debug)]
pub enum Exporter {
    /// `otlp_grpc`
    OtlpGrpc(Box<otlp_grpc::OtlpGrpcExporter>),
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
    ) -> Result<Answer, Refusal> {
        match self {
            Self::OtlpGrpc(exporter) => exporter.export(signal, request, patience).await,
            Self::Debug(exporter) => Ok(exporter.export(signal, request).into()),
        }
    }
}
