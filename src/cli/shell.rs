//! `slimspan completions SHELL` and `slimspan man`

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context as _;
use clap::{Args, Command, CommandFactory as _};
use clap_complete::Shell;

use super::Cli;
use super::output::hand_over;

/// Print completions for a shell
///
/// For example: slimspan completions bash > /etc/bash_completion.d/slimspan
#[derive(Debug, Args)]
pub(super) struct Completions {
    /// The shell
    #[arg(value_enum)]
    shell: Shell,
}

/// Print the man page, or write one for each subcommand into a folder
#[derive(Debug, Args)]
pub(super) struct Man {
    /// The folder, such as /usr/local/share/man/man1
    #[arg(long, short, value_name = "DIR")]
    output: Option<PathBuf>,
}

pub(super) fn completions(completions: &Completions) -> anyhow::Result<ExitCode> {
    let mut script = Vec::new();
    clap_complete::generate(
        completions.shell,
        &mut Cli::command(),
        "slimspan",
        &mut script,
    );
    hand_over(&script)?;
    Ok(ExitCode::SUCCESS)
}

pub(super) fn man(man: &Man) -> anyhow::Result<ExitCode> {
    let command = Cli::command();
    match &man.output {
        None => hand_over(&page(command)?)?,
        Some(folder) => {
            std::fs::create_dir_all(folder)
                .and_then(|()| clap_mangen::generate_to(command, folder))
                .with_context(|| format!("cannot write into {}", folder.display()))?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn page(command: Command) -> anyhow::Result<Vec<u8>> {
    let mut page = Vec::new();
    let man = clap_mangen::Man::new(command);
    man.render(&mut page).context("cannot write the page")?;
    Ok(page)
}
