//! What is deleted on request: the bytes go, and a tombstone says why.

mod of_trace;

use std::collections::BTreeSet;

use bytes::Bytes;
use futures::{StreamExt as _, stream};
use jiff::Timestamp;
use slimspan_artifact::Digest;

use super::error::CatalogError;
use super::follower::{Catalog, Reach};
use super::ids::EntryId;
use super::layout;
use super::tombstone::{Deleted, Tombstone, to_line};
use crate::storage::{BucketError, Store};
use crate::tenant::TenantId;

/// Artifacts that are deleted at a time.
const CONCURRENT: usize = 16;

/// What was deleted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Erased {
    /// What tells of it: that which was asked for first, then one for each artifact that goes with a trace.
    pub tombstones: Vec<Tombstone>,
    /// Artifacts whose bytes are gone.
    pub artifacts: usize,
    /// Artifacts of a trace that stay for now: something else may refer to them that is not in the catalog yet.
    pub waiting: Vec<Digest>,
    /// When the same deletion takes them, if nothing else does refer to them or stores them again.
    pub until: Option<Timestamp>,
}

/// What became of an artifact.
enum Fate {
    Gone,
    /// It stays until then.
    Waits(Digest, Timestamp),
}

impl Catalog {
    /// Deletes an artifact, a trace, or all of a tenant from `store`, and says so to every replica. Where it
    /// breaks off, doing it again finishes it.
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
        let artifacts = match deleted {
            Deleted::Trace { trace } => {
                return self.erase_trace(store, tenant, trace, reason).await;
            }
            Deleted::Artifact { digest } => {
                self.sync(Reach::Back).await?;
                [digest].into()
            }
            Deleted::Tenant => {
                self.sync(Reach::Back).await?;
                self.stored_of(tenant).await?
            }
        };
        let tombstone = Tombstone {
            id: EntryId::random(),
            time: Timestamp::now(),
            tenant: tenant.clone(),
            deleted,
            reason: reason.to_owned(),
            up_to: None,
        };
        let (of_tenant, time) = (store.of_tenant(tenant), tombstone.time);
        let removals = artifacts.into_iter().map(|digest| {
            let of_tenant = of_tenant.clone();
            async move {
                of_tenant.delete(&digest, time).await?;
                Ok::<_, BucketError>(Fate::Gone)
            }
        });
        self.carry_out(vec![tombstone], removals).await
    }

    /// Says what is deleted, and removes it.
    async fn carry_out<F>(
        &self,
        tombstones: Vec<Tombstone>,
        removals: impl Iterator<Item = F>,
    ) -> Result<Erased, CatalogError>
    where
        F: Future<Output = Result<Fate, BucketError>>,
    {
        // First what says so: then whoever asks for it hears why it is not there.
        let lines = Bytes::from(tombstones.iter().flat_map(to_line).collect::<Vec<u8>>());
        let key = layout::tombstones(Timestamp::now(), rand::random());
        self.bucket().put(&key, lines.clone()).await?;
        let known = vec![key.clone()];
        self.index()
            .apply(Vec::new(), tombstones.clone(), known)
            .await?;
        let mut erased = Erased {
            tombstones,
            artifacts: 0,
            waiting: Vec::new(),
            until: None,
        };
        // One that the store keeps does not keep the others.
        let mut failed = None;
        let mut removals = stream::iter(removals).buffer_unordered(CONCURRENT);
        while let Some(fate) = removals.next().await {
            match fate {
                Ok(Fate::Gone) => erased.artifacts += 1,
                Ok(Fate::Waits(digest, until)) => {
                    erased.waiting.push(digest);
                    erased.until = erased.until.max(Some(until));
                }
                Err(error) => failed = Some(error),
            }
        }
        // A replica that has noticed it, and put one of them again before that was deleted, counts it as
        // stored. Under a new name it is noticed once more.
        let again = layout::tombstones(Timestamp::now(), rand::random());
        self.bucket().put(&again, lines).await?;
        self.bucket().delete(&key).await?;
        match failed {
            Some(error) => Err(error.into()),
            None => Ok(erased),
        }
    }

    /// The artifacts that the bucket has of a tenant.
    async fn stored_of(&self, tenant: &TenantId) -> Result<BTreeSet<Digest>, CatalogError> {
        let listed = self
            .bucket()
            .list(&format!("{tenant}/sha256"), None)
            .await?;
        let names = listed
            .iter()
            .filter_map(|object| object.key.rsplit('/').next());
        Ok(names.filter_map(|name| name.parse().ok()).collect())
    }
}
