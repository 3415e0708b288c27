use std::cmp::Reverse;
use std::collections::BTreeSet;
use std::mem;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use slimspan_artifact::Digest;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::super::erase::BREAKS_OFF;
use super::super::ids::EntryId;
use super::super::layout;
use super::super::tombstone::{self, Deleted, Tombstone, to_line};
use super::Shared;
use super::warnings::Matter;
use crate::storage::{BucketError, Store};

/// How often it is looked for what others deleted, at least.
const POLL: Duration = Duration::from_secs(5);

/// How often at most, however often new entries are put: nothing is put meanwhile.
const SOONEST: Duration = Duration::from_secs(1);

/// How often it is looked again where objects are merged meanwhile.
const LOOKS: usize = 10;

/// How far back before the last time that it worked: the name of an object is of the clock of whoever
/// deleted something, and older than the object is.
const RECENT: SignedDuration = SignedDuration::from_hours(3);

/// What was deleted by whomever since this process began, and since the first of what waits in its spool was
/// kept. An artifact that this process stored does not count as stored then, so it is stored again when it
/// comes again; and one that waits in the spool is given up.
pub(super) struct Deletions {
    /// When it worked last; at first, since when it matters.
    looked: Timestamp,
    seen: BTreeSet<String>,
    /// How often it is looked.
    poll: Duration,
    due: Instant,
    /// Artifacts that were uploaded while they were deleted: the store may have them again.
    late: Vec<Late>,
}

/// An artifact that was uploaded while it was deleted.
struct Late {
    /// What tells of that.
    deletion: Tombstone,
    /// What is to tell that it is deleted once more, as long as that could not be told, and the object for it.
    untold: Option<(String, Tombstone)>,
}

impl Deletions {
    /// Looks as often as new entries are put, where that is not too often.
    pub(super) fn new(store: &Store, interval: Duration) -> Self {
        let poll = interval.clamp(SOONEST, POLL);
        let now = Timestamp::now();
        let first = store.spool().and_then(|spool| spool.kept_first());
        Self {
            looked: first.map_or(now, |first| first.min(now)),
            seen: BTreeSet::new(),
            poll,
            due: Instant::now() + poll,
            late: Vec::new(),
        }
    }

    pub(super) fn due(&self) -> Instant {
        self.due
    }

    /// Looks for the first time, before what an earlier process left in the spool is uploaded.
    pub(super) async fn begin(&mut self, shared: &Shared, store: &Store, end: &CancellationToken) {
        let Some(spool) = store.spool() else { return };
        if spool.left().artifacts > 0 {
            self.due = Instant::now();
            tokio::select! {
                () = self.look(shared, store) => {}
                () = end.cancelled() => {}
            }
        }
        spool.release();
    }

    /// Looks, if it is time.
    pub(super) async fn look(&mut self, shared: &Shared, store: &Store) {
        if Instant::now() < self.due {
            return;
        }
        if let Err(error) = self.notice(shared, store).await {
            let what = format!(
                "what others delete is not noticed, and counts as stored for a while: {error}"
            );
            shared.warn(Matter::Deletions, &what);
        }
        self.due = Instant::now() + self.poll;
    }

    async fn notice(&mut self, shared: &Shared, store: &Store) -> Result<(), BucketError> {
        let (now, begun) = (Timestamp::now(), std::time::Instant::now());
        let since = self.looked - RECENT;
        let after = format!("{}/{}", layout::TOMBSTONES, layout::stamp(since));
        let mut looks = 0;
        loop {
            let listed = shared.bucket.list(layout::TOMBSTONES, Some(&after)).await?;
            let keys: BTreeSet<String> = listed.into_iter().map(|object| object.key).collect();
            let mut has_vanished = false;
            for key in &keys {
                if self.seen.contains(key) {
                    continue;
                }
                let Some(body) = shared.bucket.get(key).await? else {
                    // It was merged since, into one that has another name and may be as old.
                    has_vanished = true;
                    continue;
                };
                let (tombstones, _) = tombstone::from_lines(&body);
                for tombstone in tombstones {
                    let late = forget(shared, store, &tombstone).into_iter();
                    self.late.extend(late.map(|deletion| Late {
                        deletion,
                        untold: None,
                    }));
                }
                self.seen.insert(key.clone());
            }
            if !has_vanished {
                self.seen = keys;
                self.looked = now;
                break;
            }
            looks += 1;
            if looks == LOOKS {
                // The next look is at as much as this one.
                return Ok(());
            }
        }
        let Some(spool) = store.spool() else {
            return Ok(());
        };
        let mut late = mem::take(&mut self.late);
        // Of several deletions the last one counts: what came between them was deleted, too.
        late.sort_by_key(|Late { deletion: of, .. }| {
            (of.tenant.clone(), of.deleted, Reverse(of.time))
        });
        late.dedup_by_key(|Late { deletion: of, .. }| (of.tenant.clone(), of.deleted));
        // Before it is looked what came once more: what comes from now on stays.
        let time = Timestamp::now();
        let mut again = Vec::new();
        for late in late {
            let Deleted::Artifact { digest } = late.deletion.deleted else {
                continue;
            };
            match spool.is_back(&late.deletion.tenant, &digest, late.deletion.time) {
                // What is uploaded now is of a later time than what was to be told.
                None => self.late.push(Late {
                    untold: None,
                    ..late
                }),
                // It came once more, and is there for that.
                Some(true) => {}
                Some(false) => again.push((digest, late)),
            }
        }
        spool.looked(begun);
        let mut outcome = Ok(());
        for (digest, Late { deletion, untold }) in again {
            let (first, told) = untold.unwrap_or_else(|| once_more(shared, &deletion, time));
            let put = shared.bucket.put(&first, to_line(&told).into()).await;
            if let Err(error) = put {
                // With a later time it would take what others store, and are told to be stored, meanwhile.
                self.late.push(Late {
                    deletion,
                    untold: Some((first, told)),
                });
                outcome = Err(error);
                continue;
            }
            // From here on it is as any other deletion: where it breaks off, others go on with it. To tell another
            // one at each look would take what came since the last.
            if let Err(error) = delete_again(shared, store, &told, &first, &digest).await {
                let what = format!(
                    "{digest} of the tenant {} was uploaded while it was deleted, and is not deleted once more \
                     yet: a slimspan that may delete goes on with it in an hour: {error}",
                    told.tenant
                );
                shared.warn(Matter::Deletions, &what);
            }
        }
        outcome
    }
}

/// What tells that it is deleted once more, and the object for that: where this process ends meanwhile, others go on
/// with it.
fn once_more(shared: &Shared, deletion: &Tombstone, time: Timestamp) -> (String, Tombstone) {
    let first = layout::unfinished(time, shared.replica, time + BREAKS_OFF);
    let told = Tombstone {
        id: EntryId::random(),
        time,
        ..deletion.clone()
    };
    (first, told)
}

/// Deletes what was uploaded while it was deleted, and tells it after that, too, as whoever deleted it did.
async fn delete_again(
    shared: &Shared,
    store: &Store,
    told: &Tombstone,
    first: &str,
    digest: &Digest,
) -> Result<(), BucketError> {
    store
        .of_tenant(&told.tenant)
        .delete(digest, told.time)
        .await?;
    let again = layout::tombstones(Timestamp::now(), shared.replica);
    shared.bucket.put(&again, to_line(told).into()).await?;
    shared.bucket.delete(first).await
}

/// Forgets what this process knows of what was deleted. Returns what may be in the store again.
fn forget(shared: &Shared, store: &Store, tombstone: &Tombstone) -> Vec<Tombstone> {
    let of_tenant = store.of_tenant(&tombstone.tenant);
    let digest = match &tombstone.deleted {
        Deleted::Artifact { digest } => {
            of_tenant.forget(digest);
            Some(digest)
        }
        Deleted::Tenant => {
            of_tenant.forget_all();
            None
        }
        // Its artifacts that are gone have tombstones of their own.
        Deleted::Trace { .. } => return Vec::new(),
    };
    if tombstone.up_to.is_some() {
        // It expired in the store, and what waits is needed.
        return Vec::new();
    }
    let given_up = of_tenant.give_up(digest, tombstone.time);
    shared.counts.catalog.given_up(given_up.artifacts);
    let late = given_up.late.into_iter().map(|digest| Tombstone {
        deleted: Deleted::Artifact { digest },
        ..tombstone.clone()
    });
    late.collect()
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use std::os::unix::fs::symlink;
    use std::path::PathBuf;
    use std::sync::Arc;

    use bytes::Bytes;
    use futures::FutureExt as _;
    use slimspan_artifact::Artifact;
    use tempfile::TempDir;

    use super::super::super::config::CatalogConfig;
    use super::super::Recorder;
    use super::*;
    use crate::catalog::{Catalog, Compaction};
    use crate::storage::spool::config::SpoolConfig;
    use crate::storage::{Spool, StoreConfig, meddled};

    fn artifact() -> Artifact {
        let bytes = Bytes::from_static(b"deleted");
        Artifact {
            digest: Digest::of(&bytes),
            media_type: "image/png".to_owned(),
            bytes,
        }
    }

    fn deletion(of: &Artifact, time: Timestamp) -> Tombstone {
        Tombstone {
            id: EntryId::random(),
            time,
            tenant: "default".parse().unwrap(),
            deleted: Deleted::Artifact { digest: of.digest },
            reason: String::new(),
            up_to: None,
        }
    }

    /// A replica with a spool, and with an artifact that it uploaded while that was deleted.
    struct Uploaded {
        home: TempDir,
        store: Store,
        recorder: Recorder,
        deletions: Deletions,
        artifact: Artifact,
    }

    impl Uploaded {
        fn new() -> Self {
            let home = tempfile::tempdir().unwrap();
            let [bucket, spool, directory] =
                ["bucket", "spool", "catalog"].map(|name| home.path().join(name));
            std::fs::create_dir(&bucket).unwrap();
            let spool = SpoolConfig {
                directory: spool,
                ..SpoolConfig::default()
            };
            let store = Store::open(&StoreConfig::new(bucket.to_str().unwrap())).unwrap();
            let spool = Spool::open(&spool, "spool".to_owned(), &store).unwrap();
            let store = store.with_spool(spool);
            let config = CatalogConfig {
                directory,
                ..CatalogConfig::default()
            };
            let recorder = Recorder::open(&config, &store, Arc::default());
            let mut deletions = Deletions::new(&store, POLL);
            let artifact = artifact();
            deletions.late.push(Late {
                deletion: deletion(&artifact, Timestamp::now()),
                untold: None,
            });
            Self {
                home,
                store,
                recorder,
                deletions,
                artifact,
            }
        }

        fn path(&self, key: &str) -> PathBuf {
            self.home.path().join("bucket").join(key)
        }

        async fn look(&mut self) {
            self.deletions.due = Instant::now();
            let shared = &self.recorder.shared;
            self.deletions.look(shared, &self.store).await;
        }

        /// The names of the objects with deletions.
        async fn told(&self) -> Vec<String> {
            let bucket = &self.recorder.shared.bucket;
            let listed = bucket.list(layout::TOMBSTONES, None).await.unwrap();
            listed.into_iter().map(|object| object.key).collect()
        }
    }

    /// Where the store lets nothing go, those who may go on with the one deletion that was told. Another one at each
    /// look would be later than what others stored meanwhile.
    #[tokio::test]
    async fn what_cannot_be_deleted_once_more_is_told_once() {
        let mut uploaded = Uploaded::new();
        // A folder is not deleted as a file is.
        let digest = uploaded.artifact.digest.to_string();
        let path = uploaded.path(&format!("default/sha256/{}/{digest}", &digest[..2]));
        std::fs::create_dir_all(&path).unwrap();
        uploaded.look().await;
        let told = uploaded.told().await;
        assert_eq!(told.len(), 1, "{told:?}");
        let is_unfinished = |key: &String| layout::is_unfinished(key).is_some();
        assert!(told.iter().all(is_unfinished), "{told:?}");
        for _ in 0..3 {
            uploaded.look().await;
            assert_eq!(uploaded.told().await, told);
        }
        assert!(path.is_dir());
    }

    /// What could not be told is told with the time at which it was to be: what came meanwhile stays.
    #[tokio::test]
    async fn what_could_not_be_told_keeps_its_time() {
        let mut uploaded = Uploaded::new();
        let one = std::slice::from_ref(&uploaded.artifact);
        uploaded.store.put_all(one).await.unwrap();
        // Nothing can be put there.
        let tombstones = uploaded.path(layout::TOMBSTONES);
        std::fs::create_dir_all(tombstones.parent().unwrap()).unwrap();
        symlink(uploaded.path("nowhere"), &tombstones).unwrap();
        let mut times = BTreeSet::new();
        for _ in 0..3 {
            uploaded.look().await;
            assert_eq!(uploaded.deletions.late.len(), 1);
            let late = uploaded.deletions.late.iter();
            times.extend(late.map(|late| late.untold.as_ref().unwrap().1.time));
        }
        assert_eq!(times.len(), 1, "{times:?}");
        let digest = uploaded.artifact.digest;
        assert!(uploaded.store.has(&digest).await.unwrap());

        std::fs::remove_file(&tombstones).unwrap();
        uploaded.look().await;
        assert!(uploaded.deletions.late.is_empty());
        assert!(!uploaded.store.has(&digest).await.unwrap());
        let told = uploaded.told().await;
        assert_eq!(told.len(), 1, "{told:?}");
        let key = told.first().unwrap();
        assert_eq!(layout::is_unfinished(key), None);
        let bucket = &uploaded.recorder.shared.bucket;
        let body = bucket.get(key).await.unwrap().unwrap();
        let (tombstones, _) = tombstone::from_lines(&body);
        let micros = |time: &Timestamp| time.as_microsecond();
        let told: Vec<_> = tombstones.iter().map(|of| micros(&of.time)).collect();
        assert_eq!(told, times.iter().map(micros).collect::<Vec<_>>());
    }

    /// Who could look at nothing for more than a day looks while deletions of that time are merged: the objects that
    /// were listed are gone, and at the next look the one that they became is too old to be listed.
    #[tokio::test]
    async fn what_is_merged_while_it_is_looked_at_is_noticed() {
        let home = tempfile::tempdir().unwrap();
        let [bucket, directory] = ["bucket", "catalog"].map(|name| home.path().join(name));
        std::fs::create_dir(&bucket).unwrap();
        let config = StoreConfig::new(bucket.to_str().unwrap());
        let other = Store::open(&config).unwrap();
        let artifact = artifact();
        let hours = SignedDuration::from_hours;
        for before in [30, 29] {
            let time = Timestamp::now() - hours(before);
            let told = deletion(&artifact, time);
            let key = layout::tombstones(time, 1);
            let bucket = other.bucket();
            bucket.put(&key, to_line(&told).into()).await.unwrap();
        }
        let merges = async move {
            let catalog = Catalog::open_temporary(&other).unwrap();
            let compaction = Compaction {
                grace: Duration::ZERO,
                ..Compaction::default()
            };
            let compacted = catalog.compact(compaction, |_| ()).await.unwrap();
            assert_eq!(compacted.deletions, 2);
        };
        let store = meddled::at_listing(&config, layout::TOMBSTONES, merges.boxed()).unwrap();
        let config = CatalogConfig {
            directory,
            ..CatalogConfig::default()
        };
        let recorder = Recorder::open(&config, &store, Arc::default());
        let one = std::slice::from_ref(&artifact);
        let stores = async || store.put_all(one).await.unwrap().written == 1;
        assert!(stores().await);
        assert!(!stores().await, "it counts as stored");
        let mut deletions = Deletions::new(&store, POLL);
        deletions.looked = Timestamp::now() - hours(31);
        deletions.due = Instant::now();
        deletions.look(&recorder.shared, &store).await;
        assert_eq!(deletions.seen.len(), 1, "{:?}", deletions.seen);
        assert!(stores().await, "it is noticed that it was deleted");
    }

    /// What is named hours before it is there is noticed still: the clock that names it may be wrong, and for as
    /// long as nothing could be listed nobody has looked.
    #[tokio::test]
    async fn it_is_looked_three_hours_back_from_the_last_success() {
        let store = Store::open(&StoreConfig::new("memory://")).unwrap();
        let config = CatalogConfig::default();
        let recorder = Recorder::open(&config, &store, Arc::default());
        let artifact = artifact();
        let one = std::slice::from_ref(&artifact);
        let put_again = async || store.put_all(one).await.unwrap().written == 1;
        let hours = SignedDuration::from_hours;
        for (looked, named, is_noticed) in [
            // With a wrong clock.
            (hours(0), SignedDuration::from_mins(170), true),
            (hours(0), hours(4), false),
            // After an hour, and five, in which the bucket was away.
            (hours(1), SignedDuration::from_mins(230), true),
            (hours(5), hours(7), true),
        ] {
            assert!(put_again().await);
            assert!(!put_again().await, "it counts as stored");
            let mut deletions = Deletions::new(&store, POLL);
            deletions.looked = Timestamp::now() - looked;
            deletions.due = Instant::now();
            let time = Timestamp::now() - named;
            let told = deletion(&artifact, time);
            let key = layout::tombstones(time, 1);
            let bucket = &recorder.shared.bucket;
            bucket.put(&key, to_line(&told).into()).await.unwrap();
            deletions.look(&recorder.shared, &store).await;
            let of_tenant = store.of_tenant(&told.tenant);
            assert_eq!(put_again().await, is_noticed, "{looked} {named}");
            bucket.delete(&key).await.unwrap();
            of_tenant.forget(&artifact.digest);
        }
    }
}
