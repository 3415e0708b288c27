//! One file is stored once, however many requests carry it.

use std::sync::Arc;

use futures::future::join_all;
use slimspan_artifact::Digest;
use slimspan_proto::Signal;
use tokio::sync::Semaphore;

use crate::support::backend::Backend;
use crate::support::references::{Reference, references};
use crate::support::s3::{Behaviour, S3};
use crate::support::slimspan::Slimspan;
use crate::support::{config, otlp};

/// Twenty senders with one picture: the first puts it, the others wait for that, later ones know.
#[tokio::test]
async fn a_picture_of_many_senders_is_put_once() {
    let gate = Arc::new(Semaphore::new(0));
    let store = S3::start(Behaviour::StoreWhen(Arc::clone(&gate))).await;
    let backend = Backend::start().await;
    let mut config = config::with_s3(backend.address, store.address);
    config["extensions"]["artifact_store"]["timeout"] = "20s".into();
    let slimspan = Slimspan::start(&config).await;
    let file = otlp::photo(1, otlp::PHOTO);
    let request = otlp::span_with(&file);
    let senders = (0..20).map(|_| {
        let (request, slimspan) = (&request, &slimspan);
        async move {
            let sender = slimspan.sender().await;
            sender.send(Signal::Traces, request).await.unwrap();
        }
    });
    let all = join_all(senders);
    let store_one = async {
        store.begun(1).await;
        // Only one put can end; a second one would hang.
        gate.add_permits(1);
    };
    futures::join!(all, store_one);

    let later = slimspan.sender().await;
    later.send(Signal::Traces, &request).await.unwrap();
    assert_eq!(store.puts(), 1);
    assert_eq!(store.stored(), [Digest::of(&file)]);
    let received = backend.received();
    assert_eq!(received.len(), 21);
    for one in received {
        assert_eq!(references(Signal::Traces, &one.message).len(), 1);
    }
    let log = slimspan.stop().await.stderr;
    assert!(log.contains("artifacts stored 1"), "{log}");
}

/// The same file twice in a request, in two encodings, is one object with two references.
#[tokio::test]
async fn a_picture_that_stands_twice_in_a_request_is_put_once() {
    let store = S3::start(Behaviour::Store).await;
    let backend = Backend::start().await;
    let mut config = config::with_s3(backend.address, store.address);
    config["extensions"]["artifact_store"]["timeout"] = "20s".into();
    let slimspan = Slimspan::start(&config).await;
    let sender = slimspan.sender().await;
    let request = otlp::span([
        ("uri", otlp::data_uri(otlp::PICTURE)),
        ("bytes", otlp::bytes(otlp::PICTURE)),
    ]);
    sender.send(Signal::Traces, &request).await.unwrap();
    assert_eq!(store.puts(), 1);
    let found = references(Signal::Traces, &backend.only());
    assert_eq!(found.len(), 2);
    assert_eq!(found[0].sha256, found[1].sha256);
    let place = |one: &Reference| {
        let uri = one.uri.as_deref().unwrap();
        uri.split('?').next().map(str::to_owned)
    };
    assert_eq!(place(&found[0]), place(&found[1]));
}
