mod get;
mod incoming;
mod kept;
mod listing;
mod put;
mod read;
mod rules;
mod sweep;
mod upkeep;
mod upload;

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use moka::sync::Cache;
use object_store::ObjectStore;
use slimspan_artifact::{Digest, Location};

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
use super::together::Together;
use crate::config::Delivery;
use crate::telemetry::StoreCounts;
use crate::tenant::TenantId;
pub use incoming::Incoming;
use kept::Outcome;
pub use kept::{KeepError, Kept, Stored};
pub use listing::{ListError, ListedArtifact};
pub use read::ObjectFacts;

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

/// What belongs to one tenant: where a store hangs for one of them, the others go on. Where it fails for
/// several and works for none, they know that together.
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
    together: Arc<Together>,
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
            && (self.shared.common.together.is_failing()
                || self.shared.breaker.is_failing()
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
            together: Together::new(Arc::clone(&place)),
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

    /// The URL that its artifacts, whosever they are, stand below; without anything that may be secret.
    pub fn base(&self) -> &str {
        self.shared.common.root.base()
    }

    /// The same of such a store; opens and makes nothing.
    pub fn base_of(config: &StoreConfig) -> Result<String, OpenError> {
        Ok(open::root(config)?.base().to_owned())
    }

    /// What stands before `/<first two hex digits>/<digest>` in an artifact's URI.
    pub fn uri_base(&self) -> &str {
        self.shared.layout.uri_base()
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
            breaker: Breaker::new(Arc::clone(&common.place), Arc::clone(&common.together)),
            pace: Pace::new(Arc::clone(&common.together)),
            common,
            tenant,
            known,
            recollections,
            uploads: Flights::new(),
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
    use super::*;

    #[test]
    fn any_configured_number_makes_a_store() {
        let config = StoreConfig {
            refresh: Duration::MAX,
            known_digests: u64::MAX,
            max_concurrent_puts: usize::MAX,
            timeout: Duration::MAX,
            ..StoreConfig::new("memory:///prefix")
        };
        assert!(Store::open(&config).is_ok());
    }

    #[test]
    fn a_request_can_wait_on_another_thread() {
        fn is_send(_: &impl Send) {}
        let store = Store::open(&StoreConfig::new("memory:///prefix")).unwrap();
        is_send(&store.put_all(&[]));
        is_send(&store.get(&Digest::of(b"")));
    }
}
