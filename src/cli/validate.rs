//! `slimspan validate --config FILE`

use std::process::ExitCode;

use anyhow::Context as _;
use slimspan_artifact::Location;

use super::{ConfigFile, USAGE, complain, say};
use crate::collector;
use crate::config::{Config, ProcessorConfig};
use crate::storage::Store;
use crate::tenant::TenantId;

pub(super) fn validate(file: &ConfigFile) -> ExitCode {
    let config = match file.load() {
        Ok(config) => config,
        Err(exit_code) => return exit_code,
    };
    let path = file.sources().names();
    if let Err(error) = rehearsed(&config) {
        complain(format_args!("{path}: {error:#}"));
        return ExitCode::from(USAGE);
    }
    let pipelines: Vec<String> = config
        .service
        .pipelines
        .keys()
        .map(ToString::to_string)
        .collect();
    let mut lines = vec![format!(
        "{path}: valid; pipelines: {}",
        pipelines.join(", ")
    )];
    for (id, processor) in &config.processors {
        if let ProcessorConfig::Artifact(artifact) = processor {
            lines.push(format!("  {id}: {artifact}"));
        }
    }
    lines.extend(config.presets.iter().map(|set| format!("  {set}")));
    for (id, store) in config.artifact_stores() {
        match Store::location_of(store, &TenantId::default()) {
            Ok(Location::Store(url) | Location::Public(url)) => {
                lines.push(format!("  {id}: references lead to {url}"));
            }
            Err(reason) => {
                complain(format_args!("{path}: extensions.{id}.{reason}"));
                return ExitCode::from(USAGE);
            }
        }
    }
    lines.push(String::new());
    say(lines.join("\n"));
    ExitCode::SUCCESS
}

/// Whether it would start, as far as that can be known without listening, connecting or writing.
fn rehearsed(config: &Config) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("cannot start")?;
    runtime.block_on(async { collector::rehearse(config) })?;
    Ok(())
}
