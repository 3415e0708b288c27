//! When a backend is asked whether it is there, with the keys of the Collector.

use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::config::units::PositiveDuration;

/// `keepalive`: how a connection to a backend is found to be dead. Unlike in the Collector, which asks nothing
/// unless it is told to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct KeepaliveConfig {
    /// The silence after which the backend is asked; more than 0.
    #[serde(with = "PositiveDuration")]
    pub time: Duration,
    /// The time that it has for its answer; more than 0.
    #[serde(with = "PositiveDuration")]
    pub timeout: Duration,
    /// Whether it is asked while no request is under way, too. Backends may take that for an abuse.
    pub permit_without_stream: bool,
}

impl Default for KeepaliveConfig {
    fn default() -> Self {
        Self {
            time: Duration::from_secs(30),
            timeout: Duration::from_secs(20),
            permit_without_stream: false,
        }
    }
}
