//! OTLP/JSON against the serde of `opentelemetry-proto` and against prost.

#![allow(clippy::panic, clippy::unwrap_used, missing_docs)]

mod bad_input;
mod oracle;
mod schema;

use slimspan_generators::Request;
use slimspan_proto::Signal;
use slimspan_proto::json::{Limits, Read, read, write};

/// A request in JSON, all of it.
pub(crate) fn to_json(signal: Signal, request: &[u8]) -> Vec<u8> {
    write(signal, request).unwrap().text
}

/// What is read without a limit.
pub(crate) fn from_json(signal: Signal, text: &[u8]) -> Read {
    read(signal, text, Limits::default()).unwrap()
}

/// As serde reads it.
pub(crate) fn serde(signal: Signal, text: &[u8]) -> serde_json::Result<Request> {
    Ok(match signal {
        Signal::Traces => Request::Traces(serde_json::from_slice(text)?),
        Signal::Logs => Request::Logs(serde_json::from_slice(text)?),
        Signal::Metrics => Request::Metrics(serde_json::from_slice(text)?),
        Signal::Profiles => panic!("there are no types of profiles"),
    })
}

/// As serde writes it.
pub(crate) fn serde_text(request: &Request) -> Vec<u8> {
    match request {
        Request::Traces(request) => serde_json::to_vec(request),
        Request::Logs(request) => serde_json::to_vec(request),
        Request::Metrics(request) => serde_json::to_vec(request),
    }
    .unwrap()
}
