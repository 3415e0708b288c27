//! The configuration of the `artifact_store` extension.

use std::collections::BTreeMap;
use std::time::Duration;

use schemars::JsonSchema;
use serde::de::{Deserializer, Error};
use serde::{Deserialize, Serialize};
use slimspan_artifact::Location;
use url::Url;

use super::spool::config::SpoolConfig;
use crate::catalog::config::CatalogConfig;
use crate::config::Secret;
use crate::config::units::{AnyDuration, Between, PositiveDuration};
use crate::tenant::TenantId;

/// `artifact_store`: keeps artifacts under their digests.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct StoreConfig {
    /// A path, or a URL such as `s3://bucket/prefix`, `gs://`, `az://` or `memory://`. Required.
    #[serde(
        deserialize_with = "url",
        serialize_with = "crate::config::redacted::url_or_path"
    )]
    #[schemars(length(min = 1))]
    pub url: String,
    /// Where people read the artifacts, without a slash at its end: references lead there if it is
    /// given, else into the store.
    #[serde(default, deserialize_with = "public_url")]
    #[schemars(extend("pattern" = "^[hH][tT][tT][pP][sS]?://[^?#@]+$"))]
    pub public_url: Option<String>,
    /// The time that the store has for one artifact; more than 0.
    #[serde(default = "default_timeout", with = "PositiveDuration")]
    pub timeout: Duration,
    /// The artifacts of one request that are stored at a time; from 1 to 1024.
    #[serde(default = "default_max_concurrent_puts", with = "Between::<1, 1024>")]
    pub max_concurrent_puts: usize,
    /// The time after which an artifact seen again is stored again; 0 stores it every time.
    #[serde(default = "default_refresh", with = "AnyDuration")]
    pub refresh: Duration,
    /// The digests remembered as stored; up to a thousand million.
    #[serde(
        default = "default_known_digests",
        with = "Between::<0, 1_000_000_000>"
    )]
    pub known_digests: u64,
    /// The encoded values remembered, which are not decoded when they come again; up to a thousand
    /// million, and 0 remembers none.
    #[serde(default = "default_known_values", with = "Between::<0, 1_000_000_000>")]
    pub known_values: u64,
    /// Where artifacts wait for the store, with `delivery: background`.
    #[serde(default)]
    pub spool: SpoolConfig,
    /// What is written down of references to artifacts.
    #[serde(default)]
    pub catalog: CatalogConfig,
    /// Options of the object store, such as its region and access keys.
    #[serde(default)]
    pub options: BTreeMap<String, Secret>,
}

impl StoreConfig {
    /// The defaults of everything but the URL.
    pub fn new(url: impl Into<String>) -> Self {
        Self {
            url: url.into(),
            public_url: None,
            timeout: default_timeout(),
            max_concurrent_puts: default_max_concurrent_puts(),
            refresh: default_refresh(),
            known_digests: default_known_digests(),
            known_values: default_known_values(),
            spool: SpoolConfig::default(),
            catalog: CatalogConfig::default(),
            options: BTreeMap::new(),
        }
    }

    /// For how many days what is used has to stay until it is stored again, where a rule of the bucket looks once
    /// in a day.
    pub fn days_to_refresh(&self) -> u64 {
        days(self.refresh)
    }

    /// The same with the time for which files are kept that nothing refers to any more.
    pub fn days_to_keep(&self) -> u64 {
        let retention = self.catalog.retention.longest();
        days(self.refresh.saturating_add(retention))
    }

    /// Where references to artifacts of `tenant` lead; `uri_base` is where the store itself keeps
    /// these.
    pub fn location(&self, uri_base: &str, tenant: &TenantId) -> Location {
        match &self.public_url {
            Some(url) if tenant.is_default() => Location::Public(url.clone()),
            Some(url) => Location::Public(format!("{url}/{tenant}")),
            None => Location::Store(uri_base.to_owned()),
        }
    }
}

/// With the one in which a rule may be late.
fn days(time: Duration) -> u64 {
    time.as_secs().div_ceil(24 * 60 * 60) + 1
}

fn default_timeout() -> Duration {
    Duration::from_secs(10)
}

fn default_max_concurrent_puts() -> usize {
    16
}

fn default_refresh() -> Duration {
    Duration::from_hours(24)
}

fn default_known_digests() -> u64 {
    100_000
}

fn default_known_values() -> u64 {
    20_000
}

fn url<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    let url = String::deserialize(deserializer)?;
    if url.trim().is_empty() {
        return Err(D::Error::custom(
            "must not be empty: use a path such as ./data/artifacts or a URL such as s3://bucket",
        ));
    }
    Ok(url)
}

/// A URL that a reference can begin with, without a slash at its end.
pub(crate) fn public_url<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<String>, D::Error> {
    let text = Option::<String>::deserialize(deserializer)?;
    let Some(text) = text else { return Ok(None) };
    let custom = |message: &str| Err(D::Error::custom(message));
    let Ok(url) = Url::parse(&text) else {
        return custom("is not a URL: use one such as https://artifacts.example.com");
    };
    // None of these is repeated: each may hold a secret.
    if !url.username().is_empty() || url.password().is_some() {
        return custom("must not have a user or password: it stands in every reference");
    }
    if url.query().is_some() || url.fragment().is_some() {
        return custom("must end with its path: references add to it");
    }
    if !matches!(url.scheme(), "http" | "https") {
        return Err(D::Error::custom(format!(
            "unknown scheme \"{}\": use http:// or https://",
            url.scheme()
        )));
    }
    Ok(Some(url.as_str().trim_end_matches('/').to_owned()))
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use serde_json::json;

    use super::*;

    fn read(public_url: &serde_json::Value) -> Result<Option<String>, String> {
        let config = json!({ "url": "./x", "public_url": public_url });
        let config: Result<StoreConfig, _> = serde_json::from_value(config);
        config
            .map(|config| config.public_url)
            .map_err(|error| error.to_string())
    }

    #[test]
    fn public_urls() {
        for (written, read_as) in [
            ("http://127.0.0.1:4319", "http://127.0.0.1:4319"),
            ("https://Example.com/", "https://example.com"),
            ("https://example.com/a/b//", "https://example.com/a/b"),
            (
                "https://example.com/a \"b\"",
                "https://example.com/a%20%22b%22",
            ),
        ] {
            assert_eq!(read(&json!(written)).unwrap().unwrap(), read_as);
        }
        assert_eq!(read(&json!(null)).unwrap(), None);
    }

    #[test]
    fn where_references_lead() {
        let mut config = StoreConfig::new("s3://media");
        let base = "s3://media/default/sha256";
        let tenant = TenantId::default();
        let in_store = config.location(base, &tenant);
        assert_eq!(in_store, Location::Store(base.to_owned()));
        config.public_url = Some("https://example.com".to_owned());
        for (tenant, url) in [
            ("default", "https://example.com"),
            ("acme", "https://example.com/acme"),
        ] {
            let location = config.location(base, &tenant.parse().unwrap());
            assert_eq!(location, Location::Public(url.to_owned()));
        }
    }
}
