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
    /// Whose it is, where the reference says so.
    pub(super) tenant: Option<TenantId>,
}

impl Named {
    /// The artifact, which is that of `tenant` unless the reference says whose it is.
    pub(super) fn of(&self, tenant: Option<&TenantId>) -> Address {
        let tenant = tenant.or(self.tenant.as_ref());
        Address {
            tenant: tenant.cloned().unwrap_or_default(),
            digest: self.digest,
        }
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
    let mut words = words.collect::<Vec<_>>().into_iter().peekable();
    let mut before: Vec<&str> = Vec::new();
    let mut found = None;
    for word in words.by_ref() {
        if let Ok(digest) = word.parse::<Digest>()
            && found.replace((digest, before.clone())).is_some()
        {
            return Err(told());
        }
        before.push(word);
    }
    let (digest, before) = found.ok_or_else(told)?;
    // .../TENANT/sha256/ab/DIGEST in a store, and .../TENANT/artifacts/DIGEST.png in a link.
    let tenant = match before.as_slice() {
        [.., tenant, "sha256", _] => tenant.parse().ok(),
        _ => None,
    };
    Ok(Named { digest, tenant })
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use super::*;

    #[test]
    fn a_digest_is_found_in_any_reference() {
        let digest = Digest::of(b"abc");
        for (text, tenant) in [
            (digest.to_string(), None),
            (
                format!("http://127.0.0.1:4319/artifacts/{digest}.png?as=base64"),
                None,
            ),
            (format!("s3://b/p/acme/sha256/ba/{digest}"), Some("acme")),
            (
                format!("{{\"type\":\"artifact\",\"sha256\":\"{digest}\",\"size_bytes\":3}}"),
                None,
            ),
        ] {
            let named = named(&text).unwrap();
            assert_eq!(named.digest, digest, "{text}");
            let found = named.tenant.as_ref().map(TenantId::as_str);
            assert_eq!(found, tenant, "{text}");
        }
        let two = format!("{digest} {}", Digest::of(b"abd"));
        for text in ["", "abc", &digest.to_string()[1..], &two] {
            assert!(named(text).is_err(), "{text}");
        }
    }
}
