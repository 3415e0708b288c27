use std::convert::Infallible;
use std::fmt;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bytes::Bytes;
use futures::stream;
use http::uri::{Authority, PathAndQuery};
use http::{HeaderMap, HeaderValue, Method, Request, Response, Uri, Version, header};
use http_body::Frame;
use http_body_util::{BodyExt as _, Limited, StreamBody};
use slimspan_proto::Signal;
use tonic::body::Body;
use tonic::transport::Channel;
use tonic::{Status, TimeoutExpired};
use tower::{Service as _, ServiceExt as _};

use super::config::{Compression as Configured, OtlpGrpcConfig};
use super::{Place, naming};
use crate::answer::Answer;
use crate::auth::Credentials;
use crate::broken::{root, said};
use crate::compression::Compression;
use crate::compute::{self, Panicked};
use crate::config::headers::to_map;
use crate::exporters::secrets::Secrets;
use crate::grpc::message;
use crate::refusal::{Culprit, Refusal};
use crate::telemetry::traces::Onward;
use crate::tls::{ClientTls, Connector, TlsError};

/// The largest answer that is read (OTLP specification: clients must limit it).
const ANSWER: usize = 4 << 20;

/// Messages above this size are compressed where they do not hold up other requests.
const INLINE: usize = 64 * 1024;

/// What is spoken over TLS.
const ALPN: &[&str] = &["h2"];

/// The same question as with `keepalive`, asked by the system.
const TCP_KEEPALIVE: Duration = Duration::from_secs(30);

/// Why an exporter cannot be set up.
#[derive(Debug, thiserror::Error)]
pub enum SetupError {
    /// The endpoint is no URI.
    #[error("endpoint: {0}")]
    Endpoint(#[from] http::uri::InvalidUri),
    /// The name of the backend is none.
    #[error("authority: {0}")]
    Authority(http::uri::InvalidUri),
    /// Connections cannot be protected. The text begins with the key to change.
    #[error(transparent)]
    Tls(#[from] TlsError),
}

/// Sends requests to one backend over one connection, which is made when it is first needed and
/// made again when it breaks.
pub struct OtlpGrpcExporter {
    /// The component's id, for messages.
    name: String,
    /// Where it is configured.
    path: String,
    backend: String,
    channel: Channel,
    headers: HeaderMap,
    compression: Option<Compression>,
    timeout: Duration,
}

/// A request in its frame, compressed.
#[derive(Debug, Clone)]
pub struct Prepared {
    signal: Signal,
    parts: [Bytes; 2],
}

impl OtlpGrpcExporter {
    /// Sets the connection up without making it.
    pub fn new(name: impl Into<String>, config: &OtlpGrpcConfig) -> Result<Self, SetupError> {
        let name = name.into();
        let path = format!("exporters.{name}");
        Self::at(path, name, config)
    }

    /// The same for one that is configured at a path of its own.
    pub fn at(
        path: impl Into<String>,
        name: impl Into<String>,
        config: &OtlpGrpcConfig,
    ) -> Result<Self, SetupError> {
        let (path, name) = (path.into(), name.into());
        let tls = config.uses_tls();
        let scheme = if tls { "https" } else { "http" };
        let place = &config.endpoint.place;
        let called = place.authority();
        let backend = match place {
            Place::Tcp(address) => format!("{scheme}://{address}"),
            Place::Unix(_) | Place::Abstract(_) => place.to_string(),
        };
        let authority = config.authority.as_deref().map(str::parse::<Authority>);
        let authority = authority.transpose().map_err(SetupError::Authority)?;
        let tls = tls.then(|| {
            let tls = ClientTls::new(path.clone(), &config.tls, ALPN)?;
            match &authority {
                Some(authority) => tls.or_named(naming::host(authority)),
                None => Ok(tls),
            }
        });
        let tls = tls.transpose()?.map(Arc::new);
        // As with clients in Go, a backend is called by the name that its certificate is to have.
        let certified = config.tls.server_name_override.as_deref();
        let certified = certified.filter(|_| tls.is_some());
        let origin = match (&authority, certified) {
            (Some(authority), _) => format!("{scheme}://{authority}"),
            (None, Some(name)) => format!("{scheme}://{}", naming::of_certificate(name)),
            (None, None) => format!("{scheme}://{called}"),
        };
        let connector = match place.local() {
            Some(path) => Connector::at(path, tls, config.timeout),
            None => Connector::new(tls, config.timeout, TCP_KEEPALIVE),
        };
        // The connector protects, and not the transport, which would look for TLS of its own in a
        // URI that says so. What requests say of themselves is the truth.
        let channel = Channel::from_shared(format!("http://{called}"))?
            .origin(Uri::from_maybe_shared(origin.into_bytes())?)
            .http2_keep_alive_interval(config.keepalive.time)
            .keep_alive_timeout(config.keepalive.timeout)
            .keep_alive_while_idle(config.keepalive.permit_without_stream)
            .connect_with_connector_lazy(connector);
        Ok(Self {
            name,
            path,
            backend,
            channel,
            headers: headers(config),
            compression: match config.compression {
                Configured::Gzip => Some(Compression::Gzip),
                Configured::Zstd => Some(Compression::Zstd),
                // What gRPC calls snappy is the stream, as Go's library for it has it.
                Configured::Snappy => Some(Compression::SnappyFramed),
                Configured::None => None,
            },
            timeout: config.timeout,
        })
    }

    /// A request as it goes over the wire, to be sent once or more.
    pub async fn prepare(&self, signal: Signal, request: Bytes) -> Result<Prepared, Refusal> {
        let parts = self.compress(request).await?;
        Ok(Prepared { signal, parts })
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
        let Prepared { signal, parts } = prepared.clone();
        let begun = Arc::new(AtomicBool::new(false));
        let mut request = self.request(signal, parts, credentials, limit, Arc::clone(&begun))?;
        onward.apply(request.headers_mut());
        let outcome = match tokio::time::timeout(limit, self.call(request, limit)).await {
            Ok(outcome) => outcome,
            Err(_) => Err(self.timed_out(limit)),
        };
        // Whoever has seen nothing of the message does not have it.
        let begun = begun.load(Ordering::Relaxed);
        outcome.map_err(|refusal| {
            let is_in_doubt = begun && refusal.is_in_doubt();
            let is_unreached = !begun && refusal.is_unreached();
            refusal.in_doubt(is_in_doubt).unreached(is_unreached)
        })
    }

    async fn call(&self, request: Request<Body>, limit: Duration) -> Result<Answer, Refusal> {
        let secrets = Secrets::of(request.headers());
        let broken = |error: tonic::transport::Error| self.broken(&error, limit);
        let mut channel = self.channel.clone();
        let channel = channel.ready().await.map_err(broken)?;
        let response = channel.call(request).await.map_err(broken)?;
        let answer = self.answer(response, &secrets).await?;
        Ok(secrets.redact_answer(Answer::from(answer)))
    }

    /// Flag, length and bytes of the message.
    async fn compress(&self, message: Bytes) -> Result<[Bytes; 2], Refusal> {
        let len = message.len();
        let bytes = match self.compression {
            None => Ok(message),
            Some(compression) if len <= INLINE => compression.compress(&message).map(Bytes::from),
            Some(compression) => {
                let work = move || compression.compress(&message).map(Bytes::from);
                compute::run(work).await.unwrap_or_else(Panicked::go_on)
            }
        };
        let bytes =
            bytes.map_err(|error| self.unavailable(format_args!("compression failed: {error}")))?;
        let prefix = message::announce(self.compression.is_some(), bytes.len())
            .ok_or_else(|| Refusal::too_large(len, u32::MAX as usize, "a gRPC message"))?;
        Ok([prefix, bytes])
    }

    fn request(
        &self,
        signal: Signal,
        parts: [Bytes; 2],
        credentials: Credentials<'_>,
        limit: Duration,
        begun: Arc<AtomicBool>,
    ) -> Result<Request<Body>, Refusal> {
        let frames = parts.into_iter().map(move |part| {
            begun.store(true, Ordering::Relaxed);
            Ok::<_, Status>(Frame::data(part))
        });
        let mut request = Request::new(Body::new(StreamBody::new(stream::iter(frames))));
        *request.method_mut() = Method::POST;
        *request.version_mut() = Version::HTTP_2;
        *request.uri_mut() = Uri::from(PathAndQuery::from_static(signal.grpc_path()));
        let headers = request.headers_mut();
        *headers = self.headers.clone();
        credentials.apply(headers)?;
        let timeout = format!("{}m", limit.as_millis().min(99_999_999));
        if let Ok(timeout) = HeaderValue::from_str(&timeout) {
            headers.insert("grpc-timeout", timeout);
        }
        Ok(request)
    }

    async fn answer(&self, response: Response<Body>, secrets: &Secrets) -> Result<Bytes, Refusal> {
        let refused = |status: &Status| {
            let told = secrets.redact(status.message());
            let details = Bytes::copy_from_slice(status.details());
            let status = Status::with_details(status.code(), told, details);
            Err(Refusal::of_backend(&self.name, &status))
        };
        let (head, body) = response.into_parts();
        if head.status != http::StatusCode::OK {
            return Err(Refusal::of_http(&self.name, head.status, &head.headers));
        }
        if let Some(status) = Status::from_header_map(&head.headers) {
            // Without a message there is no success either.
            return refused(&status);
        }
        let body = Limited::new(body, ANSWER + message::PREFIX).collect().await;
        let body = body.map_err(|error| {
            let error = root(error.as_ref());
            self.unavailable(format_args!("its answer broke: {error}"))
        })?;
        match body.trailers().and_then(Status::from_header_map) {
            Some(status) if status.code() == tonic::Code::Ok => {}
            Some(status) => return refused(&status),
            None => return Err(self.unavailable("its answer ends without a grpc-status")),
        }
        let message = message::parse(&body.to_bytes(), ANSWER)
            .map_err(|_| self.unavailable("its answer is not one gRPC message"))?;
        if !message.compressed {
            return Ok(message.bytes);
        }
        // Servers in Go answer in the compression that they were asked in.
        let encoding = head.headers.get("grpc-encoding").map(HeaderValue::as_bytes);
        let compression = encoding.and_then(|name| Compression::of_header(name).ok().flatten());
        compression
            .and_then(|compression| {
                let free = |_| Ok::<(), Infallible>(());
                compression.decompress(&message.bytes, ANSWER, free).ok()
            })
            .ok_or_else(|| self.unavailable("its answer cannot be decompressed"))
    }

    fn broken(&self, error: &(dyn std::error::Error + 'static), limit: Duration) -> Refusal {
        // The outermost message of these errors is "transport error".
        let mut cause = error;
        while let Some(source) = cause.source() {
            cause = source;
        }
        // The transport has clocks of its own, for the call and for the connection. They run as
        // long as ours and are sometimes faster.
        let connect = cause.downcast_ref::<io::Error>();
        if cause.is::<TimeoutExpired>()
            || connect.is_some_and(|error| error.kind() == io::ErrorKind::TimedOut)
        {
            return self.timed_out(limit);
        }
        // Unless it had begun to go out.
        self.unavailable(said(cause)).unreached(true)
    }

    fn timed_out(&self, limit: Duration) -> Refusal {
        let refusal = if limit < self.timeout {
            self.unavailable(format_args!(
                "no answer in the {limit:?} that its sender had left to wait"
            ))
        } else {
            self.unavailable(format_args!(
                "no answer within {limit:?}; see {}.timeout",
                self.path
            ))
        };
        refusal.unreached(true)
    }

    fn unavailable(&self, reason: impl fmt::Display) -> Refusal {
        Refusal::unavailable(
            Culprit::Backend,
            format!("{}: backend {}: {reason}", self.name, self.backend),
        )
        .in_doubt(true)
    }
}

/// Where requests go, for people.
impl fmt::Display for OtlpGrpcExporter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.backend)
    }
}

/// Without headers: they hold credentials.
impl fmt::Debug for OtlpGrpcExporter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OtlpGrpcExporter")
            .field("name", &self.name)
            .field("backend", &self.backend)
            .finish_non_exhaustive()
    }
}

/// The headers that all requests have.
fn headers(config: &OtlpGrpcConfig) -> HeaderMap {
    let mut headers = to_map(&config.headers);
    let encoding = match config.compression {
        Configured::Gzip => Some("gzip"),
        Configured::Zstd => Some("zstd"),
        Configured::Snappy => Some("snappy"),
        Configured::None => None,
    };
    if let Some(encoding) = encoding {
        headers.insert("grpc-encoding", HeaderValue::from_static(encoding));
    }
    let agent = config.user_agent.as_deref();
    if let Some(agent) = agent.and_then(|agent| HeaderValue::from_str(agent).ok()) {
        headers.insert(header::USER_AGENT, agent);
    }
    // One among `headers` holds, too, and the transport adds its own name to any.
    let agent = headers.entry(header::USER_AGENT);
    agent.or_insert(HeaderValue::from_static(concat!(
        "slimspan/",
        env!("CARGO_PKG_VERSION")
    )));
    headers.insert(
        header::CONTENT_TYPE,
        HeaderValue::from_static("application/grpc"),
    );
    headers.insert(
        "grpc-accept-encoding",
        HeaderValue::from_static(Compression::ACCEPTED),
    );
    headers.insert(header::TE, HeaderValue::from_static("trailers"));
    headers
}
