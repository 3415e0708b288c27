//! A configuration, put together and running.

mod auth;
mod error;
mod exporters;
mod memory;
mod run;
mod stores;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;

use slimspan_artifact::Location;

use crate::admission::Budget;
use crate::auth::Gate;
use crate::config::{ComponentId, Config, PipelineConfig, ReceiverConfig};
use crate::dry_run::DryRun;
use crate::exporters::Exporter;
use crate::machine;
use crate::pipeline::{Pipeline, Pipelines};
use crate::receivers::otlp::{GRPC_ALPN, GrpcReceiver};
use crate::storage::Store;
use crate::telemetry::Counters;
use crate::tls::ServerTls;
use crate::tls::config::TlsServerConfig;
use auth::Auth;
pub use error::StartError;
use exporters::set_up_exporters;
use memory::memory_limits;
use stores::{artifacts, location, open_stores};

/// A collector whose ports are bound and which does not accept yet.
#[derive(Debug)]
pub struct Collector {
    receivers: Vec<Receiver>,
    exporters: Vec<Arc<Exporter>>,
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
        let counters = Arc::new(Counters::default());
        let memory = machine::memory();
        let limits = memory_limits(config, memory)?;
        let budget = Budget::new(limits);
        let auth = Auth::open(config)?;
        let exporters = set_up_exporters(config, &auth, &budget, &counters, &mut summary)?;
        let mut dry_runs = BTreeMap::new();

        let mut pipelines = Vec::new();
        for (id, wiring) in &config.service.pipelines {
            let artifacts = artifacts(config, wiring, &stores, &mut dry_runs)?;
            summary.push((id.to_string(), describe(config, wiring)));
            let destinations = wiring.exporters.iter().filter_map(|id| {
                let form = config.exporters.get(id)?.reference().map(Into::into);
                Some((exporters.get(id).cloned()?, form))
            });
            let destinations = destinations.collect();
            let counters = Arc::clone(&counters);
            let pipeline = Pipeline::new(id.clone(), artifacts, destinations, counters);
            pipelines.push((wiring, Arc::new(pipeline)));
        }
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
            let listener = format!("receivers.{id}.protocols.grpc");
            let tls = server_tls(&listener, grpc.tls.as_ref(), GRPC_ALPN)?;
            let protected = if tls.is_some() { ", TLS" } else { "" };
            let is_plain = tls.is_none();
            let authenticator = auth.of_senders(grpc.auth.as_ref());
            let gate = Gate::new(&listener, authenticator, grpc.include_metadata);
            let grpc = GrpcReceiver::bind(grpc, tls, gate)
                .await
                .map_err(bind_error)?;
            let address = grpc.local_addr().map_err(bind_error)?;
            if is_plain {
                warn_of_plain_text(&listener, address);
            }
            summary.insert(
                receivers.len(),
                (
                    id.to_string(),
                    format!(
                        "listening for OTLP/gRPC on {address}{protected}, requests up to {max} MiB"
                    ),
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
            stores,
            summary,
        })
    }

    /// What runs, component by component: where it listens, where bytes go, what is moved.
    pub fn summary(&self) -> &[(String, String)] {
        &self.summary
    }
}

/// What protects the connections of `listener`, if its `tls` says so.
fn server_tls(
    listener: &str,
    config: Option<&TlsServerConfig>,
    alpn: &[&str],
) -> Result<Option<ServerTls>, StartError> {
    let tls = config.map(|config| ServerTls::new(listener, config, alpn));
    tls.transpose().map_err(|reason| StartError::Tls {
        listener: listener.to_owned(),
        reason,
    })
}

/// Tells who may read along.
fn warn_of_plain_text(listener: &str, address: SocketAddr) {
    if !address.ip().to_canonical().is_loopback() {
        tracing::warn!(
            "{listener}: {address} can be reached from other machines, and without tls anybody on the \
             way reads and changes what is sent: add {listener}.tls, or listen on 127.0.0.1"
        );
    }
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
