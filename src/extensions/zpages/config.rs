//! The configuration of `zpages`.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::config::{HostPort, TransportOfPages};
use crate::tls::config::TlsServerConfig;

/// Pages that show what passes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct ZpagesConfig {
    /// Where it listens.
    pub endpoint: HostPort,
    /// What connections are made of.
    pub transport: TransportOfPages,
    /// Names by which browsers may ask for it, beside localhost, IP addresses and the host of the
    /// endpoint.
    pub allowed_hosts: Vec<String>,
    /// How connections are protected; not at all unless it is given.
    pub tls: Option<TlsServerConfig>,
}

impl ZpagesConfig {
    /// What is wrong with it, and at which key.
    pub fn mistake(&self) -> Option<(&'static str, String)> {
        let mut hosts = self.allowed_hosts.iter();
        let is_name = |host: &&String| {
            let is_plain = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
            !host.is_empty() && !host.ends_with('.') && host.chars().all(is_plain)
        };
        let host = hosts.find(|host| !is_name(host))?;
        let message =
            format!("\"{host}\" is no name of a host: it has no scheme, port or dot at its end");
        Some(("allowed_hosts", message))
    }
}

impl Default for ZpagesConfig {
    fn default() -> Self {
        Self {
            endpoint: HostPort {
                host: "127.0.0.1".to_owned(),
                port: 55679,
            },
            transport: TransportOfPages::default(),
            allowed_hosts: Vec::new(),
            tls: None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_that_no_browser_would_name_is_a_mistake() {
        for (host, is_name) in [
            ("pages.example.com", true),
            ("edge_1", true),
            ("pages.example.com.", false),
            ("pages.example.com:443", false),
            ("https://pages.example.com", false),
            ("", false),
        ] {
            let config = ZpagesConfig {
                allowed_hosts: vec!["localhost".to_owned(), host.to_owned()],
                ..ZpagesConfig::default()
            };
            assert_eq!(config.mistake().is_none(), is_name, "{host}");
        }
    }
}
