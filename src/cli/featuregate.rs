//! `slimspan featuregate`

use std::process::ExitCode;

use anyhow::bail;
use clap::Args;

use super::say;

/// List feature gates, as the Collector does; there are none here
#[derive(Debug, Args)]
pub(super) struct FeatureGate {
    /// The one to tell of
    id: Option<String>,
}

pub(super) fn featuregate(asked: &FeatureGate) -> anyhow::Result<ExitCode> {
    if let Some(id) = &asked.id {
        bail!("feature \"{id}\" not found: there are no such gates");
    }
    say("ID  Enabled  Stage  Description\n");
    Ok(ExitCode::SUCCESS)
}
