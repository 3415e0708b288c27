//! The configuration of `sending_queue`, with the keys of the Collector.

use std::time::Duration;

use http::HeaderName;
use schemars::JsonSchema;
use serde::de::Deserializer;
use serde::{Deserialize, Serialize};

use crate::config::units::{Between, PositiveDuration};
use crate::config::{ComponentId, header_names};

/// `sending_queue` as it is in an exporter: who writes it wants one.
pub(crate) fn sending_queue<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<QueueConfig, D::Error> {
    let config = Option::deserialize(deserializer)?;
    Ok(config.unwrap_or_else(QueueConfig::off))
}

/// `batch:` without a body has the defaults.
fn batch<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<QueueBatchConfig>, D::Error> {
    QueueBatchConfig::deserialize(deserializer).map(Some)
}

/// `sending_queue`: requests that are acknowledged before the backend has them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct QueueConfig {
    /// Whether there is a queue. True where anything else is said of it.
    pub enabled: bool,
    /// The requests that are sent at a time.
    #[serde(with = "Between::<1, 1000>")]
    pub num_consumers: usize,
    /// How much the queue holds, in units of `sizer`; more than 0.
    #[serde(with = "Between::<1, 1_000_000_000_000>")]
    pub queue_size: u64,
    /// What `queue_size` counts.
    pub sizer: Sizer,
    /// Whether a sender waits for room, rather than being asked to come back.
    pub block_on_overflow: bool,
    /// Whether a sender waits for the backend's answer: the queue then only bounds what is sent at a
    /// time.
    pub wait_for_result: bool,
    /// The `file_storage` extension that keeps the queue on disk; in memory without one.
    pub storage: Option<ComponentId>,
    /// How requests that wait are joined; each goes by itself without it.
    #[serde(deserialize_with = "batch", skip_serializing_if = "Option::is_none")]
    pub batch: Option<QueueBatchConfig>,
}

impl Default for QueueConfig {
    fn default() -> Self {
        Self {
            enabled: true,
            num_consumers: 10,
            queue_size: 1_000,
            sizer: Sizer::Requests,
            block_on_overflow: false,
            wait_for_result: false,
            storage: None,
            batch: None,
        }
    }
}

impl QueueConfig {
    /// No queue, which is what holds where nothing is said of one.
    pub fn off() -> Self {
        Self {
            enabled: false,
            ..Self::default()
        }
    }

    /// What is wrong between its keys: the keys that lead there, and why. The Collector refuses the same.
    pub fn mistake(&self) -> Option<(&'static [&'static str], String)> {
        const WAIT: &[&str] = &["wait_for_result"];
        const MIN: &[&str] = &["batch", "min_size"];
        const MAX: &[&str] = &["batch", "max_size"];
        if !self.enabled {
            return None;
        }
        if self.wait_for_result && self.storage.is_some() {
            let why =
                "cannot be true with a storage: what is on disk is acknowledged, and nobody waits";
            return Some((WAIT, why.to_owned()));
        }
        let batch = self.batch.as_ref()?;
        let QueueBatchConfig {
            min_size, max_size, ..
        } = *batch;
        if max_size > 0 && max_size < min_size {
            let why = format!("must be 0 or at least min_size, which is {min_size}");
            return Some((MAX, why));
        }
        let counts_the_same = self.sizer.of_batches() == Some(self.batch_sizer());
        (counts_the_same && min_size > self.queue_size).then(|| {
            let size = self.queue_size;
            let why =
                format!("must be at most queue_size, which is {size}: the queue holds no more");
            (MIN, why)
        })
    }

    /// What the sizes of batches count: what `queue_size` counts, unless that is requests or they say it
    /// themselves.
    pub fn batch_sizer(&self) -> BatchSizer {
        let said = self.batch.as_ref().and_then(|batch| batch.sizer);
        said.or_else(|| self.sizer.of_batches()).unwrap_or_default()
    }

    /// The most bytes and items that go as one; the largest number where there is no limit.
    pub fn largest_batch(&self) -> LargestBatch {
        let mut largest = LargestBatch {
            bytes: u64::MAX,
            items: u64::MAX,
        };
        let batch = self.batch.as_ref().filter(|_| self.enabled);
        if let Some(most) = batch.map(|batch| batch.max_size).filter(|most| *most > 0) {
            match self.batch_sizer() {
                BatchSizer::Items => largest.items = most,
                BatchSizer::Bytes => largest.bytes = most,
            }
        }
        largest
    }
}

/// The most that goes as one.
#[derive(Debug, Clone, Copy)]
pub struct LargestBatch {
    /// Encoded and uncompressed.
    pub bytes: u64,
    /// Spans, log records and data points.
    pub items: u64,
}

/// `batch`: requests that wait in a queue go as one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct QueueBatchConfig {
    /// The time after which a batch goes, however small it is; more than 0.
    #[serde(with = "PositiveDuration")]
    pub flush_timeout: Duration,
    /// The size from which on it goes at once.
    #[serde(with = "Between::<0, 1_000_000_000_000>")]
    pub min_size: u64,
    /// The most that goes as one; 0 is no limit.
    #[serde(with = "Between::<0, 1_000_000_000_000>")]
    pub max_size: u64,
    /// What these sizes count. What `queue_size` counts if nothing is said, and items where that is requests.
    pub sizer: Option<BatchSizer>,
    /// What tells requests apart, beside what their exporter passes on.
    pub partition: PartitionConfig,
}

impl Default for QueueBatchConfig {
    fn default() -> Self {
        Self {
            flush_timeout: Duration::from_millis(200),
            min_size: 8192,
            max_size: 0,
            sizer: None,
            partition: PartitionConfig::default(),
        }
    }
}

impl QueueBatchConfig {
    /// The headers of senders that tell requests apart.
    pub fn metadata_keys(&self) -> Vec<HeaderName> {
        let keys = self.partition.metadata_keys.iter();
        // What is no name was refused when it was read.
        keys.filter_map(|name| HeaderName::try_from(name).ok())
            .collect()
    }
}

/// `partition`: requests that are told apart are not joined.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct PartitionConfig {
    /// Requests are joined only where these headers are equal.
    #[serde(deserialize_with = "header_names")]
    pub metadata_keys: Vec<String>,
}

/// What the size of a batch is measured in.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum BatchSizer {
    /// Spans, log records and data points.
    #[default]
    Items,
    /// Bytes.
    Bytes,
}

/// What the size of a queue is measured in.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Sizer {
    /// Requests.
    #[default]
    Requests,
    /// Spans, log records and data points.
    Items,
    /// Bytes.
    Bytes,
}

impl Sizer {
    /// The same for batches, which do not count requests.
    fn of_batches(self) -> Option<BatchSizer> {
        match self {
            Self::Requests => None,
            Self::Items => Some(BatchSizer::Items),
            Self::Bytes => Some(BatchSizer::Bytes),
        }
    }
}
