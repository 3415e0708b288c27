//! What is deleted on request: the bytes go, and a tombstone says why.
//!
//! Until a deletion has come to its end, the name of the object with its tombstones says so, and when somebody is
//! to go on with it. So whatever keeps it from its end, that its process is killed, that the store does not let
//! something go, or that files have to wait, the same is done about it: see [`unfinished`].

mod of_everybody;
mod of_trace;
mod unfinished;

use std::future::ready;
use std::mem;

use bytes::Bytes;
use futures::{StreamExt as _, TryStreamExt as _, stream};
use jiff::{SignedDuration, Timestamp};
use slimspan_artifact::Digest;

use super::error::CatalogError;
use super::follower::{Catalog, Reach};
use super::ids::EntryId;
use super::layout;
use super::tombstone::{Deleted, Tombstone, to_line};
use crate::storage::{BucketError, Store};
use crate::tenant::TenantId;
pub(super) use unfinished::{Outcome, unfinished};

/// Artifacts that are deleted at a time.
const CONCURRENT: usize = 16;

/// What is carried out for longer has broken off: others go on with it.
pub(super) const BREAKS_OFF: SignedDuration = SignedDuration::from_hours(1);

/// What was deleted.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Erased {
    /// What tells of it: that which was asked for first, then one for each artifact that goes with a trace.
    pub tombstones: Vec<Tombstone>,
    /// Artifacts whose bytes are gone by this.
    pub artifacts: usize,
    /// Artifacts that were not there: they were gone before, or never came. Who asks for one is told the same.
    pub absent: usize,
    /// Artifacts of a trace that stay for now: something else may refer to them that is not in the catalog yet.
    pub waiting: Vec<Digest>,
    /// When they go, if nothing else does refer to them or stores them again: a process that runs takes them, and
    /// so does the same deletion.
    pub until: Option<Timestamp>,
}

/// How far a deletion has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Erasing {
    /// So many artifacts are to go, as far as they may.
    Begins(u64),
    /// It is known of one more whether it is gone.
    Looked,
}

/// What was said to be deleted.
struct Announced {
    tombstones: Vec<Tombstone>,
    /// The object that says so.
    key: String,
    lines: Bytes,
}

/// What became of an artifact.
enum Fate {
    Gone,
    /// It was gone before, or was never there.
    Absent,
    /// It came again since it was deleted.
    Stays,
    /// It stays until then.
    Waits(Digest, Timestamp),
}

impl Catalog {
    /// Deletes an artifact, a trace, or all of a tenant from `store`, and says so to every replica. Where it
    /// breaks off, a process that runs finishes it, and so does doing it again.
    ///
    /// Of a trace, artifacts that something else refers to stay, and so do those to which something else may
    /// refer. What refers to an artifact that comes again later is not deleted with it.
    pub async fn erase(
        &self,
        store: &Store,
        tenant: &TenantId,
        deleted: Deleted,
        reason: &str,
    ) -> Result<Erased, CatalogError> {
        let told = |_| {};
        self.erase_telling(store, tenant, deleted, reason, &told)
            .await
    }

    /// The same, and tells how far it has come.
    pub async fn erase_telling(
        &self,
        store: &Store,
        tenant: &TenantId,
        deleted: Deleted,
        reason: &str,
        told: &impl Fn(Erasing),
    ) -> Result<Erased, CatalogError> {
        if let Deleted::Trace { trace } = deleted {
            let erasing = self.erase_trace(store, tenant, trace, reason, told);
            return erasing.await;
        }
        self.sync(Reach::Back).await?;
        let tombstone = Tombstone {
            id: EntryId::random(),
            time: Timestamp::now(),
            tenant: tenant.clone(),
            deleted,
            reason: reason.to_owned(),
            up_to: None,
        };
        let announced = self.announce(vec![tombstone.clone()]).await?;
        // After it was said, and by the time that was said: what a listing that takes minutes does not show,
        // because it came meanwhile, is not hidden either.
        let artifacts = self.artifacts_of(&tombstone).await?;
        let of_tenant = store.of_tenant(tenant);
        let is_absent = match deleted {
            Deleted::Artifact { digest } => is_absent(&of_tenant, &digest).await,
            // They were listed.
            _ => false,
        };
        let remove = move |digest| delete(of_tenant.clone(), digest, tombstone.time);
        let mut erased = self
            .remove(announced, artifacts, remove, None, told)
            .await?;
        if is_absent {
            erased.absent = mem::take(&mut erased.artifacts);
        }
        Ok(erased)
    }

    /// What is deleted by itself, or with all of its tenant.
    async fn artifacts_of(&self, tombstone: &Tombstone) -> Result<Vec<Digest>, CatalogError> {
        match tombstone.deleted {
            Deleted::Artifact { digest } => Ok(vec![digest]),
            _ => self.stored_of(&tombstone.tenant).await,
        }
    }

    /// Says what is deleted from now on: then whoever asks for it hears why it is not there.
    async fn announce(&self, tombstones: Vec<Tombstone>) -> Result<Announced, CatalogError> {
        let lines = to_lines(&tombstones);
        let begun = Timestamp::now();
        let key = layout::unfinished(begun, rand::random(), later(begun, BREAKS_OFF));
        self.bucket().put(&key, lines.clone()).await?;
        let known = vec![key.clone()];
        self.index()
            .apply(Vec::new(), tombstones.clone(), known)
            .await?;
        Ok(Announced {
            tombstones,
            key,
            lines,
        })
    }

    /// Removes what it was said of that it is deleted, by `remove`. It is looked once more at `last`, or later where
    /// something waits.
    async fn remove<F>(
        &self,
        announced: Announced,
        artifacts: Vec<Digest>,
        remove: impl Fn(Digest) -> F,
        last: Option<Timestamp>,
        told: &impl Fn(Erasing),
    ) -> Result<Erased, CatalogError>
    where
        F: Future<Output = Result<Fate, BucketError>>,
    {
        let removed = Removed::of(artifacts, remove, told).await;
        let now = Timestamp::now();
        let until = removed.next(later(now, BREAKS_OFF)).or(last);
        let Announced { key, lines, .. } = announced;
        self.tell_again(&key, lines, now, until).await?;
        match removed.failed {
            Some(error) => Err(error.into()),
            None => Ok(Erased {
                tombstones: announced.tombstones,
                artifacts: removed.gone,
                absent: removed.absent,
                waiting: removed.waiting,
                until: removed.until,
            }),
        }
    }

    /// A replica that has noticed a deletion, and put something again before that was deleted, counts it as
    /// stored. Under a new name the deletion is noticed once more, and the name says whether it is finished.
    async fn tell_again(
        &self,
        before: &str,
        lines: Bytes,
        now: Timestamp,
        until: Option<Timestamp>,
    ) -> Result<(), BucketError> {
        let replica = rand::random();
        let again = match until {
            Some(until) => layout::unfinished(now, replica, until),
            None => layout::tombstones(now, replica),
        };
        self.bucket().put(&again, lines).await?;
        self.bucket().delete(before).await
    }

    /// The artifacts that the bucket has of a tenant. There may be very many, so nothing more is kept of each.
    async fn stored_of(&self, tenant: &TenantId) -> Result<Vec<Digest>, CatalogError> {
        let listed = self.bucket().stream(&format!("{tenant}/sha256"), None);
        let digests = listed.try_filter_map(|object| {
            let name = object.key.rsplit('/').next();
            ready(Ok(name.and_then(|name| name.parse::<Digest>().ok())))
        });
        let mut digests: Vec<Digest> = digests.try_collect().await?;
        // What stands in the wrong folder, too, has one name twice.
        digests.sort_unstable();
        digests.dedup();
        Ok(digests)
    }
}

/// What became of all that was to be removed.
#[derive(Default)]
struct Removed {
    gone: usize,
    absent: usize,
    waiting: Vec<Digest>,
    until: Option<Timestamp>,
    failed: Option<BucketError>,
}

impl Removed {
    /// Removes each of these by `remove`. What does that has some KiB each, and they may be millions: it is made when
    /// its turn comes.
    async fn of<F>(
        artifacts: Vec<Digest>,
        remove: impl Fn(Digest) -> F,
        told: &impl Fn(Erasing),
    ) -> Self
    where
        F: Future<Output = Result<Fate, BucketError>>,
    {
        told(Erasing::Begins(artifacts.len() as u64));
        let mut removed = Self::default();
        let removals = stream::iter(artifacts).map(remove);
        let mut removals = removals.buffer_unordered(CONCURRENT);
        while let Some(fate) = removals.next().await {
            told(Erasing::Looked);
            match fate {
                Ok(Fate::Gone) => removed.gone += 1,
                Ok(Fate::Absent) => removed.absent += 1,
                // To count it as gone would tell the deletion once more each time that somebody goes on with it.
                Ok(Fate::Stays) => {}
                Ok(Fate::Waits(digest, until)) => {
                    removed.waiting.push(digest);
                    removed.until = removed.until.max(Some(until));
                }
                // One that the store keeps does not keep the others.
                Err(error) => removed.failed = Some(error),
            }
        }
        removed
    }

    /// When somebody is to go on with what is not gone, not before `soonest`; none where all is.
    fn next(&self, soonest: Timestamp) -> Option<Timestamp> {
        if self.failed.is_some() {
            // What the store did not let go does not wait for files that have to: those wait on after that.
            return Some(soonest);
        }
        self.until.map(|until| until.max(soonest))
    }
}

/// Deletes an artifact, unless it came again since `time`.
async fn delete(of_tenant: Store, digest: Digest, time: Timestamp) -> Result<Fate, BucketError> {
    let deleted = of_tenant.delete(&digest, time).await?;
    Ok(if deleted { Fate::Gone } else { Fate::Stays })
}

/// Whether neither the store nor the spool of this process has an artifact. Where the store does not say, it counts as
/// there: to delete it asks once more.
async fn is_absent(of_tenant: &Store, digest: &Digest) -> bool {
    !of_tenant.is_spooled(digest) && matches!(of_tenant.has(digest).await, Ok(false))
}

fn to_lines(tombstones: &[Tombstone]) -> Bytes {
    Bytes::from(tombstones.iter().flat_map(to_line).collect::<Vec<u8>>())
}

/// So long after `time`.
fn later(time: Timestamp, by: SignedDuration) -> Timestamp {
    time.checked_add(by).unwrap_or(Timestamp::MAX)
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;

    /// Of a tenant with a million files, what removes each of them would be gigabytes at once.
    #[tokio::test]
    async fn what_removes_a_file_is_made_when_its_turn_comes() {
        let artifacts: Vec<Digest> = (0..1000_u32)
            .map(|number| Digest::of(&number.to_le_bytes()))
            .collect();
        let [begun, ended, most] = [0_usize; 3].map(Cell::new);
        let remove = |_: Digest| {
            begun.set(begun.get() + 1);
            most.set(most.get().max(begun.get() - ended.get()));
            async {
                tokio::task::yield_now().await;
                ended.set(ended.get() + 1);
                Ok(Fate::Gone)
            }
        };
        let all = Cell::new(0);
        let told = |erasing| {
            if let Erasing::Begins(count) = erasing {
                all.set(count);
            }
        };
        let removed = Removed::of(artifacts, remove, &told).await;
        assert_eq!((removed.gone, all.get()), (1000, 1000));
        assert!(most.get() <= CONCURRENT, "{} at once", most.get());
    }
}
