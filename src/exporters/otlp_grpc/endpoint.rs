//! The address of a backend.

use std::fmt;
use std::str::FromStr;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::config::{HostPort, InvalidAddress};

/// Where a backend listens: `host:port`, `http://host:port` or `https://host[:port]`. As clients in Go write it,
/// `dns:///host:port` is the same as `host:port`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(try_from = "String", into = "String")]
#[schemars(with = "String", extend("pattern" = "^(https://(\\[[0-9a-fA-F:.]+\\]|[0-9a-zA-Z._-]+)(:[0-9]+)?/?|(http://|dns:///)?(\\[[0-9a-fA-F:.]+\\]|[0-9a-zA-Z._-]+):[0-9]+/?)$"))]
pub struct Endpoint {
    /// The host and port.
    pub address: HostPort,
    /// What the scheme says about TLS; none without a scheme.
    pub tls: Option<bool>,
}

/// Why a text is not the address of a backend.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum InvalidEndpoint {
    /// The part after the scheme is not a host and a port.
    #[error(transparent)]
    Address(#[from] InvalidAddress),
    /// A scheme other than http and https; it holds the scheme.
    #[error("unknown scheme \"{0}\": use host:port, http://host:port or https://host:port")]
    Scheme(String),
    /// A socket of this machine.
    #[error(
        "Unix sockets are not supported: let the backend listen on a port of 127.0.0.1, and use host:port"
    )]
    Unix,
    /// A server for names of its own.
    #[error(
        "names are looked up as this machine does it, and not at a server of its own: use dns:///host:port, \
         or host:port"
    )]
    NameServer,
    /// A user or password, which is not quoted here because it is a secret.
    #[error("a user or password does not belong here: send credentials as headers")]
    Credentials,
}

impl FromStr for Endpoint {
    type Err = InvalidEndpoint;

    fn from_str(text: &str) -> Result<Self, InvalidEndpoint> {
        if text.contains('@') {
            return Err(InvalidEndpoint::Credentials);
        }
        if text.starts_with("unix:") || text.starts_with("unix-abstract:") {
            return Err(InvalidEndpoint::Unix);
        }
        let (tls, address) = match text.split_once("://") {
            None => (None, text),
            Some(("dns", address)) => {
                let address = address.strip_prefix('/');
                (None, address.ok_or(InvalidEndpoint::NameServer)?)
            }
            Some(("http", address)) => (Some(false), address),
            Some(("https", address)) => (Some(true), address),
            Some((scheme, _)) => return Err(InvalidEndpoint::Scheme(scheme.to_owned())),
        };
        let address = address.strip_suffix('/').unwrap_or(address);
        let address = match address.parse() {
            Err(_) if tls == Some(true) => format!("{address}:443").parse(),
            parsed => parsed,
        };
        Ok(Self {
            address: address.map_err(|_: InvalidAddress| InvalidAddress::new(text))?,
            tls,
        })
    }
}

impl From<Endpoint> for String {
    fn from(endpoint: Endpoint) -> Self {
        endpoint.to_string()
    }
}

impl TryFrom<String> for Endpoint {
    type Error = InvalidEndpoint;

    fn try_from(text: String) -> Result<Self, InvalidEndpoint> {
        text.parse()
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.tls {
            None => self.address.fmt(f),
            Some(false) => write!(f, "http://{}", self.address),
            Some(true) => write!(f, "https://{}", self.address),
        }
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]
mod tests {
    use super::*;

    #[test]
    fn endpoints_and_how_they_are_shown() {
        let table = [
            ("localhost:4317", "localhost:4317"),
            ("http://127.0.0.1:4317", "http://127.0.0.1:4317"),
            ("http://[::1]:4317/", "http://[::1]:4317"),
            (
                "https://api.example.org:8443",
                "https://api.example.org:8443",
            ),
            ("https://api.example.org", "https://api.example.org:443"),
            ("https://[::1]", "https://[::1]:443"),
            ("dns:///api.example.org:4317", "api.example.org:4317"),
        ];
        for (text, shown) in table {
            assert_eq!(text.parse::<Endpoint>().unwrap().to_string(), shown);
        }
    }

    #[test]
    fn what_is_no_endpoint() {
        let shape = "is not an address: use host:port, such as 127.0.0.1:4317";
        let table = [
            "",
            "localhost",
            "http://localhost",
            "https://",
            "https://host:99999",
            "https://host:1:2",
            "http://host:4317/v1/traces",
            "dns:///",
            "dns:///host",
            "dns:////host:1",
        ];
        for text in table {
            let error = text.parse::<Endpoint>().unwrap_err().to_string();
            assert_eq!(error, format!("\"{text}\" {shape}"));
        }
        for (text, expected) in [
            (
                "passthrough:///host:1",
                InvalidEndpoint::Scheme("passthrough".to_owned()),
            ),
            ("dns://10.0.0.1/host:1", InvalidEndpoint::NameServer),
            ("unix:///run/backend.sock", InvalidEndpoint::Unix),
            ("unix:backend.sock", InvalidEndpoint::Unix),
            ("unix-abstract:backend", InvalidEndpoint::Unix),
        ] {
            assert_eq!(text.parse::<Endpoint>().unwrap_err(), expected, "{text}");
        }
        let error = "https://user:hunter2@host:1"
            .parse::<Endpoint>()
            .unwrap_err();
        assert_eq!(error, InvalidEndpoint::Credentials);
        assert!(!error.to_string().contains("hunter2"));
    }
}
