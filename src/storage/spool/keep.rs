use std::sync::Arc;

use futures::future::try_join_all;
use jiff::Timestamp;
use slimspan_artifact::{Artifact, Digest};

use super::{Shared, Spool, record};
use crate::journal::AppendError;
use crate::tenant::TenantId;

/// An artifact cannot be kept in the spool. Trying again can help. The text names the key that is
/// about it.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum SpoolError {
    /// It has no room until the store takes some of it.
    #[error(
        "{key}.max_bytes: {spool} is full with artifacts that the store does not take: {source}"
    )]
    Full {
        /// The path of its configuration.
        key: String,
        /// The spool, for people.
        spool: String,
        /// What is missing.
        source: AppendError,
    },
    /// It has no room for this tenant until the store takes some of what it has here.
    #[error(
        "{key}.max_bytes_per_tenant: {spool} has {waiting} bytes of the tenant {tenant} that the \
         store does not take, and {more} more are over the {limit} of one tenant"
    )]
    TenantFull {
        /// The path of its configuration.
        key: String,
        /// The spool, for people.
        spool: String,
        /// Whose artifacts they are.
        tenant: TenantId,
        /// The bytes that wait.
        waiting: u64,
        /// The bytes that do not fit.
        more: u64,
        /// The bytes that may wait.
        limit: u64,
    },
    /// Its disk takes nothing.
    #[error("{key}.directory: {spool} cannot be written to: {source}")]
    Disk {
        /// The path of its configuration.
        key: String,
        /// The spool, for people.
        spool: String,
        /// What the system said.
        source: AppendError,
    },
}

impl Spool {
    /// Makes `artifacts` of `tenant` durable: when this returns `Ok`, each of them waits here, or is `known` to
    /// be stored. Returns how many are new.
    ///
    /// One that several requests carry at the same time is appended once. It is safe to try again,
    /// and to drop the future.
    pub(in super::super) async fn keep_all(
        &self,
        tenant: &TenantId,
        artifacts: &[Artifact],
        known: impl Fn(&Digest) -> bool,
    ) -> Result<usize, SpoolError> {
        let new: Vec<&Artifact> = artifacts
            .iter()
            .filter(|artifact| !known(&artifact.digest) && !self.relies(tenant, &artifact.digest))
            .collect();
        self.has_room_for(tenant, &new)?;
        let appends = new.into_iter().map(|artifact| {
            let append = append(self.clone(), tenant.clone(), artifact.clone());
            let key = (tenant.clone(), artifact.digest);
            let passenger = self.shared.appends.join(key, append);
            async move { passenger.work.await.map(|()| passenger.first) }
        });
        // All at the same time, so that they share a sync.
        let appended = try_join_all(appends).await?;
        Ok(appended.into_iter().filter(|first| *first).count())
    }

    /// Whether the tenant's share has room. Requests that come together may pass the limit together:
    /// the disk's own is the hard one.
    fn has_room_for(&self, tenant: &TenantId, new: &[&Artifact]) -> Result<(), SpoolError> {
        let Some(limit) = self.shared.max_bytes_per_tenant else {
            return Ok(());
        };
        let more: u64 = new.iter().map(|artifact| artifact.bytes.len() as u64).sum();
        let waiting = self.shared.waiting();
        let waiting = waiting.by_tenant.get(tenant).map_or(0, |of| of.bytes);
        if more == 0 || waiting + more <= limit {
            return Ok(());
        }
        Err(SpoolError::TenantFull {
            key: self.shared.key.clone(),
            spool: self.to_string(),
            tenant: tenant.clone(),
            waiting,
            more,
            limit,
        })
    }
}

async fn append(spool: Spool, tenant: TenantId, artifact: Artifact) -> Result<(), SpoolError> {
    let shared: &Arc<Shared> = &spool.shared;
    // Another append may have ended between the caller's look and now.
    if spool.relies(&tenant, &artifact.digest) {
        return Ok(());
    }
    let appended = shared
        .journal
        .append(&record::parts(&tenant, &artifact))
        .await;
    let entry = appended.map_err(|source| {
        let (key, spool) = (shared.key.clone(), spool.to_string());
        // What can never fit is kept from happening when the configuration is checked.
        if matches!(
            source,
            AppendError::Full { .. } | AppendError::TooLarge { .. }
        ) {
            shared.is_full(true);
            SpoolError::Full { key, spool, source }
        } else {
            SpoolError::Disk { key, spool, source }
        }
    })?;
    shared.is_full(false);
    let key = (tenant, artifact.digest);
    shared.waiting().add(key, entry, Timestamp::now());
    shared.arrived.notify_one();
    Ok(())
}
