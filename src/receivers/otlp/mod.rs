//! The OTLP receiver.

pub mod config;
