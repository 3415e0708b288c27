//! The configuration of the `otlp` receiver.

use serde::Deserialize;

use crate::auth::config::AuthConfig;
use crate::config::HostPort;
use crate::config::units::{between, between_or_none};
use crate::tls::config::TlsServerConfig;

/// `otlp`: takes requests from OpenTelemetry SDKs and collectors.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct OtlpReceiverConfig {
    /// How senders may reach it.
    pub protocols: Protocols,
}

/// The protocols of the receiver. gRPC is the only one, so it is on whether it is named or not.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Protocols {
    /// OTLP over gRPC.
    pub grpc: GrpcConfig,
}

/// The gRPC listener.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct GrpcConfig {
    /// The address to listen on.
    pub endpoint: HostPort,
    /// The largest request in MiB, before and after decompression; from 1 to 1024.
    #[serde(deserialize_with = "between::<_, _, 1, 1024>")]
    pub max_recv_msg_size_mib: u16,
    /// The entries that a request may have: spans, log records, metrics, and what can be repeated
    /// around and in them; from 1 to a hundred million.
    #[serde(deserialize_with = "between::<_, _, 1, 100_000_000>")]
    pub max_items: u32,
    /// The requests that one connection may have under way at a time; from 1 to a million.
    #[serde(deserialize_with = "between::<_, _, 1, 1_000_000>")]
    pub max_concurrent_streams: u32,
    /// The connections that may be open at a time; from 1 to a million.
    #[serde(deserialize_with = "between::<_, _, 1, 1_000_000>")]
    pub max_connections: u32,
    /// The connections that may be open at a time from one address; no limit unless there is one,
    /// because all senders behind a proxy, or beside slimspan, have the same.
    #[serde(deserialize_with = "between_or_none::<_, _, 1, 1_000_000>")]
    pub max_connections_per_address: Option<u32>,
    /// How connections are protected; not at all unless it is given.
    pub tls: Option<TlsServerConfig>,
    /// Who tells good senders from others; everybody is let in unless it is given.
    pub auth: Option<AuthConfig>,
    /// Whether processors and exporters may see the headers of requests.
    pub include_metadata: bool,
}

impl Protocols {
    /// Each protocol, and who tells its good senders from others.
    pub fn auth(&self) -> impl Iterator<Item = (&'static str, Option<&AuthConfig>)> {
        [("grpc", self.grpc.auth.as_ref())].into_iter()
    }

    /// Whether requests of any protocol come with their headers.
    pub fn includes_metadata(&self) -> bool {
        self.grpc.include_metadata
    }
}

impl GrpcConfig {
    /// The largest request in bytes.
    pub fn max_recv_msg_size(&self) -> usize {
        usize::from(self.max_recv_msg_size_mib) << 20
    }
}

impl Default for GrpcConfig {
    fn default() -> Self {
        Self {
            endpoint: HostPort {
                host: "127.0.0.1".to_owned(),
                port: 4317,
            },
            max_recv_msg_size_mib: 64,
            max_items: 100_000,
            max_concurrent_streams: 100,
            max_connections: 1000,
            max_connections_per_address: None,
            tls: None,
            auth: None,
            include_metadata: false,
        }
    }
}
