//! The exporters and their queues.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::auth::Auth;
use super::error::StartError;
use super::forgotten::tell_forgotten;
use super::shares::Shares;
use crate::admission::Budget;
use crate::catalog::Recorder;
use crate::config::{ComponentId, Config, ExporterConfig, ExtensionConfig};
use crate::exporters::debug::{DebugError, DebugExporter};
use crate::exporters::file::FileExporter;
use crate::exporters::otlp_grpc::OtlpGrpcExporter;
use crate::exporters::otlp_grpc::config::OtlpGrpcConfig;
use crate::exporters::otlp_http::OtlpHttpExporter;
use crate::exporters::otlp_http::config::OtlpHttpConfig;
use crate::exporters::queue::config::QueueConfig;
use crate::exporters::queue::{OnDisk, Queue};
use crate::exporters::{Delivery, DeliveryConfig, Exporter, Herald, Notice, Way, Wire};
use crate::telemetry::Counters;

/// The exporters that some pipeline uses.
pub(super) fn set_up_exporters(
    config: &Config,
    auth: &Auth,
    (budget, shares): (&Budget, &Shares),
    counters: &Arc<Counters>,
    recorders: &BTreeMap<ComponentId, Recorder>,
    summary: &mut Vec<(String, String)>,
) -> Result<BTreeMap<ComponentId, Arc<Exporter>>, StartError> {
    let mut exporters = BTreeMap::new();
    let herald = herald(recorders);
    for (id, exporter) in &config.exporters {
        let mut wirings = config.service.pipelines.values();
        if !wirings.any(|wiring| wiring.exporters.contains(id)) {
            continue;
        }
        let mut deliver = |wire: Wire, of_exporter: DeliveryConfig<'_>| {
            let authorizer = auth.of_backend(of_exporter.auth);
            let way = Way::new(id.to_string(), wire, authorizer, of_exporter);
            let way = Arc::new(way.counted(counters.exporter(&id.to_string())));
            let queue = of_exporter.sending_queue;
            let budget = budget.within(shares.of_queue(id));
            let queue = open_queue(config, id, queue, &way, (&budget, counters), &herald)?;
            let delivery = Delivery::new(way, queue);
            summary.push((id.to_string(), format!("sends {delivery}")));
            Ok(Exporter::Otlp(Box::new(delivery)))
        };
        let exporter = match exporter {
            ExporterConfig::OtlpGrpc(of) => deliver(over_grpc(id, of)?, of.delivery())?,
            ExporterConfig::OtlpHttp(of) => {
                let http = over_http(id, of)?.charging(budget);
                deliver(http.into(), of.delivery())?
            }
            ExporterConfig::File(file) => {
                let file =
                    FileExporter::open(id.to_string(), file, budget.clone(), Arc::clone(counters));
                let file = file.map_err(|reason| StartError::Exporter {
                    id: id.clone(),
                    reason: reason.into(),
                })?;
                summary.push((id.to_string(), format!("writes {file}")));
                Exporter::File(file.counted(counters.exporter(&id.to_string())))
            }
            ExporterConfig::Debug(debug) => {
                let exporter = DebugExporter::new(debug).map_err(|error| match error {
                    DebugError::Thread(reason) => StartError::Thread(reason),
                    reason @ DebugError::Output { .. } => StartError::Exporter {
                        id: id.clone(),
                        reason: reason.into(),
                    },
                })?;
                let paths = debug.output_paths.join(", ");
                let places = match paths.as_str() {
                    "stdout" => "this terminal",
                    other => other,
                };
                summary.push((id.to_string(), format!("prints to {places}")));
                Exporter::Debug(exporter.counted(counters.exporter(&id.to_string())))
            }
        };
        exporters.insert(id.clone(), Arc::new(exporter));
    }
    tell_forgotten(config, exporters.keys(), summary);
    Ok(exporters)
}

/// Finds out what would keep an exporter from being set up.
pub(super) fn try_out(id: &ComponentId, exporter: &ExporterConfig) -> Result<(), StartError> {
    match exporter {
        ExporterConfig::OtlpGrpc(of) => over_grpc(id, of).map(drop),
        ExporterConfig::OtlpHttp(of) => over_http(id, of).map(drop),
        // Opening a file makes it.
        ExporterConfig::Debug(_) | ExporterConfig::File(_) => Ok(()),
    }
}

fn over_grpc(id: &ComponentId, of: &OtlpGrpcConfig) -> Result<Wire, StartError> {
    let grpc = OtlpGrpcExporter::new(id.to_string(), of);
    grpc.map(Into::into).map_err(|reason| StartError::Exporter {
        id: id.clone(),
        reason: reason.into(),
    })
}

fn over_http(id: &ComponentId, of: &OtlpHttpConfig) -> Result<OtlpHttpExporter, StartError> {
    let http = OtlpHttpExporter::new(id.to_string(), of);
    http.map_err(|reason| StartError::Exporter {
        id: id.clone(),
        reason: reason.into(),
    })
}

/// What tells the catalogs of these stores of requests in queues that an earlier process has left.
fn herald(recorders: &BTreeMap<ComponentId, Recorder>) -> Herald {
    let recorders: Vec<Recorder> = recorders.values().cloned().collect();
    Herald::new(move |Notice { to, what }| {
        let mut recorders = recorders.iter();
        // A store that keeps no catalog any more, or is not there, wants to hear of nothing.
        let recorder = recorders.find(|recorder| recorder.place() == to).cloned();
        Box::pin(async move {
            if let Some(recorder) = recorder {
                recorder.record_lines(&what).await;
            }
        })
    })
}

/// The queue of the exporter `id`, if it has one.
fn open_queue(
    config: &Config,
    id: &ComponentId,
    queue: &QueueConfig,
    way: &Arc<Way>,
    (budget, counters): (&Budget, &Arc<Counters>),
    herald: &Herald,
) -> Result<Option<Queue>, StartError> {
    if !queue.enabled {
        return Ok(None);
    }
    let storage = queue.storage.as_ref();
    let storage = storage.and_then(|storage| match config.extensions.get(storage) {
        Some(ExtensionConfig::FileStorage(on_disk)) => Some((storage, on_disk)),
        _ => None,
    });
    let failed = |reason: String, in_use| StartError::Queue {
        id: storage.map_or(id, |(storage, _)| storage).clone(),
        reason,
        in_use,
    };
    let on_disk = storage.map(|(_, storage)| (storage.folder_of(id), storage.options()));
    if let Some((_, storage)) = storage {
        let usable = storage.check().and_then(|()| storage.make());
        usable.map_err(|reason| failed(reason, false))?;
    }
    let on_disk = on_disk.as_ref().map(|(folder, options)| OnDisk {
        folder,
        options: *options,
        herald,
    });
    let (way, budget, counters) = (Arc::clone(way), budget.clone(), Arc::clone(counters));
    let queue = Queue::open(way, queue, on_disk, budget, counters);
    queue
        .map(Some)
        .map_err(|error| failed(error.to_string(), error.is_in_use()))
}
