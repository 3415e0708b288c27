//! The components there are.

use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::{Deserialize, Serialize};

use super::artifact::{ArtifactConfig, BytesForm, ReferenceForm};
use super::batch::BatchConfig;
use super::de::{self, from_node};
use super::node::Node;
use super::pprof::PprofConfig;
use super::processors::MemoryLimiterConfig;
use crate::auth::config::{BasicAuthConfig, BearerTokenConfig, HeadersSetterConfig};
use crate::exporters::DeliveryConfig;
use crate::exporters::debug::config::DebugConfig;
use crate::exporters::file::config::FileConfig;
use crate::exporters::otlp_grpc::config::OtlpGrpcConfig;
use crate::exporters::otlp_http::config::OtlpHttpConfig;
use crate::extensions::health_check::Served;
use crate::extensions::health_check::config::HealthCheckConfig;
use crate::extensions::health_check::v2::HealthCheckV2Config;
use crate::extensions::zpages::config::ZpagesConfig;
use crate::journal::config::FileStorageConfig;
use crate::receivers::otlp::config::OtlpReceiverConfig;
use crate::server::config::ArtifactServerConfig;
use crate::storage::config::StoreConfig;
use slimspan_proto::Signal;

/// A receiver, by its type.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub enum ReceiverConfig {
    /// `otlp`
    Otlp(OtlpReceiverConfig),
}

/// A processor, by its type.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub enum ProcessorConfig {
    /// `memory_limiter`
    MemoryLimiter(MemoryLimiterConfig),
    /// `artifact`
    Artifact(Box<ArtifactConfig>),
    /// `batch`
    Batch(BatchConfig),
}

/// An exporter, by its type.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(untagged)]
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

/// A connector, by its type: an exporter of some pipelines, and a receiver of others.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub enum ConnectorConfig {
    /// `forward`
    Forward(ForwardConfig),
}

/// `forward`: what comes out of pipelines goes into others of the same signal.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ForwardConfig {}

/// An extension, by its type.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub enum ExtensionConfig {
    /// `artifact_store`
    ArtifactStore(StoreConfig),
    /// `artifact_server`
    ArtifactServer(Box<ArtifactServerConfig>),
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
    /// `healthcheckv2`
    HealthCheckV2(Box<HealthCheckV2Config>),
    /// `zpages`
    Zpages(ZpagesConfig),
    /// `memory_limiter`, as a middleware of receivers
    MemoryLimiter(MemoryLimiterConfig),
    /// `pprof`
    Pprof(PprofConfig),
}

impl ExtensionConfig {
    /// What it serves to those who ask whether slimspan is well, if it is for them.
    pub fn health(&self) -> Vec<Served<'_>> {
        match self {
            Self::HealthCheck(health_check) => vec![health_check.served()],
            Self::HealthCheckV2(health_check) => health_check.served(),
            _ => Vec::new(),
        }
    }
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

    /// What becomes of bytes values in what it sends, if not what the processor makes of them.
    pub fn bytes_values(&self) -> Option<BytesForm> {
        match self {
            Self::OtlpGrpc(config) => config.bytes_values,
            Self::OtlpHttp(config) => config.bytes_values,
            Self::Debug(config) => config.bytes_values,
            Self::File(config) => config.bytes_values,
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
    pub(super) name: &'static str,
    /// Another name, which the Collector knows it by.
    pub(super) alias: Option<&'static str>,
    pub(super) stability: Stability,
    /// What it can be used for; nothing for an extension.
    pub(super) signals: &'static [Signal],
    pub(super) read: fn(&Node) -> Result<C, de::Error>,
    /// The schema of its configuration.
    pub(super) schema: fn(&mut SchemaGenerator) -> Schema,
}

/// How much its keys and behaviour may still change, in the words of the Collector.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub(super) enum Stability {
    /// Anything may still change.
    Alpha,
    /// Breaking changes are rare, and come with a way to go.
    Beta,
}

/// Of components that take every signal, and of those that look at items or divide requests.
const ALL: &[Signal] = &Signal::ALL;
const READ: &[Signal] = &Signal::READ;

impl Component for ReceiverConfig {
    const KIND: &'static str = "receiver";
    const SECTION: &'static str = "receivers";
    const TYPES: &'static [ComponentType<Self>] = &[ComponentType {
        name: "otlp",
        alias: None,
        stability: Stability::Beta,
        signals: ALL,
        read: |node| from_node(node).map(Self::Otlp),
        schema: |of| of.subschema_for::<OtlpReceiverConfig>(),
    }];
}

impl Component for ProcessorConfig {
    const KIND: &'static str = "processor";
    const SECTION: &'static str = "processors";
    const TYPES: &'static [ComponentType<Self>] = &[
        ComponentType {
            name: "memory_limiter",
            alias: None,
            stability: Stability::Beta,
            signals: ALL,
            read: |node| from_node(node).map(Self::MemoryLimiter),
            schema: |of| of.subschema_for::<MemoryLimiterConfig>(),
        },
        ComponentType {
            name: "artifact",
            alias: None,
            stability: Stability::Beta,
            signals: READ,
            read: |node| from_node(node).map(|config| Self::Artifact(Box::new(config))),
            schema: |of| of.subschema_for::<ArtifactConfig>(),
        },
        ComponentType {
            name: "batch",
            alias: None,
            stability: Stability::Beta,
            signals: READ,
            read: |node| from_node(node).map(Self::Batch),
            schema: |of| of.subschema_for::<BatchConfig>(),
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
            stability: Stability::Beta,
            signals: ALL,
            read: |node| from_node(node).map(|config| Self::OtlpGrpc(Box::new(config))),
            schema: |of| of.subschema_for::<OtlpGrpcConfig>(),
        },
        ComponentType {
            name: "otlp_http",
            alias: Some("otlphttp"),
            stability: Stability::Beta,
            signals: ALL,
            read: |node| from_node(node).map(|config| Self::OtlpHttp(Box::new(config))),
            schema: |of| of.subschema_for::<OtlpHttpConfig>(),
        },
        ComponentType {
            name: "debug",
            alias: None,
            stability: Stability::Beta,
            signals: ALL,
            read: |node| from_node(node).map(Self::Debug),
            schema: |of| of.subschema_for::<DebugConfig>(),
        },
        ComponentType {
            name: "file",
            alias: None,
            stability: Stability::Alpha,
            signals: ALL,
            read: |node| from_node(node).map(Self::File),
            schema: |of| of.subschema_for::<FileConfig>(),
        },
    ];
}

impl Component for ConnectorConfig {
    const KIND: &'static str = "connector";
    const SECTION: &'static str = "connectors";
    const TYPES: &'static [ComponentType<Self>] = &[ComponentType {
        name: "forward",
        alias: None,
        stability: Stability::Beta,
        signals: ALL,
        read: |node| from_node(node).map(Self::Forward),
        schema: |of| of.subschema_for::<ForwardConfig>(),
    }];
}

impl Component for ExtensionConfig {
    const KIND: &'static str = "extension";
    const SECTION: &'static str = "extensions";
    const TYPES: &'static [ComponentType<Self>] = &[
        ComponentType {
            name: "artifact_store",
            alias: None,
            stability: Stability::Beta,
            signals: &[],
            read: |node| from_node(node).map(Self::ArtifactStore),
            schema: |of| of.subschema_for::<StoreConfig>(),
        },
        ComponentType {
            name: "artifact_server",
            alias: None,
            stability: Stability::Alpha,
            signals: &[],
            read: |node| from_node(node).map(|config| Self::ArtifactServer(Box::new(config))),
            schema: |of| of.subschema_for::<ArtifactServerConfig>(),
        },
        ComponentType {
            name: "file_storage",
            alias: None,
            stability: Stability::Beta,
            signals: &[],
            read: |node| from_node(node).map(Self::FileStorage),
            schema: |of| of.subschema_for::<FileStorageConfig>(),
        },
        ComponentType {
            name: "bearertokenauth",
            alias: None,
            stability: Stability::Beta,
            signals: &[],
            read: |node| from_node(node).map(Self::BearerToken),
            schema: |of| of.subschema_for::<BearerTokenConfig>(),
        },
        ComponentType {
            name: "basicauth",
            alias: None,
            stability: Stability::Beta,
            signals: &[],
            read: |node| from_node(node).map(Self::BasicAuth),
            schema: |of| of.subschema_for::<BasicAuthConfig>(),
        },
        ComponentType {
            name: "headers_setter",
            alias: None,
            stability: Stability::Alpha,
            signals: &[],
            read: |node| from_node(node).map(Self::HeadersSetter),
            schema: |of| of.subschema_for::<HeadersSetterConfig>(),
        },
        ComponentType {
            name: "health_check",
            alias: None,
            stability: Stability::Beta,
            signals: &[],
            read: |node| from_node(node).map(Self::HealthCheck),
            schema: |of| of.subschema_for::<HealthCheckConfig>(),
        },
        ComponentType {
            name: "healthcheckv2",
            alias: None,
            stability: Stability::Alpha,
            signals: &[],
            read: |node| from_node(node).map(|config| Self::HealthCheckV2(Box::new(config))),
            schema: |of| of.subschema_for::<HealthCheckV2Config>(),
        },
        ComponentType {
            name: "zpages",
            alias: None,
            stability: Stability::Beta,
            signals: &[],
            read: |node| from_node(node).map(Self::Zpages),
            schema: |of| of.subschema_for::<ZpagesConfig>(),
        },
        ComponentType {
            name: "memory_limiter",
            alias: None,
            stability: Stability::Beta,
            signals: &[],
            read: |node| from_node(node).map(Self::MemoryLimiter),
            schema: |of| of.subschema_for::<MemoryLimiterConfig>(),
        },
        ComponentType {
            name: "pprof",
            alias: None,
            stability: Stability::Alpha,
            signals: &[],
            read: |node| from_node(node).map(Self::Pprof),
            schema: |of| of.subschema_for::<PprofConfig>(),
        },
    ];
}
