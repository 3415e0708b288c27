//! What holds for every backend.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use futures::TryStreamExt as _;
use futures::future::join_all;
use object_store::{Attribute, ObjectStoreExt as _};
use slimspan::storage::{StoreError, Stored};
use slimspan_artifact::Digest;

use super::backend::{Backend, Kind, artifact};
use crate::support::measured::{bound, measured};

macro_rules! properties {
    ($($property:ident)*) => {
        /// Checks all properties, one after the other.
        pub(super) async fn check(backend: &Backend) {
            $(
                eprintln!("{}: {}", backend.name, stringify!($property));
                $property(backend).await;
            )*
        }
    };
}

properties! {
    an_artifact_comes_back
    a_put_can_be_repeated
    sizes_from_nothing_to_many_mebibytes
    head_and_range
    content_types
    a_hundred_puts_of_one_digest_are_one_upload
    many_digests_side_by_side
    a_put_that_failed_after_it_succeeded
    a_put_that_hangs
    a_missing_artifact
    damaged_bytes
}

async fn an_artifact_comes_back(backend: &Backend) {
    let prefix = "back";
    let opened = backend.open(prefix);
    let artifact = artifact(1, 10_000);
    let stored = opened.store.put_all(std::slice::from_ref(&artifact)).await;
    let expected = Stored {
        written: 1,
        written_bytes: 10_000,
        known: 0,
    };
    assert_eq!(stored.unwrap(), expected);
    assert_eq!(
        opened.store.get(&artifact.digest).await.unwrap(),
        artifact.bytes
    );
    let key = backend.key(prefix, &artifact.digest);
    let direct = opened.client.get(&key).await.unwrap();
    assert_eq!(direct.bytes().await.unwrap(), artifact.bytes);
}

async fn a_put_can_be_repeated(backend: &Backend) {
    let prefix = "twice";
    let mut config = backend.config(prefix);
    config.refresh = Duration::ZERO;
    let opened = super::backend::open(&config);
    let artifact = [artifact(2, 10_000)];
    for _ in 0..2 {
        assert_eq!(opened.store.put_all(&artifact).await.unwrap().written, 1);
    }
    assert_eq!(opened.faults.begun(), 2);
    let [artifact] = artifact;
    assert_eq!(
        opened.store.get(&artifact.digest).await.unwrap(),
        artifact.bytes
    );
    let key = backend.key(prefix, &artifact.digest);
    let found: Vec<_> = opened.client.list(None).try_collect().await.unwrap();
    assert_eq!(found.iter().filter(|o| o.location == key).count(), 1);
}

async fn sizes_from_nothing_to_many_mebibytes(backend: &Backend) {
    let opened = backend.open("sizes");
    let artifacts: Vec<_> = [0, 1, 5_000_001, 9 << 20]
        .into_iter()
        .map(|size| artifact(3, size))
        .collect();
    assert_eq!(opened.store.put_all(&artifacts).await.unwrap().written, 4);
    for artifact in artifacts {
        let bytes = opened.store.get(&artifact.digest).await.unwrap();
        assert!(bytes == artifact.bytes, "{} bytes", artifact.bytes.len());
    }
}

async fn head_and_range(backend: &Backend) {
    let prefix = "range";
    let opened = backend.open(prefix);
    let artifact = artifact(4, 10_000);
    let key = backend.key(prefix, &artifact.digest);
    let one = std::slice::from_ref(&artifact);
    opened.store.put_all(one).await.unwrap();
    assert_eq!(opened.client.head(&key).await.unwrap().size, 10_000);
    for range in [0..1, 0..10_000, 9_999..10_000, 17..4_000] {
        let part = opened.client.get_range(&key, range.clone()).await.unwrap();
        assert_eq!(
            part,
            artifact.bytes[range.start as usize..range.end as usize]
        );
    }
}

async fn content_types(backend: &Backend) {
    let prefix = "types";
    let opened = backend.open(prefix);
    for (seed, (media_type, header)) in [
        ("image/png", "image/png"),
        ("text/plain; charset=utf-8", "text/plain;charset=utf-8"),
        ("x\r\ny: z", "application/octet-stream"),
    ]
    .into_iter()
    .enumerate()
    {
        let mut artifact = artifact(seed as u32, 1_000);
        artifact.media_type = media_type.to_owned();
        let key = backend.key(prefix, &artifact.digest);
        opened.store.put_all(&[artifact]).await.unwrap();
        let attributes = opened.client.get(&key).await.unwrap().attributes;
        let found = attributes.get(&Attribute::ContentType).map(AsRef::as_ref);
        let expected = (backend.kind == Kind::Bucket).then_some(header);
        assert_eq!(found, expected, "{media_type:?}");
    }
}

async fn a_hundred_puts_of_one_digest_are_one_upload(backend: &Backend) {
    let rounds = crate::support::measured::number("SLIMSPAN_ROUNDS", 1);
    let (mut looks, mut reads) = (0, 0);
    for round in 0..rounds {
        let told = a_hundred_puts(backend, &format!("hundred-{round}")).await;
        (looks, reads) = (looks + told.0, reads + told.1);
    }
    measured(
        "P21",
        &format!("store::conformance, {}", backend.name),
        "1 object and 1 put, each read whole or nothing",
        format_args!(
            "{rounds} rounds of 100 puts of 8 MiB at once, {looks} looks, {reads} of them at all of it, the others at \
             nothing"
        ),
    );
}

/// One round of that: how often it was looked for meanwhile, and how often it was there.
async fn a_hundred_puts(backend: &Backend, prefix: &str) -> (usize, usize) {
    let opened = backend.open(prefix);
    let artifact = artifact(5, 8 << 20);
    // Somebody who looks for it all the time finds nothing or all of it.
    let (key, client) = (
        backend.key(prefix, &artifact.digest),
        Arc::clone(&opened.client),
    );
    let (whole, done) = (artifact.bytes.clone(), Arc::<AtomicBool>::default());
    let reader = tokio::spawn({
        let done = Arc::clone(&done);
        async move {
            let (mut looks, mut reads) = (0, 0);
            loop {
                looks += 1;
                let is_last = done.load(Ordering::SeqCst);
                match client.get(&key).await {
                    Ok(found) => assert!(found.bytes().await.unwrap() == whole),
                    Err(object_store::Error::NotFound { .. }) if !is_last => continue,
                    Err(error) => panic!("{error}"),
                }
                reads += 1;
                if is_last {
                    return (looks, reads);
                }
            }
        }
    });
    let requests = (0..100).map(|_| {
        let (store, artifact) = (opened.store.clone(), artifact.clone());
        tokio::spawn(async move { store.put_all(&[artifact]).await })
    });
    let mut written = 0;
    for request in join_all(requests).await {
        let stored = request.unwrap().unwrap();
        assert_eq!(stored.written + stored.known, 1);
        written += stored.written;
    }
    assert_eq!((written, opened.faults.begun()), (1, 1));
    done.store(true, Ordering::SeqCst);
    let (looks, reads) = reader.await.unwrap();
    assert_eq!(
        opened.store.get(&artifact.digest).await.unwrap(),
        artifact.bytes
    );
    (looks, reads)
}

async fn many_digests_side_by_side(backend: &Backend) {
    let mut config = backend.config("many");
    config.max_concurrent_puts = 4;
    let opened = super::backend::open(&config);
    // Memory is so fast that the first has ended before the fourth begins.
    opened.faults.slow(Duration::from_millis(30));
    let artifacts: Vec<_> = (100..140).map(|seed| artifact(seed, 20_000)).collect();
    assert_eq!(opened.store.put_all(&artifacts).await.unwrap().written, 40);
    assert_eq!(opened.faults.peak(), 4);
    for artifact in artifacts {
        assert_eq!(
            opened.store.get(&artifact.digest).await.unwrap(),
            artifact.bytes
        );
    }
}

async fn a_put_that_failed_after_it_succeeded(backend: &Backend) {
    let opened = backend.open("after");
    let artifact = artifact(6, 10_000);
    let one = std::slice::from_ref(&artifact);
    opened.faults.fail_after_storing(1);
    let error = opened.store.put_all(one).await.unwrap_err();
    assert!(matches!(error, StoreError::Unavailable { .. }), "{error}");
    assert!(
        error.to_string().contains("injected after storing"),
        "{error}"
    );
    assert_eq!(opened.store.put_all(one).await.unwrap().written, 1);
    assert_eq!(
        opened.store.get(&artifact.digest).await.unwrap(),
        artifact.bytes
    );
}

async fn a_put_that_hangs(backend: &Backend) {
    let prefix = "hangs";
    // Time enough for those that do not hang: each has kilobytes.
    let limit = bound(Duration::from_secs(5), Duration::from_secs(2));
    let opened = backend.open_with_timeout(prefix, limit);
    let hung = artifact(7, 10_000);
    opened.faults.hang(backend.key(prefix, &hung.digest));
    let begun = Instant::now();
    let (stuck, others) =
        futures::join!(opened.store.put_all(std::slice::from_ref(&hung)), async {
            let others = [artifact(8, 10_000), artifact(9, 10_000)];
            let stored = opened.store.put_all(&others).await;
            (stored.unwrap().written, begun.elapsed())
        });
    assert_eq!(others.0, 2);
    assert!(others.1 < limit, "the others waited {:?}", others.1);
    let waited = begun.elapsed();
    assert!(waited >= limit && waited < limit * 3, "{waited:?}");
    let error = stuck.unwrap_err();
    assert!(matches!(error, StoreError::TimedOut { .. }), "{error}");
    for part in [
        "the timeout of its artifact_store",
        &format!("{limit:?}"),
        &hung.digest.to_string(),
        &opened.store.to_string(),
    ] {
        assert!(error.to_string().contains(part), "{error}");
    }
    opened.faults.heal();
    let one = std::slice::from_ref(&hung);
    assert_eq!(opened.store.put_all(one).await.unwrap().written, 1);
}

async fn a_missing_artifact(backend: &Backend) {
    let opened = backend.open("missing");
    let digest = Digest::of(b"never stored");
    let error = opened.store.get(&digest).await.unwrap_err();
    assert!(matches!(error, StoreError::NotFound { .. }), "{error}");
}

async fn damaged_bytes(backend: &Backend) {
    let prefix = "damaged";
    let opened = backend.open(prefix);
    let artifact = artifact(10, 10_000);
    let key = backend.key(prefix, &artifact.digest);
    let one = std::slice::from_ref(&artifact);
    opened.store.put_all(one).await.unwrap();
    let mut flipped = artifact.bytes.to_vec();
    flipped[5_000] ^= 1;
    for damaged in [flipped, artifact.bytes[1..].to_vec(), Vec::new()] {
        opened.client.put(&key, damaged.into()).await.unwrap();
        let error = opened.store.get(&artifact.digest).await.unwrap_err();
        assert!(matches!(error, StoreError::Corrupt { .. }), "{error}");
    }
}
