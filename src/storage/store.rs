mod get;
mod incoming;
mod kept;
mod listing;
mod read;
mod rules;
mod sweep;
mod upkeep;
mod upload;

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use futures::{StreamExt as _, TryStreamExt as _, stream};
use moka::sync::Cache;
use object_store::ObjectStore;
use slimspan_artifact::{Artifact, Digest, Extraction, Location, Recall};

use super::breaker::Breaker;
use super::config::StoreConfig;
use super::error::{Action, OpenError, StoreError};
use super::flights::Flights;
use super::known::Known;
use super::layout::{Layout, Root};
use super::open;
use super::pace::Pace;
use super::recollections::Recollections;
use super::spool::{Beside, Spool, SpoolSeen};
use crate::config::Delivery;
use crate::telemetry::StoreCounts;
use crate::tenant::TenantId;
pub use incoming::Incoming;
use kept::Outcome;
pub use kept::{KeepError, Kept, Stored};
pub use listing::{ListError, ListedArtifact};
pub use read::ObjectFacts;
use upload::upload;

/// The artifacts of one tenant in a store. Clones share everything.
#[derive(Clone)]
pub struct Store {
    shared: Arc<Shared>,
    /// Of the tenants that came lately, what there is beside this one.
    tenants: Cache<TenantId, Arc<Shared>>,
    spool: Option<SpoolAccess>,
}

/// Tenants whose uploads, and the trouble with them, are remembered.
const TENANTS: u64 = 10_000;

/// Where artifacts may be that the store does not have yet.
#[derive(Clone)]
enum SpoolAccess {
    /// This process fills and empties it.
    Own(Spool),
    /// The same, and it ends whoever still looks at it.
    Seen(SpoolSeen),
    /// Another process may.
    Beside(Arc<Beside>),
}

/// What belongs to one tenant: where a store hangs for one of them, the others go on.
struct Shared {
    common: Arc<Common>,
    tenant: TenantId,
    layout: Layout,
    known: Known,
    recollections: Recollections,
    uploads: Flights<Digest, Result<Outcome, StoreError>>,
    breaker: Arc<Breaker>,
    pace: Pace,
}

/// What all tenants share.
struct Common {
    client: Arc<dyn ObjectStore>,
    root: Root,
    place: Arc<str>,
    keeps_content_type: bool,
    keeps_memory: bool,
    folder: Option<PathBuf>,
    config: StoreConfig,
    counts: Arc<StoreCounts>,
}

impl Store {
    /// Opens the store that `config` and the environment describe, without connecting to it.
    pub fn open(config: &StoreConfig) -> Result<Self, OpenError> {
        Self::open_with(config, |client| client)
    }

    /// The same, and counts there what becomes of attempts to use it.
    pub fn open_counted(config: &StoreConfig, counts: Arc<StoreCounts>) -> Result<Self, OpenError> {
        Self::open_as(config, |client| client, counts)
    }

    /// Opens the store to read from it, and from its spool, beside a process that writes: a folder
    /// that is not there is an error, and not made.
    pub fn open_existing(config: &StoreConfig) -> Result<Self, OpenError> {
        open::check_exists(config)?;
        Self::open_beside(config)
    }

    /// Opens the store beside a process that writes to it and owns its spool, if there is one.
    pub fn open_beside(config: &StoreConfig) -> Result<Self, OpenError> {
        Ok(Self {
            spool: Some(SpoolAccess::Beside(Arc::new(Beside::new(
                &config.spool.directory,
            )))),
            ..Self::open(config)?
        })
    }

    /// The store with a spool in front of it.
    #[must_use]
    pub fn with_spool(self, spool: Spool) -> Self {
        Self {
            spool: Some(SpoolAccess::Own(spool)),
            ..self
        }
    }

    /// The same store for who may still look at it when its spool has to end: that ends with its owner.
    #[must_use]
    pub fn looking_on(self) -> Self {
        let spool = match self.spool {
            Some(SpoolAccess::Own(spool)) => Some(SpoolAccess::Seen(spool.seen())),
            other => other,
        };
        Self { spool, ..self }
    }

    /// Its spool, if this process has one.
    pub fn spool(&self) -> Option<Spool> {
        match &self.spool {
            Some(SpoolAccess::Own(spool)) => Some(spool.clone()),
            Some(SpoolAccess::Seen(spool)) => spool.get(),
            _ => None,
        }
    }

    /// Whether it failed lately, whoever's artifacts it was for, and is hardly asked any more.
    pub fn is_failing(&self) -> bool {
        let mut others = self.tenants.iter();
        self.shared.common.counts.failed_last()
            && (self.shared.breaker.is_failing()
                || others.any(|(_, of_tenant)| of_tenant.breaker.is_failing()))
    }

    /// Who makes artifacts durable, for people.
    pub fn keeper(&self, delivery: Delivery) -> String {
        match (delivery, self.spool()) {
            (Delivery::Background, Some(spool)) => spool.to_string(),
            _ => self.to_string(),
        }
    }

    /// How many artifacts of one request may be put at a time.
    pub(super) fn max_concurrent_puts(&self) -> usize {
        self.shared.common.config.max_concurrent_puts.max(1)
    }

    /// Opens the store as [`Store::open`] does and puts what `wrap` makes of its client in the
    /// client's place: tests look on and break things there.
    pub fn open_with(
        config: &StoreConfig,
        wrap: impl FnOnce(Arc<dyn ObjectStore>) -> Arc<dyn ObjectStore>,
    ) -> Result<Self, OpenError> {
        Self::open_as(config, wrap, Arc::default())
    }

    fn open_as(
        config: &StoreConfig,
        wrap: impl FnOnce(Arc<dyn ObjectStore>) -> Arc<dyn ObjectStore>,
        counts: Arc<StoreCounts>,
    ) -> Result<Self, OpenError> {
        let opened = open::open(config, &open::environment())?;
        let place: Arc<str> = opened.place.into();
        let common = Arc::new(Common {
            client: wrap(opened.client),
            root: opened.root,
            place,
            keeps_content_type: opened.keeps_content_type,
            keeps_memory: opened.keeps_memory,
            folder: opened.folder,
            config: config.clone(),
            counts,
        });
        let known = Known::new(config.known_digests, config.refresh);
        let recollections = Recollections::new(config.known_values);
        let of_tenant = Shared::new(common, TenantId::default(), known, recollections);
        Ok(Self {
            shared: Arc::new(of_tenant),
            tenants: Cache::new(TENANTS),
            spool: None,
        })
    }

    /// The same store for the artifacts of another tenant.
    #[must_use]
    pub fn of_tenant(&self, tenant: &TenantId) -> Self {
        if *tenant == self.shared.tenant {
            return self.clone();
        }
        let of_tenant = self.tenants.get_with_by_ref(tenant, || {
            let (known, recollections) = (&self.shared.known, &self.shared.recollections);
            Arc::new(Shared::new(
                Arc::clone(&self.shared.common),
                tenant.clone(),
                known.of(tenant.clone()),
                recollections.of_another(),
            ))
        });
        Self {
            shared: of_tenant,
            ..self.clone()
        }
    }

    /// Where references to artifacts of `tenant` in such a store lead; opens and makes nothing.
    pub fn location_of(config: &StoreConfig, tenant: &TenantId) -> Result<Location, OpenError> {
        let layout = open::root(config)?.of(tenant);
        Ok(config.location(layout.uri_base(), tenant))
    }

    /// Where references to its artifacts lead.
    pub fn location(&self) -> Location {
        let Shared {
            common,
            layout,
            tenant,
            ..
        } = &*self.shared;
        common.config.location(layout.uri_base(), tenant)
    }

    /// What stands before `/<first two hex digits>/<digest>` in an artifact's URI.
    pub fn uri_base(&self) -> &str {
        self.shared.layout.uri_base()
    }

    /// Makes `artifacts` durable: when this returns `Ok`, each of them is.
    ///
    /// Artifacts that this process stored lately are not uploaded again, and one that several
    /// requests carry at the same time is uploaded once. The first error ends the request's
    /// puts; what is stored by then stays. It is safe to try again, and to drop the future.
    pub async fn put_all(&self, artifacts: &[Artifact]) -> Result<Stored, StoreError> {
        stream::iter(artifacts.iter().cloned().map(|artifact| self.put(artifact)))
            .buffer_unordered(self.shared.common.config.max_concurrent_puts.max(1))
            .try_fold(Stored::default(), |mut stored, (outcome, size)| {
                match outcome {
                    Outcome::Written => {
                        stored.written += 1;
                        stored.written_bytes += size;
                    }
                    Outcome::Known => stored.known += 1,
                }
                std::future::ready(Ok(stored))
            })
            .await
    }

    /// Makes `artifacts` durable in the store or, with a delivery in the background, in its spool.
    /// What [`Store::put_all`] says of failures holds here, too.
    pub async fn keep_all(
        &self,
        artifacts: &[Artifact],
        delivery: Delivery,
    ) -> Result<Kept, KeepError> {
        if delivery == Delivery::Background
            && let Some(spool) = self.spool()
        {
            let known = |digest: &Digest| self.shared.known.has(digest);
            let spooled = spool
                .keep_all(&self.shared.tenant, artifacts, known)
                .await?;
            return Ok(Kept { stored: 0, spooled });
        }
        let stored = self.put_all(artifacts).await?.written;
        Ok(Kept { stored, spooled: 0 })
    }

    /// What is remembered of values that this store has the artifacts of.
    ///
    /// An artifact that is recalled by it may be gone by now, as [`Store::has_all`] tells.
    pub fn recall(&self) -> &dyn Recall {
        &self.shared.recollections
    }

    /// Whether all of the artifacts count as stored: this process put them less than `refresh` ago, or
    /// they wait in the spool. To those who wait for the store what only waits itself does not count.
    pub fn has_all(&self, digests: &[Digest], delivery: Delivery) -> bool {
        let spool = self.spool().filter(|_| delivery == Delivery::Background);
        let waits = |digest| {
            let spool = spool.as_ref();
            spool.is_some_and(|spool| spool.relies(&self.shared.tenant, digest))
        };
        let mut digests = digests.iter();
        digests.all(|digest| self.shared.known.has(digest) || waits(digest))
    }

    /// Remembers the values of an extraction. All of its artifacts have to be stored by now.
    pub fn remember(&self, extraction: &Extraction) {
        self.shared
            .recollections
            .learn(extraction.learned.iter().copied());
    }

    async fn put(&self, artifact: Artifact) -> Result<(Outcome, u64), StoreError> {
        let size = artifact.bytes.len() as u64;
        if self.shared.known.has(&artifact.digest) {
            return Ok((Outcome::Known, size));
        }
        let digest = artifact.digest;
        let upload = upload(Arc::clone(&self.shared), artifact);
        let passenger = self.shared.uploads.join(digest, upload);
        if !passenger.first {
            tracing::debug!("artifact {digest} is being put already, which is waited for");
        }
        match passenger.work.await? {
            Outcome::Written if passenger.first => Ok((Outcome::Written, size)),
            _ => Ok((Outcome::Known, size)),
        }
    }
}

/// Where artifacts go, for people.
impl fmt::Display for Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.shared.common.place)
    }
}

impl fmt::Debug for Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Store")
            .field(&self.shared.common.place)
            .finish()
    }
}

/// The time that one attempt has.
#[derive(Debug, Clone, Copy)]
enum Limit {
    /// There may be another one behind it.
    Attempt(Duration),
    /// It is all that is left.
    All(Duration),
}

impl Shared {
    fn new(
        common: Arc<Common>,
        tenant: TenantId,
        known: Known,
        recollections: Recollections,
    ) -> Self {
        Self {
            layout: common.root.of(&tenant),
            breaker: Breaker::new(Arc::clone(&common.place)),
            common,
            tenant,
            known,
            recollections,
            uploads: Flights::new(),
            pace: Pace::new(),
        }
    }

    async fn within<T>(
        &self,
        limit: Limit,
        action: Action,
        digest: &Digest,
        work: impl Future<Output = object_store::Result<T>>,
    ) -> Result<T, StoreError> {
        let (store, digest) = (Arc::clone(&self.common.place), *digest);
        let (Limit::Attempt(time) | Limit::All(time)) = limit;
        match (tokio::time::timeout(time, work).await, limit) {
            (Ok(Ok(done)), _) => Ok(done),
            (Ok(Err(error)), _) => Err(StoreError::from_client(store, action, digest, error)),
            (Err(_), Limit::Attempt(waited)) => Err(StoreError::Silent {
                store,
                action,
                digest,
                waited,
            }),
            (Err(_), Limit::All(_)) => Err(StoreError::TimedOut {
                store,
                action,
                digest,
                limit: self.common.config.timeout,
            }),
        }
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use bytes::Bytes;

    use super::*;

    fn config(refresh: Duration) -> StoreConfig {
        StoreConfig {
            refresh,
            ..StoreConfig::new("memory:///prefix")
        }
    }

    fn artifact(bytes: &'static [u8]) -> Artifact {
        Artifact {
            digest: Digest::of(bytes),
            media_type: "image/png".to_owned(),
            bytes: Bytes::from_static(bytes),
        }
    }

    fn stored(written: usize, written_bytes: u64, known: usize) -> Stored {
        Stored {
            written,
            written_bytes,
            known,
        }
    }

    #[tokio::test]
    async fn what_was_stored_lately_is_known() {
        let store = Store::open(&config(Duration::from_hours(1))).unwrap();
        let (one, two) = (artifact(b"one"), artifact(b"three"));
        let both = [one.clone(), two.clone(), one.clone()];
        assert_eq!(store.put_all(&both).await.unwrap(), stored(2, 8, 1));
        assert_eq!(
            store.clone().put_all(&[one]).await.unwrap(),
            stored(0, 0, 1)
        );
        assert_eq!(store.get(&two.digest).await.unwrap(), two.bytes);
        assert_eq!(store.put_all(&[]).await.unwrap(), Stored::default());
    }

    #[tokio::test]
    async fn what_was_stored_long_ago_is_stored_again() {
        for refresh in [Duration::ZERO, Duration::from_nanos(1)] {
            let store = Store::open(&config(refresh)).unwrap();
            for _ in 0..2 {
                let again = store.put_all(&[artifact(b"one")]).await.unwrap();
                assert_eq!(again, stored(1, 3, 0));
            }
        }
    }

    #[tokio::test]
    async fn an_upload_begun_too_late_uploads_nothing() {
        let store = Store::open(&config(Duration::from_hours(1))).unwrap();
        for expected in [Outcome::Written, Outcome::Known] {
            let upload = upload(Arc::clone(&store.shared), artifact(b"one"));
            assert_eq!(upload.await.unwrap(), expected);
        }
    }

    #[test]
    fn any_configured_number_makes_a_store() {
        let mut config = config(Duration::MAX);
        config.known_digests = u64::MAX;
        config.max_concurrent_puts = usize::MAX;
        config.timeout = Duration::MAX;
        assert!(Store::open(&config).is_ok());
    }

    #[tokio::test]
    async fn limits_of_zero_do_not_hang() {
        let mut config = config(Duration::ZERO);
        config.known_digests = 0;
        config.max_concurrent_puts = 0;
        let store = Store::open(&config).unwrap();
        assert_eq!(
            store.put_all(&[artifact(b"one")]).await.unwrap(),
            stored(1, 3, 0)
        );
    }

    #[test]
    fn a_request_can_wait_on_another_thread() {
        fn is_send(_: &impl Send) {}
        let store = Store::open(&config(Duration::ZERO)).unwrap();
        is_send(&store.put_all(&[]));
        is_send(&store.get(&Digest::of(b"")));
    }
}
