//! `service.telemetry.logs`.

use std::collections::BTreeMap;
use std::time::Duration;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize};

use crate::config::TextOrFields;
use crate::config::units::PositiveDuration;

/// How the log looks, and where it goes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct LogsConfig {
    /// What is worth telling.
    #[schemars(schema_with = "levels")]
    pub level: LogLevel,
    /// How a line looks.
    pub encoding: Encoding,
    /// The Collector's mode for its developers.
    pub development: bool,
    /// `stderr`, `stdout`, or files.
    pub output_paths: Vec<String>,
    /// Where it is told that a line could not be written.
    pub error_output_paths: Vec<String>,
    /// What each line has beside its own fields.
    pub initial_fields: BTreeMap<String, TextOrFields>,
    /// What becomes of lines that come again and again.
    pub sampling: SamplingConfig,
    /// Whether lines do not say where in the code they come from.
    pub disable_caller: bool,
    /// Whether errors do not say how the code got there.
    pub disable_stacktrace: bool,
    /// Whether lines do not say what `resource` says; here none does.
    pub disable_zap_resource: Option<bool>,
}

/// What is worth telling.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum LogLevel {
    /// Also what only helps to find out why.
    Debug,
    /// Also what is as it should be.
    Info,
    /// Also what slimspan can live with.
    Warn,
    /// What somebody has to do something about.
    Error,
}

/// How a line looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Encoding {
    /// For people.
    Console,
    /// For programs: an object a line.
    Json,
}

/// What becomes of lines that come again and again: of those of one place in the code, in each `tick`,
/// the first `initial` are written, and of the others one in `thereafter`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct SamplingConfig {
    /// Whether any are left out.
    pub enabled: bool,
    /// How long it takes until the first count as first again.
    #[serde(with = "PositiveDuration")]
    pub tick: Duration,
    /// How many are written at first.
    pub initial: u64,
    /// Of how many others one is written; with 0 none is.
    pub thereafter: u64,
}

/// The names of all levels.
const LEVELS: [&str; 4] = ["debug", "info", "warn", "error"];

/// As the Collector has them, which shouts in some of its examples.
fn levels(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "anyOf": [
            { "enum": LEVELS },
            {
                "type": "string",
                "pattern": "^([dD][eE][bB][uU][gG]|[iI][nN][fF][oO]|[wW][aA][rR][nN]|[eE][rR][rR][oO][rR])$",
            },
        ],
    })
}

impl<'de> Deserialize<'de> for LogLevel {
    /// In whatever case, as in the Collector.
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        match text.to_ascii_lowercase().as_str() {
            "debug" => Ok(Self::Debug),
            "info" => Ok(Self::Info),
            "warn" => Ok(Self::Warn),
            "error" => Ok(Self::Error),
            _ => Err(D::Error::unknown_variant(&text, &LEVELS)),
        }
    }
}

impl Default for LogsConfig {
    fn default() -> Self {
        Self {
            level: LogLevel::Info,
            encoding: Encoding::Console,
            development: false,
            output_paths: vec!["stderr".to_owned()],
            error_output_paths: vec!["stderr".to_owned()],
            initial_fields: BTreeMap::new(),
            sampling: SamplingConfig::default(),
            disable_caller: true,
            disable_stacktrace: true,
            disable_zap_resource: None,
        }
    }
}

impl Default for SamplingConfig {
    fn default() -> Self {
        Self {
            // What comes in floods is told seldom by itself, with its number.
            enabled: false,
            tick: Duration::from_secs(10),
            initial: 10,
            thereafter: 100,
        }
    }
}

/// Keys that every line has by itself.
pub(super) const OWN_KEYS: [&str; 4] = ["ts", "level", "msg", "caller"];

impl LogsConfig {
    /// What is wrong with it, and at which key.
    pub fn mistake(&self) -> Option<(&'static str, String)> {
        let own = self
            .initial_fields
            .keys()
            .find(|key| OWN_KEYS.contains(&key.as_str()));
        if let Some(own) = own {
            let message = format!("\"{own}\" is what each line has by itself; take another name");
            return Some(("initial_fields", message));
        }
        for (key, paths) in [
            ("output_paths", &self.output_paths),
            ("error_output_paths", &self.error_output_paths),
        ] {
            if let Some(path) = paths.iter().find(|path| !is_output_path(path)) {
                return Some((key, not_output_path(path)));
            }
        }
        None
    }
}

/// Whether it can be written to: the Collector knows no other scheme than `file` either.
pub(crate) fn is_output_path(path: &str) -> bool {
    let is_other_scheme = path.contains("://") && !path.starts_with("file://");
    !path.is_empty() && !is_other_scheme
}

/// What is told of one that cannot.
pub(crate) fn not_output_path(path: &str) -> String {
    format!("\"{path}\" is neither stderr, stdout nor the path of a file")
}
