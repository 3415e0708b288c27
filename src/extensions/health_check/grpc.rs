//! Health over gRPC: `grpc.health.v1.Health`, which balancers and probes of Kubernetes know.

use std::collections::BTreeSet;
use std::convert::Infallible;
use std::io;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use futures::StreamExt as _;
use futures::stream::{self, BoxStream};
use http::{HeaderMap, HeaderValue, Request, Response, StatusCode, header};
use http_body::Frame;
use http_body_util::{BodyExt as _, Limited, StreamBody};
use hyper::body::Incoming;
use hyper::server::conn::http2;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use prost::Message as _;
use tokio::sync::watch;
use tokio::time::timeout;

use crate::extensions::listener::{Listener, SILENCE, Stream};
use crate::grpc::message::{self, PREFIX};
use crate::telemetry::{Counters, Phase};

/// What is spoken over TLS.
pub const ALPN: &[&str] = &["h2"];

const CHECK: &str = "/grpc.health.v1.Health/Check";
const WATCH: &str = "/grpc.health.v1.Health/Watch";

/// The name that the Collector has for its extensions, beside those of pipelines and none for all.
const EXTENSIONS: &str = "extensions";

/// The largest question, which has the name of a pipeline.
const LARGEST: usize = 4 << 10;

/// Room for the headers of a question.
const HEADERS: u32 = 16 << 10;

/// The questions that a connection may have open at a time.
const QUESTIONS: u32 = 32;

/// How long who watches may be silent before it is asked whether it is there, and how long it has to say so.
const PING: Duration = Duration::from_secs(30);
const PONG: Duration = Duration::from_secs(20);

/// Codes of gRPC.
const OK: u8 = 0;
const CANCELLED: u8 = 1;
const INVALID_ARGUMENT: u8 = 3;
const DEADLINE_EXCEEDED: u8 = 4;
const NOT_FOUND: u8 = 5;
const UNIMPLEMENTED: u8 = 12;

/// What `HealthCheckResponse` says.
const SERVING: u8 = 1;
const NOT_SERVING: u8 = 2;
const SERVICE_UNKNOWN: u8 = 3;

/// `HealthCheckRequest`
#[derive(Clone, PartialEq, prost::Message)]
struct Question {
    /// A pipeline, such as `traces/internal`; all of slimspan where it is empty.
    #[prost(string, tag = "1")]
    service: String,
}

type Body = StreamBody<BoxStream<'static, Result<Frame<Bytes>, Infallible>>>;

/// Who can be asked about, and how it is.
#[derive(Debug)]
pub struct Health {
    counters: Arc<Counters>,
    known: BTreeSet<String>,
}

impl Health {
    /// Tells of slimspan and these pipelines.
    pub fn new(counters: Arc<Counters>, pipelines: impl IntoIterator<Item = String>) -> Self {
        let others = [String::new(), EXTENSIONS.to_owned()];
        Self {
            counters,
            known: pipelines.into_iter().chain(others).collect(),
        }
    }

    /// Answers who connects to `listener` until it is dropped.
    pub async fn serve(self, listener: Listener) {
        let health = Arc::new(self);
        listener
            .speak(move |stream| connection(Arc::clone(&health), stream))
            .await;
    }

    async fn answer(&self, request: Request<Incoming>, call: Call) -> Response<Body> {
        let kind = request.headers().get(header::CONTENT_TYPE);
        if !kind.is_some_and(|kind| kind.as_bytes().starts_with(b"application/grpc")) {
            let mut response = Response::new(StreamBody::new(stream::empty().boxed()));
            *response.status_mut() = StatusCode::UNSUPPORTED_MEDIA_TYPE;
            return response;
        }
        let watches = match request.uri().path() {
            CHECK => false,
            WATCH => true,
            _ => {
                let why = "there is no such method: grpc.health.v1.Health has Check and Watch";
                return ended(UNIMPLEMENTED, why);
            }
        };
        let service = match question(request.into_body()).await {
            Ok(Question { service }) => service,
            Err((code, why)) => return ended(code, why),
        };
        let is_known = self.known.contains(&service);
        if watches {
            let watching = Watching {
                phases: self.counters.phases(),
                is_known,
                told: None,
                is_over: false,
                _call: call,
            };
            return answered(stream::unfold(watching, Watching::next).map(Ok).boxed());
        }
        if !is_known {
            return ended(NOT_FOUND, "there is no such pipeline");
        }
        let told = told(status(is_known, self.counters.phase()));
        answered(stream::iter([Ok(told), Ok(end(OK, ""))]).boxed())
    }
}

/// Speaks with one who asks, until nothing was asked for a while and nobody watches.
async fn connection(health: Arc<Health>, stream: Stream) -> io::Result<()> {
    let calls = Arc::new(Calls::default());
    let counted = Arc::clone(&calls);
    let service = service_fn(move |request: Request<Incoming>| {
        let (health, call) = (Arc::clone(&health), Call::begin(&counted));
        async move { Ok::<_, Infallible>(health.answer(request, call).await) }
    });
    let connection = http2::Builder::new(TokioExecutor::new())
        .timer(TokioTimer::new())
        .max_concurrent_streams(QUESTIONS)
        .max_header_list_size(HEADERS)
        .keep_alive_interval(PING)
        .keep_alive_timeout(PONG)
        .serve_connection(TokioIo::new(stream), service);
    let mut connection = pin!(connection);
    let mut begun = 0;
    loop {
        if let Ok(ended) = timeout(SILENCE, connection.as_mut()).await {
            return ended.map_err(io::Error::other);
        }
        let now = calls.begun.load(Ordering::Relaxed);
        if now == begun && calls.open.load(Ordering::Relaxed) == 0 {
            break;
        }
        begun = now;
    }
    connection.as_mut().graceful_shutdown();
    let ended = timeout(SILENCE, connection).await;
    ended.map_or(Ok(()), |ended| ended.map_err(io::Error::other))
}

/// The calls of a connection.
#[derive(Debug, Default)]
struct Calls {
    begun: AtomicU64,
    open: AtomicU64,
}

/// A call that is open as long as this is there.
#[derive(Debug)]
struct Call(Arc<Calls>);

impl Call {
    fn begin(calls: &Arc<Calls>) -> Self {
        calls.begun.fetch_add(1, Ordering::Relaxed);
        calls.open.fetch_add(1, Ordering::Relaxed);
        Self(Arc::clone(calls))
    }
}

impl Drop for Call {
    fn drop(&mut self) {
        self.0.open.fetch_sub(1, Ordering::Relaxed);
    }
}

/// One who is told whenever it changes.
#[derive(Debug)]
struct Watching {
    phases: watch::Receiver<Phase>,
    is_known: bool,
    told: Option<u8>,
    is_over: bool,
    _call: Call,
}

impl Watching {
    /// What it is told next, as soon as there is something to tell; at last that slimspan stops.
    async fn next(mut self) -> Option<(Frame<Bytes>, Self)> {
        if self.is_over {
            return None;
        }
        loop {
            let phase = *self.phases.borrow_and_update();
            let now = status(self.is_known, phase);
            if self.told != Some(now) {
                self.told = Some(now);
                return Some((told(now), self));
            }
            if phase == Phase::Stopping || self.phases.changed().await.is_err() {
                self.is_over = true;
                return Some((end(CANCELLED, "slimspan stops"), self));
            }
        }
    }
}

/// As in the Collector, what may pass does not make anything unwell.
fn status(is_known: bool, phase: Phase) -> u8 {
    match phase {
        _ if !is_known => SERVICE_UNKNOWN,
        Phase::Running => SERVING,
        Phase::Starting | Phase::Stopping => NOT_SERVING,
    }
}

/// The only message of a call; a code and why where it is none.
async fn question(body: Incoming) -> Result<Question, (u8, &'static str)> {
    let body = Limited::new(body, PREFIX + LARGEST).collect();
    let body = timeout(SILENCE, body).await;
    let body = body.map_err(|_| (DEADLINE_EXCEEDED, "the question does not come"))?;
    let body = body.map_err(|_| (INVALID_ARGUMENT, "the question broke, or is too large"))?;
    let message = message::parse(&body.to_bytes(), LARGEST);
    let message = message.map_err(|_| (INVALID_ARGUMENT, "the question is not one message"))?;
    if message.compressed {
        return Err((UNIMPLEMENTED, "no compressed question is read"));
    }
    Question::decode(message.bytes)
        .map_err(|_| (INVALID_ARGUMENT, "the question is no HealthCheckRequest"))
}

fn answered(frames: BoxStream<'static, Result<Frame<Bytes>, Infallible>>) -> Response<Body> {
    let mut response = Response::new(StreamBody::new(frames));
    let kind = HeaderValue::from_static("application/grpc");
    response.headers_mut().insert(header::CONTENT_TYPE, kind);
    response
}

fn ended(code: u8, why: &'static str) -> Response<Body> {
    answered(stream::iter([Ok(end(code, why))]).boxed())
}

fn told(status: u8) -> Frame<Bytes> {
    // Not compressed, of two bytes: the first field, which is this number.
    Frame::data(Bytes::copy_from_slice(&[0, 0, 0, 0, 2, 8, status]))
}

fn end(code: u8, why: &'static str) -> Frame<Bytes> {
    let mut trailers = HeaderMap::new();
    trailers.insert("grpc-status", HeaderValue::from(u16::from(code)));
    if !why.is_empty() {
        trailers.insert("grpc-message", HeaderValue::from_static(why));
    }
    Frame::trailers(trailers)
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use std::net::SocketAddr;

    use http_body_util::Full;
    use hyper::client::conn::http2::SendRequest;
    use tokio::io::AsyncReadExt as _;
    use tokio::net::{TcpListener, TcpStream};
    use tokio::task::JoinHandle;

    use super::*;

    type Asking = SendRequest<Full<Bytes>>;

    async fn serving(counters: &Arc<Counters>) -> SocketAddr {
        let socket = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let listener = Listener::on(socket).unwrap();
        let address = listener.address();
        let pipelines = ["traces", "logs/b"].map(ToOwned::to_owned);
        tokio::spawn(Health::new(Arc::clone(counters), pipelines).serve(listener));
        address
    }

    /// A connection, and what ends with it.
    async fn connect(address: SocketAddr) -> (Asking, JoinHandle<hyper::Result<()>>) {
        let stream = TcpStream::connect(address).await.unwrap();
        let builder = hyper::client::conn::http2::Builder::new(TokioExecutor::new());
        let (asking, connection) = builder.handshake(TokioIo::new(stream)).await.unwrap();
        (asking, tokio::spawn(connection))
    }

    fn framed(flag: u8, message: &[u8]) -> Bytes {
        let len = u32::try_from(message.len()).unwrap().to_be_bytes();
        Bytes::from([&[flag], &len[..], message].concat())
    }

    fn of(service: &str) -> Bytes {
        let service = service.to_owned();
        framed(0, &Question { service }.encode_to_vec())
    }

    async fn ask(asking: &mut Asking, path: &str, body: Bytes) -> Incoming {
        let request = Request::post(format!("http://localhost{path}"));
        let request = request.header(header::CONTENT_TYPE, "application/grpc");
        let request = request.body(Full::new(body)).unwrap();
        let response = asking.send_request(request).await.unwrap();
        assert_eq!(response.status(), 200);
        assert_eq!(response.headers()[header::CONTENT_TYPE], "application/grpc");
        response.into_body()
    }

    /// What is told next: what it is, or the code at the end.
    async fn next(body: &mut Incoming) -> Result<u8, String> {
        let frame = timeout(SILENCE, body.frame()).await.unwrap();
        let frame = frame.unwrap().unwrap();
        match frame.into_data() {
            Ok(data) => {
                assert_eq!((&data[..6], data.len()), (&[0, 0, 0, 0, 2, 8][..], 7));
                Ok(data[6])
            }
            Err(frame) => {
                let trailers = frame.into_trailers().unwrap();
                Err(trailers["grpc-status"].to_str().unwrap().to_owned())
            }
        }
    }

    #[tokio::test]
    async fn who_asks_is_told_how_it_is() {
        let counters = Arc::new(Counters::default());
        let (mut asking, _connection) = connect(serving(&counters).await).await;
        for (phase, status) in [
            (Phase::Starting, NOT_SERVING),
            (Phase::Running, SERVING),
            (Phase::Stopping, NOT_SERVING),
        ] {
            counters.enter(phase);
            for service in ["", "traces", "logs/b", EXTENSIONS] {
                let mut body = ask(&mut asking, CHECK, of(service)).await;
                assert_eq!(next(&mut body).await, Ok(status), "{service}");
                assert_eq!(next(&mut body).await, Err(OK.to_string()));
            }
            for service in ["logs", "Traces"] {
                let mut body = ask(&mut asking, CHECK, of(service)).await;
                assert_eq!(next(&mut body).await, Err(NOT_FOUND.to_string()));
            }
        }
        for (path, body, code) in [
            ("/grpc.health.v1.Health/List", of(""), UNIMPLEMENTED),
            (CHECK, Bytes::new(), INVALID_ARGUMENT),
            (CHECK, framed(1, &[]), UNIMPLEMENTED),
            (CHECK, framed(0, b"\x0a\x05x"), INVALID_ARGUMENT),
            (CHECK, framed(0, &[0; LARGEST + 1]), INVALID_ARGUMENT),
            (CHECK, Bytes::from(of("").repeat(2)), INVALID_ARGUMENT),
        ] {
            let mut body = ask(&mut asking, path, body).await;
            assert_eq!(next(&mut body).await, Err(code.to_string()));
        }
    }

    #[tokio::test]
    async fn who_watches_is_told_of_each_change_and_of_the_end() {
        let counters = Arc::new(Counters::default());
        let (mut asking, _connection) = connect(serving(&counters).await).await;
        let mut watched = ask(&mut asking, WATCH, of("traces")).await;
        let mut unknown = ask(&mut asking, WATCH, of("metrics")).await;
        assert_eq!(next(&mut watched).await, Ok(NOT_SERVING));
        assert_eq!(next(&mut unknown).await, Ok(SERVICE_UNKNOWN));
        // Nothing changes for who watches.
        counters.enter(Phase::Starting);
        counters.enter(Phase::Running);
        assert_eq!(next(&mut watched).await, Ok(SERVING));
        counters.enter(Phase::Stopping);
        assert_eq!(next(&mut watched).await, Ok(NOT_SERVING));
        for mut body in [watched, unknown] {
            assert_eq!(next(&mut body).await, Err(CANCELLED.to_string()));
            assert!(body.frame().await.is_none());
        }
    }

    /// Who says nothing is gone soon, whether it asked before or not.
    #[tokio::test]
    async fn who_is_silent_is_gone_soon() {
        let counters = Arc::new(Counters::default());
        let address = serving(&counters).await;
        let mut silent = TcpStream::connect(address).await.unwrap();
        let (mut asking, connection) = connect(address).await;
        let mut body = ask(&mut asking, CHECK, of("")).await;
        while next(&mut body).await.is_ok() {}
        tokio::time::pause();
        let both = async {
            let _ = silent.read_to_end(&mut Vec::new()).await;
            let _ = connection.await;
        };
        timeout(6 * SILENCE, both).await.unwrap();
    }

    #[tokio::test]
    async fn who_watches_may_be_silent() {
        let counters = Arc::new(Counters::default());
        let (mut asking, _connection) = connect(serving(&counters).await).await;
        let mut watched = ask(&mut asking, WATCH, of("")).await;
        assert_eq!(next(&mut watched).await, Ok(NOT_SERVING));
        tokio::time::pause();
        for _ in 0..2 {
            tokio::time::advance(SILENCE).await;
            for _ in 0..10 {
                tokio::task::yield_now().await;
            }
        }
        tokio::time::resume();
        counters.enter(Phase::Running);
        assert_eq!(next(&mut watched).await, Ok(SERVING));
        // It was not told to go, either.
        let mut body = ask(&mut asking, CHECK, of("")).await;
        assert_eq!(next(&mut body).await, Ok(SERVING));
    }
}
