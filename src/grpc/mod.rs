//! Unary gRPC over HTTP/2 with messages that stay bytes: what the receiver and the exporter share.

pub mod message;
