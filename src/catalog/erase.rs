//! What is deleted on request: the bytes go, and a tombstone says why.

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
use crate::storage::Store;
use crate::tenant::TenantId;

/// Artifacts that are deleted at a time.
const CONCURRENT: usize = 16;

/// What was deleted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Erased {
    /// What tells of it: that which was asked for first, then one for each artifact that went with a trace.
    pub tombstones: Vec<Tombstone>,
    /// Artifacts whose bytes are gone.
    pub artifacts: usize,
}

impl Catalog {
    /// Deletes an artifact, a trace, or all of a tenant from `store`, and says so to every replica. Where it
    /// breaks off, doing it again finishes it.
    ///
    /// Of a trace, artifacts that something else refers to stay; and so do those that are not in the catalog
    /// yet, because what refers to them waits in a replica's journal: that is hidden when it comes, and doing
    /// it again then deletes them. What refers to an artifact that comes again later is not deleted with it.
    pub async fn erase(
        &self,
        store: &Store,
        tenant: &TenantId,
        deleted: Deleted,
        reason: &str,
    ) -> Result<Erased, CatalogError> {
        // An index that lacks what refers to an artifact from elsewhere would let it go with a trace.
        let reach = match deleted {
            Deleted::Trace { .. } => Reach::All,
            Deleted::Artifact { .. } | Deleted::Tenant => Reach::Back,
        };
        self.sync(reach).await?;
        let artifacts: BTreeSet<Digest> = match deleted {
            Deleted::Artifact { digest } => [digest].into(),
            Deleted::Trace { trace } => {
                let only = self.index().only_in(tenant, trace).await?;
                only.into_iter().collect()
            }
            Deleted::Tenant => self.stored_of(tenant).await?,
        };
        let time = Timestamp::now();
        let tombstone = |deleted| Tombstone {
            id: EntryId::random(),
            time,
            tenant: tenant.clone(),
            deleted,
            reason: reason.to_owned(),
            up_to: None,
        };
        let mut tombstones = vec![tombstone(deleted)];
        if matches!(deleted, Deleted::Trace { .. }) {
            let with_it = artifacts.iter().copied();
            tombstones.extend(with_it.map(|digest| tombstone(Deleted::Artifact { digest })));
        }
        // First what says so: then whoever asks for it hears why it is not there.
        let lines: Vec<u8> = tombstones.iter().flat_map(to_line).collect();
        let key = layout::tombstones(time, rand::random());
        let lines = Bytes::from(lines);
        self.bucket().put(&key, lines.clone()).await?;
        let known = vec![key.clone()];
        self.index()
            .apply(Vec::new(), tombstones.clone(), known)
            .await?;
        let of_tenant = store.of_tenant(tenant);
        // One that the store keeps does not keep the others.
        let mut failed = None;
        let deletions = artifacts.clone().into_iter().map(|digest| {
            let of_tenant = of_tenant.clone();
            async move { of_tenant.delete(&digest, time).await }
        });
        let mut deletions = stream::iter(deletions).buffer_unordered(CONCURRENT);
        while let Some(deleted) = deletions.next().await {
            failed = deleted.err().or(failed);
        }
        // A replica that has noticed it, and put one of them again before that was deleted, counts it as
        // stored. Under a new name it is noticed once more.
        let again = layout::tombstones(Timestamp::now(), rand::random());
        self.bucket().put(&again, lines).await?;
        self.bucket().delete(&key).await?;
        if let Some(error) = failed {
            return Err(error.into());
        }
        Ok(Erased {
            tombstones,
            artifacts: artifacts.len(),
        })
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
