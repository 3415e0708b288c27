//! However a request comes, the same leaves.

use std::path::Path;

use bytes::Bytes;
use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use prost::Message as _;
use slimspan_proto::Signal;
use slimspan_proto::json::Limits;

use crate::support::backend::Backend;
use crate::support::http::{Form, HttpSender};
use crate::support::references::references;
use crate::support::slimspan::Slimspan;
use crate::support::{config, otlp};

/// What a decoder reads of a request.
fn decoded(signal: Signal, request: &Bytes) -> String {
    let request = request.clone();
    match signal {
        Signal::Traces => format!("{:?}", ExportTraceServiceRequest::decode(request).unwrap()),
        Signal::Logs => format!("{:?}", ExportLogsServiceRequest::decode(request).unwrap()),
        Signal::Metrics => format!(
            "{:?}",
            ExportMetricsServiceRequest::decode(request).unwrap()
        ),
        Signal::Profiles => panic!("there is no JSON of profiles"),
    }
}

/// Requests that SDKs and instrumentations have sent, and one of each signal.
fn requests() -> Vec<(String, Signal, Bytes)> {
    let mut requests = vec![
        (
            "a span".to_owned(),
            Signal::Traces,
            otlp::span_with(otlp::PICTURE),
        ),
        (
            "a log record".to_owned(),
            Signal::Logs,
            otlp::log(
                otlp::chat_with(otlp::PICTURE),
                [("raw", otlp::bytes(otlp::PICTURE))],
            ),
        ),
        (
            "a metric".to_owned(),
            Signal::Metrics,
            otlp::metric(otlp::text("queue")),
        ),
    ];
    let captures = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/captures");
    for entry in std::fs::read_dir(&captures).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            continue;
        }
        let name = path.file_name().unwrap().to_str().unwrap().to_owned();
        let bytes = std::fs::read(&path).unwrap();
        let (signal, request) = match name.split('.').rev().take(2).collect::<Vec<_>>()[..] {
            ["pb", "traces"] => (Signal::Traces, bytes),
            ["pb", "logs"] => (Signal::Logs, bytes),
            ["json", "traces"] => {
                let read = slimspan_proto::json::read(Signal::Traces, &bytes, Limits::default());
                (Signal::Traces, read.unwrap().request)
            }
            _ => continue,
        };
        requests.push((name, signal, request.into()));
    }
    let index = std::fs::read(captures.join("index.json")).unwrap();
    let index: Vec<serde_json::Value> = serde_json::from_slice(&index).unwrap();
    for capture in index {
        let is_there = requests.iter().any(|(name, ..)| capture["file"] == *name);
        assert!(is_there, "{} is left out", capture["file"]);
    }
    requests
}

/// The same telemetry over gRPC, HTTP/1 and HTTP/2, as protobuf and as JSON: the same slim request each time,
/// as bytes where bytes came, and to a decoder where JSON did.
#[tokio::test]
async fn both_receivers_give_identical_slim_requests() {
    let backend = Backend::start().await;
    let slimspan = Slimspan::start(&config::with_http(backend.address)).await;
    let grpc = slimspan.sender().await;
    let http = slimspan.http_sender().await;
    let http2 = HttpSender::http2(slimspan.http_addresses[0]).await;
    let (mut arrived, mut moved) = (0, 0);
    let captures = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/captures");
    for (name, signal, request) in requests() {
        grpc.send(signal, &request).await.unwrap();
        for sender in [&http, &http2] {
            for form in Form::ALL {
                let body = match form {
                    // In the words of its sender.
                    Form::Json if captures.join(&name).extension() == Some("json".as_ref()) => {
                        std::fs::read(captures.join(&name)).unwrap().into()
                    }
                    form => form.write(signal, &request),
                };
                let answer = sender.post(signal, form, body).await;
                assert_eq!(answer.status, 200, "{name}: {answer:?}");
                let nothing = if form == Form::Json { "{}" } else { "" };
                assert_eq!(answer.body, nothing, "{name}");
            }
        }
        let received = backend.received().split_off(arrived);
        arrived += received.len();
        let [slim, protobuf, json, protobuf2, json2] = &received[..] else {
            panic!("{name}: {} arrived", received.len());
        };
        assert!(slim.message == protobuf.message, "{name}");
        assert!(slim.message == protobuf2.message, "{name}");
        assert!(json.message == json2.message, "{name}");
        let read = decoded(signal, &json.message);
        assert_eq!(decoded(signal, &slim.message), read, "{name}");
        if signal != Signal::Metrics {
            moved += references(signal, &slim.message).len();
        }
    }
    assert!(moved > 20, "{moved} files were moved");
}
