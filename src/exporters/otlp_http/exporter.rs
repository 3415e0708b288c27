use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bytes::Bytes;
use http::header::{CONNECTION, CONTENT_ENCODING, CONTENT_TYPE, HOST, USER_AGENT};
use http::{HeaderMap, HeaderValue, Version};
use slimspan_proto::Signal;
use slimspan_proto::json::{self, WriteError};
use tokio::sync::Semaphore;
use tokio::time::Instant;

use super::answer::{self, Said};
use super::client::{Destination, SetupError};
use super::config::{Compression as Configured, Encoding, OtlpHttpConfig};
use crate::admission::Budget;
use crate::answer::Answer;
use crate::auth::Credentials;
use crate::broken::root;
use crate::compression::Compression;
use crate::compute::{self, Panicked};
use crate::config::headers::to_map;
use crate::exporters::secrets::Secrets;
use crate::refusal::{Culprit, Refusal};
use crate::telemetry::traces::Onward;
use crate::tls::ClientTls;

/// Requests above this size are encoded and compressed where they do not hold up others.
const INLINE: usize = 64 * 1024;

/// Sends requests to one backend, by connections that are made when they are first needed.
pub struct OtlpHttpExporter {
    /// The component's id, for messages.
    name: String,
    /// Where it is configured.
    path: String,
    destinations: BTreeMap<Signal, Destination>,
    headers: HeaderMap,
    work: Arc<Work>,
    timeout: Duration,
    connections: Option<Connections>,
}

/// A request as it goes over the wire.
#[derive(Debug, Clone)]
pub struct Prepared {
    signal: Signal,
    body: Bytes,
}

/// What is done to a request before it is sent.
#[derive(Debug)]
struct Work {
    name: String,
    encoding: Encoding,
    compression: Option<Compression>,
    level: u8,
    /// Whether it was told that JSON cannot hold everything.
    lossy: AtomicBool,
    /// What JSON takes its memory of.
    budget: Option<Budget>,
}

/// Bounds connections. With HTTP/1.1 each carries one request at a time; with HTTP/2 one carries all.
struct Connections {
    free: Semaphore,
    one_carries_all: AtomicBool,
}

impl OtlpHttpExporter {
    /// Sets the connections up without making them.
    pub fn new(name: impl Into<String>, config: &OtlpHttpConfig) -> Result<Self, SetupError> {
        let name = name.into();
        let path = format!("exporters.{name}");
        Self::at(path, name, config)
    }

    /// The same for one that is configured at a path of its own.
    pub fn at(
        path: impl Into<String>,
        name: impl Into<String>,
        config: &OtlpHttpConfig,
    ) -> Result<Self, SetupError> {
        let (path, name) = (path.into(), name.into());
        let limit = config.max_conns_per_host;
        let urls = Signal::ALL.map(|signal| Some((signal, config.url_of(signal)?)));
        let urls: Vec<_> = urls.into_iter().flatten().collect();
        let protocols: &[_] = if config.offers_http2() {
            &["h2", "http/1.1"]
        } else {
            &["http/1.1"]
        };
        let protected = urls.iter().any(|(_, url)| url.as_url().scheme() == "https");
        let tls = protected.then(|| {
            let tls = ClientTls::new(path.clone(), &config.tls, protocols);
            tls.map(Arc::new)
        });
        let tls = tls.transpose()?;
        let mut destinations = BTreeMap::new();
        for (signal, url) in urls {
            destinations.insert(signal, Destination::new(config, url, tls.clone())?);
        }
        let work = Work {
            name: name.clone(),
            encoding: config.encoding,
            compression: compression(config),
            level: config.level(),
            lossy: AtomicBool::new(false),
            budget: None,
        };
        Ok(Self {
            name,
            path,
            destinations,
            headers: headers(config),
            work: Arc::new(work),
            timeout: config.timeout,
            connections: (limit > 0).then(|| Connections {
                free: Semaphore::new(limit as usize),
                one_carries_all: AtomicBool::new(false),
            }),
        })
    }

    /// The same that takes memory for JSON of `budget`.
    #[must_use]
    pub fn charging(mut self, budget: &Budget) -> Self {
        if let Some(work) = Arc::get_mut(&mut self.work) {
            work.budget = Some(budget.clone());
        }
        self
    }

    /// Encodes and compresses a request, to be sent once or more.
    pub async fn prepare(&self, signal: Signal, request: Bytes) -> Result<Prepared, Refusal> {
        let work = Arc::clone(&self.work);
        let body = if request.len() <= INLINE {
            work.run(signal, request)
        } else {
            let done = compute::run(move || work.run(signal, request)).await;
            done.unwrap_or_else(Panicked::go_on)
        }?;
        Ok(Prepared { signal, body })
    }

    /// Sends a request once; returns the backend's answer. It is given up after `timeout`, or after
    /// `left`, where less than that is left of its sender's time.
    pub async fn send(
        &self,
        prepared: &Prepared,
        credentials: Credentials<'_>,
        onward: &Onward,
        left: Option<Duration>,
    ) -> Result<Answer, Refusal> {
        let limit = left.map_or(self.timeout, |left| left.min(self.timeout));
        let Some(to) = self.destinations.get(&prepared.signal) else {
            let signal = prepared.signal;
            return Err(Refusal::unimplemented(format!(
                "{}: there is no endpoint for {signal}",
                self.name
            )));
        };
        let mut headers = self.headers.clone();
        credentials.apply(&mut headers)?;
        onward.apply(&mut headers);
        match tokio::time::timeout(limit, self.call(to, prepared, headers, limit)).await {
            Ok(outcome) => outcome,
            Err(_) => Err(self.timed_out(to, limit)),
        }
    }

    async fn call(
        &self,
        to: &Destination,
        prepared: &Prepared,
        headers: HeaderMap,
        limit: Duration,
    ) -> Result<Answer, Refusal> {
        let start = Instant::now();
        let _connection = match &self.connections {
            Some(connections) if !connections.one_carries_all.load(Ordering::Relaxed) => {
                connections.free.acquire().await.ok()
            }
            _ => None,
        };
        let request = to.client().post(to.url.clone());
        let secrets = Secrets::of(&headers);
        let response = match request
            .headers(headers)
            .body(prepared.body.clone())
            .send()
            .await
        {
            Ok(response) => response,
            // The client has a clock of its own for connecting. It is sometimes the faster.
            Err(error) => {
                let refusal = if error.is_timeout() {
                    self.timed_out(to, limit)
                } else {
                    self.unavailable(to, root(&error))
                };
                // Without a connection nothing has left.
                let is_unreached = error.is_connect();
                return Err(refusal.in_doubt(!is_unreached).unreached(is_unreached));
            }
        };
        if let Some(connections) = &self.connections {
            let is_one = response.version() == Version::HTTP_2;
            connections.one_carries_all.store(is_one, Ordering::Relaxed);
        }
        let left = limit.saturating_sub(start.elapsed());
        match answer::read(&self.name, &secrets, response, left).await {
            Said::Answer(answer) => Ok(answer),
            Said::Refused(refusal) => Err(refusal),
            Said::Unclear(why) => Err(self.unavailable(to, why)),
        }
    }

    fn timed_out(&self, to: &Destination, limit: Duration) -> Refusal {
        if limit < self.timeout {
            let reason = format!("no answer in the {limit:?} that its sender had left to wait");
            return self.unavailable(to, reason);
        }
        let path = &self.path;
        let reason = format!("no answer within {limit:?}; see {path}.timeout");
        self.unavailable(to, reason)
    }

    fn unavailable(&self, to: &Destination, reason: impl fmt::Display) -> Refusal {
        Refusal::unavailable(
            Culprit::Backend,
            format!("{}: backend {}: {reason}", self.name, to.shown),
        )
        .in_doubt(true)
    }
}

impl Work {
    fn run(&self, signal: Signal, request: Bytes) -> Result<Bytes, Refusal> {
        let body = match self.encoding {
            Encoding::Proto => request,
            Encoding::Json => self.json(signal, &request)?,
        };
        let Some(compression) = self.compression else {
            return Ok(body);
        };
        let compressed = compression.compress_at(self.level, &body);
        compressed
            .map(Bytes::from)
            .map_err(|error| self.failed(&error))
    }

    fn json(&self, signal: Signal, request: &[u8]) -> Result<Bytes, Refusal> {
        let mut lease = self.budget.as_ref().map(Budget::lease_for_copy);
        let mut refused = None;
        let mut more = |bytes| match lease.as_mut().map(|lease| lease.try_charge(bytes)) {
            Some(Err(refusal)) => {
                refused = Some(refusal);
                false
            }
            _ => true,
        };
        let written = json::write_charging(signal, request, &mut more);
        let written = written.map_err(|error| match error {
            WriteError::Malformed(error) => error.into(),
            WriteError::NoMemory(bytes) => self.no_memory(bytes, refused),
            error @ WriteError::NoSchema(_) => {
                Refusal::unimplemented(format!("{}: {error}", self.name))
            }
        })?;
        let (unknown, replaced) = (written.unknown, written.replaced);
        if unknown + replaced > 0 && !self.lossy.swap(true, Ordering::Relaxed) {
            tracing::warn!(
                "{}: JSON cannot hold {unknown} unknown fields and {replaced} texts that are no UTF-8 \
                 of a request, and so it may be with others, which is not told again; encoding: proto \
                 holds all",
                self.name
            );
        }
        let text = Bytes::from(written.text);
        Ok(match lease {
            Some(lease) => lease.hold(text),
            None => text,
        })
    }

    /// What cannot ever have the memory that its text needs goes in parts.
    fn no_memory(&self, bytes: usize, refused: Option<Refusal>) -> Refusal {
        let limit = self.budget.as_ref().map_or(u64::MAX, Budget::limit);
        match refused {
            Some(refusal) if (bytes as u64) < limit / 2 => refusal,
            _ => {
                let limit = usize::try_from(limit / 2).unwrap_or(usize::MAX);
                Refusal::too_large(bytes, limit, "half of memory_limiter.limit_mib, as JSON")
            }
        }
    }

    fn failed(&self, error: &dyn fmt::Display) -> Refusal {
        let reason = format!("{}: a request cannot be encoded: {error}", self.name);
        Refusal::unavailable(Culprit::Slimspan, reason)
    }
}

/// Where requests go, for people.
impl fmt::Display for OtlpHttpExporter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut comma = "";
        for to in self.destinations.values() {
            write!(f, "{comma}{}", to.shown)?;
            comma = ", ";
        }
        Ok(())
    }
}

/// Without headers: they hold credentials.
impl fmt::Debug for OtlpHttpExporter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OtlpHttpExporter")
            .field("name", &self.name)
            .field("backend", &self.to_string())
            .finish_non_exhaustive()
    }
}

fn compression(config: &OtlpHttpConfig) -> Option<Compression> {
    match config.compression {
        Configured::Gzip => Some(Compression::Gzip),
        Configured::Zstd => Some(Compression::Zstd),
        // HTTP has one name for it.
        Configured::Deflate | Configured::Zlib => Some(Compression::Deflate),
        Configured::Snappy => Some(Compression::Snappy),
        Configured::SnappyFramed => Some(Compression::SnappyFramed),
        Configured::Lz4 => Some(Compression::Lz4),
        Configured::None => None,
    }
}

/// The headers that all requests have.
fn headers(config: &OtlpHttpConfig) -> HeaderMap {
    let mut headers = HeaderMap::new();
    let agent = concat!("slimspan/", env!("CARGO_PKG_VERSION"));
    headers.insert(USER_AGENT, HeaderValue::from_static(agent));
    headers.extend(to_map(&config.headers));
    if !config.names_host() {
        headers.remove(HOST);
    }
    headers.insert(
        CONTENT_TYPE,
        HeaderValue::from_static(config.encoding.content_type()),
    );
    if let Some(compression) = compression(config) {
        headers.insert(
            CONTENT_ENCODING,
            HeaderValue::from_static(compression.name()),
        );
    }
    if config.disable_keep_alives {
        headers.insert(CONNECTION, HeaderValue::from_static("close"));
    }
    headers
}
