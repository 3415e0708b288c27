//! The configuration of the `debug` exporter.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::config::ReferenceForm;
use crate::config::units::Between;

/// `debug`: prints what arrives.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct DebugConfig {
    /// How much it prints.
    pub verbosity: Verbosity,
    /// The requests of each signal that it prints in each second before any is left out; up to a million.
    #[serde(with = "Between::<0, 1_000_000>")]
    pub sampling_initial: u32,
    /// Of how many others it prints one; 0 for none, up to a million.
    #[serde(with = "Between::<0, 1_000_000>")]
    pub sampling_thereafter: u32,
    /// As in the Collector; what arrives is printed to standard output, and the log is kept apart.
    pub use_internal_logger: Option<bool>,
    /// How references look in what it prints; as the `artifact` processor has them if nothing is
    /// said.
    pub reference: Option<ReferenceForm>,
}

impl Default for DebugConfig {
    fn default() -> Self {
        Self {
            verbosity: Verbosity::default(),
            sampling_initial: 2,
            sampling_thereafter: 1,
            use_internal_logger: None,
            reference: None,
        }
    }
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
