//! What keeps a store in order: its other objects, and the end of artifacts.

use std::sync::Arc;
use std::time::SystemTime;

use jiff::Timestamp;
use slimspan_artifact::Digest;

use super::Store;
use crate::storage::bucket::{Bucket, BucketError};
use crate::storage::spool::GivenUp;

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

    /// Whether the store itself has the artifact: it is asked.
    pub async fn has(&self, digest: &Digest) -> Result<bool, BucketError> {
        self.bucket().has(&self.key_below_prefix(digest)).await
    }

    /// When the store itself got the artifact last, by its own clock; none where it does not have it.
    pub async fn written(&self, digest: &Digest) -> Result<Option<SystemTime>, BucketError> {
        self.bucket().written(&self.key_below_prefix(digest)).await
    }

    /// Deletes an artifact from the store. What this process knew of it is forgotten: it is stored again
    /// when it comes again.
    pub async fn delete(&self, digest: &Digest) -> Result<(), BucketError> {
        // Before, so that who puts it meanwhile is not taken for one who put it earlier.
        self.forget(digest);
        self.give_up(Some(digest), Timestamp::now());
        self.remove(digest).await
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
