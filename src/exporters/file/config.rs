//! The configuration of the `file` exporter.

use std::path::PathBuf;
use std::time::Duration;

use bytesize::ByteSize;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{Deserializer, Error};
use serde::{Deserialize, Serialize};

use crate::config::units::{Between, PermissionsOrNone, PositiveDuration, PositiveSize};
use crate::config::{BytesForm, ReferenceForm};

/// `file`: writes requests to a file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct FileConfig {
    /// The file. Required.
    #[serde(deserialize_with = "path")]
    #[schemars(length(min = 1))]
    pub path: PathBuf,
    /// Whether what a file holds at the start stays in it.
    #[serde(default = "yes")]
    pub append: bool,
    /// When a file that has grown makes room for a new one; never without it.
    #[serde(
        default,
        deserialize_with = "rotation",
        skip_serializing_if = "Option::is_none"
    )]
    pub rotation: Option<RotationConfig>,
    /// How requests are written.
    #[serde(default)]
    pub format: Format,
    /// How each of them is compressed.
    #[serde(default)]
    #[schemars(schema_with = "compressions")]
    pub compression: Compression,
    /// After which time at most what was written is on the disk, power cuts or not.
    #[serde(default = "flush_interval", with = "PositiveDuration")]
    pub flush_interval: Duration,
    /// Whether it is there before it is acknowledged.
    #[serde(default)]
    pub fsync: bool,
    /// Whether the folder is made where it is missing.
    #[serde(default)]
    pub create_directory: bool,
    /// The permissions of a folder that is made, less what the umask takes away.
    #[serde(default, with = "PermissionsOrNone")]
    pub directory_permissions: Option<u32>,
    /// The bytes of damage that are kept beside it for people to look at, the newest first. The newest
    /// is kept however large it is.
    #[serde(default = "max_damaged_bytes", with = "PositiveSize")]
    pub max_damaged_bytes: ByteSize,
    /// How references look that are written; as the `artifact` processor has them if nothing is said.
    #[serde(default)]
    pub reference: Option<ReferenceForm>,
    /// What becomes of bytes values; what the `artifact` processor makes of them if nothing is said.
    #[serde(default)]
    pub bytes_values: Option<BytesForm>,
}

/// `rotation`: the file is renamed, and a new one begun.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct RotationConfig {
    /// The size that a file has at most, unless a single request is larger.
    #[serde(with = "Between::<1, 1_048_576>")]
    pub max_megabytes: u64,
    /// After how many days a renamed file is deleted; 0 for never.
    #[serde(with = "Between::<0, 36_500>")]
    pub max_days: u32,
    /// How many renamed files are kept; 0 for all.
    #[serde(with = "Between::<0, 1_000_000>")]
    pub max_backups: usize,
    /// Whether the time in their names is local; UTC otherwise.
    pub localtime: bool,
}

impl Default for RotationConfig {
    fn default() -> Self {
        Self {
            max_megabytes: 100,
            max_days: 0,
            max_backups: 100,
            localtime: false,
        }
    }
}

/// How requests are written.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Format {
    /// OTLP/JSON, a line each.
    #[default]
    Json,
    /// OTLP in protobuf, each after its length in 4 bytes.
    Proto,
}

/// How requests are compressed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Compression {
    /// Not at all.
    #[default]
    #[serde(alias = "")]
    None,
    /// Each is a zstd frame, after its length in 4 bytes.
    Zstd,
}

/// What folders may be done with that are made.
const DIRECTORY_PERMISSIONS: u32 = 0o755;

impl FileConfig {
    /// The defaults of everything but the path.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self {
            path: path.into(),
            append: true,
            rotation: None,
            format: Format::default(),
            compression: Compression::default(),
            flush_interval: flush_interval(),
            fsync: false,
            create_directory: false,
            directory_permissions: None,
            max_damaged_bytes: max_damaged_bytes(),
            reference: None,
            bytes_values: None,
        }
    }

    /// What is wrong between its keys: the key, and why. The Collector refuses the same.
    pub fn mistake(&self) -> Option<(&'static str, &'static str)> {
        if self.directory_permissions.is_some() && !self.create_directory {
            return Some((
                "directory_permissions",
                "needs create_directory: true; without it no folder is made",
            ));
        }
        (!self.append && self.rotation.is_some()).then_some((
            "append",
            "cannot be false with a rotation, which never empties a file: remove one of both",
        ))
    }

    pub(super) fn permissions_of_directory(&self) -> u32 {
        self.directory_permissions.unwrap_or(DIRECTORY_PERMISSIONS)
    }
}

/// The Collector writes an empty text for none.
fn compressions(_: &mut SchemaGenerator) -> Schema {
    json_schema!({ "enum": ["none", "", "zstd"] })
}

fn yes() -> bool {
    true
}

/// What is moved aside may be a whole file.
fn max_damaged_bytes() -> ByteSize {
    ByteSize::gib(1)
}

fn flush_interval() -> Duration {
    Duration::from_secs(1)
}

fn path<'de, D: Deserializer<'de>>(deserializer: D) -> Result<PathBuf, D::Error> {
    let path = PathBuf::deserialize(deserializer)?;
    if path.as_os_str().is_empty() {
        return Err(D::Error::custom(
            "must not be empty: name a file such as ./data/telemetry.json",
        ));
    }
    Ok(path)
}

/// `rotation:` without a body has the defaults.
fn rotation<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<RotationConfig>, D::Error> {
    RotationConfig::deserialize(deserializer).map(Some)
}
