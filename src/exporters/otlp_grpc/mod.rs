//! The exporter for OTLP over gRPC.

pub mod config;
mod endpoint;

pub use endpoint::{Endpoint, InvalidEndpoint};
