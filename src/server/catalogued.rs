//! What the catalog says of the artifacts here.

use std::future::ready;
use std::time::Duration;

use futures::{StreamExt as _, stream};
use http::StatusCode;
use jiff::Timestamp;
use slimspan_artifact::Digest;
use tokio::time::timeout;

use super::Server;
use super::address::Address;
use super::api::ApiError;
use crate::catalog::{Catalog, Index, PutFile, Tenants, Tombstone};
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

    /// Why an artifact was deleted, if it was.
    pub(super) async fn tombstone(&self, address: &Address) -> Option<String> {
        let index = self.catalog.as_ref()?.index();
        match index.tombstone(&address.tenant, &address.digest).await {
            Ok(tombstone) => tombstone.as_ref().map(why),
            // Whether it is there the store knows, too.
            Err(error) => {
                tracing::warn!("{error}");
                None
            }
        }
    }

    /// Why an artifact is given to nobody although its bytes are there: it was deleted, and they stay for as long as
    /// something else may refer to them.
    pub(super) async fn kept_back(&self, address: &Address) -> Option<Tombstone> {
        let Address { tenant, digest } = address;
        let kept_back = self.all_kept_back(tenant, vec![*digest]).await;
        let (_, tombstone) = kept_back.into_iter().next()?;
        Some(tombstone)
    }

    /// Those of these artifacts that are given to nobody.
    pub(super) async fn all_kept_back(
        &self,
        tenant: &TenantId,
        digests: Vec<Digest>,
    ) -> Vec<(Digest, Tombstone)> {
        let Some(catalog) = &self.catalog else {
            return Vec::new();
        };
        let asking = catalog.index().kept_back(tenant, digests);
        let told = match timeout(PATIENCE, asking).await {
            Ok(Ok(told)) => told,
            Ok(Err(error)) => {
                tracing::warn!("whether artifacts were deleted is not known: {error}");
                return Vec::new();
            }
            Err(_) => {
                tracing::warn!(
                    "whether artifacts were deleted is not known: the index of the catalog did not say so within \
                     {PATIENCE:?}"
                );
                return Vec::new();
            }
        };
        let store = self.store.of_tenant(tenant);
        let looked = told.into_iter().map(|(digest, of)| {
            let store = store.clone();
            async move {
                let written = match store.spooled_at(&digest) {
                    Some(spooled) => spooled,
                    // Where the store does not say it, it does not give the bytes, either.
                    None => Timestamp::try_from(store.written(&digest).await.ok()??).ok()?,
                };
                of.holds(written).then_some((digest, of.tombstone))
            }
        });
        let looked = stream::iter(looked).buffer_unordered(AT_A_TIME);
        looked.filter_map(ready).collect().await
    }

    /// What the newest payload that gives it a name calls an artifact; none if that is not known soon.
    pub(super) async fn given_name(&self, address: &Address) -> Option<String> {
        let index = self.catalog.as_ref()?.index();
        let tenants = Tenants::one(address.tenant.clone());
        let asking = index.artifact(&tenants, &address.digest);
        let known = timeout(PATIENCE, asking).await.ok()?;
        known.ok()??.file_name
    }

    /// Writes down that an artifact was put by itself.
    pub(super) async fn record(&self, file: PutFile) {
        let Some(recorder) = &self.recorder else {
            return;
        };
        if let Some(entry) = file.entry() {
            recorder.record(vec![entry]).await;
        }
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

/// Why an artifact is not there, or not given.
pub(super) fn why(tombstone: &Tombstone) -> String {
    format!("deleted at {:.0}: {}", tombstone.time, tombstone.reason)
}
