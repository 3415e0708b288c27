//! The configuration of an `artifact_store`'s spool.

use std::path::PathBuf;

use bytesize::ByteSize;
use schemars::JsonSchema;
use serde::de::{Deserializer, Error};
use serde::{Deserialize, Serialize};

use crate::config::OnStoreFailure;
use crate::config::units::{PositiveSize, PositiveSizeOrNone};
use crate::journal::config::MAX_DAMAGED;

/// `spool`: keeps artifacts on disk until the store has them, for `delivery: background`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct SpoolConfig {
    /// The folder. No two processes, and no two stores, may share one.
    #[serde(deserialize_with = "directory")]
    #[schemars(length(min = 1))]
    pub directory: PathBuf,
    /// The bytes that it may take on disk.
    #[serde(with = "PositiveSize")]
    pub max_bytes: ByteSize,
    /// The bytes of artifacts of one tenant that may wait in it; no limit of its own if there is none.
    #[serde(with = "PositiveSizeOrNone")]
    pub max_bytes_per_tenant: Option<ByteSize>,
    /// The bytes of damage that are kept for people to look at, the newest first; beside `max_bytes`.
    #[serde(with = "PositiveSize")]
    pub max_damaged_bytes: ByteSize,
    /// What happens to a request whose artifacts do not fit.
    pub on_full: OnStoreFailure,
}

impl Default for SpoolConfig {
    fn default() -> Self {
        Self {
            directory: PathBuf::from("./data/spool"),
            max_bytes: ByteSize::gib(1),
            max_bytes_per_tenant: None,
            max_damaged_bytes: MAX_DAMAGED,
            on_full: OnStoreFailure::Refuse,
        }
    }
}

fn directory<'de, D: Deserializer<'de>>(deserializer: D) -> Result<PathBuf, D::Error> {
    let directory = String::deserialize(deserializer)?;
    if directory.trim().is_empty() {
        return Err(D::Error::custom(
            "must not be empty: use a path such as ./data/spool",
        ));
    }
    Ok(directory.into())
}
