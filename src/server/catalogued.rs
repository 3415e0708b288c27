//! What the catalog says of the artifacts here.

use http::StatusCode;
use jiff::Timestamp;

use super::Server;
use super::address::Address;
use super::api::ApiError;
use super::media::Media;
use crate::catalog::{Catalog, Entry, EntryId, Index, State};

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

    /// Writes down that an artifact was put by itself.
    pub(super) async fn record(
        &self,
        address: &Address,
        size: u64,
        media: Media,
        file_name: Option<String>,
    ) {
        let Some(recorder) = &self.recorder else {
            return;
        };
        let now = Timestamp::now();
        let mut hash = blake3::Hasher::new();
        hash.update(address.to_string().as_bytes());
        hash.update(file_name.as_deref().unwrap_or_default().as_bytes());
        let Some(id) = hash.finalize().as_bytes().get(..16).and_then(EntryId::new) else {
            return;
        };
        let entry = Entry {
            id,
            recorded: now,
            time: now,
            tenant: address.tenant.clone(),
            signal: None,
            service: String::new(),
            trace: None,
            span: None,
            span_name: String::new(),
            carrier: String::new(),
            attribute: String::new(),
            shape: "file".to_owned(),
            digest: Some(address.digest),
            content_type: media.shown.to_owned(),
            size,
            file_name,
            state: State::Stored,
        };
        recorder.record(vec![entry]).await;
    }
}
