//! The `collector.yaml` at the top of the tree is the documentation of the defaults.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a panic is a failed test"
)]

use std::collections::BTreeSet;
use std::fmt::Debug;

use super::super::de::from_node;
use super::super::node::{Node, Value};
use super::super::yaml;
use crate::auth::config::BearerTokenConfig;
use crate::config::*;
use crate::exporters::dead_letters::config::DeadLetterConfig;
use crate::exporters::debug::config::{DebugConfig, Verbosity};
use crate::exporters::file::config::{FileConfig, RotationConfig};
use crate::exporters::otlp_grpc::config::{self as exporter, OtlpGrpcConfig};
use crate::exporters::otlp_http::config::{CompressionParams, CookiesConfig, OtlpHttpConfig};
use crate::exporters::queue::config::QueueConfig;
use crate::exporters::retry::config::RetryConfig;
use crate::extensions::health_check::config::HealthCheckConfig;
use crate::extensions::zpages::config::ZpagesConfig;
use crate::journal::config::FileStorageConfig;
use crate::receivers::otlp::config::{
    GrpcConfig, HttpConfig, KeepaliveConfig, OtlpReceiverConfig, Protocols, ServerParameters,
};
use crate::server::config::{ArtifactServerConfig, DeletionConfig, LinksConfig, PagesConfig};
use crate::storage::config::StoreConfig;
use crate::storage::spool::config::SpoolConfig;
use crate::telemetry::config::{MetricsConfig, Reader, TelemetryConfig};
use crate::telemetry::logs::config::{LogsConfig, SamplingConfig};
use crate::telemetry::traces::config::TracesConfig;
use crate::tls::config::TlsClientConfig;

const SHIPPED: &str = include_str!("../../../collector.yaml");

fn id(text: &str) -> ComponentId {
    text.parse().unwrap()
}

/// The shipped file with the commented-out exporter and storage in it.
pub(super) fn with_backend() -> String {
    slimspan_generators::mistakes::with_backend(SHIPPED)
}

fn parse(text: &str) -> Config {
    super::schema::accepts(text);
    let (config, warnings) =
        Config::parse(text, "collector.yaml", |_| None).unwrap_or_else(|errors| panic!("{errors}"));
    assert_eq!(warnings, []);
    config
}

#[test]
fn the_shipped_values_are_the_defaults() {
    let config = parse(SHIPPED);
    let otlp = ReceiverConfig::Otlp(OtlpReceiverConfig::default());
    assert_eq!(config.receivers, [(id("otlp"), otlp)].into());
    let limiter = ProcessorConfig::MemoryLimiter(MemoryLimiterConfig::default());
    let batch = ProcessorConfig::Batch(BatchConfig::default());
    let artifact = ArtifactConfig::new(id("artifact_store"));
    let artifact = ProcessorConfig::Artifact(Box::new(artifact));
    assert_eq!(
        config.processors,
        [
            (id("artifact"), artifact),
            (id("batch"), batch),
            (id("memory_limiter"), limiter),
        ]
        .into()
    );
    let debug = DebugConfig {
        verbosity: Verbosity::Normal,
        ..DebugConfig::default()
    };
    assert_ne!(debug, DebugConfig::default());
    assert_eq!(
        config.exporters,
        [(id("debug"), ExporterConfig::Debug(debug))].into()
    );
    let mut store = StoreConfig::new("./data/artifacts");
    store.public_url = Some("http://127.0.0.1:4319".to_owned());
    let store = ExtensionConfig::ArtifactStore(store);
    let server = ExtensionConfig::ArtifactServer(Box::default());
    let health_check = ExtensionConfig::HealthCheck(HealthCheckConfig::default());
    assert_eq!(
        config.extensions,
        [
            (id("artifact_store"), store),
            (id("artifact_server"), server),
            (id("health_check"), health_check)
        ]
        .into()
    );
    assert_eq!(
        config.service.extensions,
        [
            id("artifact_store"),
            id("artifact_server"),
            id("health_check")
        ]
    );
    // Where it says where Prometheus reads, it is no less than what is meant where nobody says it.
    let mut telemetry = TelemetryConfig::default();
    telemetry.metrics.readers = Some(vec![Reader::default()]);
    assert_eq!(config.service.telemetry, telemetry);

    let pipelines: Vec<_> = config
        .service
        .pipelines
        .iter()
        .map(|(id, pipeline)| (id.to_string(), pipeline.processors.as_slice()))
        .collect();
    let both = [id("memory_limiter"), id("artifact")];
    assert_eq!(
        pipelines,
        [
            ("traces".to_owned(), both.as_slice()),
            ("logs".to_owned(), both.as_slice()),
            ("metrics".to_owned(), &[id("memory_limiter")]),
        ]
    );
    for pipeline in config.service.pipelines.values() {
        assert_eq!(pipeline.receivers, [id("otlp")]);
        assert_eq!(pipeline.exporters, [id("debug")]);
    }
}

#[test]
fn the_commented_out_backend_works_once_uncommented() {
    let config = parse(&with_backend());
    let mut backend = OtlpGrpcConfig::new("127.0.0.1:14317".parse().unwrap());
    backend.tls.insecure = true;
    assert_eq!(
        config.exporters.get(&id("otlp_grpc")),
        Some(&ExporterConfig::OtlpGrpc(Box::new(backend)))
    );
    let mut file = FileConfig::new("./data/telemetry.json");
    file.rotation = Some(RotationConfig::default());
    assert_eq!(
        config.exporters.get(&id("file")),
        Some(&ExporterConfig::File(file))
    );
    let zpages = ExtensionConfig::Zpages(ZpagesConfig::default());
    assert_eq!(config.extensions.get(&id("zpages")), Some(&zpages));
}

#[test]
fn the_commented_out_backend_over_http_works_once_uncommented() {
    let config = parse(&with_backend());
    let backend = OtlpHttpConfig::new("http://127.0.0.1:14318".parse().unwrap());
    assert_eq!(
        config.exporters.get(&id("otlp_http")),
        Some(&ExporterConfig::OtlpHttp(Box::new(backend)))
    );
}

#[test]
fn every_key_with_a_default_is_spelled_out() {
    let root = yaml::parse(&with_backend(), &"c.yaml".into()).unwrap();
    spells_out::<OtlpReceiverConfig>(&root, &["receivers", "otlp"]);
    spells_out::<Protocols>(&root, &["receivers", "otlp", "protocols"]);
    spells_out::<GrpcConfig>(&root, &["receivers", "otlp", "protocols", "grpc"]);
    let keepalive = ["receivers", "otlp", "protocols", "grpc", "keepalive"];
    spells_out::<KeepaliveConfig>(&root, &keepalive);
    let of_server = [&keepalive[..], &["server_parameters"]].concat();
    spells_out::<ServerParameters>(&root, &of_server);
    spells_out::<HttpConfig>(&root, &["receivers", "otlp", "protocols", "http"]);
    spells_out::<MemoryLimiterConfig>(&root, &["processors", "memory_limiter"]);
    spells_out::<ArtifactConfig>(&root, &["processors", "artifact"]);
    spells_out::<BatchConfig>(&root, &["processors", "batch"]);
    spells_out::<DebugConfig>(&root, &["exporters", "debug"]);
    spells_out::<FileConfig>(&root, &["exporters", "file"]);
    spells_out::<RotationConfig>(&root, &["exporters", "file", "rotation"]);
    spells_out::<OtlpGrpcConfig>(&root, &["exporters", "otlp_grpc"]);
    spells_out::<exporter::KeepaliveConfig>(&root, &["exporters", "otlp_grpc", "keepalive"]);
    spells_out::<TlsClientConfig>(&root, &["exporters", "otlp_grpc", "tls"]);
    spells_out::<DeadLetterConfig>(&root, &["exporters", "otlp_grpc", "dead_letters"]);
    spells_out::<QueueConfig>(&root, &["exporters", "otlp_grpc", "sending_queue"]);
    spells_out::<BearerTokenConfig>(&root, &["extensions", "bearertokenauth"]);
    spells_out::<FileStorageConfig>(&root, &["extensions", "file_storage"]);
    spells_out::<HealthCheckConfig>(&root, &["extensions", "health_check"]);
    spells_out::<ZpagesConfig>(&root, &["extensions", "zpages"]);
    spells_out::<TelemetryConfig>(&root, &["service", "telemetry"]);
    spells_out::<MetricsConfig>(&root, &["service", "telemetry", "metrics"]);
    spells_out::<LogsConfig>(&root, &["service", "telemetry", "logs"]);
    spells_out::<TracesConfig>(&root, &["service", "telemetry", "traces"]);
    spells_out::<SamplingConfig>(&root, &["service", "telemetry", "logs", "sampling"]);
    spells_out::<RetryConfig>(&root, &["exporters", "otlp_grpc", "retry_on_failure"]);
    spells_out::<OtlpHttpConfig>(&root, &["exporters", "otlp_http"]);
    spells_out::<CompressionParams>(&root, &["exporters", "otlp_http", "compression_params"]);
    spells_out::<CookiesConfig>(&root, &["exporters", "otlp_http", "cookies"]);
    spells_out::<TlsClientConfig>(&root, &["exporters", "otlp_http", "tls"]);
    spells_out::<DeadLetterConfig>(&root, &["exporters", "otlp_http", "dead_letters"]);
    spells_out::<QueueConfig>(&root, &["exporters", "otlp_http", "sending_queue"]);
    spells_out::<RetryConfig>(&root, &["exporters", "otlp_http", "retry_on_failure"]);
    spells_out::<StoreConfig>(&root, &["extensions", "artifact_store"]);
    let server = ["extensions", "artifact_server"];
    spells_out::<ArtifactServerConfig>(&root, &server);
    spells_out::<PagesConfig>(&root, &[server[0], server[1], "pages"]);
    spells_out::<DeletionConfig>(&root, &[server[0], server[1], "deletion"]);
    spells_out::<LinksConfig>(&root, &[server[0], server[1], "links"]);
    spells_out::<SpoolConfig>(&root, &["extensions", "artifact_store", "spool"]);
}

/// Asks the type for its keys, by way of the error that names them.
fn spells_out<T: serde::de::DeserializeOwned + Debug>(root: &Node, keys: &[&str]) {
    let mut node = root;
    for key in keys {
        node = &node
            .get(key)
            .unwrap_or_else(|| panic!("no {key} of {keys:?}"))
            .value;
    }
    let Value::Mapping(entries) = &node.value else {
        panic!("{keys:?} is no mapping");
    };
    let spelled: BTreeSet<&str> = entries.iter().map(|entry| entry.key.as_str()).collect();

    let question = yaml::parse("'?': 1", &"c.yaml".into()).unwrap();
    let answer = from_node::<T>(&question).unwrap_err().to_string();
    let (_, known) = answer.split_once("known are ").unwrap();
    assert_eq!(spelled, known.split(", ").collect(), "{keys:?}");
}
