//! P23: bytes that do not hash to their name are never handed out.

use slimspan::config::Secret;
use slimspan::storage::{Store, StoreConfig, StoreError};
use slimspan_artifact::{Artifact, Digest};

use crate::support::fault_store::{Fault, FaultStore};
use crate::support::measured::{measured, number};
use crate::support::otlp;
use crate::support::seed::Seed;

fn store_at(server: &FaultStore) -> Store {
    let mut config = StoreConfig::new("s3://media/x");
    for (key, value) in [
        ("endpoint", format!("http://{}", server.address)),
        ("allow_http", "true".to_owned()),
        ("access_key_id", "access".to_owned()),
        ("secret_access_key", "secret".to_owned()),
        ("region", "us-east-1".to_owned()),
    ] {
        config.options.insert(key.to_owned(), Secret::new(value));
    }
    Store::open(&config).unwrap()
}

/// A read gets the right bytes or an error that says what is wrong, and the right ones again when
/// the store is well.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn wrong_bytes_are_never_read_as_right_ones() {
    let seed = Seed::any();
    let server = FaultStore::start(seed.number(), &[]).await;
    let store = store_at(&server);
    let artifacts: Vec<_> = (0..number("SLIMSPAN_READS", 100) as u64)
        .map(|of| otlp::photo(seed.number() ^ of, 10_000))
        .map(|bytes| Artifact {
            digest: Digest::of(&bytes),
            media_type: "image/png".to_owned(),
            bytes: bytes.into(),
        })
        .collect();
    store.put_all(&artifacts).await.unwrap();

    server.set(&[(Fault::WrongBytes, 300), (Fault::Stale, 200)]);
    let (mut right, mut corrupt, mut missing) = (0, 0, 0);
    for artifact in &artifacts {
        match store.get(&artifact.digest).await {
            Ok(bytes) => {
                assert!(bytes == artifact.bytes);
                right += 1;
            }
            Err(StoreError::Corrupt { .. }) => corrupt += 1,
            Err(StoreError::NotFound { .. }) => missing += 1,
            Err(error) => panic!("{error}"),
        }
    }
    assert!(
        right > 0 && corrupt > 0 && missing > 0,
        "{right} {corrupt} {missing}"
    );

    server.heal();
    for artifact in &artifacts {
        assert!(store.get(&artifact.digest).await.unwrap() == artifact.bytes);
    }
    measured(
        "P23",
        "delivery::reads",
        "0 wrong bytes read as right ones",
        format_args!("0: {right} reads right, {corrupt} told as corrupt, {missing} as missing"),
    );
}
