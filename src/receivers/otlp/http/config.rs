//! The configuration of OTLP over HTTP.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use bytesize::ByteSize;
use http::HeaderName;
use http::uri::PathAndQuery;
use schemars::JsonSchema;
use serde::de::{Deserializer, Error};
use serde::{Deserialize, Serialize};
use slimspan_proto::Signal;

use super::super::config::MiddlewareConfig;
use super::artifacts::is_of_artifacts;
use crate::auth::config::AuthConfig;
use crate::compression::Compression;
use crate::config::headers::headers;
use crate::config::units::{AnyDuration, Between, BetweenOrNone, PositiveDuration, SizeBetween};
use crate::config::{AnyCaseGlob, ComponentId, InvalidSocket, Secret, Socket, Transport};
use crate::tls::config::TlsServerConfig;

/// The HTTP listener.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
#[schemars(transform = crate::config::endpoint_by_transport)]
pub struct HttpConfig {
    /// The address to listen on; with transport: unix the path of the socket.
    #[serde(serialize_with = "crate::config::redacted::listener")]
    pub endpoint: String,
    /// What connections are made of.
    pub transport: Transport,
    /// The largest body of a request, before and after decompression; up to 1 GiB.
    #[serde(with = "SizeBetween::<1, 1_073_741_824>")]
    pub max_request_body_size: ByteSize,
    /// The entries that a request may have: spans, log records, metrics, and what can be repeated
    /// around and in them; from 1 to a hundred million.
    #[serde(with = "Between::<1, 100_000_000>")]
    pub max_items: u32,
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
    /// Where traces are sent to.
    pub traces_url_path: UrlPath,
    /// Where metrics are sent to.
    pub metrics_url_path: UrlPath,
    /// Where logs are sent to.
    pub logs_url_path: UrlPath,
    /// How bodies may be compressed.
    pub compression_algorithms: Vec<ContentCoding>,
    /// Which pages of other origins may send, from browsers.
    pub cors: Option<CorsConfig>,
    /// What every answer has beside what it is about.
    #[serde(deserialize_with = "headers")]
    #[schemars(schema_with = "crate::config::headers::schema")]
    pub response_headers: BTreeMap<String, Secret>,
    /// The time that a whole request may take to come; 0 for as long as it comes fast enough.
    #[serde(with = "AnyDuration")]
    pub read_timeout: Duration,
    /// The time that a sender may leave its answer unread; 0 for as long as it lives.
    #[serde(with = "AnyDuration")]
    pub write_timeout: Duration,
    /// The time that the headers of a request may take from their first byte; more than 0.
    #[serde(with = "PositiveDuration")]
    pub read_header_timeout: Duration,
    /// The time that a connection may be without a request; 0 for as long as it lives.
    #[serde(with = "AnyDuration")]
    pub idle_timeout: Duration,
    /// Whether a connection of HTTP/1 may have more than one request.
    pub keep_alives_enabled: bool,
    /// How connections are protected; not at all unless it is given.
    pub tls: Option<TlsServerConfig>,
    /// Who is let in; everybody unless it is given.
    pub auth: Option<AuthConfig>,
    /// Whether processors and exporters may see the headers of requests.
    pub include_metadata: bool,
    /// What stands before the receiver: the extension `memory_limiter`, or nothing.
    pub middlewares: Vec<MiddlewareConfig>,
    /// The `artifact_server` that takes what programs put at this address, under /v1/artifacts; nothing does unless it
    /// is given.
    pub artifact_server: Option<ComponentId>,
}

impl HttpConfig {
    /// What it listens on.
    pub fn socket(&self) -> Result<Socket, InvalidSocket> {
        Socket::of(self.transport, &self.endpoint)
    }

    /// The largest body in bytes.
    pub fn max_request_body_size(&self) -> usize {
        usize::try_from(self.max_request_body_size.as_u64()).unwrap_or(usize::MAX)
    }

    /// What connections are made of, without what is seen to at every request of theirs.
    pub(crate) fn of_connections(&self) -> Self {
        let Self {
            max_request_body_size,
            max_items,
            traces_url_path,
            metrics_url_path,
            logs_url_path,
            compression_algorithms,
            cors,
            response_headers,
            read_timeout,
            auth,
            include_metadata,
            middlewares,
            artifact_server,
            ..
        } = Self::default();
        Self {
            max_request_body_size,
            max_items,
            traces_url_path,
            metrics_url_path,
            logs_url_path,
            compression_algorithms,
            cors,
            response_headers,
            read_timeout,
            auth,
            include_metadata,
            middlewares,
            artifact_server,
            ..self.clone()
        }
    }

    /// Where requests of a signal are sent to. As in the Collector, there is no key for profiles.
    pub fn url_path(&self, signal: Signal) -> &str {
        match signal {
            Signal::Traces => self.traces_url_path.as_str(),
            Signal::Metrics => self.metrics_url_path.as_str(),
            Signal::Logs => self.logs_url_path.as_str(),
            Signal::Profiles => signal.http_path(),
        }
    }

    /// What does not fit together: a key, and what is wrong with it.
    pub(crate) fn mistake(&self) -> Option<(&'static str, String)> {
        let [traces, metrics, logs] = [
            ("traces_url_path", &self.traces_url_path),
            ("metrics_url_path", &self.metrics_url_path),
            ("logs_url_path", &self.logs_url_path),
        ];
        let pairs = [(metrics, traces), (logs, traces), (logs, metrics)];
        let of_profiles = Signal::Profiles.http_path();
        let paths = [traces, metrics, logs];
        if let Some((key, path)) = paths.into_iter().find(|one| one.1.as_str() == of_profiles) {
            return Some((
                key,
                format!("{path} is where profiles are sent to: a path is of one signal"),
            ));
        }
        let of_artifacts = paths
            .into_iter()
            .find(|one| is_of_artifacts(one.1.as_str()));
        if let (Some((key, path)), Some(server)) = (of_artifacts, &self.artifact_server) {
            return Some((
                key,
                format!("{path} is where {server} takes artifacts: a path is of one of them"),
            ));
        }
        let same = pairs.into_iter().find(|(one, other)| one.1 == other.1);
        if let Some(((key, path), (other, _))) = same {
            return Some((
                key,
                format!("{path} is also {other}: a path is of one signal"),
            ));
        }
        self.compression_algorithms.is_empty().then(|| {
            let message =
                "leaves no body that is taken: \"\" stands for those that are not compressed";
            ("compression_algorithms", message.to_owned())
        })
    }
}

impl Default for HttpConfig {
    fn default() -> Self {
        let path = |signal: Signal| UrlPath(signal.http_path().to_owned());
        Self {
            endpoint: "127.0.0.1:4318".to_owned(),
            transport: Transport::default(),
            max_request_body_size: ByteSize::mib(64),
            max_items: 100_000,
            max_connections: 1000,
            max_connections_per_address: None,
            max_strangers_per_address: None,
            traces_url_path: path(Signal::Traces),
            metrics_url_path: path(Signal::Metrics),
            logs_url_path: path(Signal::Logs),
            compression_algorithms: ContentCoding::ALL.to_vec(),
            cors: None,
            response_headers: BTreeMap::new(),
            read_timeout: Duration::ZERO,
            write_timeout: Duration::from_secs(30),
            read_header_timeout: Duration::from_secs(10),
            // Longer than the minute that SDKs leave between two exports of metrics.
            idle_timeout: Duration::from_mins(5),
            keep_alives_enabled: true,
            tls: None,
            auth: None,
            include_metadata: false,
            middlewares: Vec::new(),
            artifact_server: None,
        }
    }
}

/// The path of a URL, as it stands in a request. It is compared as it is: nothing is decoded, and no
/// slash is added or left out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(try_from = "String", into = "String")]
#[schemars(with = "String", extend("pattern" = "^/[^?#]*$"))]
pub struct UrlPath(String);

/// No path of a URL.
#[derive(Debug, thiserror::Error)]
#[error("\"{0}\" is not the path of a URL: use one such as /v1/traces")]
pub struct InvalidPath(String);

impl UrlPath {
    /// The path.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl From<UrlPath> for String {
    fn from(path: UrlPath) -> Self {
        path.0
    }
}

impl TryFrom<String> for UrlPath {
    type Error = InvalidPath;

    fn try_from(text: String) -> Result<Self, InvalidPath> {
        let is_path = text.starts_with('/')
            && !text.contains(['?', '#'])
            && PathAndQuery::try_from(text.as_str()).is_ok();
        if is_path {
            Ok(Self(text))
        } else {
            Err(InvalidPath(text))
        }
    }
}

impl fmt::Display for UrlPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A compression, by the name that `Content-Encoding` has for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum ContentCoding {
    /// None, and no header says so.
    #[serde(rename = "")]
    Identity,
    /// `gzip`
    Gzip,
    /// `zstd`
    Zstd,
    /// `zlib`, which the Collector knows beside its name in HTTP.
    Zlib,
    /// `deflate`, which means zlib in HTTP.
    Deflate,
    /// `snappy`: a block; a stream, as older Collectors send it, is read as well.
    Snappy,
    /// `x-snappy-framed`: a stream.
    #[serde(rename = "x-snappy-framed")]
    SnappyFramed,
    /// `lz4`: frames.
    Lz4,
}

impl ContentCoding {
    /// Every one.
    pub const ALL: [Self; 8] = [
        Self::Identity,
        Self::Gzip,
        Self::Zstd,
        Self::Zlib,
        Self::Deflate,
        Self::Snappy,
        Self::SnappyFramed,
        Self::Lz4,
    ];

    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Identity => "",
            Self::Gzip => "gzip",
            Self::Zstd => "zstd",
            Self::Zlib => "zlib",
            Self::Deflate => "deflate",
            Self::Snappy => "snappy",
            Self::SnappyFramed => "x-snappy-framed",
            Self::Lz4 => "lz4",
        }
    }

    /// What it is.
    pub fn compression(self) -> Option<Compression> {
        match self {
            Self::Identity => None,
            Self::Gzip => Some(Compression::Gzip),
            Self::Zstd => Some(Compression::Zstd),
            Self::Zlib | Self::Deflate => Some(Compression::Deflate),
            Self::Snappy => Some(Compression::Snappy),
            Self::SnappyFramed => Some(Compression::SnappyFramed),
            Self::Lz4 => Some(Compression::Lz4),
        }
    }
}

/// Which pages of other origins may send, from browsers.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct CorsConfig {
    /// Their origins; `*` stands for any text. None may where the list is empty.
    pub allowed_origins: Vec<AnyCaseGlob>,
    /// The headers that they may send beside those of OTLP; `*` stands for all.
    #[serde(deserialize_with = "header_names")]
    pub allowed_headers: Vec<String>,
    /// The headers of answers that they may read.
    #[serde(deserialize_with = "header_names")]
    pub exposed_headers: Vec<String>,
    /// The seconds for which a browser may remember that; 0 leaves it to the browser.
    #[serde(with = "Between::<0, 31_536_000>")]
    pub max_age: u32,
}

impl CorsConfig {
    /// The keys that are set in vain, because no page may send.
    pub(crate) fn idle(&self) -> impl Iterator<Item = &'static str> {
        let may_none_send = self.allowed_origins.is_empty();
        let keys = [
            ("allowed_headers", !self.allowed_headers.is_empty()),
            ("exposed_headers", !self.exposed_headers.is_empty()),
            ("max_age", self.max_age > 0),
        ];
        let set = keys
            .into_iter()
            .filter(move |(_, is_set)| *is_set && may_none_send);
        set.map(|(key, _)| key)
    }
}

fn header_names<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<String>, D::Error> {
    let names = Vec::<String>::deserialize(deserializer)?;
    let wrong = names
        .iter()
        .find(|name| *name != "*" && HeaderName::from_bytes(name.as_bytes()).is_err());
    match wrong {
        Some(name) => Err(D::Error::custom(format!("\"{name}\" is not a header name"))),
        None => Ok(names),
    }
}
