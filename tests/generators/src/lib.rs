//! Random OTLP requests, from a seed: the input of property tests and benchmarks.
//!
//! A request is generated as the structs of the `opentelemetry-proto` crate, the oracle of all
//! tests here, and written with as much [`noise`] as protobuf allows a sender to make.

#![allow(clippy::missing_panics_doc, clippy::expect_used, clippy::unimplemented)]

pub mod files;
mod generate;
pub mod mistakes;
pub mod noise;
mod random;
mod request;
mod turned;
pub mod wire;

pub use files::fake_file;
pub use generate::{Generator, Payload};
pub use random::Random;
pub use request::Request;
pub use turned::turned;
