//! The configuration of the `debug` exporter.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::config::ReferenceForm;

/// `debug`: prints what arrives.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct DebugConfig {
    /// How much it prints.
    pub verbosity: Verbosity,
    /// How references look in what it prints; as the `artifact` processor has them if nothing is
    /// said.
    pub reference: Option<ReferenceForm>,
}

/// How much the debug exporter prints.
#[derive(
    Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "lowercase")]
pub enum Verbosity {
    /// One line a request: what it holds, and its size.
    #[default]
    Basic,
    /// Also a line for each span, log record or data point, and its attributes, long values cut.
    Normal,
    /// Everything, in full; of bytes only the beginning.
    Detailed,
}
