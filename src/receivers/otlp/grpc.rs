//! OTLP over gRPC, with messages that stay bytes.

use std::convert::Infallible;
use std::sync::Arc;

use axum::extract::State;
use axum::routing::post;
use bytes::Bytes;
use http::request::Parts;
use http::{HeaderMap, HeaderValue, Request, Response, StatusCode, header};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use slimspan_proto::Signal;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tonic::body::Body;

use super::config::{GrpcConfig, ServerParameters};
use super::intake::Intake;
use super::metadata;
use crate::admission::Budget;
use crate::answer::Answer;
use crate::auth::Gate;
use crate::compression::Compression;
use crate::grpc::message::{self, ReadError};
use crate::pipeline::Pipelines;
use crate::receivers::connections::{
    self, Answering, Introduction, Limits, Requests, Service, Stalled, Standing, Stream,
};
use crate::receivers::heads::TooLarge;
use crate::receivers::inflow::Watched;
use crate::receivers::server::{pinned_by_connection, server};
use crate::refusal::{Culprit, Refusal};
use crate::sockets::Listening;
use crate::telemetry::Counters;
use crate::tls::ServerTls;

const LIMIT_KEY: &str = "max_recv_msg_size_mib";

/// What is spoken over TLS.
pub const ALPN: &[&str] = &["h2"];

/// A gRPC listener that is bound and does not accept yet.
#[derive(Debug)]
pub struct GrpcReceiver {
    listener: Listening,
    config: GrpcConfig,
    tls: Option<Arc<ServerTls>>,
    gate: Gate,
    standing: Arc<Standing>,
}

impl GrpcReceiver {
    /// A place for the connections of a listener.
    pub fn standing(config: &GrpcConfig) -> Standing {
        let times = config.keepalive.server_parameters.times();
        let limits = Limits::new(
            config.max_connections,
            config.max_connections_per_address,
            config.max_strangers_per_address,
            times,
        );
        Standing::new(limits, |_| || nobody().map(axum::body::Body::new))
    }

    /// Will serve what connects to `listener`, protected by `tls` if there is any.
    pub fn new(
        listener: impl Into<Listening>,
        config: GrpcConfig,
        tls: Option<ServerTls>,
        gate: Gate,
    ) -> Self {
        let standing = Arc::new(Self::standing(&config));
        Self {
            listener: listener.into(),
            config,
            tls: tls.map(Arc::new),
            gate,
            standing,
        }
    }

    /// The same, and will serve the connections that are there already.
    #[must_use]
    pub fn with_connections(self, standing: Arc<Standing>) -> Self {
        Self { standing, ..self }
    }

    /// Its connections.
    pub fn connections(&self) -> Arc<Standing> {
        Arc::clone(&self.standing)
    }

    /// The most bytes that all connections can pin beside the requests that are read from them.
    pub fn pinned_by_connections(&self) -> u64 {
        let of_tls = self
            .tls
            .as_ref()
            .map_or(0, |tls| tls.pinned_by_connection());
        let config = &self.config;
        let each = pinned_by_connection(config.max_concurrent_streams, config.include_metadata);
        (each + of_tls) * u64::from(config.max_connections)
    }

    /// Serves until `stop`, then lets requests under way end, and connections where they do not stay.
    pub async fn serve(
        self,
        pipelines: Arc<Pipelines>,
        budget: Budget,
        counters: &Counters,
        stop: CancellationToken,
    ) {
        let intake = Arc::new(Intake {
            pipelines,
            budget,
            stop: stop.clone(),
            limit: self.config.max_recv_msg_size(),
            limit_key: LIMIT_KEY,
            gate: self.gate,
        });
        let mut router = axum::Router::new().fallback(unknown_method);
        for signal in Signal::ALL {
            let export = post(
                move |State(intake): State<Arc<Intake>>, request| async move {
                    export(&intake, signal, request).await
                },
            );
            let intake = Arc::clone(&intake);
            router = router.route(signal.grpc_path(), export.with_state(intake));
        }
        let router = router.with_state(());
        let ServerParameters { time, timeout, .. } = self.config.keepalive.server_parameters;
        let mut server = server(self.config.max_concurrent_streams);
        server
            .http2()
            .keep_alive_interval(time)
            .keep_alive_timeout(timeout);
        let server = server.http2_only();
        let speak = move |io: TokioIo<Stream>, requests: Requests, answering: Answering| {
            let io = TokioIo::new(Watched::http2(io.into_inner(), requests.clone()));
            let service = service_fn(move |request: Request<Incoming>| {
                let under_way = requests.begin();
                let answer = answering.clone().answer(request);
                async move { Ok::<_, Infallible>(under_way.until_sent(answer.await?)) }
            });
            server.serve_connection(io, service).into_owned()
        };
        let service = Service::new(router);
        let (standing, tls) = (self.standing, self.tls);
        connections::serve(self.listener, standing, tls, counters, stop, service, speak).await;
    }
}

async fn export(
    intake: &Intake,
    signal: Signal,
    request: Request<axum::body::Body>,
) -> Response<Body> {
    if !metadata::is_grpc(request.headers()) {
        let mut response = Response::new(Body::default());
        *response.status_mut() = StatusCode::UNSUPPORTED_MEDIA_TYPE;
        return response;
    }
    let (head, body) = request.into_parts();
    // What is known of a request by its bytes is caught closer to them.
    let answered = answer(intake, signal, head, body);
    let what = || "reading".to_owned();
    let answered = intake.panics().guard(what, None, answered);
    match answered.await {
        Ok(answer) => success(answer.into()),
        Err(refusal) => {
            let culprit = refusal.culprit();
            tracing::debug!(%signal, %culprit, "refused: {}", refusal.in_log());
            let mut response = failure(&refusal);
            if refusal.is_stalled() {
                response.extensions_mut().insert(Stalled);
            }
            if let Some(challenge) = intake.gate.challenge(&refusal) {
                let headers = response.headers_mut();
                headers.insert(header::WWW_AUTHENTICATE, challenge);
            }
            response
        }
    }
}

async fn answer(
    intake: &Intake,
    signal: Signal,
    head: Parts,
    body: axum::body::Body,
) -> Result<Answer, Refusal> {
    let turn_away = |refusal| intake.turn_away(signal, refusal);
    TooLarge::check(&head.extensions).map_err(turn_away)?;
    metadata::check(&head.headers).map_err(turn_away)?;
    let timeout = metadata::timeout(&head.headers).map_err(turn_away)?;
    let gives_up = timeout.map(|after| Instant::now() + after);
    let client = intake.gate.admit(&head.headers).await;
    let client = client.map_err(turn_away)?;
    let span = intake.begin(signal, &head.headers);
    let compression = compression(&head.headers);
    let introduction = head.extensions.get::<Introduction>().cloned();
    // A body may take long to come, and many may take long at once.
    drop(head);
    let arrival = read(intake, compression, body);
    let introduction = introduction.as_ref();
    intake
        .take(signal, client, introduction, gives_up, span, arrival)
        .await
}

/// How the message is compressed if it says that it is.
fn compression(headers: &HeaderMap) -> Result<Option<Compression>, Refusal> {
    let Some(name) = headers.get("grpc-encoding") else {
        return Ok(None);
    };
    let compression = Compression::of_header(name.as_bytes());
    compression.map_err(|_| {
        // Without its name: nothing that was sent is told.
        let accepted = Compression::ACCEPTED;
        Refusal::unimplemented(format!(
            "this grpc-encoding is not supported; use one of {accepted}"
        ))
    })
}

/// The request, which has its share of the budget as long as it is in memory.
async fn read(
    intake: &Intake,
    compression: Result<Option<Compression>, Refusal>,
    body: axum::body::Body,
) -> Result<Bytes, Refusal> {
    let compression = compression?;
    let mut lease = intake.lease();
    let read = message::read(body, intake.limit, &mut lease).await;
    let message = read.map_err(|error| match error {
        ReadError::Malformed(reason) => Refusal::malformed(reason),
        ReadError::TooLarge { announced } => intake.too_large(announced),
        ReadError::Arriving(error) => error.into(),
    })?;
    let bytes = lease.hold(message.bytes);
    match (message.compressed, compression) {
        (false, _) => Ok(bytes),
        (true, None) => Err(Refusal::malformed(
            "the message is compressed, but no grpc-encoding says how",
        )),
        (true, Some(compression)) => intake.decompress(compression, bytes).await,
    }
}

/// What a request is told that came when one configuration had ended, and that no other took.
fn nobody() -> Response<Body> {
    failure(&Intake::nobody())
}

async fn unknown_method() -> Response<Body> {
    failure(&Refusal::unimplemented(
        "there is no such method: the services of OTLP have Export",
    ))
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
