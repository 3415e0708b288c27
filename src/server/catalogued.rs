//! What the catalog says of the artifacts here.

use std::future::ready;
use std::sync::atomic::Ordering;
use std::time::Duration;

use futures::{StreamExt as _, TryStreamExt as _, stream};
use http::StatusCode;
use jiff::Timestamp;
use slimspan_artifact::Digest;
use tokio::time::timeout;

use super::Server;
use super::address::Address;
use super::api::ApiError;
use crate::catalog::{Catalog, CatalogError, Index, KeptBack, PutFile, State, Tenants, Tombstone};
use crate::storage::{BucketError, Store};
use crate::tenant::TenantId;

/// How long who asks for an artifact waits for what is known of it: its name, and whether it was deleted.
const PATIENCE: Duration = Duration::from_secs(1);

/// How many artifacts the store is asked for at a time.
const AT_A_TIME: usize = 16;

impl Server {
    /// The catalog, if there is one.
    pub(super) fn catalog(&self) -> Result<&Catalog, ApiError> {
        self.catalog.as_ref().ok_or_else(|| {
            let told = "what refers to artifacts is not written down here: see catalog.enabled of the \
                        artifact_store";
            ApiError::Told(StatusCode::NOT_IMPLEMENTED, told.to_owned())
        })
    }

    /// What answers questions about it.
    pub(super) fn index(&self) -> Result<&Index, ApiError> {
        self.catalog().map(Catalog::index)
    }

    /// Whether nothing is missing only because the catalog is still read.
    pub(super) fn is_catalog_read(&self) -> bool {
        self.catalog.is_none() || self.catalog_is_whole.load(Ordering::Relaxed)
    }

    /// Whether the bytes that an entry leads to are here, as far as that is known without asking the store.
    pub(super) async fn is_here(&self, address: &Address, state: State) -> bool {
        match state {
            State::Stored => true,
            // It may wait on the disk of another.
            State::Spooled => {
                let store = self.store.of_tenant(&address.tenant);
                let waiting = store.spooled_size(&address.digest).await;
                waiting.is_ok_and(|size| size.is_some())
            }
            State::Dropped | State::Truncated | State::Referred => false,
        }
    }

    /// Why an artifact was deleted that is not there, if it was. Where that is not known, it cannot be said that it
    /// never was there, either.
    pub(super) async fn tombstone(
        &self,
        address: &Address,
    ) -> Result<Option<String>, CatalogError> {
        let Some(catalog) = &self.catalog else {
            return Ok(None);
        };
        let asking = (catalog.index()).tombstone(&address.tenant, &address.digest);
        Ok(asking.await?.as_ref().map(why))
    }

    /// Why an artifact is given to nobody although its bytes are there: it was deleted, and they stay for as long as
    /// something else may refer to them. Where the index does not say soon that it was deleted, it counts as if it
    /// was not; where it cannot be asked, or the store does not say whether it came again since, that is an error.
    pub(super) async fn kept_back(
        &self,
        address: &Address,
    ) -> Result<Option<Tombstone>, CatalogError> {
        let Some(catalog) = &self.catalog else {
            return Ok(None);
        };
        let Address { tenant, digest } = address;
        let asking = catalog.index().kept_back(tenant, vec![*digest]);
        let Ok(told) = timeout(PATIENCE, asking).await else {
            tracing::warn!(
                "whether {address} was deleted is not known: the index of the catalog did not say so within \
                 {PATIENCE:?}"
            );
            return Ok(None);
        };
        let told = told?;
        let held = held(&self.store.of_tenant(tenant), told).await?;
        let held = held.into_iter().next();
        Ok(held.map(|(_, tombstone)| tombstone))
    }

    /// Those of these artifacts that are given to nobody, for who can come back where that is not known.
    pub(super) async fn all_kept_back(
        &self,
        tenant: &TenantId,
        digests: Vec<Digest>,
    ) -> Result<Vec<(Digest, Tombstone)>, ApiError> {
        let Some(catalog) = &self.catalog else {
            return Ok(Vec::new());
        };
        let told = catalog.index().kept_back(tenant, digests).await?;
        Ok(held(&self.store.of_tenant(tenant), told).await?)
    }

    /// What the newest payload that gives it a name calls an artifact; none if that is not known soon.
    pub(super) async fn given_name(&self, address: &Address) -> Option<String> {
        let index = self.catalog.as_ref()?.index();
        let tenants = Tenants::one(address.tenant.clone());
        let asking = index.artifact(&tenants, &address.digest);
        let known = timeout(PATIENCE, asking).await.ok()?;
        known.ok()??.file_name
    }

    /// Writes down that an artifact was put by itself; an error where a kill could leave nobody who knows.
    pub(super) async fn record(&self, file: PutFile) -> Result<(), ApiError> {
        let Some(recorder) = &self.recorder else {
            return Ok(());
        };
        let entries: Vec<_> = file.entry().into_iter().collect();
        if recorder.record(entries).await {
            return Ok(());
        }
        let told = "what refers to it cannot be written down at the moment: see catalog.on_failure";
        Err(ApiError::Told(
            StatusCode::SERVICE_UNAVAILABLE,
            told.to_owned(),
        ))
    }

    /// When an artifact was deleted last, whether or not it came again, as far as that is known here.
    pub(super) async fn deleted(&self, address: &Address) -> Option<Timestamp> {
        let index = self.catalog.as_ref()?.index();
        match index.deleted(&address.tenant, &address.digest).await {
            Ok(deleted) => deleted,
            Err(error) => {
                // It may have been a moment ago.
                tracing::warn!("{error}");
                Some(Timestamp::now())
            }
        }
    }

    /// What an artifact was called when it was last put by itself.
    pub(super) async fn own_name(&self, address: &Address) -> Option<String> {
        let index = self.catalog.as_ref()?.index();
        match index.own_name(&address.tenant, &address.digest).await {
            Ok(name) => name,
            Err(error) => {
                tracing::warn!("{error}");
                None
            }
        }
    }
}

/// Those of these artifacts whose bytes did not come again since they were deleted.
async fn held(
    store: &Store,
    told: Vec<(Digest, KeptBack)>,
) -> Result<Vec<(Digest, Tombstone)>, BucketError> {
    let looked = told.into_iter().map(|(digest, of)| {
        let store = store.clone();
        async move {
            let written = if let Some(spooled) = store.spooled_at(&digest) {
                Some(spooled)
            } else {
                let written = store.written(&digest).await?;
                written.and_then(|written| Timestamp::try_from(written).ok())
            };
            let holds = written.is_some_and(|written| of.holds(written));
            Ok::<_, BucketError>(holds.then_some((digest, of.tombstone)))
        }
    });
    let looked = stream::iter(looked).buffer_unordered(AT_A_TIME);
    looked
        .try_filter_map(|held| ready(Ok(held)))
        .try_collect()
        .await
}

/// Why an artifact is not there, or not given.
pub(super) fn why(tombstone: &Tombstone) -> String {
    format!("deleted at {:.0}: {}", tombstone.time, tombstone.reason)
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use bytes::Bytes;
    use jiff::SignedDuration;
    use slimspan_artifact::Artifact;

    use super::*;
    use crate::catalog::{Deleted, EntryId};
    use crate::storage::{StoreConfig, meddled};

    /// It may have been deleted a moment before, and the next one who is asked may give its bytes.
    #[tokio::test]
    async fn what_the_store_does_not_say_is_not_taken_for_a_no() {
        let bytes = Bytes::from_static(b"deleted");
        let digest = Digest::of(&bytes);
        let artifact = Artifact {
            digest,
            media_type: "image/png".to_owned(),
            bytes,
        };
        let told = || {
            let tombstone = Tombstone {
                id: EntryId::new(&[7; 16]).unwrap(),
                time: Timestamp::now() + SignedDuration::from_hours(1),
                tenant: TenantId::default(),
                deleted: Deleted::Artifact { digest },
                reason: String::new(),
                up_to: None,
            };
            let settled = None;
            vec![(digest, KeptBack { tombstone, settled })]
        };
        let config = StoreConfig::new("memory://");
        let store = Store::open(&config).unwrap();
        let found = held(&store, told()).await.unwrap();
        assert!(found.is_empty(), "it is not there");
        store.put_all(&[artifact]).await.unwrap();
        let found = held(&store, told()).await.unwrap();
        assert_eq!(found.len(), 1);
        let silent = meddled::without_heads(&config).unwrap();
        assert!(held(&silent, told()).await.is_err());
    }
}
