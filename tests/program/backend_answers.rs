//! What the backend says is what the sender hears.

use std::collections::{HashMap, VecDeque};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::Response;
use http_body_util::{BodyExt as _, Full};
use serde_json::json;
use slimspan_proto::Signal;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tonic::body::Body;
use tonic::{Code, Status};
use tonic_types::{ErrorDetails, StatusExt as _};

use crate::support::backend::{Answer, Backend, Reply};
use crate::support::frames::frame;
use crate::support::http2::PING;
use crate::support::proxy::{Conditions, Proxy};
use crate::support::refusing::Refusing;
use crate::support::sender::{Call, retry_after};
use crate::support::slimspan::Slimspan;
use crate::support::{config, otlp, soon};

/// A backend that gives these answers, one after the other.
async fn answering(answers: impl IntoIterator<Item = Answer>) -> Backend {
    let answers: VecDeque<_> = answers.into_iter().collect();
    let answers = Arc::new(Mutex::new(answers));
    Backend::answering(move |_| answers.lock().unwrap().pop_front().unwrap()).await
}

/// One that replies so, one after the other.
async fn replying(replies: impl IntoIterator<Item = Response<Body>>) -> Backend {
    let replies: VecDeque<_> = replies.into_iter().collect();
    let replies = Arc::new(Mutex::new(replies));
    Backend::replying_with(move |_| Reply::Raw(replies.lock().unwrap().pop_front().unwrap())).await
}

/// What need not be gRPC.
fn raw(headers: &[(&'static str, &str)], body: impl Into<Bytes>) -> Response<Body> {
    let mut response = Response::new(Body::new(Full::new(body.into())));
    for (name, value) in headers {
        response.headers_mut().insert(*name, value.parse().unwrap());
    }
    response
}

fn with_trailers(response: Response<Body>, (name, value): (&'static str, &str)) -> Response<Body> {
    let mut trailers = http::HeaderMap::new();
    trailers.insert(name, value.parse().unwrap());
    response.map(|body| {
        let trailers = std::future::ready(Some(Ok::<_, Status>(trailers)));
        Body::new(body.with_trailers(trailers))
    })
}

/// A partial success is the sender's to judge, and so is a warning.
#[tokio::test]
async fn a_partial_success_and_a_warning_reach_the_sender_verbatim() {
    let answers = [
        otlp::partial_success(3, "three spans are too old"),
        otlp::partial_success(0, "please upgrade"),
    ];
    for compression in ["gzip", "zstd", "snappy", "none"] {
        let backend = answering(answers.clone().map(Ok)).await;
        let mut config = config::standard(backend.address);
        config["exporters"]["otlp_grpc"]["compression"] = json!(compression);
        let slimspan = Slimspan::start(&config).await;
        let sender = slimspan.sender().await;
        for answer in &answers {
            let heard = sender.send(Signal::Traces, &otlp::plain_span(1)).await;
            assert_eq!(heard.unwrap(), *answer, "{compression}");
        }
        slimspan.stop_well().await;
    }
}

/// Senders drop what they may not repeat and repeat what they may, so the code of a refusal and
/// its delay are passed on as they are. Only CANCELLED and DEADLINE_EXCEEDED, which some senders take for their
/// own doing, become what all of them repeat.
#[tokio::test]
async fn a_refusal_reaches_the_sender_with_its_code_and_delay() {
    let delay = Duration::from_secs(7);
    let cases: Vec<(Code, Option<Duration>)> = (1..=16)
        .map(Code::from_i32)
        .flat_map(|code| [(code, None), (code, Some(delay))])
        .collect();
    let refuse = |(code, delay): (Code, Option<Duration>)| match delay {
        None => Err(Status::new(code, "over quota")),
        Some(_) => Err(Status::with_error_details(
            code,
            "over quota",
            ErrorDetails::with_retry_info(delay),
        )),
    };
    let backend = answering(cases.iter().copied().map(refuse)).await;
    let slimspan = Slimspan::start(&config::standard(backend.address)).await;
    let sender = slimspan.sender().await;
    for (code, delay) in cases {
        let refused = sender.send(Signal::Traces, &otlp::plain_span(1)).await;
        let status = refused.unwrap_err();
        let (expected, least) = match code {
            Code::Cancelled | Code::DeadlineExceeded => {
                (Code::Unavailable, Some(Duration::from_secs(1)))
            }
            code => (code, None),
        };
        assert_eq!(status.code(), expected, "{status}");
        assert_eq!(retry_after(&status), delay.or(least), "{status}");
        assert!(status.message().contains("over quota"), "{status}");
        assert!(status.message().contains("otlp_grpc"), "{status}");
    }
    slimspan.stop_well().await;
}

/// OUT_OF_RANGE is for senders to repeat. Only what some servers answer to a message that is too large, which
/// they would repeat for ever, becomes what OTLP calls that.
#[tokio::test]
async fn out_of_range_is_final_where_it_is_about_the_size() {
    let cases = [
        (
            "Error, decoded message length too large: found 5 bytes, the limit is: 4 bytes",
            Code::ResourceExhausted,
        ),
        (
            "grpc: received message larger than max (5 vs. 4)",
            Code::ResourceExhausted,
        ),
        ("the clock is behind", Code::OutOfRange),
    ];
    let refused = cases.map(|(said, _)| Err(Status::out_of_range(said)));
    let backend = answering(refused).await;
    let slimspan = Slimspan::start(&config::standard(backend.address)).await;
    let sender = slimspan.sender().await;
    for (said, code) in cases {
        let refused = sender.send(Signal::Traces, &otlp::plain_span(1)).await;
        let status = refused.unwrap_err();
        assert_eq!(status.code(), code, "{status}");
        assert_eq!(retry_after(&status), None, "{status}");
        assert!(status.message().contains(said), "{status}");
    }
    slimspan.stop_well().await;
}

/// Something before the backend answers that knows no gRPC: what it says is as good as it gets.
#[tokio::test]
async fn an_answer_of_http_has_its_meaning() {
    let table = [
        (400, Code::Internal),
        (401, Code::Unauthenticated),
        (403, Code::PermissionDenied),
        (404, Code::Unimplemented),
        (413, Code::ResourceExhausted),
        (429, Code::Unavailable),
        (500, Code::Unknown),
        (502, Code::Unavailable),
        (503, Code::Unavailable),
        (504, Code::Unavailable),
    ];
    let replies = table.map(|(status, _)| {
        let mut reply = raw(
            &[("content-type", "text/html"), ("retry-after", "7")],
            "<html>",
        );
        *reply.status_mut() = http::StatusCode::from_u16(status).unwrap();
        // It counts for nothing behind such a status.
        let ok = http::HeaderValue::from_static("0");
        reply.headers_mut().insert("grpc-status", ok);
        reply
    });
    let backend = replying(replies).await;
    let slimspan = Slimspan::start(&config::standard(backend.address)).await;
    let sender = slimspan.sender().await;
    for (status, code) in table {
        let refused = sender.send(Signal::Traces, &otlp::plain_span(1)).await;
        let refused = refused.unwrap_err();
        assert_eq!(refused.code(), code, "{status}: {refused}");
        let delay = (code == Code::Unavailable).then_some(Duration::from_secs(7));
        assert_eq!(retry_after(&refused), delay, "{status}: {refused}");
        assert!(refused.message().contains(&status.to_string()), "{refused}");
    }
    assert_eq!(backend.received().len(), table.len());
    slimspan.stop_well().await;
}

/// Without a `grpc-status` nobody knows whether the backend took it, whatever else there is.
#[tokio::test]
async fn an_answer_without_a_status_is_no_success() {
    let grpc = ("content-type", "application/grpc");
    let whole = frame(0, b"");
    let table = [
        (raw(&[grpc], whole.clone()), "without a grpc-status"),
        (raw(&[grpc], ""), "without a grpc-status"),
        (raw(&[], "<html>"), "without a grpc-status"),
        (
            with_trailers(raw(&[grpc], whole), ("grpc-message", "done")),
            "without a grpc-status",
        ),
        // And with one the rest has to be there.
        (
            with_trailers(raw(&[grpc], ""), ("grpc-status", "0")),
            "not one gRPC message",
        ),
        (raw(&[grpc, ("grpc-status", "0")], ""), "otlp_grpc"),
    ];
    let (replies, told): (Vec<_>, Vec<_>) = table.into_iter().unzip();
    let backend = replying(replies).await;
    let slimspan = Slimspan::start(&config::standard(backend.address)).await;
    let sender = slimspan.sender().await;
    for told in told {
        let refused = sender.send(Signal::Traces, &otlp::plain_span(1)).await;
        let refused = refused.unwrap_err();
        assert!(refused.message().contains(told), "{told}: {refused}");
        if told != "otlp_grpc" {
            assert_eq!(refused.code(), Code::Unavailable, "{told}: {refused}");
            assert!(retry_after(&refused).is_some(), "{told}: {refused}");
        }
    }
    slimspan.stop_well().await;
}

/// The metadata of an answer has an end as that of a request has: of one with more nobody knows what it says, and the
/// next one is heard again.
#[tokio::test]
async fn metadata_of_an_answer_of_more_than_16_kib_is_none() {
    let long = [15, 17, 1].map(|kib| "x".repeat(kib << 10));
    let replies = long.each_ref().map(|long| {
        let headers = [
            ("content-type", "application/grpc"),
            ("x-long", long.as_str()),
        ];
        with_trailers(raw(&headers, frame(0, b"")), ("grpc-status", "0"))
    });
    let backend = replying(replies).await;
    let slimspan = Slimspan::start(&config::standard(backend.address)).await;
    let sender = slimspan.sender().await;
    for long in &long {
        let told = sender.send(Signal::Traces, &otlp::plain_span(1)).await;
        if long.len() < 16 << 10 {
            assert_eq!(told.unwrap(), Bytes::new(), "{}", long.len());
        } else {
            let refused = told.unwrap_err();
            assert_eq!(refused.code(), Code::Unavailable, "{refused}");
            assert!(retry_after(&refused).is_some(), "{refused}");
        }
    }
    assert_eq!(backend.received().len(), long.len());
    slimspan.stop_well().await;
}

/// A backend that is not there is no reason to lose anything.
#[tokio::test]
async fn while_the_backend_is_down_the_sender_is_asked_to_come_back() {
    let backend = Refusing::start();
    let slimspan = Slimspan::start(&config::standard(backend.address)).await;
    let sender = slimspan.sender().await;
    let refused = sender.send(Signal::Traces, &otlp::plain_span(1)).await;
    let status = refused.unwrap_err();
    assert_eq!(status.code(), Code::Unavailable);
    assert!(retry_after(&status).is_some(), "{status}");
    let address = backend.address.to_string();
    assert!(status.message().contains(&address), "{status}");
    slimspan.stop_well().await;
}

/// A backend that hangs holds a sender no longer than the exporter is told to wait.
#[tokio::test]
async fn a_backend_that_hangs_is_given_up_in_time() {
    let backend = Backend::hanging().await;
    let mut config = config::standard(backend.address);
    config["exporters"]["otlp_grpc"]["timeout"] = "300ms".into();
    let slimspan = Slimspan::start(&config).await;
    let sender = slimspan.sender().await;
    let begun = Instant::now();
    let refused = sender.send(Signal::Traces, &otlp::plain_span(1)).await;
    let status = refused.unwrap_err();
    let waited = begun.elapsed();
    assert!(waited < Duration::from_secs(5), "{waited:?}");
    assert_eq!(status.code(), Code::Unavailable);
    assert!(retry_after(&status).is_some(), "{status}");
    let key = "exporters.otlp_grpc.timeout";
    assert!(status.message().contains(key), "{status}");
    slimspan.stop_well().await;
}

/// A backend may come and go.
#[tokio::test]
async fn a_backend_that_comes_back_is_found_again() {
    let backend = Backend::start().await;
    let address = backend.address;
    let slimspan = Slimspan::start(&config::standard(address)).await;
    let sender = slimspan.sender().await;
    let request = otlp::plain_span(1);
    sender.send(Signal::Traces, &request).await.unwrap();
    backend.kill().await;
    let status = sender.send(Signal::Traces, &request).await.unwrap_err();
    assert_eq!(status.code(), Code::Unavailable);
    assert!(retry_after(&status).is_some(), "{status}");
    let backend = Backend::start_at(address).await;
    sender.send(Signal::Traces, &request).await.unwrap();
    assert_eq!(backend.only(), request);
    slimspan.stop_well().await;
}

/// Headers of the configuration come with every request, and none of the sender's.
#[tokio::test]
async fn configured_headers_arrive() {
    let backend = Backend::start().await;
    let mut config = config::standard(backend.address);
    config["exporters"]["otlp_grpc"]["headers"] =
        json!({ "authorization": "Bearer token", "X-Scope-OrgID": "shop" });
    let slimspan = Slimspan::start(&config).await;
    let sender = slimspan.sender().await;
    for (signal, request) in [
        (Signal::Traces, otlp::plain_span(1)),
        (Signal::Logs, otlp::log(otlp::text("hello"), [])),
        (Signal::Metrics, otlp::metric(otlp::text("small"))),
    ] {
        sender.send(signal, &request).await.unwrap();
        let headers = backend.received().pop().unwrap().headers;
        let expected = HashMap::from([
            ("authorization", "Bearer token"),
            ("x-scope-orgid", "shop"),
            ("content-type", "application/grpc"),
            ("te", "trailers"),
        ]);
        for (name, value) in expected {
            assert_eq!(headers[name], value);
        }
        let agent = headers["user-agent"].to_str().unwrap();
        assert!(agent.starts_with("slimspan/"), "{agent}");
    }
    // They are credentials.
    let ended = slimspan.stop().await;
    assert!(!format!("{ended:?}").contains("Bearer"), "{ended:?}");
}

/// What a backend is called, and what it is told of who sends, as gateways divide requests by it.
#[tokio::test]
async fn a_backend_is_told_the_names_that_are_configured() {
    let backend = Backend::start().await;
    let endpoint = backend.address.to_string();
    let own = concat!("slimspan/", env!("CARGO_PKG_VERSION"));
    for (keys, called, agent) in [
        (json!({}), endpoint.as_str(), own),
        (
            json!({ "authority": "backend.test:1", "user_agent": "mine/1 (a b)" }),
            "backend.test:1",
            "mine/1 (a b)",
        ),
        (
            json!({ "headers": { "User-Agent": "theirs" } }),
            endpoint.as_str(),
            "theirs",
        ),
        (
            json!({ "headers": { "user-agent": "theirs" }, "user_agent": "mine" }),
            endpoint.as_str(),
            "mine",
        ),
    ] {
        let mut config = config::standard(backend.address);
        for (key, value) in keys.as_object().unwrap() {
            config["exporters"]["otlp_grpc"][key] = value.clone();
        }
        let slimspan = Slimspan::start(&config).await;
        let sender = slimspan.sender().await;
        let sent = sender.send(Signal::Traces, &otlp::plain_span(1)).await;
        sent.unwrap();
        let received = backend.received().pop().unwrap();
        assert_eq!(received.authority.as_deref(), Some(called), "{keys}");
        // The library's name follows, as with clients in Go.
        let told = received.headers["user-agent"].to_str().unwrap();
        assert_eq!(told.rsplit_once(" tonic/").unwrap().0, agent, "{keys}");
        slimspan.stop_well().await;
    }
}

/// Nothing comes back any more, and nobody says so: the backend is asked, and given up when it says nothing.
#[tokio::test]
async fn a_backend_that_does_not_say_that_it_is_there_is_given_up() {
    let backend = Backend::start().await;
    let network = Proxy::start(backend.address).await;
    let mut config = config::standard(network.address);
    let exporter = &mut config["exporters"]["otlp_grpc"];
    exporter["timeout"] = json!("1h");
    exporter["keepalive"] = json!({ "time": "1s", "timeout": "1s" });
    let slimspan = Slimspan::start(&config).await;
    let sender = slimspan.sender().await;
    let span = otlp::plain_span(1);
    sender.send(Signal::Traces, &span).await.unwrap();
    network.set(Conditions {
        silent: true,
        ..Conditions::default()
    });
    let call = Call::whole(frame(0, &span)).header("grpc-timeout", "25S");
    let answer = sender.call(call).await;
    let status = answer.status();
    assert_eq!(status.code(), Code::Unavailable, "{status}");
    // Without the question it is the sender's time that ends.
    assert!(!status.message().contains("no answer"), "{status}");
    // And the next one goes over another connection.
    network.set(Conditions::default());
    sender.send(Signal::Traces, &span).await.unwrap();
    assert!(network.connections() > 1);
    slimspan.stop_well().await;
}

/// Stands before a backend, for one connection, and counts the questions whether it is there. Its address.
async fn counting_questions(backend: SocketAddr) -> (SocketAddr, watch::Receiver<usize>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (count, counted) = watch::channel(0);
    tokio::spawn(async move {
        let (down, _) = listener.accept().await.unwrap();
        let up = TcpStream::connect(backend).await.unwrap();
        let (mut from_down, mut to_down) = down.into_split();
        let (mut from_up, mut to_up) = up.into_split();
        tokio::spawn(async move { tokio::io::copy(&mut from_up, &mut to_down).await });
        let mut preface = [0; 24];
        from_down.read_exact(&mut preface).await.unwrap();
        to_up.write_all(&preface).await.unwrap();
        let mut head = [0; 9];
        while from_down.read_exact(&mut head).await.is_ok() {
            let [a, b, c, kind, flags, ..] = head;
            let mut payload = vec![0; u32::from_be_bytes([0, a, b, c]) as usize];
            from_down.read_exact(&mut payload).await.unwrap();
            // With a flag it is an answer.
            if (kind, flags) == (PING, 0) {
                count.send_modify(|count| *count += 1);
            }
            let frame = [&head[..], &payload].concat();
            to_up.write_all(&frame).await.unwrap();
        }
    });
    (address, counted)
}

/// A backend to which nothing is sent is asked whether it is there where that is permitted, and else it is not: many take
/// it for an abuse.
#[tokio::test]
async fn a_backend_without_requests_is_asked_where_that_is_permitted() {
    let backend = Backend::start().await;
    let (permitted, mut asked) = counting_questions(backend.address).await;
    let (other, left_alone) = counting_questions(backend.address).await;
    let mut config = config::standard(other);
    let exporters = &mut config["exporters"];
    exporters["otlp_grpc"]["keepalive"] = json!({ "time": "300ms" });
    exporters["otlp_grpc/asked"] = config::exporter(permitted);
    exporters["otlp_grpc/asked"]["keepalive"] =
        json!({ "time": "300ms", "permit_without_stream": true });
    let pipeline = &mut config["service"]["pipelines"]["traces"];
    pipeline["exporters"] = json!(["otlp_grpc", "otlp_grpc/asked"]);
    let slimspan = Slimspan::start(&config).await;
    let sender = slimspan.sender().await;
    let span = otlp::plain_span(1);
    sender.send(Signal::Traces, &span).await.unwrap();
    // It may have been asked for a slow answer.
    let before = *left_alone.borrow();
    let more = *asked.borrow() + 2;
    let questions = asked.wait_for(|count| *count >= more);
    soon("questions", questions).await.unwrap();
    assert_eq!(*left_alone.borrow(), before);
    slimspan.stop_well().await;
}
