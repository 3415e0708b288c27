//! Artifacts in pieces, for those who pass them on: nobody has to have the whole of a large one.

use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;
use jiff::Timestamp;
use object_store::ObjectStoreExt as _;
use slimspan_artifact::Digest;

use super::{Limit, Store};
use crate::storage::error::{Action, StoreError};
use crate::storage::retry::Attempts;
use crate::telemetry::Action as Asked;
use crate::tenant::TenantId;

/// What a store knows of an artifact without reading it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ObjectFacts {
    /// How many bytes there are.
    pub size: u64,
    /// When they were put there last.
    pub stored_at: Timestamp,
}

impl Store {
    /// Whose artifacts it has.
    pub fn tenant(&self) -> &TenantId {
        &self.shared.tenant
    }

    /// What the store knows of an artifact. One that waits in a spool it does not have.
    pub async fn facts(&self, digest: &Digest) -> Result<ObjectFacts, StoreError> {
        let key = self.shared.layout.key(digest);
        let client = &self.shared.common.client;
        let found = self.asking(digest, || client.head(&key)).await?;
        let modified = found.last_modified;
        let stored_at = Timestamp::new(modified.timestamp(), 0);
        Ok(ObjectFacts {
            size: found.size,
            stored_at: stored_at.unwrap_or_default(),
        })
    }

    /// Some bytes of an artifact that is in the store, as they are there: whether they are right shows in the
    /// whole of them.
    pub async fn read(&self, digest: &Digest, range: Range<u64>) -> Result<Bytes, StoreError> {
        let key = self.shared.layout.key(digest);
        let client = &self.shared.common.client;
        let read = || client.get_range(&key, range.clone());
        self.asking(digest, read).await
    }

    /// How many bytes an artifact has that waits in the spool of this process.
    pub async fn spooled_size(&self, digest: &Digest) -> Result<Option<u64>, StoreError> {
        let Some(spool) = self.spool() else {
            return Ok(None);
        };
        let size = spool.size(&self.shared.tenant, digest).await;
        size.map_err(|unread| self.unread(spool.to_string(), digest, unread))
    }

    /// Whether an artifact waits in the spool of this process, for somebody who relies on that from now on: it is
    /// not given up for what was deleted before.
    pub fn relies_on_spool(&self, digest: &Digest) -> bool {
        let spool = self.spool();
        spool.is_some_and(|spool| spool.relies(&self.shared.tenant, digest))
    }

    /// Some bytes of an artifact that waits in the spool of this process, as they are there; `None` where it
    /// does not wait, or not any more.
    pub async fn read_spooled(
        &self,
        digest: &Digest,
        range: Range<u64>,
    ) -> Result<Option<Bytes>, StoreError> {
        let Some(spool) = self.spool() else {
            return Ok(None);
        };
        let read = spool.read(&self.shared.tenant, digest, range).await;
        read.map_err(|unread| self.unread(spool.to_string(), digest, unread))
    }

    /// What became of bytes that turned out not to be the artifact; counts it. When the artifact comes again, it
    /// is stored again.
    pub fn damaged(&self, digest: Digest, found: Digest) -> StoreError {
        self.forget(&digest);
        let error = StoreError::Corrupt {
            store: Arc::clone(&self.shared.common.place),
            digest,
            found,
        };
        let counts = &self.shared.common.counts;
        counts.failed(Asked::Get, error.reason());
        error
    }

    /// Asks the store, again where it is away for a moment, within the time that it has.
    async fn asking<T, F>(
        &self,
        digest: &Digest,
        mut ask: impl FnMut() -> F,
    ) -> Result<T, StoreError>
    where
        F: Future<Output = object_store::Result<T>>,
    {
        let mut attempts = Attempts::within(self.shared.common.config.timeout);
        let asked = loop {
            let limit = Limit::All(attempts.left());
            match self.shared.within(limit, Action::Get, digest, ask()).await {
                Err(error) if error.is_outage() && attempts.again().await => {}
                asked => break asked,
            }
        };
        let counts = &self.shared.common.counts;
        asked.inspect_err(|error| counts.failed(Asked::Get, error.reason()))
    }
}
