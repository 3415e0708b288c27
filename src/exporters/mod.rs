//! Where telemetry goes on to.

pub mod debug;
pub mod otlp_grpc;
