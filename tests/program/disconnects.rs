//! Senders that go away.

use std::sync::Arc;

use slimspan_proto::Signal;
use tokio::sync::Semaphore;

use crate::support::backend::Backend;
use crate::support::frames::frame;
use crate::support::s3::{Behaviour, S3};
use crate::support::sender::{Call, open_body};
use crate::support::slimspan::Slimspan;
use crate::support::{config, otlp};

/// Half a request is no request; whoever sends the next one does not notice.
#[tokio::test]
async fn a_sender_that_goes_away_in_the_middle_leaves_nothing_behind() {
    let backend = Backend::start().await;
    let slimspan = Slimspan::start(&config::standard(backend.address)).await;
    let other = slimspan.sender().await;
    let half = frame(0, &otlp::sized_span(600_000)).slice(..300_000);
    let whole = otlp::plain_span(1);
    let mut sent = 0;
    for _ in 0..5 {
        let sender = slimspan.sender().await;
        let (_open, body) = open_body(half.clone());
        let begun = sender.clone();
        let call = tokio::spawn(async move { begun.try_call(Call::traces(body)).await });
        tokio::task::yield_now().await;
        // What comes later on the same connection is read later: when it is answered, the half
        // request has begun.
        sender.send(Signal::Traces, &whole).await.unwrap();
        // The stream is reset, and then the connection is gone.
        call.abort();
        assert!(call.await.unwrap_err().is_cancelled());
        sender.send(Signal::Traces, &whole).await.unwrap();
        drop(sender);
        other.send(Signal::Traces, &whole).await.unwrap();
        sent += 3;
    }
    let received = backend.received();
    assert_eq!(received.len(), sent);
    assert!(received.iter().all(|one| one.message == whole));
    slimspan.stop_well().await;
}

/// A sender that loses patience while its file is stored takes nothing from one that waits.
#[tokio::test]
async fn a_sender_that_goes_away_does_not_take_the_upload_along() {
    // A store that keeps a file back for longer than such a file may take is asked again.
    const SIZE: usize = 3 << 20;
    let gate = Arc::new(Semaphore::new(0));
    let store = S3::start(Behaviour::StoreWhen(Arc::clone(&gate))).await;
    let backend = Backend::start().await;
    let mut config = config::with_s3(backend.address, store.address);
    config["extensions"]["artifact_store"]["timeout"] = "20s".into();
    let folder = Arc::new(tempfile::tempdir().unwrap());
    let debug = [("SLIMSPAN_LOG", "debug")];
    let mut slimspan = Slimspan::spawn_with(folder, &config.to_string(), &debug);
    assert!(slimspan.ready().await, "{}", slimspan.stderr());
    let request = otlp::span_with(&otlp::photo(1, SIZE));

    let impatient = slimspan.sender().await;
    let first = tokio::spawn({
        let request = request.clone();
        async move { impatient.send(Signal::Traces, &request).await }
    });
    store.begun(1).await;
    let patient = slimspan.sender().await;
    let second = tokio::spawn({
        let (patient, request) = (patient.clone(), request.clone());
        async move { patient.send(Signal::Traces, &request).await }
    });
    // Both wait for the same put by now.
    slimspan.logs("is being put already").await;
    first.abort();
    assert!(first.await.unwrap_err().is_cancelled());
    // What it has sent last is read by now, so the first one is known to be gone.
    let plain = otlp::plain_span(1);
    patient.send(Signal::Traces, &plain).await.unwrap();
    gate.add_permits(1);
    second.await.unwrap().unwrap();
    assert_eq!((store.puts(), store.stored().len()), (1, 1));
    slimspan.stop_well().await;
}
