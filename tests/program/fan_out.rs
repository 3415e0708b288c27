//! Several exporters, several pipelines.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use serde_json::{Value, json};
use slimspan_artifact::Digest;
use slimspan_proto::Signal;
use tonic::{Code, Status};
use tonic_types::{ErrorDetails, StatusExt as _};

use crate::support::backend::Backend;
use crate::support::references::{files, references, restored};
use crate::support::sender::retry_after;
use crate::support::slimspan::{Slimspan, run};
use crate::support::{config, otlp, soon};

/// All signals to both backends.
fn to_both(one: &Backend, two: &Backend) -> Value {
    let mut config = config::standard(one.address);
    config["exporters"] = json!({
        "otlp_grpc/one": config::exporter(one.address),
        "otlp_grpc/two": config::exporter(two.address),
    });
    for signal in ["traces", "logs", "metrics"] {
        config["service"]["pipelines"][signal]["exporters"] =
            json!(["otlp_grpc/one", "otlp_grpc/two"]);
    }
    config
}

async fn refusing(code: Code, retry_after: Option<Duration>) -> Backend {
    Backend::answering(move |_| {
        let details = match retry_after {
            Some(delay) => ErrorDetails::with_retry_info(Some(delay)),
            None => ErrorDetails::new(),
        };
        Err(Status::with_error_details(code, "no", details))
    })
    .await
}

/// Two exporters of a pipeline get the very same.
#[tokio::test]
async fn both_exporters_get_every_request() {
    let (one, two) = (Backend::start().await, Backend::start().await);
    let slimspan = Slimspan::start(&to_both(&one, &two)).await;
    let sender = slimspan.sender().await;
    let request = otlp::span_with(otlp::PICTURE);
    sender.send(Signal::Traces, &request).await.unwrap();
    assert_eq!(one.only(), two.only());
    assert_eq!(references(Signal::Traces, &one.only()).len(), 1);
}

/// OK means that both have accepted.
#[tokio::test]
async fn what_one_backend_refuses_is_refused() {
    let one = refusing(Code::InvalidArgument, None).await;
    let two = Backend::start().await;
    let slimspan = Slimspan::start(&to_both(&one, &two)).await;
    let sender = slimspan.sender().await;
    let refused = sender.send(Signal::Traces, &otlp::plain_span(1)).await;
    let status = refused.unwrap_err();
    assert_eq!(status.code(), Code::InvalidArgument);
    assert!(status.message().contains("otlp_grpc/one"), "{status}");
    assert_eq!((one.received().len(), two.received().len()), (1, 1));
    slimspan.stop_well().await;
}

/// A retry that can help one of them is worth having, and it waits for the slower one.
#[tokio::test]
async fn of_two_refusals_the_retryable_one_is_the_answer() {
    let (short, long) = (Duration::from_secs(2), Duration::from_secs(9));
    for (one, two, expected) in [
        (
            (Code::InvalidArgument, None),
            (Code::Unavailable, Some(short)),
            (Code::Unavailable, Some(short)),
        ),
        (
            (Code::Unavailable, Some(long)),
            (Code::Unavailable, Some(short)),
            (Code::Unavailable, Some(long)),
        ),
        (
            (Code::ResourceExhausted, Some(short)),
            (Code::ResourceExhausted, None),
            (Code::ResourceExhausted, Some(short)),
        ),
    ] {
        let one = refusing(one.0, one.1).await;
        let two = refusing(two.0, two.1).await;
        let slimspan = Slimspan::start(&to_both(&one, &two)).await;
        let sender = slimspan.sender().await;
        let refused = sender.send(Signal::Traces, &otlp::plain_span(1)).await;
        let status = refused.unwrap_err();
        let heard = (status.code(), retry_after(&status));
        assert_eq!(heard, expected);
        slimspan.stop_well().await;
    }
}

/// The pipelines of a receiver do not share their processors.
#[tokio::test]
async fn two_pipelines_of_one_receiver_each_get_every_request() {
    let (slim, full) = (Backend::start().await, Backend::start().await);
    let mut config = to_both(&slim, &full);
    let pipelines = &mut config["service"]["pipelines"];
    pipelines["traces"]["exporters"] = json!(["otlp_grpc/one"]);
    pipelines["traces/full"] = json!({
        "receivers": ["otlp"],
        "processors": ["memory_limiter"],
        "exporters": ["otlp_grpc/two"],
    });
    let slimspan = Slimspan::start(&config).await;
    let sender = slimspan.sender().await;
    let request = otlp::span_with(otlp::PICTURE);
    sender.send(Signal::Traces, &request).await.unwrap();
    assert_eq!(references(Signal::Traces, &slim.only()).len(), 1);
    assert!(full.only() == request);
}

/// Two receivers may lead to the same pipeline.
#[tokio::test]
async fn two_receivers_of_one_pipeline_both_listen() {
    let backend = Backend::start().await;
    let mut config = config::standard(backend.address);
    config["receivers"]["otlp/second"] = config["receivers"]["otlp"].clone();
    config["service"]["pipelines"]["traces"]["receivers"] = json!(["otlp", "otlp/second"]);
    let slimspan = Slimspan::start(&config).await;
    let [_, _] = slimspan.addresses[..] else {
        panic!("listening on {:?}", slimspan.addresses);
    };
    for (number, address) in slimspan.addresses.iter().enumerate() {
        let sender = crate::support::sender::Sender::connect(*address).await;
        let request = otlp::plain_span(number as u64);
        sender.send(Signal::Traces, &request).await.unwrap();
    }
    assert_eq!(backend.received().len(), 2);
}

/// One capture, and each backend gets what it can show: the file is stored once, is decoded once
/// although it is new, and every form leads back to it.
#[tokio::test]
async fn every_exporter_may_have_a_form_of_its_own() {
    const FORMS: [&str; 3] = ["object", "semconv", "logfire"];
    let backends = [
        Backend::start().await,
        Backend::start().await,
        Backend::start().await,
        Backend::start().await,
    ];
    let mut config = config::standard(backends[0].address);
    let mut exporters = json!({ "otlp_grpc/usual": config::exporter(backends[3].address) });
    for (form, backend) in FORMS.iter().zip(&backends) {
        let mut exporter = config::exporter(backend.address);
        exporter["reference"] = json!(form);
        exporters[format!("otlp_grpc/{form}")] = exporter;
    }
    let ids: Vec<_> = exporters.as_object().unwrap().keys().cloned().collect();
    config["exporters"] = exporters;
    for signal in ["traces", "logs", "metrics"] {
        config["service"]["pipelines"][signal]["exporters"] = json!(ids);
    }
    let slimspan = Slimspan::start(&config).await;
    let sender = slimspan.sender().await;
    let picture = otlp::photo(1, 100_000);
    // In a text of its own it is a file to all, in a part of a message each refers to it otherwise.
    let request = otlp::span([
        ("picture", otlp::data_uri(&picture)),
        ("raw", otlp::bytes(&picture)),
        ("input", otlp::chat_with(&picture)),
    ]);
    for _ in 0..3 {
        sender.send(Signal::Traces, &request).await.unwrap();
    }
    assert_eq!(files(&slimspan.artifacts()).len(), 1);
    let mut forms = BTreeSet::new();
    for backend in &backends {
        let received = backend.received();
        assert_eq!(received.len(), 3);
        let slim = &received[0].message;
        assert!(received.iter().all(|other| other.message == *slim));
        let restored = restored(Signal::Traces, slim, &slimspan.artifacts());
        assert_eq!(restored, request);
        forms.insert(slim.clone());
    }
    assert_eq!(forms.len(), 4, "no form is another");
    let told = slimspan.stop().await;
    assert!(
        told.stderr.contains("artifacts stored 1,"),
        "{}",
        told.stderr
    );
    assert!(
        told.stderr.contains("values replaced 9,"),
        "{}",
        told.stderr
    );
}

/// What one of two backends refuses has left to the other one, and is written down for that, each by itself
/// or in a batch. What none of them takes is not.
#[tokio::test]
async fn what_has_left_to_one_backend_is_in_the_catalog() {
    for with_batch in [false, true] {
        let one = refusing(Code::InvalidArgument, None).await;
        let refuses = Arc::new(AtomicBool::new(false));
        let is_refused = Arc::clone(&refuses);
        let two = Backend::answering(move |_| {
            if is_refused.load(Ordering::Relaxed) {
                return Err(Status::new(Code::InvalidArgument, "no"));
            }
            Ok(bytes::Bytes::new())
        })
        .await;
        let mut config = to_both(&one, &two);
        config["extensions"]["artifact_store"]["catalog"] =
            json!({ "directory": "./catalog", "interval": "50ms" });
        if with_batch {
            config["processors"]["batch"] = json!({ "timeout": "10ms" });
            config["service"]["pipelines"]["traces"]["processors"] =
                json!(["memory_limiter", "artifact", "batch"]);
        }
        let slimspan = Slimspan::start(&config).await;
        let sender = slimspan.sender().await;
        let [known, unknown] = [1, 2].map(|seed| otlp::photo(seed, 20_000));
        refuses.store(true, Ordering::Relaxed);
        let request = otlp::span_with(&unknown);
        sender.send(Signal::Traces, &request).await.unwrap_err();
        refuses.store(false, Ordering::Relaxed);
        let request = otlp::span_with(&known);
        sender.send(Signal::Traces, &request).await.unwrap_err();
        let listed = async || {
            let ls = ["ls", "--json", "--config", "collector.yaml"];
            let ended = run(slimspan.folder(), &ls).await;
            assert_eq!(ended.code, Some(0), "{}", ended.stderr);
            ended.stdout
        };
        let told = soon("it is written down", async {
            loop {
                let told = listed().await;
                if !told.is_empty() {
                    return told;
                }
            }
        });
        let told = told.await;
        let has = |bytes: &[u8]| told.contains(&Digest::of(bytes).to_string());
        assert!(has(&known) && !has(&unknown), "{told}");
        slimspan.stop_well().await;
    }
}
