//! What a store has.

use std::error::Error;
use std::sync::Arc;

use futures::TryStreamExt as _;
use object_store::ObjectStore as _;
use slimspan_artifact::Digest;

use super::Store;
use crate::storage::error::one_line;
use crate::tenant::TenantId;

/// The store did not say what it has.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{store} cannot be listed, which is a permission of its own: {cause}")]
pub struct ListError {
    store: Arc<str>,
    cause: String,
}

/// An object where artifacts are.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct ListedArtifact {
    /// Its digest; none if its name is no digest, or one that belongs elsewhere.
    pub digest: Option<Digest>,
    /// Its key.
    pub key: String,
    /// How many bytes it has.
    pub size: u64,
}

impl Store {
    /// The tenants that have a folder.
    pub async fn tenants(&self) -> Result<Vec<TenantId>, ListError> {
        let common = &self.shared.common;
        let prefix = common.root.prefix();
        let prefix = (!prefix.as_ref().is_empty()).then_some(prefix);
        let listed = common.client.list_with_delimiter(prefix);
        let listed = listed.await.map_err(|error| self.not_listed(error))?;
        let names = listed.common_prefixes.iter();
        let names = names.filter_map(|folder| folder.filename()?.parse().ok());
        let mut tenants = Vec::new();
        for tenant in names {
            // The catalog has a folder there, too.
            let root = common.root.of(&tenant).folder().clone();
            let inside = common.client.list_with_delimiter(Some(&root));
            let inside = inside.await.map_err(|error| self.not_listed(error))?;
            if !inside.common_prefixes.is_empty() || !inside.objects.is_empty() {
                tenants.push(tenant);
            }
        }
        Ok(tenants)
    }

    /// What is in the folder `shard` of this tenant, sorted: the artifacts whose digests begin with these two
    /// hexadecimal digits.
    pub async fn list_shard(&self, shard: u8) -> Result<Vec<ListedArtifact>, ListError> {
        let layout = &self.shared.layout;
        let folder = layout.folder().clone().join(format!("{shard:02x}"));
        let objects = self.shared.common.client.list(Some(&folder));
        let listed = objects.map_ok(|object| {
            let name = object.location.filename();
            let digest = name.and_then(|name| name.parse::<Digest>().ok());
            ListedArtifact {
                digest: digest.filter(|digest| layout.key(digest) == object.location),
                key: object.location.to_string(),
                size: object.size,
            }
        });
        let listed: Result<Vec<_>, _> = listed.try_collect().await;
        let mut listed = listed.map_err(|error| self.not_listed(error))?;
        listed.sort_unstable();
        Ok(listed)
    }

    fn not_listed(&self, error: object_store::Error) -> ListError {
        let cause: Arc<dyn Error + Send + Sync> = Arc::new(error);
        ListError {
            store: Arc::clone(&self.shared.common.place),
            cause: one_line(cause),
        }
    }
}
