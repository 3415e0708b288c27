//! The `otlp` receiver: where SDKs and collectors send to.

pub mod config;
mod grpc;
mod http;
mod intake;
mod keepalive;
mod metadata;

pub use grpc::{ALPN as GRPC_ALPN, GrpcReceiver};
pub use http::{ALPN as HTTP_ALPN, HttpReceiver};
pub(crate) use http::{ContentCoding, Form, coding};
