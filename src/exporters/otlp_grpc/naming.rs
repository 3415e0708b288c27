//! By which names a backend and this exporter go in what the backend is told.

use http::HeaderValue;
use http::uri::Authority;
use serde::Deserialize;
use serde::de::{Deserializer, Error};

/// `authority`: a host, and a port if there is one. As in the Collector nothing is said by an empty text.
pub(super) fn authority<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<String>, D::Error> {
    let Some(text) = said(deserializer)? else {
        return Ok(None);
    };
    if text.contains('@') {
        return Err(D::Error::custom(
            "a user or password does not belong here: send credentials as headers",
        ));
    }
    match text.parse::<Authority>() {
        Ok(authority) if !host(&authority).is_empty() => Ok(Some(text)),
        _ => Err(D::Error::custom(format!(
            "\"{text}\" is not the name of a backend: use host or host:port, such as backend.example.com"
        ))),
    }
}

/// The host of an authority, without the brackets of an address.
pub(super) fn host(authority: &Authority) -> &str {
    let host = authority.host();
    host.trim_start_matches('[').trim_end_matches(']')
}

/// `user_agent`: any text that a header can carry.
pub(super) fn user_agent<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<String>, D::Error> {
    let text = said(deserializer)?;
    match &text {
        Some(text) if HeaderValue::from_str(text).is_err() => Err(D::Error::custom(
            "has a character that a header cannot carry, such as a line break",
        )),
        _ => Ok(text),
    }
}

fn said<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<String>, D::Error> {
    let text = Option::<String>::deserialize(deserializer)?;
    Ok(text.filter(|text| !text.is_empty()))
}
