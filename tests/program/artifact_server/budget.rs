//! Requests that become whole again take no more memory than there is for requests.

use std::time::Duration;

use bytes::Bytes;
use http::{Method, StatusCode};
use serde_json::{Value, json};
use slimspan_proto::Signal;

use super::openapi::{described, is_described};
use super::{Served, with_server};
use crate::support::backend::Backend;
use crate::support::http::{HttpAnswer, json as as_json};
use crate::support::{config, otlp, soon};

/// 64 MiB for everything: requests may have 48 of them, and one that becomes whole 24.
fn with_little(backend: &Backend) -> Value {
    let mut config = with_server();
    config["exporters"]["otlp_grpc"] = config::exporter(backend.address);
    config::limit_requests(&mut config, 16);
    config["processors"]["memory_limiter"] = json!({ "limit_mib": 64 });
    config
}

async fn restore(served: &Served, content_type: &str, slim: Bytes) -> HttpAnswer {
    let client = served.pages.with("content-type", content_type);
    client.ask(Method::POST, "/v1/restore/traces", slim).await
}

/// What went on of a span with these files.
async fn slim(served: &Served, backend: &Backend, files: &[Vec<u8>]) -> (Bytes, Bytes) {
    let names = ["a", "b", "c", "d"];
    let attributes = names.iter().zip(files);
    let original = otlp::span(attributes.map(|(name, file)| (*name, otlp::data_uri(file))));
    let before = backend.received().len();
    let sender = served.slimspan.sender().await;
    sender.send(Signal::Traces, &original).await.unwrap();
    (original, backend.received()[before].message.clone())
}

#[tokio::test]
async fn what_would_take_too_much_is_refused_and_what_fits_is_not() {
    let backend = Backend::start().await;
    let served = Served::start(&with_little(&backend)).await;
    let (original, small) = slim(&served, &backend, &[otlp::photo(1, 3 << 20)]).await;
    let answer = restore(&served, "application/x-protobuf", small.clone()).await;
    assert_eq!(answer.status, StatusCode::OK, "{:?}", answer.headers);
    assert!(answer.body == original);
    let answer = restore(&served, "application/json", as_json(Signal::Traces, &small)).await;
    assert_eq!(answer.status, StatusCode::OK, "{:?}", answer.headers);
    assert!(answer.body == as_json(Signal::Traces, &original));
    // Each of these was small enough to be sent.
    let mut all = Vec::new();
    for seed in 2..6 {
        let (_, one) = slim(&served, &backend, &[otlp::photo(seed, 8 << 20)]).await;
        all.extend_from_slice(&one);
    }
    // Requests one behind the other are one request.
    let before = served.slimspan.memory();
    let answer = restore(&served, "application/x-protobuf", all.into()).await;
    assert_eq!(answer.status, StatusCode::PAYLOAD_TOO_LARGE);
    let told = answer.json()["error"].to_string();
    assert!(told.contains("memory_limiter"), "{told}");
    let grown = served.slimspan.memory().saturating_sub(before) >> 20;
    assert!(grown < 30, "{grown} MiB");
}

/// It does not stay a reference in silence.
#[tokio::test]
async fn a_file_that_has_no_room_as_often_as_it_is_wanted_is_refused() {
    let backend = Backend::start().await;
    let served = Served::start(&with_little(&backend)).await;
    // In its place it has 4 MiB, and a request that becomes whole is there twice for a moment.
    let (original, small) = slim(&served, &backend, &[otlp::photo(1, 3 << 20)]).await;
    let answer = restore(&served, "application/x-protobuf", small.repeat(2).into()).await;
    assert_eq!(answer.status, StatusCode::OK, "{:?}", answer.headers);
    assert_eq!(answer.headers["slimspan-references-left"], "0");
    assert!(answer.body == original.repeat(2));
    let answer = restore(&served, "application/x-protobuf", small.repeat(3).into()).await;
    assert_eq!(
        answer.status,
        StatusCode::PAYLOAD_TOO_LARGE,
        "{:?}",
        answer.headers
    );
    let document = described(&served).await;
    is_described(&document, &Method::POST, "/v1/restore/{signal}", &answer);
    let told = answer.json()["error"].to_string();
    assert!(told.contains("slimspan restore"), "{told}");
}

/// What senders have taken is not there for others, who are asked to come back.
#[tokio::test]
async fn who_finds_no_memory_is_asked_to_come_back() {
    let backend = Backend::start().await;
    let hanging = Backend::hanging().await;
    let mut config = with_little(&backend);
    config["exporters"]["otlp_grpc/hanging"] = config::exporter(hanging.address);
    config["exporters"]["otlp_grpc/hanging"]["timeout"] = json!("1h");
    config["service"]["pipelines"]["logs"]["exporters"] = json!(["otlp_grpc/hanging"]);
    let served = Served::start(&config).await;
    let (original, small) = slim(&served, &backend, &[otlp::photo(1, 11 << 19)]).await;
    let mut waiting = Vec::new();
    // Those for one exporter may have three quarters of the 48 MiB, and each is there twice.
    for number in 1..=2 {
        let sender = served.slimspan.sender().await;
        let request = otlp::log(otlp::text("-".repeat(17 << 19)), []);
        waiting.push(tokio::spawn(async move {
            sender.send(Signal::Logs, &request).await
        }));
        hanging.arrived(number).await;
    }
    let answer = restore(&served, "application/x-protobuf", small.clone()).await;
    assert_eq!(answer.status, StatusCode::SERVICE_UNAVAILABLE, "{answer:?}");
    assert_eq!(answer.headers["retry-after"], "1");
    let document = described(&served).await;
    is_described(&document, &Method::POST, "/v1/restore/{signal}", &answer);
    let told = answer.json()["error"].to_string();
    assert!(told.contains("memory_limiter.limit_mib"), "{told}");
    for one in waiting {
        one.abort();
    }
    // When they are gone, there is room.
    soon("there is room", async {
        loop {
            let answer = restore(&served, "application/x-protobuf", small.clone()).await;
            if answer.status == StatusCode::OK {
                assert!(answer.body == original);
                return;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    })
    .await;
}
