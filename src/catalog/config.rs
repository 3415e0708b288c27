//! The configuration of an `artifact_store`'s catalog.

use std::path::PathBuf;
use std::time::Duration;

use bytesize::ByteSize;
use schemars::JsonSchema;
use serde::de::{Deserializer, Error};
use serde::{Deserialize, Serialize};

use crate::config::units::{PositiveDuration, SizeBetween};

/// `catalog`: writes down in the bucket which span refers to which artifact.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct CatalogConfig {
    /// Whether it is written. Without it nothing can be listed, and nothing ages.
    pub enabled: bool,
    /// The folder for what is not in the bucket yet, and for the index of what is. It is to survive
    /// restarts; processes of one machine may share it.
    #[serde(deserialize_with = "directory")]
    #[schemars(length(min = 1))]
    pub directory: PathBuf,
    /// The time after which new entries are put into the bucket; more than 0.
    #[serde(with = "PositiveDuration")]
    pub interval: Duration,
    /// The bytes of new entries that are put into the bucket at once, before that time; from 1KiB to
    /// 64MiB.
    #[serde(with = "SizeBetween::<{ 1 << 10 }, { 64 << 20 }>")]
    pub max_batch: ByteSize,
    /// The bytes of entries that may wait in the folder for the bucket; from 1MiB to 1TiB. More are given
    /// up, and counted.
    #[serde(with = "SizeBetween::<{ 1 << 20 }, { 1 << 40 }>")]
    pub max_bytes: ByteSize,
}

impl Default for CatalogConfig {
    fn default() -> Self {
        Self {
            enabled: true,
            directory: PathBuf::from("./data/catalog"),
            interval: Duration::from_secs(5),
            max_batch: ByteSize::mib(1),
            max_bytes: ByteSize::mib(256),
        }
    }
}

fn directory<'de, D: Deserializer<'de>>(deserializer: D) -> Result<PathBuf, D::Error> {
    let directory = String::deserialize(deserializer)?;
    if directory.trim().is_empty() {
        return Err(D::Error::custom(
            "must not be empty: use a path such as ./data/catalog",
        ));
    }
    Ok(directory.into())
}
