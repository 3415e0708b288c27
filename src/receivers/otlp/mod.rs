//! The `otlp` receiver: where SDKs and collectors send to.

pub mod config;
mod grpc;
mod metadata;

pub use grpc::GrpcReceiver;
