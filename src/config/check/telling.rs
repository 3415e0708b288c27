//! Who listens, and what slimspan tells of itself.

use super::{Check, protocol_path};
use crate::config::components::{Component as _, ExtensionConfig, ReceiverConfig};
use crate::config::path::KeyPath;
use crate::config::socket::{InvalidSocket, Socket};
use crate::exporters::otlp_grpc::Endpoint;
use crate::exporters::otlp_http::HttpUrl;
use crate::receivers::otlp::config::Protocols;
use crate::telemetry::config::MetricsConfig;
use crate::telemetry::otlp::{OtlpBackend, Protocol};
use crate::telemetry::traces::config::TracesConfig;
use crate::tls::config::TlsServerConfig;

impl Check<'_> {
    pub(super) fn listeners_do_not_collide(&mut self) {
        let mut listeners: Vec<(Socket, String)> = Vec::new();
        for (socket, path, owner) in self.listeners() {
            let socket = match socket {
                Ok(socket) => socket,
                Err(error) => {
                    self.report(path, error.to_string());
                    continue;
                }
            };
            let mut others = listeners.iter().rev();
            if let Some((_, other)) = others.find(|(other, _)| other.collides_with(&socket)) {
                self.report(path, format!("{socket} is already the endpoint of {other}"));
            }
            listeners.push((socket, owner));
        }
    }

    /// Every endpoint that something listens on, its key, and whose it is.
    fn listeners(&self) -> Vec<(Result<Socket, InvalidSocket>, KeyPath, String)> {
        let config = self.config;
        let mut listeners = Vec::new();
        let mut add = |socket: Result<Socket, InvalidSocket>, path: KeyPath| {
            let owner = path.to_string();
            listeners.push((socket, path.key("endpoint"), owner));
        };
        for (id, ReceiverConfig::Otlp(receiver)) in &config.receivers {
            let Protocols { grpc, http } = &receiver.protocols;
            if let Some(grpc) = grpc {
                add(grpc.socket(), protocol_path(id, "grpc"));
            }
            if let Some(http) = http {
                add(http.socket(), protocol_path(id, "http"));
            }
        }
        for (id, extension) in config.started_extensions() {
            if let ExtensionConfig::ArtifactServer(server) = extension {
                let path = KeyPath::of([ExtensionConfig::SECTION]).key(id);
                add(Ok(server.endpoint.clone().into()), path.clone());
                add(Ok(server.pages.endpoint.clone().into()), path.key("pages"));
                continue;
            }
            let path = KeyPath::of([ExtensionConfig::SECTION]).key(id);
            for health in extension.health() {
                add(
                    Ok(health.endpoint.clone().into()),
                    under(path.clone(), health.section),
                );
            }
            if let ExtensionConfig::Zpages(zpages) = extension {
                add(Ok(zpages.endpoint.clone().into()), path);
            }
        }
        for (reader, endpoint) in config.service.telemetry.metrics.endpoints() {
            let metrics = KeyPath::of(["service", "telemetry", "metrics"]);
            let owner = metrics.to_string();
            let path = match reader {
                Some(index) => metrics.key("readers").index(index),
                None => metrics.key("address"),
            };
            listeners.push((Ok(endpoint.into()), path, owner));
        }
        listeners
    }

    pub(super) fn telemetry(&mut self) {
        let telemetry = &self.config.service.telemetry;
        let path = KeyPath::of(["service", "telemetry"]);
        self.own_metrics(&path.key("metrics"), &telemetry.metrics);
        if let Some((key, message)) = telemetry.logs.mistake() {
            self.report(path.key("logs").key(key), message);
        }
        self.own_spans(&path.key("traces"), &telemetry.traces);
        if let Some(message) = telemetry.resource.mistake() {
            self.report(path.key("resource"), message);
        }
        for (id, extension) in &self.config.extensions {
            let path = KeyPath::of([ExtensionConfig::SECTION]).key(id);
            for health in extension.health() {
                if let Some((key, message)) = health.tls.and_then(TlsServerConfig::mistake) {
                    let path = under(path.clone(), health.section);
                    self.report(path.key("tls").key(key), message);
                }
            }
            if let ExtensionConfig::Zpages(zpages) = extension
                && let Some((key, message)) = zpages.tls.as_ref().and_then(TlsServerConfig::mistake)
            {
                self.report(path.key("tls").key(key), message);
            }
            let of_key = |(key, message)| (vec![key], message);
            let mistake = match extension {
                ExtensionConfig::HealthCheck(health_check) => health_check.mistake().map(of_key),
                ExtensionConfig::HealthCheckV2(health_check) => health_check.mistake(),
                ExtensionConfig::Zpages(zpages) => zpages.mistake().map(of_key),
                _ => None,
            };
            if let Some((keys, message)) = mistake {
                let path = keys.into_iter().fold(path, |path, key| path.key(key));
                self.report(path, message);
            }
        }
    }

    fn own_metrics(&mut self, path: &KeyPath, metrics: &MetricsConfig) {
        if let Some((key, message)) = metrics.mistake() {
            self.report(path.key(key), message);
        }
        for (index, reader) in metrics.readers.iter().flatten().enumerate() {
            let path = path.key("readers").index(index);
            if let Some((keys, message)) = reader.mistake() {
                let path = keys.iter().fold(path.clone(), |path, key| path.key(key));
                self.report(path, message);
            }
            if let Some(periodic) = &reader.periodic {
                let path = path.key("periodic").key("exporter").key("otlp");
                self.own_backend(&path, &periodic.exporter.otlp);
            }
        }
    }

    fn own_spans(&mut self, path: &KeyPath, traces: &TracesConfig) {
        if let Some((keys, message)) = traces.mistake() {
            let path = keys.iter().fold(path.clone(), |path, key| {
                key.parse()
                    .map_or_else(|_| path.key(key), |index: usize| path.index(index))
            });
            self.report(path, message);
        }
        for (index, processor) in traces.processors.iter().enumerate() {
            let otlp = &processor.batch.exporter.otlp;
            let path = path.key("processors").index(index).key("batch");
            let path = path.key("exporter").key("otlp");
            self.own_backend(&path, otlp);
        }
    }

    /// Where slimspan sends what it says of itself.
    fn own_backend(&mut self, path: &KeyPath, otlp: &OtlpBackend) {
        let (wrong, has_tls) = match otlp.protocol {
            Protocol::Grpc => match otlp.endpoint.parse::<Endpoint>() {
                Ok(endpoint) => (None, endpoint.tls.unwrap_or(!otlp.insecure)),
                Err(error) => (Some(error.to_string()), true),
            },
            Protocol::Http => match otlp.url().parse::<HttpUrl>() {
                Ok(_) => (None, otlp.url().to_lowercase().starts_with("https")),
                Err(error) => (Some(error.to_string()), true),
            },
        };
        if let Some(wrong) = wrong {
            self.report(path.key("endpoint"), wrong);
        }
        if !has_tls && (otlp.certificate.is_some() || otlp.client_certificate.is_some()) {
            let key = match otlp.certificate {
                Some(_) => "certificate",
                None => "client_certificate",
            };
            let message = "has no effect without TLS: use https://, or remove it";
            self.report(path.key(key), message);
        }
    }
}

/// The path of a section, if there is one.
fn under(path: KeyPath, section: Option<&str>) -> KeyPath {
    match section {
        Some(section) => path.key(section),
        None => path,
    }
}
