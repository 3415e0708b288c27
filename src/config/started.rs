//! The extensions that run: those that `service.extensions` names.

use super::Config;
use super::components::ExtensionConfig;
use super::id::ComponentId;
use crate::server::config::ArtifactServerConfig;
use crate::storage::config::StoreConfig;

impl Config {
    /// Whether an extension is started.
    pub(crate) fn starts(&self, id: &ComponentId) -> bool {
        self.service.extensions.contains(id)
    }

    /// The extensions that are started. The others do nothing.
    pub(crate) fn started_extensions(
        &self,
    ) -> impl Iterator<Item = (&ComponentId, &ExtensionConfig)> {
        let all = self.extensions.iter();
        all.filter(move |(id, _)| self.starts(id))
    }

    /// The artifact stores that are started.
    pub fn artifact_stores(&self) -> impl Iterator<Item = (&ComponentId, &StoreConfig)> {
        self.started_extensions()
            .filter_map(|(id, extension)| match extension {
                ExtensionConfig::ArtifactStore(store) => Some((id, store)),
                _ => None,
            })
    }

    /// The artifact servers that are started.
    pub fn artifact_servers(&self) -> impl Iterator<Item = (&ComponentId, &ArtifactServerConfig)> {
        self.started_extensions()
            .filter_map(|(id, extension)| match extension {
                ExtensionConfig::ArtifactServer(server) => Some((id, server.as_ref())),
                _ => None,
            })
    }
}
