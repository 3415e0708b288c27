//! OTLP over HTTP: what is true of gRPC is true of it, and what only HTTP can do wrong has its answer.

mod agreement;
mod answers;
pub(super) mod bodies;
mod connections;
mod cors;
mod json;
mod life;
mod secrets;
