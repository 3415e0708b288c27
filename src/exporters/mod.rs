//! Where requests leave the pipeline.

pub mod debug;
pub mod otlp_grpc;
