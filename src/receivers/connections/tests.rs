#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt as _, Empty, Full};
use hyper::body::Incoming;
use hyper::client::conn::http2 as client;
use hyper::server::conn::http2;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream, duplex};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep, timeout};

use super::life::{AGE, FAREWELL, FIRST_REQUEST, LAST_REQUESTS};
use super::*;
use crate::config::Secret;
use crate::telemetry::Cut;
use crate::tls::config::{TlsClientConfig, TlsServerConfig};
use crate::tls::{Authorities, ClientTls};

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
const SETTINGS: &[u8] = &[0, 0, 0, 4, 0, 0, 0, 0, 0];
const GOAWAY: u8 = 7;

/// A connection whose requests are answered when there is a permit for them; paths are ignored.
struct Served {
    peer: DuplexStream,
    answers: Arc<Semaphore>,
    stop: CancellationToken,
    life: JoinHandle<Option<Cut>>,
}

fn served() -> Served {
    served_for(Times::default())
}

fn served_for(times: Times) -> Served {
    let (peer, ours) = duplex(1 << 20);
    let answers = Arc::new(Semaphore::new(0));
    let stop = CancellationToken::new();
    let life = tokio::spawn({
        let (answers, stop) = (Arc::clone(&answers), stop.clone());
        async move {
            let requests = Requests::default();
            let connection = connection(TokioIo::new(ours), requests.clone(), answers);
            // A test fails rather than waits for ever.
            let life = timeout(AGE * 4, live(connection, &requests, times, &stop));
            life.await.ok().flatten()
        }
    });
    Served {
        peer,
        answers,
        stop,
        life,
    }
}

fn connection<I>(
    io: I,
    requests: Requests,
    answers: Arc<Semaphore>,
) -> impl GracefulConnection<Error = hyper::Error> + Send + 'static
where
    I: hyper::rt::Read + hyper::rt::Write + Unpin + Send + 'static,
{
    let service = service_fn(move |_: Request<Incoming>| {
        let (under_way, answers) = (requests.begin(), Arc::clone(&answers));
        async move {
            answers.acquire().await.unwrap().forget();
            let answer = Response::new(Full::new(Bytes::from_static(b"done")));
            Ok::<_, Infallible>(under_way.until_sent(answer))
        }
    });
    http2::Builder::new(TokioExecutor::new()).serve_connection(io, service)
}

type Client = client::SendRequest<Empty<Bytes>>;

/// A sender that keeps to the protocol, and the end of its connection.
async fn sender(peer: DuplexStream) -> (Client, JoinHandle<Result<(), hyper::Error>>) {
    let handshake = client::handshake(TokioExecutor::new(), TokioIo::new(peer));
    let (client, connection) = handshake.await.unwrap();
    (client, tokio::spawn(connection))
}

/// Sends a request; its answer when there is one.
fn request(client: &mut Client) -> JoinHandle<Result<Bytes, hyper::Error>> {
    let answer = client.send_request(Request::new(Empty::new()));
    tokio::spawn(async move { Ok(answer.await?.into_body().collect().await?.to_bytes()) })
}

/// The types of the frames in `bytes`.
fn frames(mut bytes: &[u8]) -> Vec<u8> {
    let mut types = Vec::new();
    while let [a, b, c, kind, ..] = bytes {
        types.push(*kind);
        let length = u32::from_be_bytes([0, *a, *b, *c]) as usize;
        bytes = &bytes[9 + length..];
    }
    types
}

/// Within the time to say farewell after `expected`.
#[track_caller]
fn assert_about(took: Duration, expected: Duration) {
    assert!((expected..=expected + FAREWELL).contains(&took), "{took:?}");
}

#[tokio::test(start_paused = true)]
async fn who_says_nothing_is_closed() {
    let begun = Instant::now();
    let mut served = served();
    served.peer.read_to_end(&mut Vec::new()).await.unwrap();
    assert_about(begun.elapsed(), FIRST_REQUEST);
    assert_eq!(served.life.await.unwrap(), Some(Cut::NoRequest));
}

/// Every byte comes in time for something, and yet nothing comes of it.
#[tokio::test(start_paused = true)]
async fn who_says_it_byte_by_byte_is_closed() {
    let begun = Instant::now();
    let mut served = served();
    for byte in [PREFACE, SETTINGS].concat() {
        if served.peer.write_u8(byte).await.is_err() {
            break;
        }
        sleep(Duration::from_secs(1)).await;
    }
    served.life.await.unwrap();
    assert_about(begun.elapsed(), FIRST_REQUEST + Duration::from_secs(1));
}

/// Such as a client that connects long before it sends: it learns that it has to connect again.
#[tokio::test(start_paused = true)]
async fn who_speaks_the_protocol_and_asks_nothing_is_told_and_closed() {
    let begun = Instant::now();
    let mut served = served();
    let hello = [PREFACE, SETTINGS].concat();
    served.peer.write_all(&hello).await.unwrap();
    let mut heard = Vec::new();
    served.peer.read_to_end(&mut heard).await.unwrap();
    assert!(frames(&heard).contains(&GOAWAY), "{heard:?}");
    assert_about(begun.elapsed(), FIRST_REQUEST);
}

#[tokio::test(start_paused = true)]
async fn who_has_sent_a_request_may_be_idle_until_it_is_of_age() {
    let begun = Instant::now();
    let served = served();
    served.answers.add_permits(1);
    let (mut client, connection) = sender(served.peer).await;
    assert_eq!(request(&mut client).await.unwrap().unwrap(), "done");
    connection.await.unwrap().unwrap();
    assert_about(begun.elapsed(), AGE);
}

#[tokio::test(start_paused = true)]
async fn a_request_under_way_outlives_the_age_of_its_connection() {
    let begun = Instant::now();
    let served = served();
    let (mut client, connection) = sender(served.peer).await;
    sleep(Duration::from_secs(1)).await;
    let answer = request(&mut client);
    sleep(AGE).await;
    // It was told to send no more.
    request(&mut client).await.unwrap().unwrap_err();
    served.answers.add_permits(1);
    assert_eq!(answer.await.unwrap().unwrap(), "done");
    connection.await.unwrap().unwrap();
    assert_about(begun.elapsed(), AGE + Duration::from_secs(1));
}

#[tokio::test(start_paused = true)]
async fn a_request_that_never_ends_does_not() {
    let begun = Instant::now();
    let served = served();
    let (mut client, _connection) = sender(served.peer).await;
    let answer = request(&mut client);
    served.life.await.unwrap();
    assert_about(begun.elapsed(), AGE + LAST_REQUESTS);
    answer.await.unwrap().unwrap_err();
}

/// A shorter life, and less time for the requests that are under way at its end.
#[tokio::test(start_paused = true)]
async fn how_old_a_connection_gets_may_be_said() {
    const YOUNG: Duration = Duration::from_mins(1);
    const SHORT: Duration = Duration::from_secs(5);
    let times = Times {
        age: Some(YOUNG),
        grace: SHORT,
        ..Times::default()
    };
    let begun = Instant::now();
    let served = served_for(times);
    served.answers.add_permits(1);
    let (mut client, connection) = sender(served.peer).await;
    request(&mut client).await.unwrap().unwrap();
    connection.await.unwrap().unwrap();
    assert_about(begun.elapsed(), YOUNG);

    let begun = Instant::now();
    let served = served_for(times);
    let (mut client, _connection) = sender(served.peer).await;
    let never_answered = request(&mut client);
    assert_eq!(served.life.await.unwrap(), Some(Cut::Late));
    assert_about(begun.elapsed(), YOUNG + SHORT);
    never_answered.await.unwrap().unwrap_err();
}

#[tokio::test(start_paused = true)]
async fn a_connection_may_live_for_ever() {
    let served = served_for(Times {
        age: None,
        ..Times::default()
    });
    served.answers.add_permits(2);
    let (mut client, _connection) = sender(served.peer).await;
    request(&mut client).await.unwrap().unwrap();
    sleep(AGE * 3).await;
    assert!(!served.life.is_finished());
    request(&mut client).await.unwrap().unwrap();
}

/// A grace of one that is of age is not that of a stop.
#[tokio::test(start_paused = true)]
async fn a_stop_has_a_grace_of_its_own() {
    let served = served_for(Times {
        grace: Duration::from_millis(1),
        ..Times::default()
    });
    let (mut client, _connection) = sender(served.peer).await;
    let answer = request(&mut client);
    sleep(Duration::from_secs(1)).await;
    served.stop.cancel();
    sleep(FAREWELL * 5).await;
    served.answers.add_permits(1);
    assert_eq!(answer.await.unwrap().unwrap(), "done");
}

/// One of its requests stopped arriving: it is told to connect again, and what is under way ends.
#[tokio::test(start_paused = true)]
async fn who_lets_a_request_stall_is_told_and_closed() {
    let (peer, ours) = duplex(1 << 20);
    let (requests, stop) = (Requests::default(), CancellationToken::new());
    let answers = Arc::new(Semaphore::new(0));
    let service = service_fn({
        let (requests, answers) = (requests.clone(), Arc::clone(&answers));
        move |request: Request<Incoming>| {
            let (under_way, answers) = (requests.begin(), Arc::clone(&answers));
            async move {
                let mut answer = Response::new(Full::new(Bytes::from_static(b"done")));
                if request.headers().contains_key("stalls") {
                    answer.extensions_mut().insert(Stalled);
                } else {
                    answers.acquire().await.unwrap().forget();
                }
                Ok::<_, Infallible>(under_way.until_sent(answer))
            }
        }
    });
    let server = http2::Builder::new(TokioExecutor::new());
    let connection = server.serve_connection(TokioIo::new(ours), service);
    let life =
        tokio::spawn(async move { live(connection, &requests, Times::default(), &stop).await });
    let (mut client, connection) = sender(peer).await;
    let under_way = request(&mut client);
    sleep(FAREWELL * 5).await;
    assert!(!life.is_finished());
    let mut stalling = Request::new(Empty::new());
    let headers = stalling.headers_mut();
    headers.insert("stalls", http::HeaderValue::from_static("yes"));
    client.send_request(stalling).await.unwrap();
    sleep(FAREWELL * 5).await;
    // It was told to send no more.
    request(&mut client).await.unwrap().unwrap_err();
    assert!(!life.is_finished());
    let answered = Instant::now();
    answers.add_permits(1);
    assert_eq!(under_way.await.unwrap().unwrap(), "done");
    connection.await.unwrap().unwrap();
    assert_eq!(life.await.unwrap(), Some(Cut::Stalled));
    assert_about(answered.elapsed(), Duration::ZERO);
}

/// A peer whose window has no room for what it asked for, and that goes on asking.
#[tokio::test(start_paused = true)]
async fn who_does_not_take_its_answers_is_cut() {
    let served = served();
    served.answers.add_permits(100);
    let mut builder = client::Builder::new(TokioExecutor::new());
    builder.initial_stream_window_size(0);
    let handshake = builder.handshake::<_, Empty<Bytes>>(TokioIo::new(served.peer));
    let (mut client, connection) = handshake.await.unwrap();
    let connection = tokio::spawn(connection);
    let begun = Instant::now();
    while !served.life.is_finished() {
        assert!(begun.elapsed() < UNREAD * 2);
        drop(request(&mut client));
        sleep(UNREAD / 10).await;
    }
    let took = begun.elapsed();
    assert!((UNREAD..=UNREAD * 6 / 5).contains(&took), "{took:?}");
    drop(connection);
}

/// A peer that does not answer, not even to the question whether it has heard.
#[tokio::test(start_paused = true)]
async fn a_stop_does_not_wait_for_who_is_idle() {
    let mut served = served();
    let hello = [PREFACE, SETTINGS].concat();
    served.peer.write_all(&hello).await.unwrap();
    sleep(Duration::from_secs(1)).await;
    let stopped = Instant::now();
    served.stop.cancel();
    served.life.await.unwrap();
    assert_about(stopped.elapsed(), Duration::ZERO);
    let mut heard = Vec::new();
    served.peer.read_to_end(&mut heard).await.unwrap();
    assert!(frames(&heard).contains(&GOAWAY), "{heard:?}");
}

#[tokio::test(start_paused = true)]
async fn a_stop_waits_for_requests_under_way() {
    let served = served();
    let (mut client, connection) = sender(served.peer).await;
    let answer = request(&mut client);
    sleep(Duration::from_secs(1)).await;
    served.stop.cancel();
    sleep(FAREWELL * 5).await;
    assert!(!served.life.is_finished());
    let answered = Instant::now();
    served.answers.add_permits(1);
    assert_eq!(answer.await.unwrap().unwrap(), "done");
    connection.await.unwrap().unwrap();
    assert_about(answered.elapsed(), Duration::ZERO);
}

/// A peer of HTTP/1 cannot be told while it sends nothing, so what it may have sent already is waited for.
#[tokio::test(start_paused = true)]
async fn what_is_on_its_way_at_a_stop_is_answered() {
    const REQUEST: &[u8] = b"GET / HTTP/1.1\r\nhost: x\r\n\r\n";
    for had_one in [false, true] {
        let (mut peer, ours) = duplex(1 << 16);
        let (requests, stop) = (Requests::default(), CancellationToken::new());
        let times = Times {
            on_the_way: ON_THE_WAY,
            ..Times::default()
        };
        let service = service_fn({
            let requests = requests.clone();
            move |_: Request<Incoming>| {
                let under_way = requests.begin();
                async {
                    // As every request does: none is answered in the moment in which it comes.
                    sleep(Duration::from_millis(1)).await;
                    let answer = Response::new(Full::new(Bytes::from_static(b"done")));
                    Ok::<_, Infallible>(under_way.until_sent(answer))
                }
            }
        });
        let life = tokio::spawn({
            let stop = stop.clone();
            async move {
                let server = auto::Builder::new(TokioExecutor::new());
                let connection = server.serve_connection(TokioIo::new(ours), service);
                live(connection, &requests, times, &stop).await
            }
        });
        if had_one {
            peer.write_all(REQUEST).await.unwrap();
            let mut answer = Vec::new();
            while !answer.ends_with(b"done") {
                answer.push(peer.read_u8().await.unwrap());
            }
        }
        stop.cancel();
        sleep(ON_THE_WAY / 2).await;
        peer.write_all(REQUEST).await.unwrap();
        let mut answer = String::new();
        peer.read_to_string(&mut answer).await.unwrap();
        assert!(answer.starts_with("HTTP/1.1 200 OK"), "{answer}");
        assert!(answer.contains("connection: close"), "{answer}");
        assert!(answer.ends_with("done"), "{answer}");
        assert_eq!(life.await.unwrap(), None);
    }
}

/// A connection that had requests is not kept for one that may never come, if it is told so.
#[tokio::test(start_paused = true)]
async fn who_has_nothing_more_to_say_is_closed() {
    const IDLE: Duration = Duration::from_mins(1);
    let served = served_for(Times {
        idle: Some(IDLE),
        ..Times::default()
    });
    served.answers.add_permits(2);
    let (mut client, connection) = sender(served.peer).await;
    request(&mut client).await.unwrap().unwrap();
    sleep(IDLE * 9 / 10).await;
    request(&mut client).await.unwrap().unwrap();
    let answered = Instant::now();
    connection.await.unwrap().unwrap();
    assert_about(answered.elapsed(), IDLE);
}

/// The place of a connection is free again when it has ended, however it ended.
#[tokio::test(start_paused = true)]
async fn a_place_is_free_again() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let stop = CancellationToken::new();
    let serving = serve_one(listener, None, stop.clone());
    for _ in 0..3 {
        let begun = Instant::now();
        let mut only = TcpStream::connect(address).await.unwrap();
        let mut refused = TcpStream::connect(address).await.unwrap();
        assert_eq!(refused.read(&mut [0]).await.unwrap(), 0);
        assert!(begun.elapsed() < FIRST_REQUEST);
        // Until it has been silent for too long.
        only.read_to_end(&mut Vec::new()).await.unwrap();
        assert_about(begun.elapsed(), FIRST_REQUEST);
    }
    stop.cancel();
    serving.await.unwrap();
}

/// What protects connections to localhost, and the certificate by which it is known.
fn tls() -> (ServerTls, String) {
    let signed = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let config = TlsServerConfig {
        cert_pem: Some(Secret::new(signed.cert.pem())),
        key_pem: Some(Secret::new(signed.signing_key.serialize_pem())),
        ..TlsServerConfig::default()
    };
    let tls = ServerTls::new("test", &config, &["h2"]).unwrap();
    (tls, signed.cert.pem())
}

/// A listener with TLS that has a place for one connection.
async fn listen_with_tls(stop: &CancellationToken) -> (std::net::SocketAddr, JoinHandle<()>) {
    let (tls, _) = tls();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let serving = serve_one(listener, Some(Arc::new(tls)), stop.clone());
    (address, serving)
}

/// A place for one connection.
fn place_for_one() -> Standing {
    let limits = Limits::new(1, None, Some(1), Times::default());
    let nobody = |_: &http::HeaderMap| -> fn() -> Response<Body> { Response::default };
    Standing::new(limits, nobody)
}

/// Serves one connection at a time, and answers nothing.
fn serve_one(
    listener: TcpListener,
    tls: Option<Arc<ServerTls>>,
    stop: CancellationToken,
) -> JoinHandle<()> {
    serve_at(Arc::new(place_for_one()), listener, tls, stop, 0)
}

/// Serves the connections there, and answers so many requests.
fn serve_at(
    standing: Arc<Standing>,
    listener: TcpListener,
    tls: Option<Arc<ServerTls>>,
    stop: CancellationToken,
    answered: usize,
) -> JoinHandle<()> {
    let service = tower::service_fn(|_| async { Ok(Response::default()) });
    let service = Service::new(service);
    tokio::spawn(async move {
        let answers = Arc::new(Semaphore::new(answered));
        let speak = move |io, requests, _| connection(io, requests, Arc::clone(&answers));
        let counters = Counters::default();
        serve(listener, standing, tls, &counters, stop, service, speak).await;
    })
}

/// Who never says hello has a place as long as anybody who is silent, and no longer.
#[tokio::test(start_paused = true)]
async fn a_handshake_takes_a_place_and_has_an_end() {
    let stop = CancellationToken::new();
    let (address, serving) = listen_with_tls(&stop).await;
    // The beginning of a record that says it is a hello of 512 bytes.
    let hello = [&[0x16, 3, 1, 2, 0, 1, 0, 1, 0xfc, 3, 3][..], &[0; 100]].concat();
    for pause in [Duration::ZERO, Duration::from_millis(500)] {
        let begun = Instant::now();
        let mut slow = TcpStream::connect(address).await.unwrap();
        let mut refused = TcpStream::connect(address).await.unwrap();
        assert_eq!(
            refused.read(&mut [0]).await.unwrap(),
            0,
            "there is one place"
        );
        for byte in &hello {
            // Without a pause it says nothing at all.
            if pause.is_zero() || slow.write_all(&[*byte]).await.is_err() {
                break;
            }
            sleep(pause).await;
        }
        let _ = slow.read_to_end(&mut Vec::new()).await;
        assert_about(begun.elapsed(), FIRST_REQUEST + pause);
    }
    stop.cancel();
    serving.await.unwrap();
}

/// A stop does not wait for it.
#[tokio::test(start_paused = true)]
async fn a_stop_ends_a_handshake() {
    let stop = CancellationToken::new();
    let (address, serving) = listen_with_tls(&stop).await;
    let mut silent = TcpStream::connect(address).await.unwrap();
    let mut refused = TcpStream::connect(address).await.unwrap();
    assert_eq!(
        refused.read(&mut [0]).await.unwrap(),
        0,
        "the first is there"
    );
    let stopped = Instant::now();
    stop.cancel();
    serving.await.unwrap();
    assert_eq!(silent.read(&mut [0]).await.unwrap_or(0), 0);
    assert!(stopped.elapsed() < FAREWELL, "{:?}", stopped.elapsed());
}

/// Who looks whether files have changed ends with who used them, or there would be one more with each reload.
#[tokio::test]
async fn a_connection_that_stays_does_not_hold_what_it_was_protected_by() {
    let (tls, certificate) = tls();
    let tls = Arc::new(tls);
    let held = Arc::downgrade(&tls);
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let stop = CancellationToken::new();
    let mut standings = Standings::default();
    let standing = standings.at("test", place_for_one);
    let serving = serve_at(standing, listener, Some(tls), stop.clone(), 1);

    let trusting = TlsClientConfig {
        ca_pem: Some(Secret::new(certificate)),
        ..TlsClientConfig::default()
    };
    let trusting = ClientTls::new("test", &trusting, &["h2"]).unwrap();
    let stream = TcpStream::connect(address).await.unwrap();
    let stream = trusting.connect("localhost", stream).await.unwrap();
    let handshake = client::handshake(TokioExecutor::new(), TokioIo::new(stream));
    let (mut client, connection) = handshake.await.unwrap();
    let connection = tokio::spawn(connection);
    assert_eq!(request(&mut client).await.unwrap().unwrap(), "done");

    let stay = BTreeMap::from([("test".to_owned(), Authorities::default())]);
    standings.keep(&stay);
    stop.cancel();
    serving.await.unwrap();
    assert!(!connection.is_finished());
    assert_eq!(held.strong_count(), 0);
}
