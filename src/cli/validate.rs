//! `slimspan validate --config FILE`

use std::process::ExitCode;

use slimspan_artifact::Location;

use super::{ConfigFile, USAGE, complain, say};
use crate::config::ProcessorConfig;
use crate::storage::Store;
use crate::tenant::TenantId;

pub(super) fn validate(file: &ConfigFile) -> ExitCode {
    let config = match file.load() {
        Ok(config) => config,
        Err(exit_code) => return exit_code,
    };
    let path = file.config.display();
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
