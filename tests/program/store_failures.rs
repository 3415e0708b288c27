//! What becomes of requests whose files cannot be stored.

use std::time::Duration;

use bytes::Bytes;
use futures::future::join_all;
use http::StatusCode;
use serde_json::json;
use slimspan_artifact::Digest;
use slimspan_proto::Signal;
use tonic::{Code, Status};

use crate::support::backend::Backend;
use crate::support::references::{Reference, references};
use crate::support::refusing::Refusing;
use crate::support::s3::{Behaviour, S3};
use crate::support::sender::{Call, retry_after};
use crate::support::slimspan::{Ended, Slimspan};
use crate::support::{config, frames, otlp};

/// All the ways in which a store does not store.
const FAILURES: [Failure; 5] = [
    Failure::Behaviour(Behaviour::Hang),
    Failure::Behaviour(Behaviour::Answer(StatusCode::INTERNAL_SERVER_ERROR)),
    Failure::Behaviour(Behaviour::Answer(StatusCode::SERVICE_UNAVAILABLE)),
    Failure::Behaviour(Behaviour::Answer(StatusCode::FORBIDDEN)),
    Failure::Refusing,
];

enum Failure {
    Behaviour(Behaviour),
    Refusing,
}

/// What one request with a file has come to.
struct Outcome {
    answer: Result<Bytes, Status>,
    arrived: Vec<Bytes>,
    ended: Ended,
}

/// Sends `request` through a slimspan with each of the failures.
async fn with_each_failure(on_store_failure: Option<&str>, request: &Bytes) -> Vec<Outcome> {
    let outcomes = FAILURES.iter().map(|failure| async move {
        let backend = Backend::start().await;
        // Both live as long as the request.
        let (refusing, stub);
        let store = match failure {
            Failure::Refusing => {
                refusing = Refusing::start();
                refusing.address
            }
            Failure::Behaviour(behaviour) => {
                stub = S3::start(behaviour.clone()).await;
                stub.address
            }
        };
        let mut config = config::with_s3(backend.address, store);
        config["extensions"]["artifact_store"]["timeout"] = "500ms".into();
        if let Some(policy) = on_store_failure {
            config["processors"]["artifact"]["on_store_failure"] = json!(policy);
        }
        let slimspan = Slimspan::start(&config).await;
        let sender = slimspan.sender().await;
        let answer = sender.send(Signal::Traces, request).await;
        let ended = slimspan.stop().await;
        assert_eq!(ended.code, Some(0), "{}", ended.stderr);
        let received = backend.received().into_iter();
        Outcome {
            answer,
            arrived: received.map(|one| one.message).collect(),
            ended,
        }
    });
    join_all(outcomes).await
}

/// Without a word in the configuration nothing is lost and nobody waits: the backend gets the
/// request as it came.
#[tokio::test]
async fn by_default_the_request_goes_on_as_it_came() {
    let request = otlp::span_with(otlp::PICTURE);
    for outcome in with_each_failure(None, &request).await {
        outcome.answer.unwrap();
        assert!(outcome.arrived == [request.clone()]);
        let log = outcome.ended.stderr;
        assert!(log.contains("requests forwarded unmodified 1"), "{log}");
    }
}

/// With `refuse` the sender keeps the request and comes back; the backend hears nothing of it.
#[tokio::test]
async fn with_refuse_the_sender_is_asked_to_come_back() {
    let request = otlp::span_with(otlp::PICTURE);
    for outcome in with_each_failure(Some("refuse"), &request).await {
        let status = outcome.answer.unwrap_err();
        assert_eq!(status.code(), Code::Unavailable, "{status}");
        assert!(retry_after(&status).is_some(), "{status}");
        assert!(status.message().contains("s3://media/x"), "{status}");
        assert_eq!(outcome.arrived, [] as [Bytes; 0]);
    }
}

/// With `drop` the request goes on with a mark in place of the file, which leads nowhere and says
/// so; what was given up is told in the end.
#[tokio::test]
async fn with_drop_a_mark_takes_the_place_of_the_file() {
    let request = otlp::span_with(otlp::PICTURE);
    for outcome in with_each_failure(Some("drop"), &request).await {
        outcome.answer.unwrap();
        let [slim] = <[_; 1]>::try_from(outcome.arrived).unwrap();
        let mark = Reference {
            sha256: Digest::of(otlp::PICTURE).to_string(),
            content_type: None,
            size_bytes: Some(otlp::PICTURE.len()),
            preview: None,
            uri: None,
            dropped: true,
        };
        assert_eq!(references(Signal::Traces, &slim), [mark]);
        let log = outcome.ended.stderr;
        assert!(log.contains("artifacts dropped 1"), "{log}");
    }
}

/// A store that hangs is given up while there is time to go on without it, however patient the
/// configuration is with it.
#[tokio::test]
async fn a_hanging_store_leaves_time_for_the_backend() {
    let backend = Backend::start().await;
    let store = S3::start(Behaviour::Hang).await;
    let mut config = config::with_s3(backend.address, store.address);
    config["extensions"]["artifact_store"]["timeout"] = "10s".into();
    let slimspan = Slimspan::start(&config).await;
    let request = otlp::span_with(otlp::PICTURE);
    let call = Call::whole(frames::frame(0, &request)).header("grpc-timeout", "6S");
    let answer = slimspan.sender().await.call(call).await;
    assert_eq!(answer.status().code(), Code::Ok, "{answer:?}");
    assert!(backend.only() == request);
    slimspan.stop_well().await;
}

/// What is too large for the backend as it is, is not once the store is back: nothing final is
/// said before.
#[tokio::test]
async fn a_request_that_cannot_go_on_unmodified_is_to_come_back() {
    let backend = Backend::answering(|_| Err(Status::resource_exhausted("4 MiB at most"))).await;
    let store = S3::start(Behaviour::Answer(StatusCode::FORBIDDEN)).await;
    let slimspan = Slimspan::start(&config::with_s3(backend.address, store.address)).await;
    let sender = slimspan.sender().await;
    let request = otlp::span_with(otlp::PICTURE);
    let status = sender.send(Signal::Traces, &request).await.unwrap_err();
    assert_eq!(status.code(), Code::Unavailable, "{status}");
    assert!(retry_after(&status).is_some(), "{status}");
    slimspan.stop_well().await;
}

/// Who is refused while the store is not asked comes back when it is asked again, and not every second.
#[tokio::test]
async fn a_refusal_tells_when_the_store_is_asked_again() {
    let backend = Backend::start().await;
    let refusing = Refusing::start();
    let mut config = config::with_s3(backend.address, refusing.address);
    config["processors"]["artifact"]["on_store_failure"] = json!("refuse");
    let mut slimspan = Slimspan::start(&config).await;
    let sender = slimspan.sender().await;
    let send = |seed| {
        let request = otlp::span_with(&otlp::photo(seed, 20_000));
        let sender = sender.clone();
        async move { sender.send(Signal::Traces, &request).await.unwrap_err() }
    };
    join_all((0..8).map(send)).await;
    slimspan.logs("is not asked any more").await;
    let delay = retry_after(&send(9).await).unwrap();
    assert!(delay > Duration::from_secs(2), "{delay:?}");
    assert!(delay <= Duration::from_secs(5), "{delay:?}");
    slimspan.stop_well().await;
}

/// Senders with little patience find out together what none of them waits for.
#[tokio::test]
async fn a_store_that_hangs_is_found_out_by_senders_of_little_patience() {
    let backend = Backend::start().await;
    let store = S3::start(Behaviour::Hang).await;
    let mut config = config::with_s3(backend.address, store.address);
    config["extensions"]["artifact_store"]["timeout"] = "10s".into();
    let mut slimspan = Slimspan::start(&config).await;
    let sender = slimspan.sender().await;
    let impatient = (0..6).map(|seed| {
        let request = otlp::span_with(&otlp::photo(seed, 20_000));
        let call = Call::whole(frames::frame(0, &request)).header("grpc-timeout", "1S");
        // Its own clock may say so before it is told.
        sender.try_call(call)
    });
    join_all(impatient).await;
    slimspan.logs("is not asked any more").await;
    slimspan.stop_well().await;
}
