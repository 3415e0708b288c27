//! P11: errors are honest, and the same whatever they are told by.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use serde_json::{Value, json};
use slimspan_proto::Signal;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::sync::Semaphore;
use tonic::{Code, Status};
use tonic_types::{ErrorDetails, StatusExt as _};

use crate::support::backend::Backend;
use crate::support::http::{Form, HttpAnswer, post};
use crate::support::measured::measured;
use crate::support::sender::{Call, retry_after};
use crate::support::slimspan::Slimspan;
use crate::support::{config, frames, otlp, soon};

const MIB: usize = 1 << 20;

/// What is wrong, and how it is told.
struct Row {
    what: &'static str,
    /// The backend's answer, where it is asked.
    backend: Option<Status>,
    /// Whether it answers only in the end.
    is_held: bool,
    change: fn(&mut Value),
    /// What is sent before until something is full, if anything is to be.
    fill: Option<fn(u64) -> Bytes>,
    request: Bytes,
    code: Code,
    http: u16,
    /// When to come back, in seconds.
    again: Option<u64>,
    says: &'static str,
}

fn rows() -> Vec<Row> {
    let later = |code, seconds| {
        let details = ErrorDetails::with_retry_info(Some(Duration::from_secs(seconds)));
        Some(Status::with_error_details(code, "not now", details))
    };
    let usual = || Row {
        what: "",
        backend: None,
        is_held: false,
        change: |_| (),
        fill: None,
        request: otlp::plain_span(1),
        code: Code::Ok,
        http: 200,
        again: None,
        says: "",
    };
    vec![
        Row {
            what: "the backend is overloaded",
            backend: later(Code::Unavailable, 7),
            code: Code::Unavailable,
            http: 503,
            again: Some(7),
            says: "not now",
            ..usual()
        },
        Row {
            what: "the backend throttles",
            backend: later(Code::ResourceExhausted, 3),
            code: Code::ResourceExhausted,
            http: 429,
            again: Some(3),
            says: "not now",
            ..usual()
        },
        Row {
            what: "a quota is used up, and nobody knows when there is more",
            backend: Some(Status::resource_exhausted("quota exceeded")),
            code: Code::ResourceExhausted,
            http: 429,
            says: "quota exceeded",
            ..usual()
        },
        Row {
            what: "the backend does not take what is as large",
            backend: Some(Status::resource_exhausted(
                "grpc: received message larger than max (5 vs. 4)",
            )),
            code: Code::ResourceExhausted,
            http: 413,
            says: "larger than max",
            ..usual()
        },
        Row {
            what: "the store is away",
            change: |config| {
                config["processors"]["artifact"]["on_store_failure"] = json!("refuse");
                config["extensions"]["artifact_store"] = store_that_is_away();
            },
            request: otlp::span_with(otlp::PICTURE),
            code: Code::Unavailable,
            http: 503,
            again: Some(1),
            says: "",
            ..usual()
        },
        Row {
            what: "the queue is full",
            is_held: true,
            change: |config| {
                let exporter = &mut config["exporters"]["otlp_grpc"];
                exporter["sending_queue"] = json!({ "queue_size": 3 });
                // However slow the machine is, it stays full.
                exporter["timeout"] = json!("1h");
            },
            fill: Some(otlp::plain_span),
            code: Code::Unavailable,
            http: 503,
            again: Some(1),
            says: "sending_queue.queue_size",
            ..usual()
        },
        Row {
            what: "the spool is full",
            change: |config| {
                // The largest request has to fit.
                config::limit_requests(config, 1);
                config["processors"]["artifact"]["delivery"] = json!("background");
                let mut store = store_that_is_away();
                store["spool"] = json!({ "directory": "./spool", "max_bytes": "2MiB" });
                config["extensions"]["artifact_store"] = store;
            },
            fill: Some(|number| otlp::span_with(&otlp::photo(number, 300_000))),
            request: otlp::span_with(&otlp::photo(1_000, 300_000)),
            code: Code::Unavailable,
            http: 503,
            again: Some(1),
            says: "spool.max_bytes",
            ..usual()
        },
        Row {
            what: "the request is too large",
            change: |config| config::limit_requests(config, 1),
            request: otlp::sized_span(MIB + 1),
            code: Code::ResourceExhausted,
            http: 413,
            says: "max_re",
            ..usual()
        },
        Row {
            what: "the request has too many entries",
            change: |config| {
                let protocols = &mut config["receivers"]["otlp"]["protocols"];
                for protocol in ["grpc", "http"] {
                    protocols[protocol]["max_items"] = json!(10);
                }
            },
            request: otlp::request(Signal::Traces, vec![Vec::new(); 100]),
            code: Code::ResourceExhausted,
            http: 413,
            says: ".max_items",
            ..usual()
        },
        Row {
            what: "the request is nothing",
            request: Bytes::from_static(b"\x0a\x7f"),
            code: Code::InvalidArgument,
            http: 400,
            ..usual()
        },
        Row {
            what: "nobody takes traces",
            change: |config| {
                let pipelines = config["service"]["pipelines"].as_object_mut().unwrap();
                pipelines.remove("traces").unwrap();
            },
            code: Code::Unimplemented,
            http: 404,
            says: "no pipeline takes traces",
            ..usual()
        },
        Row {
            what: "the sender has no credential",
            change: |config| {
                config["extensions"]["bearertokenauth"] = json!({ "token": "s3cret" });
                config["service"]["extensions"] = json!(["artifact_store", "bearertokenauth"]);
                for listener in ["grpc", "http"] {
                    let listener = &mut config["receivers"]["otlp"]["protocols"][listener];
                    listener["auth"] = json!({ "authenticator": "bearertokenauth" });
                }
            },
            code: Code::Unauthenticated,
            http: 401,
            ..usual()
        },
        Row {
            what: "the backend knows no such user",
            backend: Some(Status::unauthenticated("who are you")),
            code: Code::Unauthenticated,
            http: 401,
            says: "who are you",
            ..usual()
        },
        Row {
            what: "the backend does not let that user",
            backend: Some(Status::permission_denied("not you")),
            code: Code::PermissionDenied,
            http: 403,
            says: "not you",
            ..usual()
        },
        Row {
            what: "the backend is broken",
            backend: Some(Status::internal("a bug")),
            code: Code::Internal,
            http: 500,
            says: "a bug",
            ..usual()
        },
    ]
}

/// A bucket where nobody listens.
fn store_that_is_away() -> Value {
    let options = json!({
        "aws_endpoint": "http://127.0.0.1:9",
        "aws_allow_http": "true",
        "aws_access_key_id": "access",
        "aws_secret_access_key": "secret",
        "aws_region": "us-east-1",
    });
    json!({
        "url": "s3://media/x",
        "timeout": "300ms",
        "options": options,
        "catalog": { "enabled": false },
    })
}

/// What slimspan itself fails at is asked for again by the same three ways, and then refused: `pipeline::tests`.
#[tokio::test]
async fn errors_are_the_same_over_grpc_and_http() {
    for row in rows() {
        let Row { what, backend, .. } = row;
        let gate = Arc::new(Semaphore::new(if row.is_held { 0 } else { 1_000 }));
        let opened = Arc::clone(&gate);
        let backend = Backend::scripted(move |_| {
            let (gate, answer) = (Arc::clone(&opened), backend.clone());
            async move {
                gate.acquire().await.unwrap().forget();
                answer.map_or_else(|| Ok(Bytes::new()), Err)
            }
        })
        .await;
        let mut config = config::with_http(backend.address);
        (row.change)(&mut config);
        let slimspan = Slimspan::start(&config).await;
        let expected = row.again.map(Duration::from_secs);

        let sender = slimspan.sender().await;
        if let Some(fill) = row.fill {
            let mut accepted = 0;
            while accepted < 100 && sender.send(Signal::Traces, &fill(accepted)).await.is_ok() {
                accepted += 1;
            }
            assert!((1..100).contains(&accepted), "{what}: {accepted}");
        }
        let sent = sender.send(Signal::Traces, &row.request).await;
        let status = sent.unwrap_err();
        assert_eq!(status.code(), row.code, "{what}: {status}");
        assert_eq!(retry_after(&status), expected, "{what}: {status}");
        assert!(status.message().contains(row.says), "{what}: {status}");

        let sender = slimspan.http_sender().await;
        for form in Form::ALL {
            let body = match form {
                Form::Json if row.code == Code::InvalidArgument => Bytes::from_static(b"{\"x\""),
                form => form.write(Signal::Traces, &row.request),
            };
            let answer = sender.post(Signal::Traces, form, body).await;
            assert_eq!(answer.status, row.http, "{what} {form:?}: {answer:?}");
            // A store that was asked often enough in vain is not asked any more, and it is told when
            // it is.
            let told = answer.retry_after();
            let most = expected.map(|delay| delay.max(PROBE));
            assert!(
                (expected..=most).contains(&told),
                "{what} {form:?}: {told:?}"
            );
            let status = answer.refusal(form);
            assert_eq!(status.code(), row.code, "{what} {form:?}: {status}");
            assert!(
                status.message().contains(row.says),
                "{what} {form:?}: {status}"
            );
            told_when(&answer, form, told);
        }
        gate.add_permits(1_000);
        slimspan.stop_well().await;
    }
    measured(
        "P11",
        "program::http::answers",
        "one code, delay and body for each error, by gRPC and HTTP in both forms",
        format_args!("{} errors by 3 ways", rows().len()),
    );
}

/// How often a store that does not work is asked.
const PROBE: Duration = Duration::from_secs(5);

/// The delay stands in the body, too, as over gRPC.
fn told_when(answer: &HttpAnswer, form: Form, expected: Option<Duration>) {
    if form == Form::Protobuf {
        let status = Status::with_details(Code::Unknown, "", answer.body.clone());
        assert_eq!(retry_after(&status), expected);
        return;
    }
    let details = &answer.json()["details"];
    let told = expected.map_or(Value::Null, |delay| {
        json!([{
            "@type": "type.googleapis.com/google.rpc.RetryInfo",
            "retryDelay": format!("{}s", delay.as_secs()),
        }])
    });
    assert_eq!(*details, told);
}

/// Too much at once is asked to come back by every way: it is pressure, and no fault of the request.
#[tokio::test]
async fn pressure_is_no_refusal_for_good() {
    let backend = Backend::hanging().await;
    let mut config = config::with_http(backend.address);
    config::limit_requests(&mut config, 4);
    config["processors"]["memory_limiter"]["limit_mib"] = json!(20);
    config["exporters"]["otlp_grpc"]["timeout"] = json!("1h");
    let slimspan = Slimspan::start(&config).await;
    let request = otlp::sized_span(7 * MIB / 2);
    // They wait for the backend however slow the machine is, and take nearly all that there is. One comes
    // after the other: of two that are half there and wait for the rest, one may be refused.
    let mut waiting = Vec::new();
    for there in 1..=2 {
        let sender = slimspan.sender().await;
        let call = Call::whole(frames::frame(0, &request)).header("grpc-timeout", "10M");
        waiting.push(tokio::spawn(async move { sender.try_call(call).await }));
        backend.arrived(there).await;
    }
    let says = "memory_limiter.limit_mib";
    let sender = slimspan.sender().await;
    let status = sender.send(Signal::Traces, &request).await.unwrap_err();
    assert_eq!(status.code(), Code::Unavailable, "{status}");
    assert!(status.message().contains(says), "{status}");
    let delay = retry_after(&status);
    assert!(delay.is_some(), "{status}");
    let sender = slimspan.http_sender().await;
    for form in Form::ALL {
        let answer = sender
            .post(Signal::Traces, form, form.write(Signal::Traces, &request))
            .await;
        assert_eq!(answer.status, 503, "{answer:?}");
        assert_eq!(answer.retry_after(), delay, "{answer:?}");
        let told = answer.refusal(form);
        assert_eq!(told.code(), Code::Unavailable, "{told}");
        assert!(told.message().contains(says), "{told}");
    }
    measured(
        "P11",
        "program::http::answers, too much at once",
        "UNAVAILABLE and when to come back, by gRPC and HTTP in both forms",
        format_args!("the same by 3 ways: come back after {delay:?}"),
    );
    for waiting in waiting {
        waiting.abort();
    }
    slimspan.stop_well().await;
}

/// What the backend rejects of a request is told in the form of the request.
#[tokio::test]
async fn a_partial_success_is_told_in_the_form_of_the_request() {
    let backend = Backend::answering(|_| Ok(otlp::partial_success(2, "too old"))).await;
    let slimspan = Slimspan::start(&config::with_http(backend.address)).await;
    let sender = slimspan.http_sender().await;
    let request = otlp::request(Signal::Traces, vec![Vec::new(); 3]);
    let answer = sender
        .post(Signal::Traces, Form::Protobuf, request.clone())
        .await;
    assert_eq!(answer.body, otlp::partial_success(2, "too old"));
    assert_eq!(answer.headers["content-type"], "application/x-protobuf");
    let body = Form::Json.write(Signal::Traces, &request);
    let answer = sender.post(Signal::Traces, Form::Json, body).await;
    assert_eq!(answer.headers["content-type"], "application/json");
    let partial = json!({ "partialSuccess": { "rejectedSpans": "2", "errorMessage": "too old" } });
    assert_eq!(answer.json(), partial);
    slimspan.stop_well().await;
}

/// A sender without a good credential is told what is wanted before any of its request is read, and in its
/// own form; browsers may ask without one.
#[tokio::test]
async fn a_credential_is_asked_for_before_the_body() {
    let backend = Backend::start().await;
    let mut config = config::with_http(backend.address);
    config["extensions"]["bearertokenauth"] = json!({ "token": "s3cret" });
    config["service"]["extensions"] = json!(["artifact_store", "bearertokenauth"]);
    let http = &mut config["receivers"]["otlp"]["protocols"]["http"];
    http["auth"] = json!({ "authenticator": "bearertokenauth" });
    http["cors"] = json!({ "allowed_origins": ["https://example.com"] });
    let slimspan = Slimspan::start(&config).await;
    let sender = slimspan.http_sender().await;
    let span = otlp::plain_span(1);
    for form in Form::ALL {
        for token in [None, Some("Bearer wrong"), Some("Bearer s3cret")] {
            let mut request = post(Signal::Traces, form, form.write(Signal::Traces, &span));
            if let Some(token) = token {
                let headers = request.headers_mut();
                headers.insert("authorization", token.parse().unwrap());
            }
            let answer = sender.request(request).await;
            if token == Some("Bearer s3cret") {
                assert_eq!(answer.status, 200, "{answer:?}");
                continue;
            }
            assert_eq!(answer.status, 401, "{answer:?}");
            assert!(answer.headers.contains_key("www-authenticate"));
            assert_eq!(answer.refusal(form).code(), Code::Unauthenticated);
        }
    }
    assert_eq!(backend.received().len(), 2);
    let question = http::Request::options("/v1/traces")
        .header("origin", "https://example.com")
        .header("access-control-request-method", "POST")
        .body(http_body_util::Full::new(Bytes::new()))
        .unwrap();
    assert_eq!(sender.request(question).await.status, 200);

    let mut stream = TcpStream::connect(slimspan.http_addresses[0])
        .await
        .unwrap();
    let head = "POST /v1/traces HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\n\
                content-length: 1000\r\n\r\n";
    stream.write_all(head.as_bytes()).await.unwrap();
    let mut answer = [0; 12];
    soon("an answer", stream.read_exact(&mut answer))
        .await
        .unwrap();
    assert_eq!(&answer, b"HTTP/1.1 401");
    slimspan.stop_well().await;
}
