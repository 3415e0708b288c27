//! A file that a conversation sends with every turn.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::StatusCode;
use serde_json::json;
use slimspan::admission::{Budget, Limits};
use slimspan::client::Client;
use slimspan::config::{Delivery, OnStoreFailure, Secret};
use slimspan::exporters::otlp_grpc::{OtlpGrpcExporter, config::OtlpGrpcConfig};
use slimspan::exporters::{self, Exporter};
use slimspan::pipeline::{Destination, Fate, Keeping, Pipeline, Pipelines, Wanted};
use slimspan::sift::EntryLimit;
use slimspan::storage::{Store, StoreConfig};
use slimspan::telemetry::Counters;
use slimspan::telemetry::traces::Trace;
use slimspan::tenant::TenantId;
use slimspan_artifact::{Extraction, Policy, extract_recalling};
use slimspan_proto::Signal;
use tokio::time::Instant;
use tonic::Code;

use crate::support::backend::Backend;
use crate::support::references::references;
use crate::support::s3::{Behaviour, S3};
use crate::support::slimspan::Slimspan;
use crate::support::{config, otlp};

const FORMS: [&str; 5] = ["native", "object", "uri", "semconv", "logfire"];

/// The slim request is the same every time, in each form, and the file is put once.
#[tokio::test]
async fn a_repeated_file_becomes_the_same_reference() {
    for form in FORMS {
        let store = S3::start(Behaviour::Store).await;
        let backend = Backend::start().await;
        let mut config = config::with_s3(backend.address, store.address);
        config["processors"]["artifact"]["reference"] = json!(form);
        config["extensions"]["artifact_store"]["timeout"] = json!("20s");
        let slimspan = Slimspan::start(&config).await;
        let sender = slimspan.sender().await;
        let request = otlp::span_with(&otlp::photo(1, otlp::PHOTO));
        for _ in 0..3 {
            sender.send(Signal::Traces, &request).await.unwrap();
        }
        assert_eq!(store.puts(), 1, "{form}");
        let arrived: Vec<Bytes> = backend
            .received()
            .into_iter()
            .map(|one| one.message)
            .collect();
        assert_eq!(arrived.len(), 3);
        assert!(arrived.iter().all(|one| *one == arrived[0]), "{form}");
        assert_eq!(references(Signal::Traces, &arrived[0]).len(), 1, "{form}");
    }
}

/// What was stored longer ago than `refresh` may be gone: it is stored again, also where its value is
/// remembered.
#[tokio::test]
async fn a_repeated_file_is_stored_again_after_its_time() {
    let store = S3::start(Behaviour::Store).await;
    let backend = Backend::start().await;
    let mut config = config::with_s3(backend.address, store.address);
    config["extensions"]["artifact_store"]["refresh"] = json!("0s");
    config["extensions"]["artifact_store"]["timeout"] = json!("20s");
    let slimspan = Slimspan::start(&config).await;
    let sender = slimspan.sender().await;
    let request = otlp::span_with(&otlp::photo(1, otlp::PHOTO));
    for times in 1..4 {
        sender.send(Signal::Traces, &request).await.unwrap();
        assert_eq!(store.puts(), times);
    }
}

/// What is remembered shares the fate of the request that it comes in.
#[tokio::test]
async fn a_repeated_file_beside_one_that_cannot_be_stored() {
    for on_store_failure in ["forward", "refuse", "drop"] {
        let store = S3::start(Behaviour::StoreFirst(1, StatusCode::FORBIDDEN)).await;
        let backend = Backend::start().await;
        let mut config = config::with_s3(backend.address, store.address);
        config["processors"]["artifact"]["on_store_failure"] = json!(on_store_failure);
        config["extensions"]["artifact_store"]["timeout"] = json!("20s");
        let slimspan = Slimspan::start(&config).await;
        let sender = slimspan.sender().await;
        let file = |seed| otlp::data_uri(&otlp::photo(seed, otlp::PHOTO));
        let known = otlp::span([("known", file(1))]);
        // It is remembered when it comes for the second time.
        for _ in 0..2 {
            sender.send(Signal::Traces, &known).await.unwrap();
        }
        let both = otlp::span([("known", file(1)), ("new", file(2))]);
        let answer = sender.send(Signal::Traces, &both).await;
        let arrived = backend.received().into_iter().map(|one| one.message);
        let second = arrived.skip(2).collect::<Vec<_>>();
        match on_store_failure {
            "forward" => assert!(answer.is_ok() && second == [both]),
            "refuse" => {
                assert_eq!(answer.unwrap_err().code(), Code::Unavailable);
                assert_eq!(second, [] as [Bytes; 0]);
            }
            _ => {
                answer.unwrap();
                let found = references(Signal::Traces, &second[0]);
                assert_eq!(found.len(), 2);
                assert!(found.iter().all(|one| one.dropped), "{found:?}");
            }
        }
        // The known one goes on alone.
        sender.send(Signal::Traces, &known).await.unwrap();
        assert_eq!(store.puts(), 2);
        slimspan.stop_well().await;
    }
}

/// A value is remembered when its file is stored, and not before.
#[tokio::test]
async fn nothing_is_remembered_of_a_file_that_was_not_stored() {
    let server = S3::start(Behaviour::AnswerFirst(StatusCode::FORBIDDEN, 1)).await;
    let backend = Backend::start().await;
    let mut config = StoreConfig::new("s3://media/x");
    for (key, value) in [
        ("aws_endpoint", format!("http://{}", server.address)),
        ("aws_allow_http", "true".to_owned()),
        ("aws_access_key_id", "access".to_owned()),
        ("aws_secret_access_key", "secret".to_owned()),
        ("aws_region", "us-east-1".to_owned()),
    ] {
        config.options.insert(key.to_owned(), Secret::new(value));
    }
    let store = Store::open(&config).unwrap();
    let policy = Policy::new(
        8192,
        Store::location_of(&config, &TenantId::default()).unwrap(),
    );
    let mut exporter = OtlpGrpcConfig::new(backend.address.to_string().parse().unwrap());
    exporter.tls.insecure = true;
    let name = "otlp_grpc".to_owned();
    let client = OtlpGrpcExporter::new(name.clone(), &exporter).unwrap();
    let way = Arc::new(exporters::Way::new(name, client, None, exporter.delivery()));
    let exporter = exporters::Delivery::new(way, None);
    let counters = Arc::new(Counters::default());
    let budget = Budget::new(Limits {
        limit_mib: 512,
        spike_mib: 102,
    });
    let mut pipelines = Pipelines::new(
        EntryLimit {
            most: 1_000,
            key: String::new(),
        },
        budget.clone(),
        Arc::clone(&counters),
    );
    let keeping = Keeping {
        store: store.clone(),
        delivery: Delivery::Sync,
        on_failure: OnStoreFailure::Forward,
        tenancy: None,
        recorder: None,
    };
    pipelines.add(Arc::new(Pipeline::new(
        "traces".parse().unwrap(),
        Some((policy.clone(), Fate::Kept(Box::new(keeping)))),
        vec![Destination::Exporter(
            Arc::new(Exporter::Otlp(Box::new(exporter))),
            Wanted::default(),
        )],
        budget,
        counters,
    )));
    let request = otlp::span_with(&otlp::photo(1, otlp::PHOTO));
    let recalled = || -> Extraction {
        extract_recalling(Signal::Traces, &request, &policy, store.recall()).unwrap()
    };
    // It came before, so that there is something to learn from it.
    assert_eq!(recalled().learned, []);
    assert_eq!(recalled().learned.len(), 1);
    for (is_stored, is_remembered) in [(false, false), (true, true)] {
        let deadline = Instant::now() + Duration::from_secs(10);
        let answer = pipelines.consume(
            Signal::Traces,
            request.clone(),
            Arc::new(Client::unknown()),
            deadline,
            Trace::default(),
        );
        answer.await.unwrap();
        assert_eq!(!server.stored().is_empty(), is_stored);
        assert_eq!(recalled().recalled.len(), usize::from(is_remembered));
        assert_eq!(recalled().artifacts.is_empty(), is_remembered);
    }
}
