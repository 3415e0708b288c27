//! Where telemetry comes in.

mod connections;
mod heads;
mod inflow;
pub mod otlp;
mod server;

pub use connections::{Standing, Standings};
