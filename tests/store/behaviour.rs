//! What needs no backend in particular, seen through memory.

use std::sync::Arc;

use bytes::Bytes;
use slimspan::storage::{StoreConfig, StoreError};
use slimspan_artifact::Digest;

use super::backend::{Opened, artifact, key, open};

fn opened(max_concurrent_puts: usize) -> Opened {
    open(&StoreConfig {
        max_concurrent_puts,
        ..StoreConfig::new("memory://")
    })
}

#[tokio::test]
async fn the_first_error_stops_the_request() {
    let opened = opened(1);
    let artifacts: Vec<_> = (0..5).map(|seed| artifact(seed, 100)).collect();
    opened.faults.fail(key(&artifacts[1]));
    let error = opened.store.put_all(&artifacts).await.unwrap_err();
    assert!(
        error.to_string().contains(&artifacts[1].digest.to_string()),
        "{error}"
    );
    assert_eq!(opened.faults.begun(), 2);
}

#[tokio::test]
async fn an_error_is_not_remembered() {
    let opened = opened(1);
    let one = [artifact(1, 100)];
    opened.faults.fail(key(&one[0]));
    for _ in 0..2 {
        let error = opened.store.put_all(&one).await.unwrap_err();
        assert!(matches!(error, StoreError::Unavailable { .. }), "{error}");
    }
    opened.faults.heal();
    assert_eq!(opened.store.put_all(&one).await.unwrap().written, 1);
    assert_eq!(opened.faults.begun(), 3);
}

#[tokio::test]
async fn who_goes_away_does_not_take_the_upload_along() {
    let mut config = StoreConfig::new("memory://");
    config.timeout = std::time::Duration::from_millis(500);
    let opened = open(&config);
    let one = artifact(1, 100);
    opened.faults.hang(key(&one));
    let request = || {
        let (store, one) = (opened.store.clone(), one.clone());
        tokio::spawn(async move { store.put_all(&[one]).await })
    };
    let first = request();
    opened.faults.arrived(1).await;
    let second = request();
    tokio::task::yield_now().await;
    first.abort();
    assert!(first.await.unwrap_err().is_cancelled());
    // The second one is still waiting for the upload that the first one began.
    let error = second.await.unwrap().unwrap_err();
    assert!(matches!(error, StoreError::TimedOut { .. }), "{error}");
    assert_eq!(opened.faults.begun(), 1);
    // With nobody left, the next one begins anew.
    opened.faults.heal();
    assert_eq!(opened.store.put_all(&[one]).await.unwrap().written, 1);
}

#[tokio::test]
async fn a_forgotten_digest_is_stored_again() {
    let opened = open(&StoreConfig {
        known_digests: 0,
        ..StoreConfig::new("memory://")
    });
    let one = [artifact(1, 100)];
    for _ in 0..2 {
        assert_eq!(opened.store.put_all(&one).await.unwrap().written, 1);
    }
}

/// Memory of a request, which tells when it is given back.
struct OfRequest {
    bytes: Vec<u8>,
    _held: Arc<()>,
}

impl AsRef<[u8]> for OfRequest {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

#[tokio::test]
async fn what_memory_stores_is_not_the_memory_of_a_request() {
    let opened = opened(1);
    let (held, mut one) = (Arc::new(()), artifact(1, 100));
    one.bytes = Bytes::from_owner(OfRequest {
        bytes: one.bytes.to_vec(),
        _held: Arc::clone(&held),
    });
    let digest = one.digest;
    assert_eq!(opened.store.put_all(&[one]).await.unwrap().written, 1);
    assert_eq!(Arc::strong_count(&held), 1);
    let stored = opened.store.get(&digest).await.unwrap();
    assert_eq!(Digest::of(&stored), digest);
}
