//! Spans of slimspan about the requests that it takes.
//!
//! A request has one span, with another below it for each stage that takes time. They hold ids of the
//! configuration, numbers, and words of fixed lists; never a word of what was sent. Nothing waits for
//! them: where nobody takes them as fast as they come, they are dropped and counted.

pub mod config;
mod context;
mod recording;
mod sampling;
#[cfg(test)]
mod tests;
mod tracer;

pub use context::{Context, Onward};
pub use opentelemetry_proto::tonic::trace::v1::Span;
pub use recording::{RequestSpan, Stage, Trace};
pub use tracer::{SpanCounts, Tracer};
