//! The configuration of `sending_queue`, with the keys of the Collector.

use schemars::JsonSchema;
use serde::de::Deserializer;
use serde::{Deserialize, Serialize};

use crate::config::ComponentId;
use crate::config::units::Between;

/// `sending_queue` as it is in an exporter: who writes it wants one.
pub(crate) fn sending_queue<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<QueueConfig, D::Error> {
    let config = Option::deserialize(deserializer)?;
    Ok(config.unwrap_or_else(QueueConfig::off))
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

    /// What is wrong between its keys: the key, and why. The Collector refuses the same.
    pub fn mistake(&self) -> Option<(&'static str, &'static str)> {
        (self.enabled && self.wait_for_result && self.storage.is_some()).then_some((
            "wait_for_result",
            "cannot be true with a storage: what is on disk is acknowledged, and nobody waits",
        ))
    }
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
