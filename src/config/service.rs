//! The `service` section: which components run, and how they are joined.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::id::{ComponentId, PipelineId};

/// What runs.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ServiceConfig {
    /// The extensions to start, in this order.
    pub extensions: Vec<ComponentId>,
    /// The pipelines.
    pub pipelines: BTreeMap<PipelineId, PipelineConfig>,
}

/// The way of one signal.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct PipelineConfig {
    /// Where requests come from; at least one.
    pub receivers: Vec<ComponentId>,
    /// What happens to them, in this order.
    pub processors: Vec<ComponentId>,
    /// Where they go; at least one.
    pub exporters: Vec<ComponentId>,
}
