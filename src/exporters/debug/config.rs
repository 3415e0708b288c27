use serde::Deserialize;

/// The body of a `debug` exporter in the configuration.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct DebugConfig {
    /// How much of each request is shown.
    pub verbosity: Verbosity,
}

/// How much of a request is shown.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
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
