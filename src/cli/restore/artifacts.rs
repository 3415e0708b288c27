use std::collections::{BTreeSet, HashMap};

use anyhow::Context as _;
use bytes::Bytes;
use futures::{StreamExt as _, stream};
use slimspan_artifact::Digest;
use tokio::runtime::Runtime;

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
    lost: HashMap<Digest, StoreError>,
}

impl Artifacts {
    pub(super) fn new(store: Store) -> anyhow::Result<Self> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .context("cannot start")?;
        Ok(Self {
            store,
            runtime,
            fetched: HashMap::new(),
            lost: HashMap::new(),
        })
    }

    /// Gets those of `needed` that are not there yet. An artifact that the store does not have,
    /// or has only damaged, is remembered as lost; any other failure is one of the store.
    pub(super) fn fetch(&mut self, needed: &BTreeSet<Digest>) -> Result<(), StoreError> {
        let kept: usize = self.fetched.values().map(Bytes::len).sum();
        if kept > KEPT {
            self.fetched.retain(|digest, _| needed.contains(digest));
        }
        let known = |digest: &&Digest| {
            self.fetched.contains_key(*digest) || self.lost.contains_key(*digest)
        };
        let missing = needed.iter().filter(|digest| !known(digest));
        let missing: Vec<Digest> = missing.copied().collect();
        let store = &self.store;
        let gets = missing
            .into_iter()
            .map(|digest| async move { (digest, store.get(&digest).await) });
        let mut gets = stream::iter(gets).buffer_unordered(CONCURRENT);
        let (fetched, lost) = (&mut self.fetched, &mut self.lost);
        self.runtime.block_on(async {
            while let Some((digest, outcome)) = gets.next().await {
                match outcome {
                    Ok(bytes) => {
                        fetched.insert(digest, bytes);
                    }
                    Err(error @ (StoreError::NotFound { .. } | StoreError::Corrupt { .. })) => {
                        lost.insert(digest, error);
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

    pub(super) fn why_lost(&self, digest: &Digest) -> Option<&StoreError> {
        self.lost.get(digest)
    }
}
