//! The exporter for OTLP over HTTP.

mod answer;
mod client;
pub mod config;
mod exporter;
#[cfg(test)]
mod tests;
mod url;

pub use client::SetupError;
pub use exporter::{OtlpHttpExporter, Prepared};
pub use url::{BaseUrl, HttpUrl, InvalidUrl, ProxyUrl};
