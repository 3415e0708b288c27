//! slimspan: a pipeline between OpenTelemetry SDKs and a backend that moves files out of telemetry.

pub mod cli;
pub mod config;
pub mod exporters;
pub mod receivers;
pub mod storage;
pub mod terminal;
