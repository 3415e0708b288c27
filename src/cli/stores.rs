//! The artifacts that a subcommand is about.

use anyhow::{Context as _, bail};
use clap::Args;
use slimspan_artifact::Digest;

use super::ConfigFile;
use crate::config::{ComponentId, Config};
use crate::server::Address;
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
        artifact: &Named,
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

/// An artifact, as a person names it: its digest, or a reference to it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Named {
    pub(super) digest: Digest,
    /// What stands in front of that.
    before: String,
}

impl Named {
    /// Whose it is, where the reference says so; `urls` are those below which links to artifacts are.
    fn tenant(&self, urls: &[String]) -> Option<TenantId> {
        self.tenant_in_store().or_else(|| self.tenant_of_link(urls))
    }

    /// Of `.../TENANT/sha256/ab/DIGEST`.
    fn tenant_in_store(&self) -> Option<TenantId> {
        let (before, _) = self.before.strip_suffix('/')?.rsplit_once('/')?;
        let tenant = before.strip_suffix("/sha256")?.rsplit('/').next();
        tenant?.parse().ok()
    }

    /// Of `<public_url>/TENANT/artifacts/DIGEST.png`. A URL may have a path of its own, which looks like a tenant.
    fn tenant_of_link(&self, urls: &[String]) -> Option<TenantId> {
        let before = self.before.strip_suffix("/artifacts/")?;
        let is_below = |url: &str| urls.iter().any(|known| url.ends_with(known.as_str()));
        if is_below(before) {
            return None;
        }
        let (url, tenant) = before.rsplit_once('/')?;
        tenant.parse().ok().filter(|_| is_below(url))
    }
}

/// Reads a digest, or a reference in any of its forms.
pub(super) fn named(text: &str) -> Result<Named, String> {
    let told = || {
        format!(
            "\"{text}\" is no artifact: give its sha256, 64 lower-case hexadecimal digits, or a reference \
             that has it"
        )
    };
    let words = text.split(|c: char| !c.is_ascii_alphanumeric() && !"_-".contains(c));
    let mut digests = words.filter_map(|word| word.parse::<Digest>().ok());
    let digest = digests.next().ok_or_else(told)?;
    if digests.next().is_some() {
        return Err(told());
    }
    let (before, _) = text.split_once(&digest.to_string()).ok_or_else(told)?;
    Ok(Named {
        digest,
        before: before.to_owned(),
    })
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use super::*;

    #[test]
    fn a_digest_is_found_in_any_reference_and_whose_it_is_where_it_says_so() {
        let digest = Digest::of(b"abc");
        let urls = [
            "http://127.0.0.1:4319",
            "https://example.com",
            "https://example.com/kept/files",
        ];
        let urls = urls.map(str::to_owned);
        for (text, tenant) in [
            (digest.to_string(), None),
            (
                format!("http://127.0.0.1:4319/artifacts/{digest}.png?as=base64"),
                None,
            ),
            (
                format!("http://127.0.0.1:4319/acme/artifacts/{digest}.png"),
                Some("acme"),
            ),
            (
                format!("https://example.com/kept/files/artifacts/{digest}"),
                None,
            ),
            (
                format!("https://example.com/kept/files/acme/artifacts/{digest}~"),
                Some("acme"),
            ),
            (
                format!("{{\"url\":\"https://example.com/acme/artifacts/{digest}.png\"}}"),
                Some("acme"),
            ),
            // Who knows what is a tenant there, and what a folder.
            (format!("https://example.org/acme/artifacts/{digest}"), None),
            (format!("https://example.com/a/b/artifacts/{digest}"), None),
            (format!("https://example.com/Acme/artifacts/{digest}"), None),
            (format!("s3://b/p/acme/sha256/ba/{digest}"), Some("acme")),
            (format!("acme/sha256/ba/{digest}"), Some("acme")),
            (
                format!("{{\"type\":\"artifact\",\"sha256\":\"{digest}\",\"size_bytes\":3}}"),
                None,
            ),
        ] {
            let named = named(&text).unwrap();
            assert_eq!(named.digest, digest, "{text}");
            let found = named.tenant(&urls);
            assert_eq!(found.as_ref().map(TenantId::as_str), tenant, "{text}");
        }
        let two = format!("{digest} {}", Digest::of(b"abd"));
        for text in ["", "abc", &digest.to_string()[1..], &two] {
            assert!(named(text).is_err(), "{text}");
        }
    }
}
