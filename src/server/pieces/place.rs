use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;
use sha2::{Digest as _, Sha256};
use slimspan_artifact::Digest;

use super::{Checked, PIECE};
use crate::compute;
use crate::server::media::Media;
use crate::storage::{Store, StoreError};
use crate::telemetry::ServerCounts;

/// Where the bytes of an artifact are.
#[derive(Clone)]
pub(super) struct Place {
    pub(super) store: Store,
    pub(super) digest: Digest,
    /// Whether they were in the spool when it was opened.
    pub(super) is_spooled: bool,
    /// Told where its bytes are not what they have to be.
    pub(super) counts: Arc<ServerCounts>,
}

impl Place {
    pub(super) async fn read(&self, range: Range<u64>) -> Result<Bytes, StoreError> {
        // It may have been uploaded since.
        if self.is_spooled
            && let Some(bytes) = self.store.read_spooled(&self.digest, range.clone()).await?
        {
            return Ok(bytes);
        }
        self.store.read(&self.digest, range).await
    }

    /// Its bytes are others, which is counted.
    pub(super) fn damaged(&self, found: Digest) -> StoreError {
        self.counts.damaged();
        self.store.damaged(self.digest, found)
    }
}

/// Reads all of an artifact, and keeps nothing of it but hashes.
pub(super) async fn check(place: &Place, size: u64) -> Result<Arc<Checked>, StoreError> {
    check_and(place, size, drop).await
}

/// The same, and `keep` has each piece of it, of which nobody knows yet that it is right.
pub(super) async fn check_and(
    place: &Place,
    size: u64,
    mut keep: impl FnMut(Bytes) + Send,
) -> Result<Arc<Checked>, StoreError> {
    let (mut sha256, mut hashes) = (Sha256::new(), Vec::new());
    let (mut at, mut media) = (0, Media::of(&[]));
    while at < size {
        let end = (at + PIECE).min(size);
        let piece = place.read(at..end).await?;
        if at == 0 {
            media = Media::of(&piece);
        }
        let copy = piece.clone();
        keep(piece);
        let done = hash(move || {
            sha256.update(&copy);
            (sha256, blake3::hash(&copy))
        });
        let Some((so_far, hash)) = done.await else {
            return Err(place.damaged(Digest::of(&[])));
        };
        (sha256, at) = (so_far, end);
        hashes.push(hash);
    }
    let found = Digest::from(<[u8; 32]>::from(sha256.finalize()));
    if found != place.digest {
        return Err(place.damaged(found));
    }
    Ok(Arc::new(Checked {
        size,
        media,
        hashes,
    }))
}

/// Hashes beside the work on requests; none where it panicked.
pub(super) async fn hash<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> Option<T> {
    compute::run(work).await.ok()
}
