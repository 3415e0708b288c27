//! The configuration of the `otlp_http` exporter, with the keys of the Collector.

use std::collections::BTreeMap;
use std::time::Duration;

use bytesize::ByteSize;
use http::header::HOST;
use schemars::JsonSchema;
use serde::de::Deserializer;
use serde::{Deserialize, Serialize};
use slimspan_proto::Signal;
use url::Host;

use super::{BaseUrl, HttpUrl, ProxyUrl};
use crate::auth::config::AuthConfig;
use crate::config::headers::headers;
use crate::config::units::{AnyDuration, BetweenOrNone, PositiveDuration, PositiveSize};
use crate::config::{BytesForm, Preset, ReferenceForm, Secret};
use crate::exporters::DeliveryConfig;
use crate::exporters::dead_letters::config::DeadLetterConfig;
use crate::exporters::queue::config::{QueueConfig, sending_queue};
use crate::exporters::retry::config::RetryConfig;
use crate::tls::config::TlsClientConfig;

/// `otlp_http`, or `otlphttp`: sends requests to a backend over OTLP/HTTP.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct OtlpHttpConfig {
    /// Where the backend is: requests go to `/v1/traces`, `/v1/metrics`, `/v1/logs` and
    /// `/v1development/profiles` below it.
    pub endpoint: Option<BaseUrl>,
    /// Where traces go, if not below `endpoint`.
    pub traces_endpoint: Option<HttpUrl>,
    /// Where metrics go, if not below `endpoint`.
    pub metrics_endpoint: Option<HttpUrl>,
    /// Where logs go, if not below `endpoint`.
    pub logs_endpoint: Option<HttpUrl>,
    /// Where profiles go, if not below `endpoint`.
    pub profiles_endpoint: Option<HttpUrl>,
    /// How requests are encoded.
    pub encoding: Encoding,
    /// How requests are compressed.
    pub compression: Compression,
    /// How thoroughly.
    pub compression_params: CompressionParams,
    /// What comes with every request, by lower-case name. The names and values are valid headers.
    #[serde(deserialize_with = "headers")]
    #[schemars(schema_with = "crate::config::headers::schema")]
    pub headers: BTreeMap<String, Secret>,
    /// The time that the backend has for one attempt; more than 0.
    #[serde(with = "PositiveDuration")]
    pub timeout: Duration,
    /// The proxy, in place of the one that `HTTP_PROXY` and `HTTPS_PROXY` name.
    pub proxy_url: Option<ProxyUrl>,
    /// How many connections are kept for later; 0 for any number.
    pub max_idle_conns: u32,
    /// The same for one backend, and there is one: the smaller of the two holds.
    pub max_idle_conns_per_host: Option<u32>,
    /// How many connections there are at a time; 0 for any number.
    pub max_conns_per_host: u32,
    /// How long a connection is kept for later; 0 for ever.
    #[serde(with = "AnyDuration")]
    pub idle_conn_timeout: Duration,
    /// Whether each request has a connection of its own.
    pub disable_keep_alives: bool,
    /// The silence after which an HTTP/2 connection is asked whether it is there; 0 for never.
    #[serde(with = "AnyDuration")]
    pub http2_read_idle_timeout: Duration,
    /// The time that it has for its answer; more than 0.
    #[serde(with = "PositiveDuration")]
    pub http2_ping_timeout: Duration,
    /// Whether HTTP/2 is offered where there is TLS; with `Host` among `headers` it never is.
    pub force_attempt_http2: bool,
    /// Whether cookies of the backend come with later requests, as balancers want them.
    #[serde(deserialize_with = "cookies")]
    pub cookies: CookiesConfig,
    /// As in the Collector; the buffers here have a size of their own.
    #[serde(with = "BetweenOrNone::<0, 1_073_741_824>")]
    pub read_buffer_size: Option<u64>,
    /// As in the Collector; the buffers here have a size of their own.
    #[serde(with = "BetweenOrNone::<0, 1_073_741_824>")]
    pub write_buffer_size: Option<u64>,
    /// How often a request is sent again that the backend could not take.
    pub retry_on_failure: RetryConfig,
    /// Whether requests are acknowledged before the backend has them.
    #[serde(deserialize_with = "sending_queue")]
    pub sending_queue: QueueConfig,
    /// The largest request that the backend takes, as protobuf; larger ones go in parts.
    #[serde(with = "PositiveSize")]
    pub max_request_bytes: ByteSize,
    /// Where requests are kept that the backend never takes.
    pub dead_letters: DeadLetterConfig,
    /// How references look that go there; as the `artifact` processor has them if nothing is said.
    pub reference: Option<ReferenceForm>,
    /// What becomes of bytes values that go there; what the `artifact` processor makes of them if nothing is
    /// said.
    #[serde(default)]
    pub bytes_values: Option<BytesForm>,
    /// What says to the backend who sends.
    pub auth: Option<AuthConfig>,
    /// The backend whose limits hold where nothing else is said.
    pub preset: Option<Preset>,
    /// How the connection is protected.
    pub tls: TlsClientConfig,
}

impl Default for OtlpHttpConfig {
    fn default() -> Self {
        Self {
            endpoint: None,
            traces_endpoint: None,
            metrics_endpoint: None,
            logs_endpoint: None,
            profiles_endpoint: None,
            encoding: Encoding::default(),
            compression: Compression::default(),
            compression_params: CompressionParams::default(),
            headers: BTreeMap::new(),
            timeout: Duration::from_secs(30),
            proxy_url: None,
            max_idle_conns: 100,
            max_idle_conns_per_host: None,
            max_conns_per_host: 0,
            idle_conn_timeout: Duration::from_secs(90),
            disable_keep_alives: false,
            http2_read_idle_timeout: Duration::ZERO,
            http2_ping_timeout: Duration::from_secs(15),
            force_attempt_http2: true,
            cookies: CookiesConfig::off(),
            read_buffer_size: None,
            write_buffer_size: None,
            retry_on_failure: RetryConfig::default(),
            sending_queue: QueueConfig::off(),
            // What the OTLP specification recommends for OTLP/HTTP.
            max_request_bytes: ByteSize::mib(20),
            dead_letters: DeadLetterConfig::default(),
            reference: None,
            bytes_values: None,
            preset: None,
            auth: None,
            tls: TlsClientConfig::default(),
        }
    }
}

impl OtlpHttpConfig {
    /// The defaults of everything but the endpoint.
    pub fn new(endpoint: BaseUrl) -> Self {
        Self {
            endpoint: Some(endpoint),
            ..Self::default()
        }
    }

    /// Where requests of `signal` go, if anywhere.
    pub fn url_of(&self, signal: Signal) -> Option<HttpUrl> {
        let own = match signal {
            Signal::Traces => &self.traces_endpoint,
            Signal::Metrics => &self.metrics_endpoint,
            Signal::Logs => &self.logs_endpoint,
            Signal::Profiles => &self.profiles_endpoint,
        };
        own.clone()
            .or_else(|| Some(self.endpoint.as_ref()?.of(signal)))
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

    /// Whether all connections are encrypted, or none; nothing where some are, or where there are none.
    pub fn uses_tls(&self) -> Option<bool> {
        let urls = Signal::ALL
            .into_iter()
            .filter_map(|signal| self.url_of(signal));
        let mut encrypted = urls.map(|url| url.as_url().scheme() == "https");
        let first = encrypted.next()?;
        encrypted.all(|next| next == first).then_some(first)
    }

    /// How many connections are kept for later.
    pub fn kept(&self) -> usize {
        if self.disable_keep_alives {
            return 0;
        }
        let most = |count: u32| match count {
            0 => usize::MAX,
            count => count as usize,
        };
        let of_host = self.max_idle_conns_per_host.map_or(usize::MAX, most);
        most(self.max_idle_conns).min(of_host)
    }

    /// Whether HTTP/2 is offered where there is TLS. There the name of a host has a place of its own, which says what
    /// the endpoint says: with another one among `headers` the backend would be told two.
    pub fn offers_http2(&self) -> bool {
        self.force_attempt_http2 && !self.names_host()
    }

    /// Whether `headers` say by which host the backend is called. As in the Collector nothing is said by an empty
    /// text.
    pub fn names_host(&self) -> bool {
        let host = self.headers.get(HOST.as_str());
        host.is_some_and(|host| !host.expose().is_empty())
    }

    /// How thoroughly requests are compressed.
    pub fn level(&self) -> u8 {
        self.compression_params.level.unwrap_or(1).min(HIGHEST)
    }

    /// What is wrong between its keys: the keys, and why.
    pub fn mistake(&self) -> Option<(&'static [&'static str], String)> {
        let of_zlib = matches!(
            self.compression,
            Compression::Gzip | Compression::Deflate | Compression::Zlib
        );
        if let Some(level) = self.compression_params.level
            && of_zlib
            && level > 9
        {
            let message = format!("must be from 1 to 9, found {level}");
            return Some((&["compression_params", "level"], message));
        }
        if let Some(name) = OF_THE_EXPORTER.into_iter().find(|name| self.sets(name)) {
            let message = format!("\"{name}\" is for the exporter to set: remove it");
            return Some((&["headers"], message));
        }
        // Without TLS it does nothing.
        let name = self.tls.server_name_override.as_ref();
        let name = name.filter(|_| self.uses_tls() != Some(false))?;
        if self.proxy_url.is_some() {
            let message = "cannot be used with a proxy_url, which would be asked for that host";
            return Some((&["tls", "server_name_override"], message.to_owned()));
        }
        if let Ok(Host::Ipv4(_) | Host::Ipv6(_)) = Host::parse(name) {
            let message =
                format!("\"{name}\" is an address: give the name that the certificate has");
            return Some((&["tls", "server_name_override"], message));
        }
        None
    }

    /// Whether it sets a header to something else than what the exporter sends.
    fn sets(&self, name: &str) -> bool {
        let sent = (name == "content-type").then(|| self.encoding.content_type());
        self.headers.get(name).is_some_and(|value| {
            let value = value.expose().trim();
            sent.is_none_or(|sent| !value.eq_ignore_ascii_case(sent))
        })
    }
}

/// The highest level of zstd. What those above it make takes more memory to read than the 8 MiB that every
/// backend is to have for it (RFC 8878).
const HIGHEST: u8 = 19;

/// Headers that say how a body is to be read.
const OF_THE_EXPORTER: [&str; 5] = [
    "connection",
    "content-encoding",
    "content-length",
    "content-type",
    "transfer-encoding",
];

/// How requests are encoded.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Encoding {
    /// As they are.
    #[default]
    Proto,
    /// As OTLP/JSON, for backends that read nothing else. What JSON cannot hold is lost: fields that
    /// OTLP does not have, and bytes that are no UTF-8 in text.
    Json,
}

impl Encoding {
    /// The media type of what it makes.
    pub fn content_type(self) -> &'static str {
        match self {
            Self::Proto => "application/x-protobuf",
            Self::Json => "application/json",
        }
    }
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
    /// What HTTP calls so: the zlib format.
    Deflate,
    /// The same, by its other name in the Collector.
    Zlib,
    /// The cheapest, where the backend reads it, and the largest: a block.
    Snappy,
    /// The same as a stream.
    #[serde(rename = "x-snappy-framed")]
    SnappyFramed,
    /// As cheap, where the backend reads it: a frame.
    Lz4,
    /// Not at all.
    None,
}

/// `compression_params`: how thoroughly requests are compressed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct CompressionParams {
    /// From 1 (the fastest, and the default) to 9; with zstd to 22, of which those above 19 are 19 here.
    #[serde(with = "BetweenOrNone::<1, 22>")]
    pub level: Option<u8>,
}

/// `cookies` as it is in an exporter: who writes it wants them.
fn cookies<'de, D: Deserializer<'de>>(deserializer: D) -> Result<CookiesConfig, D::Error> {
    let config = Option::deserialize(deserializer)?;
    Ok(config.unwrap_or_else(CookiesConfig::off))
}

/// `cookies`
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct CookiesConfig {
    /// Whether they are kept, in memory. True where the section is written.
    pub enabled: bool,
}

impl Default for CookiesConfig {
    fn default() -> Self {
        Self { enabled: true }
    }
}

impl CookiesConfig {
    /// None, which is what holds where nothing is said of them.
    pub fn off() -> Self {
        Self { enabled: false }
    }
}
