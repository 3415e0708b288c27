//! A trace goes at once, and with it files that nothing else can refer to.
//!
//! That the catalog knows of no other reference is not enough: a replica that stored a file lately refers to it
//! again without storing it again, and what says so may wait in its journal. So a file goes only when it was
//! stored so long ago that nobody counts it as stored, and that everything which left while somebody did is in
//! the bucket. It is looked at the file's own time immediately before it goes; what was stored again meanwhile
//! stays. Here it is by one look what two runs with a grace between them are for files that expire: the grace
//! has passed since the file was stored.

use std::collections::HashSet;

use jiff::{SignedDuration, Timestamp};
use slimspan_artifact::Digest;

use super::super::entry::State;
use super::super::error::CatalogError;
use super::super::filter::Tenants;
use super::super::follower::{Catalog, Reach};
use super::super::ids::{EntryId, TraceId};
use super::super::tombstone::{Deleted, Tombstone};
use super::{Erased, Fate};
use crate::storage::{BucketError, Store};
use crate::tenant::TenantId;

/// Up to then nothing was recorded.
const NOTHING: Timestamp = Timestamp::UNIX_EPOCH;

impl Catalog {
    pub(super) async fn erase_trace(
        &self,
        store: &Store,
        tenant: &TenantId,
        trace: TraceId,
        reason: &str,
    ) -> Result<Erased, CatalogError> {
        let of_tenant = store.of_tenant(tenant);
        let settles = of_tenant.settles_after();
        let settles = SignedDuration::try_from(settles).unwrap_or(SignedDuration::MAX);
        // Before it is read what refers to files: what left so long before that is among it.
        let begun = Timestamp::now();
        let settled = begun.checked_sub(settles).unwrap_or(Timestamp::MIN);
        let synced = self.sync(Reach::All).await?;
        let doubt = match self.index().unreadable().await? {
            Some((key, lines)) => Some(CatalogError::Unreadable { key, lines }),
            None => synced.missed.then_some(CatalogError::Restless),
        };
        let artifacts = self.index().only_in(tenant, trace).await?;
        let spooled = self.spooled(tenant, &artifacts).await?;
        let time = Timestamp::now();
        let tombstone = |deleted, up_to| Tombstone {
            id: EntryId::random(),
            time,
            tenant: tenant.clone(),
            deleted,
            reason: reason.to_owned(),
            up_to,
        };
        let mut tombstones = vec![tombstone(Deleted::Trace { trace }, None)];
        // Replicas do not count these as stored any more. Nothing that waits in a spool is given up, and nothing
        // is hidden but what is of the trace: it may be another one's.
        let with_it = artifacts.iter().copied();
        tombstones
            .extend(with_it.map(|digest| tombstone(Deleted::Artifact { digest }, Some(NOTHING))));
        let stays = doubt.is_some();
        let removals = artifacts.into_iter().map(|digest| {
            let (of_tenant, is_spooled) = (of_tenant.clone(), spooled.contains(&digest));
            async move {
                let written = match written(&of_tenant, &digest).await? {
                    None if is_spooled => time,
                    // It was never stored, or is gone already.
                    None => return Ok(Fate::Gone),
                    Some(written) => written,
                };
                if stays || written > settled {
                    let until = written.checked_add(settles).unwrap_or(Timestamp::MAX);
                    return Ok(Fate::Waits(digest, until));
                }
                of_tenant.remove(&digest).await?;
                Ok::<_, BucketError>(Fate::Gone)
            }
        });
        let erased = self.carry_out(tombstones, removals).await?;
        match doubt {
            Some(doubt) if !erased.waiting.is_empty() => Err(doubt),
            _ => Ok(erased),
        }
    }

    /// Those of these artifacts that wait in a replica's spool, as far as is known.
    async fn spooled(
        &self,
        tenant: &TenantId,
        artifacts: &[Digest],
    ) -> Result<HashSet<Digest>, CatalogError> {
        let tenants = Tenants::one(tenant.clone());
        let mut spooled = HashSet::new();
        for digest in artifacts {
            let facts = self.index().artifact(&tenants, digest).await?;
            if facts.is_some_and(|facts| facts.state == State::Spooled) {
                spooled.insert(*digest);
            }
        }
        Ok(spooled)
    }
}

/// When the store got an artifact last.
async fn written(store: &Store, digest: &Digest) -> Result<Option<Timestamp>, BucketError> {
    let written = store.written(digest).await?;
    // What cannot be told was now.
    Ok(written.map(|written| Timestamp::try_from(written).unwrap_or(Timestamp::MAX)))
}
