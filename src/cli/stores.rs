//! The artifacts that a subcommand is about.

use anyhow::{Context as _, bail};
use clap::Args;

use super::ConfigFile;
use crate::config::{ComponentId, Config};
use crate::server::{Address, Mention};
use crate::storage::Store;
use crate::storage::config::StoreConfig;
use crate::tenant::TenantId;

/// Which store, and whose artifacts in it.
#[derive(Debug, Args)]
pub(super) struct StoreArguments {
    #[command(flatten)]
    pub(super) config: ConfigFile,
    /// The artifact store of the configuration, if it has several
    #[arg(long, value_name = "ID")]
    pub(super) store: Option<ComponentId>,
}

impl StoreArguments {
    /// The store with this id; without an id, the only one that there is.
    pub(super) fn config_in<'c>(
        &self,
        config: &'c Config,
    ) -> anyhow::Result<(&'c ComponentId, &'c StoreConfig)> {
        let all: Vec<_> = config.artifact_stores().collect();
        match (all.as_slice(), &self.store) {
            ([], _) => bail!("the configuration has no artifact_store"),
            (_, Some(id)) => all
                .into_iter()
                .find(|(known, _)| *known == id)
                .with_context(|| format!("the configuration has no artifact_store {id}")),
            ([one], None) => Ok(*one),
            (_, None) => {
                let ids: Vec<_> = all.iter().map(|(id, _)| id.to_string()).collect();
                let ids = ids.join(", ");
                bail!(
                    "the configuration has several stores: say which with --store; there are {ids}"
                )
            }
        }
    }

    /// The artifact that is meant: that of `tenant` unless none is said, then whose its reference says.
    pub(super) fn address(
        &self,
        config: &Config,
        artifact: &Mention,
        tenant: Option<&TenantId>,
    ) -> anyhow::Result<Address> {
        let (id, store) = self.config_in(config)?;
        let servers = config.artifact_servers();
        let servers = servers.filter(|(_, server)| server.store == *id);
        let urls = servers.flat_map(|(_, server)| server.urls());
        let urls: Vec<String> = store.public_url.clone().into_iter().chain(urls).collect();
        let tenant = tenant.cloned().or_else(|| artifact.tenant(&urls));
        Ok(Address {
            tenant: tenant.unwrap_or_default(),
            digest: artifact.digest,
        })
    }

    /// Opens it beside a slimspan that may run.
    pub(super) fn open(&self, config: &Config) -> anyhow::Result<Store> {
        let (id, store) = self.config_in(config)?;
        Store::open_existing(store).with_context(|| format!("extensions.{id}"))
    }
}
