//! A configuration, put together and running.

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;

use futures::future::join_all;
use slimspan_artifact::{Form, Location, Policy};
use tokio_util::sync::CancellationToken;

use crate::admission::Budget;
use crate::config::{
    ArtifactConfig, ComponentId, Config, ExporterConfig, ExtensionConfig, HostPort,
    MemoryLimiterConfig, PipelineConfig, ProcessorConfig, ReceiverConfig,
};
use crate::exporters::Exporter;
use crate::exporters::debug::DebugExporter;
use crate::exporters::otlp_grpc::{OtlpGrpcExporter, SetupError};
use crate::pipeline::{Artifacts, Pipeline, Pipelines};
use crate::receivers::otlp::GrpcReceiver;
use crate::shutdown;
use crate::storage::{OpenError, Store};
use crate::telemetry::Counters;

/// Why a collector could not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// An extension cannot be set up.
    #[error("extensions.{id}.{reason}")]
    Store {
        /// The extension.
        id: ComponentId,
        /// Why; the text begins with the key to change.
        reason: OpenError,
    },
    /// An exporter cannot be set up.
    #[error("exporters.{id}.{reason}")]
    Exporter {
        /// The exporter.
        id: ComponentId,
        /// Why; the text begins with the key to change.
        reason: SetupError,
    },
    /// The system gives no thread.
    #[error("cannot start a thread: {0}")]
    Thread(io::Error),
    /// An address cannot be listened on.
    #[error("receivers.{id}: cannot listen on {endpoint}: {reason}")]
    Bind {
        /// The receiver.
        id: ComponentId,
        /// The address.
        endpoint: HostPort,
        /// Why.
        reason: io::Error,
    },
}

/// A collector whose ports are bound and which does not accept yet.
#[derive(Debug)]
pub struct Collector {
    receivers: Vec<Receiver>,
    budget: Budget,
    counters: Arc<Counters>,
    summary: Vec<(String, String)>,
}

#[derive(Debug)]
struct Receiver {
    grpc: GrpcReceiver,
    pipelines: Arc<Pipelines>,
}

impl Collector {
    /// Puts the components together: first what requests leave by, the ports last, so that nothing
    /// is accepted that could not be passed on.
    pub async fn start(config: &Config) -> Result<Self, StartError> {
        let mut summary = Vec::new();
        let stores = open_stores(config)?;
        let exporters = set_up_exporters(config, &mut summary)?;
        let counters = Arc::new(Counters::default());
        let limit = memory_limit(config);

        let mut pipelines = Vec::new();
        for (id, wiring) in &config.service.pipelines {
            let artifacts = artifacts(config, wiring, &stores);
            summary.push((id.to_string(), describe(wiring, artifacts.as_ref())));
            let exporters = wiring
                .exporters
                .iter()
                .filter_map(|id| exporters.get(id).cloned());
            let pipeline = Pipeline {
                id: id.clone(),
                artifacts,
                exporters: exporters.collect(),
                counters: Arc::clone(&counters),
            };
            pipelines.push((wiring, Arc::new(pipeline)));
        }
        for (id, store) in &stores {
            summary.push((id.to_string(), format!("artifacts in {store}")));
        }

        let mut receivers = Vec::new();
        for (id, ReceiverConfig::Otlp(receiver)) in &config.receivers {
            let mut routes = Pipelines::default();
            for (wiring, pipeline) in &pipelines {
                if wiring.receivers.contains(id) {
                    routes.add(Arc::clone(pipeline));
                }
            }
            if routes.is_empty() {
                continue;
            }
            let grpc = receiver.protocols.grpc.clone();
            let (endpoint, max) = (grpc.endpoint.clone(), grpc.max_recv_msg_size_mib);
            let bind_error = |reason| StartError::Bind {
                id: id.clone(),
                endpoint: endpoint.clone(),
                reason,
            };
            let grpc = GrpcReceiver::bind(grpc).await.map_err(bind_error)?;
            let address = grpc.local_addr().map_err(bind_error)?;
            summary.insert(
                receivers.len(),
                (
                    id.to_string(),
                    format!("listening for OTLP/gRPC on {address}, requests up to {max} MiB"),
                ),
            );
            receivers.push(Receiver {
                grpc,
                pipelines: Arc::new(routes),
            });
        }
        let pinned = receivers.iter().map(|one| one.grpc.pinned_by_connections());
        summary.push((
            "memory".to_owned(),
            format!(
                "requests in flight take at most {limit} MiB, and what senders leave unread in \
                 their connections at most {} MiB",
                pinned.sum::<u64>() >> 20
            ),
        ));
        Ok(Self {
            receivers,
            budget: Budget::new(limit),
            counters,
            summary,
        })
    }

    /// What runs, component by component: where it listens, where bytes go, what is moved.
    pub fn summary(&self) -> &[(String, String)] {
        &self.summary
    }

    /// Serves until `stop` is cancelled, then ends what is under way, but not for ever.
    pub async fn run(self, stop: CancellationToken) {
        let servers = self.receivers.into_iter().map(|receiver| {
            let (budget, stop) = (self.budget.clone(), stop.clone());
            let counters = &self.counters;
            let grpc = receiver.grpc;
            async move { grpc.serve(receiver.pipelines, budget, counters, stop).await }
        });
        if !shutdown::within_grace(&stop, join_all(servers)).await {
            tracing::warn!(
                "connections that did not end within {:?} were cut off; no request on them was \
                 acknowledged that is not delivered",
                shutdown::GRACE
            );
        }
        tracing::info!("stopped: {}", self.counters);
    }
}

/// The stores that run.
fn open_stores(config: &Config) -> Result<BTreeMap<ComponentId, Store>, StartError> {
    let mut stores = BTreeMap::new();
    for id in &config.service.extensions {
        if let Some(ExtensionConfig::ArtifactStore(store)) = config.extensions.get(id) {
            let store = Store::open(store).map_err(|reason| StartError::Store {
                id: id.clone(),
                reason,
            })?;
            stores.insert(id.clone(), store);
        }
    }
    Ok(stores)
}

/// The exporters that some pipeline uses.
fn set_up_exporters(
    config: &Config,
    summary: &mut Vec<(String, String)>,
) -> Result<BTreeMap<ComponentId, Arc<Exporter>>, StartError> {
    let mut exporters = BTreeMap::new();
    for (id, exporter) in &config.exporters {
        let mut wirings = config.service.pipelines.values();
        if !wirings.any(|wiring| wiring.exporters.contains(id)) {
            continue;
        }
        let exporter = match exporter {
            ExporterConfig::OtlpGrpc(exporter) => {
                let exporter =
                    OtlpGrpcExporter::new(id.to_string(), exporter).map_err(|reason| {
                        StartError::Exporter {
                            id: id.clone(),
                            reason,
                        }
                    })?;
                summary.push((id.to_string(), format!("sends OTLP/gRPC to {exporter}")));
                Exporter::OtlpGrpc(Box::new(exporter))
            }
            ExporterConfig::Debug(debug) => {
                summary.push((id.to_string(), "prints to this terminal".to_owned()));
                Exporter::Debug(DebugExporter::new(debug).map_err(StartError::Thread)?)
            }
        };
        exporters.insert(id.clone(), Arc::new(exporter));
    }
    Ok(exporters)
}

/// The `artifact` processor of a pipeline.
fn artifacts(
    config: &Config,
    wiring: &PipelineConfig,
    stores: &BTreeMap<ComponentId, Store>,
) -> Option<Artifacts> {
    wiring.processors.iter().find_map(|id| {
        let ProcessorConfig::Artifact(artifact) = config.processors.get(id)? else {
            return None;
        };
        let store = stores.get(&artifact.store)?.clone();
        Some(Artifacts {
            policy: policy(artifact, store.uri_base()),
            store,
            on_store_failure: artifact.on_store_failure,
        })
    })
}

/// What the processor that is configured as `artifact` takes out for the store at `uri_base`.
pub fn policy(artifact: &ArtifactConfig, uri_base: &str) -> Policy {
    let threshold = usize::try_from(artifact.threshold.as_u64()).unwrap_or(usize::MAX);
    Policy {
        form: Form::Object,
        ..Policy::new(threshold, Location::Store(uri_base.to_owned()))
    }
}

/// The smallest limit of any pipeline: they share the receivers, and so the memory. There is one
/// even where nothing is configured.
fn memory_limit(config: &Config) -> u64 {
    let used = config
        .service
        .pipelines
        .values()
        .flat_map(|wiring| &wiring.processors)
        .filter_map(|id| match config.processors.get(id) {
            Some(ProcessorConfig::MemoryLimiter(limiter)) => Some(limiter.limit_mib),
            _ => None,
        });
    used.min()
        .unwrap_or_else(|| MemoryLimiterConfig::default().limit_mib)
}

fn describe(wiring: &PipelineConfig, artifacts: Option<&Artifacts>) -> String {
    let list = |ids: &[ComponentId]| {
        let ids: Vec<String> = ids.iter().map(ToString::to_string).collect();
        ids.join(", ")
    };
    let (from, to) = (list(&wiring.receivers), list(&wiring.exporters));
    match artifacts {
        Some(artifacts) => format!(
            "{from} -> files of {} and more out -> {to}",
            bytesize::ByteSize::b(artifacts.policy.threshold as u64)
        ),
        None => format!("{from} -> {to}"),
    }
}
