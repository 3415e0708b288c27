//! The `debug` exporter: shows a person what leaves the pipeline.
//!
//! Unlike the rest of the path it decodes requests, because a display has to. It never fails:
//! what does not decode is reported as such.

mod brief;
pub mod config;
mod counts;
mod detailed;
mod exporter;
mod points;
mod render;
#[cfg(test)]
mod tests;
mod value;

pub use config::{DebugConfig, Verbosity};
pub use exporter::{DebugError, DebugExporter};
pub use render::render;
