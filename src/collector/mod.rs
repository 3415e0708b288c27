//! A configuration, put together and running.

mod auth;
mod error;
mod exporters;
mod extensions;
mod forgotten;
mod lives;
mod memory;
mod own_backend;
mod own_metrics;
mod own_spans;
mod plain_text;
mod receivers;
mod rehearsal;
mod run;
mod servers;
mod shares;
mod sights;
mod spools;
mod stores;

use std::collections::BTreeMap;
use std::sync::Arc;

use slimspan_artifact::Location;

use crate::admission::Budget;
use crate::catalog::Recorder;
use crate::config::{ComponentId, Config, PipelineConfig, PipelineId, ProcessorConfig};
use crate::dry_run::DryRun;
use crate::exporters::Exporter;
use crate::listeners::Listeners;
use crate::machine;
use crate::pipeline::{Destination, Pipeline, Wanted};
use crate::storage::Store;
use crate::telemetry::{Counters, LimiterCounts, Phase, ProcessorCounts};
use auth::Auth;
pub use error::StartError;
use exporters::set_up_exporters;
use extensions::Extensions;
pub use lives::run;
use memory::memory_limits;
use own_metrics::OwnMetrics;
use own_spans::OwnSpans;
use receivers::{Receiver, bind_receivers};
pub use rehearsal::rehearse;
use servers::Servers;
use shares::Shares;
use sights::Running;
use stores::{artifacts, location, open_recorders, open_stores};

/// A collector whose ports are bound and which does not accept yet.
#[derive(Debug)]
pub struct Collector {
    receivers: Vec<Receiver>,
    exporters: Vec<Arc<Exporter>>,
    budget: Budget,
    counters: Arc<Counters>,
    dry_runs: BTreeMap<ComponentId, Arc<DryRun>>,
    stores: BTreeMap<ComponentId, Store>,
    recorders: BTreeMap<ComponentId, Recorder>,
    extensions: Extensions,
    servers: Servers,
    own_spans: OwnSpans,
    own_metrics: OwnMetrics,
    /// Held here alone: what looks at it does not keep it.
    sights: Arc<Running>,
    summary: Vec<(String, String)>,
}

impl Collector {
    /// Puts the components together: first what requests leave by, the ports last, so that nothing
    /// is accepted that could not be passed on.
    ///
    /// Sockets that are listened on already are taken over, and counters go on counting.
    pub async fn start(
        config: &Config,
        listeners: &mut Listeners,
        counters: Arc<Counters>,
    ) -> Result<Self, StartError> {
        counters.enter(Phase::Starting);
        let mut summary = Vec::new();
        // Whoever asks whether all is well is to be told from the start.
        let mut extensions = Extensions::start(config, &counters, listeners).await?;
        let stores = open_stores(config, &counters)?;
        let recorders = open_recorders(config, &stores, &counters);
        let memory = machine::memory();
        let limits = memory_limits(config, memory)?;
        let budget = Budget::new(limits);
        let auth = Auth::open(config)?;
        let shares = Shares::new(config, &budget);
        let memory_of = (&budget, &shares);
        let exporters = set_up_exporters(
            config,
            &auth,
            memory_of,
            &counters,
            &recorders,
            &mut summary,
        )?;
        let own_spans = OwnSpans::set_up(config, &counters, &mut summary)?;
        let own_metrics = OwnMetrics::set_up(config, &counters, &mut summary)?;
        let mut dry_runs = BTreeMap::new();

        for (id, wiring) in &config.service.pipelines {
            summary.push((id.to_string(), describe(config, wiring)));
        }
        let mut running: BTreeMap<&PipelineId, Arc<Pipeline>> = BTreeMap::new();
        for (id, wiring) in config.last_first() {
            let artifacts = artifacts(config, wiring, &stores, &recorders, &mut dry_runs)?;
            let to_exporters = wiring.exporters.iter().filter_map(|id| {
                let of_exporter = config.exporters.get(id)?;
                let wanted = Wanted {
                    references: of_exporter.reference().map(Into::into),
                    bytes_values: of_exporter.bytes_values().map(Into::into),
                };
                Some(Destination::Exporter(exporters.get(id).cloned()?, wanted))
            });
            let next = config.next_of(id).into_iter();
            let to_pipelines = next
                .filter_map(|next| Some(Destination::Pipeline(Arc::clone(running.get(next.to)?))));
            let destinations = to_exporters.chain(to_pipelines).collect();
            let (processors, before) = processors(config, wiring, &counters);
            let pipeline = Pipeline::new(
                id.clone(),
                artifacts,
                destinations,
                budget.clone(),
                Arc::clone(&counters),
            );
            let share = shares.of_pipeline(&config.end_to_end(id, wiring));
            let mut pipeline = pipeline
                .counted(processors, before)
                .limited(limiters(config, wiring, &counters))
                .within(share);
            if let Some((id, batch)) = config.batch_processor(wiring) {
                let batches = counters.batch(&id.to_string());
                pipeline = pipeline.with_batch(batch.clone(), batches);
            }
            running.insert(id, Arc::new(pipeline));
        }
        let wirings = config.service.pipelines.iter();
        let pipelines: Vec<_> = wirings
            .filter_map(|(id, wiring)| Some((wiring, running.remove(id)?)))
            .collect();
        for (id, of_store) in config.artifact_stores() {
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

        let servers = Servers::start(
            config,
            &auth,
            &stores,
            &recorders,
            (&budget, &counters),
            listeners,
            &mut summary,
        )
        .await?;
        let receivers = bind_receivers(
            config,
            (&auth, &servers),
            &pipelines,
            &budget,
            (&counters, own_spans.tracer()),
            listeners,
            &mut summary,
        )
        .await?;
        let pinned = receivers.iter().map(Receiver::pinned_by_connections);
        let (limit, pinned) = (limits.limit_mib, pinned.sum::<u64>() >> 20);
        summary.push((
            "memory".to_owned(),
            format!(
                "the process takes at most {limit} MiB, of which requests in flight take {}; senders that leave their \
                 connections unread can take up to {pinned} MiB more",
                limits.of_requests_kib() >> 10
            ),
        ));
        if let Some(memory) = memory.map(|bytes| bytes >> 20)
            && limit + pinned > memory
        {
            tracing::warn!(
                "there are {memory} MiB of memory, and {limit} MiB with {pinned} MiB that senders can \
                 leave unread are more: lower memory_limiter.limit_mib or max_connections"
            );
        }
        extensions.describe(&mut summary);
        extensions.tell(&summary);
        let sights = Running::new(&exporters, &stores, &budget);
        counters.show(&sights);
        counters.enter(Phase::Running);
        Ok(Self {
            receivers,
            exporters: exporters.into_values().collect(),
            extensions,
            servers,
            own_spans,
            own_metrics,
            sights,
            budget,
            counters,
            dry_runs,
            stores,
            recorders,
            summary,
        })
    }

    /// What runs, component by component: where it listens, where bytes go, what is moved.
    pub fn summary(&self) -> &[(String, String)] {
        &self.summary
    }
}

/// What is counted of the processors of a pipeline, and how many come before the `artifact` processor.
fn processors(
    config: &Config,
    wiring: &PipelineConfig,
    counters: &Counters,
) -> (Vec<Arc<ProcessorCounts>>, usize) {
    let artifact = config.artifact_processor(wiring).map(|(id, _)| id);
    let ids = &wiring.processors;
    let before = ids.iter().position(|id| Some(id) == artifact);
    let counts = ids.iter().map(|id| counters.processor(&id.to_string()));
    (counts.collect(), before.unwrap_or(ids.len()))
}

/// What is counted of the `memory_limiter` processors of a pipeline.
fn limiters(
    config: &Config,
    wiring: &PipelineConfig,
    counters: &Counters,
) -> Vec<Arc<LimiterCounts>> {
    let ids = wiring.processors.iter().filter(|id| {
        let processor = config.processors.get(*id);
        matches!(processor, Some(ProcessorConfig::MemoryLimiter(_)))
    });
    ids.map(|id| counters.limiter(&id.to_string())).collect()
}

fn describe(config: &Config, wiring: &PipelineConfig) -> String {
    let list = |ids: &[ComponentId]| {
        let ids: Vec<String> = ids.iter().map(ToString::to_string).collect();
        ids.join(", ")
    };
    let (from, to) = (list(&wiring.receivers), list(&wiring.exporters));
    let artifact = config.artifact_processor(wiring);
    let artifact = artifact.map(|(_, artifact)| artifact.to_string());
    let batch = config
        .batch_processor(wiring)
        .map(|(_, batch)| batch.to_string());
    let steps = [Some(from), artifact, batch, Some(to)];
    let steps: Vec<String> = steps.into_iter().flatten().collect();
    steps.join(" -> ")
}
