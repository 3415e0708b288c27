//! The configuration of the `otlp` receiver.

use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize};

pub use super::http::config::{ContentCoding, CorsConfig, HttpConfig, UrlPath};
pub use super::keepalive::{EnforcementPolicy, KeepaliveConfig, ServerParameters};
use crate::auth::config::AuthConfig;
use crate::config::units::{Between, BetweenOrNone};
use crate::config::{ComponentId, InvalidSocket, Socket, Transport};
use crate::tls::config::TlsServerConfig;

/// `otlp`: takes requests from OpenTelemetry SDKs and collectors.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct OtlpReceiverConfig {
    /// How senders may reach it; in every way unless it is given.
    pub protocols: Protocols,
}

/// The protocols of the receiver. As in the Collector, those that are named are on, with nothing
/// behind them too, and the others are off.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Protocols {
    /// OTLP over gRPC.
    #[serde(
        default,
        deserialize_with = "named",
        skip_serializing_if = "Option::is_none"
    )]
    pub grpc: Option<GrpcConfig>,
    /// OTLP over HTTP.
    #[serde(
        default,
        deserialize_with = "named",
        skip_serializing_if = "Option::is_none"
    )]
    pub http: Option<HttpConfig>,
}

impl Default for Protocols {
    fn default() -> Self {
        Self {
            grpc: Some(GrpcConfig::default()),
            http: Some(HttpConfig::default()),
        }
    }
}

/// What is named is there, also where nothing stands behind it.
fn named<'de, D: Deserializer<'de>, T: Deserialize<'de>>(
    deserializer: D,
) -> Result<Option<T>, D::Error> {
    T::deserialize(deserializer).map(Some)
}

/// The gRPC listener.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
#[schemars(transform = crate::config::endpoint_by_transport)]
pub struct GrpcConfig {
    /// The address to listen on; with transport: unix the path of the socket.
    #[serde(serialize_with = "crate::config::redacted::listener")]
    pub endpoint: String,
    /// What connections are made of.
    pub transport: Transport,
    /// The largest request in MiB, before and after decompression; from 1 to 1024.
    #[serde(with = "Between::<1, 1024>")]
    pub max_recv_msg_size_mib: u16,
    /// The entries that a request may have: spans, log records, metrics, and what can be repeated
    /// around and in them; from 1 to a hundred million.
    #[serde(with = "Between::<1, 100_000_000>")]
    pub max_items: u32,
    /// The requests that one connection may have under way at a time; from 1 to a million.
    #[serde(with = "Between::<1, 1_000_000>")]
    pub max_concurrent_streams: u32,
    /// The connections that may be open at a time; from 1 to a million.
    #[serde(with = "Between::<1, 1_000_000>")]
    pub max_connections: u32,
    /// The connections that may be open at a time from one address, or over a Unix socket from one process; a
    /// quarter of all unless it is given, so that nobody alone takes the places of all. Senders behind a proxy
    /// have one address.
    #[serde(with = "BetweenOrNone::<1, 1_000_000>")]
    pub max_connections_per_address: Option<u32>,
    /// The connections that may be open at a time from one address and have brought no whole request yet
    /// from somebody who is let in; from 1 to a million, and never more than `max_connections_per_address`. 64
    /// unless it is given, or as many as that where that is given.
    #[serde(with = "BetweenOrNone::<1, 1_000_000>")]
    pub max_strangers_per_address: Option<u32>,
    /// How long connections live.
    pub keepalive: KeepaliveConfig,
    /// As in the Collector; the buffers here have a size of their own.
    #[serde(with = "BetweenOrNone::<0, 1_073_741_824>")]
    pub read_buffer_size: Option<u64>,
    /// As in the Collector; the buffers here have a size of their own.
    #[serde(with = "BetweenOrNone::<0, 1_073_741_824>")]
    pub write_buffer_size: Option<u64>,
    /// How connections are protected; not at all unless it is given.
    pub tls: Option<TlsServerConfig>,
    /// Who tells good senders from others; everybody is let in unless it is given.
    pub auth: Option<AuthConfig>,
    /// Whether processors and exporters may see the headers of requests.
    pub include_metadata: bool,
    /// What stands before the receiver: the extension `memory_limiter`, or nothing.
    pub middlewares: Vec<MiddlewareConfig>,
}

/// What stands before a receiver.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct MiddlewareConfig {
    /// The extension.
    pub id: ComponentId,
}

impl Protocols {
    /// Who is let in, by protocol.
    pub(crate) fn auth(&self) -> [(&'static str, Option<&AuthConfig>); 2] {
        let grpc = self.grpc.as_ref().and_then(|grpc| grpc.auth.as_ref());
        let http = self.http.as_ref().and_then(|http| http.auth.as_ref());
        [("grpc", grpc), ("http", http)]
    }

    /// What stands before any of them.
    pub(crate) fn middlewares(&self) -> impl Iterator<Item = &MiddlewareConfig> {
        let grpc = self.grpc.iter().flat_map(|grpc| &grpc.middlewares);
        let http = self.http.iter().flat_map(|http| &http.middlewares);
        grpc.chain(http)
    }

    /// Whether any of them shows the headers of requests.
    pub(crate) fn includes_metadata(&self) -> bool {
        let grpc = self.grpc.as_ref().is_some_and(|grpc| grpc.include_metadata);
        let http = self.http.as_ref().is_some_and(|http| http.include_metadata);
        grpc || http
    }
}

impl GrpcConfig {
    /// What it listens on.
    pub fn socket(&self) -> Result<Socket, InvalidSocket> {
        Socket::of(self.transport, &self.endpoint)
    }

    /// The largest request in bytes.
    pub fn max_recv_msg_size(&self) -> usize {
        usize::from(self.max_recv_msg_size_mib) << 20
    }

    /// What connections are made of, without what is seen to at every request of theirs.
    pub(crate) fn of_connections(&self) -> Self {
        let Self {
            max_recv_msg_size_mib,
            max_items,
            auth,
            include_metadata,
            middlewares,
            ..
        } = Self::default();
        Self {
            max_recv_msg_size_mib,
            max_items,
            auth,
            include_metadata,
            middlewares,
            ..self.clone()
        }
    }
}

impl Default for GrpcConfig {
    fn default() -> Self {
        Self {
            endpoint: "127.0.0.1:4317".to_owned(),
            transport: Transport::default(),
            max_recv_msg_size_mib: 64,
            max_items: 100_000,
            max_concurrent_streams: 100,
            max_connections: 1000,
            max_connections_per_address: None,
            max_strangers_per_address: None,
            keepalive: KeepaliveConfig::default(),
            read_buffer_size: None,
            write_buffer_size: None,
            tls: None,
            auth: None,
            include_metadata: false,
            middlewares: Vec::new(),
        }
    }
}
