//! The end, as an orchestrator asks for it.

use std::collections::HashSet;
use std::error::Error as _;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures::future::join_all;
use serde_json::{Value, json};
use slimspan::journal::Journal;
use slimspan_artifact::Digest;
use slimspan_proto::Signal;
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;
use tokio::sync::Semaphore;
use tonic::{Code, Status};

use crate::support::backend::Backend;
use crate::support::conservation::conserved_of;
use crate::support::fault_store::{Fault, FaultStore};
use crate::support::frames::frame;
use crate::support::http::{Form, HttpSender, post};
use crate::support::http2::{Peer, Protocol};
use crate::support::measured::{bound, measured, number};
use crate::support::references::references;
use crate::support::s3::{Behaviour, S3};
use crate::support::sender::{Call, PatientSender, open_body, retry_after};
use crate::support::slimspan::Slimspan;
use crate::support::{config, otlp, soon};

const GRACE: Duration = Duration::from_secs(10);

/// A backend that never answers, and an exporter that would wait for it longer than any test.
async fn with_hanging_backend() -> (Backend, Slimspan) {
    let backend = Backend::hanging().await;
    let mut config = config::standard(backend.address);
    config["exporters"]["otlp_grpc"]["timeout"] = "5m".into();
    let slimspan = Slimspan::start(&config).await;
    (backend, slimspan)
}

/// Sends one request without waiting for its answer, which is a refusal if there is one.
async fn leave_a_request(
    backend: &Backend,
    slimspan: &Slimspan,
) -> tokio::task::JoinHandle<Option<Status>> {
    let sender = slimspan.sender().await;
    let pending = tokio::spawn(async move {
        let call = Call::whole(frame(0, &otlp::plain_span(1)));
        let answer = sender.try_call(call).await.ok()?;
        assert_ne!(answer.status().code(), Code::Ok);
        Some(answer.status().clone())
    });
    backend.arrived(1).await;
    pending
}

/// SIGTERM in the middle of traffic, again and again, with one sender that stalls in the middle of its
/// request and one that has none.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_that_was_acknowledged_is_lost_by_a_stop() {
    nothing_is_lost_by_a_stop(&[By::Grpc], "").await;
}

/// The same by HTTP/1 and by HTTP/2 in turn; who stalls does so by gRPC.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_that_was_acknowledged_over_http_is_lost_by_a_stop() {
    nothing_is_lost_by_a_stop(&[By::Http1, By::Http2], ", over HTTP").await;
}

async fn nothing_is_lost_by_a_stop(ways: &[By], name: &str) {
    let rounds = number("SLIMSPAN_STOPS", 2);
    // One at a time where milliseconds count.
    let at_once = bound(1, 5);
    let mut all = Vec::new();
    for first in (0..rounds).step_by(at_once) {
        let some = first..rounds.min(first + at_once);
        let stops = some.map(|round| stop_in_the_middle(ways[round % ways.len()]));
        all.extend(join_all(stops).await);
    }
    let closed = all.iter().map(|one| one.closed).max().unwrap();
    let took = all.iter().map(|one| one.took).max().unwrap();
    let acknowledged: usize = all.iter().map(|one| one.acknowledged).sum();
    let refused: usize = all.iter().map(|one| one.refused).sum();
    let not_begun: usize = all.iter().map(|one| one.not_begun).sum();
    let unanswered: usize = all.iter().map(|one| one.unanswered).sum();
    assert!(
        unanswered <= bound(0, 2 * rounds),
        "{unanswered} unanswered"
    );
    measured(
        "P6",
        &format!("program::shutdown, under load{name}"),
        "listener closed < 100 ms, OK or UNAVAILABLE, exit <= 10.5 s with code 0, 0 lost, 0 on their way without an \
         answer",
        format_args!(
            "{rounds} stops: 0 of {acknowledged} acknowledged requests lost, {unanswered} on their way without an \
             answer; {refused} refused and {not_begun} never begun, as their connection tells; the listener closed \
             within {closed:.1?}, gone within {took:.1?}"
        ),
    );
}

/// What came of one stop: when nobody was let in any more, when it had ended, and how many requests
/// were acknowledged before.
struct Stopped {
    closed: Duration,
    took: Duration,
    acknowledged: usize,
    /// Senders whose last request was answered with UNAVAILABLE.
    refused: usize,
    /// And those whose connection told in time that it takes no more.
    not_begun: usize,
    /// And those whose connection of HTTP/1 ended without a word: they had paused for longer than slimspan waits for
    /// another request, which happens where a machine has much to do.
    unanswered: usize,
}

/// How the last request of a sender ended.
enum Last {
    Refused(Status),
    NotBegun,
    Unanswered(hyper::Error),
}

/// By which way senders send.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum By {
    Grpc,
    Http1,
    Http2,
}

impl By {
    fn address(self, slimspan: &Slimspan) -> SocketAddr {
        let protocol = match self {
            Self::Grpc => Protocol::Grpc,
            Self::Http1 | Self::Http2 => Protocol::Http,
        };
        slimspan.listener(protocol)
    }

    /// A sender with one connection, which makes no other: what becomes of a request on it is told from what becomes
    /// of one that nobody is there for.
    async fn connect(self, address: SocketAddr) -> Faithful {
        match self {
            Self::Grpc => Faithful::Grpc(PatientSender::connect(address).await),
            Self::Http1 => Faithful::Http(HttpSender::connect(address).await),
            Self::Http2 => Faithful::Http(HttpSender::http2(address).await),
        }
    }
}

enum Faithful {
    Grpc(PatientSender),
    Http(HttpSender),
}

impl Faithful {
    /// What it is told, or how its connection ended.
    async fn send(&self, request: &Bytes) -> hyper::Result<Result<(), Status>> {
        let status = match self {
            Self::Grpc(sender) => {
                let answer = sender.try_call(Call::whole(frame(0, request))).await?;
                answer.status().clone()
            }
            Self::Http(sender) => {
                let request = post(Signal::Traces, Form::Protobuf, request.clone());
                let answer = sender.try_request(request).await?;
                if answer.status == 200 {
                    return Ok(Ok(()));
                }
                answer.refusal(Form::Protobuf)
            }
        };
        Ok(if status.code() == Code::Ok {
            Ok(())
        } else {
            Err(status)
        })
    }

    /// Sends until it is not taken any more; the digests of what was acknowledged, and how that ended.
    async fn send_all(self, sender_number: usize) -> (Vec<String>, Last) {
        let mut acknowledged = Vec::new();
        for number in 0_u64.. {
            let number = number * 100 + sender_number as u64;
            let file = otlp::photo(number, 20_000);
            let request = otlp::span([
                ("number", otlp::text(number.to_string())),
                ("picture", otlp::data_uri(&file)),
            ]);
            let last = match soon("slimspan answers", self.send(&request)).await {
                Ok(Ok(())) => {
                    acknowledged.push(Digest::of(&file).to_string());
                    continue;
                }
                Ok(Err(status)) => Last::Refused(status),
                Err(error) if is_not_begun(&error) => Last::NotBegun,
                Err(error) => Last::Unanswered(error),
            };
            return (acknowledged, last);
        }
        unreachable!("numbers do not end")
    }
}

/// Whether a request that ended like this was not begun, so that it may be sent again by whoever wants to: it never
/// left, because its connection had been told to take no more, or its peer says that it is behind the last one that
/// was taken.
fn is_not_begun(error: &hyper::Error) -> bool {
    if error.is_canceled() || error.is_closed() {
        return true;
    }
    let cause = error.source();
    let cause = cause.and_then(|cause| cause.downcast_ref::<h2::Error>());
    cause.is_some_and(|cause| {
        let says = |reason| cause.is_remote() && cause.reason() == Some(reason);
        cause.is_go_away() && says(h2::Reason::NO_ERROR)
            || cause.is_reset() && says(h2::Reason::REFUSED_STREAM)
    })
}

/// How soon nobody is let in any more.
fn closes_within() -> Duration {
    bound(Duration::from_millis(100), GRACE / 3)
}

/// What was answered with OK is at the backend, everything else was refused in a way that senders
/// repeat, nobody gets in any more, and the process is soon gone.
async fn stop_in_the_middle(by: By) -> Stopped {
    let backend = Backend::start().await;
    let mut slimspan = Slimspan::start(&config::with_http(backend.address)).await;
    let address = by.address(&slimspan);
    let _idle = Peer::connect(address).await.unwrap();
    let stalled = slimspan.sender().await;
    let (_open, half) = open_body(frame(0, &otlp::sized_span(600_000)).slice(..300_000));
    let stalled = tokio::spawn(async move { stalled.try_call(Call::traces(half)).await });
    let senders = join_all((0..8).map(|_| by.connect(address))).await;
    let load = senders.into_iter().enumerate();
    let load = load.map(|(number, sender)| tokio::spawn(sender.send_all(number)));
    let load: Vec<_> = load.collect();
    backend.arrived(100).await;
    let stopped = Instant::now();
    slimspan.signal("TERM");
    slimspan.logs("stopping").await;
    let refused = async { while TcpStream::connect(address).await.is_ok() {} };
    soon("the listener closes", refused).await;
    let closed = stopped.elapsed();
    assert!(closed < closes_within(), "{closed:?}");
    let ended = slimspan.end().await;
    let took = stopped.elapsed();
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    assert!(took < bound(GRACE / 2, GRACE), "{took:?}");
    assert!(!ended.stderr.contains("were cut off"), "{}", ended.stderr);
    if let Ok(answer) = stalled.await.unwrap() {
        assert_eq!(answer.status().code(), Code::Unavailable, "{answer:?}");
    }

    let arrived: HashSet<String> = backend
        .received()
        .iter()
        .flat_map(|one| references(Signal::Traces, &one.message))
        .map(|reference| reference.sha256)
        .collect();
    let (mut all_acknowledged, mut refused, mut not_begun, mut unanswered) = (0, 0, 0, 0);
    for sender in load {
        let (acknowledged, last) = sender.await.unwrap();
        assert!(!acknowledged.is_empty());
        all_acknowledged += acknowledged.len();
        for digest in acknowledged {
            assert!(arrived.contains(&digest), "lost: {digest}");
        }
        match last {
            Last::Refused(status) => {
                // One with a source was not told: it is what is made of a connection that ends.
                assert!(status.source().is_none(), "{status:?}");
                assert_eq!(status.code(), Code::Unavailable, "{status:?}");
                refused += 1;
            }
            Last::NotBegun => not_begun += 1,
            Last::Unanswered(error) => {
                // The others are told which of their requests nobody takes.
                let may_happen = by == By::Http1;
                assert!(may_happen, "on its way, and without an answer: {error:?}");
                unanswered += 1;
            }
        }
    }
    Stopped {
        closed,
        took,
        acknowledged: all_acknowledged,
        refused,
        not_begun,
        unanswered,
    }
}

/// A request that is under way when the stop comes has time to end well.
#[tokio::test]
async fn a_request_under_way_ends_well() {
    let gate = Arc::new(Semaphore::new(0));
    let store = S3::start(Behaviour::StoreWhen(Arc::clone(&gate))).await;
    let backend = Backend::start().await;
    let mut config = config::with_s3(backend.address, store.address);
    config["extensions"]["artifact_store"]["timeout"] = "20s".into();
    let mut slimspan = Slimspan::start(&config).await;
    let sender = slimspan.sender().await;
    let request = otlp::span_with(otlp::PICTURE);
    let answer = tokio::spawn(async move { sender.send(Signal::Traces, &request).await });
    store.begun(1).await;
    slimspan.signal("INT");
    slimspan.logs("stopping").await;
    gate.add_permits(1);
    assert_eq!(answer.await.unwrap().unwrap(), Bytes::new());
    assert_eq!(backend.received().len(), 1);
    let ended = slimspan.end().await;
    assert_eq!(ended.code, Some(0));
    assert!(ended.stderr.contains("stopped: requests 1,"), "{ended:?}");
}

/// The spool ends behind the receivers: as long as a request is under way, what waits is uploaded as ever.
#[tokio::test]
async fn a_spool_is_emptied_until_the_last_request_has_ended() {
    is_emptied_while_a_backend_is_waited_for(None).await;
}

/// And behind the exporters, where nobody waits for an answer any more: a request that is in memory alone is
/// delivered first.
#[tokio::test]
async fn a_spool_is_emptied_until_the_last_delivery_has_ended() {
    is_emptied_while_a_backend_is_waited_for(Some(json!({}))).await;
}

/// A store that begins to work only when nobody is let in any more, and a backend that answers only after that. Who
/// ends tries a store no more that has just failed, so a spool that had ended by then would have been left as it was.
async fn is_emptied_while_a_backend_is_waited_for(queue: Option<Value>) {
    // It takes what comes, and says nothing to it.
    let store = FaultStore::start(7, &[(Fault::Hang, 1000)]).await;
    let gate = Arc::new(Semaphore::new(0));
    let backend = Backend::gated(&gate).await;
    let home = tempfile::tempdir().unwrap();
    let spool = home.path().join("spool");
    let mut config = config::with_s3(backend.address, store.address);
    config["processors"]["artifact"]["delivery"] = json!("background");
    config["extensions"]["artifact_store"]["spool"] = json!({ "directory": spool });
    config["exporters"]["otlp_grpc"]["timeout"] = json!("20s");
    let waits_for_the_backend = queue.is_none();
    if let Some(queue) = queue {
        config["exporters"]["otlp_grpc"]["sending_queue"] = queue;
    }
    let mut slimspan = Slimspan::start(&config).await;
    let address = slimspan.addresses[0];
    let sender = slimspan.sender().await;
    let file = otlp::photo(1, 20_000);
    let request = otlp::span_with(&file);
    let answer = tokio::spawn(async move { sender.send(Signal::Traces, &request).await });
    backend.arrived(1).await;
    slimspan.logs("uploads failed").await;
    assert_eq!(answer.is_finished(), !waits_for_the_backend);
    slimspan.signal("TERM");
    let refused = async { while TcpStream::connect(address).await.is_ok() {} };
    soon("the listener closes", refused).await;
    store.heal();
    store.stored(1).await;
    gate.add_permits(1);
    assert_eq!(answer.await.unwrap().unwrap(), Bytes::new());

    let ended = slimspan.end().await;
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    assert!(!ended.stderr.contains("were cut off"), "{}", ended.stderr);
    assert_eq!(conserved_of(Signal::Traces, &ended.stderr).delivered, 1);
    let stored = (store.fetch())(&Digest::of(&file));
    assert_eq!(stored.as_deref(), Some(&file[..]));
    let left = Journal::open_read_only(&spool).unwrap();
    assert_eq!(left.entries().len(), 0, "{}", ended.stderr);
}

/// Who has nothing under way is not waited for: neither a sender between two requests nor one that
/// never sent anything, or half of what opens a connection.
#[tokio::test]
async fn nobody_without_a_request_holds_the_exit() {
    let backend = Backend::start().await;
    let slimspan = Slimspan::start(&config::standard(backend.address)).await;
    let address = slimspan.addresses[0];
    let _silent = TcpStream::connect(address).await.unwrap();
    let mut half = TcpStream::connect(address).await.unwrap();
    half.write_all(b"PRI * HTTP/2.0\r\n").await.unwrap();
    let _deaf = Peer::connect(address).await.unwrap();
    // Accepted after the others, so these are there when it is answered.
    let idle = slimspan.sender().await;
    idle.send(Signal::Traces, &otlp::plain_span(1))
        .await
        .unwrap();

    let stopped = Instant::now();
    let ended = slimspan.stop().await;
    let took = stopped.elapsed();
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    assert!(took < bound(GRACE / 2, GRACE), "{took:?}");
    assert!(!ended.stderr.contains("were cut off"), "{}", ended.stderr);
}

/// From the first signal on nobody new gets in, so that a load balancer looks elsewhere; a backend
/// that never answers and a sender that never ends hold the exit for the grace, not longer.
#[tokio::test]
async fn nothing_holds_the_exit_beyond_the_grace() {
    let (backend, mut slimspan) = with_hanging_backend().await;
    let address = slimspan.addresses[0];
    let pending = leave_a_request(&backend, &slimspan).await;
    let stalled = slimspan.sender().await;
    let half = frame(0, &otlp::sized_span(600_000)).slice(..300_000);
    let (_open, body) = open_body(half);
    let stalled = tokio::spawn(async move { stalled.try_call(Call::traces(body)).await });

    let stopped = Instant::now();
    slimspan.signal("TERM");
    slimspan.logs("stopping").await;
    let refused = async { while TcpStream::connect(address).await.is_ok() {} };
    soon("the listener closes", refused).await;
    let closed = stopped.elapsed();
    assert!(closed < closes_within(), "{closed:?}");

    let ended = slimspan.end().await;
    let took = stopped.elapsed();
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    // Half a second is what slimspan may add, the rest a machine that has much to do.
    let most = GRACE + Duration::from_millis(bound(500, 3_000));
    assert!(took < most, "{took:?}");
    measured(
        "P6",
        "program::shutdown, a backend and a sender that never end",
        "listener closed < 100 ms, exit <= 10.5 s with code 0",
        format_args!("the listener closed within {closed:.1?}, gone within {took:.2?}"),
    );
    let refused = pending.await.unwrap().unwrap();
    assert_eq!(refused.code(), Code::Unavailable, "{refused}");
    assert!(retry_after(&refused).is_some(), "{refused}");
    if let Ok(answer) = stalled.await.unwrap() {
        assert_ne!(answer.status().code(), Code::Ok);
    }
}

/// Who asks twice does not want to wait.
#[tokio::test]
async fn a_second_signal_ends_it_at_once() {
    for (first, second) in [("TERM", "TERM"), ("INT", "INT"), ("TERM", "INT")] {
        let (backend, mut slimspan) = with_hanging_backend().await;
        let pending = leave_a_request(&backend, &slimspan).await;
        slimspan.signal(first);
        slimspan.logs("stopping").await;
        let asked = Instant::now();
        slimspan.signal(second);
        assert_eq!(slimspan.end().await.code, Some(130));
        let took = asked.elapsed();
        assert!(took < GRACE / 2, "{took:?}");
        pending.await.unwrap();
    }
}
