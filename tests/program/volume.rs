//! A request with very many files, a very large one, or the same one over and over.

use bytes::Bytes;
use serde_json::json;
use slimspan_artifact::Digest;
use slimspan_proto::Signal;

use crate::support::backend::Backend;
use crate::support::references::{path_in, references};
use crate::support::s3::{Behaviour, S3};
use crate::support::slimspan::Slimspan;
use crate::support::{config, otlp};

const MIB: usize = 1 << 20;

/// Every file of a request that is full of small ones is moved.
#[tokio::test]
async fn thousands_of_files_in_one_request_are_all_moved() {
    const FILES: u64 = 3_000;
    let backend = Backend::start().await;
    let mut config = config::standard(backend.address);
    config["extensions"]["artifact_store"]["url"] = json!("memory:///files");
    config["processors"]["artifact"]["threshold"] = json!("4KiB");
    let slimspan = Slimspan::start(&config).await;
    let spans = (0..FILES).map(|seed| otlp::span_with(&otlp::photo(seed, 5 * 1024)));
    let request: Bytes = spans.collect::<Vec<_>>().concat().into();
    let sender = slimspan.sender().await;
    assert_eq!(
        sender.send(Signal::Traces, &request).await.unwrap(),
        Bytes::new()
    );
    let received = backend.received();
    let moved = received
        .iter()
        .flat_map(|one| references(Signal::Traces, &one.message));
    let mut digests: Vec<_> = moved.map(|reference| reference.sha256).collect();
    digests.sort();
    digests.dedup();
    assert_eq!(digests.len() as u64, FILES);
}

/// A file that fills a request takes room for itself, as it came and as it is, and for little else.
#[tokio::test]
async fn a_file_as_large_as_a_request_may_be_takes_twice_its_request() {
    let backend = Backend::start().await;
    let slimspan = Slimspan::start(&config::standard(backend.address)).await;
    let file = otlp::photo(1, 47 * MIB);
    let request = otlp::span_with(&file);
    let before = slimspan.peak_memory();
    slimspan
        .sender()
        .await
        .send(Signal::Traces, &request)
        .await
        .unwrap();
    let grown = slimspan.peak_memory().saturating_sub(before);
    let slim = backend.only();
    let [reference] = <[_; 1]>::try_from(references(Signal::Traces, &slim)).unwrap();
    let path = path_in(&slimspan.artifacts(), &reference.sha256);
    assert_eq!(Digest::of(&std::fs::read(path).unwrap()), Digest::of(&file));
    let limit = 2 * request.len() as u64;
    assert!(
        grown < limit,
        "{} MiB for {} MiB",
        grown >> 20,
        request.len() >> 20
    );
}

/// A conversation that shows one picture a thousand times has it stored once.
#[tokio::test]
async fn one_file_a_thousand_times_is_put_once() {
    let store = S3::start(Behaviour::Store).await;
    let backend = Backend::start().await;
    let mut config = config::with_s3(backend.address, store.address);
    config["extensions"]["artifact_store"]["timeout"] = "20s".into();
    let slimspan = Slimspan::start(&config).await;
    let file = otlp::photo(1, 20_000);
    let request: Bytes = otlp::span_with(&file).repeat(1_000).into();
    slimspan
        .sender()
        .await
        .send(Signal::Traces, &request)
        .await
        .unwrap();
    assert_eq!((store.puts(), store.stored()), (1, vec![Digest::of(&file)]));
    let received = backend.received();
    let moved = received
        .iter()
        .map(|one| references(Signal::Traces, &one.message).len());
    assert_eq!(moved.sum::<usize>(), 1_000);
}
