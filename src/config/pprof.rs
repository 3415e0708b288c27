//! The configuration of the Collector's `pprof`, which lets people look at the Go in it. There is none here.

use std::path::PathBuf;
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::units::AnyDurationOrNone;

/// `pprof`, of which nothing has anything to do here.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct PprofConfig {
    /// As in the Collector.
    pub endpoint: Option<String>,
    /// As in the Collector.
    pub dialer: PprofDialer,
    /// As in the Collector.
    pub block_profile_fraction: Option<i64>,
    /// As in the Collector.
    pub mutex_profile_fraction: Option<i64>,
    /// As in the Collector.
    pub save_to_file: Option<PathBuf>,
}

/// `dialer` of the Collector's `pprof`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct PprofDialer {
    /// As in the Collector.
    #[serde(with = "AnyDurationOrNone")]
    pub timeout: Option<Duration>,
}
