//! The `artifact` processor of a configuration that a subcommand works like.

use anyhow::{Context as _, bail};

use crate::config::{ArtifactConfig, ComponentId, Config, ExtensionConfig, ProcessorConfig};
use crate::storage::config::StoreConfig;

/// The processor with this id; without an id, the only one that there is.
pub(super) fn artifact_processor<'c>(
    config: &'c Config,
    id: Option<&ComponentId>,
) -> anyhow::Result<&'c ArtifactConfig> {
    let processors = config.processors.iter();
    let all: Vec<(&ComponentId, &ArtifactConfig)> = processors
        .filter_map(|(id, processor)| match processor {
            ProcessorConfig::Artifact(artifact) => Some((id, artifact.as_ref())),
            ProcessorConfig::MemoryLimiter(_) | ProcessorConfig::Batch(_) => None,
        })
        .collect();
    let names: Vec<String> = all.iter().map(|(id, _)| id.to_string()).collect();
    let names = names.join(", ");
    match (all.as_slice(), id) {
        ([], _) => bail!("the configuration has no artifact processor"),
        (_, Some(id)) => {
            let found = all.iter().find(|(known, _)| *known == id);
            let (_, artifact) = found.with_context(|| {
                format!("the configuration has no artifact processor {id}; it has {names}")
            })?;
            Ok(artifact)
        }
        ([(_, artifact)], None) => Ok(artifact),
        (_, None) => bail!(
            "the configuration has several artifact processors: say which with --processor; \
             there are {names}"
        ),
    }
}

/// The store that the processor keeps its artifacts in.
pub(super) fn store_config<'c>(
    config: &'c Config,
    artifact: &ArtifactConfig,
) -> anyhow::Result<&'c StoreConfig> {
    match config.extensions.get(&artifact.store) {
        Some(ExtensionConfig::ArtifactStore(store)) => Ok(store),
        _ => bail!("extensions.{} is not configured", artifact.store),
    }
}
