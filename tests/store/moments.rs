//! What a replica stores in the very moment in which it is deleted is gone, and counts as stored there: the
//! replica notices it once more, and stores it when it next comes.

use std::sync::Arc;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use slimspan::catalog::config::{CatalogConfig, RetentionConfig};
use slimspan::catalog::gc::Local;
use slimspan::catalog::{Catalog, Deleted, Gc, Recorder};
use slimspan::storage::{Store, StoreConfig};
use slimspan::tenant::TenantId;
use slimspan_artifact::Digest;
use tokio::task::JoinSet;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use super::backend::{Opened, artifact, key, open};
use crate::support::soon;

/// `delete` deletes a file from a store.
async fn is_noticed_once_more(delete: impl AsyncFnOnce(Store, StoreConfig, Digest)) {
    let (bucket, home) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let mut config = StoreConfig::new(bucket.path().to_str().unwrap());
    // A deletion is held for seconds.
    config.timeout = Duration::from_mins(5);
    config.catalog = CatalogConfig {
        directory: home.path().to_owned(),
        // As often it is looked for deletions.
        interval: Duration::from_secs(1),
        retention: RetentionConfig {
            max_age: Duration::from_hours(100),
            ..RetentionConfig::default()
        },
        ..CatalogConfig::default()
    };
    let file = artifact(0, 1_000);
    let replica = Store::open(&config).unwrap();
    let recorder = Recorder::open(&config.catalog, &replica, Arc::default());
    let stores = async || {
        let stored = replica.put_all(std::slice::from_ref(&file)).await;
        stored.unwrap().written == 1
    };
    let stores_again = async |what: &str| {
        soon(what, async {
            while !stores().await {
                sleep(Duration::from_millis(50)).await;
            }
        })
        .await;
    };
    assert!(stores().await);
    assert!(!stores().await, "it counts as stored");

    let Opened { store, faults, .. } = open(&config);
    let go = faults.hold_deletion(key(&file));
    let mut tasks = JoinSet::new();
    let noticing = async {
        faults.deletion_waits().await;
        let replica = replica.clone();
        tasks.spawn(async move { recorder.run(&replica, CancellationToken::new()).await });
        stores_again("it is noticed, and stored again").await;
        assert!(!stores().await, "it counts as stored");
        go.send(true).unwrap();
    };
    let deleting = delete(store, config, file.digest);
    soon("it is deleted", async { tokio::join!(deleting, noticing) }).await;
    assert!(!replica.has(&file.digest).await.unwrap());
    stores_again("it is noticed once more").await;
    assert!(replica.has(&file.digest).await.unwrap());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_stored_while_somebody_deletes_it() {
    is_noticed_once_more(async |store, _, digest| {
        let catalog = Catalog::open_temporary(&store).unwrap();
        let (usual, deleted) = (TenantId::default(), Deleted::Artifact { digest });
        let erased = catalog.erase(&store, &usual, deleted, "a");
        assert_eq!(Box::pin(erased).await.unwrap().artifacts, 1);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_stored_while_it_expires() {
    Box::pin(is_noticed_once_more(async |store, config, _| {
        let begin = Timestamp::now();
        let mut removed = 0;
        // The first run marks it, and the second is after the grace.
        for hours in [200, 300] {
            let now = begin + SignedDuration::from_hours(hours);
            let gc = Gc::with(
                store.clone(),
                &config,
                Local::default(),
                Arc::new(move || now),
            );
            let gc = gc.unwrap();
            let plan = gc.plan(&|_| ()).await.unwrap();
            let failed = |error: &_| panic!("{error}");
            let swept = gc.carry_out(&plan, &|_| (), &failed).await.unwrap();
            removed += swept.removed;
        }
        assert_eq!(removed, 1);
    }))
    .await;
}
