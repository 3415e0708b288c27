//! Addresses to listen on or to connect to.

use std::fmt;
use std::net::Ipv6Addr;
use std::str::FromStr;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::redacted::of_any;

/// A host and a TCP port, written `127.0.0.1:4317`, `localhost:4317` or `[::1]:4317`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(try_from = "String", into = "String")]
#[schemars(with = "String", extend("pattern" = "^(\\[[0-9a-fA-F:.]+\\]|[0-9a-zA-Z._-]+):[0-9]{1,5}$"))]
pub struct HostPort {
    /// A name or an IP address, without the brackets of IPv6.
    pub host: String,
    /// The port; 0 lets a listener choose a free one.
    pub port: u16,
}

/// A text that is not `host:port`; it holds the text, without what may be a credential in it.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("\"{0}\" is not an address: use host:port, such as 127.0.0.1:4317")]
pub struct InvalidAddress(String);

impl InvalidAddress {
    /// Says that `text` should have held a host and a port.
    pub fn new(text: impl Into<String>) -> Self {
        Self(of_any(&text.into()).into_owned())
    }
}

impl FromStr for HostPort {
    type Err = InvalidAddress;

    fn from_str(text: &str) -> Result<Self, InvalidAddress> {
        let invalid = || InvalidAddress::new(text);
        let (host, port) = text.rsplit_once(':').ok_or_else(invalid)?;
        let host = match host.strip_prefix('[') {
            Some(host) => host
                .strip_suffix(']')
                .filter(|host| host.parse::<Ipv6Addr>().is_ok()),
            None => Some(host).filter(|host| is_host_name(host)),
        };
        // Rust would also read `+4317`.
        let digits = port.chars().all(|c| c.is_ascii_digit());
        match (host, port.parse()) {
            (Some(host), Ok(port)) if digits => Ok(Self {
                host: host.to_owned(),
                port,
            }),
            _ => Err(invalid()),
        }
    }
}

impl From<HostPort> for String {
    fn from(address: HostPort) -> Self {
        address.to_string()
    }
}

impl TryFrom<String> for HostPort {
    type Error = InvalidAddress;

    fn try_from(text: String) -> Result<Self, InvalidAddress> {
        text.parse()
    }
}

impl fmt::Display for HostPort {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.host.contains(':') {
            write!(f, "[{}]:{}", self.host, self.port)
        } else {
            write!(f, "{}:{}", self.host, self.port)
        }
    }
}

fn is_host_name(host: &str) -> bool {
    !host.is_empty()
        && host
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_'))
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]
mod tests {
    use super::*;

    #[test]
    fn addresses_read_as_they_are_shown() {
        for text in [
            "127.0.0.1:4317",
            "localhost:0",
            "a_b-c.example.org:65535",
            "[::1]:4317",
        ] {
            assert_eq!(text.parse::<HostPort>().unwrap().to_string(), text);
        }
        assert_eq!("[::1]:1".parse::<HostPort>().unwrap().host, "::1");
    }

    #[test]
    fn what_is_no_address() {
        let table = [
            "",
            "localhost",
            ":4317",
            "4317",
            "localhost:",
            "localhost:65536",
            "localhost:-1",
            "localhost:+1",
            "::1:4317",
            "[::1]",
            "[x]:1",
            "a b:1",
            "user@host:1",
            "host/path:1",
            "http://host:1",
            "host:1/path",
        ];
        for text in table {
            let error = text.parse::<HostPort>().unwrap_err();
            assert_eq!(error, InvalidAddress::new(text));
        }
    }
}
