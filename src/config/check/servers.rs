//! Artifact servers, and what they serve.

use super::{Check, not_configured, protocol_path, wrong_type};
use crate::config::Socket;
use crate::config::components::{Component, ExtensionConfig, ReceiverConfig};
use crate::config::path::KeyPath;

impl Check<'_> {
    pub(super) fn artifact_servers(&mut self) {
        let config = self.config;
        for (id, server) in config.artifact_servers() {
            let path = KeyPath::of([ExtensionConfig::SECTION]).key(id);
            if let Some((keys, message)) = server.mistake() {
                let path = keys.iter().fold(path.clone(), |path, key| path.key(key));
                self.report(path, message);
            }
            if let Some(tls) = &server.tls
                && let Some((key, message)) = tls.mistake()
            {
                self.report(path.key("tls").key(key), message);
            }
            let store = &server.store;
            match config.extensions.get(store) {
                Some(ExtensionConfig::ArtifactStore(_)) => {}
                Some(_) => self.report(path.key("store"), wrong_type(store, "an artifact_store")),
                None => {
                    let known = config.extensions.keys();
                    let message = not_configured(ExtensionConfig::KIND, store, known);
                    self.report(path.key("store"), message);
                }
            }
        }
    }

    /// Receivers at which artifacts are put, too.
    pub(super) fn receivers_of_artifacts(&mut self) {
        let config = self.config;
        for (receiver, ReceiverConfig::Otlp(otlp)) in &config.receivers {
            let Some(http) = &otlp.protocols.http else {
                continue;
            };
            let Some(id) = &http.artifact_server else {
                continue;
            };
            let message = match config.extensions.get(id) {
                Some(ExtensionConfig::ArtifactServer(server)) => match http.socket() {
                    Ok(Socket::Tcp(endpoint, _)) => server.mistake_at(&endpoint),
                    // What is wrong with an endpoint is told there.
                    Ok(Socket::Unix(_)) | Err(_) => None,
                },
                Some(_) => Some(wrong_type(id, "an artifact_server")),
                None => {
                    let known = config.extensions.keys();
                    Some(not_configured(ExtensionConfig::KIND, id, known))
                }
            };
            if let Some(message) = message {
                let path = protocol_path(receiver, "http").key("artifact_server");
                self.report(path, message);
            }
        }
    }
}
