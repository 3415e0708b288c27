//! What must hold between the parts of a configuration.

mod auth;
mod connectors;
mod context;
mod limits;
mod servers;
mod signals;
mod telling;
mod unlisted;

use std::collections::BTreeMap;

use slimspan_proto::Signal;

use super::Config;
use super::artifact::RuleConfig;
use super::components::{
    Component, ExporterConfig, ExtensionConfig, ProcessorConfig, ReceiverConfig,
};
use super::id::{ComponentId, PipelineId};
use super::nearest::known_are;
use super::path::KeyPath;
use super::problem::Problem;
use super::service::PipelineConfig;
use super::tenant::TenantConfig;
use crate::exporters::otlp_http::config::OtlpHttpConfig;
use crate::receivers::otlp::config::Protocols;

/// Every mistake between the parts of `config`, each of which is fine by itself. `memory` is what the machine has.
pub(super) fn check(config: &Config, memory: fn() -> Option<u64>) -> Vec<Problem> {
    let mut check = Check {
        config,
        memory,
        problems: Vec::new(),
    };
    check.something_runs();
    check.listeners_do_not_collide();
    check.telemetry();
    check.receivers();
    check.extensions();
    for (id, pipeline) in &config.service.pipelines {
        check.pipeline(id, pipeline);
    }
    check.connectors();
    check.exporters();
    check.authenticators();
    check.artifact_servers();
    check.receivers_of_artifacts();
    check.middlewares();
    check.memory_limits();
    check.spools();
    check.retention();
    check.problems
}

struct Check<'c> {
    config: &'c Config,
    memory: fn() -> Option<u64>,
    problems: Vec<Problem>,
}

impl Check<'_> {
    #[expect(
        clippy::needless_pass_by_value,
        reason = "paths are made where they are reported"
    )]
    fn report(&mut self, path: KeyPath, message: impl Into<String>) {
        self.problems.push(Problem::at(&path, message));
    }

    fn something_runs(&mut self) {
        let Config {
            receivers,
            exporters,
            service,
            ..
        } = self.config;
        let needed = [
            (receivers.is_empty(), "receivers", "receiver"),
            (exporters.is_empty(), "exporters", "exporter"),
        ];
        for (missing, section, kind) in needed {
            if missing {
                self.report(
                    KeyPath::of([section]),
                    format!("at least one {kind} must be configured"),
                );
            }
        }
        if service.pipelines.is_empty() {
            self.report(
                KeyPath::of(["service", "pipelines"]),
                "at least one pipeline must be configured",
            );
        }
    }

    fn receivers(&mut self) {
        for (id, ReceiverConfig::Otlp(receiver)) in &self.config.receivers {
            let Protocols { grpc, http } = &receiver.protocols;
            if grpc.is_none() && http.is_none() {
                self.report(
                    KeyPath::of([ReceiverConfig::SECTION])
                        .key(id)
                        .key("protocols"),
                    "names no protocol: add grpc, http or both, or leave protocols out for both",
                );
            }
            if let Some(http) = http
                && let Some((key, message)) = http.mistake()
            {
                self.report(protocol_path(id, "http").key(key), message);
            }
            let grpc = grpc.as_ref().map(|grpc| ("grpc", &grpc.tls));
            let http = http.as_ref().map(|http| ("http", &http.tls));
            for (protocol, tls) in grpc.into_iter().chain(http) {
                if let Some(tls) = tls
                    && let Some((key, message)) = tls.mistake()
                {
                    self.report(protocol_path(id, protocol).key("tls").key(key), message);
                }
            }
        }
    }

    fn extensions(&mut self) {
        let config = self.config;
        let path = KeyPath::of(["service"]);
        self.references(
            &path,
            "extensions",
            &config.service.extensions,
            &config.extensions,
        );
        self.needed_extensions_are_listed();
        for (id, processor) in &config.processors {
            if let ProcessorConfig::Batch(batch) = processor
                && let Some((key, message)) = batch.mistake()
            {
                self.report(
                    KeyPath::of([ProcessorConfig::SECTION]).key(id).key(key),
                    message,
                );
            }
            let ProcessorConfig::Artifact(artifact) = processor else {
                continue;
            };
            let path = KeyPath::of([ProcessorConfig::SECTION]).key(id).key("store");
            match config.extensions.get(&artifact.store) {
                Some(ExtensionConfig::ArtifactStore(_)) => {}
                Some(_) => self.report(path, wrong_type(&artifact.store, "an artifact_store")),
                None => {
                    let message = not_configured(
                        ExtensionConfig::KIND,
                        &artifact.store,
                        config.extensions.keys(),
                    );
                    self.report(path, message);
                }
            }
            self.rules(id, &artifact.rules);
            if let Some(message) = artifact.tenant.as_ref().and_then(TenantConfig::mistake) {
                let path = KeyPath::of([ProcessorConfig::SECTION]).key(id);
                self.report(path.key("tenant"), message);
            }
        }
    }

    fn exporters(&mut self) {
        for (id, exporter) in &self.config.exporters {
            let path = KeyPath::of([ExporterConfig::SECTION]).key(id);
            if let ExporterConfig::OtlpHttp(http) = exporter {
                self.otlp_http(id, http);
            }
            let mistake = match exporter {
                ExporterConfig::File(file) => {
                    file.mistake().map(|(key, why)| (key, why.to_owned()))
                }
                ExporterConfig::Debug(debug) => debug.mistake(),
                ExporterConfig::OtlpGrpc(_) | ExporterConfig::OtlpHttp(_) => None,
            };
            if let Some((key, message)) = mistake {
                self.report(path.key(key), message);
            }
            let Some(exporter) = exporter.delivery() else {
                continue;
            };
            if let Some((key, message)) = exporter.retry_on_failure.mistake() {
                self.report(path.key("retry_on_failure").key(key), message);
            }
            if let Some((key, message)) = exporter.tls.mistake() {
                self.report(path.key("tls").key(key), message);
            }
            self.partition(id, exporter.sending_queue);
            let path = path.key("sending_queue");
            if let Some((keys, message)) = exporter.sending_queue.mistake() {
                let path = keys.iter().fold(path.clone(), |path, key| path.key(key));
                self.report(path, message);
            }
            if let Some(storage) = &exporter.sending_queue.storage {
                match self.config.extensions.get(storage) {
                    Some(ExtensionConfig::FileStorage(_)) => {}
                    Some(_) => {
                        self.report(path.key("storage"), wrong_type(storage, "a file_storage"));
                    }
                    None => self.report(
                        path.key("storage"),
                        not_configured(
                            ExtensionConfig::KIND,
                            storage,
                            self.config.extensions.keys(),
                        ),
                    ),
                }
            }
        }
    }

    fn otlp_http(&mut self, id: &ComponentId, http: &OtlpHttpConfig) {
        let path = KeyPath::of([ExporterConfig::SECTION]).key(id);
        if let Some((keys, message)) = http.mistake() {
            let path = keys.iter().fold(path.clone(), |path, key| path.key(key));
            self.report(path, message);
        }
        let config = self.config;
        for signal in Signal::ALL {
            let mut pipelines = config.service.pipelines.iter();
            let sends = |(of, pipeline): (&PipelineId, &PipelineConfig)| {
                of.signal == signal && pipeline.exporters.contains(id)
            };
            if http.url_of(signal).is_none() && pipelines.any(sends) {
                self.report(
                    path.clone(),
                    format!("has neither an endpoint nor a {signal}_endpoint"),
                );
            }
        }
    }

    fn rules(&mut self, id: &ComponentId, rules: &[RuleConfig]) {
        let list = KeyPath::of([ProcessorConfig::SECTION]).key(id).key("rules");
        for (index, rule) in rules.iter().enumerate() {
            let is_last = index + 1 == rules.len();
            if let Some((key, message)) = rule.mistake(is_last) {
                let path = list.index(index);
                let path = key.map_or_else(|| path.clone(), |key| path.key(key));
                self.report(path, message);
            }
        }
    }

    fn pipeline(&mut self, id: &PipelineId, pipeline: &PipelineConfig) {
        let config = self.config;
        let path = KeyPath::of(["service", "pipelines"]).key(id);
        self.references(&path, "receivers", &pipeline.receivers, &config.receivers);
        self.references(
            &path,
            "processors",
            &pipeline.processors,
            &config.processors,
        );
        self.references(&path, "exporters", &pipeline.exporters, &config.exporters);
        self.signals::<ProcessorConfig>(&path, "processors", &pipeline.processors, id.signal);
        self.encodings(id, &pipeline.exporters);
        let needed = [
            (pipeline.receivers.is_empty(), ReceiverConfig::KIND),
            (pipeline.exporters.is_empty(), ExporterConfig::KIND),
        ];
        for (missing, kind) in needed {
            if missing {
                self.report(path.clone(), format!("must have at least one {kind}"));
            }
        }
        self.order_of_processors(&path, pipeline);
        self.context_of_requests(&config.end_to_end(id, pipeline));
    }

    fn order_of_processors(&mut self, path: &KeyPath, pipeline: &PipelineConfig) {
        let mut artifact: Option<&ComponentId> = None;
        let mut batch: Option<&ComponentId> = None;
        let both = |other, id, kind| {
            format!(
                "\"{other}\" and \"{id}\" are both {kind} processors, and a pipeline has at most one"
            )
        };
        for (index, id) in pipeline.processors.iter().enumerate() {
            let message = match self.config.processors.get(id) {
                Some(ProcessorConfig::Artifact(_)) => match (artifact.replace(id), batch) {
                    (Some(other), _) if other != id => both(other, id, "artifact"),
                    (_, Some(batch)) => format!(
                        "\"{batch}\" must come after \"{id}\", so that slim requests are joined and \
                         not large ones"
                    ),
                    _ => continue,
                },
                Some(ProcessorConfig::Batch(_)) => match batch.replace(id) {
                    Some(other) if other != id => both(other, id, "batch"),
                    _ => continue,
                },
                _ => continue,
            };
            self.report_item(path, "processors", index, message);
        }
    }

    /// Each of `ids`, the list at `path.key`, must be configured and stand there once. Connectors stand among
    /// receivers and exporters.
    fn references<C: Component>(
        &mut self,
        path: &KeyPath,
        key: &str,
        ids: &[ComponentId],
        configured: &BTreeMap<ComponentId, C>,
    ) {
        let config = self.config;
        let is_end = [ReceiverConfig::SECTION, ExporterConfig::SECTION].contains(&C::SECTION);
        let connectors = is_end.then_some(&config.connectors).into_iter().flatten();
        let connectors: Vec<_> = connectors.map(|(id, _)| id).collect();
        for (index, id) in ids.iter().enumerate() {
            if !configured.contains_key(id) && !connectors.contains(&id) {
                // The path of a reference reads as it does in the Collector.
                let shown = if C::SECTION == ExtensionConfig::SECTION {
                    path.key(key)
                } else {
                    path.clone()
                };
                self.problems.push(Problem {
                    culprit: path.key(key).index(index),
                    path: shown.with_colons(),
                    message: not_configured(
                        C::KIND,
                        id,
                        configured.keys().chain(connectors.iter().copied()),
                    ),
                });
            }
            if ids.iter().take(index).any(|earlier| earlier == id) {
                self.report_item(path, key, index, format!("\"{id}\" is listed twice"));
            }
        }
    }

    /// Reports an item of the list at `path.key`.
    fn report_item(&mut self, path: &KeyPath, key: &str, index: usize, message: String) {
        let list = path.key(key);
        self.problems.push(Problem {
            culprit: list.index(index),
            path: list.to_string(),
            message,
        });
    }
}

fn wrong_type(id: &ComponentId, wanted: &str) -> String {
    format!("references extension \"{id}\" which is not {wanted}")
}

fn not_configured<'c>(
    kind: &str,
    id: &ComponentId,
    configured: impl Iterator<Item = &'c ComponentId>,
) -> String {
    let known = known_are(&id.to_string(), "configured", configured);
    format!("references {kind} \"{id}\" which is not configured{known}")
}

fn protocol_path(receiver: &ComponentId, protocol: &str) -> KeyPath {
    KeyPath::of([ReceiverConfig::SECTION])
        .key(receiver)
        .key("protocols")
        .key(protocol)
}
