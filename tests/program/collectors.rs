//! A Collector that others made, on either side of slimspan. It acknowledges before it forwards, so
//! what counts is what arrives behind it.

use bytes::Bytes;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use serde_json::json;
use slimspan::answer::Answer;
use slimspan_artifact::Digest;
use slimspan_generators::Request;
use slimspan_proto::Signal;
use tonic::Code;

use crate::support::backend::{Backend, Received};
use crate::support::references::{files, path_in, references, restored};
use crate::support::rotel::Rotel;
use crate::support::sender::Sender;
use crate::support::slimspan::Slimspan;
use crate::support::{config, otlp};

/// What a Collector's gRPC receiver takes unless it is told otherwise.
const RECEIVES: usize = 4 << 20;

/// Requests that hold the file in the ways in which SDKs send files.
fn requests(file: &[u8]) -> [(Signal, Bytes); 4] {
    let in_log = otlp::log(otlp::text("hello"), [("picture", otlp::data_uri(file))]);
    let in_span = |value: Value| (Signal::Traces, otlp::span([("picture", value)]));
    [
        in_span(otlp::data_uri(file)),
        in_span(otlp::chat_with(file)),
        in_span(otlp::bytes(file)),
        (Signal::Logs, in_log),
    ]
}

fn decoded(signal: Signal, message: &[u8]) -> Request {
    Request::decode(signal, message).unwrap()
}

/// Whether a message, sent slim, was this request before. A Collector may write the same in other bytes.
fn is_of(one: &Received, sent: &(Signal, Bytes), slimspan: &Slimspan) -> bool {
    let (signal, request) = sent;
    one.signal == *signal && {
        let whole = restored(*signal, &one.message, &slimspan.artifacts());
        decoded(*signal, &whole) == decoded(*signal, request)
    }
}

/// Slim requests came, one for each that was sent, and the store has the file in one piece.
fn check(received: &[Received], sent: &[(Signal, Bytes)], file: &[u8], slimspan: &Slimspan) {
    let digest = Digest::of(file).to_string();
    assert_eq!(received.len(), sent.len());
    for one in received {
        assert!(one.message.len() < 3_000, "{} bytes", one.message.len());
        let found = references(one.signal, &one.message);
        let found: Vec<_> = found.iter().map(|one| &one.sha256).collect();
        assert_eq!(found, [&digest]);
    }
    for (number, request) in sent.iter().enumerate() {
        let is_there = received.iter().any(|one| is_of(one, request, slimspan));
        assert!(is_there, "request {number} has changed on its way");
    }
    let stored = std::fs::read(path_in(&slimspan.artifacts(), &digest)).unwrap();
    assert!(stored == file, "the stored file is another");
    assert_eq!(files(&slimspan.artifacts()).len(), 1);
}

/// The Collector is an agent beside the senders.
#[tokio::test]
async fn files_that_come_through_a_collector_are_stored() {
    let photo = otlp::photo(1, 300_000);
    let backend = Backend::start().await;
    let slimspan = Slimspan::start(&config::standard(backend.address)).await;
    let Some(rotel) = Rotel::start(slimspan.addresses[0]).await else {
        return;
    };
    let sender = Sender::connect(rotel.address).await;
    let sent = requests(&photo);
    for (signal, request) in &sent {
        sender.send(*signal, request).await.unwrap();
    }
    let received = backend.arrived(sent.len()).await;
    check(&received, &sent, &photo, &slimspan);
}

/// The Collector is a gateway before the backend. Another backend tells what it was given.
#[tokio::test]
async fn references_go_through_a_collector_unchanged() {
    let photo = otlp::photo(2, 300_000);
    for compression in ["gzip", "none"] {
        let (backend, direct) = (Backend::start().await, Backend::start().await);
        let Some(rotel) = Rotel::start(backend.address).await else {
            return;
        };
        let mut config = config::standard(rotel.address);
        config["exporters"]["otlp_grpc"]["compression"] = json!(compression);
        config["exporters"]["otlp_grpc/direct"] = config::exporter(direct.address);
        for signal in ["traces", "logs"] {
            let exporters = json!(["otlp_grpc", "otlp_grpc/direct"]);
            config["service"]["pipelines"][signal]["exporters"] = exporters;
        }
        let slimspan = Slimspan::start(&config).await;
        let sender = slimspan.sender().await;
        let sent = requests(&photo);
        for (signal, request) in &sent {
            sender.send(*signal, request).await.unwrap();
        }
        let answer = sender.send_compressed(&sent[0].1, "gzip").await;
        assert_eq!(answer.status().code(), Code::Ok);

        let received = backend.arrived(sent.len() + 1).await;
        let mut encodings = received.iter().map(|one| one.encoding.as_deref());
        assert!(encodings.all(|name| name == Some("gzip")));
        for given in direct.arrived(sent.len() + 1).await {
            let is_the_same = |one: &&Received| {
                let decoded = |one: &Received| decoded(one.signal, &one.message);
                one.signal == given.signal && decoded(one) == decoded(&given)
            };
            let same = received.iter().filter(is_the_same).count();
            let sent_twice = is_of(&given, &sent[0], &slimspan);
            assert_eq!(same, if sent_twice { 2 } else { 1 });
        }
        check(&direct.received()[..sent.len()], &sent, &photo, &slimspan);
    }
}

/// A photo that no Collector takes gets through, because it does not go there.
#[tokio::test]
async fn a_span_that_is_too_large_for_a_collector_passes_slim() {
    let photo = otlp::photo(3, 3_500_000);
    let request = otlp::span_with(&photo);
    assert!(request.len() > RECEIVES);
    for is_slim in [true, false] {
        let backend = Backend::start().await;
        let Some(rotel) = Rotel::start(backend.address).await else {
            return;
        };
        let mut config = config::standard(rotel.address);
        if !is_slim {
            config["service"]["pipelines"]["traces"]["processors"] = json!(["memory_limiter"]);
        }
        let slimspan = Slimspan::start(&config).await;
        let sender = slimspan.sender().await;
        let answer = sender.send(Signal::Traces, &request).await.unwrap();
        if is_slim {
            assert_eq!(answer, Bytes::new());
            let received = backend.arrived(1).await;
            check(
                &received,
                &[(Signal::Traces, request.clone())],
                &photo,
                &slimspan,
            );
            continue;
        }
        // What it never takes is rejected, and kept.
        let answer = Answer::from(answer);
        assert_eq!(answer.rejected(), Some(1), "{answer:?}");
        let reason = format!("the limit is: {RECEIVES} bytes");
        assert!(answer.message().contains(&reason), "{answer:?}");
        let letters = files(&slimspan.folder().join("data/dead_letters"));
        let kept = letters.iter().map(|path| std::fs::read(path).unwrap());
        assert_eq!(kept.filter(|kept| *kept == request).count(), 1);
        // What comes next arrives, and alone.
        let next = otlp::plain_span(1);
        sender.send(Signal::Traces, &next).await.unwrap();
        backend.arrived(1).await;
        let only = decoded(Signal::Traces, &backend.only());
        assert!(only == decoded(Signal::Traces, &next));
    }
}
