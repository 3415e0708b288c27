//! OTLP over HTTP, in protobuf that stays bytes, or in JSON.

mod answer;
mod artifacts;
pub(super) mod config;
mod content;
mod cors;
mod json;
mod routes;

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use http::{Request, Response};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use slimspan_proto::Signal;
use tokio_util::sync::CancellationToken;
use tower::util::option_layer;
use tower::{Layer as _, ServiceExt as _};

use self::answer::failure;
use self::artifacts::beside;
pub(crate) use self::config::ContentCoding;
use self::config::HttpConfig;
pub(crate) use self::content::{Form, coding};
use self::routes::Routes;
use super::intake::Intake;
use crate::admission::Budget;
use crate::auth::Gate;
use crate::config::headers::to_map;
use crate::pipeline::Pipelines;
use crate::receivers::connections::{
    self, Answering, Limits, ON_THE_WAY, Requests, Service, Standing, Stream, Times,
};
use crate::receivers::inflow::Watched;
use crate::receivers::server::{pinned_by_connection, server};
use crate::sockets::Listening;
use crate::telemetry::Counters;
use crate::tls::ServerTls;

const LIMIT_KEY: &str = "max_request_body_size";

/// Requests that one connection of HTTP/2 may have under way at a time.
const STREAMS: u32 = 32;

/// What is spoken over TLS, the better one first.
pub const ALPN: &[&str] = &["h2", "http/1.1"];

/// Longer than anything lasts.
const FOR_EVER: Duration = Duration::from_hours(24 * 365);

/// An HTTP listener that is bound and does not accept yet.
#[derive(Debug)]
pub struct HttpReceiver {
    listener: Listening,
    config: HttpConfig,
    tls: Option<Arc<ServerTls>>,
    gate: Gate,
    standing: Arc<Standing>,
    /// What answers who puts artifacts here.
    artifacts: Option<Router>,
}

impl HttpReceiver {
    /// A place for the connections of a listener.
    pub fn standing(config: &HttpConfig) -> Standing {
        let times = Times {
            unread: unread(config),
            idle: Some(config.idle_timeout).filter(|idle| !idle.is_zero()),
            on_the_way: ON_THE_WAY,
            ..Times::default()
        };
        let limits = Limits::new(
            config.max_connections,
            config.max_connections_per_address,
            config.max_strangers_per_address,
            times,
        );
        Standing::new(limits, |headers| match Form::of(headers) {
            Some(Form::Protobuf) => || nobody(Form::Protobuf),
            // Who speaks neither can at least read this.
            Some(Form::Json) | None => || nobody(Form::Json),
        })
    }

    /// Will serve what connects to `listener`, protected by `tls` if there is any.
    pub fn new(
        listener: impl Into<Listening>,
        config: HttpConfig,
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
            artifacts: None,
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

    /// The same, and who puts artifacts there is answered by these, if there are any.
    #[must_use]
    pub fn with_artifacts(self, artifacts: Option<Router>) -> Self {
        Self { artifacts, ..self }
    }

    /// The most bytes that all connections can pin beside the requests that are read from them.
    pub fn pinned_by_connections(&self) -> u64 {
        let of_tls = self
            .tls
            .as_ref()
            .map_or(0, |tls| tls.pinned_by_connection());
        let each = pinned_by_connection(STREAMS, self.config.include_metadata);
        (each + of_tls) * u64::from(self.config.max_connections)
    }

    /// Serves until `stop`, then lets requests under way end, and connections where they do not stay.
    pub async fn serve(
        self,
        pipelines: Arc<Pipelines>,
        budget: Budget,
        counters: &Counters,
        stop: CancellationToken,
    ) {
        let config = self.config;
        let (head, unread) = (config.read_header_timeout, unread(&config));
        let paths = Signal::ALL.map(|signal| (config.url_path(signal).to_owned(), signal));
        let service = Arc::new(Routes {
            intake: Intake {
                pipelines,
                budget,
                stop: stop.clone(),
                limit: config.max_request_body_size(),
                limit_key: LIMIT_KEY,
                gate: self.gate,
            },
            signals: paths.into(),
            codings: config.compression_algorithms,
            headers: to_map(&config.response_headers),
            read_timeout: Some(config.read_timeout).filter(|longest| !longest.is_zero()),
        });
        let answering = tower::service_fn(move |request: Request<Incoming>| {
            let service = Arc::clone(&service);
            async move { Ok::<_, Infallible>(service.respond(request).await) }
        });
        let cors = config.cors.as_ref().and_then(cors::layer);
        let answering = option_layer(cors).layer(answering);
        let mut service = Service::new(answering.map_response(|answer| answer.map(Body::new)));
        if let Some(artifacts) = self.artifacts {
            service = beside(artifacts, to_map(&config.response_headers), service);
        }
        let mut server = server(STREAMS);
        server.http1().keep_alive(config.keep_alives_enabled);
        let speak = move |io: TokioIo<Stream>, requests: Requests, answering: Answering| {
            let stream = io.into_inner();
            let remote = connections::remote(&stream);
            let io = Watched::either(stream, requests.clone(), head, unread);
            let service = service_fn(move |mut request: Request<Incoming>| {
                if let Some(remote) = remote {
                    request.extensions_mut().insert(remote);
                }
                let under_way = requests.begin();
                let answer = answering.clone().answer(request);
                async move { Ok::<_, Infallible>(under_way.until_sent(answer.await?)) }
            });
            server
                .serve_connection(TokioIo::new(io), service)
                .into_owned()
        };
        let (standing, tls) = (self.standing, self.tls);
        connections::serve(self.listener, standing, tls, counters, stop, service, speak).await;
    }
}

/// How long an answer may be left unread.
fn unread(config: &HttpConfig) -> Duration {
    let longest = Some(config.write_timeout).filter(|longest| !longest.is_zero());
    longest.unwrap_or(FOR_EVER)
}

/// What a request is told that came when one configuration had ended, and that no other took.
fn nobody(form: Form) -> Response<Body> {
    failure(form, &Intake::nobody().into()).map(Body::new)
}
