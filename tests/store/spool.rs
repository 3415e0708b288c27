//! Artifacts that wait in a spool until a store takes them.

use std::collections::HashMap;
use std::time::Duration;

use futures::future::join_all;
use slimspan::admission::{Budget, Limits};
use slimspan::config::Delivery;
use slimspan::storage::spool::config::SpoolConfig;
use slimspan::storage::{Kept, Spool, StoreConfig};
use slimspan::telemetry::Counters;
use slimspan::tenant::TenantId;
use slimspan_artifact::Artifact;
use tempfile::TempDir;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;

use super::backend::{Opened, artifact, key, open};
use super::faults::Away;

/// A store of which one upload takes 200 ms at most, with a spool in front of it.
fn spooled() -> (TempDir, Opened, Spool) {
    spooled_by(|_| ())
}

/// The same with more in its configuration.
fn spooled_by(change: impl FnOnce(&mut StoreConfig)) -> (TempDir, Opened, Spool) {
    let folder = tempfile::tempdir().unwrap();
    let mut config = StoreConfig::new("memory://");
    config.timeout = Duration::from_millis(200);
    change(&mut config);
    let spool = SpoolConfig {
        directory: folder.path().join("spool"),
        ..SpoolConfig::default()
    };
    let mut opened = open(&config);
    let spool = Spool::open(&spool, "spool".to_owned(), &opened.store).unwrap();
    opened.store = opened.store.with_spool(spool.clone());
    (folder, opened, spool)
}

/// Memory for all of it.
fn roomy() -> Budget {
    Budget::new(Limits {
        limit_mib: 512,
        spike_mib: 100,
    })
}

fn artifacts(count: u32) -> Vec<Artifact> {
    (0..count).map(|seed| artifact(seed, 10_000)).collect()
}

/// Uploads until so many artifacts are left.
async fn upload_until(opened: &Opened, spool: &Spool, left: usize) {
    upload_during(opened, spool, until_left(spool, left)).await;
}

/// Uploads until that has happened.
async fn upload_during(opened: &Opened, spool: &Spool, event: impl Future<Output = ()>) {
    let counters = Counters::default();
    let budget = roomy();
    let upload = spool.upload(&opened.store, &budget, &counters, CancellationToken::new());
    let either = async {
        tokio::select! {
            () = upload => unreachable!("nobody told it to end"),
            () = event => {}
        }
    };
    timeout(Duration::from_secs(20), either).await.unwrap();
}

async fn until_left(spool: &Spool, left: usize) {
    while spool.left().artifacts > left {
        sleep(Duration::from_millis(5)).await;
    }
}

#[tokio::test]
async fn equal_artifacts_wait_once_and_can_be_read_meanwhile() {
    let (_folder, opened, spool) = spooled();
    let one = artifacts(1);
    let keeps = (0..50).map(|_| opened.store.keep_all(&one, Delivery::Background));
    let kept = join_all(keeps).await;
    let spooled: usize = kept.into_iter().map(|kept| kept.unwrap().spooled).sum();
    assert_eq!((spooled, spool.left().artifacts), (1, 1));
    assert_eq!(opened.faults.begun(), 0);
    assert_eq!(
        opened.store.get(&one[0].digest).await.unwrap(),
        one[0].bytes
    );
    upload_until(&opened, &spool, 0).await;
    assert_eq!(opened.faults.begun(), 1);
    assert_eq!(
        opened.store.get(&one[0].digest).await.unwrap(),
        one[0].bytes
    );
    // It is known now, to both deliveries.
    for delivery in [Delivery::Background, Delivery::Sync] {
        let kept = opened.store.keep_all(&one, delivery).await.unwrap();
        assert_eq!(kept, Kept::default());
    }
}

/// One that the store never takes is not in the way of the others.
#[tokio::test]
async fn one_that_is_never_taken_holds_up_no_other() {
    let (_folder, opened, spool) = spooled();
    let all = artifacts(200);
    for poison in &all[..2] {
        opened.faults.fail(key(poison));
    }
    opened
        .store
        .keep_all(&all, Delivery::Background)
        .await
        .unwrap();
    upload_until(&opened, &spool, 2).await;
    opened.faults.heal();
    upload_until(&opened, &spool, 0).await;
}

/// As many as a virus scanner refuses, so that the time of one of them has always come. What comes
/// later is tried before they are tried again.
#[tokio::test]
async fn those_that_are_never_taken_hold_up_no_other() {
    let (_folder, opened, spool) = spooled();
    let all = artifacts(17);
    let (refused, taken) = all.split_at(12);
    for one in refused {
        opened.faults.fail(key(one));
    }
    let keep = |some| opened.store.keep_all(some, Delivery::Background);
    keep(refused).await.unwrap();
    let later = async {
        opened.faults.arrived(refused.len()).await;
        keep(taken).await.unwrap();
        until_left(&spool, refused.len()).await;
    };
    upload_during(&opened, &spool, later).await;
    assert!(
        taken
            .iter()
            .all(|one| !spool.has(&TenantId::default(), &one.digest))
    );
}

/// Half an hour of a clock that stands still while something is done: nothing is too old, each time it is tried
/// again, and then it goes on in order from where it is. The few that were tried last have a pause of their own.
#[tokio::test(start_paused = true)]
async fn half_an_hour_without_a_store_takes_nothing_out_of_it() {
    const AWAY: Duration = Duration::from_mins(30);
    let (_folder, opened, spool) = spooled_by(|config| config.max_concurrent_puts = 1);
    let all = artifacts(100);
    for one in &all {
        let one = std::slice::from_ref(one);
        let kept = opened.store.keep_all(one, Delivery::Background).await;
        assert_eq!(kept.unwrap().spooled, 1);
    }
    let (counters, budget) = (Counters::default(), roomy());
    let upload = spool.upload(&opened.store, &budget, &counters, CancellationToken::new());
    let comes_back = async {
        for away in [Away::Silent, Away::Reset] {
            opened.faults.go_away(away);
            let before = opened.faults.begun();
            sleep(AWAY / 2).await;
            // It is asked every five seconds, and not by everything that waits.
            let asked = opened.faults.begun() - before;
            assert!((50..500).contains(&asked), "{away:?}: {asked}");
            assert_eq!(spool.left().artifacts, all.len(), "{away:?}");
        }
        // So that no two of them come at the same moment.
        opened.faults.slow(Duration::from_millis(1));
        opened.faults.heal();
        let gone = async {
            while spool.left().artifacts > 0 {
                sleep(Duration::from_millis(5)).await;
            }
        };
        timeout(Duration::from_mins(1), gone).await.unwrap();
    };
    tokio::select! {
        () = upload => unreachable!("nobody told it to end"),
        () = comes_back => {}
    }
    let places: HashMap<_, _> = all.iter().map(key).zip(0..).collect();
    let put = opened.faults.put_in_order();
    let order: Vec<usize> = put.iter().map(|key| places[key]).collect();
    assert_eq!(order.len(), all.len());
    // But for the one that showed that the store works again.
    let back = order.windows(2).filter(|two| two[1] < two[0]).count();
    assert!(back <= 1, "{order:?}");
    for one in &all {
        let stored = opened.store.get(&one.digest).await.unwrap();
        assert_eq!(stored, one.bytes);
    }
    let counted = counters.to_string();
    assert!(
        counted.contains("of these uploaded 100, damaged 0,"),
        "{counted}"
    );
}

#[tokio::test]
async fn an_upload_that_panics_is_made_again() {
    let (_folder, opened, spool) = spooled();
    opened.faults.panic(3);
    let all = artifacts(5);
    opened
        .store
        .keep_all(&all, Delivery::Background)
        .await
        .unwrap();
    upload_until(&opened, &spool, 0).await;
    assert_eq!(opened.faults.begun(), all.len() + 3);
}

/// What waits is as good as stored to those who do not wait for the store, and to nobody else.
#[tokio::test]
async fn what_waits_in_the_spool_is_not_stored() {
    let (_folder, opened, spool) = spooled();
    let one = artifacts(1);
    let digests = [one[0].digest];
    let deliveries = [Delivery::Background, Delivery::Sync];
    let counts = || deliveries.map(|delivery| opened.store.has_all(&digests, delivery));
    assert_eq!(counts(), [false, false]);
    let kept = opened.store.keep_all(&one, Delivery::Background);
    kept.await.unwrap();
    assert_eq!(counts(), [true, false]);
    upload_until(&opened, &spool, 0).await;
    assert_eq!(counts(), [true, true]);
}

#[tokio::test]
async fn uploads_are_as_many_at_a_time_as_puts_of_a_request() {
    let (_folder, opened, spool) = spooled();
    opened.faults.slow(Duration::from_millis(2));
    let all = artifacts(100);
    opened
        .store
        .keep_all(&all, Delivery::Background)
        .await
        .unwrap();
    upload_until(&opened, &spool, 0).await;
    let peak = opened.faults.peak();
    assert!((2..=16).contains(&peak), "{peak}");
    assert_eq!(opened.faults.begun(), 100);
}

/// Who ends does not wait for a store that fails, and uploads what a working one takes.
#[tokio::test]
async fn the_end_uploads_what_is_left() {
    let (_folder, opened, spool) = spooled();
    let all = artifacts(100);
    opened
        .store
        .keep_all(&all, Delivery::Background)
        .await
        .unwrap();
    let (counters, drain) = (Counters::default(), CancellationToken::new());
    drain.cancel();
    let budget = roomy();
    spool
        .upload(&opened.store, &budget, &counters, drain.clone())
        .await;
    assert_eq!(spool.left().artifacts, 0);

    let more = [artifact(1000, 10_000)];
    opened.faults.fail(key(&more[0]));
    opened
        .store
        .keep_all(&more, Delivery::Background)
        .await
        .unwrap();
    let ends = spool.upload(&opened.store, &budget, &counters, drain);
    timeout(Duration::from_secs(20), ends).await.unwrap();
    assert_eq!(spool.left().artifacts, 1);
}
