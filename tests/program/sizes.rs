//! Backends refuse what is too large; what stands beside it goes through.

use std::path::Path;

use bytes::Bytes;
use serde_json::json;
use slimspan_proto::{Signal, count};
use tonic::Status;

use crate::support::backend::Backend;
use crate::support::measured::measured;
use crate::support::pages::Metrics;
use crate::support::slimspan::{Slimspan, run};
use crate::support::{config, otlp};

/// A backend that takes messages of up to `limit` bytes, as gRPC servers do.
async fn taking(limit: usize) -> Backend {
    Backend::answering(move |received| {
        if received.message.len() > limit {
            Err(Status::resource_exhausted("message larger than max"))
        } else {
            Ok(Bytes::new())
        }
    })
    .await
}

/// Requests of one span each, as one: repeated fields of joined messages follow each other.
fn together(requests: &[Bytes]) -> Bytes {
    requests.concat().into()
}

fn accepted(backend: &Backend, limit: usize) -> Vec<Bytes> {
    let received = backend.received().into_iter();
    let messages = received.map(|received| received.message);
    messages.filter(|message| message.len() <= limit).collect()
}

#[tokio::test]
async fn a_request_larger_than_the_backend_takes_goes_in_parts() {
    const MIB: usize = 1 << 20;
    let backend = taking(4 * MIB).await;
    let slimspan = Slimspan::start(&config::standard(backend.address)).await;
    let spans: Vec<Bytes> = (0..12).map(|n| otlp::sized_span(MIB - n)).collect();
    let request = together(&spans);
    let answer = slimspan.sender().await.send(Signal::Traces, &request).await;
    assert_eq!(answer.unwrap(), Bytes::new());
    let received = backend.received();
    assert_eq!(received.len(), 3, "and none was refused");
    let messages: Vec<_> = received.into_iter().map(|one| one.message).collect();
    assert_eq!(messages.concat(), request, "byte for byte, in order");
    slimspan.stop_well().await;
}

/// One span that the backend does not take is rejected and kept; its 999 neighbours arrive.
#[tokio::test]
async fn one_oversize_span_takes_no_neighbour_along() {
    const LIMIT: usize = 1 << 20;
    /// Two for each time that a thousand can be halved, and the first.
    const SENDS: usize = 2 * 10 + 1;
    let oversize = otlp::sized_span(LIMIT + 1);
    let mut most = 0;
    for position in [0, 500, 999] {
        let backend = taking(LIMIT).await;
        let slimspan = Slimspan::start(&config::standard(backend.address)).await;
        let mut spans: Vec<Bytes> = (0..999).map(otlp::plain_span).collect();
        let neighbours = together(&spans);
        spans.insert(position, oversize.clone());
        let sender = slimspan.sender().await;
        let answer = sender
            .send(Signal::Traces, &together(&spans))
            .await
            .unwrap();
        let answer = slimspan::answer::Answer::from(answer);
        assert_eq!(answer.rejected(), Some(1));
        assert!(
            answer.message().contains("message larger than max"),
            "{answer:?}"
        );
        assert_eq!(accepted(&backend, LIMIT).concat(), neighbours);
        let sends = backend.received().len();
        assert!(sends <= SENDS, "{sends}");
        most = most.max(sends);

        let [kept] = <[_; 1]>::try_from(dead_letters(slimspan.folder())).unwrap();
        assert_eq!(std::fs::read(&kept).unwrap(), oversize);
        let report = run(slimspan.folder(), &["inspect", kept.to_str().unwrap()]).await;
        assert_eq!(report.code, Some(0), "{report:?}");
        slimspan.stop_well().await;
    }
    measured(
        "P13",
        "program::sizes, one of 1,000 is too large",
        "999 arrive, 1 told as rejected and kept; <= 21 requests, 2 log2(n) + 1",
        format_args!("at the beginning, in the middle and at the end: {most} requests at most"),
    );
}

/// What no part of can go, and is not kept, is told all the same.
#[tokio::test]
async fn a_dead_letter_that_is_not_kept_is_rejected_as_well() {
    let backend = taking(100_000).await;
    let mut config = config::standard(backend.address);
    config["exporters"]["otlp_grpc"]["dead_letters"] = json!({ "directory": null });
    let slimspan = Slimspan::start(&config).await;
    let request = together(&[otlp::sized_span(200_000), otlp::sized_span(300_000)]);
    let answer = slimspan.sender().await.send(Signal::Traces, &request).await;
    let answer = slimspan::answer::Answer::from(answer.unwrap());
    assert_eq!(answer.rejected(), Some(2));
    assert!(accepted(&backend, 100_000).is_empty());
    assert!(dead_letters(slimspan.folder()).is_empty());
    let ended = slimspan.stop().await;
    assert!(
        ended.stderr.contains("dead_letters.directory is null"),
        "{}",
        ended.stderr
    );
}

/// What is kept and what is lost is counted apart.
#[tokio::test]
async fn dead_letters_are_counted() {
    let backend = taking(100_000).await;
    let mut config = config::standard(backend.address);
    // There is room for the first one.
    config["exporters"]["otlp_grpc"]["dead_letters"] = json!({ "max_bytes": "250KiB" });
    config::tell_metrics(&mut config);
    let slimspan = Slimspan::start(&config).await;
    let sender = slimspan.sender().await;
    let counted = async || {
        let metrics = Metrics::of(slimspan.page("telemetry")).await;
        let of = ["exporter=\"otlp_grpc\""];
        ["dead_letters", "dead_letters_lost", "retries"]
            .map(|name| metrics.count(&format!("slimspan_exporter_{name}_total"), &of))
    };
    for (size, expected) in [
        (50_000, [0, 0, 0]),
        (200_000, [1, 0, 0]),
        (210_000, [1, 1, 0]),
        (220_000, [1, 2, 0]),
    ] {
        let answer = sender.send(Signal::Traces, &otlp::sized_span(size)).await;
        let answer = slimspan::answer::Answer::from(answer.unwrap());
        let rejected = (size > 100_000).then_some(1);
        assert_eq!(answer.rejected(), rejected, "{size}");
        assert_eq!(counted().await, expected, "{size}");
    }
    assert_eq!(dead_letters(slimspan.folder()).len(), 1);
    slimspan.stop_well().await;
}

/// The larger part of a request is sent even where a setting is too careful.
#[tokio::test]
async fn an_item_above_max_request_bytes_is_the_backends_to_refuse() {
    let backend = Backend::start().await;
    let mut config = config::standard(backend.address);
    config["exporters"]["otlp_grpc"]["max_request_bytes"] = json!("100KiB");
    let slimspan = Slimspan::start(&config).await;
    let request = together(&[otlp::plain_span(1), otlp::sized_span(200_000)]);
    let answer = slimspan.sender().await.send(Signal::Traces, &request).await;
    assert_eq!(answer.unwrap(), Bytes::new());
    let received = backend.received();
    let items: usize = received
        .iter()
        .map(|one| count(Signal::Traces, &one.message))
        .sum();
    assert_eq!((received.len(), items), (2, 2));
    slimspan.stop_well().await;
}

fn dead_letters(folder: &Path) -> Vec<std::path::PathBuf> {
    let Ok(files) = std::fs::read_dir(folder.join("data/dead_letters")) else {
        return Vec::new();
    };
    let paths = files.map(|file| file.unwrap().path());
    paths
        .filter(|path| path.extension().is_some_and(|kind| kind == "pb"))
        .collect()
}
