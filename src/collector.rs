//! A configuration, put together and running.

use std::collections::BTreeMap;
use std::io::{self, Write as _};
use std::sync::Arc;

use futures::future::{join, join_all};
use slimspan_artifact::Location;
use tokio_util::sync::CancellationToken;

use crate::admission::Budget;
use crate::config::{
    ComponentId, Config, ExporterConfig, ExtensionConfig, HostPort, MemoryLimiterConfig,
    PipelineConfig, ProcessorConfig, ReceiverConfig,
};
use crate::dry_run::DryRun;
use crate::exporters::debug::DebugExporter;
use crate::exporters::otlp_grpc::{OtlpGrpcExporter, SetupError};
use crate::exporters::{Delivery, Exporter};
use crate::pipeline::{Artifacts, Fate, Pipeline, Pipelines};
use crate::receivers::otlp::GrpcReceiver;
use crate::shutdown;
use crate::storage::config::StoreConfig;
use crate::storage::{OpenError, Spool, Store};
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
    dry_runs: BTreeMap<ComponentId, Arc<DryRun>>,
    stores: BTreeMap<ComponentId, Store>,
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
        for (id, ExtensionConfig::ArtifactStore(of_store)) in &config.extensions {
            let place = match stores.get(id) {
                Some(store) => match store.spool() {
                    Some(spool) => {
                        format!(
                            "artifacts in {store}, by way of {spool}, where {} wait",
                            spool.left()
                        )
                    }
                    None => format!("artifacts in {store}"),
                },
                None => "nothing is stored in a dry run".to_owned(),
            };
            let (Location::Store(url) | Location::Public(url)) = location(id, of_store)?;
            summary.push((id.to_string(), format!("{place}; references lead to {url}")));
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
            dry_runs,
            stores,
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
        // What senders still bring is uploaded, too, as far as there is time.
        let drain = CancellationToken::new();
        let uploads = self.stores.values().filter_map(|store| {
            let spool = store.spool()?;
            Some(spool.upload(store, &self.counters, drain.clone()))
        });
        let work = join(
            async {
                join_all(servers).await;
                drain.cancel();
            },
            join_all(uploads),
        );
        let reports = self
            .dry_runs
            .values()
            .map(|dry_run| dry_run.report_every_minute(print));
        let reports = async {
            join_all(reports).await;
            std::future::pending::<()>().await;
        };
        tokio::select! {
            _ = shutdown::within_grace(&stop, work) => {}
            () = reports => {}
        }
        if !drain.is_cancelled() {
            tracing::warn!(
                "connections that did not end within {:?} were cut off; no request on them was \
                 acknowledged that is not delivered",
                shutdown::GRACE
            );
        }
        for spool in self.stores.values().filter_map(Store::spool) {
            spool.settle().await;
            let left = spool.left();
            if left.artifacts > 0 {
                tracing::info!("{spool}: {left} stay there for the next start");
            }
        }
        for dry_run in self.dry_runs.values() {
            print(&dry_run.to_text());
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
            let opened = open_store(config, id, store).map_err(|reason| not_opened(id, reason))?;
            opened.sweep_leftovers();
            stores.insert(id.clone(), opened);
        }
    }
    Ok(stores)
}

/// A store, and its spool if something is or may be in there.
fn open_store(config: &Config, id: &ComponentId, of: &StoreConfig) -> Result<Store, OpenError> {
    let store = Store::open(of)?;
    let directory = &of.spool.directory;
    let is_mine =
        config
            .extensions
            .iter()
            .all(|(other, ExtensionConfig::ArtifactStore(other_store))| {
                other == id || other_store.spool.directory != *directory
            });
    // What an earlier run left there has references that lead to the store.
    if config.fills_spool_of(id) || (is_mine && directory.is_dir()) {
        let spool = Spool::open(&of.spool, format!("extensions.{id}.spool"))?;
        return Ok(store.with_spool(spool));
    }
    Ok(store)
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
    summary: &mut Vec<(String, String)>,
) -> Result<BTreeMap<ComponentId, Arc<Exporter>>, StartError> {
    let mut exporters = BTreeMap::new();
    for (id, exporter) in &config.exporters {
        let mut wirings = config.service.pipelines.values();
        if !wirings.any(|wiring| wiring.exporters.contains(id)) {
            continue;
        }
        let exporter = match exporter {
            ExporterConfig::OtlpGrpc(config) => {
                let exporter = OtlpGrpcExporter::new(id.to_string(), config).map_err(|reason| {
                    StartError::Exporter {
                        id: id.clone(),
                        reason,
                    }
                })?;
                let delivery = Delivery::new(id.to_string(), exporter, config);
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
    let Some(ExtensionConfig::ArtifactStore(of_store)) = config.extensions.get(&processor.store)
    else {
        return Ok(None);
    };
    let policy = processor.policy(location(&processor.store, of_store)?);
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
            delivery: processor.delivery,
            on_failure: if processor.is_in_background() {
                of_store.spool.on_full
            } else {
                processor.on_store_failure
            },
        },
    }))
}

/// Where references to the artifacts of the extension `id` lead.
fn location(id: &ComponentId, store: &StoreConfig) -> Result<Location, StartError> {
    Store::location_of(store).map_err(|reason| not_opened(id, reason))
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
