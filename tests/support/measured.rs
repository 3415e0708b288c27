//! What a run has measured, for the table of docs/reliability.md.

use std::fmt;
use std::io::Write as _;

/// Says what a test has reached. With `SLIMSPAN_MEASURED=FILE` it also becomes a row of that file:
/// promise, test, number to reach, number measured, separated by tabs.
pub(crate) fn measured(promise: &str, test: &str, target: &str, reached: impl fmt::Display) {
    let row = format!("{promise}\t{test}\t{target}\t{reached}");
    eprintln!("measured: {}", row.replace('\t', " | "));
    let Some(path) = std::env::var_os("SLIMSPAN_MEASURED") else {
        return;
    };
    let file = std::fs::OpenOptions::new()
        .create(true)
        .append(true)
        .open(path);
    // One write, so that tests that run side by side do not mix.
    file.unwrap()
        .write_all(format!("{row}\n").as_bytes())
        .unwrap();
}

/// A number that the environment makes larger for a longer run.
pub(crate) fn number(name: &str, everyday: usize) -> usize {
    let given = std::env::var(name).ok();
    given.map_or(everyday, |number| number.parse().unwrap())
}
