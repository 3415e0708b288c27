//! OTLP on the wire, and nothing else.
//!
//! A request stays the bytes it came as. The walker descends the protobuf framing to the values
//! worth looking at, stepping over large values without reading them; the splice replaces ranges
//! and fixes the lengths around them. Nothing here decodes a request into structs.

mod signal;

pub use signal::Signal;
