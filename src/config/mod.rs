//! The configuration: a Collector user's YAML, read strictly.
//!
//! Each source becomes a tree of nodes that know where they stand, the trees become one, `${env:NAME}`
//! and its like in it are replaced, its sections are read into the structs of the components, and what must hold between these is
//! checked. Every mistake is told with its file, line and path; nothing is guessed or ignored.

mod address;
mod artifact;
mod batch;
mod check;
mod components;
mod connected;
mod de;
mod error;
mod expand;
mod fitting;
mod glob;
pub(crate) mod headers;
mod id;
mod idle;
mod instead;
mod inventory;
mod left_out;
mod memory;
mod merge;
mod nearest;
mod node;
mod optional;
mod path;
mod pprof;
mod preset;
mod printed;
mod problem;
mod processors;
pub(crate) mod redacted;
mod scalar;
mod schema;
mod secret;
mod section;
mod service;
mod socket;
mod source;
mod started;
mod tenant;
#[cfg(test)]
mod tests;
mod text_or_fields;
mod unasked;
pub(crate) mod units;
mod unsaid;
mod yaml;

use std::collections::BTreeMap;
use std::iter;
use std::sync::Arc;

pub use address::{HostPort, InvalidAddress};
pub use artifact::{
    ArtifactConfig, BytesForm, Delivery, OnStoreFailure, ReferenceForm, RuleAction, RuleConfig,
};
pub use batch::BatchConfig;
pub(crate) use batch::header_names;
pub use components::{
    ConnectorConfig, ExporterConfig, ExtensionConfig, ForwardConfig, ProcessorConfig,
    ReceiverConfig,
};
pub use error::{ConfigError, ConfigErrors, Warning};
pub use glob::{AnyCaseGlob, InvalidGlob, KeyGlob, MediaTypeGlob};
pub use id::{ComponentId, InvalidId, PipelineId};
pub use idle::{CompactionConfig, GarbageCollection};
pub use inventory::Inventory;
pub(crate) use memory::MemoryLimiter;
pub use pprof::{PprofConfig, PprofDialer};
pub use preset::{Preset, PresetValue, Values as PresetValues};
pub use printed::Printed;
pub use processors::{MemoryLimit, MemoryLimiterConfig};
pub use schema::schema;
pub use secret::Secret;
pub use service::{PipelineConfig, ServiceConfig};
pub(crate) use socket::endpoint_by_transport;
pub use socket::{
    InvalidPath, InvalidSocket, IpVersion, Socket, SocketPath, Transport, TransportOfPages,
};
pub use source::Sources;
pub use tenant::{ContextKey, TenantConfig};
pub use text_or_fields::TextOrFields;

use serde::Serialize;

use crate::machine;
use components::Component;
use expand::{Expansion, Unset};
use nearest::known_are;
use node::{Node, Value};
use path::KeyPath;
use problem::Problem;
use section::read_section;

/// A configuration in which every reference leads to a component.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Config {
    /// Where telemetry comes in; at least one.
    pub receivers: BTreeMap<ComponentId, ReceiverConfig>,
    /// What happens to it.
    pub processors: BTreeMap<ComponentId, ProcessorConfig>,
    /// Where it goes; at least one.
    pub exporters: BTreeMap<ComponentId, ExporterConfig>,
    /// What leads from one pipeline to another.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    #[expect(
        clippy::zero_sized_map_values,
        reason = "the one type that there is has nothing to configure"
    )]
    pub connectors: BTreeMap<ComponentId, ConnectorConfig>,
    /// What the others need beside the path of the telemetry.
    pub extensions: BTreeMap<ComponentId, ExtensionConfig>,
    /// Which of these run, and how they are joined.
    pub service: ServiceConfig,
    /// What presets have set in the above.
    #[serde(skip)]
    pub presets: Vec<PresetValue>,
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
    pub fn batch_processor(
        &self,
        pipeline: &PipelineConfig,
    ) -> Option<(&ComponentId, &BatchConfig)> {
        let mut ids = pipeline.processors.iter();
        ids.find_map(|id| match self.processors.get_key_value(id)? {
            (id, ProcessorConfig::Batch(batch)) => Some((id, batch)),
            _ => None,
        })
    }

    /// Has references lead to the server of their store, where the store itself says nothing else: the
    /// first that runs, if there are several.
    fn lead_references_to_servers(&mut self) {
        let running = self.service.extensions.iter();
        let servers: Vec<(ComponentId, String)> = running
            .filter_map(|id| match self.extensions.get(id)? {
                ExtensionConfig::ArtifactServer(server) => {
                    Some((server.store.clone(), server.url()?))
                }
                _ => None,
            })
            .collect();
        for (store, url) in servers {
            if let Some(ExtensionConfig::ArtifactStore(store)) = self.extensions.get_mut(&store) {
                store.public_url.get_or_insert(url);
            }
        }
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

    /// Reads what the sources give together; `env` gives the values of environment variables.
    pub fn load(
        sources: &Sources,
        env: impl Fn(&str) -> Option<String>,
    ) -> Result<(Self, Vec<Warning>), ConfigErrors> {
        let root = sources.read(&env).map_err(ConfigErrors)?;
        Self::of_tree(root, &env, Thorough::Checked)
    }

    /// The same, but without a look at whether its parts fit together.
    pub fn load_unchecked(
        sources: &Sources,
        env: impl Fn(&str) -> Option<String>,
    ) -> Result<(Self, Vec<Warning>), ConfigErrors> {
        let root = sources.read(&env).map_err(ConfigErrors)?;
        Self::of_tree(root, &env, Thorough::Read)
    }

    /// Reads a YAML text that came from a file named `file`.
    pub fn parse(
        text: &str,
        file: &str,
        env: impl Fn(&str) -> Option<String>,
    ) -> Result<(Self, Vec<Warning>), ConfigErrors> {
        let root = source::join(iter::once(source::parse(text, file))).map_err(ConfigErrors)?;
        Self::of_tree(root, &env, Thorough::Checked)
    }

    /// The same for printing: it can be read again.
    pub fn printed(&self) -> Printed<'_> {
        Printed(self)
    }

    /// Runs `write`, in which configurations are serialised with their secrets.
    pub fn exposed<T>(write: impl FnOnce() -> T) -> T {
        Secret::exposed(write)
    }

    fn of_tree(
        mut root: Node,
        env: &dyn Fn(&str) -> Option<String>,
        thorough: Thorough,
    ) -> Result<(Self, Vec<Warning>), ConfigErrors> {
        match Self::from_tree(&mut root, env, thorough) {
            Ok((config, told)) => {
                let idle = idle::idle(&config).into_iter();
                let idle = idle.map(|(path, why)| (path, why.to_owned()));
                let warnings = told.into_iter().chain(idle).map(|(path, message)| {
                    let place = root.place_at(&path);
                    Warning {
                        file: place.source.to_string(),
                        line: place.line,
                        path: path.to_string(),
                        message,
                    }
                });
                let warnings = warnings.collect();
                Ok((config, warnings))
            }
            Err(mut problems) => {
                // File by file, and in the order of each.
                problems.sort_by_cached_key(|problem| {
                    let place = root.place_at(&problem.culprit);
                    (Arc::clone(&place.source), place.line)
                });
                let errors = problems.into_iter().map(|problem| {
                    let place = root.place_at(&problem.culprit);
                    ConfigError {
                        file: place.source.to_string(),
                        line: place.line,
                        path: problem.path,
                        message: problem.message,
                    }
                });
                Err(ConfigErrors(errors.collect()))
            }
        }
    }

    /// The configuration, and what is to tell of its unset variables and of what was fitted to the memory. Each
    /// step needs the one before it: what could not be read would only cause more errors further on.
    fn from_tree(
        root: &mut Node,
        env: &dyn Fn(&str) -> Option<String>,
        thorough: Thorough,
    ) -> Result<(Self, Vec<Told>), Vec<Problem>> {
        let Expansion { unset, problems } = expand::expand(root, env);
        unless_any(problems)?;
        unasked::take_away(root);
        let (mut told, problems) = optional::settle(root);
        unless_any(problems)?;
        told.extend(instead::replace(root));
        let presets = preset::apply(root);
        let mut problems = Vec::new();
        let mut config = Self::read(root, &mut told, &mut problems);
        config.presets = presets;
        unless_any(problems)?;
        config.lead_references_to_servers();
        let unset = unset.into_iter().map(|Unset { path, variable }| {
            let message = format!("the environment variable {variable} is not set");
            (path, message)
        });
        let fitted = fitting::fit(root, &mut config, machine::memory);
        let told = unset.chain(told).chain(fitted).collect();
        if thorough == Thorough::Checked {
            unless_any(check::check(&config, machine::memory))?;
        }
        Ok((config, told))
    }

    fn read(root: &Node, told: &mut Vec<Told>, problems: &mut Vec<Problem>) -> Self {
        const SERVICE: &str = "service";
        let mut config = Self::default();
        let Value::Mapping(sections) = &root.value else {
            if !root.is_null() {
                problems.push(Problem::at(&KeyPath::default(), "expected a mapping"));
            }
            return config;
        };
        for section in sections {
            let node = &section.value;
            match section.key.as_str() {
                ReceiverConfig::SECTION => config.receivers = read_section(node, told, problems),
                ProcessorConfig::SECTION => config.processors = read_section(node, told, problems),
                ExporterConfig::SECTION => config.exporters = read_section(node, told, problems),
                ConnectorConfig::SECTION => config.connectors = read_section(node, told, problems),
                ExtensionConfig::SECTION => config.extensions = read_section(node, told, problems),
                SERVICE => {
                    let path = KeyPath::of([SERVICE]);
                    match unsaid::read(node, &path, de::from_node, told) {
                        Ok(service) => config.service = service,
                        Err(error) => problems.push(Problem::under(&path, error)),
                    }
                }
                unknown => {
                    let known = [
                        ReceiverConfig::SECTION,
                        ProcessorConfig::SECTION,
                        ExporterConfig::SECTION,
                        ConnectorConfig::SECTION,
                        ExtensionConfig::SECTION,
                        SERVICE,
                    ];
                    let known = known_are(unknown, "known", known);
                    problems.push(Problem {
                        culprit: KeyPath::of([unknown]),
                        path: String::new(),
                        message: format!("has invalid keys: {unknown}{known}"),
                    });
                }
            }
        }
        config
    }
}

/// A path, and what there is to tell of it.
type Told = (KeyPath, String);

/// How far a configuration is looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Thorough {
    /// Each part by itself.
    Read,
    /// Also whether they fit together.
    Checked,
}

fn unless_any(problems: Vec<Problem>) -> Result<(), Vec<Problem>> {
    if problems.is_empty() {
        Ok(())
    } else {
        Err(problems)
    }
}
