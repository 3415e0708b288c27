//! What a spool does while its disk does not give what is on it.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use futures::future::poll_immediate;
use slimspan_artifact::Artifact;
use tempfile::TempDir;
use tokio::task::unconstrained;
use tokio::time::{Duration, timeout};
use tokio_util::sync::CancellationToken;

use super::super::gated::{Ending, Gate};
use super::super::{Store, StoreConfig, StoreError};
use super::*;
use crate::admission::{Budget, Limits};
use crate::config::Delivery;
use crate::telemetry::Counters;

/// A store in a folder behind a spool on a disk that can be broken, with one artifact that waits.
async fn spooled() -> (TempDir, FaultyDisk, Store, Artifact) {
    let (folder, disk) = (tempfile::tempdir().unwrap(), FaultyDisk::default());
    let config = SpoolConfig {
        directory: folder.path().join("spool"),
        ..SpoolConfig::default()
    };
    let spool = Spool::open_on(&disk, &config).unwrap();
    let url = folder.path().join("artifacts").display().to_string();
    let store = Store::open(&StoreConfig::new(url)).unwrap();
    let store = store.with_spool(spool);
    let bytes = Bytes::from(vec![7; 100_000]);
    let artifact = Artifact {
        digest: Digest::of(&bytes),
        media_type: "image/png".to_owned(),
        bytes,
    };
    let one = std::slice::from_ref(&artifact);
    store.keep_all(one, Delivery::Background).await.unwrap();
    (folder, disk, store, artifact)
}

fn budget() -> Budget {
    Budget::new(Limits {
        limit_mib: 128,
        spike_mib: 25,
    })
}

/// A disk takes milliseconds for each sync: what a request brings is durable with the one that goes on when it
/// comes, and the next.
#[tokio::test]
async fn the_files_of_a_request_share_a_sync_however_many_they_are() {
    const FILES: u32 = 1_500;
    let (_folder, disk, store, _) = spooled().await;
    let file = |number: u32| {
        let bytes = [&number.to_le_bytes()[..], &[7; 5 << 10][..]].concat();
        Artifact {
            digest: Digest::of(&bytes),
            media_type: "image/png".to_owned(),
            bytes: bytes.into(),
        }
    };
    let request: Vec<_> = (0..FILES).map(file).collect();
    let before = disk.syncs();
    let held = disk.hold_syncs();
    let mut keeping = Box::pin(store.keep_all(&request, Delivery::Background));
    // All of it has come before the first sync is through.
    let kept = unconstrained(poll_immediate(&mut keeping)).await;
    assert!(kept.is_none());
    drop(held);
    let kept = timeout(Duration::from_mins(1), keeping).await.unwrap();
    assert_eq!(kept.unwrap().spooled, FILES as usize);
    let syncs = disk.syncs() - before;
    assert!((1..=2).contains(&syncs), "{syncs}");
}

#[tokio::test]
async fn what_cannot_be_read_is_not_called_missing() {
    let (_folder, disk, store, artifact) = spooled().await;
    disk.fail_reads();
    let error = store.get(&artifact.digest).await.unwrap_err();
    assert!(matches!(error, StoreError::SpoolUnread { .. }), "{error}");
    disk.mend_reads();
    assert_eq!(store.get(&artifact.digest).await.unwrap(), artifact.bytes);
    // What does not wait there is missing, whatever the disk does.
    disk.fail_reads();
    let error = store.get(&Digest::of(b"another")).await.unwrap_err();
    assert!(matches!(error, StoreError::NotFound { .. }), "{error}");
}

#[tokio::test]
async fn what_cannot_be_read_is_uploaded_when_it_can() {
    let (_folder, disk, store, artifact) = spooled().await;
    let (counters, drain) = (Counters::default(), CancellationToken::new());
    disk.fail_reads();
    let (budget, spool) = (budget(), store.spool().unwrap());
    let upload = spool.upload(&store, &budget, &counters, drain.clone());
    let heals = async {
        disk.reads_failed(2).await;
        assert_eq!(spool.left().artifacts, 1);
        disk.mend_reads();
        // It ends when nothing is left: the last attempt must not have failed by then.
        while spool.left().artifacts > 0 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        drain.cancel();
    };
    let both = async { tokio::join!(upload, heals) };
    timeout(Duration::from_mins(1), both).await.unwrap();
    assert!(counters.to_string().contains("damaged 0,"), "{counters}");
    assert_eq!(store.get(&artifact.digest).await.unwrap(), artifact.bytes);
}

/// Nothing is read back for an upload while requests take all memory.
#[tokio::test(start_paused = true)]
async fn what_is_read_back_waits_for_memory() {
    let (_folder, disk, store, _) = spooled().await;
    let (counters, drain) = (Counters::default(), CancellationToken::new());
    let (budget, spool) = (budget(), store.spool().unwrap());
    let mut all = budget.lease_for_more();
    let limit = usize::try_from(budget.limit()).unwrap();
    all.charge(limit / 2).await.unwrap();
    // It would be told of.
    disk.fail_reads();
    let upload = spool.upload(&store, &budget, &counters, drain.clone());
    let frees = async {
        tokio::time::sleep(Duration::from_mins(10)).await;
        assert_eq!(spool.left().artifacts, 1);
        assert!(
            counters.to_string().contains("failed uploads 0"),
            "{counters}"
        );
        disk.mend_reads();
        drop(all);
        drain.cancel();
    };
    let both = async { tokio::join!(upload, frees) };
    timeout(Duration::from_hours(1), both).await.unwrap();
    assert_eq!(spool.left().artifacts, 0);
    assert_eq!(budget.in_flight(), 0, "given back with the last byte");
}

#[tokio::test]
async fn what_is_read_back_takes_memory_while_it_is_put() {
    let budget = budget();
    let lease = budget.lease_to_upload(100_000).await;
    let bytes = lease.hold(Bytes::from(vec![7; 100_000]));
    assert!((100_000..110_000).contains(&budget.in_flight()));
    drop(bytes);
    assert_eq!(budget.in_flight(), 0);
    // A larger limit may have been configured when it came.
    let large = budget.lease_to_upload(1 << 40);
    timeout(Duration::from_mins(1), large).await.unwrap();
}

/// The store takes nothing of one tenant, of whom a small file comes with each large one of another.
#[tokio::test]
async fn a_tenant_whose_files_stay_keeps_no_room_from_another() {
    const ROUNDS: u64 = 60;
    let (folder, disk) = (tempfile::tempdir().unwrap(), FaultyDisk::default());
    let config = SpoolConfig {
        directory: folder.path().join("spool"),
        max_bytes: ByteSize::kib(384),
        ..SpoolConfig::default()
    };
    let url = folder.path().join("artifacts");
    std::fs::create_dir(&url).unwrap();
    // Where the folder of the tenant should be.
    let in_the_way = url.join("acme");
    std::fs::write(&in_the_way, "").unwrap();
    let [acme, beta]: [TenantId; 2] = ["acme", "beta"].map(|name| name.parse().unwrap());
    let file = |number: u64, len: usize| {
        let bytes = [&number.to_le_bytes()[..], &vec![7; len][..]].concat();
        [Artifact {
            digest: Digest::of(&bytes),
            media_type: "image/png".to_owned(),
            bytes: bytes.into(),
        }]
    };
    let open = || {
        let spool = Spool::open_on(&disk, &config).unwrap();
        let config = StoreConfig {
            // So long it tries what it cannot take.
            timeout: Duration::from_secs(1),
            ..StoreConfig::new(url.display().to_string())
        };
        let store = Store::open(&config).unwrap();
        (store.with_spool(spool.clone()), spool)
    };
    let (budget, counters) = (budget(), Counters::default());
    let mut stays = Vec::new();
    for life in 0..2 {
        let (store, spool) = open();
        assert_eq!(spool.left().artifacts, stays.len());
        let drain = CancellationToken::new();
        let upload = spool.upload(&store, &budget, &counters, drain.clone());
        let of_one = store.of_tenant(&acme);
        let of_another = store.of_tenant(&beta);
        let sends = async {
            for round in life * ROUNDS..(life + 1) * ROUNDS {
                let (small, large) = (file(round, 500), file(round, 40 << 10));
                let kept = of_one.keep_all(&small, Delivery::Background).await;
                kept.unwrap();
                let kept = of_another.keep_all(&large, Delivery::Background).await;
                kept.unwrap();
                stays.extend(small);
                while spool.left().artifacts > stays.len() {
                    tokio::time::sleep(Duration::from_millis(1)).await;
                }
            }
            drain.cancel();
        };
        let both = async { tokio::join!(upload, sends) };
        timeout(Duration::from_mins(1), both).await.unwrap();
        for stays in &stays {
            assert_eq!(of_one.get(&stays.digest).await.unwrap(), stays.bytes);
        }
    }
    // And nothing of it is lost, once the store takes it.
    std::fs::remove_file(&in_the_way).unwrap();
    let (store, spool) = open();
    let drain = CancellationToken::new();
    drain.cancel();
    let upload = spool.upload(&store, &budget, &counters, drain);
    timeout(Duration::from_mins(1), upload).await.unwrap();
    assert_eq!(spool.left().artifacts, 0);
    for stays in &stays {
        let stored = store.of_tenant(&acme).get(&stays.digest).await;
        assert_eq!(stored.unwrap(), stays.bytes);
    }
}

/// How long it takes after an outage until nothing waits any more, of what would be some seconds of easing.
async fn made_up_for(is_ending: bool) -> Duration {
    let (folder, disk, gate) = (
        tempfile::tempdir().unwrap(),
        FaultyDisk::default(),
        Gate::default(),
    );
    let config = SpoolConfig {
        directory: folder.path().join("spool"),
        ..SpoolConfig::default()
    };
    let spool = Spool::open_on(&disk, &config).unwrap();
    let config = StoreConfig {
        max_concurrent_puts: 2,
        ..StoreConfig::new("memory:///prefix")
    };
    let store = Store::open_with(&config, |inner| gate.before(inner)).unwrap();
    let store = store.with_spool(spool.clone());
    for number in 0..24 {
        // The first ones are so large that they have time to hang.
        let bytes = Bytes::from(vec![number; if number < 3 { 1 << 20 } else { 1_000 }]);
        let artifact = Artifact {
            digest: Digest::of(&bytes),
            media_type: "image/png".to_owned(),
            bytes,
        };
        let kept = store.keep_all(&[artifact], Delivery::Background).await;
        kept.unwrap();
    }
    let (budget, counters, drain) = (budget(), Counters::default(), CancellationToken::new());
    let upload = spool.upload(&store, &budget, &counters, drain.clone());
    let under_way = async || {
        loop {
            let waiting = gate.waiting();
            if waiting.len() == 2 {
                return waiting;
            }
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    let serves = async {
        // What is usual is seen before the store is away.
        gate.end(under_way().await[0].number, Ending::Done);
        let hang = under_way().await;
        tokio::time::sleep(Duration::from_millis(2_500)).await;
        assert_eq!(gate.waiting(), hang);
        let begun = tokio::time::Instant::now();
        if is_ending {
            drain.cancel();
        }
        while spool.left().artifacts > 0 {
            for waiting in gate.waiting() {
                gate.end(waiting.number, Ending::Done);
            }
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        drain.cancel();
        begun.elapsed()
    };
    let both = async { tokio::join!(upload, serves) };
    let ((), took) = timeout(Duration::from_mins(1), both).await.unwrap();
    took
}

/// Who ends has no time to ease a store that works again.
#[tokio::test(start_paused = true)]
async fn what_is_left_at_the_end_goes_at_once() {
    let took = made_up_for(false).await;
    assert!(took > Duration::from_secs(2), "{took:?}");
    let took = made_up_for(true).await;
    assert!(took < Duration::from_secs(1), "{took:?}");
}
