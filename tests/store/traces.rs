//! What goes with a trace, and what stays because something else may refer to it.

use bytes::Bytes;
use jiff::{SignedDuration, Timestamp};
use slimspan::catalog::{
    Catalog, CatalogError, Compacted, Compaction, Deleted, Entry, Erased, State, TraceId,
    Withholding,
};
use slimspan::storage::{Store, StoreConfig};
use slimspan::tenant::TenantId;
use slimspan_artifact::Artifact;
use tempfile::TempDir;

use super::backend::{age, artifact, key, open, stored_in};
use super::deletions::{
    Replica, SETTLED, beside, entry, is_due, lines_about, seen, unfinished, until,
};

/// An entry comes into the bucket, in an object that is named at `time`.
pub(super) async fn tell(catalog: &Catalog, entry: &Entry, time: Timestamp) -> String {
    let line = format!("{}\n", serde_json::to_string(entry).unwrap());
    put(catalog, line.into(), time).await
}

async fn put(catalog: &Catalog, lines: Bytes, time: Timestamp) -> String {
    let time = time.to_zoned(jiff::tz::TimeZone::UTC);
    let key = time.strftime("catalog/%Y-%m-%d/%H/%Y%m%dT%H%M%S%.6fZ-00000001-00000001.jsonl");
    let key = key.to_string();
    catalog.bucket().put(&key, lines).await.unwrap();
    key
}

async fn erase(catalog: &Catalog, store: &Store) -> Result<Erased, CatalogError> {
    let trace = TraceId::new(&[1; 16]).unwrap();
    let deleted = Deleted::Trace { trace };
    let usual = TenantId::default();
    catalog.erase(store, &usual, deleted, "a secret").await
}

fn stored(artifact: &Artifact, trace: u8) -> Entry {
    entry(&TenantId::default(), artifact.digest, trace, State::Stored)
}

/// Merges all objects with entries that there are.
async fn compact(catalog: &Catalog) -> Compacted {
    let compaction = Compaction {
        older_than: std::time::Duration::ZERO,
        grace: std::time::Duration::ZERO,
        ..Compaction::default()
    };
    catalog.compact(compaction, |_| ()).await.unwrap()
}

/// All that is stored was stored so long ago that nobody counts it as that.
fn settles(bucket: &TempDir) {
    age(&bucket.path().join("default"), SETTLED);
}

/// A replica refers to what it stored lately without storing it again, and what says so is in its journal.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_file_stays_that_another_trace_may_refer_to() {
    let (bucket, home) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let mut replica = Replica::start(&bucket, &home);
    let (store, elsewhere) = beside(&bucket);
    let shared = artifact(0, 10_000);
    let one = std::slice::from_ref(&shared);
    replica.opened.store.put_all(one).await.unwrap();
    tell(&elsewhere, &stored(&shared, 1), Timestamp::now()).await;
    let again = replica.opened.store.put_all(one).await.unwrap();
    assert_eq!(again.written, 0, "it counts as stored");
    let other = stored(&shared, 2);
    replica.recorder.record(vec![other.clone()]).await;

    let erased = erase(&elsewhere, &store).await.unwrap();
    assert_eq!((erased.artifacts, erased.waiting), (0, vec![shared.digest]));
    let wait = erased.until.unwrap().duration_since(Timestamp::now());
    assert!((47..=48).contains(&wait.as_hours()), "{wait:?}");
    assert!(store.has(&shared.digest).await.unwrap());
    assert!(seen(&elsewhere).await.is_empty(), "the trace is hidden");

    replica.record();
    until("the other is told", async || {
        seen(&elsewhere).await.len() == 1
    })
    .await;
    settles(&bucket);
    let erased = erase(&elsewhere, &store).await.unwrap();
    assert_eq!((erased.artifacts, erased.waiting), (0, Vec::new()));
    assert!(store.has(&shared.digest).await.unwrap());
    let left = seen(&elsewhere).await;
    assert!(left.iter().all(|entry| entry.id == other.id), "{left:?}");
    assert_eq!(left.len(), 1);
}

/// Nor is it given up where it waits for the store.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_waits_for_the_store_is_uploaded_for_another_trace() {
    let (bucket, home) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let usual = TenantId::default();
    let mut replica = Replica::start(&bucket, &home);
    let (store, elsewhere) = beside(&bucket);
    let shared = artifact(0, 10_000);
    replica.takes(&usual, &shared, 2).await;
    let spooled = entry(&usual, shared.digest, 1, State::Spooled);
    tell(&elsewhere, &spooled, Timestamp::now()).await;
    let erased = erase(&elsewhere, &store).await.unwrap();
    assert_eq!((erased.artifacts, erased.waiting), (0, vec![shared.digest]));
    // It looks for deletions before it tells anything.
    replica.record();
    until("the other is told", async || {
        seen(&elsewhere).await.len() == 1
    })
    .await;
    assert_eq!(replica.spool.left().artifacts, 1);
    replica.upload();
    until("it is uploaded", async || {
        store.has(&shared.digest).await.unwrap()
    })
    .await;
}

/// What had to wait goes with the same deletion later: by whomever, and although no line tells of it any more.
#[tokio::test]
async fn what_waited_goes_with_the_next_deletion() {
    let bucket = tempfile::tempdir().unwrap();
    let (store, catalog) = beside(&bucket);
    let artifacts = [0, 1].map(|seed| artifact(seed, 10_000));
    store.put_all(&artifacts).await.unwrap();
    let day: Timestamp = "2026-01-01T00:00:00Z".parse().unwrap();
    for (number, artifact) in (0..).zip(&artifacts) {
        let time = day + SignedDuration::from_mins(number);
        tell(&catalog, &stored(artifact, 1), time).await;
    }
    let erased = erase(&catalog, &store).await.unwrap();
    assert_eq!((erased.artifacts, erased.waiting.len()), (0, 2));
    let compacted = compact(&catalog).await;
    let left = (compacted.entries, compacted.hidden);
    assert_eq!((compacted.lines, left), (2, (0, 2)));

    settles(&bucket);
    // One of them was stored again meanwhile.
    let (back, gone) = (&artifacts[0], &artifacts[1]);
    let (again, elsewhere) = beside(&bucket);
    let one = std::slice::from_ref(back);
    assert_eq!(again.put_all(one).await.unwrap().written, 1);
    let erased = erase(&elsewhere, &again).await.unwrap();
    assert_eq!((erased.artifacts, erased.waiting), (1, vec![back.digest]));
    assert!(again.has(&back.digest).await.unwrap());
    assert!(!again.has(&gone.digest).await.unwrap());
    let usual = TenantId::default();
    let tombstone = elsewhere.index().tombstone(&usual, &gone.digest).await;
    assert_eq!(tombstone.unwrap().unwrap().reason, "a secret");
}

/// Lines that a later version wrote may refer to anything, also where they were read long ago.
#[tokio::test]
async fn what_cannot_be_read_keeps_the_files_of_a_trace() {
    let bucket = tempfile::tempdir().unwrap();
    let (store, catalog) = beside(&bucket);
    let alone = artifact(0, 10_000);
    store.put_all(std::slice::from_ref(&alone)).await.unwrap();
    tell(&catalog, &stored(&alone, 1), Timestamp::now()).await;
    let line = Bytes::from_static(b"{\"from\":\"later\"}\n");
    let long_ago = "2026-01-01T00:00:00Z".parse().unwrap();
    let key = put(&catalog, line, long_ago).await;
    settles(&bucket);
    for _ in 0..2 {
        let refused = erase(&catalog, &store).await.unwrap_err();
        assert!(
            matches!(&refused, CatalogError::Unreadable { key: of, lines: 1 } if *of == key),
            "{refused}"
        );
        assert!(store.has(&alone.digest).await.unwrap());
        assert!(seen(&catalog).await.is_empty(), "the trace is hidden");
    }
    catalog.bucket().delete(&key).await.unwrap();
    let erased = erase(&catalog, &store).await.unwrap();
    assert_eq!(erased.artifacts, 1);
    assert!(!store.has(&alone.digest).await.unwrap());
}

/// Where objects disappear whenever they are read, what they say is not known.
#[tokio::test]
async fn what_disappears_while_it_is_read_keeps_the_files_of_a_trace() {
    let bucket = tempfile::tempdir().unwrap();
    let opened = open(&StoreConfig::new(bucket.path().to_str().unwrap()));
    let (store, catalog) = (&opened.store, Catalog::open_temporary(&opened.store));
    let catalog = catalog.unwrap();
    let shared = artifact(0, 10_000);
    store.put_all(std::slice::from_ref(&shared)).await.unwrap();
    let now = Timestamp::now();
    tell(&catalog, &stored(&shared, 1), now).await;
    let other = tell(
        &catalog,
        &stored(&shared, 2),
        now - SignedDuration::from_secs(1),
    )
    .await;
    settles(&bucket);
    opened.faults.lose(other.as_str().into());
    let refused = erase(&catalog, store).await.unwrap_err();
    assert!(matches!(refused, CatalogError::Restless), "{refused}");
    assert!(store.has(&shared.digest).await.unwrap());
    opened.faults.heal();
    let erased = erase(&catalog, store).await.unwrap();
    assert_eq!((erased.artifacts, erased.waiting), (0, Vec::new()));
    assert!(store.has(&shared.digest).await.unwrap());
}

/// What refers to an artifact of a deleted trace and was only in a replica's journal then is hidden when it
/// comes, and the artifact goes with the next deletion of the trace.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_in_a_journal_is_deleted_by_the_next_deletion() {
    let (bucket, home) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let mut replica = Replica::start(&bucket, &home);
    let [alone, shared] = [0, 1].map(|seed| artifact(seed, 10_000));
    for (artifact, trace) in [(&alone, 1), (&shared, 1), (&shared, 2)] {
        let one = std::slice::from_ref(artifact);
        replica.opened.store.put_all(one).await.unwrap();
        replica.recorder.record(vec![stored(artifact, trace)]).await;
    }
    settles(&bucket);
    let (store, elsewhere) = beside(&bucket);
    let first = erase(&elsewhere, &store).await.unwrap();
    assert_eq!(first.artifacts, 0);
    replica.record();
    until("it is told", async || seen(&elsewhere).await.len() == 1).await;
    assert!(store.has(&alone.digest).await.unwrap());
    let again = erase(&elsewhere, &store).await.unwrap();
    assert_eq!(again.artifacts, 1);
    assert!(!store.has(&alone.digest).await.unwrap());
    assert!(
        store.has(&shared.digest).await.unwrap(),
        "another trace has it"
    );
}

/// However long ago it was put, what refers to an artifact keeps it where a trace is deleted.
#[tokio::test]
async fn what_was_put_hours_late_keeps_its_artifact() {
    let bucket = tempfile::tempdir().unwrap();
    let (store, catalog) = beside(&bucket);
    let shared = artifact(0, 10_000);
    store.put_all(std::slice::from_ref(&shared)).await.unwrap();
    settles(&bucket);
    let now = Timestamp::now();
    tell(&catalog, &stored(&shared, 1), now).await;
    assert_eq!(seen(&catalog).await.len(), 1);
    // By a replica whose clock is wrong.
    let wrong = now - SignedDuration::from_hours(30);
    tell(&catalog, &stored(&shared, 2), wrong).await;
    let erased = erase(&catalog, &store).await.unwrap();
    assert_eq!(erased.artifacts, 0);
    assert!(store.has(&shared.digest).await.unwrap());
}

/// A process goes on with deletions that are due in so many hours.
async fn finish(replica: &Replica, hours: i64) {
    let now = Timestamp::now() + SignedDuration::from_hours(hours);
    let is_more = replica.recorder.finish(&replica.opened.store, now).await;
    assert!(!is_more.unwrap());
}

/// Nobody has to ask for it: any process takes what had to wait, also one that never heard of the deletion, when it
/// is time. What was stored again meanwhile waits anew.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_waited_goes_by_itself() {
    let (bucket, home) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let (store, catalog) = beside(&bucket);
    let [gone, back] = [0, 1].map(|seed| artifact(seed, 10_000));
    for artifact in [&gone, &back] {
        store.put_all(std::slice::from_ref(artifact)).await.unwrap();
        let number = i64::from(artifact.digest == back.digest);
        let time = Timestamp::now() - SignedDuration::from_mins(number);
        tell(&catalog, &stored(artifact, 1), time).await;
    }
    let erased = erase(&catalog, &store).await.unwrap();
    assert_eq!((erased.artifacts, erased.waiting.len()), (0, 2));
    stored_in(&bucket.path().join(key(&back).as_ref()), 30);
    let has = async || {
        let [gone, back] = [&gone, &back].map(|artifact| store.has(&artifact.digest));
        (gone.await.unwrap(), back.await.unwrap())
    };
    let replica = Replica::start(&bucket, &home);
    finish(&replica, 40).await;
    assert_eq!(has().await, (true, true), "it is too early");
    finish(&replica, 55).await;
    assert_eq!(has().await, (false, true));
    assert_eq!(replica.counts.catalogued().finished, 0);
    // Its index is here by now, so it does not leave anything to others.
    finish(&replica, 30 + 49).await;
    assert_eq!(has().await, (false, false));
    assert!(unfinished(&catalog).await.is_empty());
    assert_eq!(replica.counts.catalogued().finished, 1);
    let usual = TenantId::default();
    seen(&catalog).await;
    let tombstone = catalog.index().tombstone(&usual, &back.digest).await;
    assert_eq!(tombstone.unwrap().unwrap().reason, "a secret");
}

/// What the store did not let go is tried again soon, also where other files of the trace have to wait for days.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_the_store_keeps_does_not_wait_for_what_has_to() {
    let (bucket, home) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let opened = open(&StoreConfig::new(bucket.path().to_str().unwrap()));
    let catalog = Catalog::open_temporary(&opened.store).unwrap();
    let [old, new] = [0, 1].map(|seed| artifact(seed, 10_000));
    let store = async |artifact: &Artifact| {
        let one = std::slice::from_ref(artifact);
        opened.store.put_all(one).await.unwrap();
    };
    store(&old).await;
    settles(&bucket);
    store(&new).await;
    let lines = [&old, &new].map(|artifact| stored(artifact, 1));
    let lines = lines.map(|entry| format!("{}\n", serde_json::to_string(&entry).unwrap()));
    put(&catalog, lines.concat().into(), Timestamp::now()).await;
    opened.faults.keep(key(&old));
    assert!(erase(&catalog, &opened.store).await.is_err());
    opened.faults.heal();
    let has = async || {
        let [old, new] = [&old, &new].map(|artifact| opened.store.has(&artifact.digest));
        (old.await.unwrap(), new.await.unwrap())
    };
    assert_eq!(has().await, (true, true));

    let replica = Replica::start(&bucket, &home);
    // It has no index yet, and leaves it to others for two hours more.
    finish(&replica, 4).await;
    assert_eq!(has().await, (false, true));
    assert_eq!(replica.counts.catalogued().finished, 0);
    finish(&replica, 55).await;
    assert_eq!(has().await, (false, false));
    assert!(unfinished(&catalog).await.is_empty());
    assert_eq!(replica.counts.catalogued().finished, 1);
}

/// Several do no harm, and who comes late finds nothing to do.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn several_finish_a_deletion_at_once() {
    let homes = [0, 1, 2].map(|_| tempfile::tempdir().unwrap());
    let bucket = tempfile::tempdir().unwrap();
    let (store, catalog) = beside(&bucket);
    let (alone, shared) = (artifact(0, 10_000), artifact(1, 10_000));
    let both = [alone.clone(), shared.clone()];
    store.put_all(&both).await.unwrap();
    let lines = [stored(&alone, 1), stored(&shared, 1), stored(&shared, 2)];
    let lines = lines.map(|entry| format!("{}\n", serde_json::to_string(&entry).unwrap()));
    put(&catalog, lines.concat().into(), Timestamp::now()).await;
    let erased = erase(&catalog, &store).await.unwrap();
    assert_eq!(erased.waiting, [alone.digest]);
    let replicas = homes.each_ref().map(|home| Replica::start(&bucket, home));
    futures::future::join_all(replicas.iter().map(|replica| finish(replica, 55))).await;
    finish(&replicas[0], 60).await;
    assert!(!store.has(&alone.digest).await.unwrap());
    assert!(store.has(&shared.digest).await.unwrap());
    assert!(unfinished(&catalog).await.is_empty());
    assert_eq!(seen(&catalog).await.len(), 1);
}

/// It is the deletion that was asked for: what refers to a file since then keeps it, in that trace, too.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_came_after_a_deletion_keeps_its_file() {
    let (bucket, home) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let (store, catalog) = beside(&bucket);
    let [again, other] = [0, 1].map(|seed| artifact(seed, 10_000));
    let both = [again.clone(), other.clone()];
    store.put_all(&both).await.unwrap();
    let before = [&again, &other].map(|artifact| stored(artifact, 1));
    let before = before.map(|entry| format!("{}\n", serde_json::to_string(&entry).unwrap()));
    put(&catalog, before.concat().into(), Timestamp::now()).await;
    let erased = erase(&catalog, &store).await.unwrap();
    assert_eq!(erased.waiting.len(), 2);
    assert!(seen(&catalog).await.is_empty());
    let after = [stored(&again, 1), stored(&other, 2)];
    let lines = after.map(|entry| format!("{}\n", serde_json::to_string(&entry).unwrap()));
    put(&catalog, lines.concat().into(), Timestamp::now()).await;
    assert_eq!(seen(&catalog).await.len(), 2);

    let replica = Replica::start(&bucket, &home);
    finish(&replica, 55).await;
    for artifact in &both {
        assert!(store.has(&artifact.digest).await.unwrap());
    }
    assert_eq!(seen(&catalog).await.len(), 2, "nothing more is hidden");
    assert!(unfinished(&catalog).await.is_empty());
}

/// What only a journal knew of when the trace was deleted is hidden when it comes, and its file goes with the rest.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_in_a_journal_goes_by_itself() {
    let (bucket, home) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let (store, catalog) = beside(&bucket);
    let late = artifact(0, 10_000);
    store.put_all(std::slice::from_ref(&late)).await.unwrap();
    let entry = stored(&late, 1);
    let erased = erase(&catalog, &store).await.unwrap();
    assert_eq!((erased.artifacts, erased.waiting), (0, Vec::new()));
    tell(&catalog, &entry, Timestamp::now()).await;
    assert!(seen(&catalog).await.is_empty(), "it is hidden");
    let replica = Replica::start(&bucket, &home);
    finish(&replica, 55).await;
    assert!(!store.has(&late.digest).await.unwrap());
    assert!(unfinished(&catalog).await.is_empty());
}

/// The same where the lines that say so were merged before: to whoever comes then they still say which files go. What
/// the sender said is not in them any more.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_in_a_journal_goes_also_where_lines_are_merged() {
    let (bucket, home) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let (store, catalog) = beside(&bucket);
    let late = [0, 1].map(|seed| artifact(seed, 10_000));
    store.put_all(&late).await.unwrap();
    let entries = late.each_ref().map(|artifact| stored(artifact, 1));
    let erased = erase(&catalog, &store).await.unwrap();
    assert_eq!((erased.artifacts, erased.waiting), (0, Vec::new()));
    let day: Timestamp = "2026-01-01T00:00:00Z".parse().unwrap();
    for (number, entry) in (0..).zip(&entries) {
        tell(&catalog, entry, day + SignedDuration::from_mins(number)).await;
    }
    let compacted = compact(&catalog).await;
    let left = (compacted.entries, compacted.hidden);
    assert_eq!((compacted.lines, left), (2, (0, 2)));
    for artifact in &late {
        let lines = lines_about(&catalog, &artifact.digest).await;
        let said = |line: &Entry| line.service.clone() + &line.attribute + &line.content_type;
        let said: Vec<_> = lines.iter().map(said).collect();
        assert_eq!(said, [""]);
    }

    let replica = Replica::start(&bucket, &home);
    finish(&replica, 55).await;
    for artifact in &late {
        assert!(!store.has(&artifact.digest).await.unwrap());
    }
    assert!(unfinished(&catalog).await.is_empty());
    assert!(
        seen(&beside(&bucket).1).await.is_empty(),
        "nothing is shown"
    );
}

/// A spool gave a file to the store after its trace was deleted. Who comes when the lines that say so were merged does
/// not take it for one that came again.
#[tokio::test]
async fn what_came_late_is_kept_back_also_where_lines_are_merged() {
    let bucket = tempfile::tempdir().unwrap();
    let (store, catalog) = beside(&bucket);
    let late = artifact(0, 10_000);
    let spooled = entry(&TenantId::default(), late.digest, 1, State::Spooled);
    let day: Timestamp = "2026-01-01T00:00:00Z".parse().unwrap();
    tell(&catalog, &spooled, day).await;
    let erased = erase(&catalog, &store).await.unwrap();
    assert_eq!(erased.waiting, [late.digest]);
    store.put_all(std::slice::from_ref(&late)).await.unwrap();
    let uploaded = Entry {
        settled: Some(Timestamp::now()),
        state: State::Stored,
        ..spooled
    };
    tell(&catalog, &uploaded, day + SignedDuration::from_mins(1)).await;
    let compacted = compact(&catalog).await;
    let left = (compacted.entries, compacted.hidden);
    assert_eq!((compacted.lines, left), (2, (0, 1)));

    let (again, new) = beside(&bucket);
    let withheld = Withholding::of(new).among(&again, vec![late.digest]).await;
    let withheld = withheld.unwrap();
    let [(digest, tombstone)] = &withheld[..] else {
        panic!("{withheld:?}");
    };
    assert_eq!(*digest, late.digest);
    assert_eq!(tombstone.reason, "a secret");
}

/// A process that runs does it, a few seconds after it began.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_due_goes_while_a_process_runs() {
    let (bucket, home) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let (store, catalog) = beside(&bucket);
    let alone = artifact(0, 10_000);
    store.put_all(std::slice::from_ref(&alone)).await.unwrap();
    tell(&catalog, &stored(&alone, 1), Timestamp::now()).await;
    erase(&catalog, &store).await.unwrap();
    settles(&bucket);
    is_due(&catalog, None).await;
    let mut replica = Replica::start(&bucket, &home);
    replica.record();
    until("it is gone", async || {
        !store.has(&alone.digest).await.unwrap()
    })
    .await;
}
