//! OTLP on the wire, and nothing else.
//!
//! A request stays the bytes it came as. The walker descends the protobuf framing to the values
//! worth looking at, stepping over large values without reading them; the splice replaces ranges
//! and fixes the lengths around them. Nothing here decodes a request into structs, so unknown
//! fields, field order and odd encodings survive, and ordinary telemetry costs next to nothing.

#![cfg_attr(not(test), warn(clippy::indexing_slicing))]
#![cfg_attr(test, allow(clippy::unwrap_used))]

mod check;
mod items;
pub mod json;
mod member;
mod message;
mod origin;
mod signal;
mod splice;
mod spot;
mod value;
mod walk;
mod wire;

pub use check::{CheckError, Checked, Fault, Verdict, check};
pub use items::{Item, Items, Parts, count};
pub use member::{Member, Members, Order};
pub use message::{Carrier, Message, PointKind};
pub use origin::{Origin, origins};
pub use signal::Signal;
pub use splice::Splice;
pub use spot::{Spot, Step, spots};
pub use value::{Value, ValueKind};
pub use walk::{Edit, OnMalformed, Walk, walk};
pub use wire::{
    DEEPEST, Field, Fields, MAX_DEPTH, MAX_SURPLUS, Malformed, Reason, WireType, varint,
    varint_width, write_varint,
};
