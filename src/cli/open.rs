//! `slimspan open --config FILE ARTIFACT`

use std::process::{Command, ExitCode, Stdio};

use anyhow::Context as _;
use clap::Args;
use serde_json::json;

use super::stores::StoreArguments;
use super::{complain, say};
use crate::server::Mention;
use crate::tenant::TenantId;

/// Open the page of an artifact in the browser, and print its URL
#[derive(Debug, Args)]
pub(super) struct Open {
    #[command(flatten)]
    store: StoreArguments,
    /// Whose artifact it is, if the reference does not say so
    #[arg(long, value_name = "NAME")]
    tenant: Option<TenantId>,
    /// Only print the URL
    #[arg(long)]
    print: bool,
    /// A JSON object with the URL
    #[arg(long)]
    json: bool,
    /// The sha256 of the artifact, or a reference to it
    #[arg(value_name = "ARTIFACT")]
    artifact: Mention,
}

pub(super) fn open(open: &Open) -> anyhow::Result<ExitCode> {
    let config = match open.store.config.load() {
        Ok(config) => config,
        Err(exit_code) => return Ok(exit_code),
    };
    let (store, _) = open.store.config_in(&config)?;
    let mut servers = config.artifact_servers();
    let server = servers.find(|(_, server)| server.store == *store);
    let (id, server) = server.with_context(|| {
        format!("no artifact_server shows what is in {store}: add one to the configuration")
    })?;
    let pages = server.pages_url().with_context(|| {
        format!("nobody knows where people reach extensions.{id}: give it a pages.public_url")
    })?;
    let address = (open.store).address(&config, &open.artifact, open.tenant.as_ref())?;
    let url = format!("{pages}{address}");
    if open.json {
        let told = json!({
            "sha256": address.digest.to_string(),
            "tenant": address.tenant,
            "url": url,
        });
        say(format_args!("{told:#}\n"));
    } else {
        say(format_args!("{url}\n"));
    }
    if open.print {
        return Ok(ExitCode::SUCCESS);
    }
    let opener = if cfg!(target_os = "macos") {
        "open"
    } else {
        "xdg-open"
    };
    let mut command = Command::new(opener);
    let command = command
        .arg(&url)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    match command.status() {
        Ok(status) if status.success() => Ok(ExitCode::SUCCESS),
        outcome => {
            let why = outcome.map_or_else(|error| error.to_string(), |status| status.to_string());
            complain(format_args!(
                "{opener} opened no browser ({why}): open the URL yourself"
            ));
            Ok(ExitCode::FAILURE)
        }
    }
}
