//! A catalog of a million entries: how long its index takes to be there, how soon it answers, and what memory
//! that takes; fails where a target is missed.
//!
//! The entries are written by one process, and measured in another one. Then slimspan itself lists them over HTTP, from
//! no index first, and once more from the one that is there. Its memory is what counts: it has an allocator that gives
//! back what is not used, and asks for no huge pages.
//!
//! `cargo build --release && cargo run --release -p slimspan-bench --bin catalog`
//!
//! What many small objects cost says `--lines-per-object`; targets are for as many lines as there are by default.

mod entries;
mod listing;
mod questions;
mod server;

use std::error::Error;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::time::{Duration, Instant};

use clap::Parser;
use slimspan::catalog::{Catalog, Reach, Synced};
use slimspan::storage::{Store, StoreConfig};

/// The allocator of the collector.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// From nothing but the objects in the bucket to an index that has all of it.
const START: Duration = Duration::from_secs(30);

/// All memory of slimspan at its peak, in MiB.
const MEMORY: u64 = 300;

#[derive(Parser)]
struct Arguments {
    /// How many entries there are
    #[arg(long, default_value_t = 1_000_000)]
    entries: u64,
    /// How many of them an object has; few are what a month leaves that nobody has merged
    #[arg(long, default_value_t = entries::LINES, value_parser = clap::value_parser!(u64).range(1..))]
    lines_per_object: u64,
    /// The slimspan that lists them; the one beside this program unless given
    #[arg(long)]
    slimspan: Option<PathBuf>,
    /// The folder to measure in, which has them already
    #[arg(long, hide = true)]
    measure: Option<PathBuf>,
}

fn main() -> Result<ExitCode, Box<dyn Error>> {
    let arguments = Arguments::parse();
    if let Some(folder) = arguments.measure {
        return measure(&folder, arguments.entries);
    }
    let program = std::env::current_exe()?;
    let slimspan = arguments
        .slimspan
        .unwrap_or_else(|| program.with_file_name("slimspan"));
    let folder = tempfile::tempdir()?;
    let begun = Instant::now();
    let store = folder.path().join("store");
    let bytes = entries::write(&store, arguments.entries, arguments.lines_per_object)?;
    say(format_args!(
        "{} entries in {} MiB of {} objects, written in {:.1} s\n",
        arguments.entries,
        bytes >> 20,
        arguments.entries.div_ceil(arguments.lines_per_object),
        begun.elapsed().as_secs_f64()
    ));
    let status = Command::new(program)
        .args(["--entries", &arguments.entries.to_string(), "--measure"])
        .arg(folder.path())
        .status()?;
    let mut verdicts = Verdicts {
        is_well: status.success(),
    };
    listing::measure(&slimspan, folder.path(), arguments.entries, &mut verdicts)?;
    Ok(verdicts.exit_code())
}

/// Whether all targets are met.
struct Verdicts {
    is_well: bool,
}

impl Verdicts {
    /// Tells a figure, and whether it is what it has to be.
    fn check(&mut self, what: &str, figure: &str, holds: bool) {
        let verdict = if holds { "PASS" } else { "FAIL" };
        say(format_args!("{verdict}  {what:<44} {figure}\n"));
        self.is_well &= holds;
    }

    fn exit_code(&self) -> ExitCode {
        if self.is_well {
            ExitCode::SUCCESS
        } else {
            ExitCode::FAILURE
        }
    }
}

fn measure(folder: &Path, entries: u64) -> Result<ExitCode, Box<dyn Error>> {
    // As many threads as a collector has on a small machine.
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()?;
    let mut verdicts = Verdicts { is_well: true };
    let open = || -> Result<(Catalog, Synced, Duration), Box<dyn Error>> {
        let begun = Instant::now();
        let url = folder.join("store");
        let url = url
            .to_str()
            .ok_or("the folder has a name that is no text")?;
        let store = Store::open(&StoreConfig::new(url))?;
        let (catalog, synced) = runtime.block_on(async {
            let catalog = Catalog::open(&store, &folder.join("index")).await?;
            let synced = catalog.sync(Reach::All).await?;
            Ok::<_, Box<dyn Error>>((catalog, synced))
        })?;
        Ok((catalog, synced, begun.elapsed()))
    };
    let (catalog, synced, start) = open()?;
    if synced.entries as u64 != entries {
        return Err(format!("{} entries of {entries} were read", synced.entries).into());
    }
    let figure = format!("{}, {:.1} s of processors", seconds(start), processors()?);
    verdicts.check(
        "the index is built from the bucket",
        &figure,
        start <= START,
    );
    let size = std::fs::metadata(catalog.index().path())?.len();
    say(format_args!(
        "      the index has {} MiB on disk\n",
        size >> 20
    ));
    for question in questions::all(&catalog, entries, &runtime)? {
        let figure = format!(
            "p50 {:>7.2} ms, p99 {:>7.2} ms",
            millis(question.median),
            millis(question.slowest)
        );
        verdicts.check(&question.what, &figure, question.slowest <= question.limit);
    }
    drop(catalog);
    let (_catalog, synced, again) = open()?;
    if synced.objects > 0 {
        return Err("a start from the index read objects again".into());
    }
    verdicts.check(
        "a start with the index that is there",
        &seconds(again),
        again <= START,
    );
    Ok(verdicts.exit_code())
}

fn seconds(time: Duration) -> String {
    format!("{:.2} s", time.as_secs_f64())
}

fn millis(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}

/// What this process has had of the machine's processors, in seconds: on a busy machine that says more.
fn processors() -> Result<f64, Box<dyn Error>> {
    let stat = std::fs::read_to_string("/proc/self/stat")?;
    let (_, rest) = stat.rsplit_once(')').ok_or("no name in it")?;
    let fields: Vec<&str> = rest.split_whitespace().collect();
    let ticks = |field: usize| fields.get(field).and_then(|of| of.parse::<u64>().ok());
    let (user, system) = ticks(11)
        .zip(ticks(12))
        .ok_or("the kernel does not tell it")?;
    let of_a_second = rustix::param::clock_ticks_per_second();
    Ok((user + system) as f64 / of_a_second as f64)
}

/// The most memory that a process ever had, in MiB, as the kernel counts it.
fn peak(process: u32) -> Result<u64, Box<dyn Error>> {
    let status = std::fs::read_to_string(format!("/proc/{process}/status"))?;
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kib = peak.and_then(|line| line.split_whitespace().next());
    let kib: u64 = kib.ok_or("the kernel does not tell the peak")?.parse()?;
    Ok(kib >> 10)
}

#[expect(
    clippy::print_stdout,
    reason = "a benchmark's output is what it is for"
)]
fn say(text: std::fmt::Arguments<'_>) {
    print!("{text}");
}
