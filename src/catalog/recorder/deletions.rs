use std::collections::BTreeSet;
use std::mem;

use bytes::Bytes;
use jiff::{SignedDuration, Timestamp};
use slimspan_artifact::Digest;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::super::erase::BREAKS_OFF;
use super::super::layout;
use super::super::tombstone::{self, Deleted, Tombstone, to_line};
use super::Shared;
use crate::storage::{BucketError, Store};

/// How often it is looked for what others deleted.
const POLL: std::time::Duration = std::time::Duration::from_secs(5);

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
    due: Instant,
    /// Artifacts that were uploaded while they were deleted: the store may have them again.
    late: Vec<Tombstone>,
}

impl Deletions {
    pub(super) fn new(store: &Store) -> Self {
        let now = Timestamp::now();
        let first = store.spool().and_then(|spool| spool.kept_first());
        Self {
            looked: first.map_or(now, |first| first.min(now)),
            seen: BTreeSet::new(),
            due: Instant::now() + POLL,
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
            shared.warn(&format!(
                "what others delete is not noticed, and counts as stored for a while: {error}"
            ));
        }
        self.due = Instant::now() + POLL;
    }

    async fn notice(&mut self, shared: &Shared, store: &Store) -> Result<(), BucketError> {
        let (now, begun) = (Timestamp::now(), std::time::Instant::now());
        let since = self.looked - RECENT;
        let after = format!("{}/{}", layout::TOMBSTONES, layout::stamp(since));
        let listed = shared.bucket.list(layout::TOMBSTONES, Some(&after)).await?;
        let keys: BTreeSet<String> = listed.into_iter().map(|object| object.key).collect();
        for key in keys.difference(&self.seen) {
            let body = shared.bucket.get(key).await?.unwrap_or_default();
            let (tombstones, _) = tombstone::from_lines(&body);
            for tombstone in tombstones {
                let late = forget(shared, store, &tombstone);
                self.late.extend(late);
            }
        }
        self.seen = keys;
        self.looked = now;
        let Some(spool) = store.spool() else {
            return Ok(());
        };
        let mut late = mem::take(&mut self.late);
        late.sort_by_key(|of| (of.tenant.clone(), of.deleted));
        late.dedup_by_key(|of| (of.tenant.clone(), of.deleted));
        let mut again = Vec::new();
        for tombstone in late {
            let Deleted::Artifact { digest } = tombstone.deleted else {
                continue;
            };
            match spool.is_back(&tombstone.tenant, &digest, tombstone.time) {
                None => self.late.push(tombstone),
                // It came once more, and is there for that.
                Some(true) => {}
                Some(false) => again.push((digest, tombstone)),
            }
        }
        spool.looked(begun);
        let mut outcome = Ok(());
        for (digest, tombstone) in again {
            let time = Timestamp::now();
            let told = Tombstone {
                id: super::super::ids::EntryId::random(),
                time,
                ..tombstone.clone()
            };
            if let Err(error) = delete_again(shared, store, &told, &digest).await {
                self.late.push(tombstone);
                outcome = Err(error);
            }
        }
        outcome
    }
}

/// Deletes what was uploaded while it was deleted, and tells it before and after, as whoever deleted it did.
async fn delete_again(
    shared: &Shared,
    store: &Store,
    told: &Tombstone,
    digest: &Digest,
) -> Result<(), BucketError> {
    let line = Bytes::from(to_line(told));
    // Where this process ends meanwhile, others go on with it.
    let until = told.time + BREAKS_OFF;
    let first = layout::unfinished(told.time, shared.replica, until);
    shared.bucket.put(&first, line.clone()).await?;
    store
        .of_tenant(&told.tenant)
        .delete(digest, told.time)
        .await?;
    let again = layout::tombstones(Timestamp::now(), shared.replica);
    shared.bucket.put(&again, line).await?;
    shared.bucket.delete(&first).await
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
    use std::sync::Arc;

    use slimspan_artifact::{Artifact, Digest};

    use super::super::super::config::CatalogConfig;
    use super::super::super::ids::EntryId;
    use super::super::Recorder;
    use super::*;
    use crate::storage::StoreConfig;

    /// What is named hours before it is there is noticed still: the clock that names it may be wrong, and for as
    /// long as nothing could be listed nobody has looked.
    #[tokio::test]
    async fn it_is_looked_three_hours_back_from_the_last_success() {
        let store = Store::open(&StoreConfig::new("memory://")).unwrap();
        let config = CatalogConfig::default();
        let recorder = Recorder::open(&config, &store, Arc::default());
        let bytes = Bytes::from_static(b"deleted");
        let artifact = Artifact {
            digest: Digest::of(&bytes),
            media_type: "image/png".to_owned(),
            bytes,
        };
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
            let mut deletions = Deletions::new(&store);
            deletions.looked = Timestamp::now() - looked;
            deletions.due = Instant::now();
            let time = Timestamp::now() - named;
            let told = Tombstone {
                id: EntryId::random(),
                time,
                tenant: "default".parse().unwrap(),
                deleted: Deleted::Artifact {
                    digest: artifact.digest,
                },
                reason: String::new(),
                up_to: None,
            };
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
