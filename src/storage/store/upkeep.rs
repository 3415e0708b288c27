//! What keeps a store in order: its other objects, and the end of artifacts.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use jiff::{SignedDuration, Timestamp};
use slimspan_artifact::Digest;

use super::Store;
use crate::storage::bucket::{Bucket, BucketError};
use crate::storage::spool::GivenUp;

/// By how much the clock of a store may be ahead of ours, and by how much less than it has it may tell: what is
/// written by that much later than a deletion may have been there before it.
const CLOCKS: SignedDuration = SignedDuration::from_secs(5);

/// Whether what was written then came after a deletion at `time`.
fn is_later(written: SystemTime, time: Timestamp) -> bool {
    Timestamp::try_from(written).is_ok_and(|written| written.duration_since(time) > CLOCKS)
}

impl Store {
    /// All of it, by keys below its prefix.
    pub fn bucket(&self) -> Bucket {
        let common = &self.shared.common;
        Bucket::new(
            Arc::clone(&common.client),
            common.root.prefix().clone(),
            Arc::clone(&common.place),
            common.config.timeout,
        )
    }

    /// Whether it ends with this process.
    pub fn is_in_memory(&self) -> bool {
        self.shared.common.config.url.starts_with("memory:")
    }

    /// Whether the artifact waits in the spool of this process.
    pub fn is_spooled(&self, digest: &Digest) -> bool {
        let spool = self.spool();
        spool.is_some_and(|spool| spool.has(&self.shared.tenant, digest))
    }

    /// When a request last had the artifact kept in the spool of this process, if it waits there.
    pub(crate) fn spooled_at(&self, digest: &Digest) -> Option<Timestamp> {
        self.spool()?.wanted(&self.shared.tenant, digest)
    }

    /// Whether the store itself has the artifact: it is asked.
    pub async fn has(&self, digest: &Digest) -> Result<bool, BucketError> {
        self.bucket().has(&self.key_below_prefix(digest)).await
    }

    /// When the store itself got the artifact last, by its own clock; none where it does not have it.
    pub async fn written(&self, digest: &Digest) -> Result<Option<SystemTime>, BucketError> {
        self.bucket().written(&self.key_below_prefix(digest)).await
    }

    /// How long after it stored an artifact last all references are in the catalog that left because the artifact
    /// counted as stored.
    pub fn settles_after(&self) -> Duration {
        let config = &self.shared.common.config;
        config.catalog.retention.settles_after(config.refresh)
    }

    /// Within that time what left has to be in the catalog, or others delete files to which it refers.
    pub fn knows_within(&self) -> Duration {
        self.settles_after().saturating_sub(self.refresh())
    }

    /// Deletes an artifact that was told deleted at `time`. What this process knew of it is forgotten: it is
    /// stored again when it comes again. What came again meanwhile stays, and is not deleted: a deletion of many
    /// takes its time. Whether it was deleted.
    pub async fn delete(&self, digest: &Digest, time: Timestamp) -> Result<bool, BucketError> {
        // Before, so that who puts it meanwhile is not taken for one who put it earlier.
        self.forget(digest);
        self.give_up(Some(digest), time);
        if Timestamp::now().duration_since(time) > CLOCKS
            && let Some(written) = self.written(digest).await?
            && is_later(written, time)
        {
            return Ok(false);
        }
        self.remove(digest).await?;
        Ok(true)
    }

    /// The same for what may be needed again: where it waits in the spool, it stays.
    pub async fn remove(&self, digest: &Digest) -> Result<(), BucketError> {
        let deleted = self.bucket().delete(&self.key_below_prefix(digest)).await;
        self.shared.known.forget(digest);
        deleted
    }

    /// The artifact does not count as stored any more.
    pub fn forget(&self, digest: &Digest) {
        self.shared.known.forget(digest);
    }

    /// An artifact of its tenant was deleted at `until`, or all of them: what has waited in the spool since
    /// before that is given up there.
    pub(crate) fn give_up(&self, digest: Option<&Digest>, until: Timestamp) -> GivenUp {
        let spool = self.spool();
        let given_up = spool.map(|spool| spool.give_up(&self.shared.tenant, digest, until));
        given_up.unwrap_or_default()
    }

    /// No artifact of its tenant counts as stored any more.
    pub fn forget_all(&self) {
        self.shared.known.forget_all();
    }

    fn key_below_prefix(&self, digest: &Digest) -> String {
        let name = digest.to_string();
        let shard = name.get(..2).unwrap_or_default();
        format!("{}/sha256/{shard}/{name}", self.shared.tenant)
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use bytes::Bytes;
    use slimspan_artifact::Artifact;

    use super::*;
    use crate::storage::StoreConfig;

    /// A deletion of all that a tenant has takes minutes, and what comes meanwhile is acknowledged.
    #[tokio::test]
    async fn what_came_after_a_deletion_began_stays() {
        let store = Store::open(&StoreConfig::new("memory://")).unwrap();
        let bytes = Bytes::from_static(b"came again");
        let artifact = Artifact {
            digest: Digest::of(&bytes),
            media_type: "image/png".to_owned(),
            bytes,
        };
        for (began, stays) in [(600, true), (1, false), (0, false)] {
            store
                .put_all(std::slice::from_ref(&artifact))
                .await
                .unwrap();
            let began = Timestamp::now() - SignedDuration::from_secs(began);
            let deleted = store.delete(&artifact.digest, began).await.unwrap();
            assert_eq!(deleted, !stays);
            assert_eq!(store.has(&artifact.digest).await.unwrap(), stays);
        }
    }
}
