use std::process::ExitCode;

use anyhow::{Context as _, bail};
use clap::Args;

use super::super::ConfigFile;
use super::super::complain;
use crate::catalog::{Catalog, Reach};
use crate::config::{ComponentId, Config};
use crate::storage::{Store, StoreConfig};

/// Which store.
#[derive(Debug, Args)]
pub(super) struct OfStore {
    #[command(flatten)]
    config: ConfigFile,
    /// The artifact_store of the configuration, if it has several
    #[arg(long, value_name = "ID")]
    store: Option<ComponentId>,
}

/// A store, and its catalog with all that is in the bucket.
pub(super) struct Opened {
    pub(super) store: Store,
    pub(super) catalog: Catalog,
    /// Which it is.
    pub(super) id: ComponentId,
    /// Whether anybody writes down what refers to its files.
    pub(super) is_written: bool,
}

impl OfStore {
    /// Opens the store alone, and says how it is configured.
    pub(super) fn store(
        &self,
    ) -> anyhow::Result<Result<(ComponentId, Store, StoreConfig), ExitCode>> {
        let config = match self.config.load() {
            Ok(config) => config,
            Err(code) => return Ok(Err(code)),
        };
        let (id, of) = self.chosen(&config)?;
        let store = Store::open_existing(of).with_context(|| format!("extensions.{id}"))?;
        Ok(Ok((id.clone(), store, of.clone())))
    }

    /// Opens it; `Err` is the exit code after the mistakes of the configuration were told.
    pub(super) async fn open(&self) -> anyhow::Result<Result<Opened, ExitCode>> {
        let config = match self.config.load() {
            Ok(config) => config,
            Err(code) => return Ok(Err(code)),
        };
        let (id, of) = self.chosen(&config)?;
        let place = || format!("extensions.{id}");
        let store = Store::open_existing(of).with_context(place)?;
        let catalog = match Catalog::open(&store, &of.catalog.directory).await {
            Ok(catalog) => catalog,
            Err(error) => {
                // Who only looks need not be allowed to write beside those that run.
                complain(format_args!(
                    "{error}: all of the catalog is read for this once"
                ));
                Catalog::open_temporary(&store).with_context(place)?
            }
        };
        catalog.sync(Reach::All).await.with_context(place)?;
        Ok(Ok(Opened {
            store,
            catalog,
            id: id.clone(),
            is_written: of.catalog.enabled,
        }))
    }

    fn chosen<'c>(&self, config: &'c Config) -> anyhow::Result<(&'c ComponentId, &'c StoreConfig)> {
        let all: Vec<_> = config.artifact_stores().collect();
        let names: Vec<String> = all.iter().map(|(id, _)| id.to_string()).collect();
        let names = names.join(", ");
        match (all.as_slice(), &self.store) {
            ([], _) => bail!("the configuration has no artifact_store"),
            (_, Some(id)) => {
                let found = all.iter().find(|(known, _)| *known == id);
                found.copied().with_context(|| {
                    format!("the configuration has no artifact_store {id}; it has {names}")
                })
            }
            ([one], None) => Ok(*one),
            (_, None) => bail!(
                "the configuration has several artifact stores: say which with --store; there are \
                 {names}"
            ),
        }
    }
}
