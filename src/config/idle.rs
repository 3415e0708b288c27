//! Keys of the Collector that are understood and have nothing to do here. Whoever writes one down is told
//! why.

mod exporters;

use std::path::PathBuf;
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Config;
use super::components::{Component as _, ExtensionConfig, ProcessorConfig, ReceiverConfig};
use super::memory::MemoryLimiter;
use super::path::KeyPath;
use super::processors::MemoryLimiterConfig;
use super::units::AnyDurationOrNone;
use crate::extensions::health_check::config::PipelineCheck;
use crate::receivers::otlp::config::Protocols;
use crate::tls::config::TlsServerConfig;

/// How often the Collector collects garbage at least and at most, while its memory is scarce and while it
/// is full.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct GarbageCollection(pub(super) [Option<Duration>; 4]);

/// The keys of [`GarbageCollection`], in its order.
const OF_GARBAGE: [&str; 4] = [
    "min_gc_interval_when_soft_limited",
    "min_gc_interval_when_hard_limited",
    "max_gc_interval_when_soft_limited",
    "max_gc_interval_when_hard_limited",
];

/// `compaction`: how the Collector makes its database smaller. A queue is a row of files here, and each is
/// deleted when all in it is delivered.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct CompactionConfig {
    /// As in the Collector.
    pub on_start: Option<bool>,
    /// As in the Collector.
    pub on_rebound: Option<bool>,
    /// As in the Collector.
    pub directory: Option<PathBuf>,
    /// As in the Collector.
    pub max_transaction_size: Option<u64>,
    /// As in the Collector.
    pub rebound_needed_threshold_mib: Option<u64>,
    /// As in the Collector.
    pub rebound_trigger_threshold_mib: Option<u64>,
    /// As in the Collector.
    #[serde(with = "AnyDurationOrNone")]
    pub check_interval: Option<Duration>,
    /// As in the Collector.
    pub cleanup_on_start: Option<bool>,
}

impl CompactionConfig {
    /// The keys that are set, and not to do without it.
    fn set(&self) -> impl Iterator<Item = &'static str> {
        let Self {
            on_start,
            on_rebound,
            directory,
            max_transaction_size,
            rebound_needed_threshold_mib,
            rebound_trigger_threshold_mib,
            check_interval,
            cleanup_on_start,
        } = self;
        let keys = [
            ("on_start", *on_start == Some(true)),
            ("on_rebound", *on_rebound == Some(true)),
            ("directory", directory.is_some()),
            ("max_transaction_size", max_transaction_size.is_some()),
            (
                "rebound_needed_threshold_mib",
                rebound_needed_threshold_mib.is_some(),
            ),
            (
                "rebound_trigger_threshold_mib",
                rebound_trigger_threshold_mib.is_some(),
            ),
            ("check_interval", check_interval.is_some()),
            ("cleanup_on_start", *cleanup_on_start == Some(true)),
        ];
        keys.into_iter()
            .filter_map(|(key, is_set)| is_set.then_some(key))
    }
}

/// The keys of `config` that are set and do nothing, each with the reason.
pub(super) fn idle(config: &Config) -> Vec<(KeyPath, &'static str)> {
    let mut idle = Vec::new();
    for (id, ReceiverConfig::Otlp(receiver)) in &config.receivers {
        if let Some(grpc) = &receiver.protocols.grpc {
            let path = KeyPath::of([ReceiverConfig::SECTION]).key(id);
            let path = path.key("protocols").key("grpc");
            let policy = path.key("keepalive").key("enforcement_policy");
            idle.extend(grpc.keepalive.enforcement_policy.set().map(|key| {
                let why = "does nothing here: pings count among the frames that bring nothing, which are \
                           bounded for every connection";
                (policy.key(key), why)
            }));
            idle.extend(buffers(
                &path,
                grpc.read_buffer_size,
                grpc.write_buffer_size,
            ));
        }
        let http = receiver.protocols.http.as_ref();
        if let Some(cors) = http.and_then(|http| http.cors.as_ref()) {
            let path = KeyPath::of([ReceiverConfig::SECTION]).key(id);
            let path = path.key("protocols").key("http").key("cors");
            idle.extend(cors.idle().map(|key| {
                let why =
                    "does nothing without allowed_origins: no page of another origin may send";
                (path.key(key), why)
            }));
        }
    }
    for (id, processor) in &config.processors {
        if let ProcessorConfig::MemoryLimiter(limiter) = processor {
            let path = KeyPath::of([ProcessorConfig::SECTION]).key(id);
            idle.extend(of_limiter(&path, limiter));
        }
    }
    for (id, pipeline) in &config.service.pipelines {
        let path = KeyPath::of(["service", "pipelines"]).key(id);
        let path = path.key("processors");
        for (index, processor) in pipeline.processors.iter().enumerate().skip(1) {
            if let Some(ProcessorConfig::MemoryLimiter(_)) = config.processors.get(processor) {
                let why = "counts as if it stood first: there is one limit for all requests, and each is charged \
                           before it is read";
                idle.push((path.index(index), why));
            }
        }
    }
    idle.extend(exporters::idle(config));
    for (id, extension) in &config.extensions {
        let path = KeyPath::of([ExtensionConfig::SECTION]).key(id);
        if matches!(extension, ExtensionConfig::Pprof(_)) {
            let why = "does nothing here: there is no Go in it to profile; use the profiler of the system, such as \
                       perf";
            idle.push((path, why));
            continue;
        }
        if !config.starts(id) {
            let why = "does nothing: service.extensions does not name it, and nothing that runs refers to it";
            idle.push((path, why));
            continue;
        }
        if let ExtensionConfig::MemoryLimiter(limiter) = extension {
            let named = |limiter: MemoryLimiter<'_>| {
                limiter.section == ExtensionConfig::SECTION && limiter.id == id
            };
            if !config.memory_limiters().any(named) {
                let why = "does nothing: no receiver of a pipeline has it among its middlewares";
                idle.push((path.clone(), why));
            }
            idle.extend(of_limiter(&path, limiter));
        }
        if let ExtensionConfig::FileStorage(storage) = extension
            && storage.directory_permissions.is_some()
            && !storage.create_directory
        {
            let why = "does nothing with create_directory: false: no folder is made";
            idle.push((path.key("directory_permissions"), why));
        }
        let check = match extension {
            ExtensionConfig::HealthCheck(of) => of.check_collector_pipeline.as_ref(),
            ExtensionConfig::HealthCheckV2(of) => of.check_collector_pipeline.as_ref(),
            _ => None,
        };
        if let Some((key, why)) = PipelineCheck::idle(check) {
            idle.push((path.key("check_collector_pipeline").key(key), why));
        }
        if let ExtensionConfig::BasicAuth(basic) = extension
            && let Some(client) = &basic.client_auth
        {
            let path = path.key("client_auth");
            let keys = client.idle();
            idle.extend(keys.map(|(key, why)| (path.key(key), why)));
        }
        if let ExtensionConfig::HealthCheckV2(health_check) = extension {
            let path = path.key("component_health");
            let keys = health_check
                .component_health
                .idle(health_check.use_v2, health_check.grpc.is_some());
            idle.extend(keys.map(|(key, why)| (path.key(key), why)));
        }
        if let ExtensionConfig::FileStorage(storage) = extension {
            let path = path.key("compaction");
            idle.extend(storage.compaction.set().map(|key| {
                let why = "does nothing here: a queue is a row of files, each of which is deleted when all \
                           in it is delivered";
                (path.key(key), why)
            }));
        }
    }
    for (path, tls) in of_listeners(config) {
        idle.extend(tls.of_clients().map(|key| {
            let why =
                "does nothing here: client_ca_file says whom a listener trusts among its senders";
            (path.key(key), why)
        }));
    }
    let logs = &config.service.telemetry.logs;
    let path = KeyPath::of(["service", "telemetry", "logs"]);
    if logs.development {
        let why = "does nothing here: there is one kind of log; level: debug shows more";
        idle.push((path.key("development"), why));
    }
    if !logs.disable_stacktrace {
        let why = "does nothing here: errors say what to do, and have no stack traces";
        idle.push((path.key("disable_stacktrace"), why));
    }
    if logs.disable_zap_resource == Some(false) {
        let why = "does nothing here: lines do not say what resource says; initial_fields says what they have";
        idle.push((path.key("disable_zap_resource"), why));
    }
    let metrics = &config.service.telemetry.metrics;
    for (index, reader) in metrics.readers.iter().flatten().enumerate() {
        let prometheus = reader.prometheus();
        if prometheus.is_some_and(|of| of.without_scope_info == Some(false)) {
            let path = KeyPath::of(["service", "telemetry", "metrics", "readers"]).index(index);
            let path = path.key("pull").key("exporter").key("prometheus");
            let why = "does nothing here: metrics have no scopes";
            idle.push((path.key("without_scope_info"), why));
        }
    }
    idle
}

/// What protects connections of listeners, and where that stands.
fn of_listeners(config: &Config) -> Vec<(KeyPath, &TlsServerConfig)> {
    let receivers = config.receivers.iter();
    let receivers = receivers.flat_map(|(id, ReceiverConfig::Otlp(receiver))| {
        let path = KeyPath::of([ReceiverConfig::SECTION]).key(id);
        let path = path.key("protocols");
        let Protocols { grpc, http } = &receiver.protocols;
        let grpc = grpc.as_ref().and_then(|grpc| grpc.tls.as_ref());
        let http = http.as_ref().and_then(|http| http.tls.as_ref());
        [("grpc", grpc), ("http", http)].map(|(protocol, tls)| (path.key(protocol), tls))
    });
    let extensions = config.started_extensions().flat_map(|(id, extension)| {
        let path = KeyPath::of([ExtensionConfig::SECTION]).key(id);
        match extension {
            ExtensionConfig::ArtifactServer(server) => vec![(path, server.tls.as_ref())],
            ExtensionConfig::Zpages(zpages) => vec![(path, zpages.tls.as_ref())],
            other => {
                let healths = other.health().into_iter();
                let at = |section: Option<_>| {
                    section.map_or_else(|| path.clone(), |section| path.key(section))
                };
                healths.map(|of| (at(of.section), of.tls)).collect()
            }
        }
    });
    let all = receivers.chain(extensions);
    all.filter_map(|(path, tls)| Some((path.key("tls"), tls?)))
        .collect()
}

/// How often memory is to be looked at, and garbage collected, at `path`, and what stands there of a limit that does not
/// hold.
fn of_limiter(
    path: &KeyPath,
    limiter: &MemoryLimiterConfig,
) -> impl Iterator<Item = (KeyPath, &'static str)> {
    let GarbageCollection(intervals) = &limiter.garbage_collection;
    let set = OF_GARBAGE.into_iter().zip(intervals);
    let set = set.filter(|(_, interval)| interval.is_some());
    let garbage = set.map(|(key, _)| {
        let why = "does nothing here: there is no garbage to collect, memory is given back with the last byte of \
                   a request";
        (path.key(key), why)
    });
    let usual = MemoryLimiterConfig::default().check_interval;
    let interval = (limiter.check_interval != usual).then(|| {
        let why = "does nothing here: every byte is counted before it is kept, so nothing is looked at now and then";
        (path.key("check_interval"), why)
    });
    let passed_over = limiter.passed_over.idle();
    let passed_over = passed_over.map(|(key, why)| (path.key(key), why));
    interval.into_iter().chain(garbage).chain(passed_over)
}

/// The sizes of buffers that are set at `path`.
fn buffers(
    path: &KeyPath,
    read: Option<u64>,
    write: Option<u64>,
) -> impl Iterator<Item = (KeyPath, &'static str)> {
    let keys = [("read_buffer_size", read), ("write_buffer_size", write)];
    keys.into_iter().filter(|(_, size)| size.is_some()).map(|(key, _)| {
        let why = "does nothing here: the buffers of a connection have a size of their own, so that what it \
                   can pin is known";
        (path.key(key), why)
    })
}
