//! What speaks OTLP to a backend. All that matters beyond one attempt is the same for each:
//! retries, parts, queues and dead letters.

use std::fmt;
use std::time::Duration;

use bytes::Bytes;
use slimspan_proto::Signal;

use super::otlp_grpc::{self, OtlpGrpcExporter};
use crate::answer::Answer;
use crate::auth::Credentials;
use crate::refusal::Refusal;

/// What makes single attempts to deliver a request.
#[derive(Debug)]
pub enum Wire {
    /// OTLP/gRPC
    Grpc(OtlpGrpcExporter),
}

/// A request as it goes over the wire, to be sent once or more.
#[derive(Debug)]
pub(super) enum Prepared {
    Grpc(otlp_grpc::Prepared),
}

impl Wire {
    /// Encodes and compresses a request.
    pub(super) async fn prepare(
        &self,
        signal: Signal,
        request: Bytes,
    ) -> Result<Prepared, Refusal> {
        match self {
            Self::Grpc(grpc) => grpc.prepare(signal, request).await.map(Prepared::Grpc),
        }
    }

    /// Sends a request once, and waits no longer than `left`; returns the backend's answer.
    pub(super) async fn send(
        &self,
        prepared: &Prepared,
        credentials: Credentials<'_>,
        left: Option<Duration>,
    ) -> Result<Answer, Refusal> {
        match (self, prepared) {
            (Self::Grpc(grpc), Prepared::Grpc(prepared)) => {
                grpc.send(prepared, credentials, left).await
            }
        }
    }
}

impl From<OtlpGrpcExporter> for Wire {
    fn from(exporter: OtlpGrpcExporter) -> Self {
        Self::Grpc(exporter)
    }
}

/// Protocol and address, for people.
impl fmt::Display for Wire {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Grpc(grpc) => write!(f, "OTLP/gRPC to {grpc}"),
        }
    }
}
