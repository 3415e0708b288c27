//! A configuration, put together and running.

use std::collections::BTreeMap;
use std::io::{self, Write as _};
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use futures::future::join_all;
use slimspan_artifact::Location;
use tokio_util::sync::CancellationToken;

use crate::admission::{Budget, Limits};
use crate::config::{
    ComponentId, Config, ExporterConfig, ExtensionConfig, HostPort, MemoryLimit,
    MemoryLimiterConfig, PipelineConfig, ProcessorConfig, ReceiverConfig,
};
use crate::dry_run::DryRun;
use crate::exporters::debug::DebugExporter;
use crate::exporters::otlp_grpc::{OtlpGrpcExporter, SetupError};
use crate::exporters::queue::config::QueueConfig;
use crate::exporters::queue::{OnDisk, Queue};
use crate::exporters::{Delivery, Exporter, Way};
use crate::machine;
use crate::pipeline::{Artifacts, Fate, Pipeline, Pipelines};
use crate::receivers::otlp::GrpcReceiver;
use crate::shutdown::{self, Stages};
use crate::storage::config::StoreConfig;
use crate::storage::{OpenError, Store};
use crate::telemetry::Counters;

/// What exporters have at the end to deliver what is in their queues, or to keep it.
const LAST_DELIVERIES: Duration = Duration::from_millis(1500);

/// What telling of the end has.
const LAST_WORDS: Duration = Duration::from_millis(250);

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
    /// A queue on disk cannot be opened.
    #[error("extensions.{id}.directory: {reason}")]
    Queue {
        /// The extension.
        id: ComponentId,
        /// Why.
        reason: String,
    },
    /// A part of the memory is the limit, and nobody tells how much there is.
    #[error(
        "processors.{id}.limit_percentage: the system does not tell how much memory there is; \
         give limit_mib"
    )]
    UnknownMemory {
        /// The processor.
        id: ComponentId,
    },
    /// A part of the memory is the limit, and too little for the largest request.
    #[error(
        "processors.{id}.limit_percentage: {limit} MiB of the {memory} MiB that there are is too \
         little: {needed} are needed, four times max_recv_msg_size_mib"
    )]
    TooLittleMemory {
        /// The processor.
        id: ComponentId,
        /// The limit, in MiB.
        limit: u64,
        /// What there is, in MiB.
        memory: u64,
        /// What is needed, in MiB.
        needed: u64,
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
    exporters: Vec<Arc<Exporter>>,
    budget: Budget,
    counters: Arc<Counters>,
    dry_runs: BTreeMap<ComponentId, Arc<DryRun>>,
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
        let counters = Arc::new(Counters::default());
        let memory = machine::memory();
        let limits = memory_limits(config, memory)?;
        let budget = Budget::new(limits);
        let exporters = set_up_exporters(config, &budget, &counters, &mut summary)?;
        let mut dry_runs = BTreeMap::new();

        let mut pipelines = Vec::new();
        for (id, wiring) in &config.service.pipelines {
            let artifacts = artifacts(config, wiring, &stores, &mut dry_runs)?;
            summary.push((id.to_string(), describe(config, wiring)));
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
        for (id, of_store) in config.artifact_stores() {
            let place = match stores.get(id) {
                Some(store) => format!("artifacts in {store}"),
                None => "nothing is stored in a dry run".to_owned(),
            };
            let (Location::Store(url) | Location::Public(url)) = location(id, of_store)?;
            summary.push((id.to_string(), format!("{place}; references lead to {url}")));
        }

        let mut receivers = Vec::new();
        for (id, ReceiverConfig::Otlp(receiver)) in &config.receivers {
            let max_items = receiver.protocols.grpc.max_items as usize;
            let mut routes = Pipelines::new(max_items, Arc::clone(&counters));
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
        let (limit, pinned) = (limits.limit_mib, pinned.sum::<u64>() >> 20);
        summary.push((
            "memory".to_owned(),
            format!(
                "requests in flight take at most {limit} MiB, and what senders leave unread in \
                 their connections at most {pinned} MiB"
            ),
        ));
        if let Some(memory) = memory.map(|bytes| bytes >> 20)
            && limit + pinned > memory
        {
            tracing::warn!(
                "there are {memory} MiB of memory, and {limit} MiB of requests with {pinned} MiB that \
                 senders leave unread are more: lower memory_limiter.limit_mib or max_connections"
            );
        }
        Ok(Self {
            receivers,
            exporters: exporters.into_values().collect(),
            budget,
            counters,
            dry_runs,
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
        let mut servers = pin!(join_all(servers));
        let reports = self
            .dry_runs
            .values()
            .map(|dry_run| dry_run.report_every_minute(print));
        let reports = async {
            join_all(reports).await;
            std::future::pending::<()>().await;
        };
        tokio::select! {
            // First, because receivers end only after it, and are to be waited for below.
            biased;
            () = stop.cancelled() => {}
            _ = &mut servers => {}
            () = reports => {}
        }
        // A request is answered when its pipelines and exporters are done with it, so these end with
        // the receivers.
        let exporters = &self.exporters;
        let late = Stages::default()
            .then("receivers", Duration::ZERO, |_| async {
                servers.await;
            })
            .then("exporters", LAST_DELIVERIES, |until| async move {
                let ends = exporters.iter().map(|exporter| exporter.end(until));
                join_all(ends).await;
            })
            .then("telemetry", LAST_WORDS, |_| async {
                for dry_run in self.dry_runs.values() {
                    print(&dry_run.to_text());
                }
                for line in self.counters.items.lines() {
                    tracing::info!("{line}");
                }
            })
            .end(shutdown::GRACE)
            .await;
        for stage in late {
            tracing::warn!(
                "{stage} did not end within {:?} and were cut off; nothing was acknowledged that is \
                 not delivered",
                shutdown::GRACE
            );
        }
        tracing::info!("stopped: {}", self.counters);
    }
}

/// The stores that run: a dry run needs none.
fn open_stores(config: &Config) -> Result<BTreeMap<ComponentId, Store>, StartError> {
    let mut stores = BTreeMap::new();
    for id in &config.service.extensions {
        let wirings = config.service.pipelines.values();
        let mut users = wirings
            .filter_map(|wiring| config.artifact_processor(wiring))
            .filter(|(_, processor)| processor.store == *id)
            .peekable();
        if users.peek().is_some() && users.all(|(_, processor)| processor.dry_run) {
            continue;
        }
        if let Some(ExtensionConfig::ArtifactStore(store)) = config.extensions.get(id) {
            let store = Store::open(store).map_err(|reason| not_opened(id, reason))?;
            stores.insert(id.clone(), store);
        }
    }
    Ok(stores)
}

fn not_opened(id: &ComponentId, reason: OpenError) -> StartError {
    StartError::Store {
        id: id.clone(),
        reason,
    }
}

/// The exporters that some pipeline uses.
fn set_up_exporters(
    config: &Config,
    budget: &Budget,
    counters: &Arc<Counters>,
    summary: &mut Vec<(String, String)>,
) -> Result<BTreeMap<ComponentId, Arc<Exporter>>, StartError> {
    let mut exporters = BTreeMap::new();
    for (id, exporter) in &config.exporters {
        let mut wirings = config.service.pipelines.values();
        if !wirings.any(|wiring| wiring.exporters.contains(id)) {
            continue;
        }
        let exporter = match exporter {
            ExporterConfig::OtlpGrpc(of_exporter) => {
                let name = id.to_string();
                let exporter = OtlpGrpcExporter::new(name.clone(), of_exporter);
                let exporter = exporter.map_err(|reason| StartError::Exporter {
                    id: id.clone(),
                    reason,
                })?;
                let way = Arc::new(Way::new(name, exporter, of_exporter));
                let queue = open_queue(
                    config,
                    id,
                    &of_exporter.sending_queue,
                    &way,
                    budget,
                    counters,
                )?;
                let delivery = Delivery::new(way, queue);
                summary.push((id.to_string(), format!("sends OTLP/gRPC to {delivery}")));
                Exporter::OtlpGrpc(Box::new(delivery))
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

/// The queue of the exporter `id`, if it has one.
fn open_queue(
    config: &Config,
    id: &ComponentId,
    queue: &QueueConfig,
    way: &Arc<Way>,
    budget: &Budget,
    counters: &Arc<Counters>,
) -> Result<Option<Queue>, StartError> {
    if !queue.enabled {
        return Ok(None);
    }
    let storage = queue.storage.as_ref();
    let storage = storage.and_then(|storage| match config.extensions.get(storage) {
        Some(ExtensionConfig::FileStorage(on_disk)) => Some((storage, on_disk)),
        _ => None,
    });
    let failed = |reason: String| StartError::Queue {
        id: storage.map_or(id, |(storage, _)| storage).clone(),
        reason,
    };
    let on_disk = storage.map(|(_, storage)| (storage.folder_of(id), storage.options()));
    if let Some((_, storage)) = storage {
        storage.check().map_err(failed)?;
    }
    let on_disk = on_disk.as_ref().map(|(folder, options)| OnDisk {
        folder,
        options: *options,
    });
    let (way, budget, counters) = (Arc::clone(way), budget.clone(), Arc::clone(counters));
    let queue = Queue::open(way, queue, on_disk, budget, counters);
    queue.map(Some).map_err(|error| failed(error.to_string()))
}

/// The `artifact` processor of a pipeline.
fn artifacts(
    config: &Config,
    wiring: &PipelineConfig,
    stores: &BTreeMap<ComponentId, Store>,
    dry_runs: &mut BTreeMap<ComponentId, Arc<DryRun>>,
) -> Result<Option<Artifacts>, StartError> {
    let Some((id, processor)) = config.artifact_processor(wiring) else {
        return Ok(None);
    };
    let Some(ExtensionConfig::ArtifactStore(store)) = config.extensions.get(&processor.store)
    else {
        return Ok(None);
    };
    let policy = processor.policy(location(&processor.store, store)?);
    if processor.dry_run {
        // Pipelines of one processor have one report.
        let dry_run = dry_runs
            .entry(id.clone())
            .or_insert_with(|| Arc::new(DryRun::new(id.clone())));
        let fate = Fate::Counted(Arc::clone(dry_run));
        return Ok(Some(Artifacts { policy, fate }));
    }
    Ok(stores.get(&processor.store).map(|store| Artifacts {
        policy,
        fate: Fate::Kept {
            store: store.clone(),
            on_failure: processor.on_store_failure,
        },
    }))
}

/// Where references to the artifacts of the extension `id` lead.
fn location(id: &ComponentId, store: &StoreConfig) -> Result<Location, StartError> {
    Store::location_of(store).map_err(|reason| not_opened(id, reason))
}

/// The smallest limit of any pipeline: they share the receivers, and so the memory. There is one
/// even where nothing is configured.
fn memory_limits(config: &Config, memory: Option<u64>) -> Result<Limits, StartError> {
    let used = config
        .service
        .pipelines
        .values()
        .flat_map(|wiring| &wiring.processors);
    let mut smallest: Option<Limits> = None;
    for id in used {
        let Some(ProcessorConfig::MemoryLimiter(limiter)) = config.processors.get(id) else {
            continue;
        };
        let limits = limiter.limits(memory.unwrap_or_default());
        if matches!(limiter.limit, MemoryLimit::Percentage { .. }) {
            let Some(memory) = memory else {
                return Err(StartError::UnknownMemory { id: id.clone() });
            };
            let largest = config
                .receivers
                .values()
                .map(|ReceiverConfig::Otlp(receiver)| {
                    u64::from(receiver.protocols.grpc.max_recv_msg_size_mib)
                });
            let needed = Limits::SHARES * largest.max().unwrap_or_default();
            if limits.limit_mib < needed {
                return Err(StartError::TooLittleMemory {
                    id: id.clone(),
                    limit: limits.limit_mib,
                    memory: memory >> 20,
                    needed,
                });
            }
        }
        if smallest.is_none_or(|smallest| limits.limit_mib < smallest.limit_mib) {
            smallest = Some(limits);
        }
    }
    Ok(smallest.unwrap_or_else(|| MemoryLimiterConfig::default().limits(0)))
}

fn describe(config: &Config, wiring: &PipelineConfig) -> String {
    let list = |ids: &[ComponentId]| {
        let ids: Vec<String> = ids.iter().map(ToString::to_string).collect();
        ids.join(", ")
    };
    let (from, to) = (list(&wiring.receivers), list(&wiring.exporters));
    match config.artifact_processor(wiring) {
        Some((_, artifact)) => format!("{from} -> {artifact} -> {to}"),
        None => format!("{from} -> {to}"),
    }
}

/// Prints a report for people to standard error, where the log goes, too.
fn print(text: &str) {
    // Who has closed it does not want to know.
    let _ = io::stderr().lock().write_all(text.as_bytes());
}
