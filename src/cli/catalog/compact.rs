use std::process::ExitCode;
use std::time::Duration;

use clap::{Args, Subcommand};
use serde_json::json;

use super::super::{complain, say};
use super::block_on;
use super::opened::OfStore;
use crate::catalog::Compaction;

/// Keep the catalog in order
#[derive(Debug, Args)]
pub(crate) struct CatalogCommand {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Compact(Compact),
}

/// Merge the many small objects of the catalog into few large ones
///
/// It may run at any time, beside everything else. Nothing is missed or read twice meanwhile.
#[derive(Debug, Args)]
struct Compact {
    #[command(flatten)]
    of: OfStore,
    /// Leave alone what is younger, in minutes
    #[arg(long, value_name = "MINUTES", default_value_t = 15)]
    older_than: u64,
    /// A JSON object that says what was done
    #[arg(long)]
    json: bool,
}

pub(crate) fn catalog(catalog: &CatalogCommand) -> anyhow::Result<ExitCode> {
    let Command::Compact(compact) = &catalog.command;
    block_on(async {
        let opened = match compact.of.open().await? {
            Ok(opened) => opened,
            Err(code) => return Ok(code),
        };
        let compaction = Compaction {
            older_than: Duration::from_mins(compact.older_than),
            ..Compaction::default()
        };
        let mut told = 0;
        let compacted = opened.catalog.compact(compaction, |sofar| {
            if sofar.merged >= told + 1_000 {
                told = sofar.merged;
                complain(format_args!("{told} objects are merged"));
            }
        });
        let compacted = compacted.await?;
        if compact.json {
            let told = json!({
                "merged": compacted.merged,
                "written": compacted.written,
                "lines": compacted.lines,
                "entries": compacted.entries,
                "hidden": compacted.hidden,
                "deletions": compacted.deletions,
            });
            say(format_args!("{told:#}\n"));
        } else {
            say(format_args!(
                "{} objects with {} lines became {} with {}\n",
                compacted.merged, compacted.lines, compacted.written, compacted.entries
            ));
            if compacted.hidden > 0 {
                say(format_args!(
                    "{} lines more tell what went with a deleted trace\n",
                    compacted.hidden
                ));
            }
            if compacted.deletions > 0 {
                say(format_args!(
                    "{} objects with deletions were merged\n",
                    compacted.deletions
                ));
            }
        }
        Ok(ExitCode::SUCCESS)
    })
}
