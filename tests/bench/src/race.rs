//! Two ways to do the same, timed in turns.

use std::time::{Duration, Instant};

/// Rounds that count; one more before them warms up.
const ROUNDS: usize = 21;

/// How long each way runs in a round, about.
const TURN: Duration = Duration::from_millis(40);

/// By how much a ratio may miss its target for the noise of a shared machine.
const NOISE: f64 = 0.05;

/// Times `ours` against `theirs` and prints both and the ratio; returns whether ours is at least
/// `target` times as fast.
///
/// They take turns, so that a slow moment of the machine hits both, and the median of the rounds'
/// ratios is what counts.
pub fn race<A, B>(
    what: &str,
    target: f64,
    mut ours: impl FnMut() -> A,
    mut theirs: impl FnMut() -> B,
) -> bool {
    let ours_runs = runs(turn(&mut ours, 1));
    let theirs_runs = runs(turn(&mut theirs, 1));
    let mut round = || {
        let ours = turn(&mut ours, ours_runs).as_secs_f64();
        (ours, turn(&mut theirs, theirs_runs).as_secs_f64())
    };
    round();
    let rounds: Vec<_> = (0..ROUNDS).map(|_| round()).collect();
    let ours = median(rounds.iter().map(|(ours, _)| *ours));
    let theirs = median(rounds.iter().map(|(_, theirs)| *theirs));
    let ratio = median(rounds.iter().map(|(ours, theirs)| theirs / ours));
    let passed = ratio >= target * (1.0 - NOISE);
    // Close enough not to fail on a noisy machine is not the same as there.
    let word = if passed && ratio < target {
        "NEAR"
    } else {
        verdict(passed)
    };
    println!(
        "{word} {what}: {} against {}, {ratio:.2}x (target {target:.2}x)",
        milliseconds(ours),
        milliseconds(theirs),
    );
    passed
}

/// Prints what `run` costs for each of `spans` in a request of `bytes`, where nothing disturbs it.
pub fn rate<T>(what: &str, spans: u32, bytes: usize, mut run: impl FnMut() -> T) {
    let best = (0..ROUNDS * 20).map(|_| turn(&mut run, 1)).min();
    let best = best.unwrap_or_default();
    println!(
        "     {what}: {} ns a span, {:.1} GB/s",
        best.as_nanos() / u128::from(spans),
        bytes as f64 / best.as_secs_f64() / 1e9,
    );
}

/// How a line of output starts.
pub fn verdict(passed: bool) -> &'static str {
    if passed { "PASS" } else { "MISS" }
}

/// How long one run takes, over `runs` of them.
fn turn<T>(run: &mut impl FnMut() -> T, runs: u32) -> Duration {
    let start = Instant::now();
    for _ in 0..runs {
        std::hint::black_box(run());
    }
    start.elapsed() / runs
}

/// How many runs fill a turn.
fn runs(one: Duration) -> u32 {
    (TURN.as_nanos() / one.as_nanos().max(1)).clamp(1, 1_000_000) as u32
}

fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or_default()
}

fn milliseconds(seconds: f64) -> String {
    format!("{:.3} ms", seconds * 1e3)
}
