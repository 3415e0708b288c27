//! What the catalog says of the artifacts here.

use std::time::Duration;

use http::StatusCode;
use jiff::Timestamp;
use tokio::time::timeout;

use super::Server;
use super::address::Address;
use super::api::ApiError;
use crate::catalog::{Catalog, Index, PutFile, Tenants};

/// How long a download waits for its name.
const PATIENCE: Duration = Duration::from_secs(1);

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
            Ok(tombstone) => tombstone
                .map(|tombstone| format!("deleted at {:.0}: {}", tombstone.time, tombstone.reason)),
            // Whether it is there the store knows, too.
            Err(error) => {
                tracing::warn!("{error}");
                None
            }
        }
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
