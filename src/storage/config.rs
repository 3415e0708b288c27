//! The configuration of the `artifact_store` extension.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::Deserialize;
use serde::de::{Deserializer, Error};

use crate::config::Secret;
use crate::config::units::{between, duration, positive_duration};

/// `artifact_store`: keeps artifacts under their digests.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StoreConfig {
    /// A path, or a URL such as `s3://bucket/prefix`, `gs://`, `az://` or `memory://`. Required.
    #[serde(deserialize_with = "url")]
    pub url: String,
    /// The time that the store has for one artifact; more than 0.
    #[serde(default = "default_timeout", deserialize_with = "positive_duration")]
    pub timeout: Duration,
    /// The artifacts of one request that are stored at a time; from 1 to 1024.
    #[serde(
        default = "default_max_concurrent_puts",
        deserialize_with = "between::<_, _, 1, 1024>"
    )]
    pub max_concurrent_puts: usize,
    /// The time after which an artifact seen again is stored again; 0 stores it every time.
    #[serde(default = "default_refresh", deserialize_with = "duration")]
    pub refresh: Duration,
    /// The digests remembered as stored; up to a thousand million.
    #[serde(
        default = "default_known_digests",
        deserialize_with = "between::<_, _, 0, 1_000_000_000>"
    )]
    pub known_digests: u64,
    /// Options of the object store, such as its region and access keys.
    #[serde(default)]
    pub options: BTreeMap<String, Secret>,
}

impl StoreConfig {
    /// The defaults of everything but the URL.
    pub fn new(url: impl Into<String>) -> Self {
        Self {
            url: url.into(),
            timeout: default_timeout(),
            max_concurrent_puts: default_max_concurrent_puts(),
            refresh: default_refresh(),
            known_digests: default_known_digests(),
            options: BTreeMap::new(),
        }
    }
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

fn url<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    let url = String::deserialize(deserializer)?;
    if url.trim().is_empty() {
        return Err(D::Error::custom(
            "must not be empty: use a path such as ./data/artifacts or a URL such as s3://bucket",
        ));
    }
    Ok(url)
}
