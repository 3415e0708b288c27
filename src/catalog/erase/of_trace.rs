//! A trace goes at once, and with it files that nothing else can refer to.
//!
//! That the catalog knows of no other reference is not enough: a replica that stored a file lately refers to it
//! again without storing it again, and what says so may wait in its journal. So a file goes only when it was
//! stored so long ago that nobody counts it as stored, and that everything which left while somebody did is in
//! the bucket. It is looked at the file's own time immediately before it goes; what was stored again meanwhile
//! stays. Here it is by one look what two runs with a grace between them are for files that expire: the grace
//! has passed since the file was stored.
//!
//! So whoever deletes a trace finds files of it for which it is too early; and what left before may be in a journal,
//! and comes into the bucket later. Therefore no deletion of a trace is finished before that time has passed, and it
//! is looked once more then.

use std::collections::HashSet;

use jiff::{SignedDuration, Timestamp};
use slimspan_artifact::Digest;

use super::super::entry::State;
use super::super::error::CatalogError;
use super::super::filter::Tenants;
use super::super::follower::{Catalog, Reach};
use super::super::ids::{EntryId, TraceId};
use super::super::tombstone::{Deleted, NOTHING, Tombstone};
use super::{Erased, Erasing, Fate, later};
use crate::storage::{BucketError, Store};
use crate::tenant::TenantId;

/// What refers to artifacts, as far as that is known when a trace goes.
pub(super) struct Known {
    /// How long after an artifact was stored all is known that may refer to it.
    pub(super) settles: SignedDuration,
    /// What was stored later may be referred to by more than is known.
    settled: Timestamp,
    /// Why nothing may go.
    pub(super) doubt: Option<CatalogError>,
}

impl Catalog {
    pub(super) async fn erase_trace(
        &self,
        store: &Store,
        tenant: &TenantId,
        trace: TraceId,
        reason: &str,
        told: &impl Fn(Erasing),
    ) -> Result<Erased, CatalogError> {
        let known = self.known(store, Timestamp::now()).await?;
        let artifacts = self.index().only_in(tenant, trace, Timestamp::MAX).await?;
        let spooled = self.spooled(tenant, &artifacts).await?;
        let time = Timestamp::now();
        let asked = Tombstone {
            id: EntryId::random(),
            time,
            tenant: tenant.clone(),
            deleted: Deleted::Trace { trace },
            reason: reason.to_owned(),
            up_to: None,
        };
        let mut tombstones = vec![asked.clone()];
        let with_it = artifacts.iter().map(|digest| with(&asked, *digest));
        tombstones.extend(with_it);
        let (of_tenant, terms) = (store.of_tenant(tenant), known.terms(time));
        let remove =
            move |digest| terms.remove(of_tenant.clone(), digest, spooled.contains(&digest));
        let last = later(time, known.settles);
        let announced = self.announce(tombstones).await?;
        let erased = self
            .remove(announced, artifacts, remove, Some(last), told)
            .await?;
        match known.doubt {
            Some(doubt) if !erased.waiting.is_empty() => Err(doubt),
            _ => Ok(erased),
        }
    }

    /// Finds out what refers to artifacts at `now`.
    pub(super) async fn known(&self, store: &Store, now: Timestamp) -> Result<Known, CatalogError> {
        let settles = store.settles_after();
        let settles = SignedDuration::try_from(settles).unwrap_or(SignedDuration::MAX);
        // Before it is read what refers to files: what left so long before that is among it.
        let settled = now.checked_sub(settles).unwrap_or(Timestamp::MIN);
        let synced = self.sync(Reach::All).await?;
        let doubt = match self.index().unreadable().await? {
            Some((key, lines)) => Some(CatalogError::Unreadable { key, lines }),
            None => synced.missed.then_some(CatalogError::Restless),
        };
        Ok(Known {
            settles,
            settled,
            doubt,
        })
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

/// By what it is judged whether an artifact of a trace goes.
#[derive(Debug, Clone, Copy)]
pub(super) struct Terms {
    /// Whether all of them stay for now.
    stays: bool,
    settles: SignedDuration,
    settled: Timestamp,
    now: Timestamp,
}

impl Known {
    /// The same, for what goes at `now`.
    pub(super) fn terms(&self, now: Timestamp) -> Terms {
        Terms {
            stays: self.doubt.is_some(),
            settles: self.settles,
            settled: self.settled,
            now,
        }
    }
}

impl Terms {
    /// Removes an artifact, if nothing else can refer to it. Of one that is spooled the store does not know yet.
    pub(super) async fn remove(
        self,
        of_tenant: Store,
        digest: Digest,
        is_spooled: bool,
    ) -> Result<Fate, BucketError> {
        let written = match written(&of_tenant, &digest).await? {
            None if is_spooled => self.now,
            // It was never stored, or is gone already.
            None => return Ok(Fate::Absent),
            Some(written) => written,
        };
        if self.stays || written > self.settled {
            return Ok(Fate::Waits(digest, later(written, self.settles)));
        }
        of_tenant.remove(&digest).await?;
        Ok(Fate::Gone)
    }
}

/// What tells that an artifact goes with the trace that this one tells of. Replicas do not count it as stored any
/// more. Nothing that waits in a spool is given up, and nothing is hidden but what is of the trace: it may be another
/// one's.
pub(super) fn with(asked: &Tombstone, digest: Digest) -> Tombstone {
    Tombstone {
        id: EntryId::random(),
        deleted: Deleted::Artifact { digest },
        up_to: Some(NOTHING),
        ..asked.clone()
    }
}

/// When the store got an artifact last.
async fn written(store: &Store, digest: &Digest) -> Result<Option<Timestamp>, BucketError> {
    let written = store.written(digest).await?;
    // What cannot be told was now.
    Ok(written.map(|written| Timestamp::try_from(written).unwrap_or(Timestamp::MAX)))
}
