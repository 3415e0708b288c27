//! The configuration: a Collector user's YAML, read strictly.
//!
//! The text becomes a tree of nodes that know their lines, `${env:NAME}` in it is replaced, its
//! sections are read into the structs of the components, and what must hold between these is
//! checked. Every mistake is told with its file, line and path; nothing is guessed or ignored.

mod address;
mod artifact;
mod batch;
mod check;
mod components;
mod de;
mod error;
mod expand;
mod glob;
pub(crate) mod headers;
mod id;
mod left_out;
mod node;
mod path;
mod preset;
mod problem;
mod processors;
mod scalar;
mod secret;
mod service;
mod tenant;
#[cfg(test)]
mod tests;
pub(crate) mod units;
mod yaml;

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

pub use address::{HostPort, InvalidAddress};
pub use artifact::{
    ArtifactConfig, Delivery, OnStoreFailure, ReferenceForm, RuleAction, RuleConfig,
};
pub use batch::BatchConfig;
pub use components::{ExporterConfig, ExtensionConfig, ProcessorConfig, ReceiverConfig};
pub use error::{ConfigError, ConfigErrors, Warning};
pub use glob::{AnyCaseGlob, InvalidGlob, KeyGlob, MediaTypeGlob};
pub use id::{ComponentId, InvalidId, PipelineId};
pub use preset::{Preset, PresetValue, Values as PresetValues};
pub use processors::{MemoryLimit, MemoryLimiterConfig};
pub use secret::Secret;
pub use service::{PipelineConfig, ServiceConfig};
pub use tenant::{ContextKey, TenantConfig};
pub(crate) use units::positive_duration;

use crate::receivers::otlp::config::Protocols;
use crate::storage::config::StoreConfig;
use components::{Component, read_section};
use expand::{Expansion, Unset};
use node::{Node, Value};
use path::KeyPath;
use problem::Problem;

/// A configuration in which every reference leads to a component.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Config {
    /// Where telemetry comes in; at least one.
    pub receivers: BTreeMap<ComponentId, ReceiverConfig>,
    /// What happens to it.
    pub processors: BTreeMap<ComponentId, ProcessorConfig>,
    /// Where it goes; at least one.
    pub exporters: BTreeMap<ComponentId, ExporterConfig>,
    /// What the others need beside the path of the telemetry.
    pub extensions: BTreeMap<ComponentId, ExtensionConfig>,
    /// Which of these run, and how they are joined.
    pub service: ServiceConfig,
    /// What presets have set in the above.
    pub presets: Vec<PresetValue>,
}

/// How large a request may be, and where that is configured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct LargestRequest<'c> {
    pub(crate) mib: u64,
    receiver: &'c ComponentId,
    protocol: &'static str,
    key: &'static str,
}

impl Config {
    /// The `artifact` processor of a pipeline, which has at most one.
    pub fn artifact_processor(
        &self,
        pipeline: &PipelineConfig,
    ) -> Option<(&ComponentId, &ArtifactConfig)> {
        let mut ids = pipeline.processors.iter();
        ids.find_map(|id| match self.processors.get_key_value(id)? {
            (id, ProcessorConfig::Artifact(artifact)) => Some((id, artifact.as_ref())),
            _ => None,
        })
    }

    /// The `batch` processor of a pipeline, which has at most one.
    pub fn batch_processor(&self, pipeline: &PipelineConfig) -> Option<&BatchConfig> {
        let mut ids = pipeline.processors.iter();
        ids.find_map(|id| match self.processors.get(id)? {
            ProcessorConfig::Batch(batch) => Some(batch),
            _ => None,
        })
    }

    /// The largest request that comes into any pipeline. What no pipeline uses is never started.
    pub(crate) fn largest_request(&self) -> Option<LargestRequest<'_>> {
        let pipelines = self.service.pipelines.values();
        let used = pipelines.flat_map(|pipeline| &pipeline.receivers);
        let sizes = used.filter_map(|id| {
            let (id, ReceiverConfig::Otlp(receiver)) = self.receivers.get_key_value(id)?;
            let Protocols { grpc, http } = &receiver.protocols;
            let grpc = grpc.as_ref().map(|grpc| LargestRequest {
                mib: u64::from(grpc.max_recv_msg_size_mib),
                receiver: id,
                protocol: "grpc",
                key: "max_recv_msg_size_mib",
            });
            let http = http.as_ref().map(|http| LargestRequest {
                mib: http.max_request_body_size.as_u64().div_ceil(1 << 20),
                receiver: id,
                protocol: "http",
                key: "max_request_body_size",
            });
            grpc.max(http)
        });
        sizes.max()
    }

    /// The artifact stores there are.
    pub fn artifact_stores(&self) -> impl Iterator<Item = (&ComponentId, &StoreConfig)> {
        self.extensions
            .iter()
            .filter_map(|(id, extension)| match extension {
                ExtensionConfig::ArtifactStore(store) => Some((id, store)),
                _ => None,
            })
    }

    /// Whether artifacts for the store `id` go through its spool.
    pub(crate) fn fills_spool_of(&self, id: &ComponentId) -> bool {
        self.processors.values().any(|processor| match processor {
            ProcessorConfig::Artifact(artifact) => {
                artifact.store == *id && artifact.is_in_background()
            }
            ProcessorConfig::MemoryLimiter(_) | ProcessorConfig::Batch(_) => false,
        })
    }

    /// Reads the file at `path`; `env` gives the values of environment variables.
    pub fn load(
        path: &Path,
        env: impl Fn(&str) -> Option<String>,
    ) -> Result<(Self, Vec<Warning>), ConfigErrors> {
        let file = path.display().to_string();
        match fs::read_to_string(path) {
            Ok(text) => Self::parse(&text, &file, env),
            Err(error) => Err(ConfigErrors(vec![ConfigError {
                file,
                line: None,
                path: String::new(),
                message: format!("cannot be read: {error}"),
            }])),
        }
    }

    /// Reads a YAML text that came from a file named `file`.
    pub fn parse(
        text: &str,
        file: &str,
        env: impl Fn(&str) -> Option<String>,
    ) -> Result<(Self, Vec<Warning>), ConfigErrors> {
        let mut root = yaml::parse(text).map_err(|error| {
            ConfigErrors(vec![ConfigError {
                file: file.to_owned(),
                line: Some(error.line),
                path: error.path.to_string(),
                message: error.message,
            }])
        })?;
        let read = Self::from_tree(&mut root, &env);
        let line = |path: &KeyPath| root.line_at(path);
        match read {
            Ok((config, unset)) => {
                let warnings = unset.into_iter().map(|Unset { path, variable }| Warning {
                    file: file.to_owned(),
                    line: line(&path),
                    path: path.to_string(),
                    variable,
                });
                Ok((config, warnings.collect()))
            }
            Err(problems) => {
                let mut errors: Vec<ConfigError> = problems
                    .into_iter()
                    .map(|problem| ConfigError {
                        file: file.to_owned(),
                        line: Some(line(&problem.culprit)),
                        path: problem.path.to_string(),
                        message: problem.message,
                    })
                    .collect();
                errors.sort_by_key(|error| error.line);
                Err(ConfigErrors(errors))
            }
        }
    }

    /// The configuration and its unset variables. Each step needs the one before it: what could
    /// not be read would only cause more errors further on.
    fn from_tree(
        root: &mut Node,
        env: &dyn Fn(&str) -> Option<String>,
    ) -> Result<(Self, Vec<Unset>), Vec<Problem>> {
        let Expansion { unset, problems } = expand::expand(root, env);
        unless_any(problems)?;
        let presets = preset::apply(root);
        let mut problems = Vec::new();
        let mut config = Self::read(root, &mut problems);
        config.presets = presets;
        unless_any(problems)?;
        unless_any(check::check(&config))?;
        Ok((config, unset))
    }

    fn read(root: &Node, problems: &mut Vec<Problem>) -> Self {
        const SERVICE: &str = "service";
        let mut config = Self::default();
        let Value::Mapping(sections) = &root.value else {
            if !root.is_null() {
                problems.push(Problem::at(KeyPath::default(), "expected a mapping"));
            }
            return config;
        };
        for section in sections {
            let node = &section.value;
            match section.key.as_str() {
                ReceiverConfig::SECTION => config.receivers = read_section(node, problems),
                ProcessorConfig::SECTION => config.processors = read_section(node, problems),
                ExporterConfig::SECTION => config.exporters = read_section(node, problems),
                ExtensionConfig::SECTION => config.extensions = read_section(node, problems),
                SERVICE => match de::from_node(node) {
                    Ok(service) => config.service = service,
                    Err(error) => {
                        let (steps, message) = error.into_parts();
                        let path = KeyPath::of([SERVICE]).join(steps);
                        problems.push(Problem::at(path, message));
                    }
                },
                unknown => problems.push(Problem::at(
                    KeyPath::of([unknown]),
                    format!(
                        "unknown field \"{unknown}\"; known are receivers, processors, exporters, \
                         extensions, service"
                    ),
                )),
            }
        }
        config
    }
}

fn unless_any(problems: Vec<Problem>) -> Result<(), Vec<Problem>> {
    if problems.is_empty() {
        Ok(())
    } else {
        Err(problems)
    }
}
