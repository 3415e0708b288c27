//! The configuration of `zpages`.

use serde::Deserialize;

use crate::config::HostPort;

/// Pages that show what passes.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ZpagesConfig {
    /// Where it listens.
    pub endpoint: HostPort,
    /// Names by which browsers may ask for it, beside localhost, IP addresses and the host of the
    /// endpoint.
    pub allowed_hosts: Vec<String>,
}

impl Default for ZpagesConfig {
    fn default() -> Self {
        Self {
            endpoint: HostPort {
                host: "127.0.0.1".to_owned(),
                port: 55679,
            },
            allowed_hosts: Vec::new(),
        }
    }
}
