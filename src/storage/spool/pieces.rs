//! Artifacts that wait, in pieces, for those who pass them on: nobody has to have the whole of a large one.

use std::ops::Range;
use std::sync::{Arc, Weak};

use bytes::Bytes;
use slimspan_artifact::Digest;

use super::{Shared, Spool, record};
use crate::journal::ReadError;
use crate::tenant::TenantId;

/// A spool that others own, and which ends with them.
#[derive(Clone)]
pub(in super::super) struct SpoolSeen(Weak<Shared>);

impl SpoolSeen {
    /// The spool, as long as somebody owns it.
    pub(in super::super) fn get(&self) -> Option<Spool> {
        let shared = self.0.upgrade()?;
        Some(Spool { shared })
    }
}

impl Spool {
    /// The same spool for who only looks at it.
    pub(in super::super) fn seen(&self) -> SpoolSeen {
        SpoolSeen(Arc::downgrade(&self.shared))
    }

    /// How many bytes an artifact has that waits; `None` where none waits.
    pub(in super::super) async fn size(
        &self,
        tenant: &TenantId,
        digest: &Digest,
    ) -> Result<Option<u64>, ReadError> {
        let read = self.part(tenant, digest, |start, _| start..start);
        Ok(read.await?.map(|(size, _)| size))
    }

    /// Some bytes of an artifact that waits, as they are on the disk: whether they are right shows in the whole
    /// of them. `None` where none waits.
    pub(in super::super) async fn read(
        &self,
        tenant: &TenantId,
        digest: &Digest,
        range: Range<u64>,
    ) -> Result<Option<Bytes>, ReadError> {
        let at = |offset: u64, start: usize| {
            let offset = usize::try_from(offset).unwrap_or(usize::MAX);
            start.saturating_add(offset)
        };
        let read = self.part(tenant, digest, move |start, _| {
            at(range.start, start)..at(range.end, start)
        });
        Ok(read.await?.map(|(_, bytes)| bytes))
    }

    /// The size of an artifact, and those bytes of its record that `range` says, which is told where the
    /// artifact begins there and where it ends.
    async fn part(
        &self,
        tenant: &TenantId,
        digest: &Digest,
        range: impl FnOnce(usize, usize) -> Range<usize> + Send + 'static,
    ) -> Result<Option<(u64, Bytes)>, ReadError> {
        let key = (tenant.clone(), *digest);
        let Some(entry) = self.shared.waiting().by_key.get(&key).copied() else {
            return Ok(None);
        };
        let spool = self.clone();
        let read = move || {
            let journal = &spool.shared.journal;
            let head = journal.read_part(&entry, 0..record::HEAD)?;
            let Some(start) = record::start(&head) else {
                return Ok(None);
            };
            let bytes = journal.read_part(&entry, range(start, entry.len()))?;
            let size = entry.len().saturating_sub(start) as u64;
            Ok(Some((size, bytes)))
        };
        // It fails only where the runtime ends.
        let read = tokio::task::spawn_blocking(read).await.unwrap_or(Ok(None));
        match read {
            // Nobody knows what it is.
            Err(error @ ReadError::Io { .. }) => Err(error),
            Err(ReadError::Removed | ReadError::Damaged { .. }) => Ok(None),
            Ok(read) => Ok(read),
        }
    }
}
