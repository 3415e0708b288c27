//! What speaks OTLP to a backend. All that matters beyond one attempt is the same for each:
//! retries, parts, queues and dead letters.

use std::fmt;
use std::time::Duration;

use bytes::Bytes;
use slimspan_proto::Signal;

use super::otlp_grpc::{self, OtlpGrpcExporter};
use super::otlp_http::{self, OtlpHttpExporter};
use crate::answer::Answer;
use crate::auth::Credentials;
use crate::refusal::Refusal;
use crate::telemetry::traces::Onward;

/// What makes single attempts to deliver a request.
#[derive(Debug)]
pub enum Wire {
    /// OTLP/gRPC
    Grpc(OtlpGrpcExporter),
    /// OTLP/HTTP
    Http(OtlpHttpExporter),
}

/// A request as it goes over the wire, to be sent once or more.
#[derive(Debug)]
pub(super) enum Prepared<'w> {
    Grpc(&'w OtlpGrpcExporter, otlp_grpc::Prepared),
    Http(&'w OtlpHttpExporter, otlp_http::Prepared),
}

impl Wire {
    /// Encodes and compresses a request.
    pub(super) async fn prepare(
        &self,
        signal: Signal,
        request: Bytes,
    ) -> Result<Prepared<'_>, Refusal> {
        Ok(match self {
            Self::Grpc(grpc) => Prepared::Grpc(grpc, grpc.prepare(signal, request).await?),
            Self::Http(http) => Prepared::Http(http, http.prepare(signal, request).await?),
        })
    }
}

impl Prepared<'_> {
    /// Sends it once, and waits no longer than `left`; returns the backend's answer.
    pub(super) async fn send(
        &self,
        credentials: Credentials<'_>,
        onward: &Onward,
        left: Option<Duration>,
    ) -> Result<Answer, Refusal> {
        match self {
            Self::Grpc(grpc, prepared) => grpc.send(prepared, credentials, onward, left).await,
            Self::Http(http, prepared) => http.send(prepared, credentials, onward, left).await,
        }
    }
}

impl From<OtlpHttpExporter> for Wire {
    fn from(exporter: OtlpHttpExporter) -> Self {
        Self::Http(exporter)
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
            Self::Http(http) => write!(f, "OTLP/HTTP to {http}"),
        }
    }
}
