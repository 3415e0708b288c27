//! By which names a backend and this exporter go in what the backend is told.

use std::borrow::Cow;
use std::net::Ipv6Addr;

use http::HeaderValue;
use http::uri::Authority;
use serde::Deserialize;
use serde::de::{Deserializer, Error};

/// `authority`: a host, and a port if there is one. As in the Collector nothing is said by an empty text.
pub(super) fn authority<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<String>, D::Error> {
    match said(deserializer)? {
        Some(text) if text.contains('@') => Err(D::Error::custom(
            "a user or password does not belong here: send credentials as headers",
        )),
        Some(text) if !is_authority(&text) => Err(D::Error::custom(format!(
            "\"{text}\" is not the name of a backend: use host or host:port, such as backend.example.com"
        ))),
        said => Ok(said),
    }
}

fn is_authority(text: &str) -> bool {
    let (host, port) = match text.rsplit_once(':') {
        Some((host, port)) if !text.ends_with(']') => (host, Some(port)),
        _ => (text, None),
    };
    let address = host.strip_prefix('[');
    let is_host = if let Some(address) = address.and_then(|host| host.strip_suffix(']')) {
        address.parse::<Ipv6Addr>().is_ok()
    } else {
        let of_names = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
        !host.is_empty() && host.chars().all(of_names)
    };
    let is_port =
        |port: &str| port.chars().all(|c| c.is_ascii_digit()) && port.parse::<u16>().is_ok();
    is_host && port.is_none_or(is_port)
}

/// The host of an authority, without the brackets of an address.
pub(super) fn host(authority: &Authority) -> &str {
    let host = authority.host();
    host.trim_start_matches('[').trim_end_matches(']')
}

/// The authority of a backend that is called by the name of its certificate: an address of IPv6 has brackets there.
pub(super) fn of_certificate(name: &str) -> Cow<'_, str> {
    if name.parse::<Ipv6Addr>().is_ok() {
        Cow::Owned(format!("[{name}]"))
    } else {
        Cow::Borrowed(name)
    }
}

/// `user_agent`: any text that a header can carry.
pub(super) fn user_agent<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<String>, D::Error> {
    match said(deserializer)? {
        Some(text) if HeaderValue::from_str(&text).is_err() => Err(D::Error::custom(
            "has a character that a header cannot carry, such as a line break",
        )),
        said => Ok(said),
    }
}

fn said<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<String>, D::Error> {
    let text = Option::<String>::deserialize(deserializer)?;
    Ok(text.filter(|text| !text.is_empty()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_a_host_with_or_without_a_port() {
        for (text, host_of_it) in [
            ("backend", "backend"),
            ("backend.example.com:443", "backend.example.com"),
            ("a_b-c:0", "a_b-c"),
            ("127.0.0.1:4317", "127.0.0.1"),
            ("[::1]", "::1"),
            ("[2001:db8::1]:65535", "2001:db8::1"),
        ] {
            assert!(is_authority(text), "{text}");
            let parsed = text.parse::<Authority>();
            let parsed = parsed.as_ref().map(host).ok();
            assert_eq!(parsed, Some(host_of_it));
        }
        for text in [
            "", ":1", "a:", "a:+1", "a:65536", "a:1:2", "::1", "[::1", "[a]", "a b", "a/b", "a?b",
            "a%b", "\u{e9}",
        ] {
            assert!(!is_authority(text), "{text}");
        }
    }

    /// And no port: the name of a certificate has none.
    #[test]
    fn the_name_of_a_certificate_is_one_to_be_called_by() {
        for (name, authority) in [
            ("backend.example.com", "backend.example.com"),
            ("10.0.0.7", "10.0.0.7"),
            ("2001:db8::1", "[2001:db8::1]"),
        ] {
            let called = of_certificate(name);
            assert_eq!(called, authority);
            let parsed = called.parse::<Authority>();
            let parsed = parsed.as_ref().map(host).ok();
            assert_eq!(parsed, Some(name));
        }
    }
}
