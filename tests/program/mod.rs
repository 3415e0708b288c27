//! The whole program: a sender in front of it, a backend and a store behind it.
//!
//! Every file is one part of what slimspan promises, every test is named by the promise.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

mod answer_bombs;
mod artifact_server;
mod auth;
mod backend_answers;
mod background;
mod bad_protobuf;
mod batch;
mod bombs;
mod catalog;
mod collectors;
mod command_line;
mod configuration;
mod connections;
mod connectors;
mod delivery;
mod disconnects;
mod dry_run;
mod fan_out;
mod file_exporter;
mod floods;
mod framing;
mod http;
mod http_answers;
mod http_backends;
mod inspect;
mod isolation;
mod items;
mod leftovers;
mod limits;
mod linear;
mod memory;
mod own_metrics;
mod own_traces;
mod passing_on;
mod presets;
mod profiles;
mod progress;
mod queue;
mod queue_batch;
mod quoting;
mod reference_forms;
mod reload;
mod removal;
mod repeats;
mod restore;
mod retries;
mod rules;
mod sdk;
mod secrets;
mod shares;
mod sharing;
mod shells;
mod shutdown;
mod sizes;
mod skipped;
mod store_failures;
mod store_recovery;
mod strangers;
mod telemetry;
mod tenants;
mod tls;
mod tls_senders;
mod transport;
mod unix_sockets;
mod untrusted;
mod volume;
