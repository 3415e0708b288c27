//! OTLP over gRPC, on tonic's transport with messages that stay bytes.

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
use slimspan_proto::Signal;
use tokio::net::TcpListener;
use tokio::time::Instant;
use tonic::body::Body;
use tonic::service::Routes;
use tonic::transport::Server;
use tonic::transport::server::TcpIncoming;

use super::config::GrpcConfig;
use crate::admission::Budget;
use crate::compute;
use crate::grpc::compression::{Compression, DecompressError};
use crate::grpc::message::{self, ReadError};
use crate::pipeline::Pipelines;
use crate::refusal::{Culprit, Refusal};

/// What a stream, and a connection, may send before it is read. It bounds what a stranger can pin
/// in memory, and throughput over distance: one stream reaches 100 MB/s at 10 ms of round trip.
const STREAM_WINDOW: u32 = 1 << 20;
const CONNECTION_WINDOW: u32 = 4 << 20;
/// Large frames spare work on large requests; senders that honour it are three times cheaper.
const FRAME_SIZE: u32 = 1 << 20;
const HEADER_LIST_SIZE: u32 = 16 << 10;
/// Resets that a peer causes and has not caused us to forget yet (RUSTSEC-2024-0003, "rapid
/// reset" and its relatives): a connection with more is closed.
const PENDING_RESETS: usize = 20;
const LOCAL_RESETS: usize = 1024;
const KEEPALIVE: Duration = Duration::from_secs(30);
const KEEPALIVE_TIMEOUT: Duration = Duration::from_secs(10);
/// Long-lived connections would never reach a new replica behind a load balancer.
const CONNECTION_AGE: Duration = Duration::from_mins(30);

/// How long SDKs wait for an answer unless they are told otherwise.
const PATIENCE: Duration = Duration::from_secs(10);

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

    /// Serves until `stop`, then lets requests under way end.
    pub async fn serve(
        self,
        pipelines: Arc<Pipelines>,
        budget: Budget,
        stop: impl Future<Output = ()>,
    ) -> Result<(), tonic::transport::Error> {
        let service = Arc::new(Service {
            limit: self.config.max_recv_msg_size(),
            pipelines,
            budget,
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
        let incoming = TcpIncoming::from(self.listener)
            .with_nodelay(Some(true))
            .with_keepalive(Some(KEEPALIVE));
        Server::builder()
            .max_concurrent_streams(self.config.max_concurrent_streams)
            .initial_stream_window_size(STREAM_WINDOW)
            .initial_connection_window_size(CONNECTION_WINDOW)
            .max_frame_size(FRAME_SIZE)
            .http2_max_header_list_size(HEADER_LIST_SIZE)
            .http2_max_pending_accept_reset_streams(Some(PENDING_RESETS))
            .http2_max_local_error_reset_streams(Some(LOCAL_RESETS))
            .http2_keepalive_interval(Some(KEEPALIVE))
            .http2_keepalive_timeout(Some(KEEPALIVE_TIMEOUT))
            .max_connection_age(CONNECTION_AGE)
            .add_routes(Routes::from(router))
            .serve_with_incoming_shutdown(incoming, stop)
            .await
    }
}

#[derive(Debug)]
struct Service {
    limit: usize,
    pipelines: Arc<Pipelines>,
    budget: Budget,
}

impl Service {
    async fn export(&self, signal: Signal, request: Request<axum::body::Body>) -> Response<Body> {
        if !is_grpc(request.headers()) {
            let mut response = Response::new(Body::default());
            *response.status_mut() = StatusCode::UNSUPPORTED_MEDIA_TYPE;
            return response;
        }
        match self.answer(signal, request).await {
            Ok(message) => success(message),
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
    ) -> Result<Bytes, Refusal> {
        let deadline = Instant::now() + patience(request.headers())?;
        let request = self.read(request).await?;
        self.pipelines.consume(signal, request, deadline).await
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
        let mut lease = self.budget.lease();
        let expand = move || {
            let mut size = 0;
            let expanded = compression.decompress(&message, |bytes| {
                size += bytes;
                if size > limit {
                    return Err(Refusal::too_large(
                        format_args!("more than {limit}"),
                        limit,
                        LIMIT_KEY,
                    ));
                }
                lease.try_charge(bytes)
            });
            expanded.map(|bytes| lease.hold(bytes))
        };
        let expanded = compute::run(expand).await.map_err(|error| {
            Refusal::unavailable(Culprit::Slimspan, format!("decompression failed: {error}"))
        })?;
        expanded.map_err(|error| match error {
            DecompressError::Malformed(error) => {
                Refusal::malformed(format!("the message is not sound {compression}: {error}"))
            }
            DecompressError::Refused(refusal) => refusal,
        })
    }
}

async fn unknown_method(request: Request<axum::body::Body>) -> Response<Body> {
    let path = request.uri().path();
    failure(&Refusal::unimplemented(format!(
        "there is no method {path}"
    )))
}

/// Whether the request is gRPC of any message format, and not gRPC-Web or the like.
fn is_grpc(headers: &HeaderMap) -> bool {
    let content_type = headers.get(header::CONTENT_TYPE);
    content_type
        .and_then(|value| value.as_bytes().strip_prefix(b"application/grpc"))
        .is_some_and(|rest| matches!(rest.first(), None | Some(b'+' | b';')))
}

/// How long the sender waits for its answer, as far as anybody should: what its `grpc-timeout`
/// says, and at most [`PATIENCE`].
fn patience(headers: &HeaderMap) -> Result<Duration, Refusal> {
    let Some(value) = headers.get("grpc-timeout") else {
        return Ok(PATIENCE);
    };
    let timeout = value.to_str().ok().and_then(|text| {
        let (number, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
        let digits = (1..=8).contains(&number.len()) && number.bytes().all(|c| c.is_ascii_digit());
        let number: u64 = digits.then(|| number.parse().ok())??;
        Some(match unit {
            "H" => Duration::from_secs(number * 3600),
            "M" => Duration::from_secs(number * 60),
            "S" => Duration::from_secs(number),
            "m" => Duration::from_millis(number),
            "u" => Duration::from_micros(number),
            "n" => Duration::from_nanos(number),
            _ => return None,
        })
    });
    timeout.map(|timeout| timeout.min(PATIENCE)).ok_or_else(|| {
        Refusal::malformed("grpc-timeout is not a number of up to 8 digits and a unit")
    })
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

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use super::*;

    #[test]
    fn patience_is_the_senders_up_to_a_limit() {
        let with = |text: &'static str| {
            let mut headers = HeaderMap::new();
            headers.insert("grpc-timeout", HeaderValue::from_static(text));
            patience(&headers)
        };
        assert_eq!(patience(&HeaderMap::new()).unwrap(), PATIENCE);
        for (text, expected) in [
            ("5S", Duration::from_secs(5)),
            ("250m", Duration::from_millis(250)),
            ("1n", Duration::from_nanos(1)),
            ("99999999H", PATIENCE),
            ("1M", PATIENCE),
        ] {
            assert_eq!(with(text).unwrap(), expected, "{text}");
        }
        for text in [
            "",
            "5",
            "S",
            "5s",
            "-1S",
            "+1S",
            "1.5S",
            "123456789n",
            "abc",
        ] {
            assert!(with(text).is_err(), "{text}");
        }
    }

    #[test]
    fn only_grpc_is_grpc() {
        for (content_type, expected) in [
            ("application/grpc", true),
            ("application/grpc+proto", true),
            ("application/grpc;x=y", true),
            ("application/grpc-web", false),
            ("application/grpcfoo", false),
            ("application/json", false),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
            assert_eq!(is_grpc(&headers), expected, "{content_type}");
        }
    }
}
