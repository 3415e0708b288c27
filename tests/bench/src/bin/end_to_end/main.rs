//! What the whole collector costs, a process of its own between a sender and a backend on
//! loopback, against a bare forwarding proxy: the same program without the artifact processor.
//!
//! Fails where the target is clearly missed. Build the collector first:
//! `cargo build --release && cargo run --release -p slimspan-bench --bin end_to_end`

#![expect(
    clippy::print_stdout,
    reason = "a benchmark's output is what it is for"
)]

mod backend;
mod collector;
mod grpc;
mod report;
mod sender;
mod setup;
mod turn;

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context as _;
use clap::Parser;

use crate::setup::{SETUPS, Setup};
use crate::turn::Turn;

/// The allocator of the collector, so that sender and backend cost as little as they can.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// The least requests per second on ordinary spans, as a part of what bare forwarding reaches.
const TARGET: f64 = 0.85;

/// By how much the target may be missed for the noise of a shared machine.
const NOISE: f64 = 0.05;

/// Races slimspan against bare forwarding, in turns.
#[derive(Debug, Parser)]
struct Arguments {
    /// The slimspan to measure; the one beside this program unless given.
    #[arg(long)]
    slimspan: Option<PathBuf>,
    /// Another build of slimspan, to take turns with the first.
    #[arg(long)]
    other: Option<PathBuf>,
    /// Rounds of one turn each; the median counts.
    #[arg(long, default_value_t = 5)]
    rounds: usize,
    /// How long each turn is, in seconds.
    #[arg(long, default_value_t = 2.0)]
    seconds: f64,
    /// Only the rows whose load or setup has this in its name.
    #[arg(long, default_value = "")]
    only: String,
}

fn main() -> anyhow::Result<ExitCode> {
    let arguments = Arguments::parse();
    let ours = match arguments.slimspan {
        Some(path) => path,
        None => std::env::current_exe()
            .context("cannot tell where this program is")?
            .with_file_name("slimspan"),
    };
    let programs: Vec<PathBuf> = [Some(ours), arguments.other]
        .into_iter()
        .flatten()
        .collect();
    let entries: Vec<(usize, &Setup)> = SETUPS
        .iter()
        .filter(|setup| setup.to_string().contains(&arguments.only))
        .flat_map(|setup| (0..programs.len()).map(move |program| (program, setup)))
        .collect();
    let length = Duration::from_secs_f64(arguments.seconds);

    let mut turns: Vec<Vec<Turn>> = entries.iter().map(|_| Vec::new()).collect();
    for _ in 0..arguments.rounds {
        for ((program, setup), turns) in entries.iter().zip(&mut turns) {
            let program = programs.get(*program).context("there is no such program")?;
            let turn = turn::run(program, setup, length)
                .with_context(|| format!("{} with {setup}", program.display()))?;
            turns.push(turn);
        }
    }

    let rows: Vec<report::Row<'_>> = entries
        .iter()
        .zip(&turns)
        .map(|((program, setup), turns)| report::Row {
            program: *program,
            setup,
            turns,
        })
        .collect();
    println!("{}", report::table(&rows));
    let Some(ratio) = report::ordinary_throughput(&rows) else {
        return Ok(ExitCode::SUCCESS);
    };
    let passed = ratio >= TARGET - NOISE;
    let verdict = if passed { "PASS" } else { "MISS" };
    println!(
        "{verdict} ordinary spans at {ratio:.2} of the requests per second of bare forwarding \
         (target {TARGET})"
    );
    Ok(ExitCode::from(u8::from(!passed)))
}
