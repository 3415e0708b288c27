//! slimspan: a pipeline between OpenTelemetry SDKs and a backend that moves files out of telemetry.

pub mod cli;
pub mod exporters;
pub mod terminal;
