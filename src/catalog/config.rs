//! The configuration of an `artifact_store`'s catalog.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use bytesize::ByteSize;
use schemars::JsonSchema;
use serde::de::{Deserializer, Error};
use serde::{Deserialize, Serialize};

use crate::config::units::{AnyDuration, PositiveDuration, SizeBetween};
use crate::tenant::TenantId;

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
    /// What happens to a request whose entries neither the folder nor the bucket takes in time.
    pub on_failure: OnCatalogFailure,
    /// How long files are kept that nothing refers to any more: `slimspan gc` removes them.
    pub retention: RetentionConfig,
}

/// What happens to a request whose entries would be lost with the process.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum OnCatalogFailure {
    /// The sender is asked to try again later.
    #[default]
    Refuse,
    /// It is answered as if they were written down, and the log warns.
    Forward,
}

/// `retention`: how long files are kept after the last reference to them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct RetentionConfig {
    /// The time after the last reference to a file; 0 keeps all for ever.
    #[serde(with = "AnyDuration")]
    pub max_age: Duration,
    /// That of tenants for whom it is another one; 0 keeps theirs for ever.
    pub by_tenant: BTreeMap<TenantId, Age>,
    /// The time between a first run, which marks what is too old, and the one that removes it; at least an
    /// hour longer than `refresh`. What was stored less than that ago does not go with a deleted trace.
    #[serde(with = "PositiveDuration")]
    pub grace: Duration,
}

/// How much longer than `refresh` the grace has to be: for what a replica wrote down and could not put yet,
/// and for clocks that differ.
const LEAST_DELAY: Duration = Duration::from_hours(1);

fn least_grace(refresh: Duration) -> Duration {
    refresh.saturating_add(LEAST_DELAY)
}

fn in_hours(time: Duration) -> String {
    match time.as_secs() {
        seconds if seconds.is_multiple_of(3600) => format!("{}h", seconds / 3600),
        seconds => format!("{seconds}s"),
    }
}

/// How long files are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(transparent)]
pub struct Age(#[serde(with = "AnyDuration")] pub Duration);

impl RetentionConfig {
    /// How long files of a tenant are kept; none where they are kept for ever.
    pub fn of(&self, tenant: &TenantId) -> Option<Duration> {
        let of_tenant = self.by_tenant.get(tenant).map(|Age(age)| *age);
        let age = of_tenant.unwrap_or(self.max_age);
        Some(age).filter(|age| !age.is_zero())
    }

    /// The longest time for which anybody's files are kept; none where it is for ever.
    pub fn longest(&self) -> Duration {
        let of_tenants = self.by_tenant.values().map(|Age(age)| *age);
        of_tenants.fold(self.max_age, Duration::max)
    }

    /// How long after a file was stored last all references are in the catalog that left because it counted as
    /// stored: for `refresh`, and as long as a replica may be without the bucket.
    pub fn settles_after(&self, refresh: Duration) -> Duration {
        self.grace.max(least_grace(refresh))
    }

    /// What is wrong with the grace, where a file counts as stored for `refresh` without being asked for.
    pub fn mistake(&self, refresh: Duration) -> Option<String> {
        let least = least_grace(refresh);
        let is_wrong = !self.keeps_all() && self.grace < least;
        is_wrong.then(|| {
            format!(
                "{} is too short: a replica counts a file as stored for {} without asking for it \
                 (refresh), so it has to be at least {}",
                in_hours(self.grace),
                in_hours(refresh),
                in_hours(least)
            )
        })
    }

    /// Whether nothing is ever too old.
    pub fn keeps_all(&self) -> bool {
        self.max_age.is_zero() && self.by_tenant.values().all(|Age(age)| age.is_zero())
    }
}

impl Default for RetentionConfig {
    fn default() -> Self {
        Self {
            max_age: Duration::ZERO,
            by_tenant: BTreeMap::new(),
            grace: Duration::from_hours(48),
        }
    }
}

impl Default for CatalogConfig {
    fn default() -> Self {
        Self {
            enabled: true,
            directory: PathBuf::from("./data/catalog"),
            interval: Duration::from_secs(5),
            max_batch: ByteSize::mib(1),
            max_bytes: ByteSize::mib(256),
            on_failure: OnCatalogFailure::default(),
            retention: RetentionConfig::default(),
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
