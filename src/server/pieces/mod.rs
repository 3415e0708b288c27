//! Artifacts in pieces that are checked before they go anywhere.
//!
//! What is short is read whole, and looked at each time before any of it goes. The hash of each piece is remembered
//! once all was found to be right, so that any part can be given without reading the rest again; and where all of what
//! is long is asked for before that, it is checked on the way, and the last piece goes only if it was right.

mod checks;
mod place;
mod sending;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use moka::sync::Cache;
use slimspan_artifact::Digest;
use tokio::sync::OnceCell;

use self::checks::Checks;
use self::place::{Place, check, check_and};
use super::address::Address;
use super::media::Media;
use super::slots::{Full, Slots};
use crate::admission::{Budget, Lease, Share};
use crate::storage::{Store, StoreError};
use crate::telemetry::ServerCounts;

/// The most that is in memory of an artifact for one who reads it.
pub(crate) const PIECE: u64 = 1 << 20;

/// What is read of a long one to know what it is: where it is a picture, how large it is may stand behind a lot of facts.
const LOOKED_AT: u64 = 256 << 10;

/// What is longer is checked on the way, if it is asked for from its beginning to its end, and in turns if not.
const CHECKED_BEFORE: u64 = 8 << 20;

/// Of the memory for requests, what is short and is looked at before it goes has one part in so many; for who finds all
/// of it taken the store is read twice.
const HELD: u64 = 8;

/// The hashes of pieces that are remembered: 32 bytes for each mebibyte of artifacts.
const REMEMBERED: u64 = 1 << 20;

/// Long artifacts that are checked at a time, half of them at most for one who asks: to check one takes as long as
/// the store does.
const AT_A_TIME: usize = 4;

/// Artifacts of which it is remembered that their bytes came through here and were right.
const VOUCHED: u64 = 10_000;

/// How long that is remembered.
const LATELY: Duration = Duration::from_mins(10);

/// The artifacts that were read, as far as that is remembered.
pub(super) struct Pieces {
    checked: Cache<Address, Arc<OnceCell<Arc<Checked>>>>,
    /// The sizes of those whose bytes came through here lately.
    vouched: Cache<Address, u64>,
    turns: Slots,
    /// The long ones that are checked now, each of so many bytes.
    checks: Checks<(Address, u64), Result<Arc<Checked>, StoreError>>,
    /// Told of what is damaged.
    counts: Arc<ServerCounts>,
    /// The memory for requests, and what of it may be held here.
    budget: Budget,
    held: Arc<Share>,
}

/// An artifact that was found to be right.
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
    Held(Bytes),
    /// The same in pieces, and the memory that they take.
    Kept(Vec<Bytes>, Lease),
    /// Where it was right.
    Checked(Place, Arc<Checked>),
    /// Nobody has looked at all of it yet. Its first piece is here.
    Unchecked(Place, Bytes, Arc<OnceCell<Arc<Checked>>>),
}

/// How an artifact is going to be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reading {
    /// Only what it is, and that it is right, unless that takes long.
    Facts,
    /// Only what it is: somebody has found it right a moment ago.
    KnownFacts,
    /// From its beginning to its end.
    Whole,
    /// A part, or parts.
    Part,
}

/// Why an artifact ends before its end.
#[derive(Debug, Clone, thiserror::Error)]
#[error(transparent)]
pub(crate) struct ReadError(#[from] pub StoreError);

/// Why an artifact cannot be read.
#[derive(Debug, thiserror::Error)]
pub(crate) enum OpenError {
    /// The store does not give it.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// It has to be checked before, and others are.
    #[error("too many long files are checked at the moment: {0}")]
    Busy(Full),
    /// The same, and another who reads it began with that.
    #[error("this file is checked at the moment, which takes long")]
    Slow,
}

impl Pieces {
    pub(super) fn new(counts: Arc<ServerCounts>, budget: Budget) -> Self {
        let held = budget.limit() / HELD;
        let told = format!(
            "the {} MiB for files that are looked at before they go",
            held >> 20
        );
        Self {
            held: Arc::new(Share::new(held, told)),
            budget,
            checked: Cache::builder()
                .weigher(|_, cell: &Arc<OnceCell<Arc<Checked>>>| {
                    let hashes = cell.get().map_or(0, |checked| checked.hashes.len());
                    u32::try_from(hashes).unwrap_or(u32::MAX).saturating_add(4)
                })
                .max_capacity(REMEMBERED)
                .build(),
            vouched: Cache::builder()
                .max_capacity(VOUCHED)
                .time_to_live(LATELY)
                .build(),
            turns: Slots::new(AT_A_TIME),
            checks: Checks::new(),
            counts,
        }
    }

    /// All bytes of an artifact came through here, and have its digest.
    pub(super) fn vouch(&self, address: &Address, size: u64) {
        self.vouched.insert(address.clone(), size);
    }

    /// Whether somebody said so lately.
    pub(super) fn is_vouched(&self, address: &Address) -> bool {
        self.vouched.contains_key(address)
    }

    /// Forgets an artifact: it was deleted.
    pub(super) fn forget(&self, address: &Address) {
        self.checked.invalidate(address);
        self.vouched.invalidate(address);
    }

    /// Opens an artifact of `store`, which is that of its tenant. Where it takes long, it is `payer` who has a share
    /// of that.
    pub(super) async fn open(
        &self,
        store: &Store,
        address: &Address,
        payer: &str,
        reading: impl Fn(u64) -> Reading,
    ) -> Result<Opened, OpenError> {
        let digest = address.digest;
        let place = |is_spooled| Place {
            store: store.clone(),
            digest,
            is_spooled,
            counts: Arc::clone(&self.counts),
        };
        // The store may be away, which is why it waits. What is damaged there the store may have.
        let unread = match store.spooled_size(&digest).await {
            Ok(Some(size)) => {
                let opened = self.open_at(place(true), size, address, payer, &reading);
                match opened.await {
                    Err(OpenError::Store(error)) => {
                        if matches!(error, StoreError::Corrupt { .. }) {
                            tracing::error!("{error}; it is looked for behind the spool");
                        }
                        Some(error)
                    }
                    decided => return decided,
                }
            }
            Ok(None) => None,
            Err(error) => Some(error),
        };
        let size = match (store.facts(&digest).await, unread) {
            // It is not missing, it waits where it cannot be read.
            (Err(StoreError::NotFound { .. }), Some(unread)) => return Err(unread.into()),
            (facts, _) => facts?.size,
        };
        self.open_at(place(false), size, address, payer, &reading)
            .await
    }

    async fn open_at(
        &self,
        place: Place,
        size: u64,
        address: &Address,
        payer: &str,
        reading: impl Fn(u64) -> Reading,
    ) -> Result<Opened, OpenError> {
        if size <= PIECE {
            let bytes = match size {
                0 => Bytes::new(),
                size => place.read(0..size).await?,
            };
            let found = Digest::of(&bytes);
            if found != place.digest {
                return Err(place.damaged(found).into());
            }
            return Ok(Opened {
                size: bytes.len() as u64,
                media: Media::of(&bytes),
                source: Source::Held(bytes),
            });
        }
        let reading = reading(size);
        let is_short = size <= CHECKED_BEFORE;
        if reading == Reading::KnownFacts || reading == Reading::Facts && !is_short {
            let head = place.read(0..LOOKED_AT).await?;
            return Ok(Opened {
                size,
                media: Media::of(&head),
                source: Source::Held(Bytes::new()),
            });
        }
        let mut cell = self.checked.get_with_by_ref(address, Arc::default);
        if cell.get().is_some_and(|checked| checked.size != size) {
            // Somebody has written to the store.
            self.forget(address);
            cell = self.checked.get_with_by_ref(address, Arc::default);
        }
        if cell.get().is_none() && reading == Reading::Whole && !is_short {
            let first = place.read(0..PIECE).await?;
            return Ok(Opened {
                size,
                media: Media::of(&first),
                source: Source::Unchecked(place, first, cell),
            });
        }
        let checked = if is_short && reading == Reading::Whole {
            // That it was right before does not say that it is now.
            let (room, mut pieces) = (self.room_for(size), Vec::new());
            let has_room = room.is_some();
            let checked = check_and(&place, size, |piece| {
                if has_room {
                    pieces.push(piece);
                }
            });
            let checked = checked.await?;
            let _ = cell.set(Arc::clone(&checked));
            if let Some(lease) = room {
                self.checked.insert(address.clone(), cell);
                return Ok(Opened {
                    size,
                    media: checked.media,
                    source: Source::Kept(pieces, lease),
                });
            }
            checked
        } else if is_short {
            // There is no more to do than for who reads it.
            Arc::clone(cell.get_or_try_init(|| check(&place, size)).await?)
        } else {
            let checked = self.check_in_turn(&place, size, address, payer, &cell);
            let checked = checked.await?;
            // What another has checked may be remembered elsewhere.
            let _ = cell.set(Arc::clone(&checked));
            checked
        };
        // It weighs what it holds.
        self.checked.insert(address.clone(), cell);
        Ok(Opened {
            size,
            media: checked.media,
            source: Source::Checked(place, checked),
        })
    }

    /// Memory for all of a short one, if that is to be had at once.
    fn room_for(&self, size: u64) -> Option<Lease> {
        let mut lease = self.budget.lease().of(&self.held);
        // It is there once, and nothing is made of it.
        lease.is_compressed();
        lease.try_charge(size as usize).ok()?;
        Some(lease)
    }

    /// What a long one was found to be, by this or by who is about to find out.
    async fn check_in_turn(
        &self,
        place: &Place,
        size: u64,
        address: &Address,
        payer: &str,
        cell: &Arc<OnceCell<Arc<Checked>>>,
    ) -> Result<Arc<Checked>, OpenError> {
        if let Some(checked) = cell.get() {
            return Ok(Arc::clone(checked));
        }
        let key = (address.clone(), size);
        let under_way = if let Some(under_way) = self.checks.under_way(&key) {
            under_way
        } else {
            let turn = self.turns.take(payer).await.map_err(OpenError::Busy)?;
            // It may have been done while this waited.
            if let Some(checked) = cell.get() {
                return Ok(Arc::clone(checked));
            }
            let (place, address) = (place.clone(), address.clone());
            let (known, cell) = (self.checked.clone(), Arc::clone(cell));
            self.checks.begin(key, async move {
                let checked = check(&place, size).await?;
                // Who has read all of it meanwhile may have been faster.
                let _ = cell.set(Arc::clone(&checked));
                known.insert(address, cell);
                drop(turn);
                Ok(checked)
            })
        };
        let checked = under_way.outcome().await.ok_or(OpenError::Slow)?;
        Ok(checked?)
    }
}

impl fmt::Debug for Pieces {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pieces").finish_non_exhaustive()
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use std::fs;
    use std::pin::pin;

    use futures::{TryStreamExt as _, poll};
    use slimspan_artifact::Artifact;

    use super::*;
    use crate::admission::Limits;
    use crate::server::slots::PATIENCE;
    use crate::storage::StoreConfig;

    async fn put(store: &Store, size: u64) -> Address {
        let bytes: Bytes = (0..size).map(|at| (at % 251) as u8).collect();
        let digest = Digest::of(&bytes);
        let media_type = "application/octet-stream".to_owned();
        let artifact = Artifact {
            digest,
            media_type,
            bytes,
        };
        store.put_all(&[artifact]).await.unwrap();
        Address {
            tenant: crate::tenant::TenantId::default(),
            digest,
        }
    }

    fn pieces(limit_mib: u64) -> Pieces {
        let limits = Limits {
            limit_mib,
            spike_mib: 0,
        };
        Pieces::new(Arc::default(), Budget::new(limits))
    }

    /// Also what was right a moment ago, and where there is no memory to hold it: an answer that is cut looks like one
    /// that was interrupted.
    #[tokio::test]
    async fn what_is_short_is_looked_at_each_time_before_any_of_it_goes() {
        const SIZE: u64 = 3 * PIECE + 1;
        for (limit_mib, has_room) in [(64, true), (1, false)] {
            let folder = tempfile::tempdir().unwrap();
            let store = Store::open(&StoreConfig::new(folder.path().to_str().unwrap())).unwrap();
            let short = put(&store, SIZE).await;
            let pieces = pieces(limit_mib);
            let open = async |reading: Reading| {
                let opened = pieces.open(&store, &short, "a", |_| reading);
                opened.await
            };
            for _ in 0..2 {
                let opened = open(Reading::Whole).await.unwrap();
                assert_eq!(matches!(opened.source, Source::Kept(..)), has_room);
                assert_eq!(pieces.held.taken() >= SIZE, has_room);
                let all: Vec<Bytes> = opened.bytes(0..SIZE).try_collect().await.unwrap();
                assert_eq!(Digest::of(&all.concat()), short.digest);
                assert_eq!(pieces.held.taken(), 0);
            }
            let name = short.digest.to_string();
            let file = folder.path().join("default/sha256").join(&name[..2]);
            let file = file.join(&name);
            let mut stored = fs::read(&file).unwrap();
            *stored.last_mut().unwrap() ^= 1;
            fs::write(&file, stored).unwrap();
            let error = open(Reading::Whole).await.err().unwrap();
            let is_told = matches!(error, OpenError::Store(StoreError::Corrupt { .. }));
            assert!(is_told, "{error}");
            assert_eq!(pieces.held.taken(), 0);
            // Of a part it is known by itself.
            let opened = open(Reading::Part).await.unwrap();
            let part: Vec<Bytes> = opened.bytes(0..PIECE).try_collect().await.unwrap();
            assert_eq!(part.concat().len() as u64, PIECE);
        }
    }

    #[tokio::test]
    async fn who_has_many_long_artifacts_checked_leaves_the_others_their_turns() {
        let store = Store::open(&StoreConfig::new("memory://")).unwrap();
        let long = put(&store, CHECKED_BEFORE + 1).await;
        let short = put(&store, CHECKED_BEFORE).await;
        let pieces = pieces(64);
        let open = async |address, payer| {
            let opened = pieces.open(&store, address, payer, |_| Reading::Part);
            opened.await.map(|opened| opened.size)
        };
        let mut checked = Vec::new();
        for _ in 0..AT_A_TIME / 2 {
            checked.push(pieces.turns.take("a").await.unwrap());
        }
        // Also who asks for the same several times is told soon.
        tokio::time::pause();
        let begun = tokio::time::Instant::now();
        let refused = tokio::join!(open(&long, "a"), open(&long, "a"), open(&long, "a"));
        let waited = begun.elapsed();
        tokio::time::resume();
        for refused in [refused.0, refused.1, refused.2] {
            let error = refused.unwrap_err();
            assert!(matches!(error, OpenError::Busy(Full::OfOne(_))), "{error}");
        }
        assert!(waited < 2 * PATIENCE, "{waited:?}");
        assert_eq!(open(&short, "a").await.unwrap(), CHECKED_BEFORE);
        assert_eq!(open(&long, "b").await.unwrap(), CHECKED_BEFORE + 1);
        // What was checked once takes no turn.
        assert_eq!(open(&long, "a").await.unwrap(), CHECKED_BEFORE + 1);
    }

    /// A browser that winds a film forward leaves for another part of it.
    #[tokio::test]
    async fn a_long_one_is_checked_to_its_end_though_its_reader_leaves() {
        let store = Store::open(&StoreConfig::new("memory://")).unwrap();
        let long = put(&store, CHECKED_BEFORE + 1).await;
        let pieces = pieces(64);
        let key = (long.clone(), CHECKED_BEFORE + 1);
        let under_way = {
            let mut leaving = pin!(pieces.open(&store, &long, "a", |_| Reading::Part));
            loop {
                assert!(poll!(leaving.as_mut()).is_pending());
                if let Some(under_way) = pieces.checks.under_way(&key) {
                    break under_way;
                }
                tokio::task::yield_now().await;
            }
        };
        assert!(matches!(under_way.outcome().await, Some(Ok(_))));
        // What was checked once takes no turn, of which there is none now.
        let mut turns = Vec::new();
        for other in ["b", "c"] {
            for _ in 0..AT_A_TIME / 2 {
                turns.push(pieces.turns.take(other).await.unwrap());
            }
        }
        let opened = pieces.open(&store, &long, "a", |_| Reading::Part).await;
        assert_eq!(opened.unwrap().size, CHECKED_BEFORE + 1);
    }
}
