//! Where telemetry comes in.

mod connections;
pub mod otlp;
