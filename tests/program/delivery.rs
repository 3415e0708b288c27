//! What goes in comes out slim, and nothing is lost.

use std::collections::HashSet;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use slimspan_artifact::Digest;
use slimspan_proto::Signal;
use tokio::sync::Semaphore;
use tonic::Status;

use crate::support::backend::{Answer, Backend, Received};
use crate::support::references::{files, path_in, references, restored};
use crate::support::s3::{Behaviour, S3};
use crate::support::slimspan::Slimspan;
use crate::support::{config, otlp};

/// Accepts what refers to stored files only.
fn accept_if_stored(artifacts: &Path, received: &Received) -> Answer {
    for reference in references(received.signal, &received.message) {
        let Ok(file) = std::fs::read(path_in(artifacts, &reference.sha256)) else {
            return Err(Status::internal(format!("dangling: {reference:?}")));
        };
        if Digest::of(&file).to_string() != reference.sha256 {
            return Err(Status::internal(format!("not whole: {reference:?}")));
        }
    }
    Ok(Bytes::new())
}

async fn start() -> (Backend, Slimspan) {
    let folder = tempfile::tempdir().unwrap();
    let artifacts = folder.path().join("artifacts");
    let backend = Backend::answering(move |received| accept_if_stored(&artifacts, &received)).await;
    let slimspan = Slimspan::start_in(folder, &config::standard(backend.address)).await;
    (backend, slimspan)
}

/// The backend gets a reference, the folder gets the file, and together they are what was sent.
#[tokio::test]
async fn a_picture_in_a_span_becomes_a_reference_and_a_file() {
    let (backend, slimspan) = start().await;
    let request = otlp::span([
        ("question", otlp::text("What is this?")),
        ("picture", otlp::data_uri(otlp::PICTURE)),
    ]);
    let sender = slimspan.sender().await;
    assert_eq!(sender.send(Signal::Traces, &request).await.unwrap(), "");

    let slim = backend.only();
    assert!(slim.len() < 2_000, "{} bytes", slim.len());
    let [reference] = <[_; 1]>::try_from(references(Signal::Traces, &slim)).unwrap();
    let digest = Digest::of(otlp::PICTURE).to_string();
    assert_eq!(reference.sha256, digest);
    let path = path_in(&slimspan.artifacts(), &digest);
    let uri = reference.uri.unwrap();
    let (place, _) = uri.split_once('?').unwrap();
    assert_eq!(place, format!("file://{}", path.to_str().unwrap()));
    assert!(std::fs::read(&path).unwrap() == otlp::PICTURE);
    assert_eq!(files(&slimspan.artifacts()), [path]);
    let back = restored(Signal::Traces, &slim, &slimspan.artifacts());
    assert!(back == request);
}

/// Bodies and attributes of log records are looked through as attributes of spans are.
#[tokio::test]
async fn pictures_in_logs_become_references_and_files() {
    let (backend, slimspan) = start().await;
    let in_body = otlp::photo(1, otlp::PHOTO);
    let request = otlp::log(
        otlp::data_uri(&in_body),
        [("screenshot", otlp::bytes(otlp::PICTURE))],
    );
    let sender = slimspan.sender().await;
    sender.send(Signal::Logs, &request).await.unwrap();

    let slim = backend.only();
    let found: HashSet<_> = references(Signal::Logs, &slim)
        .into_iter()
        .map(|reference| reference.sha256)
        .collect();
    let expected = [otlp::PICTURE, &in_body].map(|file| Digest::of(file).to_string());
    assert_eq!(found, HashSet::from(expected));
    let back = restored(Signal::Logs, &slim, &slimspan.artifacts());
    assert!(back == request);
}

/// Metrics, spans and logs without files leave as they came, and cost the store nothing.
#[tokio::test]
async fn what_holds_no_files_passes_byte_for_byte() {
    let (backend, slimspan) = start().await;
    let sender = slimspan.sender().await;
    let requests = [
        (Signal::Traces, otlp::plain_span(1)),
        (Signal::Traces, otlp::sized_span(300_000)),
        (Signal::Logs, otlp::log(otlp::text("hello"), [])),
        (Signal::Metrics, otlp::metric(otlp::text("small"))),
        // Values of metrics stay where they are, whatever they are.
        (Signal::Metrics, otlp::metric(otlp::data_uri(otlp::PICTURE))),
    ];
    for (signal, request) in &requests {
        sender.send(*signal, request).await.unwrap();
    }
    let received = backend.received();
    let messages = received.iter().map(|one| (one.signal, one.message.clone()));
    assert!(messages.eq(requests));
    assert_eq!(files(&slimspan.artifacts()), [] as [std::path::PathBuf; 0]);
}

/// What newer versions of OTLP add is carried along, beside a file and without one.
#[tokio::test]
async fn unknown_fields_survive() {
    let (backend, slimspan) = start().await;
    let sender = slimspan.sender().await;
    for known in [otlp::plain_span(1), otlp::span_with(otlp::PICTURE)] {
        let unknown = field(999, b"from the future");
        let (_, resource_spans) = single_field(&known);
        let inner = field(1, &[resource_spans, &unknown].concat());
        let request = Bytes::from([inner, unknown.clone()].concat());
        sender.send(Signal::Traces, &request).await.unwrap();
        let slim = backend.received().pop().unwrap().message;
        assert!(slim.ends_with(&[unknown.clone(), unknown].concat()));
        let back = restored(Signal::Traces, &slim, &slimspan.artifacts());
        assert!(back == request);
    }
}

/// A length-delimited field.
fn field(number: u32, content: &[u8]) -> Vec<u8> {
    let mut field = Vec::new();
    prost::encoding::encode_key(
        number,
        prost::encoding::WireType::LengthDelimited,
        &mut field,
    );
    prost::encoding::encode_varint(content.len() as u64, &mut field);
    field.extend_from_slice(content);
    field
}

/// Number and content of the field that is the whole message.
fn single_field(mut message: &[u8]) -> (u32, &[u8]) {
    let (number, _) = prost::encoding::decode_key(&mut message).unwrap();
    let len = prost::encoding::decode_varint(&mut message).unwrap();
    assert_eq!(len, message.len() as u64);
    (number, message)
}

/// However slow the store is, the backend hears of a file only when it is there.
#[tokio::test]
async fn a_reference_arrives_after_its_file() {
    let gate = Arc::new(Semaphore::new(0));
    let store = S3::start(Behaviour::StoreWhen(Arc::clone(&gate))).await;
    let stored = store.watch();
    let backend = Backend::answering(move |received| {
        let stored = stored.borrow().clone();
        for reference in references(received.signal, &received.message) {
            if !stored
                .iter()
                .any(|digest| digest.to_string() == reference.sha256)
            {
                return Err(Status::internal(format!("dangling: {reference:?}")));
            }
        }
        Ok(Bytes::new())
    })
    .await;
    let mut config = config::with_s3(backend.address, store.address);
    config["extensions"]["artifact_store"]["timeout"] = "20s".into();
    let slimspan = Slimspan::start(&config).await;
    let sender = slimspan.sender().await;
    let request = otlp::span([
        ("one", otlp::bytes(&otlp::photo(1, otlp::PHOTO))),
        ("two", otlp::bytes(&otlp::photo(2, otlp::PHOTO))),
    ]);
    let answer = tokio::spawn(async move { sender.send(Signal::Traces, &request).await });
    store.begun(2).await;
    gate.add_permits(1);
    // One file is stored, the other is not: nothing may arrive, however long one looks.
    let early = tokio::time::timeout(Duration::from_millis(300), backend.arrived(1)).await;
    assert!(early.is_err(), "the backend has got {early:?}");
    gate.add_permits(1);
    answer.await.unwrap().unwrap();
    assert_eq!(references(Signal::Traces, &backend.only()).len(), 2);
    assert_eq!(store.stored().len(), 2);
}
