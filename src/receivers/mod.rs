//! Where telemetry comes in.

mod connections;
mod http2;
pub mod otlp;
