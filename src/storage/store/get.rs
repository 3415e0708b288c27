use std::error::Error;
use std::sync::Arc;

use bytes::Bytes;
use object_store::ObjectStoreExt as _;
use slimspan_artifact::Digest;

use super::{Limit, SpoolAccess, Store};
use crate::storage::error::{Action, StoreError};
use crate::storage::retry::Attempts;
use crate::telemetry::Action as Asked;

impl Store {
    /// Reads an artifact, also one that the store does not have yet, and checks its bytes against
    /// its digest.
    pub async fn get(&self, digest: &Digest) -> Result<Bytes, StoreError> {
        if let Some(spool) = self.spool() {
            return match spool.get(&self.shared.tenant, digest).await {
                Ok(Some(bytes)) => Ok(bytes),
                Ok(None) => self.get_stored(digest).await,
                Err(unread) => match self.get_stored(digest).await {
                    // It is not missing, it waits where it cannot be read.
                    Err(StoreError::NotFound { .. }) => {
                        Err(self.unread(spool.to_string(), digest, unread))
                    }
                    stored => stored,
                },
            };
        }
        match &self.spool {
            None | Some(SpoolAccess::Own(_) | SpoolAccess::Seen(_)) => {
                self.get_stored(digest).await
            }
            // To look there takes longer.
            Some(SpoolAccess::Beside(beside)) => {
                let error = match self.get_stored(digest).await {
                    Ok(bytes) => return Ok(bytes),
                    Err(error) if beside.is_there() => error,
                    Err(error) => return Err(error),
                };
                let (beside, wanted) = (Arc::clone(beside), *digest);
                let tenant = self.shared.tenant.clone();
                let read = move || beside.get(&tenant, &wanted);
                match tokio::task::spawn_blocking(read).await {
                    Ok(Ok(Some(bytes))) => Ok(bytes),
                    Ok(Err(unread)) if matches!(error, StoreError::NotFound { .. }) => {
                        Err(self.unread("the spool".to_owned(), digest, unread))
                    }
                    // It may have been uploaded between the two looks.
                    _ if matches!(error, StoreError::NotFound { .. }) => {
                        self.get_stored(digest).await
                    }
                    _ => Err(error),
                }
            }
        }
    }

    pub(super) fn unread(
        &self,
        spool: String,
        digest: &Digest,
        source: impl Error + Send + Sync + 'static,
    ) -> StoreError {
        StoreError::SpoolUnread {
            store: Arc::clone(&self.shared.common.place),
            spool,
            digest: *digest,
            source: Arc::new(source),
        }
    }

    async fn get_stored(&self, digest: &Digest) -> Result<Bytes, StoreError> {
        let got = self.get_from_store(digest).await;
        let counts = &self.shared.common.counts;
        got.inspect_err(|error| counts.failed(Asked::Get, error.reason()))
    }

    async fn get_from_store(&self, digest: &Digest) -> Result<Bytes, StoreError> {
        let key = self.shared.layout.key(digest);
        let mut attempts = Attempts::within(self.shared.common.config.timeout);
        let bytes = loop {
            let read = async { self.shared.common.client.get(&key).await?.bytes().await };
            let limit = Limit::All(attempts.left());
            match self.shared.within(limit, Action::Get, digest, read).await {
                Ok(bytes) => break bytes,
                Err(error) if error.is_outage() && attempts.again().await => {}
                Err(error) => return Err(error),
            }
        };
        let found = Digest::of(&bytes);
        if found == *digest {
            Ok(bytes)
        } else {
            self.forget(digest);
            Err(StoreError::Corrupt {
                store: Arc::clone(&self.shared.common.place),
                digest: *digest,
                found,
            })
        }
    }
}
