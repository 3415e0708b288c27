use std::collections::{BTreeSet, HashMap};
use std::mem;

use anyhow::Context as _;
use bytes::Bytes;
use futures::{StreamExt as _, stream};
use slimspan_artifact::Digest;
use tokio::runtime::Runtime;

use crate::catalog::{Catalog, CatalogError, Tombstone, Withholding};
use crate::storage::{Store, StoreError};

/// The artifacts that are fetched at a time.
const CONCURRENT: usize = 16;

/// The bytes of artifacts that are kept for the next request: a conversation sends the same
/// picture again with every turn.
const KEPT: usize = 64 << 20;

/// Artifacts of a store, fetched before they are needed.
pub(super) struct Artifacts {
    store: Store,
    runtime: Runtime,
    fetched: HashMap<Digest, Bytes>,
    /// Those that there are no bytes of, and why.
    lost: HashMap<Digest, String>,
    withheld: Withheld,
}

/// What says which files were deleted, whose bytes may have to stay for a while.
enum Withheld {
    /// It was not asked yet.
    Unasked,
    By(Box<Withholding>),
    /// Nobody says it.
    Unknown,
}

impl Artifacts {
    /// Those of `store`, of which a catalog may say what was deleted.
    pub(super) fn new(store: Store, has_catalog: bool) -> anyhow::Result<Self> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .context("cannot start")?;
        Ok(Self {
            store,
            runtime,
            fetched: HashMap::new(),
            lost: HashMap::new(),
            withheld: if has_catalog {
                Withheld::Unasked
            } else {
                Withheld::Unknown
            },
        })
    }

    /// Gets those of `needed` that are not there yet. An artifact that was deleted, or that the store
    /// does not have, or has only damaged, is remembered as lost; any other failure is one of the store.
    /// Where nobody says what was deleted, `complain` is told.
    pub(super) fn fetch(
        &mut self,
        needed: &BTreeSet<Digest>,
        complain: impl FnOnce(String),
    ) -> Result<(), StoreError> {
        let kept: usize = self.fetched.values().map(Bytes::len).sum();
        if kept > KEPT {
            self.fetched.retain(|digest, _| needed.contains(digest));
        }
        let known = |digest: &&Digest| {
            self.fetched.contains_key(*digest) || self.lost.contains_key(*digest)
        };
        let missing = needed.iter().filter(|digest| !known(digest));
        let mut missing: Vec<Digest> = missing.copied().collect();
        if missing.is_empty() {
            return Ok(());
        }
        let (store, withheld) = (&self.store, &mut self.withheld);
        let (fetched, lost) = (&mut self.fetched, &mut self.lost);
        self.runtime.block_on(async {
            match withheld.among(store, &missing).await {
                Ok(deleted) => {
                    for (digest, tombstone) in deleted {
                        let Tombstone { time, reason, .. } = tombstone;
                        let why = format!("{digest} was deleted at {time:.0}: {reason}");
                        lost.insert(digest, why);
                    }
                }
                // Who may read files need not be allowed to list what was deleted.
                Err(error) => complain(format!("whether files were deleted is not known: {error}")),
            }
            missing.retain(|digest| !lost.contains_key(digest));
            let gets = missing
                .into_iter()
                .map(|digest| async move { (digest, store.get(&digest).await) });
            let mut gets = stream::iter(gets).buffer_unordered(CONCURRENT);
            while let Some((digest, outcome)) = gets.next().await {
                match outcome {
                    Ok(bytes) => {
                        fetched.insert(digest, bytes);
                    }
                    Err(error @ (StoreError::NotFound { .. } | StoreError::Corrupt { .. })) => {
                        lost.insert(digest, error.to_string());
                    }
                    Err(error) => return Err(error),
                }
            }
            Ok(())
        })
    }

    pub(super) fn get(&self, digest: &Digest) -> Option<Bytes> {
        self.fetched.get(digest).cloned()
    }

    pub(super) fn why_lost(&self, digest: &Digest) -> Option<&str> {
        self.lost.get(digest).map(String::as_str)
    }
}

impl Withheld {
    /// Those of these files that were deleted. What fails once is not asked again.
    async fn among(
        &mut self,
        store: &Store,
        digests: &[Digest],
    ) -> Result<Vec<(Digest, Tombstone)>, CatalogError> {
        let mut withholding = match mem::replace(self, Self::Unknown) {
            Self::Unknown => return Ok(Vec::new()),
            // Not the index of a slimspan that runs: one of another version would be thrown away under it.
            Self::Unasked => Box::new(Withholding::of(Catalog::open_temporary(store)?)),
            Self::By(withholding) => withholding,
        };
        let withheld = withholding.among(store, digests.to_vec()).await?;
        *self = Self::By(withholding);
        Ok(withheld)
    }
}
