//! An OTLP backend that records what it gets and answers what a test wants, over gRPC and over HTTP.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use axum::routing::post;
use bytes::Bytes;
use futures::FutureExt as _;
use futures::future::BoxFuture;
use http::request::Parts;
use http::{HeaderMap, HeaderValue, Request, Response, StatusCode, Version};
use http_body_util::{BodyExt as _, Full};
use prost::Message as _;
use slimspan_proto::Signal;
use tokio::net::TcpListener;
use tokio::runtime::Runtime;
use tokio::sync::{Semaphore, watch};
use tonic::body::Body;
use tonic::service::Routes;
use tonic::transport::server::{TcpConnectInfo, TcpIncoming, TlsConnectInfo};
use tonic::transport::{Server, ServerTlsConfig};
use tonic::{Code, Status};
use tonic_types::StatusExt as _;

use super::{frames, soon};

/// A request as the backend got it.
#[derive(Debug, Clone)]
pub(crate) struct Received {
    pub(crate) signal: Signal,
    /// Without frame and compression.
    pub(crate) message: Bytes,
    /// The `grpc-encoding` of a compressed message.
    pub(crate) encoding: Option<String>,
    pub(crate) headers: HeaderMap,
    pub(crate) version: Version,
    /// Path and query.
    pub(crate) path: String,
    /// What the backend is called in it, over HTTP/2.
    pub(crate) authority: Option<String>,
    /// The certificate that its sender has shown (DER), if it was asked for one.
    pub(crate) shown: Option<Vec<u8>>,
}

/// The response message or the refusal.
pub(crate) type Answer = Result<Bytes, Status>;

/// What goes back over the wire, which need not be gRPC.
pub(crate) enum Reply {
    Answer(Answer),
    Raw(Response<Body>),
}

/// Which of the requests are kept for the test to look at.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Keep {
    All,
    Nothing,
}

type Record = Arc<dyn Fn(&Received) + Send + Sync>;

type Script = Arc<dyn Fn(Received) -> BoxFuture<'static, Reply> + Send + Sync>;

/// A running backend. What it has accepted or refused is told by [`Backend::received`] from the
/// moment of its arrival. It runs in threads of its own and dies with them.
pub(crate) struct Backend {
    pub(crate) address: SocketAddr,
    received: watch::Receiver<Vec<Received>>,
    runtime: Option<Runtime>,
}

impl Backend {
    /// An address that the system chooses.
    pub(crate) const ANYWHERE: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 0);

    /// Accepts everything.
    pub(crate) async fn start() -> Self {
        Self::answering(|_| Ok(Bytes::new())).await
    }

    /// Answers at once.
    pub(crate) async fn answering(
        answer: impl Fn(Received) -> Answer + Send + Sync + 'static,
    ) -> Self {
        Self::scripted(move |received| {
            let answer = answer(received);
            async move { answer }
        })
        .await
    }

    /// Accepts everything, each request when the semaphore has a permit for it.
    pub(crate) async fn gated(gate: &Arc<Semaphore>) -> Self {
        Self::gated_at(Self::ANYWHERE, gate).await
    }

    /// The same at an address that another backend had.
    pub(crate) async fn gated_at(address: SocketAddr, gate: &Arc<Semaphore>) -> Self {
        let gate = Arc::clone(gate);
        Self::scripted_at(address, move |_| {
            let gate = Arc::clone(&gate);
            async move {
                gate.acquire().await.unwrap().forget();
                Ok(Bytes::new())
            }
        })
        .await
    }

    /// Never answers.
    pub(crate) async fn hanging() -> Self {
        Self::scripted(|_| std::future::pending()).await
    }

    /// Answers what `script` comes to.
    pub(crate) async fn scripted<F>(script: impl Fn(Received) -> F + Send + Sync + 'static) -> Self
    where
        F: Future<Output = Answer> + Send + 'static,
    {
        Self::serve(Self::ANYWHERE, None, Keep::All, answer_of(script)).await
    }

    /// Replies what `script` comes to, which need not be an answer.
    pub(crate) async fn replying<F>(script: impl Fn(Received) -> F + Send + Sync + 'static) -> Self
    where
        F: Future<Output = Reply> + Send + 'static,
    {
        Self::serve(Self::ANYWHERE, None, Keep::All, script).await
    }

    /// Replies at once.
    pub(crate) async fn replying_with(
        reply: impl Fn(Received) -> Reply + Send + Sync + 'static,
    ) -> Self {
        Self::replying(move |received| std::future::ready(reply(received))).await
    }

    /// Replies what `script` comes to, which need not be an answer. [`Backend::received`] has
    /// nothing of it: who sends mebibytes for hours keeps what is needed.
    pub(crate) async fn replying_at<F>(
        address: SocketAddr,
        script: impl Fn(Received) -> F + Send + Sync + 'static,
    ) -> Self
    where
        F: Future<Output = Reply> + Send + 'static,
    {
        Self::serve(address, None, Keep::Nothing, script).await
    }

    /// Accepts everything, over TLS.
    pub(crate) async fn with_tls(tls: ServerTlsConfig) -> Self {
        Self::serve(Self::ANYWHERE, Some(tls), Keep::All, answer_of(accept)).await
    }

    /// Replies what `script` comes to, over TLS.
    pub(crate) async fn replying_over_tls<F>(
        tls: ServerTlsConfig,
        script: impl Fn(Received) -> F + Send + Sync + 'static,
    ) -> Self
    where
        F: Future<Output = Reply> + Send + 'static,
    {
        Self::serve(Self::ANYWHERE, Some(tls), Keep::All, script).await
    }

    /// Accepts everything at an address that another backend had.
    pub(crate) async fn start_at(address: SocketAddr) -> Self {
        Self::serve(address, None, Keep::All, answer_of(accept)).await
    }

    /// Answers what `script` comes to, at an address that another backend had.
    pub(crate) async fn scripted_at<F>(
        address: SocketAddr,
        script: impl Fn(Received) -> F + Send + Sync + 'static,
    ) -> Self
    where
        F: Future<Output = Answer> + Send + 'static,
    {
        Self::serve(address, None, Keep::All, answer_of(script)).await
    }

    async fn serve<F>(
        address: SocketAddr,
        tls: Option<ServerTlsConfig>,
        keep: Keep,
        script: impl Fn(Received) -> F + Send + Sync + 'static,
    ) -> Self
    where
        F: Future<Output = Reply> + Send + 'static,
    {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .unwrap();
        let bind = runtime.spawn(TcpListener::bind(address));
        let listener = bind.await.unwrap().unwrap();
        let address = listener.local_addr().unwrap();
        let (record, received) = watch::channel(Vec::new());
        let record = Arc::new(record);
        let record = move |received: &Received| {
            if keep == Keep::All {
                record.send_modify(|all| all.push(received.clone()));
            }
        };
        let record: Record = Arc::new(record);
        let script: Script = Arc::new(move |received| Box::pin(script(received)));
        let mut router = axum::Router::new();
        for signal in Signal::ALL {
            let (record, script) = (Arc::clone(&record), Arc::clone(&script));
            let export = move |request| export(signal, record, script, request);
            router = router.route(signal.grpc_path(), post(export));
        }
        // The last word of a path is the signal, whatever stands before it.
        router = router.fallback(move |request| export_http(record, script, request));
        let mut server = Server::builder().accept_http1(true);
        if let Some(tls) = tls {
            server = server.tls_config(tls).unwrap();
        }
        let server = server.add_routes(Routes::from(router));
        runtime.spawn(async move {
            server
                .serve_with_incoming(TcpIncoming::from(listener))
                .await
                .unwrap();
        });
        Self {
            address,
            received,
            runtime: Some(runtime),
        }
    }

    /// What has arrived so far.
    pub(crate) fn received(&self) -> Vec<Received> {
        self.received.borrow().clone()
    }

    /// How many that are.
    pub(crate) fn count(&self) -> usize {
        self.received.borrow().len()
    }

    /// The message of one of them, by its number.
    pub(crate) fn message(&self, number: usize) -> Bytes {
        self.received.borrow()[number].message.clone()
    }

    /// Waits for as many requests; returns all of them.
    pub(crate) async fn arrived(&self, count: usize) -> Vec<Received> {
        let mut received = self.received.clone();
        let arrived = received.wait_for(|received| received.len() >= count);
        soon("the backend gets a request", arrived)
            .await
            .unwrap()
            .clone()
    }

    /// The message of the only request that has arrived.
    pub(crate) fn only(&self) -> Bytes {
        let [only] = <[_; 1]>::try_from(self.received()).unwrap();
        only.message
    }

    /// Ends it as `kill -9` would; returns when its port is free.
    pub(crate) async fn kill(mut self) {
        if let Some(runtime) = self.runtime.take() {
            let end = move || runtime.shutdown_timeout(Duration::from_secs(10));
            tokio::task::spawn_blocking(end).await.unwrap();
        }
    }
}

impl Drop for Backend {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

fn accept(_: Received) -> std::future::Ready<Answer> {
    std::future::ready(Ok(Bytes::new()))
}

fn answer_of<F: Future<Output = Answer>>(
    script: impl Fn(Received) -> F,
) -> impl Fn(Received) -> futures::future::Map<F, fn(Answer) -> Reply> {
    move |received| script(received).map(Reply::Answer as fn(Answer) -> Reply)
}

async fn export(
    signal: Signal,
    record: Record,
    script: Script,
    request: Request<axum::body::Body>,
) -> Response<Body> {
    let (head, body) = request.into_parts();
    let Ok(body) = body.collect().await else {
        return Status::cancelled("the request broke off").into_http();
    };
    let (flag, mut message) = frames::unframe(&body.to_bytes());
    let mut encoding = None;
    if flag == 1 {
        let name = head.headers["grpc-encoding"].to_str().unwrap();
        message = frames::decompress(frames::of_grpc(name), &message).into();
        encoding = Some(name.to_owned());
    }
    let received = Received {
        signal,
        message,
        shown: shown(&head),
        encoding: encoding.clone(),
        headers: head.headers,
        version: head.version,
        path: head.uri.to_string(),
        authority: head.uri.authority().map(ToString::to_string),
    };
    record(&received);
    match script(received).await {
        Reply::Answer(Ok(message)) => success(&message, encoding),
        Reply::Answer(Err(status)) => status.into_http(),
        Reply::Raw(response) => response,
    }
}

/// What the other side of the connection has shown of itself.
fn shown(head: &Parts) -> Option<Vec<u8>> {
    let tls = head.extensions.get::<TlsConnectInfo<TcpConnectInfo>>()?;
    let certificates = tls.peer_certs()?;
    certificates.first().map(|first| first.to_vec())
}

/// The same over HTTP.
async fn export_http(
    record: Record,
    script: Script,
    request: Request<axum::body::Body>,
) -> Response<Body> {
    let (head, body) = request.into_parts();
    let last = head.uri.path().rsplit('/').next().unwrap_or_default();
    let Some(signal) = Signal::ALL.into_iter().find(|signal| signal.name() == last) else {
        return answer_http(StatusCode::NOT_FOUND, Bytes::new());
    };
    let Ok(body) = body.collect().await else {
        return answer_http(StatusCode::BAD_REQUEST, Bytes::new());
    };
    let mut message = body.to_bytes();
    let encoding = head.headers.get("content-encoding");
    let encoding = encoding.map(|name| name.to_str().unwrap().to_owned());
    if let Some(name) = &encoding {
        message = frames::decompress(name, &message).into();
    }
    let received = Received {
        signal,
        message,
        shown: shown(&head),
        encoding,
        headers: head.headers,
        version: head.version,
        path: head.uri.path_and_query().unwrap().to_string(),
        authority: head.uri.authority().map(ToString::to_string),
    };
    record(&received);
    match script(received).await {
        Reply::Answer(Ok(message)) => answer_http(StatusCode::OK, message),
        Reply::Answer(Err(status)) => refuse_http(&status),
        Reply::Raw(response) => response,
    }
}

/// A refusal as servers map it to HTTP (OTLP specification, "Failures").
pub(crate) fn refuse_http(status: &Status) -> Response<Body> {
    let delay = status.get_details_retry_info();
    let delay = delay.and_then(|info| info.retry_delay);
    let http = match (status.code(), delay) {
        (Code::ResourceExhausted, None) => StatusCode::PAYLOAD_TOO_LARGE,
        (Code::ResourceExhausted, Some(_)) => StatusCode::TOO_MANY_REQUESTS,
        (Code::Unavailable, _) => StatusCode::SERVICE_UNAVAILABLE,
        (Code::Unauthenticated, _) => StatusCode::UNAUTHORIZED,
        (Code::PermissionDenied, _) => StatusCode::FORBIDDEN,
        (Code::Internal, _) => StatusCode::INTERNAL_SERVER_ERROR,
        _ => StatusCode::BAD_REQUEST,
    };
    let body = tonic_types::Status {
        code: status.code().into(),
        message: status.message().to_owned(),
        details: Vec::new(),
    };
    let mut response = answer_http(http, body.encode_to_vec().into());
    if let Some(delay) = delay {
        let seconds = delay.as_secs() + u64::from(delay.subsec_nanos() > 0);
        response.headers_mut().insert("retry-after", seconds.into());
    }
    response
}

fn answer_http(status: StatusCode, body: Bytes) -> Response<Body> {
    let mut response = Response::new(Body::new(Full::from(body)));
    *response.status_mut() = status;
    let protobuf = HeaderValue::from_static("application/x-protobuf");
    response.headers_mut().insert("content-type", protobuf);
    response
}

/// An answer in the compression of the request, as servers in Go answer.
fn success(message: &[u8], encoding: Option<String>) -> Response<Body> {
    let frame = match &encoding {
        Some(name) if !message.is_empty() => {
            frames::frame(1, &frames::compress(frames::of_grpc(name), message))
        }
        _ => frames::frame(0, message),
    };
    let body = Full::new(frame).with_trailers(async {
        let mut trailers = HeaderMap::new();
        trailers.insert("grpc-status", HeaderValue::from_static("0"));
        Some(Ok::<_, std::convert::Infallible>(trailers))
    });
    let mut response = Response::new(Body::new(body));
    response
        .headers_mut()
        .insert("content-type", HeaderValue::from_static("application/grpc"));
    if let Some(name) = encoding {
        let name = HeaderValue::from_str(&name).unwrap();
        response.headers_mut().insert("grpc-encoding", name);
    }
    response
}
