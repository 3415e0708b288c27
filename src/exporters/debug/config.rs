//! The configuration of the `debug` exporter.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::config::units::Between;
use crate::config::{BytesForm, ReferenceForm};
use crate::telemetry::logs::config::{is_output_path, not_output_path};

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
    /// As in the Collector; what arrives goes to output_paths, and the log is kept apart.
    pub use_internal_logger: Option<bool>,
    /// Where it prints: `stdout`, `stderr`, or files.
    pub output_paths: Vec<String>,
    /// How references look in what it prints; as the `artifact` processor has them if nothing is
    /// said.
    pub reference: Option<ReferenceForm>,
    /// What becomes of bytes values; what the `artifact` processor makes of them if nothing is said.
    pub bytes_values: Option<BytesForm>,
}

impl Default for DebugConfig {
    fn default() -> Self {
        Self {
            verbosity: Verbosity::default(),
            sampling_initial: 2,
            sampling_thereafter: 1,
            use_internal_logger: None,
            output_paths: vec!["stdout".to_owned()],
            reference: None,
            bytes_values: None,
        }
    }
}

impl DebugConfig {
    /// What is wrong with it, and at which key.
    pub fn mistake(&self) -> Option<(&'static str, String)> {
        let message = match self.output_paths.iter().find(|path| !is_output_path(path)) {
            Some(path) => not_output_path(path),
            None if self.output_paths.is_empty() => {
                "names no place to print to: stdout, stderr, or the path of a file".to_owned()
            }
            None => return None,
        };
        Some(("output_paths", message))
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
