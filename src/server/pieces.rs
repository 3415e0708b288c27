//! Artifacts in pieces that are checked before they go anywhere.
//!
//! What is short is read whole. Of what is long the hash of each piece is remembered once all of it was found
//! to be right, so that any part of it can be given without reading the rest again; and where all of it is
//! asked for before that, it is checked on the way, and the last piece goes only if it was right.

use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;
use futures::stream::{self, Stream};
use moka::sync::Cache;
use sha2::{Digest as _, Sha256};
use slimspan_artifact::Digest;
use tokio::sync::{OnceCell, OwnedSemaphorePermit, Semaphore};

use super::address::Address;
use super::media::{HEAD, Media};
use crate::compute;
use crate::storage::{Store, StoreError};

/// The most that is in memory of an artifact for one who reads it.
pub(crate) const PIECE: u64 = 1 << 20;

/// What is longer is checked on the way, if it is asked for from its beginning to its end.
const CHECKED_BEFORE: u64 = 8 << 20;

/// The hashes of pieces that are remembered: 32 bytes for each mebibyte of artifacts.
const REMEMBERED: u64 = 1 << 20;

/// Long artifacts that are checked, and artifacts read from the spool, at a time.
const AT_A_TIME: usize = 4;

/// The artifacts that were read, as far as that is remembered.
pub(super) struct Pieces {
    checked: Cache<Address, Arc<OnceCell<Arc<Checked>>>>,
    turns: Arc<Semaphore>,
}

/// An artifact in the store that was found to be right.
struct Checked {
    size: u64,
    media: Media,
    hashes: Vec<blake3::Hash>,
}

/// An artifact that can be read.
pub(crate) struct Opened {
    /// How many bytes it has.
    pub(crate) size: u64,
    /// What they show to be.
    pub(crate) media: Media,
    source: Source,
}

enum Source {
    /// All of it, which is right.
    Held(Bytes, Option<OwnedSemaphorePermit>),
    /// In the store, and was right.
    Checked(Store, Digest, Arc<Checked>),
    /// In the store, with its first piece here.
    Unchecked(Store, Address, Bytes, Arc<OnceCell<Arc<Checked>>>),
}

/// How an artifact is going to be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reading {
    /// Only what it is.
    Facts,
    /// From its beginning to its end.
    Whole,
    /// A part, or parts.
    Part,
}

/// Why an artifact ends before its end.
#[derive(Debug, Clone, thiserror::Error)]
#[error(transparent)]
pub(crate) struct ReadError(#[from] pub StoreError);

impl Pieces {
    pub(super) fn new() -> Self {
        Self {
            checked: Cache::builder()
                .weigher(|_, cell: &Arc<OnceCell<Arc<Checked>>>| {
                    let hashes = cell.get().map_or(0, |checked| checked.hashes.len());
                    u32::try_from(hashes).unwrap_or(u32::MAX).saturating_add(4)
                })
                .max_capacity(REMEMBERED)
                .build(),
            turns: Arc::new(Semaphore::new(AT_A_TIME)),
        }
    }

    /// Forgets an artifact: it was deleted.
    pub(super) fn forget(&self, address: &Address) {
        self.checked.invalidate(address);
    }

    /// Opens an artifact of `store`, which is that of its tenant.
    pub(super) async fn open(
        &self,
        store: &Store,
        address: &Address,
        reading: impl FnOnce(u64) -> Reading,
    ) -> Result<Opened, StoreError> {
        let digest = address.digest;
        let mut unread = None;
        // The store may be away, which is why it waits.
        if store
            .spool()
            .is_some_and(|spool| spool.has(store.tenant(), &digest))
        {
            // It is in memory until the last of it is sent.
            let turn = Arc::clone(&self.turns).acquire_owned().await.ok();
            match store.spooled(&digest).await {
                Ok(Some(bytes)) => return Ok(Opened::held(bytes, turn)),
                Ok(None) => {}
                Err(error) => unread = Some(error),
            }
        }
        let size = match (store.facts(&digest).await, unread) {
            // It is not missing, it waits where it cannot be read.
            (Err(StoreError::NotFound { .. }), Some(unread)) => return Err(unread),
            (facts, _) => facts?.size,
        };
        if size <= PIECE {
            let bytes = match size {
                0 => Bytes::new(),
                size => store.read(&digest, 0..size).await?,
            };
            let found = Digest::of(&bytes);
            if found != digest {
                return Err(store.damaged(digest, found));
            }
            return Ok(Opened::held(bytes, None));
        }
        let reading = reading(size);
        if reading == Reading::Facts {
            let head = store.read(&digest, 0..HEAD as u64).await?;
            return Ok(Opened {
                size,
                media: Media::of(&head),
                source: Source::Held(Bytes::new(), None),
            });
        }
        let mut cell = self.checked.get_with_by_ref(address, Arc::default);
        if cell.get().is_some_and(|checked| checked.size != size) {
            // Somebody has written to the store.
            self.forget(address);
            cell = self.checked.get_with_by_ref(address, Arc::default);
        }
        let is_short = size <= CHECKED_BEFORE;
        if cell.get().is_none() && reading == Reading::Whole && !is_short {
            let first = store.read(&digest, 0..PIECE).await?;
            return Ok(Opened {
                size,
                media: Media::of(&first),
                source: Source::Unchecked(store.clone(), address.clone(), first, cell),
            });
        }
        let checking = async {
            let _turn = self.turns.acquire().await;
            check(store, digest, size).await
        };
        let checked = Arc::clone(cell.get_or_try_init(|| checking).await?);
        // It weighs what it holds.
        self.checked.insert(address.clone(), cell);
        Ok(Opened {
            size,
            media: checked.media,
            source: Source::Checked(store.clone(), digest, checked),
        })
    }
}

impl Opened {
    fn held(bytes: Bytes, turn: Option<OwnedSemaphorePermit>) -> Self {
        Self {
            size: bytes.len() as u64,
            media: Media::of(&bytes),
            source: Source::Held(bytes, turn),
        }
    }

    /// The bytes in `range`, which has to be within it. What is found to be wrong on the way ends it with an
    /// error.
    pub(crate) fn bytes(
        self,
        range: Range<u64>,
    ) -> impl Stream<Item = Result<Bytes, ReadError>> + Send + use<> {
        let size = self.size;
        let state = match self.source {
            Source::Held(bytes, turn) => {
                let part = within(&bytes, 0, &range);
                State::Held(Some(part), turn)
            }
            Source::Checked(store, digest, checked) => State::Checked {
                store,
                digest,
                checked,
                next: range.start / PIECE,
            },
            Source::Unchecked(store, address, first, cell) => {
                State::Unchecked(Box::new(OnTheWay {
                    store,
                    address,
                    cell,
                    first: Some(first),
                    media: self.media,
                    sha256: Sha256::new(),
                    hashes: Vec::new(),
                    at: 0,
                }))
            }
        };
        stream::try_unfold(
            (state, range, size),
            |(mut state, range, size)| async move {
                let piece = state.next(&range, size).await?;
                Ok(piece.map(|piece| (piece, (state, range, size))))
            },
        )
    }
}

enum State {
    Held(Option<Bytes>, Option<OwnedSemaphorePermit>),
    Checked {
        store: Store,
        digest: Digest,
        checked: Arc<Checked>,
        next: u64,
    },
    Unchecked(Box<OnTheWay>),
}

/// An artifact that is checked while it is sent.
struct OnTheWay {
    store: Store,
    address: Address,
    cell: Arc<OnceCell<Arc<Checked>>>,
    first: Option<Bytes>,
    media: Media,
    sha256: Sha256,
    hashes: Vec<blake3::Hash>,
    at: u64,
}

impl State {
    async fn next(&mut self, range: &Range<u64>, size: u64) -> Result<Option<Bytes>, StoreError> {
        match self {
            // The turn ends with the stream.
            Self::Held(part, _turn) => Ok(part.take().filter(|part| !part.is_empty())),
            Self::Checked {
                store,
                digest,
                checked,
                next,
            } => {
                let start = *next * PIECE;
                if start >= range.end {
                    return Ok(None);
                }
                let piece = store.read(digest, start..(start + PIECE).min(size)).await?;
                let copy = piece.clone();
                let hash = hash(move || blake3::hash(&copy)).await;
                if hash.as_ref() != checked.hashes.get(*next as usize) {
                    return Err(store.damaged(*digest, Digest::of(&piece)));
                }
                *next += 1;
                Ok(Some(within(&piece, start, range)))
            }
            Self::Unchecked(on_the_way) => on_the_way.next(size).await,
        }
    }
}

impl OnTheWay {
    async fn next(&mut self, size: u64) -> Result<Option<Bytes>, StoreError> {
        if self.at >= size {
            return Ok(None);
        }
        let digest = self.address.digest;
        let end = (self.at + PIECE).min(size);
        let piece = match self.first.take() {
            Some(first) => first,
            None => self.store.read(&digest, self.at..end).await?,
        };
        self.at = end;
        self.add(&piece).await;
        if end < size {
            return Ok(Some(piece));
        }
        let sha256 = std::mem::take(&mut self.sha256);
        let found = Digest::from(<[u8; 32]>::from(sha256.finalize()));
        if found != digest {
            let error = self.store.damaged(digest, found);
            tracing::error!("{error}; what was sent of it was cut before its end");
            return Err(error);
        }
        let (media, hashes) = (self.media, std::mem::take(&mut self.hashes));
        // Another may have been faster.
        let _ = self.cell.set(Arc::new(Checked {
            size,
            media,
            hashes,
        }));
        Ok(Some(piece))
    }

    async fn add(&mut self, piece: &Bytes) {
        let (piece, mut sha256) = (piece.clone(), std::mem::take(&mut self.sha256));
        let done = hash(move || {
            sha256.update(&piece);
            (sha256, blake3::hash(&piece))
        });
        if let Some((sha256, hash)) = done.await {
            self.sha256 = sha256;
            self.hashes.push(hash);
        }
    }
}

/// Reads all of an artifact, and keeps nothing of it but hashes.
async fn check(store: &Store, digest: Digest, size: u64) -> Result<Arc<Checked>, StoreError> {
    let (mut sha256, mut hashes) = (Sha256::new(), Vec::new());
    let (mut at, mut media) = (0, Media::of(&[]));
    while at < size {
        let end = (at + PIECE).min(size);
        let piece = store.read(&digest, at..end).await?;
        if at == 0 {
            media = Media::of(&piece);
        }
        let done = hash(move || {
            sha256.update(&piece);
            (sha256, blake3::hash(&piece))
        });
        let Some((so_far, hash)) = done.await else {
            return Err(store.damaged(digest, Digest::of(&[])));
        };
        (sha256, at) = (so_far, end);
        hashes.push(hash);
    }
    let found = Digest::from(<[u8; 32]>::from(sha256.finalize()));
    if found != digest {
        return Err(store.damaged(digest, found));
    }
    Ok(Arc::new(Checked {
        size,
        media,
        hashes,
    }))
}

/// Hashes beside the work on requests; none where it panicked.
async fn hash<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Option<T> {
    compute::run(work).await.ok()
}

/// What of a piece that begins at `start` is in `range`.
fn within(piece: &Bytes, start: u64, range: &Range<u64>) -> Bytes {
    let len = piece.len() as u64;
    let from = range.start.saturating_sub(start).min(len);
    let to = range.end.saturating_sub(start).min(len);
    piece.slice(from as usize..to.max(from) as usize)
}

impl fmt::Debug for Pieces {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pieces").finish_non_exhaustive()
    }
}
