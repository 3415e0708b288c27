//! What answers questions about a collector: extensions, and what Prometheus reads.

use std::io;
use std::sync::Arc;

use tokio::task::JoinSet;

use super::error::StartError;
use super::plain_text::{Told, warn_of_plain_text};
use crate::config::{ComponentId, Config, ExtensionConfig, HostPort, PipelineId, ProcessorConfig};
use crate::extensions::health_check::{Health, Part, Parts, Served, Status, Telling};
use crate::extensions::hosts::Hosts;
use crate::extensions::listener::Listener;
use crate::extensions::zpages::{About, Wiring, Zpages};
use crate::extensions::{health_check, prometheus};
use crate::listeners::{Listeners, Wanted};
use crate::telemetry::Counters;
use crate::tls::ServerTls;
use crate::tls::config::TlsServerConfig;

/// Where metrics are read.
const METRICS: &str = "service.telemetry.metrics";

/// What is spoken where there are pages.
const PAGES: &[&str] = &["http/1.1"];

/// The listeners that run. They end when this is dropped.
#[derive(Debug, Default)]
pub(super) struct Extensions {
    tasks: JoinSet<()>,
    summary: Vec<(String, String)>,
    zpages: Vec<Zpages>,
}

impl Extensions {
    /// Starts what is configured, in that order.
    pub(super) async fn start(
        config: &Config,
        counters: &Arc<Counters>,
        listeners: &mut Listeners,
    ) -> Result<Self, StartError> {
        let mut extensions = Self::default();
        for id in &config.service.extensions {
            let configured = config.extensions.get(id);
            for health in configured.map(ExtensionConfig::health).unwrap_or_default() {
                extensions
                    .start_health(id, &health, config, counters, listeners)
                    .await?;
            }
            if let Some(ExtensionConfig::Zpages(of_zpages)) = configured {
                let zpages = Zpages::new(of_zpages, about(config), counters);
                let bound = listen(listeners, extension(id), &of_zpages.endpoint).await;
                let listener = bound.map_err(not_bound(id, &of_zpages.endpoint))?;
                let address = listener.address();
                let scheme = if of_zpages.tls.is_some() {
                    "https"
                } else {
                    warn_of_plain_text(&extension(id), address, Told::Pages);
                    "http"
                };
                let listener =
                    listener.protected(protection(extension(id), of_zpages.tls.as_ref(), PAGES)?);
                let what = format!("shows what passes at {scheme}://{address}/");
                extensions.tasks.spawn(zpages.clone().remember());
                extensions.serve(id.to_string(), what, listener, zpages.pages());
                extensions.zpages.push(zpages);
            }
        }
        extensions
            .start_readers(config, counters, listeners)
            .await?;
        Ok(extensions)
    }

    async fn start_health(
        &mut self,
        id: &ComponentId,
        health: &Served<'_>,
        config: &Config,
        counters: &Arc<Counters>,
        listeners: &mut Listeners,
    ) -> Result<(), StartError> {
        let bound = listen(listeners, place(id, health), &health.endpoint).await;
        let listener = bound.map_err(not_bound(id, &health.endpoint))?;
        let listener = listener.protected(health_tls(id, health)?);
        let scheme = if health.tls.is_some() {
            "https"
        } else {
            "http"
        };
        let address = listener.address();
        if health.telling == Telling::Grpc {
            let pipelines = config.service.pipelines.keys().map(ToString::to_string);
            let health = Health::new(Arc::clone(counters), pipelines);
            let what = format!("says at {scheme}://{address}/ whether it runs, over gRPC");
            self.summary.push((id.to_string(), what));
            self.tasks.spawn(health.serve(listener));
            return Ok(());
        }
        let status = Arc::new(Status::new(parts(config), health.recovery));
        if health.recovery.is_some() {
            self.tasks
                .spawn(Arc::clone(&status).watch(Arc::clone(counters)));
        }
        let pages = health_check::pages(health, counters, &status);
        let pages = Hosts::guard(pages, address, &health.endpoint.host);
        let what = match &health.path {
            Some(path) => format!(
                "says at {scheme}://{address}{path} whether it runs, and at /ready whether all is well"
            ),
            None => format!("says at {scheme}://{address}/ready whether all is well"),
        };
        self.serve(id.to_string(), what, listener, pages);
        Ok(())
    }

    async fn start_readers(
        &mut self,
        config: &Config,
        counters: &Arc<Counters>,
        listeners: &mut Listeners,
    ) -> Result<(), StartError> {
        let telemetry = &config.service.telemetry;
        for (reader, endpoint) in telemetry.metrics.endpoints() {
            let listener = listen(listeners, METRICS.to_owned(), &endpoint).await;
            if let Err(reason) = &listener
                && telemetry.metrics.is_default_endpoint()
            {
                // Nobody asked for it, and a Collector on this machine may have been the first.
                tracing::warn!(
                    "telemetry: metrics cannot be read, for slimspan cannot listen on {endpoint}: \
                     {reason}; give another port in service.telemetry.metrics.readers, or level: none"
                );
                continue;
            }
            let listener = listener.map_err(|reason| StartError::Metrics {
                key: match reader {
                    Some(index) => format!("readers[{index}]"),
                    None => "address".to_owned(),
                },
                endpoint: endpoint.clone(),
                reason,
            })?;
            let address = listener.address();
            warn_of_plain_text(METRICS, address, Told::Metrics);
            let what = format!("metrics for Prometheus at http://{address}/metrics");
            let selection = telemetry.metrics.selection();
            let naming = telemetry.metrics.naming(reader);
            let resource = telemetry.resource.clone();
            let pages = prometheus::pages(Arc::clone(counters), selection, naming, resource);
            let pages = Hosts::guard(pages, listener.address(), &endpoint.host);
            self.serve("telemetry".to_owned(), what, listener, pages);
        }
        Ok(())
    }

    fn serve(&mut self, name: String, what: String, listener: Listener, pages: axum::Router) {
        self.summary.push((name, what));
        self.tasks.spawn(listener.serve(pages));
    }

    /// Says where they are.
    pub(super) fn describe(&self, summary: &mut Vec<(String, String)>) {
        summary.extend(self.summary.iter().cloned());
    }

    /// Tells what runs to those who show it.
    pub(super) fn tell(&mut self, summary: &[(String, String)]) {
        for zpages in &self.zpages {
            zpages.tell(summary);
        }
    }
}

/// What protects connections of who asks whether all is well.
fn health_tls(id: &ComponentId, health: &Served<'_>) -> Result<Option<ServerTls>, StartError> {
    let alpn = match health.telling {
        Telling::Grpc => health_check::ALPN,
        Telling::Available(_) | Telling::Status => PAGES,
    };
    protection(place(id, health), health.tls, alpn)
}

/// What protects connections of who asks what listens at this path of the configuration, if its `tls` says so.
fn protection(
    path: String,
    tls: Option<&TlsServerConfig>,
    alpn: &[&str],
) -> Result<Option<ServerTls>, StartError> {
    let tls = tls.map(|tls| ServerTls::new(path.clone(), tls, alpn));
    tls.transpose().map_err(|reason| StartError::Tls {
        listener: path,
        reason,
    })
}

/// Finds out what would keep connections from being protected.
pub(super) fn try_out(config: &Config) -> Result<(), StartError> {
    for (id, configured) in config.started_extensions() {
        for health in configured.health() {
            health_tls(id, &health)?;
        }
        if let ExtensionConfig::Zpages(zpages) = configured {
            protection(extension(id), zpages.tls.as_ref(), PAGES)?;
        }
    }
    Ok(())
}

/// What listens on these addresses, as far as extensions do.
pub(super) fn wanted(config: &Config) -> Vec<Wanted> {
    let extensions = config.service.extensions.iter().flat_map(|id| {
        let places = match config.extensions.get(id) {
            Some(ExtensionConfig::Zpages(zpages)) => {
                vec![(extension(id), zpages.endpoint.clone())]
            }
            other => {
                let healths = other.map(ExtensionConfig::health).unwrap_or_default();
                let healths = healths.into_iter();
                healths
                    .map(|health| (place(id, &health), health.endpoint))
                    .collect()
            }
        };
        places.into_iter().map(|(owner, endpoint)| Wanted {
            owner,
            socket: endpoint.into(),
            is_dispensable: false,
        })
    });
    let metrics = &config.service.telemetry.metrics;
    let readers = metrics.endpoints().into_iter().map(|(_, endpoint)| Wanted {
        owner: METRICS.to_owned(),
        socket: endpoint.into(),
        is_dispensable: metrics.is_default_endpoint(),
    });
    extensions.chain(readers).collect()
}

fn extension(id: &ComponentId) -> String {
    format!("extensions.{id}")
}

/// The section that has the endpoint.
fn place(id: &ComponentId, health: &Served<'_>) -> String {
    match health.section {
        None => extension(id),
        Some(section) => format!("{}.{section}", extension(id)),
    }
}

async fn listen(
    listeners: &mut Listeners,
    owner: String,
    endpoint: &HostPort,
) -> io::Result<Listener> {
    let wanted = Wanted {
        owner,
        socket: endpoint.clone().into(),
        is_dispensable: false,
    };
    Listener::on(listeners.listen(&wanted).await?.tcp()?)
}

fn not_bound<'a>(
    id: &'a ComponentId,
    endpoint: &'a HostPort,
) -> impl FnOnce(io::Error) -> StartError + 'a {
    |reason| StartError::Listener {
        id: id.clone(),
        endpoint: endpoint.clone(),
        reason,
    }
}

fn about(config: &Config) -> About {
    let names = |ids: &[ComponentId]| ids.iter().map(ToString::to_string).collect();
    let pipelines = config.service.pipelines.iter();
    let pipelines = pipelines.map(|(id, wiring): (&PipelineId, _)| Wiring {
        pipeline: id.to_string(),
        receivers: names(&wiring.receivers),
        processors: names(&wiring.processors),
        exporters: names(&wiring.exporters),
    });
    About {
        pipelines: pipelines.collect(),
        extensions: names(&config.service.extensions),
    }
}

/// What runs, and where troubles of it are told to be.
fn parts(config: &Config) -> Parts {
    let part = |kind: &str, id: &ComponentId, places: Vec<String>| Part {
        name: format!("{kind}:{id}"),
        places,
    };
    let of_store = |id: &ComponentId| {
        let place = extension(id);
        vec![format!("{place}.spool"), place]
    };
    let pipelines = config.service.pipelines.iter().map(|(id, wiring)| {
        let receivers = wiring.receivers.iter();
        let receivers = receivers.map(|id| {
            let kind = if config.connectors.contains_key(id) {
                "connector"
            } else {
                "receiver"
            };
            part(kind, id, Vec::new())
        });
        let processors = wiring.processors.iter().map(|id| {
            let places = match config.processors.get(id) {
                Some(ProcessorConfig::Artifact(artifact)) => of_store(&artifact.store),
                _ => Vec::new(),
            };
            part("processor", id, places)
        });
        let exporters = wiring.exporters.iter().map(|id| {
            if config.connectors.contains_key(id) {
                return part("connector", id, Vec::new());
            }
            let place = format!("exporters.{id}");
            let places = vec![format!("{place}.sending_queue"), place];
            part("exporter", id, places)
        });
        let all: Vec<Part> = receivers.chain(processors).chain(exporters).collect();
        (id.to_string(), all)
    });
    let extensions = config.service.extensions.iter();
    Parts {
        pipelines: pipelines.collect(),
        extensions: extensions
            .map(|id| part("extension", id, of_store(id)))
            .collect(),
    }
}
