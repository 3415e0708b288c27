//! The components there are, and how their sections are read.

use std::collections::BTreeMap;

use super::artifact::{ArtifactConfig, ReferenceForm};
use super::batch::BatchConfig;
use super::de::{self, from_node};
use super::id::ComponentId;
use super::node::{Node, Value};
use super::path::KeyPath;
use super::problem::Problem;
use super::processors::MemoryLimiterConfig;
use crate::auth::config::{BasicAuthConfig, BearerTokenConfig, HeadersSetterConfig};
use crate::exporters::DeliveryConfig;
use crate::exporters::debug::config::DebugConfig;
use crate::exporters::file::config::FileConfig;
use crate::exporters::otlp_grpc::config::OtlpGrpcConfig;
use crate::exporters::otlp_http::config::OtlpHttpConfig;
use crate::extensions::health_check::config::HealthCheckConfig;
use crate::extensions::zpages::config::ZpagesConfig;
use crate::journal::config::FileStorageConfig;
use crate::receivers::otlp::config::OtlpReceiverConfig;
use crate::storage::config::StoreConfig;

/// A receiver, by its type.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ReceiverConfig {
    /// `otlp`
    Otlp(OtlpReceiverConfig),
}

/// A processor, by its type.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ProcessorConfig {
    /// `memory_limiter`
    MemoryLimiter(MemoryLimiterConfig),
    /// `artifact`
    Artifact(Box<ArtifactConfig>),
    /// `batch`
    Batch(BatchConfig),
}

/// An exporter, by its type.
#[derive(Debug, Clone, PartialEq)]
pub enum ExporterConfig {
    /// `otlp_grpc`, or `otlp`
    OtlpGrpc(Box<OtlpGrpcConfig>),
    /// `otlp_http`, or `otlphttp`
    OtlpHttp(Box<OtlpHttpConfig>),
    /// `debug`
    Debug(DebugConfig),
    /// `file`
    File(FileConfig),
}

impl ExporterConfig {
    /// What it has in common with other exporters for OTLP, if it is one.
    pub fn delivery(&self) -> Option<DeliveryConfig<'_>> {
        match self {
            Self::OtlpGrpc(grpc) => Some(grpc.delivery()),
            Self::OtlpHttp(http) => Some(http.delivery()),
            Self::Debug(_) | Self::File(_) => None,
        }
    }
}

/// An extension, by its type.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ExtensionConfig {
    /// `artifact_store`
    ArtifactStore(StoreConfig),
    /// `file_storage`
    FileStorage(FileStorageConfig),
    /// `bearertokenauth`
    BearerToken(BearerTokenConfig),
    /// `basicauth`
    BasicAuth(BasicAuthConfig),
    /// `headers_setter`
    HeadersSetter(HeadersSetterConfig),
    /// `health_check`
    HealthCheck(HealthCheckConfig),
    /// `zpages`
    Zpages(ZpagesConfig),
}

impl ExporterConfig {
    /// How references look in what it sends, if not as the processor has them.
    pub fn reference(&self) -> Option<ReferenceForm> {
        match self {
            Self::OtlpGrpc(config) => config.reference,
            Self::OtlpHttp(config) => config.reference,
            Self::Debug(config) => config.reference,
            Self::File(config) => config.reference,
        }
    }
}

/// A kind of component: its section of the file holds `type[/name]: configuration`.
pub(super) trait Component: Sized + 'static {
    /// One such component, in words.
    const KIND: &'static str;
    /// The section of the file.
    const SECTION: &'static str;
    /// The types there are.
    const TYPES: &'static [ComponentType<Self>];
}

/// A type of component.
pub(super) struct ComponentType<C> {
    name: &'static str,
    alias: Option<&'static str>,
    read: fn(&Node) -> Result<C, de::Error>,
}

impl Component for ReceiverConfig {
    const KIND: &'static str = "receiver";
    const SECTION: &'static str = "receivers";
    const TYPES: &'static [ComponentType<Self>] = &[ComponentType {
        name: "otlp",
        alias: None,
        read: |node| from_node(node).map(Self::Otlp),
    }];
}

impl Component for ProcessorConfig {
    const KIND: &'static str = "processor";
    const SECTION: &'static str = "processors";
    const TYPES: &'static [ComponentType<Self>] = &[
        ComponentType {
            name: "memory_limiter",
            alias: None,
            read: |node| from_node(node).map(Self::MemoryLimiter),
        },
        ComponentType {
            name: "artifact",
            alias: None,
            read: |node| from_node(node).map(|config| Self::Artifact(Box::new(config))),
        },
        ComponentType {
            name: "batch",
            alias: None,
            read: |node| from_node(node).map(Self::Batch),
        },
    ];
}

impl Component for ExporterConfig {
    const KIND: &'static str = "exporter";
    const SECTION: &'static str = "exporters";
    const TYPES: &'static [ComponentType<Self>] = &[
        ComponentType {
            name: "otlp_grpc",
            alias: Some("otlp"),
            read: |node| from_node(node).map(|config| Self::OtlpGrpc(Box::new(config))),
        },
        ComponentType {
            name: "otlp_http",
            alias: Some("otlphttp"),
            read: |node| from_node(node).map(|config| Self::OtlpHttp(Box::new(config))),
        },
        ComponentType {
            name: "debug",
            alias: None,
            read: |node| from_node(node).map(Self::Debug),
        },
        ComponentType {
            name: "file",
            alias: None,
            read: |node| from_node(node).map(Self::File),
        },
    ];
}

impl Component for ExtensionConfig {
    const KIND: &'static str = "extension";
    const SECTION: &'static str = "extensions";
    const TYPES: &'static [ComponentType<Self>] = &[
        ComponentType {
            name: "artifact_store",
            alias: None,
            read: |node| from_node(node).map(Self::ArtifactStore),
        },
        ComponentType {
            name: "file_storage",
            alias: None,
            read: |node| from_node(node).map(Self::FileStorage),
        },
        ComponentType {
            name: "bearertokenauth",
            alias: None,
            read: |node| from_node(node).map(Self::BearerToken),
        },
        ComponentType {
            name: "basicauth",
            alias: None,
            read: |node| from_node(node).map(Self::BasicAuth),
        },
        ComponentType {
            name: "headers_setter",
            alias: None,
            read: |node| from_node(node).map(Self::HeadersSetter),
        },
        ComponentType {
            name: "health_check",
            alias: None,
            read: |node| from_node(node).map(Self::HealthCheck),
        },
        ComponentType {
            name: "zpages",
            alias: None,
            read: |node| from_node(node).map(Self::Zpages),
        },
    ];
}

/// Reads the section of one kind of component, as far as it can be read.
pub(super) fn read_section<C: Component>(
    section: &Node,
    problems: &mut Vec<Problem>,
) -> BTreeMap<ComponentId, C> {
    let path = KeyPath::of([C::SECTION]);
    let mut components = BTreeMap::new();
    let Value::Mapping(entries) = &section.value else {
        if !section.is_null() {
            problems.push(Problem::at(
                path,
                format!(
                    "expected a mapping of {} ids to their configuration",
                    C::KIND
                ),
            ));
        }
        return components;
    };
    for entry in entries {
        let path = path.key(&entry.key);
        match read_component(&entry.key, &entry.value, &path) {
            Ok((id, component)) => {
                components.insert(id, component);
            }
            Err(problem) => problems.push(problem),
        }
    }
    components
}

fn read_component<C: Component>(
    id: &str,
    node: &Node,
    path: &KeyPath,
) -> Result<(ComponentId, C), Problem> {
    let id: ComponentId = id
        .parse()
        .map_err(|error| Problem::at(path.clone(), format!("{error}")))?;
    let component_type = C::TYPES
        .iter()
        .find(|known| known.name == id.component_type() || known.alias == Some(id.component_type()))
        .ok_or_else(|| Problem::at(path.clone(), unknown_type::<C>(&id)))?;
    let component = (component_type.read)(node).map_err(|error| {
        let (steps, message) = error.into_parts();
        Problem::at(path.join(steps), message)
    })?;
    Ok((id, component))
}

fn unknown_type<C: Component>(id: &ComponentId) -> String {
    let known: Vec<String> = C::TYPES
        .iter()
        .map(|known| match known.alias {
            Some(alias) => format!("{} (alias {alias})", known.name),
            None => known.name.to_owned(),
        })
        .collect();
    format!(
        "unknown {} type \"{}\"; known are {}",
        C::KIND,
        id.component_type(),
        known.join(", ")
    )
}
