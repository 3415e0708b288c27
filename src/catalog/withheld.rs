//! Why a file is given to nobody, for who asks once and follows nothing.

use jiff::Timestamp;
use slimspan_artifact::Digest;

use super::error::CatalogError;
use super::follower::{Catalog, Reach, Synced};
use super::tombstone::{NOTHING, Tombstone};
use crate::storage::Store;

impl Catalog {
    /// Why an artifact of the tenant of `store` is given to nobody, although its bytes may be there. All of the catalog
    /// is read only where something says that it was deleted.
    pub async fn withheld(
        &self,
        store: &Store,
        digest: &Digest,
    ) -> Result<Option<Tombstone>, CatalogError> {
        let tenant = store.tenant();
        let is_merged = self.tombstones(Reach::All, &mut Synced::default()).await?;
        if !is_merged && self.index().deleted(tenant, digest).await?.is_none() {
            return Ok(None);
        }
        self.sync(Reach::All).await?;
        let told = self.index().kept_back(tenant, vec![*digest]).await?;
        let Some((_, of)) = told.into_iter().next() else {
            return Ok(None);
        };
        let written = store.written(digest).await?;
        let written = written.and_then(|written| Timestamp::try_from(written).ok());
        // What waits in a spool came before it was deleted: soon after it comes again, something refers to it.
        let holds = of.holds(written.unwrap_or(NOTHING));
        Ok(holds.then_some(of.tombstone))
    }
}
