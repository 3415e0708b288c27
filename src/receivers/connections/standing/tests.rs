#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::time::Duration;

use bytes::Bytes;
use http::StatusCode;
use http_body_util::{BodyExt as _, Empty};
use hyper::client::conn::http2 as client;
use hyper::server::conn::http2;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, mpsc};
use tokio::task::JoinHandle;
use tokio::time::timeout;

use super::*;
use crate::config::Secret;
use crate::receivers::connections::{Requests, Stream, Times, serve};
use crate::telemetry::Counters;
use crate::tls::config::TlsServerConfig;

const PATH: &str = "receivers.otlp.protocols.grpc";

/// Longer than anything here takes.
const LONG: Duration = Duration::from_mins(1);

/// A listener, and the connections that came by it.
struct Listener {
    socket: std::net::TcpListener,
    standings: Standings,
    /// Tells of every request that has come.
    come: (mpsc::UnboundedSender<()>, mpsc::UnboundedReceiver<()>),
}

/// Somebody who answers there.
struct Server {
    answers: Arc<Semaphore>,
    stop: CancellationToken,
    serving: JoinHandle<()>,
}

type Client = client::SendRequest<Empty<Bytes>>;

impl Listener {
    async fn open() -> Self {
        let socket = TcpListener::bind("127.0.0.1:0").await.unwrap();
        Self {
            socket: socket.into_std().unwrap(),
            standings: Standings::default(),
            come: mpsc::unbounded_channel(),
        }
    }

    fn standing(&mut self) -> Arc<Standing> {
        let limits = Limits::new(9, Some(9), Some(9), Times::default());
        self.standings.at(PATH, || Standing::new(limits, nobody))
    }

    /// Answers with `name` when there is a permit for it.
    fn served_by(&mut self, name: &'static str) -> Server {
        let listener = TcpListener::from_std(self.socket.try_clone().unwrap()).unwrap();
        let standing = self.standing();
        let (answers, stop) = (Arc::new(Semaphore::new(0)), CancellationToken::new());
        let permits = Arc::clone(&answers);
        let service = Service::new(tower::service_fn(move |_: Request<Incoming>| {
            let permits = Arc::clone(&permits);
            async move {
                permits.acquire().await.unwrap().forget();
                Ok(Response::new(Body::from(name)))
            }
        }));
        let come = self.come.0.clone();
        let speak = move |io: TokioIo<Stream>, requests: Requests, answering: Answering| {
            let come = come.clone();
            let service = service_fn(move |request: Request<Incoming>| {
                let under_way = requests.begin();
                let _ = come.send(());
                let answer = answering.clone().answer(request);
                async move { Ok::<_, Infallible>(under_way.until_sent(answer.await?)) }
            });
            http2::Builder::new(TokioExecutor::new()).serve_connection(io, service)
        };
        let serving = tokio::spawn({
            let stop = stop.clone();
            async move {
                let counters = Counters::default();
                serve(listener, standing, None, &counters, stop, service, speak).await;
            }
        });
        Server {
            answers,
            stop,
            serving,
        }
    }

    async fn client(&self) -> (Client, JoinHandle<Result<(), hyper::Error>>) {
        let address = self.socket.local_addr().unwrap();
        let stream = TcpStream::connect(address).await.unwrap();
        let handshake = client::handshake(TokioExecutor::new(), TokioIo::new(stream));
        let (client, connection) = soon(handshake).await.unwrap();
        (client, tokio::spawn(connection))
    }

    /// Waits until a request has come.
    async fn come(&mut self) {
        soon(self.come.1.recv()).await.unwrap();
    }

    /// Waits until nobody answers what comes.
    async fn unattended(&mut self) {
        let mut now = self.standings.by_path[PATH].now.subscribe();
        let nobody = now.wait_for(|now| matches!(now, Now::Nobody));
        drop(soon(nobody).await.unwrap());
    }
}

/// All connections, where these vouch for peers.
fn kept(authorities: &Authorities) -> BTreeMap<String, Authorities> {
    BTreeMap::from([(PATH.to_owned(), authorities.clone())])
}

/// Somebody who vouches for peers.
fn authority() -> Authorities {
    let signed = rcgen::generate_simple_self_signed(["peers".to_owned()]).unwrap();
    let config = TlsServerConfig {
        client_ca_pem: Some(Secret::new(signed.cert.pem())),
        ..TlsServerConfig::default()
    };
    Authorities::of(&config).unwrap()
}

fn nobody(_: &HeaderMap) -> fn() -> Response<Body> {
    || {
        let mut response = Response::new(Body::from("nobody"));
        *response.status_mut() = StatusCode::SERVICE_UNAVAILABLE;
        response
    }
}

/// Sends a request; what is answered when it is.
fn request(client: &mut Client) -> JoinHandle<Result<Bytes, hyper::Error>> {
    let answer = client.send_request(Request::new(Empty::new()));
    tokio::spawn(async move { Ok(answer.await?.into_body().collect().await?.to_bytes()) })
}

async fn soon<T>(event: impl Future<Output = T>) -> T {
    timeout(LONG, event).await.unwrap()
}

async fn answered(answer: JoinHandle<Result<Bytes, hyper::Error>>) -> Bytes {
    soon(answer).await.unwrap().unwrap()
}

#[tokio::test]
async fn a_request_that_comes_between_two_is_answered_by_the_second() {
    let mut listener = Listener::open().await;
    let first = listener.served_by("first");
    let (mut client, connection) = listener.client().await;
    let under_way = request(&mut client);
    listener.come().await;

    listener.standings.keep(&kept(&Authorities::default()));
    first.stop.cancel();
    listener.unattended().await;
    let between = request(&mut client);
    listener.come().await;
    assert!(!first.serving.is_finished(), "a request is under way");
    // More than what is under way, so that another would be answered, too.
    first.answers.add_permits(9);
    assert_eq!(answered(under_way).await, "first");
    soon(first.serving).await.unwrap();
    assert!(!between.is_finished());

    let second = listener.served_by("second");
    second.answers.add_permits(9);
    assert_eq!(answered(between).await, "second");
    assert_eq!(answered(request(&mut client)).await, "second");
    assert!(!connection.is_finished());

    // Where they are not kept they end with who answers.
    listener.standings.keep(&BTreeMap::new());
    second.stop.cancel();
    soon(second.serving).await.unwrap();
    soon(connection).await.unwrap().unwrap();
}

#[tokio::test]
async fn what_takes_too_long_is_refused_and_its_connection_stays() {
    let mut listener = Listener::open().await;
    let first = listener.served_by("first");
    let (mut client, _connection) = listener.client().await;
    let never = request(&mut client);
    listener.come().await;

    listener.standings.keep(&kept(&Authorities::default()));
    first.stop.cancel();
    listener.unattended().await;
    first.serving.abort();
    assert_eq!(answered(never).await, "nobody");

    let second = listener.served_by("second");
    second.answers.add_permits(9);
    assert_eq!(answered(request(&mut client)).await, "second");
}

/// Two reloads right behind each other: the one in between is told to end before it has begun.
#[tokio::test]
async fn who_ends_before_it_begins_takes_no_connections_along() {
    let mut listener = Listener::open().await;
    let first = listener.served_by("first");
    first.answers.add_permits(9);
    let (mut client, connection) = listener.client().await;
    assert_eq!(answered(request(&mut client)).await, "first");
    listener.standings.keep(&kept(&Authorities::default()));
    first.stop.cancel();
    soon(first.serving).await.unwrap();

    // Nothing is awaited before it is to end, so nothing of it has run.
    let second = listener.served_by("second");
    listener.standings.keep(&kept(&Authorities::default()));
    second.stop.cancel();
    soon(second.serving).await.unwrap();

    let third = listener.served_by("third");
    third.answers.add_permits(9);
    assert_eq!(answered(request(&mut client)).await, "third");
    assert!(!connection.is_finished());
}

/// Nobody is to come to where all are told to go.
#[tokio::test]
async fn who_answers_where_connections_have_ended_has_others() {
    let mut listener = Listener::open().await;
    let first = listener.served_by("first");
    first.stop.cancel();
    soon(first.serving).await.unwrap();
    assert!(listener.standings.by_path[PATH].end.is_cancelled());
    assert!(!listener.standing().end.is_cancelled());
}

/// Those of whom somebody vouched for a peer who does not any more end as if their listener had changed.
#[tokio::test]
async fn connections_stay_where_the_same_vouch_for_peers() {
    let (first, second) = (authority(), authority());
    for (vouched, now, stays) in [
        (&[&first, &first][..], &first, true),
        (&[&first][..], &second, false),
        (&[&first][..], &Authorities::default(), false),
        // Who came in between might not come now.
        (&[&first, &second, &first][..], &first, false),
    ] {
        let mut listener = Listener::open().await;
        let server = listener.served_by("first");
        server.answers.add_permits(9);
        let (mut client, connection) = listener.client().await;
        assert_eq!(answered(request(&mut client)).await, "first");
        let standing = listener.standing();
        for authorities in vouched {
            standing.vouched.come_by(authorities);
        }
        listener.standings.keep(&kept(now));
        server.stop.cancel();
        soon(server.serving).await.unwrap();
        assert_eq!(standing.end.is_cancelled(), !stays);
        if stays {
            assert!(!connection.is_finished());
        } else {
            soon(connection).await.unwrap().unwrap();
        }
    }
}

/// A stop while one configuration has ended and the other has not begun.
#[tokio::test]
async fn who_waits_for_somebody_who_does_not_come_is_told() {
    let mut listener = Listener::open().await;
    let first = listener.served_by("first");
    first.answers.add_permits(9);
    let (mut client, connection) = listener.client().await;
    assert_eq!(answered(request(&mut client)).await, "first");
    listener.come().await;

    listener.standings.keep(&kept(&Authorities::default()));
    first.stop.cancel();
    soon(first.serving).await.unwrap();
    let waiting = request(&mut client);
    listener.come().await;
    soon(listener.standings.end()).await;
    assert_eq!(answered(waiting).await, "nobody");
    soon(connection).await.unwrap().unwrap();
}

/// A stop while one configuration still answers, and none is to come: who waits for the next one does not wait for the
/// end of that one.
#[tokio::test]
async fn who_waits_while_another_ends_is_told_at_once_that_nobody_comes() {
    let mut listener = Listener::open().await;
    let first = listener.served_by("first");
    let (mut client, connection) = listener.client().await;
    let under_way = request(&mut client);
    listener.come().await;

    listener.standings.keep(&kept(&Authorities::default()));
    first.stop.cancel();
    listener.unattended().await;
    let waiting = request(&mut client);
    listener.come().await;
    listener.standings.nobody_comes();
    assert_eq!(answered(waiting).await, "nobody");
    assert!(!first.serving.is_finished(), "a request is under way");
    first.answers.add_permits(1);
    assert_eq!(answered(under_way).await, "first");
    soon(first.serving).await.unwrap();
    soon(connection).await.unwrap().unwrap();
    soon(listener.standings.end()).await;
}

/// Who ends later than that has no say.
#[tokio::test]
async fn what_is_over_stays_so() {
    let mut listener = Listener::open().await;
    let first = listener.served_by("first");
    let (mut client, _connection) = listener.client().await;
    let under_way = request(&mut client);
    listener.come().await;

    listener.standings.keep(&kept(&Authorities::default()));
    listener.standings.nobody_comes();
    first.stop.cancel();
    first.answers.add_permits(1);
    assert_eq!(answered(under_way).await, "first");
    soon(first.serving).await.unwrap();
    let now = &listener.standings.by_path[PATH].now;
    assert!(matches!(&*now.borrow(), Now::Over));
}
