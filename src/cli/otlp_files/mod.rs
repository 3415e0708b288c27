//! OTLP requests in files: one or many in a file, as protobuf or JSON, compressed or not.
//!
//! What a file holds is told by its first bytes. Requests are read one at a time, so a file may
//! be larger than the memory.

mod compression;
mod documents;
mod format;
mod frames;
mod input;
mod json;
mod options;
mod request;
mod requests;
mod signal;
mod splice;

pub(in crate::cli) use format::Format;
pub(in crate::cli) use input::Input;
pub(in crate::cli) use options::{ReadOptions, signal as parse_signal};
pub(in crate::cli) use request::Request;
pub(in crate::cli) use requests::Requests;
