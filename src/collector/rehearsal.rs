//! What would come of a configuration.

use super::auth::Auth;
use super::error::StartError;
use super::memory::memory_limits;
use super::own_metrics::OwnMetrics;
use super::own_spans::OwnSpans;
use super::stores::location;
use super::{exporters, extensions, receivers, servers};
use crate::config::{Config, ExtensionConfig};
use crate::machine;

/// Finds out what would keep `config` from running, as far as that can be known without listening,
/// connecting or writing anything. To be called on a runtime.
pub fn rehearse(config: &Config) -> Result<(), StartError> {
    memory_limits(config, machine::memory())?;
    Auth::open(config)?;
    for (id, store) in config.artifact_stores() {
        location(id, store)?;
    }
    for (id, extension) in config.started_extensions() {
        if let ExtensionConfig::FileStorage(storage) = extension {
            storage.check().map_err(|reason| StartError::Queue {
                id: id.clone(),
                reason,
                in_use: false,
            })?;
        }
    }
    for (id, server) in config.artifact_servers() {
        servers::try_out(id, server)?;
    }
    for (id, receiver) in &config.receivers {
        receivers::try_out(id, receiver)?;
    }
    for (id, exporter) in &config.exporters {
        exporters::try_out(id, exporter)?;
    }
    extensions::try_out(config)?;
    OwnSpans::try_out(config)?;
    OwnMetrics::try_out(config)
}
