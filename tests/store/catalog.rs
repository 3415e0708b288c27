//! The catalog on each kind of bucket: two replicas that share nothing else.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use jiff::Timestamp;
use slimspan::catalog::config::CatalogConfig;
use slimspan::catalog::{
    Catalog, Compaction, Deleted, Entry, EntryId, Filter, Reach, Recorder, SpanId, State, Tenants,
    TraceId,
};
use slimspan::storage::{Store, StoreConfig};
use slimspan_artifact::{Artifact, Digest};
use tempfile::TempDir;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::backend::{Backend, open};
use super::emulators;
use crate::support::measured::{bound, measured};
use crate::support::{s3_server, soon};

/// A replica: what it writes, what it sees, and where it keeps that.
struct Replica {
    store: Store,
    recorder: Recorder,
    catalog: Catalog,
    stop: CancellationToken,
    tasks: Vec<JoinHandle<()>>,
    _home: TempDir,
}

impl Replica {
    async fn start(config: &StoreConfig) -> Self {
        Self::start_with(config, Duration::from_millis(100)).await
    }

    async fn start_with(config: &StoreConfig, interval: Duration) -> Self {
        Self::of(Store::open(config).unwrap(), interval).await
    }

    async fn of(store: Store, interval: Duration) -> Self {
        let home = tempfile::tempdir().unwrap();
        let catalog_config = CatalogConfig {
            directory: home.path().to_owned(),
            interval,
            ..CatalogConfig::default()
        };
        let recorder = Recorder::open(&catalog_config, &store, Arc::default());
        let catalog = Catalog::open(&store, home.path()).await.unwrap();
        let catalog = catalog.as_often_as(interval);
        let stop = CancellationToken::new();
        let writing = {
            let (recorder, store, stop) = (recorder.clone(), store.clone(), stop.clone());
            tokio::spawn(async move { recorder.run(&store, stop).await })
        };
        let following = {
            let (catalog, stop) = (catalog.clone(), stop.clone());
            tokio::spawn(async move { catalog.follow(stop, || ()).await })
        };
        Self {
            store,
            recorder,
            catalog,
            stop,
            tasks: vec![writing, following],
            _home: home,
        }
    }

    async fn end(self) {
        self.stop.cancel();
        for task in self.tasks {
            soon("a replica ends", task).await.unwrap();
        }
    }

    async fn seen(&self) -> BTreeSet<EntryId> {
        seen(&self.catalog).await
    }

    /// Waits until it sees exactly these.
    async fn sees(&self, ids: &BTreeSet<EntryId>) {
        soon("what another one wrote is seen", async {
            while self.seen().await != *ids {
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        })
        .await;
    }
}

/// All entries, each of which is to come once.
async fn seen(catalog: &Catalog) -> BTreeSet<EntryId> {
    let (mut ids, mut after) = (BTreeSet::new(), None);
    loop {
        let filter = Filter::default();
        let page = catalog.index().page(&filter, 100, after).await.unwrap();
        for entry in page.entries {
            assert!(ids.insert(entry.id), "{} comes twice", entry.id);
        }
        after = page.next;
        if after.is_none() {
            return ids;
        }
    }
}

fn artifact(number: u16) -> Artifact {
    let bytes = Bytes::from(format!("artifact {number}").repeat(100));
    Artifact {
        digest: Digest::of(&bytes),
        media_type: "image/png".to_owned(),
        bytes,
    }
}

/// A reference to an artifact, in a trace of three.
fn entry(number: u16, digest: Digest) -> Entry {
    let mut id = [1; 16];
    id[..2].copy_from_slice(&number.to_be_bytes());
    Entry {
        id: EntryId::new(&id).unwrap(),
        recorded: Timestamp::now(),
        settled: None,
        time: Timestamp::from_second(1_700_000_000 + i64::from(number)).unwrap(),
        tenant: "acme".parse().unwrap(),
        signal: Some("traces".to_owned()),
        service: "chat".to_owned(),
        trace: TraceId::new(&[1 + (number % 3) as u8; 16]),
        span: SpanId::new(&[1 + (number % 7) as u8; 8]),
        span_name: "completion".to_owned(),
        carrier: "span".to_owned(),
        carrier_index: None,
        event_name: None,
        attribute: "gen_ai.input.messages".to_owned(),
        path: Some(format!("[{number}].content")),
        position: 0,
        shape: "base64".to_owned(),
        digest: Some(digest),
        content_type: "image/png".to_owned(),
        size: 1_000,
        file_name: None,
        state: State::Stored,
    }
}

async fn check(config: &StoreConfig) {
    let (one, two) = (Replica::start(config).await, Replica::start(config).await);
    let tenant: slimspan::tenant::TenantId = "acme".parse().unwrap();
    let mut ids = BTreeSet::new();
    // Every artifact is in two traces, but the last.
    for number in 0..41 {
        let artifact = artifact(number / 2);
        let replica = if number % 2 == 0 { &one } else { &two };
        let of_tenant = replica.store.of_tenant(&tenant);
        of_tenant
            .put_all(std::slice::from_ref(&artifact))
            .await
            .unwrap();
        let entry = entry(number, artifact.digest);
        ids.insert(entry.id);
        replica.recorder.record(vec![entry]).await;
        if number % 8 == 7 {
            // So that there are several objects.
            tokio::time::sleep(Duration::from_millis(120)).await;
        }
    }
    one.sees(&ids).await;
    two.sees(&ids).await;

    // While the objects are merged, nobody misses anything, whenever they begin to look.
    let count = async || {
        let bucket = one.catalog.bucket();
        let listed = bucket.list("catalog", None).await.unwrap();
        listed.len()
    };
    let before = count().await;
    assert!(before > 4, "{before}");
    let compacting = {
        let catalog = one.catalog.clone();
        let compaction = Compaction {
            older_than: Duration::ZERO,
            grace: Duration::from_millis(300),
            ..Compaction::default()
        };
        tokio::spawn(async move { catalog.compact(compaction, |_| ()).await.unwrap() })
    };
    let mut looked = 0;
    while !compacting.is_finished() {
        let late = Catalog::open_temporary(&two.store).unwrap();
        late.sync(Reach::All).await.unwrap();
        assert_eq!(seen(&late).await, ids);
        assert_eq!(two.seen().await, ids);
        looked += 1;
    }
    let compacted = compacting.await.unwrap();
    assert!(looked > 0);
    assert_eq!((compacted.merged, compacted.entries), (before, ids.len()));
    // It may span midnight.
    assert!(count().await <= 2);
    let late = Catalog::open_temporary(&two.store).unwrap();
    late.sync(Reach::All).await.unwrap();
    assert_eq!(seen(&late).await, ids);

    // What one deletes is gone on the other, with its reason; of a trace only what nothing else needs.
    let digest = artifact(0).digest;
    let erased = one
        .catalog
        .erase(
            &one.store,
            &tenant,
            Deleted::Artifact { digest },
            "asked for",
        )
        .await
        .unwrap();
    assert_eq!(erased.artifacts, 1);
    let trace = entry(40, digest).trace.unwrap();
    let of_trace = Deleted::Trace { trace };
    let erased = one
        .catalog
        .erase(&one.store, &tenant, of_trace, "a secret")
        .await
        .unwrap();
    // The last one is in no other trace, but somebody may refer to it who has not told it yet.
    let last = artifact(20).digest;
    assert_eq!((erased.artifacts, erased.waiting), (0, vec![last]));
    assert!(one.store.of_tenant(&tenant).has(&last).await.unwrap());
    let by_digest = Deleted::Artifact { digest: last };
    let erased = one
        .catalog
        .erase(&one.store, &tenant, by_digest, "a secret")
        .await
        .unwrap();
    assert_eq!(erased.artifacts, 1);
    let left: BTreeSet<_> = (2..41)
        .map(|number| entry(number, digest))
        .filter(|entry| entry.trace != Some(trace))
        .map(|entry| entry.id)
        .collect();
    two.sees(&left).await;
    let of_tenant = two.store.of_tenant(&tenant);
    for (number, reason) in [(0, Some("asked for")), (20, Some("a secret")), (1, None)] {
        let digest = artifact(number).digest;
        let tombstone = two.catalog.index().tombstone(&tenant, &digest);
        let tombstone = tombstone.await.unwrap();
        assert_eq!(tombstone.as_ref().map(|of| of.reason.as_str()), reason);
        assert_eq!(of_tenant.has(&digest).await.unwrap(), reason.is_none());
    }

    // A replica that had stored what another one deleted stores it again when it comes again.
    let again = artifact(0);
    let stored = async {
        while of_tenant
            .put_all(std::slice::from_ref(&again))
            .await
            .unwrap()
            .written
            == 0
        {
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    };
    soon("it does not count as stored any more", stored).await;
    assert!(of_tenant.has(&again.digest).await.unwrap());
    let back = entry(100, again.digest);
    two.recorder.record(vec![back.clone()]).await;
    let mut left = left;
    left.insert(back.id);
    one.sees(&left).await;
    let tombstone = one.catalog.index().tombstone(&tenant, &again.digest).await;
    assert_eq!(tombstone.unwrap(), None, "it is there");

    // All of a tenant.
    let all = one
        .catalog
        .erase(&one.store, &tenant, Deleted::Tenant, "left");
    all.await.unwrap();
    two.sees(&BTreeSet::new()).await;
    assert!(!of_tenant.has(&artifact(1).digest).await.unwrap());
    let menus = two.catalog.index().menus(&Tenants::All).await.unwrap();
    assert_eq!((menus.entries, menus.services), (0, Vec::new()));
    one.end().await;
    two.end().await;
}

/// How soon another replica lists what one wrote down, and hides what one deleted, as it is promised.
const PROMISED: Duration = Duration::from_secs(10);

/// How long it takes until what one replica wrote down is listed by another one, and until what it deleted is
/// hidden there, as they are shipped.
async fn measure(what: &str, config: &StoreConfig) {
    let interval = CatalogConfig::default().interval;
    let one = Replica::start_with(config, interval).await;
    let two = Replica::start_with(config, interval).await;
    // Each takes seconds.
    let times: u16 = bound(5, 1);
    let (mut ids, mut listed, mut hidden) = (BTreeSet::new(), Vec::new(), Vec::new());
    for number in 0..times {
        let entry = entry(number, artifact(number).digest);
        ids.insert(entry.id);
        let begun = Instant::now();
        one.recorder.record(vec![entry]).await;
        two.sees(&ids).await;
        listed.push(begun.elapsed());
    }
    let tenant = "acme".parse().unwrap();
    for number in 0..times {
        let digest = artifact(number).digest;
        ids.remove(&entry(number, digest).id);
        let begun = Instant::now();
        let deleted = Deleted::Artifact { digest };
        let erased = one.catalog.erase(&one.store, &tenant, deleted, "measured");
        erased.await.unwrap();
        two.sees(&ids).await;
        hidden.push(begun.elapsed());
    }
    one.end().await;
    two.end().await;
    let slowest = |took: &[Duration]| *took.iter().max().unwrap();
    let (slowest_listed, slowest_hidden) = (slowest(&listed), slowest(&hidden));
    measured(
        "catalog",
        &format!("store::catalog, two replicas with {what}"),
        "each listed by the other <= 10 s, each deletion seen there <= 10 s",
        format_args!(
            "of {times} each: listed after {slowest_listed:.1?} at most, a deletion seen after {slowest_hidden:.1?} at \
             most"
        ),
    );
    let most = bound(PROMISED, 2 * PROMISED);
    for took in listed.iter().chain(&hidden) {
        assert!(*took <= most, "{what}: {listed:.1?} {hidden:.1?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_one_writes_down_another_lists_within_seconds() {
    let folder = tempfile::tempdir().unwrap();
    let of_folder = StoreConfig::new(folder.path().to_str().unwrap());
    let backend: Backend = emulators::s3(s3_server::program());
    let of_bucket = backend.config("files/of-two");
    tokio::join!(measure("a folder", &of_folder), measure("S3", &of_bucket));
}

/// To list everything takes minutes where there are very many objects; what is new does not wait for that.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_new_comes_while_everything_is_listed() {
    let opened = open(&StoreConfig::new("memory://"));
    let all = object_store::path::Path::from("catalog");
    let goes_on = opened.faults.hold_listing(all);
    let replica = Replica::of(opened.store, Duration::from_millis(100)).await;
    soon("everything is listed", opened.faults.listing_waits()).await;
    let entry = entry(0, artifact(0).digest);
    let (ids, begun) = (BTreeSet::from([entry.id]), Instant::now());
    replica.recorder.record(vec![entry]).await;
    replica.sees(&ids).await;
    let took = begun.elapsed();
    assert!(took <= bound(PROMISED, 2 * PROMISED), "{took:?}");
    goes_on.send(true).unwrap();
    replica.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn replicas_share_a_folder() {
    let folder = tempfile::tempdir().unwrap();
    check(&StoreConfig::new(folder.path().to_str().unwrap())).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn replicas_share_a_bucket() {
    let backend: Backend = emulators::s3(s3_server::program());
    check(&backend.config("files/of-all")).await;
}

/// What a process that is gone wrote down, its successor puts into the bucket; and what it had put already,
/// but not noted that, is there once.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_waits_outlives_its_process_and_is_there_once() {
    let (folder, home) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let store = Store::open(&StoreConfig::new(folder.path().to_str().unwrap())).unwrap();
    let config = CatalogConfig {
        directory: home.path().to_owned(),
        ..CatalogConfig::default()
    };
    let mut ids = BTreeSet::new();
    let recorder = Recorder::open(&config, &store, Arc::default());
    for number in 0..20 {
        let entry = entry(number, artifact(0).digest);
        ids.insert(entry.id);
        recorder.record(vec![entry]).await;
    }
    // A copy is what a kill behind the put leaves.
    let journals = copy(home.path());
    let drain = CancellationToken::new();
    drain.cancel();
    let puts = soon("it ends", recorder.run(&store, drain.clone()));
    puts.await;
    assert_eq!(recorder.waiting(), 0);
    drop(recorder);

    let config = CatalogConfig {
        directory: journals.path().to_owned(),
        ..config
    };
    let successor = Recorder::open(&config, &store, Arc::default());
    assert_eq!(successor.waiting(), 20);
    // Another one of the same machine has a journal of its own.
    let beside = Recorder::open(&config, &store, Arc::default());
    assert_eq!(beside.waiting(), 0);
    let more = entry(20, artifact(0).digest);
    ids.insert(more.id);
    beside.record(vec![more]).await;
    soon("it ends", successor.run(&store, drain.clone())).await;
    soon("it ends", beside.run(&store, drain)).await;
    let catalog = Catalog::open_temporary(&store).unwrap();
    let synced = catalog.sync(Reach::All).await.unwrap();
    assert_eq!((synced.objects, synced.entries), (3, 21));
    assert_eq!(seen(&catalog).await, ids);
}

fn copy(folder: &Path) -> TempDir {
    let to = tempfile::tempdir().unwrap();
    let copied = std::process::Command::new("cp")
        .arg("-r")
        .arg(folder.join("."))
        .arg(to.path())
        .status();
    assert!(copied.unwrap().success());
    to
}
