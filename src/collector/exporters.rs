//! The exporters and their queues.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::error::StartError;
use crate::admission::Budget;
use crate::config::{ComponentId, Config, ExporterConfig, ExtensionConfig};
use crate::exporters::debug::DebugExporter;
use crate::exporters::otlp_grpc::OtlpGrpcExporter;
use crate::exporters::queue::config::QueueConfig;
use crate::exporters::queue::{OnDisk, Queue};
use crate::exporters::{Delivery, Exporter, Way};
use crate::telemetry::Counters;

/// The exporters that some pipeline uses.
pub(super) fn set_up_exporters(
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
