//! The configuration of the `otlp_grpc` exporter.

use std::collections::BTreeMap;
use std::time::Duration;

use bytesize::ByteSize;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Endpoint;
pub use super::keepalive::KeepaliveConfig;
use super::naming;
use crate::auth::config::AuthConfig;
use crate::config::headers::headers;
use crate::config::units::{BetweenOrNone, PositiveDuration, PositiveSize};
use crate::config::{BytesForm, Preset, ReferenceForm, Secret};
use crate::exporters::DeliveryConfig;
use crate::exporters::dead_letters::config::DeadLetterConfig;
use crate::exporters::queue::config::{QueueConfig, sending_queue};
use crate::exporters::retry::config::RetryConfig;
use crate::tls::config::TlsClientConfig;

/// `otlp_grpc`, or `otlp`: sends requests to a backend over OTLP/gRPC.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct OtlpGrpcConfig {
    /// The address of the backend. Required.
    pub endpoint: Endpoint,
    /// How requests are compressed.
    #[serde(default)]
    pub compression: Compression,
    /// Metadata of every request, by lower-case name. The names and values are valid headers.
    #[serde(default, deserialize_with = "headers")]
    #[schemars(schema_with = "crate::config::headers::schema")]
    pub headers: BTreeMap<String, Secret>,
    /// The time that the backend has for one attempt; more than 0.
    #[serde(default = "default_timeout", with = "PositiveDuration")]
    pub timeout: Duration,
    /// How often a request is sent again that the backend could not take.
    #[serde(default)]
    pub retry_on_failure: RetryConfig,
    /// Whether requests are acknowledged before the backend has them.
    #[serde(default = "QueueConfig::off", deserialize_with = "sending_queue")]
    pub sending_queue: QueueConfig,
    /// The largest message that the backend takes; larger requests go in parts.
    #[serde(default = "default_max_request_bytes", with = "PositiveSize")]
    pub max_request_bytes: ByteSize,
    /// Where requests are kept that the backend never takes.
    #[serde(default)]
    pub dead_letters: DeadLetterConfig,
    /// The backend whose limits hold where nothing else is said.
    #[serde(default)]
    pub preset: Option<Preset>,
    /// How the connection is found to be dead.
    #[serde(default)]
    pub keepalive: KeepaliveConfig,
    /// The name that the backend is called by, if not its endpoint or, with TLS, `tls.server_name_override`, and
    /// that its certificate has unless that says another.
    #[serde(default, deserialize_with = "naming::authority")]
    #[schemars(extend("pattern" = "^((\\[[0-9a-fA-F:.]+\\]|[0-9a-zA-Z._-]+)(:[0-9]+)?)?$"))]
    pub authority: Option<String>,
    /// What the backend is told of who sends, before the name and version of the library that does.
    #[serde(default, deserialize_with = "naming::user_agent")]
    #[schemars(extend("pattern" = "^[^\\u0000-\\u0008\\u000a-\\u001f\\u007f]*$"))]
    pub user_agent: Option<String>,
    /// As in the Collector; one connection carries all requests here.
    #[serde(default)]
    pub balancer_name: Option<Balancer>,
    /// As in the Collector; a request waits for a connection as long as `timeout` says here.
    #[serde(default)]
    pub wait_for_ready: Option<bool>,
    /// As in the Collector; the buffers here have a size of their own.
    #[serde(default, with = "BetweenOrNone::<0, 1_073_741_824>")]
    pub read_buffer_size: Option<u64>,
    /// As in the Collector; the buffers here have a size of their own.
    #[serde(default, with = "BetweenOrNone::<0, 1_073_741_824>")]
    pub write_buffer_size: Option<u64>,
    /// How the connection is protected.
    #[serde(default)]
    pub tls: TlsClientConfig,
    /// What says to the backend who sends.
    #[serde(default)]
    pub auth: Option<AuthConfig>,
    /// How references look that go there; as the `artifact` processor has them if nothing is said.
    #[serde(default)]
    pub reference: Option<ReferenceForm>,
    /// What becomes of bytes values that go there; what the `artifact` processor makes of them if nothing is
    /// said.
    #[serde(default)]
    pub bytes_values: Option<BytesForm>,
}

impl OtlpGrpcConfig {
    /// The defaults of everything but the endpoint.
    pub fn new(endpoint: Endpoint) -> Self {
        Self {
            endpoint,
            compression: Compression::default(),
            headers: BTreeMap::new(),
            timeout: default_timeout(),
            retry_on_failure: RetryConfig::default(),
            sending_queue: QueueConfig::off(),
            max_request_bytes: default_max_request_bytes(),
            dead_letters: DeadLetterConfig::default(),
            keepalive: KeepaliveConfig::default(),
            authority: None,
            user_agent: None,
            balancer_name: None,
            wait_for_ready: None,
            read_buffer_size: None,
            write_buffer_size: None,
            tls: TlsClientConfig::default(),
            preset: None,
            auth: None,
            reference: None,
            bytes_values: None,
        }
    }

    /// What it has in common with other exporters for OTLP.
    pub fn delivery(&self) -> DeliveryConfig<'_> {
        DeliveryConfig {
            retry_on_failure: &self.retry_on_failure,
            sending_queue: &self.sending_queue,
            max_request_bytes: self.max_request_bytes,
            dead_letters: &self.dead_letters,
            tls: &self.tls,
            auth: self.auth.as_ref(),
        }
    }

    /// Whether the connection is encrypted: as the scheme of the endpoint says, and without a
    /// scheme unless `tls.insecure` is set. Who says which certificates to trust wants TLS in spite of that, as
    /// in the Collector (`config/configtls`, `LoadTLSConfig`).
    pub fn uses_tls(&self) -> bool {
        let unless_told = !self.tls.insecure || self.tls.has_authorities();
        self.endpoint.tls.unwrap_or(unless_told)
    }
}

/// What servers in Go take unless they are told otherwise.
fn default_max_request_bytes() -> ByteSize {
    ByteSize::mib(4)
}

fn default_timeout() -> Duration {
    Duration::from_secs(5)
}

/// How requests are compressed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Compression {
    /// Every OTLP backend reads it.
    #[default]
    Gzip,
    /// Cheaper than gzip, where the backend reads it.
    Zstd,
    /// The cheapest, where the backend reads it, and the largest.
    Snappy,
    /// Not at all.
    None,
}

/// Over which connections requests go.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Balancer {
    /// All in turn.
    RoundRobin,
    /// The first that can be made.
    PickFirst,
}
