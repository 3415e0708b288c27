//! The exporter for OTLP over gRPC.

pub mod config;
mod endpoint;
mod exporter;
mod keepalive;
mod naming;

pub use endpoint::{Endpoint, InvalidEndpoint, Place};
pub use exporter::{OtlpGrpcExporter, Prepared, SetupError};
