//! `slimspan print-config --config FILE`

use std::process::ExitCode;

use anyhow::Context as _;
use clap::{ArgAction, Args, ValueEnum};
use serde::Serialize;

use super::{ConfigFile, say};
use crate::config::Config;

/// Print the configuration that holds: all sources merged, everything replaced, defaults filled in
#[derive(Debug, Args)]
#[command(visible_alias = "print-initial-config")]
pub(super) struct PrintConfig {
    #[command(flatten)]
    file: ConfigFile,
    /// Whether secrets are printed
    #[arg(long, value_enum, default_value_t)]
    mode: Mode,
    /// How it is printed
    #[arg(long, value_enum, default_value_t)]
    format: Format,
    /// Whether its parts have to fit together
    #[arg(
        long,
        value_name = "BOOL",
        default_value_t = true,
        default_missing_value = "true",
        num_args = 0..=1,
        require_equals = true,
        action = ArgAction::Set
    )]
    validate: bool,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
enum Mode {
    /// Secrets as [REDACTED]
    #[default]
    Redacted,
    /// Secrets as they are
    Unredacted,
}

#[derive(Debug, Clone, Copy, Default, ValueEnum)]
enum Format {
    #[default]
    Yaml,
    Json,
}

pub(super) fn print_config(print: &PrintConfig) -> anyhow::Result<ExitCode> {
    let read = if print.validate {
        print.file.load()
    } else {
        print.file.load_unchecked()
    };
    let config = match read {
        Ok(config) => config,
        Err(exit_code) => return Ok(exit_code),
    };
    let write = || match print.format {
        Format::Yaml => yaml(&config.printed()),
        Format::Json => {
            let json =
                serde_json::to_string_pretty(&config.printed()).context("cannot write JSON")?;
            say(format_args!("{json}\n"));
            Ok(ExitCode::SUCCESS)
        }
    };
    match print.mode {
        Mode::Redacted => write(),
        Mode::Unredacted => Config::exposed(write),
    }
}

/// Prints anything as YAML.
pub(super) fn yaml(value: &impl Serialize) -> anyhow::Result<ExitCode> {
    say(serde_saphyr::to_string(value).context("cannot write YAML")?);
    Ok(ExitCode::SUCCESS)
}
