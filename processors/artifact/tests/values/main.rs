//! Requests of few values, written by hand, so that the slim request can be told to the byte.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    missing_docs,
    unreachable_pub,
    dead_code
)]

mod request;

mod bytes_values;
mod cut;
mod forged;
mod labels;
mod providers;
mod restraint;
mod rules;
mod shapes;
mod texts;
