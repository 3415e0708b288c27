//! What is deleted is gone, wherever it waits and wherever the deletion broke off.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use object_store::path::Path;
use slimspan::admission::{Budget, Limits};
use slimspan::catalog::config::CatalogConfig;
use slimspan::catalog::{
    Catalog, Compaction, Deleted, Entry, EntryId, Filter, Reach, Recorder, State, Tenants, TraceId,
};
use slimspan::config::Delivery;
use slimspan::storage::spool::config::SpoolConfig;
use slimspan::storage::{Spool, Store, StoreConfig};
use slimspan::telemetry::{Counters, StoreCounts};
use slimspan::tenant::TenantId;
use slimspan_artifact::{Artifact, Digest};
use tempfile::TempDir;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;

use super::backend::{Opened, age, artifact, key, open};
use super::traces::tell;
use crate::support::soon;

/// The hours after which nobody counts a file as stored, and all that refers to it is told.
pub(super) const SETTLED: u64 = 49;

/// A replica with a spool, beside the bucket that others use, too.
pub(super) struct Replica {
    pub(super) opened: Opened,
    pub(super) spool: Spool,
    pub(super) recorder: Recorder,
    pub(super) counts: Arc<StoreCounts>,
    counters: Arc<Counters>,
    tasks: JoinSet<()>,
}

impl Replica {
    pub(super) fn start(bucket: &TempDir, home: &TempDir) -> Self {
        let config = StoreConfig::new(bucket.path().to_str().unwrap());
        let spool = SpoolConfig {
            directory: home.path().join("spool"),
            ..SpoolConfig::default()
        };
        let mut opened = open(&config);
        let spool = Spool::open(&spool, "spool".to_owned(), &opened.store).unwrap();
        opened.store = opened.store.with_spool(spool.clone());
        let catalog = CatalogConfig {
            directory: home.path().join("catalog"),
            interval: Duration::from_millis(200),
            ..CatalogConfig::default()
        };
        let counts = Arc::<StoreCounts>::default();
        let recorder = Recorder::open(&catalog, &opened.store, Arc::clone(&counts));
        Self {
            opened,
            spool,
            recorder,
            counts,
            counters: Arc::default(),
            tasks: JoinSet::new(),
        }
    }

    pub(super) fn record(&mut self) {
        let (recorder, store) = (self.recorder.clone(), self.opened.store.clone());
        self.tasks
            .spawn(async move { recorder.run(&store, CancellationToken::new()).await });
    }

    pub(super) fn upload(&mut self) {
        let (spool, store) = (self.spool.clone(), self.opened.store.clone());
        let counters = Arc::clone(&self.counters);
        self.tasks.spawn(async move {
            let budget = Budget::new(Limits {
                limit_mib: 512,
                spike_mib: 100,
            });
            spool
                .upload(&store, &budget, &counters, CancellationToken::new())
                .await;
        });
    }

    /// A request with this artifact comes.
    pub(super) async fn takes(&self, tenant: &TenantId, artifact: &Artifact, trace: u8) -> Entry {
        let store = self.opened.store.of_tenant(tenant);
        let one = std::slice::from_ref(artifact);
        store.keep_all(one, Delivery::Background).await.unwrap();
        let state = if store.is_spooled(&artifact.digest) {
            State::Spooled
        } else {
            State::Stored
        };
        let entry = entry(tenant, artifact.digest, trace, state);
        self.recorder.record(vec![entry.clone()]).await;
        entry
    }
}

pub(super) fn entry(tenant: &TenantId, digest: Digest, trace: u8, state: State) -> Entry {
    let mut id = [trace; 16];
    id[..15].copy_from_slice(&digest.as_bytes()[..15]);
    Entry {
        id: EntryId::new(&id).unwrap(),
        recorded: Timestamp::now(),
        settled: None,
        time: Timestamp::from_second(1_700_000_000).unwrap(),
        tenant: tenant.clone(),
        signal: Some("traces".to_owned()),
        service: "chat".to_owned(),
        trace: TraceId::new(&[trace; 16]),
        span: None,
        span_name: String::new(),
        carrier: "span".to_owned(),
        carrier_index: None,
        event_name: None,
        attribute: "input".to_owned(),
        path: None,
        position: 0,
        shape: "bytes".to_owned(),
        digest: Some(digest),
        content_type: "image/png".to_owned(),
        size: 1,
        file_name: None,
        state,
    }
}

/// What another machine has of the same bucket.
pub(super) fn beside(bucket: &TempDir) -> (Store, Catalog) {
    let store = Store::open(&StoreConfig::new(bucket.path().to_str().unwrap())).unwrap();
    let catalog = Catalog::open_temporary(&store).unwrap();
    (store, catalog)
}

pub(super) async fn seen(catalog: &Catalog) -> Vec<Entry> {
    catalog.sync(Reach::All).await.unwrap();
    let page = catalog.index().page(&Filter::default(), 1_000, None).await;
    page.unwrap().entries
}

async fn tombstones(catalog: &Catalog) -> usize {
    catalog.sync(Reach::All).await.unwrap();
    let all = catalog.index().tombstones(&Tenants::All).await;
    all.unwrap().len()
}

/// All lines about an artifact, as they stand in the bucket.
pub(super) async fn lines_about(catalog: &Catalog, digest: &Digest) -> Vec<Entry> {
    let mut lines = Vec::new();
    for object in catalog.bucket().list("catalog", None).await.unwrap() {
        if object.key.contains("tombstones") {
            continue;
        }
        let body = catalog.bucket().get(&object.key).await.unwrap().unwrap();
        let entries = body.split(|byte| *byte == b'\n');
        let entries = entries.filter_map(|line| serde_json::from_slice::<Entry>(line).ok());
        lines.extend(entries.filter(|entry| entry.digest == Some(*digest)));
    }
    lines
}

pub(super) async fn until<F: Future<Output = bool>>(what: &str, is_so: impl Fn() -> F) {
    soon(what, async {
        while !is_so().await {
            sleep(Duration::from_millis(50)).await;
        }
    })
    .await;
}

/// A listing of a tenant's files takes minutes, and what comes meanwhile is not in it: it stays, and so does what
/// refers to it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_comes_while_a_tenant_is_deleted_stays_and_is_listed() {
    let bucket = tempfile::tempdir().unwrap();
    let opened = open(&StoreConfig::new(bucket.path().to_str().unwrap()));
    let catalog = Catalog::open_temporary(&opened.store).unwrap();
    let (store, elsewhere) = beside(&bucket);
    let usual = TenantId::default();
    let [before, meanwhile] = [0, 1].map(|seed| artifact(seed, 10_000));
    let stored = |artifact: &Artifact| entry(&usual, artifact.digest, 1, State::Stored);
    store.put_all(std::slice::from_ref(&before)).await.unwrap();
    tell(&elsewhere, &stored(&before), Timestamp::now()).await;

    let go_on = opened.faults.hold_listing(Path::from("default/sha256"));
    let deletion = catalog.erase(&opened.store, &usual, Deleted::Tenant, "a");
    let (erased, later) = tokio::join!(deletion, async {
        soon("it is listed", opened.faults.listing_waits()).await;
        let one = std::slice::from_ref(&meanwhile);
        store.put_all(one).await.unwrap();
        let later = stored(&meanwhile);
        tell(&elsewhere, &later, Timestamp::now()).await;
        go_on.send(true).unwrap();
        later
    });
    assert_eq!(erased.unwrap().artifacts, 1);
    assert!(!store.has(&before.digest).await.unwrap());
    assert!(store.has(&meanwhile.digest).await.unwrap());
    let listed: Vec<_> = seen(&elsewhere).await.iter().map(|one| one.id).collect();
    assert_eq!(listed, [later.id]);
}

/// What was deleted elsewhere is not uploaded from where it waits, and what is told of it later does not bring
/// its entry back: neither where that is read, nor where it is merged.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_waits_and_is_deleted_elsewhere_is_not_uploaded() {
    let (bucket, home) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let mut replica = Replica::start(&bucket, &home);
    let (usual, acme) = (TenantId::default(), "acme".parse::<TenantId>().unwrap());
    let [gone, stays, others] = [0, 1, 2].map(|seed| artifact(seed, 10_000));
    replica.takes(&usual, &gone, 1).await;
    let kept = replica.takes(&usual, &stays, 1).await;
    replica.takes(&acme, &others, 2).await;
    replica.record();
    let (store, elsewhere) = beside(&bucket);
    until("it is told elsewhere", async || {
        seen(&elsewhere).await.len() == 3
    })
    .await;

    let digest = gone.digest;
    let one = Deleted::Artifact { digest };
    elsewhere.erase(&store, &usual, one, "a").await.unwrap();
    let all = elsewhere.erase(&store, &acme, Deleted::Tenant, "b").await;
    all.unwrap();
    until("it is given up", async || {
        replica.spool.left().artifacts == 1
    })
    .await;
    assert_eq!(replica.counts.catalogued().given_up, 2);
    replica.upload();
    until("the rest is uploaded", async || {
        store.has(&stays.digest).await.unwrap()
    })
    .await;
    until("it is told what became of all", async || {
        let mut settled = 0;
        for digest in [&gone.digest, &stays.digest, &others.digest] {
            let lines = lines_about(&elsewhere, digest).await;
            settled += usize::from(lines.iter().any(|line| line.settled.is_some()));
        }
        settled == 3
    })
    .await;
    assert!(!store.has(&gone.digest).await.unwrap());
    let of_acme = store.of_tenant(&acme);
    assert!(!of_acme.has(&others.digest).await.unwrap());
    let told = |entries: Vec<Entry>| {
        let told = entries.into_iter().map(|entry| (entry.id, entry.state));
        told.collect::<Vec<_>>()
    };
    let left = vec![(kept.id, State::Stored)];
    assert_eq!(told(seen(&elsewhere).await), left);
    let (_, late) = beside(&bucket);
    assert_eq!(told(seen(&late).await), left);
    let compaction = Compaction {
        older_than: Duration::ZERO,
        grace: Duration::ZERO,
        ..Compaction::default()
    };
    elsewhere.compact(compaction, |_| ()).await.unwrap();
    assert!(lines_about(&elsewhere, &gone.digest).await.is_empty());

    // It is there again when it comes again.
    let back = replica.takes(&usual, &gone, 1).await;
    until("it is back", async || {
        store.has(&gone.digest).await.unwrap() && seen(&elsewhere).await.len() == 2
    })
    .await;
    let ids: BTreeSet<_> = seen(&late).await.iter().map(|entry| entry.id).collect();
    assert_eq!(ids, [kept.id, back.id].into());
}

/// Nor does a process that comes back upload what was deleted while it was away; but what a request relied on after
/// that, it does.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_deleted_while_nobody_is_there_is_not_uploaded() {
    let (bucket, home) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let usual = TenantId::default();
    let [gone, stays, back] = [0, 1, 2].map(|seed| artifact(seed, 10_000));
    let earlier = Replica::start(&bucket, &home);
    for artifact in [&gone, &stays, &back] {
        earlier.takes(&usual, artifact, 1).await;
    }
    let (store, elsewhere) = beside(&bucket);
    for digest in [gone.digest, back.digest] {
        let one = Deleted::Artifact { digest };
        elsewhere.erase(&store, &usual, one, "a").await.unwrap();
    }
    // It waits already, and so it is not kept anew.
    earlier.takes(&usual, &back, 2).await;
    assert_eq!(earlier.spool.left().artifacts, 3);
    drop(earlier);

    let mut replica = Replica::start(&bucket, &home);
    assert_eq!(replica.spool.left().artifacts, 3);
    replica.upload();
    let first = replica.opened.faults.arrived(1);
    let first = timeout(Duration::from_millis(300), first).await;
    assert!(first.is_err(), "it has to be known first what was deleted");
    replica.record();
    until("the others are uploaded", async || {
        store.has(&stays.digest).await.unwrap() && replica.spool.left().artifacts == 0
    })
    .await;
    assert!(!store.has(&gone.digest).await.unwrap());
    assert!(
        store.has(&back.digest).await.unwrap(),
        "a request relied on it"
    );
    assert_eq!(replica.counts.catalogued().given_up, 1);
}

/// Whoever was told that it is here relies on it from then on, also where a deletion from before is noticed later.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_somebody_was_told_to_be_here_is_uploaded() {
    let (bucket, home) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let usual = TenantId::default();
    let mut replica = Replica::start(&bucket, &home);
    let [gone, told] = [0, 1].map(|seed| artifact(seed, 10_000));
    for artifact in [&gone, &told] {
        replica.takes(&usual, artifact, 1).await;
    }
    let (store, elsewhere) = beside(&bucket);
    for digest in [gone.digest, told.digest] {
        let one = Deleted::Artifact { digest };
        elsewhere.erase(&store, &usual, one, "a").await.unwrap();
    }
    assert!(replica.opened.store.relies_on_spool(&told.digest));
    replica.record();
    until("the other is given up", async || {
        replica.spool.left().artifacts == 1
    })
    .await;
    replica.upload();
    until("it is uploaded", async || {
        store.has(&told.digest).await.unwrap()
    })
    .await;
    assert!(!store.has(&gone.digest).await.unwrap());
}

/// An upload that is under way while its artifact is deleted does not bring it back.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_upload_under_way_does_not_bring_back_what_is_deleted() {
    let (bucket, home) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let usual = TenantId::default();
    let mut replica = Replica::start(&bucket, &home);
    let gone = artifact(0, 10_000);
    let go = replica.opened.faults.hold(key(&gone));
    replica.record();
    replica.upload();
    replica.takes(&usual, &gone, 1).await;
    soon("it is under way", replica.opened.faults.arrived(1)).await;
    let (store, elsewhere) = beside(&bucket);
    let digest = gone.digest;
    let one = Deleted::Artifact { digest };
    elsewhere.erase(&store, &usual, one, "a").await.unwrap();
    assert!(!store.has(&gone.digest).await.unwrap());
    go.send(true).unwrap();
    until("it is deleted once more", async || {
        tombstones(&elsewhere).await == 2 && !store.has(&gone.digest).await.unwrap()
    })
    .await;
    assert!(seen(&elsewhere).await.is_empty());
}

/// A deletion that broke off is finished by the same one again: by whomever, and although nothing of it is
/// listed any more. What one object did not let go does not keep the others.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_deletion_that_broke_off_is_finished_by_the_next() {
    let usual = TenantId::default();
    let trace = TraceId::new(&[1; 16]).unwrap();
    let artifacts = [0, 1, 2].map(|seed| artifact(seed, 10_000));
    // More than are deleted at a time, so that those behind the one that stays show.
    let many: Vec<Artifact> = (10..60).map(|seed| artifact(seed, 1_000)).collect();
    let digest = artifacts[1].digest;
    for (deleted, left) in [
        (Deleted::Artifact { digest }, [true, false, true]),
        (Deleted::Trace { trace }, [false, false, true]),
        (Deleted::Tenant, [false; 3]),
    ] {
        for is_compacted in [false, true] {
            let (bucket, home) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
            let mut replica = Replica::start(&bucket, &home);
            for (number, artifact) in artifacts.iter().enumerate() {
                let one = std::slice::from_ref(artifact);
                replica.opened.store.put_all(one).await.unwrap();
                // The last one is of another trace, too.
                for trace in if number == 2 { &[1, 2][..] } else { &[1] } {
                    let entry = entry(&usual, artifact.digest, *trace, State::Stored);
                    replica.recorder.record(vec![entry]).await;
                }
            }
            let store = &replica.opened.store;
            store.put_all(&many).await.unwrap();
            // So long ago that they go with the trace at once.
            age(&bucket.path().join("default"), SETTLED);
            let entries = many
                .iter()
                .map(|of| entry(&usual, of.digest, 1, State::Stored));
            replica.recorder.record(entries.collect()).await;
            replica.record();
            let store = &replica.opened.store;
            let catalog = Catalog::open_temporary(store).unwrap();
            until("all is told", async || seen(&catalog).await.len() == 54).await;
            replica.opened.faults.keep(key(&artifacts[1]));
            let broken = catalog.erase(store, &usual, deleted, "a").await;
            assert!(broken.is_err());
            let has = async || {
                let mut has = Vec::new();
                for artifact in &artifacts {
                    has.push(store.has(&artifact.digest).await.unwrap());
                }
                has
            };
            let [first, _, last] = left;
            assert_eq!(has().await, [first, true, last], "the others went");
            for artifact in &many {
                let is_there = store.has(&artifact.digest).await.unwrap();
                assert_eq!(is_there, first, "{deleted:?}");
            }
            replica.opened.faults.heal();
            if is_compacted {
                let compaction = Compaction {
                    older_than: Duration::ZERO,
                    grace: Duration::ZERO,
                    ..Compaction::default()
                };
                catalog.compact(compaction, |_| ()).await.unwrap();
            }
            let (_, another) = beside(&bucket);
            let again = another.erase(store, &usual, deleted, "a").await;
            again.unwrap();
            assert_eq!(has().await, left, "{deleted:?}");
        }
    }
}

/// The bucket has nothing of its tenant yet, and neither has the catalog.
#[tokio::test]
async fn who_has_it_in_the_spool_alone_has_it() {
    let [bucket, home] = [(); 2].map(|()| tempfile::tempdir().unwrap());
    let replica = Replica::start(&bucket, &home);
    let (acme, artifact) = ("acme".parse().unwrap(), artifact(1, 100));
    replica.takes(&acme, &artifact, 1).await;
    let store = &replica.opened.store;
    let of_acme = store.of_tenant(&acme);
    assert!(of_acme.is_spooled(&artifact.digest));
    let catalog = Catalog::open_temporary(store).unwrap();
    let holders = catalog.holders(store, &artifact.digest).await.unwrap();
    assert_eq!(holders, BTreeSet::from([acme]));
    let erased = catalog.erase_of(store, &holders, artifact.digest, "a");
    assert_eq!(erased.await.unwrap().artifacts, 1);
    assert!(!of_acme.is_spooled(&artifact.digest));
}

/// The objects with deletions that somebody is to go on with.
pub(super) async fn unfinished(catalog: &Catalog) -> Vec<String> {
    let listed = catalog.bucket().list("catalog/tombstones", None).await;
    let keys = listed.unwrap().into_iter().map(|object| object.key);
    keys.filter(|key| key.contains("-until-")).collect()
}

/// As if the only deletion that is not finished had been asked for at `asked`, and were due for hours.
pub(super) async fn is_due(catalog: &Catalog, asked: Option<Timestamp>) {
    let [key] = <[_; 1]>::try_from(unfinished(catalog).await).unwrap();
    let mut body = catalog.bucket().get(&key).await.unwrap().unwrap();
    if let Some(asked) = asked {
        let mut tombstone: serde_json::Value = serde_json::from_slice(&body).unwrap();
        tombstone["time"] = format!("{asked:.6}").into();
        body = format!("{tombstone}\n").into();
    }
    let (name, _) = key.split_once("-until-").unwrap();
    let due = Timestamp::now() - SignedDuration::from_hours(3);
    let due = format!("{name}-until-{}.json", due.as_second());
    catalog.bucket().put(&due, body).await.unwrap();
    catalog.bucket().delete(&key).await.unwrap();
}

/// Nobody has to ask for it: any process goes on with it, and what came after the deletion stays.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_deletion_that_broke_off_is_finished_by_itself() {
    let usual = TenantId::default();
    let artifacts = [0, 1].map(|seed| artifact(seed, 10_000));
    let digest = artifacts[1].digest;
    for deleted in [Deleted::Artifact { digest }, Deleted::Tenant] {
        let (bucket, home) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let opened = open(&StoreConfig::new(bucket.path().to_str().unwrap()));
        let store = &opened.store;
        store.put_all(&artifacts).await.unwrap();
        let catalog = Catalog::open_temporary(store).unwrap();
        opened.faults.keep(key(&artifacts[1]));
        let broken = catalog.erase(store, &usual, deleted, "a").await;
        assert!(broken.is_err());
        assert!(store.has(&digest).await.unwrap());
        opened.faults.heal();
        let replica = Replica::start(&bucket, &home);
        let others = &replica.opened.store;
        let finish = async || {
            let finish = replica.recorder.finish(others, Timestamp::now());
            assert!(!finish.await.unwrap());
        };
        // Whoever has begun it may be at it still.
        finish().await;
        assert!(store.has(&digest).await.unwrap());
        age(&bucket.path().join("default"), 10);
        let after = artifact(2, 10_000);
        others.put_all(std::slice::from_ref(&after)).await.unwrap();
        let asked = Timestamp::now() - SignedDuration::from_hours(4);
        is_due(&catalog, Some(asked)).await;
        finish().await;
        assert!(!store.has(&digest).await.unwrap());
        assert!(store.has(&after.digest).await.unwrap(), "{deleted:?}");
        assert!(unfinished(&catalog).await.is_empty());
        assert_eq!(replica.counts.catalogued().finished, 1);
    }
}

/// What the store does not let go is tried again, and leaves nothing behind each time.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_the_store_keeps_is_tried_again() {
    let (bucket, home) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let usual = TenantId::default();
    let stays = artifact(0, 10_000);
    let replica = Replica::start(&bucket, &home);
    let Opened { store, faults, .. } = &replica.opened;
    store.put_all(std::slice::from_ref(&stays)).await.unwrap();
    let catalog = Catalog::open_temporary(store).unwrap();
    faults.keep(key(&stays));
    let digest = stays.digest;
    let one = Deleted::Artifact { digest };
    assert!(catalog.erase(store, &usual, one, "a").await.is_err());
    let before = unfinished(&catalog).await;
    for hours in [4, 8] {
        let now = Timestamp::now() + SignedDuration::from_hours(hours);
        assert!(!replica.recorder.finish(store, now).await.unwrap());
        assert!(store.has(&digest).await.unwrap());
        assert_eq!(unfinished(&catalog).await, before);
    }
    faults.heal();
    let now = Timestamp::now() + SignedDuration::from_hours(12);
    assert!(!replica.recorder.finish(store, now).await.unwrap());
    assert!(!store.has(&digest).await.unwrap());
    assert!(unfinished(&catalog).await.is_empty());
}

/// A replica that may not delete leaves a deletion to others, however often it looks. That some of the files came
/// again, and stay, is nothing to tell.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_may_not_delete_leaves_a_deletion_as_it_is() {
    let usual = TenantId::default();
    let artifacts = [0, 1].map(|seed| artifact(seed, 10_000));
    let [old, back] = &artifacts;
    let digest = back.digest;
    for (deleted, more) in [(Deleted::Artifact { digest }, 1), (Deleted::Tenant, 0)] {
        let (bucket, home) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let opened = open(&StoreConfig::new(bucket.path().to_str().unwrap()));
        let store = &opened.store;
        store.put_all(&artifacts).await.unwrap();
        let catalog = Catalog::open_temporary(store).unwrap();
        for artifact in &artifacts {
            opened.faults.keep(key(artifact));
        }
        let broken = catalog.erase(store, &usual, deleted, "a").await;
        assert!(broken.is_err());
        let asked = Timestamp::now() - SignedDuration::from_hours(4);
        is_due(&catalog, Some(asked)).await;
        age(&bucket.path().join("default"), 10);
        let (again, _) = beside(&bucket);
        let one = std::slice::from_ref(back);
        assert_eq!(again.put_all(one).await.unwrap().written, 1);

        let told = async || {
            let listed = catalog.bucket().list("catalog/tombstones", None).await;
            listed.unwrap().len()
        };
        let before = unfinished(&catalog).await;
        let replica = Replica::start(&bucket, &home);
        let Opened { store, faults, .. } = &replica.opened;
        faults.keep_all();
        for hours in [4, 8, 12] {
            let now = Timestamp::now() + SignedDuration::from_hours(hours);
            assert!(!replica.recorder.finish(store, now).await.unwrap());
            assert_eq!(unfinished(&catalog).await, before, "{deleted:?}");
            // Where nothing is left of it, the same object says so each time.
            assert_eq!(told().await, 1 + more, "{deleted:?}");
        }
        assert_eq!(replica.counts.catalogued().finished, 0);
        faults.heal();
        let now = Timestamp::now() + SignedDuration::from_hours(16);
        assert!(!replica.recorder.finish(store, now).await.unwrap());
        assert!(unfinished(&catalog).await.is_empty());
        assert_eq!(replica.counts.catalogued().finished, 1);
        assert!(store.has(&back.digest).await.unwrap());
        let old = store.has(&old.digest).await.unwrap();
        assert_eq!(old, matches!(deleted, Deleted::Artifact { .. }));
    }
}

/// Who uploads says what it has uploaded: the store is not asked for each, and many are told together.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_uploaded_is_told_without_asking() {
    const COUNT: usize = 200;
    let (bucket, home) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let usual = TenantId::default();
    let mut replica = Replica::start(&bucket, &home);
    for seed in 0..COUNT {
        let artifact = artifact(seed as u32, 10_000);
        replica.takes(&usual, &artifact, 1).await;
    }
    replica.record();
    let (_, elsewhere) = beside(&bucket);
    until("all are told", async || {
        seen(&elsewhere).await.len() == COUNT
    })
    .await;
    let objects = async || {
        let listed = elsewhere.bucket().list("catalog", None).await;
        listed.unwrap().len()
    };
    let before = objects().await;
    replica.upload();
    let begun = std::time::Instant::now();
    until("all are told to be stored", async || {
        let all = seen(&elsewhere).await;
        all.iter().all(|entry| entry.state == State::Stored)
    })
    .await;
    assert_eq!(replica.opened.faults.looks(), 0);
    // A round each 200 ms.
    let rounds = begun.elapsed().as_millis() / 200 + 2;
    let new = objects().await - before;
    assert!(new as u128 <= rounds, "{new} objects in {rounds} rounds");
}

/// What an earlier process uploaded, and did not tell of, the store is asked for.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_an_earlier_process_uploaded_is_asked_for() {
    let (bucket, home) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let usual = TenantId::default();
    let artifacts: Vec<Artifact> = (0..40).map(|seed| artifact(seed, 10_000)).collect();
    let mut earlier = Replica::start(&bucket, &home);
    for artifact in &artifacts {
        earlier.takes(&usual, artifact, 1).await;
    }
    earlier.upload();
    until("all are uploaded", async || {
        earlier.spool.left().artifacts == 0
    })
    .await;
    earlier.spool.settle().await;
    earlier.tasks.shutdown().await;
    drop(earlier);
    let mut replica = Replica::start(&bucket, &home);
    replica.record();
    let (_, elsewhere) = beside(&bucket);
    until("all are told to be stored", async || {
        let all = seen(&elsewhere).await;
        let stored = all.iter().filter(|entry| entry.state == State::Stored);
        stored.count() == artifacts.len()
    })
    .await;
    assert_eq!(replica.opened.faults.looks(), artifacts.len());
}
