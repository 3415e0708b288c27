//! Artifact servers, and what they serve.

use super::{Check, not_configured, wrong_type};
use crate::config::components::{Component, ExtensionConfig};
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
}
