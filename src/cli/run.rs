//! `slimspan --config FILE`

use std::io::IsTerminal as _;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context as _;

use super::{ConfigFile, environment, say};
use crate::collector;
use crate::config::{Config, Sources};
use crate::terminal::{Page, Piece, Style};
use crate::{panics, shutdown, telemetry};

/// How long threads that still hash or write may hold up the exit.
const THREADS: Duration = Duration::from_millis(200);

pub(super) fn run(file: &ConfigFile) -> anyhow::Result<ExitCode> {
    let config = match file.load() {
        Ok(config) => config,
        Err(exit_code) => return Ok(exit_code),
    };
    telemetry::logs::init(&config.service.telemetry.logs)?;
    panics::tell_without_contents();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .context("cannot start threads")?;
    let sources = file.sources();
    let reload = move || reload(&sources);
    let outcome = runtime.block_on(async {
        let signals = shutdown::on_signals().context("cannot listen for signals")?;
        collector::run(config, signals, reload, |summary| say(banner(summary))).await?;
        anyhow::Ok(ExitCode::SUCCESS)
    });
    runtime.shutdown_timeout(THREADS);
    outcome
}

/// Reads all sources again, and tells the log what is wrong with them.
fn reload(sources: &Sources) -> Option<Config> {
    match Config::load(sources, environment) {
        Ok((config, warnings)) => {
            for warning in warnings {
                tracing::warn!("{warning}");
            }
            Some(config)
        }
        Err(errors) => {
            for error in errors.0 {
                tracing::error!("{error}");
            }
            None
        }
    }
}

fn banner(summary: &[(String, String)]) -> String {
    let style = if std::io::stdout().is_terminal() {
        Style::Ansi
    } else {
        Style::Plain
    };
    let mut page = Page::new(style);
    let version = env!("CARGO_PKG_VERSION");
    page.line(0, [Piece::title(format!("slimspan {version}"))]);
    let widths = summary.iter().map(|(name, _)| name.len());
    let width = widths.max().unwrap_or_default();
    for (name, what) in summary {
        page.line(
            1,
            [
                Piece::label(format!("{name:width$}  ")),
                Piece::text(what.as_str()),
            ],
        );
    }
    page.line(1, [Piece::good("ready")]);
    page.finish()
}
