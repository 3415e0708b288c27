//! What a run has measured, for the table of docs/reliability.md.

use std::fmt;
use std::io::Write as _;
use std::time::Duration;

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

/// Whether each number is held to what is promised, as in the long form: `SLIMSPAN_STRICT=1`. Everyday a
/// machine has other tests to run meanwhile, and what is too slow for that is not wrong.
pub(crate) fn strict() -> bool {
    match std::env::var("SLIMSPAN_STRICT").as_deref() {
        Ok("1") => true,
        Ok("0" | "") | Err(_) => false,
        Ok(other) => panic!("SLIMSPAN_STRICT={other}: 1 or 0"),
    }
}

/// The bound that is promised; everyday a generous one.
pub(crate) fn bound<T>(promised: T, everyday: T) -> T {
    if strict() { promised } else { everyday }
}

/// How many cases that chance makes are tried: a quarter everyday, for each run has others.
pub(crate) fn cases(all: u32) -> u32 {
    bound(all, all / 4)
}

/// A time that the environment makes longer, in seconds.
pub(crate) fn seconds(name: &str, everyday: Duration) -> Duration {
    let everyday = usize::try_from(everyday.as_secs()).unwrap();
    Duration::from_secs(number(name, everyday) as u64)
}

/// A number that the environment makes larger for a longer run.
pub(crate) fn number(name: &str, everyday: usize) -> usize {
    let given = std::env::var(name).ok();
    given.map_or(everyday, |number| number.parse().unwrap())
}
