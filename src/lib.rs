//! slimspan: a pipeline between OpenTelemetry SDKs and a backend that moves files out of telemetry.
//!
//! OTLP comes in at a [receiver](receivers), files are taken out of it and put into a
//! [store](storage), and what is left, with references in their place, leaves by
//! [exporters]. [`pipeline`] is that path; everything else is what it needs.

pub mod admission;
pub mod answer;
pub mod arriving;
pub mod auth;
pub mod backoff;
pub mod broken;
pub mod buffers;
pub mod catalog;
pub mod cli;
pub mod client;
pub mod collector;
pub mod compression;
pub mod compute;
pub mod config;
pub mod crash;
pub mod dry_run;
pub mod expanding;
pub mod exporters;
pub mod extensions;
pub mod grpc;
pub mod isolation;
pub mod joining;
pub mod journal;
pub mod listeners;
pub mod machine;
pub mod panics;
pub mod peer;
pub mod pipeline;
pub mod receivers;
pub mod refusal;
pub mod reload;
pub mod report;
mod residue;
pub mod server;
pub mod shutdown;
pub mod sift;
pub mod sockets;
pub mod storage;
pub mod tally;
pub mod telemetry;
pub mod tenant;
pub mod terminal;
pub mod tls;
