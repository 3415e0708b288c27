//! OTLP over gRPC, with messages that stay bytes.

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::State;
use axum::routing::post;
use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Request, Response, StatusCode, header};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::server::conn::http2;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use slimspan_proto::Signal;
use tokio::net::TcpListener;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tonic::body::Body;
use tower::Service as _;

use super::config::GrpcConfig;
use super::metadata;
use crate::admission::Budget;
use crate::answer::Answer;
use crate::client::Client;
use crate::compression::{Compression, DecompressError};
use crate::compute;
use crate::grpc::message::{self, ReadError};
use crate::pipeline::Pipelines;
use crate::receivers::connections::{self, Limits};
use crate::receivers::http2::Watched;
use crate::refusal::{Culprit, Refusal};
use crate::telemetry::Counters;

/// What a connection, and a stream of it, may send before it is read. It bounds what a stranger can
/// pin in memory, and throughput over distance: 100 MB/s at 10 ms of round trip.
const WINDOW: u32 = 1 << 20;
/// The largest frame: the smallest that may be told, and what most senders never exceed. Each request
/// may have one that has come and waits for memory, so large ones would pin much.
const FRAME_SIZE: u32 = 16 << 10;
const HEADER_LIST_SIZE: u32 = 16 << 10;
/// Resets that a peer causes and has not caused us to forget yet (RUSTSEC-2024-0003, "rapid
/// reset" and its relatives): a connection with more is closed.
const PENDING_RESETS: usize = 20;
const LOCAL_RESETS: usize = 1024;
const KEEPALIVE: Duration = Duration::from_secs(30);
const KEEPALIVE_TIMEOUT: Duration = Duration::from_secs(10);

/// How long SDKs wait for an answer unless they are told otherwise.
const PATIENCE: Duration = Duration::from_secs(10);

/// What an answer may take to its sender: one that leaves at the end of its patience is not heard.
/// Of a short patience it is a tenth.
const ON_THE_WAY: Duration = Duration::from_millis(500);

/// How long a request that has begun may still arrive after the stop: what is under way through the
/// network is there by then, and a sender that is told early repeats it early.
const LAST_BYTES: Duration = Duration::from_secs(1);

const LIMIT_KEY: &str = "max_recv_msg_size_mib";

/// A gRPC listener that is bound and does not accept yet.
#[derive(Debug)]
pub struct GrpcReceiver {
    listener: TcpListener,
    config: GrpcConfig,
}

impl GrpcReceiver {
    /// Binds the configured endpoint.
    pub async fn bind(config: GrpcConfig) -> io::Result<Self> {
        let endpoint = &config.endpoint;
        let listener = TcpListener::bind((endpoint.host.as_str(), endpoint.port)).await?;
        Ok(Self { listener, config })
    }

    /// Where it listens: the port is real even where port 0 was configured.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }

    /// The most bytes that all connections can pin beside the requests that are read from them: of
    /// each what is in its window, and as much again for the book-keeping of small frames; a frame
    /// that is not whole, in a buffer that doubles as it grows; and the headers of its requests, each
    /// with a frame that waits for memory.
    pub fn pinned_by_connections(&self) -> u64 {
        let streams = u64::from(self.config.max_concurrent_streams);
        let of_streams = streams * u64::from(HEADER_LIST_SIZE + FRAME_SIZE);
        let each = 2 * u64::from(WINDOW) + 2 * u64::from(FRAME_SIZE) + of_streams;
        each * u64::from(self.config.max_connections)
    }

    /// Serves until `stop`, then lets requests under way end.
    pub async fn serve(
        self,
        pipelines: Arc<Pipelines>,
        budget: Budget,
        counters: &Counters,
        stop: CancellationToken,
    ) {
        let service = Arc::new(Service {
            limit: self.config.max_recv_msg_size(),
            pipelines,
            budget,
            stop: stop.clone(),
        });
        let mut router = axum::Router::new().fallback(unknown_method);
        for signal in Signal::ALL {
            let service = Arc::clone(&service);
            let export = post(
                move |State(service): State<Arc<Service>>, request| async move {
                    service.export(signal, request).await
                },
            );
            router = router.route(signal.grpc_path(), export.with_state(service));
        }
        let router = router.with_state(());
        let limits = Limits {
            total: self.config.max_connections,
            per_address: self.config.max_connections_per_address,
        };
        let http2 = http2(&self.config);
        connections::serve(self.listener, limits, counters, stop, |io, requests| {
            let router = router.clone();
            let service = service_fn(move |request: Request<Incoming>| {
                let under_way = requests.begin();
                let answer = router.clone().call(request);
                async move { Ok::<_, Infallible>(under_way.until_sent(answer.await?)) }
            });
            http2.serve_connection(TokioIo::new(Watched::new(io.into_inner())), service)
        })
        .await;
    }
}

/// HTTP/2 with everything limited that a peer could otherwise have without limit.
fn http2(config: &GrpcConfig) -> http2::Builder<TokioExecutor> {
    let mut http2 = http2::Builder::new(TokioExecutor::new());
    http2
        .timer(TokioTimer::new())
        .max_concurrent_streams(config.max_concurrent_streams)
        .initial_stream_window_size(WINDOW)
        .initial_connection_window_size(WINDOW)
        .max_frame_size(FRAME_SIZE)
        .max_header_list_size(HEADER_LIST_SIZE)
        .max_pending_accept_reset_streams(PENDING_RESETS)
        .max_local_error_reset_streams(LOCAL_RESETS)
        .keep_alive_interval(KEEPALIVE)
        .keep_alive_timeout(KEEPALIVE_TIMEOUT);
    http2
}

#[derive(Debug)]
struct Service {
    limit: usize,
    pipelines: Arc<Pipelines>,
    budget: Budget,
    stop: CancellationToken,
}

impl Service {
    async fn export(&self, signal: Signal, request: Request<axum::body::Body>) -> Response<Body> {
        if !metadata::is_grpc(request.headers()) {
            let mut response = Response::new(Body::default());
            *response.status_mut() = StatusCode::UNSUPPORTED_MEDIA_TYPE;
            return response;
        }
        match self.answer(signal, request).await {
            Ok(answer) => success(answer.into()),
            Err(refusal) => {
                tracing::debug!(%signal, culprit = %refusal.culprit(), "refused: {refusal}");
                failure(&refusal)
            }
        }
    }

    async fn answer(
        &self,
        signal: Signal,
        request: Request<axum::body::Body>,
    ) -> Result<Answer, Refusal> {
        metadata::check(request.headers())?;
        let gives_up = metadata::timeout(request.headers())?.map(|after| Instant::now() + after);
        let request = tokio::select! {
            request = self.read(request) => request?,
            () = at(gives_up) => return Err(Refusal::too_late()),
            () = self.stopped() => return Err(Refusal::unavailable(
                Culprit::Slimspan,
                "slimspan stops, and the request had not come in time",
            )),
        };
        let now = Instant::now();
        // From here on it is taken to its end: a sender that has given up meanwhile sends it again,
        // and finds its files stored.
        let gives_up = gives_up.map_or(now + PATIENCE, |then| then.min(now + PATIENCE));
        let left = gives_up.saturating_duration_since(now);
        if left.is_zero() {
            return Err(Refusal::too_late());
        }
        let deadline = gives_up - (left / 10).min(ON_THE_WAY);
        let client = Arc::new(Client::unknown());
        self.pipelines
            .consume(signal, request, client, deadline)
            .await
    }

    /// Waits until requests that are not there yet are not waited for any more.
    async fn stopped(&self) {
        self.stop.cancelled().await;
        tokio::time::sleep(LAST_BYTES).await;
    }

    /// The request, which has its share of the budget as long as it is in memory.
    async fn read(&self, request: Request<axum::body::Body>) -> Result<Bytes, Refusal> {
        let compression = match request.headers().get("grpc-encoding") {
            None => None,
            Some(name) => Compression::of_header(name.as_bytes()).map_err(|_| {
                let name = String::from_utf8_lossy(name.as_bytes());
                let accepted = Compression::ACCEPTED;
                Refusal::unimplemented(format!(
                    "grpc-encoding \"{}\" is not supported; use one of {accepted}",
                    name.escape_debug()
                ))
            })?,
        };
        let mut lease = self.budget.lease();
        let read = message::read(request.into_body(), self.limit, &mut lease).await;
        let message = read.map_err(|error| match error {
            ReadError::Malformed(reason) => Refusal::malformed(reason),
            ReadError::TooLarge { announced } => {
                Refusal::too_large(announced, self.limit, LIMIT_KEY)
            }
            ReadError::Stalled => {
                Refusal::unavailable(Culprit::Sender, "the request stopped arriving")
            }
            ReadError::Connection(error) => Refusal::unavailable(
                Culprit::Sender,
                format!("the connection failed while the request arrived: {error}"),
            ),
            ReadError::Refused(refusal) => refusal,
        })?;
        let bytes = lease.hold(message.bytes);
        match (message.compressed, compression) {
            (false, _) => Ok(bytes),
            (true, None) => Err(Refusal::malformed(
                "the message is compressed, but no grpc-encoding says how",
            )),
            (true, Some(compression)) => self.decompress(compression, bytes).await,
        }
    }

    async fn decompress(&self, compression: Compression, message: Bytes) -> Result<Bytes, Refusal> {
        let limit = self.limit;
        let mut lease = self.budget.lease_for_more();
        let expand = move || {
            let expanded = compression.decompress(&message, limit, |bytes| lease.try_charge(bytes));
            expanded.map(|bytes| lease.hold(bytes))
        };
        let expanded = compute::run(expand).await.map_err(|error| {
            Refusal::unavailable(Culprit::Slimspan, format!("decompression failed: {error}"))
        })?;
        expanded.map_err(|error| match error {
            DecompressError::Malformed(error) => {
                Refusal::malformed(format!("the message is not sound {compression}: {error}"))
            }
            DecompressError::TooLarge => {
                Refusal::too_large(format_args!("more than {limit}"), limit, LIMIT_KEY)
            }
            DecompressError::WindowTooLarge => Refusal::too_costly(format!(
                "the message is {compression} with a window of more than 8 MiB; compress it with \
                 a smaller one"
            )),
            DecompressError::Refused(refusal) => refusal,
        })
    }
}

/// Waits until then, or for ever.
async fn at(instant: Option<Instant>) {
    match instant {
        Some(instant) => tokio::time::sleep_until(instant).await,
        None => std::future::pending().await,
    }
}

async fn unknown_method(request: Request<axum::body::Body>) -> Response<Body> {
    let path = request.uri().path();
    failure(&Refusal::unimplemented(format!(
        "there is no method {path}"
    )))
}

fn success(message: Bytes) -> Response<Body> {
    // Answers of backends are small; one that no prefix can announce is no answer.
    let Some(prefix) = message::announce(false, message.len()) else {
        return failure(&Refusal::unavailable(
            Culprit::Backend,
            "the backend's answer is too large",
        ));
    };
    let body = Full::new(Bytes::from([prefix, message].concat())).with_trailers(async {
        let mut trailers = HeaderMap::new();
        trailers.insert("grpc-status", HeaderValue::from_static("0"));
        Some(Ok::<_, Infallible>(trailers))
    });
    let mut response = Response::new(Body::new(body));
    let headers = response.headers_mut();
    headers.insert(
        header::CONTENT_TYPE,
        HeaderValue::from_static("application/grpc"),
    );
    response
}

fn failure(refusal: &Refusal) -> Response<Body> {
    let mut response: Response<Body> = refusal.to_status().into_http();
    response.headers_mut().insert(
        "grpc-accept-encoding",
        HeaderValue::from_static(Compression::ACCEPTED),
    );
    response
}
