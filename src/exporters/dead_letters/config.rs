//! The configuration of `dead_letters`.

use std::path::PathBuf;

use bytesize::ByteSize;
use schemars::JsonSchema;
use serde::de::{Deserializer, Error};
use serde::{Deserialize, Serialize};

use crate::config::units::PositiveSize;

/// `dead_letters`: where requests are kept that no backend takes and no sender sends again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct DeadLetterConfig {
    /// The folder; made when it is first needed. Without one they are given up.
    #[serde(deserialize_with = "directory")]
    #[schemars(length(min = 1))]
    pub directory: Option<PathBuf>,
    /// The size of all that is kept there. What comes when it is full is given up, but stays in a queue on disk.
    #[serde(with = "PositiveSize")]
    pub max_bytes: ByteSize,
}

impl Default for DeadLetterConfig {
    fn default() -> Self {
        Self {
            directory: Some("./data/dead_letters".into()),
            max_bytes: ByteSize::mib(256),
        }
    }
}

fn directory<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<PathBuf>, D::Error> {
    let directory = Option::<PathBuf>::deserialize(deserializer)?;
    if directory
        .as_ref()
        .is_some_and(|path| path.as_os_str().is_empty())
    {
        return Err(D::Error::custom(
            "must not be empty: use a path such as ./data/dead_letters, or null to keep nothing",
        ));
    }
    Ok(directory)
}
