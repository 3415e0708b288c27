//! P21: equal bytes are stored once, and nobody ever reads a part of them.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use futures::future::join_all;
use serde_json::json;
use slimspan_artifact::Digest;
use slimspan_proto::Signal;

use crate::support::fault_store::FaultStore;
use crate::support::measured::{measured, number};
use crate::support::references::{files, references};
use crate::support::slimspan::Slimspan;
use crate::support::verifying::{Fetch, in_folder};
use crate::support::{backend::Backend, config, otlp};

const SENDERS: usize = 100;

/// Sends one file of `size` bytes a hundred times at once, while somebody reads it all the time;
/// returns how often it was read.
async fn at_once(slimspan: &Slimspan, backend: &Backend, fetch: &Fetch, file: &[u8]) -> usize {
    let digest = Digest::of(file);
    let (done, reads) = (
        Arc::new(AtomicBool::new(false)),
        Arc::new(AtomicUsize::new(0)),
    );
    let reader = {
        let (fetch, done, reads) = (Arc::clone(fetch), Arc::clone(&done), Arc::clone(&reads));
        std::thread::spawn(move || {
            while !done.load(Ordering::SeqCst) {
                if let Some(bytes) = fetch(&digest) {
                    assert!(Digest::of(&bytes) == digest, "{} bytes", bytes.len());
                    reads.fetch_add(1, Ordering::SeqCst);
                }
                std::thread::yield_now();
            }
        })
    };
    let request = otlp::span_with(file);
    let before = backend.received().len();
    let senders = join_all((0..SENDERS).map(|_| slimspan.sender())).await;
    let answers = senders
        .iter()
        .map(|sender| sender.send(Signal::Traces, &request));
    for answer in join_all(answers).await {
        answer.unwrap();
    }
    done.store(true, Ordering::SeqCst);
    reader.join().unwrap();
    let received = backend.received().split_off(before);
    assert_eq!(received.len(), SENDERS);
    for one in received {
        let [reference] = <[_; 1]>::try_from(references(one.signal, &one.message)).unwrap();
        assert_eq!(reference.sha256, digest.to_string());
    }
    reads.load(Ordering::SeqCst)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hundred_senders_of_one_file_store_it_once() {
    let rounds = number("SLIMSPAN_ROUNDS", 1);
    let size = number("SLIMSPAN_FILE_BYTES", 1 << 20);

    let backend = Backend::start().await;
    // A hundred requests at once are no matter of memory here.
    let enough = json!({ "limit_mib": 4096 });
    let mut config = config::standard(backend.address);
    config["processors"]["memory_limiter"] = enough.clone();
    config::expect_at_once(&mut config, SENDERS);
    let slimspan = Slimspan::start(&config).await;
    let fetch = in_folder(slimspan.artifacts());
    let mut reads = 0;
    for round in 0..rounds {
        let file = otlp::photo(round as u64, size);
        reads += at_once(&slimspan, &backend, &fetch, &file).await;
        assert_eq!(files(&slimspan.artifacts()).len(), round + 1);
    }
    slimspan.stop_well().await;
    measured(
        "P21",
        "delivery::same_file, folder",
        "1 object a round, each read whole or nothing",
        format_args!(
            "{rounds} rounds of {SENDERS} senders, {size} bytes: 1 object each, {reads} reads, all whole"
        ),
    );

    let store = FaultStore::start(0, &[]).await;
    let mut config = config::with_s3(backend.address, store.address);
    config["processors"]["memory_limiter"] = enough;
    config::expect_at_once(&mut config, SENDERS);
    config["extensions"]["artifact_store"]["timeout"] = json!("10s");
    let slimspan = Slimspan::start(&config).await;
    let mut reads = 0;
    for round in 0..rounds {
        let file = otlp::photo((rounds + round) as u64, size);
        reads += at_once(&slimspan, &backend, &store.fetch(), &file).await;
        assert_eq!(
            (store.puts(), store.objects().len()),
            (round + 1, round + 1)
        );
    }
    slimspan.stop_well().await;
    measured(
        "P21",
        "delivery::same_file, S3",
        "1 object and 1 put a round",
        format_args!(
            "{rounds} rounds of {SENDERS} senders, {size} bytes: 1 object and 1 put each, {reads} reads, all whole"
        ),
    );
}
