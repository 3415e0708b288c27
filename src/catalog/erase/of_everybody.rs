//! An artifact that is deleted whoever has it.

use std::collections::BTreeSet;
use std::future::ready;

use futures::{StreamExt as _, TryStreamExt as _, stream};
use slimspan_artifact::Digest;

use super::super::error::CatalogError;
use super::super::filter::{Filter, Tenants};
use super::super::follower::{Catalog, Reach};
use super::super::index::Index;
use super::super::tombstone::Deleted;
use super::{CONCURRENT, Erased};
use crate::storage::Store;
use crate::tenant::TenantId;

impl Catalog {
    /// Those who have an artifact in `store` or in the spool of this process, and those of whom something refers to it
    /// that is in the catalog. What only waits on another machine is told by such an entry.
    pub async fn holders(
        &self,
        store: &Store,
        digest: &Digest,
    ) -> Result<BTreeSet<TenantId>, CatalogError> {
        self.sync(Reach::Back).await?;
        // Before the store is listed: what is uploaded meanwhile is there by then.
        let spool = store.spool();
        let spooled = spool.map(|spool| spool.tenants()).unwrap_or_default();
        let mut known: BTreeSet<TenantId> = spooled.into_iter().collect();
        known.extend(store.tenants().await?);
        let listed = self.index().menus(&Tenants::All).await?.tenants;
        known.extend(
            listed
                .iter()
                .filter_map(|of| of.value.parse::<TenantId>().ok()),
        );
        let asked = known.into_iter().map(|tenant| {
            let (of_tenant, index) = (store.of_tenant(&tenant), self.index().clone());
            let digest = *digest;
            async move {
                let has_it = of_tenant.is_spooled(&digest)
                    || of_tenant.has(&digest).await?
                    || is_referred_to(&index, &tenant, digest).await?;
                Ok::<_, CatalogError>(has_it.then_some(tenant))
            }
        });
        let asked: Vec<_> = asked.collect();
        let asked = stream::iter(asked).buffer_unordered(CONCURRENT);
        asked
            .try_filter_map(|tenant| ready(Ok(tenant)))
            .try_collect()
            .await
    }

    /// Deletes an artifact of each of these tenants, as [`Catalog::erase`] does of one. What fails for one keeps it from
    /// no other, and to do it again goes on with it.
    pub async fn erase_of(
        &self,
        store: &Store,
        tenants: &BTreeSet<TenantId>,
        digest: Digest,
        reason: &str,
    ) -> Result<Erased, CatalogError> {
        let mut all = Erased::default();
        let mut failed = None;
        for tenant in tenants {
            let artifact = Deleted::Artifact { digest };
            match self.erase(store, tenant, artifact, reason).await {
                Ok(erased) => {
                    all.tombstones.extend(erased.tombstones);
                    all.artifacts += erased.artifacts;
                    all.absent += erased.absent;
                }
                Err(error) => failed = Some(error),
            }
        }
        match failed {
            Some(error) => Err(error),
            None => Ok(all),
        }
    }
}

async fn is_referred_to(
    index: &Index,
    tenant: &TenantId,
    digest: Digest,
) -> Result<bool, CatalogError> {
    let filter = Filter {
        tenants: Tenants::one(tenant.clone()),
        digest: Some(digest),
        ..Filter::default()
    };
    Ok(index.count(&filter).await? > 0)
}
