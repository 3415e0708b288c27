//! Spans that refer to files which their senders store themselves: what `logfire.Artifact` does, as it was captured.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures::StreamExt as _;
use futures::stream::FuturesUnordered;
use http::{Method, StatusCode};
use opentelemetry_proto::tonic::common::v1::any_value;
use serde_json::{Value, json};
use slimspan_artifact::{Digest, MOST_CLAIMS};
use slimspan_proto::Signal;
use tokio::sync::Semaphore;
use tokio::time::sleep;

use super::handshake::put_captured;
use super::{Served, with_catalog};
use crate::support::backend::Backend;
use crate::support::references::files;
use crate::support::s3::{Behaviour, S3};
use crate::support::slimspan::{Slimspan, run};
use crate::support::{config, otlp, soon};

/// Three spans that refer to two files; a reference deeper in a value is to one that the SDK does not store.
fn captured() -> Bytes {
    let captures = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/captures");
    let capture = captures.join("logfire-artifacts-branch__artifact.traces.pb");
    std::fs::read(capture).unwrap().into()
}

/// What is listed of these, as soon as it is so.
async fn listed(served: &Served, query: &str, is_so: impl Fn(&[Value]) -> bool) -> Vec<Value> {
    soon("the catalog comes by", async {
        loop {
            let answer = served.pages.get(&format!("/v1/artifacts{query}")).await;
            assert_eq!(answer.status, StatusCode::OK, "{answer:?}");
            let listed = answer.json()["references"].as_array().unwrap().clone();
            if is_so(&listed) {
                return listed;
            }
            sleep(Duration::from_millis(50)).await;
        }
    })
    .await
}

fn by_attribute<'l>(listed: &'l [Value], attribute: &str) -> &'l Value {
    let found = listed.iter().find(|one| one["attribute"] == attribute);
    found.unwrap_or_else(|| panic!("{attribute} in {listed:?}"))
}

/// A span may come before its file, and the file never. It goes on as it came; a trace shows it, and what was put.
#[tokio::test]
async fn a_trace_shows_what_its_senders_store_themselves() {
    let backend = Backend::start().await;
    let mut config = with_catalog();
    config["exporters"]["otlp_grpc"] = config::exporter(backend.address);
    let served = Served::start(&config).await;
    let sender = served.slimspan.sender().await;
    let request = captured();
    sender.send(Signal::Traces, &request).await.unwrap();
    backend.arrived(1).await;
    assert_eq!(backend.received()[0].message, request);

    let three = |listed: &[Value]| listed.len() == 3;
    let before = listed(&served, "?signal=traces", three).await;
    for (attribute, content_type, size, name) in [
        ("chart", "image/png", 21_828, json!("gen_s.png")),
        ("report", "application/pdf", 15_339, json!("doc_s.pdf")),
        ("img", "image/png", 21_828, json!(null)),
    ] {
        let of = by_attribute(&before, attribute);
        let told = (&of["state"], &of["shape"], &of["uri"], &of["content_type"]);
        let expected = ("referred", "reference", json!(null), content_type);
        assert_eq!(
            told,
            (
                &json!(expected.0),
                &json!(expected.1),
                &expected.2,
                &json!(expected.3)
            )
        );
        assert_eq!(
            (&of["size_bytes"], &of["filename"]),
            (&json!(size), &name),
            "{of}"
        );
        assert_eq!(of["carrier"], "span");
    }
    let trace = by_attribute(&before, "chart")["trace_id"]
        .as_str()
        .unwrap()
        .to_owned();
    let digest = by_attribute(&before, "chart")["sha256"]
        .as_str()
        .unwrap()
        .to_owned();
    let page = async |path: &str| {
        let answer = served.pages.get(path).await;
        assert_eq!(answer.status, StatusCode::OK, "{answer:?}");
        String::from_utf8(answer.body.to_vec()).unwrap()
    };
    let of_trace = format!("/traces/{trace}");
    let shown = page(&of_trace).await;
    assert!(shown.contains("referred to, not here so far"), "{shown}");
    assert!(!shown.contains("<img"), "{shown}");
    let of_file = format!("/artifacts/{digest}");
    let shown = page(&of_file).await;
    assert!(shown.contains("which has not come about so far"), "{shown}");

    put_captured(&served, &served.pages).await;
    let stored = |listed: &[Value]| listed.iter().all(|one| one["state"] == "stored");
    let of_digest = format!("?signal=traces&sha256={digest}");
    let after = listed(&served, &of_digest, stored).await;
    assert_eq!(after.len(), 2);
    assert!(after.iter().all(|one| one["uri"].is_string()), "{after:?}");
    let shown = page(&of_trace).await;
    assert!(shown.contains("<img"), "{shown}");
    assert!(!shown.contains("not here so far"), "{shown}");
    assert!(page(&of_file).await.contains(&of_trace));

    // A file that was put does not go with a trace, and nothing is said of one that never came.
    for reference in &before {
        let trace = reference["trace_id"].as_str().unwrap();
        let path = format!("/v1/traces/{trace}");
        let told = served.pages.ask(Method::DELETE, &path, "").await;
        assert_eq!(told.status, StatusCode::OK, "{told:?}");
        let told = told.json();
        assert_eq!(
            (&told["artifacts"], &told["absent"]),
            (&json!(0), &json!(0))
        );
        assert_eq!(told["waiting"], json!(0), "{told}");
    }
    listed(&served, "?signal=traces", <[Value]>::is_empty).await;
    let stored = files(&served.slimspan.artifacts().join("default/sha256"));
    assert_eq!(stored.len(), 1);
    assert_eq!(served.artifacts.get(&of_file).await.status, StatusCode::OK);
    let never = by_attribute(&before, "report")["sha256"].as_str().unwrap();
    let never = served.artifacts.get(&format!("/artifacts/{never}")).await;
    assert_eq!(never.status, StatusCode::NOT_FOUND);
}

/// The attributes of a span that refers to so many files.
fn of_files(count: usize) -> Vec<(String, any_value::Value)> {
    let files = (0..count).map(|number| {
        let digest = Digest::of(&number.to_le_bytes());
        let text = format!(
            r#"{{"type":"logfire.artifact","sha256":"{digest}","content_type":"image/png","size_bytes":9}}"#
        );
        (format!("file {number}"), otlp::text(text))
    });
    files.collect()
}

/// Each part of a request that is of another tenant than the one before it is looked at by itself.
#[tokio::test]
async fn of_one_request_so_many_are_listed_whoever_has_them() {
    let backend = Backend::start().await;
    let mut config = with_catalog();
    config["exporters"]["otlp_grpc"] = config::exporter(backend.address);
    config["processors"]["artifact"]["tenant"] = json!({ "from_attribute": "tenant.id" });
    let served = Served::start(&config).await;
    let sender = served.slimspan.sender().await;
    let parts = ["acme", "beta", "acme", "beta"].map(|tenant| {
        let attributes = of_files(MOST_CLAIMS);
        let attributes = attributes.into_iter().map(|(_, value)| ("file", value));
        otlp::span_of(Some(tenant), attributes)
    });
    // One message after another is one message.
    let request = Bytes::from(parts.concat());
    sender.send(Signal::Traces, &request).await.unwrap();
    let newest = |listed: &[Value]| listed.len() == 1_000;
    listed(&served, "?limit=1000", newest).await;
    let all = soon("all are listed", async {
        loop {
            let ls = ["ls", "--config", "collector.yaml", "--json", "--limit", "0"];
            let ended = run(served.slimspan.folder(), &ls).await;
            let lines = ended.stdout.lines().count();
            if lines >= MOST_CLAIMS {
                return lines;
            }
            sleep(Duration::from_millis(50)).await;
        }
    });
    assert_eq!(all.await, MOST_CLAIMS);
}

/// A request says of very many files in few bytes, and each is to be told of: what has no room is not listed, and goes on.
#[tokio::test]
async fn what_is_to_be_told_of_files_has_its_part_of_the_memory() {
    const REQUESTS: usize = 16;
    let gate = Arc::new(Semaphore::new(0));
    let backend = Backend::gated(&gate).await;
    let mut config = with_catalog();
    config["exporters"]["otlp_grpc"] = config::exporter(backend.address);
    let mut served = Served::start(&config).await;
    let sender = served.slimspan.sender().await;
    let mut answers = FuturesUnordered::new();
    for number in 0..REQUESTS {
        let mut attributes = of_files(MOST_CLAIMS);
        for (key, _) in &mut attributes {
            // Long names, which the span says once.
            *key = format!("{number} {key} {}", "x".repeat(240));
        }
        let request = otlp::request(Signal::Traces, vec![attributes]);
        let sender = sender.clone();
        answers.push(async move { sender.send(Signal::Traces, &request).await });
    }
    let told = served
        .slimspan
        .logs("requests refer to too many files at once");
    tokio::select! {
        () = told => {}
        answer = answers.next() => panic!("{answer:?}"),
    }
    gate.add_permits(REQUESTS);
    while let Some(answer) = soon("an answer", answers.next()).await {
        answer.unwrap();
    }
    assert_eq!(backend.count(), REQUESTS);
}

/// Its span goes on as it came, with a file that could not be stored beside it.
#[tokio::test]
async fn what_is_forwarded_without_a_store_refers_to_it_all_the_same() {
    let backend = Backend::start().await;
    let s3 = S3::start(Behaviour::Answer(StatusCode::FORBIDDEN)).await;
    let mut config = config::with_s3(backend.address, s3.address);
    let store = &mut config["extensions"]["artifact_store"];
    store["timeout"] = json!("500ms");
    store["catalog"] =
        json!({ "directory": "./catalog", "interval": "1h", "on_failure": "forward" });
    let slimspan = Slimspan::start(&config).await;
    let digest = "3a".repeat(32);
    let reference = format!(
        r#"{{"type":"logfire.artifact","sha256":"{digest}","content_type":"image/png","size_bytes":21828}}"#
    );
    let photo = otlp::photo(1, otlp::PHOTO);
    let request = otlp::span([
        ("chart", otlp::text(reference)),
        ("b", otlp::data_uri(&photo)),
    ]);
    let sender = slimspan.sender().await;
    sender.send(Signal::Traces, &request).await.unwrap();
    backend.arrived(1).await;
    assert_eq!(backend.received()[0].message, request);
    let journal = files(&slimspan.folder().join("catalog"));
    let written = journal.iter().filter_map(|file| std::fs::read(file).ok());
    let told = written.filter(|bytes| memchr::memmem::find(bytes, digest.as_bytes()).is_some());
    assert_eq!(told.count(), 1, "{journal:?}");
}
