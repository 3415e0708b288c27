//! The `service` section: which components run, and how they are joined.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::id::{ComponentId, PipelineId};
use crate::telemetry::config::TelemetryConfig;

/// What runs.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct ServiceConfig {
    /// The extensions to start, in this order.
    pub extensions: Vec<ComponentId>,
    /// The pipelines.
    pub pipelines: BTreeMap<PipelineId, PipelineConfig>,
    /// What slimspan tells of itself.
    pub telemetry: TelemetryConfig,
}

/// The way of one signal.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct PipelineConfig {
    /// Where requests come from; at least one.
    pub receivers: Vec<ComponentId>,
    /// What happens to them, in this order.
    pub processors: Vec<ComponentId>,
    /// Where they go; at least one.
    pub exporters: Vec<ComponentId>,
}
