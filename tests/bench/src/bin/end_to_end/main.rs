//! What the whole collector costs, a process of its own between a sender and a backend on
//! loopback, against a bare forwarding proxy: the same program without the artifact processor.
//!
//! Fails where a target is clearly missed. Build the collector first:
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
use crate::turn::{Contender, Turn};

/// The allocator of the collector, so that sender and backend cost as little as they can.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// The least requests per second on ordinary spans, as a part of what bare forwarding reaches.
const TARGET: f64 = 0.85;

/// The most CPU time on repeated images, as a part of that on new ones.
const REPEATED: f64 = 0.6;

/// The most CPU time on new images, as a part of that where none is remembered.
const REMEMBERED: f64 = 1.15;

/// By how much requests per second may miss their target for the noise of a shared machine. CPU time has little.
const NOISE: f64 = 0.05;

/// How long one entry of a round works before the next has its turn, and how often a second that
/// is.
const STRETCH: Duration = Duration::from_millis(250);
const STRETCHES: u32 = 4;

/// Races slimspan against bare forwarding, in turns.
#[derive(Debug, Parser)]
struct Arguments {
    /// The slimspan to measure; the one beside this program unless given.
    #[arg(long)]
    slimspan: Option<PathBuf>,
    /// Another build of slimspan, to take turns with the first.
    #[arg(long)]
    other: Option<PathBuf>,
    /// Rounds, each with fresh collectors; the median of the rounds counts.
    #[arg(long, default_value_t = 5)]
    rounds: usize,
    /// How long each collector works in a round, in seconds.
    #[arg(long, default_value_t = 2)]
    seconds: u32,
    /// Only the rows whose load or setup has this in its name; more than one may be given.
    #[arg(long)]
    only: Vec<String>,
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
        .filter(|setup| {
            let (name, only) = (setup.to_string(), &arguments.only);
            only.is_empty() || only.iter().any(|part| name.contains(part))
        })
        .flat_map(|setup| (0..programs.len()).map(move |program| (program, setup)))
        .collect();
    let stretches = arguments.seconds.saturating_mul(STRETCHES);

    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let mut turns: Vec<Vec<Turn>> = entries.iter().map(|_| Vec::new()).collect();
    for _ in 0..arguments.rounds {
        let round = runtime.block_on(round(&programs, &entries, stretches))?;
        for (turns, turn) in turns.iter_mut().zip(round) {
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
    let mut all_passed = true;
    for (what, ratio, target, is_least) in [
        (
            "ordinary spans, of the requests per second of bare forwarding",
            report::ordinary_throughput(&rows),
            TARGET,
            true,
        ),
        (
            "repeated images, of the CPU of new ones",
            report::repeated_images(&rows),
            REPEATED,
            false,
        ),
        (
            "new images, of the CPU where none is remembered",
            report::remembered_images(&rows),
            REMEMBERED,
            false,
        ),
    ] {
        let Some(ratio) = ratio else { continue };
        let (margin, noise) = if is_least {
            (ratio - target, NOISE)
        } else {
            (target - ratio, 0.0)
        };
        let verdict = match margin {
            0.0.. => "PASS",
            // Within the noise of the machine, and not there.
            _ if margin >= -noise => "NEAR",
            _ => "MISS",
        };
        all_passed &= margin >= -noise;
        let word = if is_least { "least" } else { "most" };
        println!("{verdict} {ratio:.2} {what} (at {word} {target})");
    }
    // Nothing is promised of it: until a value came twice nobody knows that it is worth to be remembered.
    if let Some(ratio) = report::images_again(&rows) {
        println!("     {ratio:.2} images that come for the second time, of the CPU of new ones");
    }
    Ok(ExitCode::from(u8::from(!all_passed)))
}

/// A turn of each entry. The turns are cut into stretches and interleaved, so that a slow moment
/// of the machine hits them all.
async fn round(
    programs: &[PathBuf],
    entries: &[(usize, &Setup)],
    stretches: u32,
) -> anyhow::Result<Vec<Turn>> {
    let mut contenders = Vec::new();
    for (program, setup) in entries {
        let program = programs.get(*program).context("there is no such program")?;
        let contender = Contender::start(program, setup)
            .await
            .with_context(|| format!("{} with {setup}", program.display()))?;
        contenders.push(contender);
    }
    for _ in 0..stretches {
        for contender in &mut contenders {
            contender.work(STRETCH).await?;
        }
    }
    contenders.into_iter().map(Contender::finish).collect()
}
