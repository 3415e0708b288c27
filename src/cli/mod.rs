//! The command line: one file a subcommand.

mod artifact_processor;
mod catalog;
mod demo;
mod destination;
mod doctor;
mod featuregate;
mod get;
mod inspect;
mod open;
mod otlp_files;
mod output;
mod print_config;
mod progress;
mod put;
mod restore;
mod run;
mod shell;
mod stores;
mod validate;
mod verify;

use std::io::{self, Write as _};
use std::process::ExitCode;

use anyhow::Context as _;
use clap::{Args, Parser, Subcommand};

use self::output::say;
use crate::config::{Config, ConfigErrors, Inventory, Sources, Warning, schema};

/// A configuration that is wrong, as a usage that is wrong.
const USAGE: u8 = 2;

/// Moves images, audio, PDFs and other files out of OpenTelemetry spans and logs into an object
/// store, and sends slim telemetry with references on to any OTLP backend.
#[derive(Debug, Parser)]
#[command(name = "slimspan", version, args_conflicts_with_subcommands = true)]
struct Cli {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    run: Option<ConfigFile>,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Check a configuration without starting anything
    Validate(ConfigFile),
    PrintConfig(print_config::PrintConfig),
    /// List the components that can be configured, and where configurations can come from
    Components,
    Featuregate(featuregate::FeatureGate),
    /// Print the JSON Schema of configurations, for editors
    #[command(visible_alias = "print-schema")]
    Schema,
    /// Send a picture, a PDF and a plain span through a running slimspan and show what became of them
    Demo(demo::Demo),
    Inspect(inspect::Inspect),
    Restore(restore::Restore),
    Get(get::Get),
    Put(put::Put),
    Open(open::Open),
    Verify(verify::Verify),
    Doctor(doctor::Doctor),
    Completions(shell::Completions),
    Man(shell::Man),
    Ls(catalog::List),
    Stat(catalog::Stat),
    Rm(catalog::Remove),
    Gc(catalog::Collect),
    Catalog(catalog::CatalogCommand),
}

/// Where the configuration is.
#[derive(Debug, Args)]
struct ConfigFile {
    /// The configuration: a YAML file, env:NAME or yaml:TEXT; given again, later ones are merged over
    /// earlier ones
    #[arg(long, value_name = "FILE", required = true)]
    config: Vec<String>,
    /// Settings that are merged last, such as exporters.debug.verbosity=detailed
    #[arg(long, value_name = "KEY=VALUE", requires = "config")]
    set: Vec<String>,
    /// The Collector's, so that its arguments can stay as they are; there are no gates here, and each is told to
    /// do nothing
    #[arg(
        long,
        value_name = "GATES",
        requires = "config",
        allow_hyphen_values = true
    )]
    feature_gates: Vec<String>,
}

/// Runs the command line of this process.
pub fn main() -> ExitCode {
    let cli = Cli::parse();
    let outcome = match cli {
        Cli {
            command: Some(Command::Validate(file)),
            ..
        } => Ok(validate::validate(&file)),
        Cli {
            command: Some(Command::PrintConfig(print)),
            ..
        } => print_config::print_config(&print),
        Cli {
            command: Some(Command::Components),
            ..
        } => print_config::yaml(&Inventory::of_this_program()),
        Cli {
            command: Some(Command::Featuregate(asked)),
            ..
        } => featuregate::featuregate(&asked),
        Cli {
            command: Some(Command::Schema),
            ..
        } => {
            say(format_args!("{:#}\n", schema()));
            Ok(ExitCode::SUCCESS)
        }
        Cli {
            command: Some(Command::Demo(demo)),
            ..
        } => demo::demo(&demo),
        Cli {
            command: Some(Command::Inspect(inspect)),
            ..
        } => inspect::inspect(&inspect),
        Cli {
            command: Some(Command::Restore(restore)),
            ..
        } => restore::restore(&restore),
        Cli {
            command: Some(Command::Get(get)),
            ..
        } => get::get(&get),
        Cli {
            command: Some(Command::Put(put)),
            ..
        } => put::put(&put),
        Cli {
            command: Some(Command::Open(open)),
            ..
        } => open::open(&open),
        Cli {
            command: Some(Command::Verify(verify)),
            ..
        } => verify::verify(&verify),
        Cli {
            command: Some(Command::Doctor(doctor)),
            ..
        } => doctor::doctor(&doctor),
        Cli {
            command: Some(Command::Completions(completions)),
            ..
        } => shell::completions(&completions),
        Cli {
            command: Some(Command::Man(man)),
            ..
        } => shell::man(&man),
        Cli {
            command: Some(Command::Ls(list)),
            ..
        } => catalog::ls(&list),
        Cli {
            command: Some(Command::Stat(stat)),
            ..
        } => catalog::stat(&stat),
        Cli {
            command: Some(Command::Rm(remove)),
            ..
        } => catalog::rm(&remove),
        Cli {
            command: Some(Command::Gc(collect)),
            ..
        } => catalog::gc(&collect),
        Cli {
            command: Some(Command::Catalog(of)),
            ..
        } => catalog::catalog(&of),
        Cli {
            run: Some(file), ..
        } => run::run(&file),
        Cli { .. } => {
            complain("say which configuration to run: slimspan --config collector.yaml");
            return ExitCode::from(USAGE);
        }
    };
    output::code(outcome.unwrap_or_else(|error| {
        // Who reads no further has what was asked for.
        if error.is::<output::Unread>() {
            return ExitCode::SUCCESS;
        }
        complain(format_args!("{error:#}"));
        ExitCode::FAILURE
    }))
}

impl ConfigFile {
    fn sources(&self) -> Sources {
        Sources {
            locations: self.config.clone(),
            settings: self.set.clone(),
        }
    }

    /// The configuration; `Err` is the exit code after its mistakes were told.
    fn load(&self) -> Result<Config, ExitCode> {
        self.tell_of_gates();
        told(Config::load(&self.sources(), environment))
    }

    /// The same, whether its parts fit together or not.
    fn load_unchecked(&self) -> Result<Config, ExitCode> {
        self.tell_of_gates();
        told(Config::load_unchecked(&self.sources(), environment))
    }

    fn tell_of_gates(&self) {
        for gates in &self.feature_gates {
            complain(format_args!(
                "warning: --feature-gates {gates}: does nothing here: there are no such gates"
            ));
        }
    }
}

fn environment(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

/// What was read, after everything that is to say about it was said.
fn told(read: Result<(Config, Vec<Warning>), ConfigErrors>) -> Result<Config, ExitCode> {
    match read {
        Ok((config, warnings)) => {
            for warning in warnings {
                complain(format_args!("warning: {warning}"));
            }
            Ok(config)
        }
        Err(errors) => {
            complain(errors);
            Err(ExitCode::from(USAGE))
        }
    }
}

/// What waits for a store.
fn runtime() -> anyhow::Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("cannot start")
}

/// Prints to standard error. Where nobody reads that, there is nobody to tell.
fn complain(message: impl std::fmt::Display) {
    let _ = writeln!(io::stderr().lock(), "{message}");
}
