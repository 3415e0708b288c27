//! Extensions that `service.extensions` does not name. Nothing is wrong with one that nobody needs.

use std::collections::BTreeSet;

use super::Check;
use crate::config::Config;
use crate::config::components::{
    Component as _, ExporterConfig, ExtensionConfig, ProcessorConfig, ReceiverConfig,
};
use crate::config::id::ComponentId;
use crate::config::path::KeyPath;

impl Check<'_> {
    pub(super) fn needed_extensions_are_listed(&mut self) {
        let config = self.config;
        let needed = needed(config);
        for id in config.extensions.keys() {
            if needed.contains(id) && !config.starts(id) {
                self.report(
                    KeyPath::of([ExtensionConfig::SECTION]).key(id),
                    format!("would not be started: add \"{id}\" to service.extensions"),
                );
            }
        }
    }
}

/// The extensions that something refers to which runs.
fn needed(config: &Config) -> BTreeSet<&ComponentId> {
    let mut needed = BTreeSet::new();
    for pipeline in config.service.pipelines.values() {
        for id in &pipeline.receivers {
            if let Some(ReceiverConfig::Otlp(receiver)) = config.receivers.get(id) {
                let auth = receiver.protocols.auth().into_iter();
                needed.extend(auth.filter_map(|(_, auth)| Some(&auth?.authenticator)));
                let before = receiver.protocols.middlewares();
                needed.extend(before.map(|middleware| &middleware.id));
                let http = receiver.protocols.http.as_ref();
                needed.extend(http.and_then(|http| http.artifact_server.as_ref()));
            }
        }
        for id in &pipeline.processors {
            if let Some(ProcessorConfig::Artifact(artifact)) = config.processors.get(id) {
                needed.insert(&artifact.store);
            }
        }
        for id in &pipeline.exporters {
            let exporter = config.exporters.get(id);
            if let Some(delivery) = exporter.and_then(ExporterConfig::delivery) {
                needed.extend(delivery.auth.map(|auth| &auth.authenticator));
                needed.extend(&delivery.sending_queue.storage);
            }
        }
    }
    for id in &config.service.extensions {
        match config.extensions.get(id) {
            Some(ExtensionConfig::ArtifactServer(server)) => {
                needed.insert(&server.store);
                let auth = [&server.auth, &server.deletion.auth].into_iter().flatten();
                needed.extend(auth.map(|auth| &auth.authenticator));
            }
            Some(ExtensionConfig::HeadersSetter(setter)) => {
                needed.extend(&setter.additional_auth);
            }
            _ => {}
        }
    }
    needed
}
