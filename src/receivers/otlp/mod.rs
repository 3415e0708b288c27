//! The `otlp` receiver: where SDKs and collectors send to.

pub mod config;
mod grpc;

pub use grpc::GrpcReceiver;
