//! Pieces on their way to who reads them.

use std::ops::Range;
use std::sync::Arc;
use std::vec::IntoIter;

use bytes::Bytes;
use futures::stream::{self, Stream};
use sha2::{Digest as _, Sha256};
use slimspan_artifact::Digest;
use tokio::sync::OnceCell;

use super::place::{Place, hash};
use super::{Checked, Opened, PIECE, ReadError, Source};
use crate::admission::Lease;
use crate::server::media::Media;
use crate::storage::StoreError;

impl Opened {
    /// The bytes in `range`, which has to be within it. What is found to be wrong on the way ends it with an
    /// error.
    pub(crate) fn bytes(
        self,
        range: Range<u64>,
    ) -> impl Stream<Item = Result<Bytes, ReadError>> + Send + use<> {
        let size = self.size;
        let state = match self.source {
            Source::Held(bytes) => State::Held(Some(within(&bytes, 0, &range))),
            Source::Kept(pieces, lease) => State::Kept {
                pieces: pieces.into_iter(),
                at: 0,
                _lease: lease,
            },
            Source::Checked(place, checked) => State::Checked {
                place,
                checked,
                next: range.start / PIECE,
            },
            Source::Unchecked(place, first, cell) => State::Unchecked(Box::new(OnTheWay {
                place,
                cell,
                first: Some(first),
                media: self.media,
                sha256: Sha256::new(),
                hashes: Vec::new(),
                at: 0,
            })),
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
    Held(Option<Bytes>),
    Kept {
        pieces: IntoIter<Bytes>,
        /// Where the next one begins.
        at: u64,
        _lease: Lease,
    },
    Checked {
        place: Place,
        checked: Arc<Checked>,
        next: u64,
    },
    Unchecked(Box<OnTheWay>),
}

/// An artifact that is checked while it is sent.
struct OnTheWay {
    place: Place,
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
            Self::Held(part) => Ok(part.take().filter(|part| !part.is_empty())),
            Self::Kept { pieces, at, .. } => {
                for piece in pieces {
                    let start = *at;
                    *at += piece.len() as u64;
                    let part = within(&piece, start, range);
                    if !part.is_empty() {
                        return Ok(Some(part));
                    }
                }
                Ok(None)
            }
            Self::Checked {
                place,
                checked,
                next,
            } => {
                let start = *next * PIECE;
                if start >= range.end {
                    return Ok(None);
                }
                let piece = place.read(start..(start + PIECE).min(size)).await?;
                let copy = piece.clone();
                let hash = hash(move || blake3::hash(&copy)).await;
                if hash.as_ref() != checked.hashes.get(*next as usize) {
                    return Err(place.damaged(Digest::of(&piece)));
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
        let end = (self.at + PIECE).min(size);
        let piece = match self.first.take() {
            Some(first) => first,
            None => self.place.read(self.at..end).await?,
        };
        self.at = end;
        self.add(&piece).await;
        if end < size {
            return Ok(Some(piece));
        }
        let sha256 = std::mem::take(&mut self.sha256);
        let found = Digest::from(<[u8; 32]>::from(sha256.finalize()));
        if found != self.place.digest {
            let error = self.place.damaged(found);
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

/// What of a piece that begins at `start` is in `range`.
fn within(piece: &Bytes, start: u64, range: &Range<u64>) -> Bytes {
    let len = piece.len() as u64;
    let from = range.start.saturating_sub(start).min(len);
    let to = range.end.saturating_sub(start).min(len);
    piece.slice(from as usize..to.max(from) as usize)
}
