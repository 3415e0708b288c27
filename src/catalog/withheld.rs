//! Why a file is given to nobody, for who asks now and then and follows nothing.

use std::time::Duration;

use jiff::Timestamp;
use slimspan_artifact::Digest;
use tokio::time::Instant;

use super::error::CatalogError;
use super::follower::{Catalog, Reach, Synced};
use super::tombstone::{NOTHING, Tombstone};
use crate::storage::Store;

/// How long it is believed what was looked for last: as long as deletions take to be known everywhere.
const BELIEVED: Duration = Duration::from_secs(10);

/// Tells which files were deleted although their bytes may be there. All of the catalog is read only where something says
/// that one of them was.
#[derive(Debug)]
pub struct Withholding {
    catalog: Catalog,
    looked: Option<Looked>,
}

/// What was looked for.
#[derive(Debug)]
struct Looked {
    at: Instant,
    /// Whether deletions were merged meanwhile, so that some may have been missed.
    is_merged: bool,
    /// Whether all else was read since then.
    is_whole: bool,
}

impl Withholding {
    /// As the catalog has it.
    pub fn of(catalog: Catalog) -> Self {
        Self {
            catalog,
            looked: None,
        }
    }

    /// Those of these artifacts of the tenant of `store` that are given to nobody, and why.
    pub async fn among(
        &mut self,
        store: &Store,
        digests: Vec<Digest>,
    ) -> Result<Vec<(Digest, Tombstone)>, CatalogError> {
        let (catalog, tenant) = (&self.catalog, store.tenant());
        let believed = self.looked.take();
        let mut looked = match believed.filter(|looked| looked.at.elapsed() < BELIEVED) {
            Some(looked) => looked,
            None => Looked {
                at: Instant::now(),
                is_merged: catalog
                    .tombstones(Reach::All, &mut Synced::default())
                    .await?,
                is_whole: false,
            },
        };
        let mut deleted = Vec::new();
        for digest in digests {
            if looked.is_merged || catalog.index().deleted(tenant, &digest).await?.is_some() {
                deleted.push(digest);
            }
        }
        if !deleted.is_empty() && !looked.is_whole {
            catalog.sync(Reach::All).await?;
            looked.is_whole = true;
        }
        self.looked = Some(looked);
        let mut withheld = Vec::new();
        for (digest, of) in catalog.index().kept_back(tenant, deleted).await? {
            let written = store.written(&digest).await?;
            let written = written.and_then(|written| Timestamp::try_from(written).ok());
            // What waits in a spool came before it was deleted: soon after it comes again, something refers to it.
            if of.holds(written.unwrap_or(NOTHING)) {
                withheld.push((digest, of.tombstone));
            }
        }
        Ok(withheld)
    }
}
