//! What a store has.

use std::error::Error;
use std::future::ready;
use std::sync::Arc;

use futures::{StreamExt as _, TryStreamExt as _, stream};
use object_store::path::Path as Key;
use object_store::{ListResult, ObjectMeta, ObjectStore as _};
use slimspan_artifact::Digest;
use tokio::time::timeout;

use super::Store;
use crate::storage::error::one_line;
use crate::tenant::TenantId;

/// Folders that are listed at a time.
const AT_A_TIME: usize = 16;

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
        let root = &self.shared.common.root;
        let prefix = root.prefix();
        let prefix = (!prefix.as_ref().is_empty()).then_some(prefix);
        let listed = self.list_folder(prefix).await?;
        let folders = listed.common_prefixes.iter();
        let named: Vec<TenantId> = folders
            .filter_map(|folder| folder.filename()?.parse().ok())
            .collect();
        let looked = named.into_iter().map(|tenant| async move {
            // The catalog has a folder there, too.
            let inside = root.of(&tenant).folder().clone();
            let inside = self.list_folder(Some(&inside)).await?;
            let is_empty = inside.common_prefixes.is_empty() && inside.objects.is_empty();
            Ok((!is_empty).then_some(tenant))
        });
        let looked = stream::iter(looked).buffer_unordered(AT_A_TIME);
        let tenants = looked.try_filter_map(|tenant| ready(Ok(tenant)));
        let mut tenants: Vec<_> = tenants.try_collect().await?;
        tenants.sort_unstable();
        Ok(tenants)
    }

    /// What is at once below `folder`. A store that hangs is not waited for: somebody may wait for the answer.
    async fn list_folder(&self, folder: Option<&Key>) -> Result<ListResult, ListError> {
        let common = &self.shared.common;
        let limit = common.config.timeout;
        match timeout(limit, common.client.list_with_delimiter(folder)).await {
            Ok(listed) => listed.map_err(|error| self.not_listed(error)),
            Err(_) => Err(ListError {
                store: Arc::clone(&common.place),
                cause: format!("no answer within {limit:?}, the timeout of its artifact_store"),
            }),
        }
    }

    /// What is in the folder `shard` of this tenant, sorted: the artifacts whose digests begin with these two
    /// hexadecimal digits.
    pub async fn list_shard(&self, shard: u8) -> Result<Vec<ListedArtifact>, ListError> {
        let layout = &self.shared.layout;
        let folder = layout.folder().clone().join(format!("{shard:02x}"));
        let mut listed = self.list_below(&folder).await?;
        listed.sort_unstable();
        Ok(listed)
    }

    /// What is beside all those folders, sorted: no artifact belongs there.
    pub async fn list_strays(&self) -> Result<Vec<ListedArtifact>, ListError> {
        let client = &self.shared.common.client;
        let inside = client.list_with_delimiter(Some(self.shared.layout.folder()));
        let inside = inside.await.map_err(|error| self.not_listed(error))?;
        let objects = inside.objects.into_iter();
        let mut strays: Vec<_> = objects.map(|object| self.listed(&object)).collect();
        for folder in &inside.common_prefixes {
            if !folder.filename().is_some_and(is_shard) {
                strays.extend(self.list_below(folder).await?);
            }
        }
        strays.sort_unstable();
        Ok(strays)
    }

    /// All that is somewhere below `folder`, which is one of this tenant's.
    async fn list_below(&self, folder: &Key) -> Result<Vec<ListedArtifact>, ListError> {
        let objects = self.shared.common.client.list(Some(folder));
        let listed = objects.map_ok(|object| self.listed(&object));
        let listed: Result<Vec<_>, _> = listed.try_collect().await;
        listed.map_err(|error| self.not_listed(error))
    }

    fn listed(&self, object: &ObjectMeta) -> ListedArtifact {
        let name = object.location.filename();
        let digest = name.and_then(|name| name.parse::<Digest>().ok());
        let key = |digest: &Digest| self.shared.layout.key(digest);
        ListedArtifact {
            digest: digest.filter(|digest| key(digest) == object.location),
            key: object.location.to_string(),
            size: object.size,
        }
    }

    fn not_listed(&self, error: object_store::Error) -> ListError {
        let cause: Arc<dyn Error + Send + Sync> = Arc::new(error);
        ListError {
            store: Arc::clone(&self.shared.common.place),
            cause: one_line(cause),
        }
    }
}

/// Whether a folder is one of those of artifacts, by the first two digits.
fn is_shard(name: &str) -> bool {
    let is_digit = |byte: u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
    name.len() == 2 && name.bytes().all(is_digit)
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use std::future::pending;

    use bytes::Bytes;
    use futures::FutureExt as _;
    use slimspan_artifact::Artifact;

    use crate::storage::{Store, StoreConfig, meddled};

    async fn put(store: &Store, tenants: &[&str]) {
        let bytes = Bytes::from_static(b"theirs");
        let artifact = Artifact {
            digest: slimspan_artifact::Digest::of(&bytes),
            media_type: "image/png".to_owned(),
            bytes,
        };
        for tenant in tenants {
            let of_tenant = store.of_tenant(&tenant.parse().unwrap());
            of_tenant
                .put_all(std::slice::from_ref(&artifact))
                .await
                .unwrap();
        }
    }

    #[tokio::test]
    async fn the_tenants_come_in_order() {
        let store = Store::open(&StoreConfig::new("memory://")).unwrap();
        put(&store, &["beta", "acme", "gamma"]).await;
        let tenants = store.tenants().await.unwrap();
        let tenants: Vec<_> = tenants.iter().map(ToString::to_string).collect();
        assert_eq!(tenants, ["acme", "beta", "gamma"]);
    }

    #[tokio::test(start_paused = true)]
    async fn nobody_waits_for_a_listing_that_hangs() {
        let config = StoreConfig::new("memory://");
        let store = meddled::at_listing(&config, "beta/sha256", pending().boxed()).unwrap();
        put(&store, &["acme", "beta"]).await;
        let told = store.tenants().await.unwrap_err().to_string();
        assert!(told.contains("no answer within"), "{told}");
    }
}
