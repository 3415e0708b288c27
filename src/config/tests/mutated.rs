//! P32: whatever is wrong with the shipped file is told with its line, and soon.
#![expect(clippy::panic, reason = "a panic is a failed test")]

use std::time::{Duration, Instant};

use slimspan_generators::mistakes::{Mutant, mutants};

use super::shipped::with_backend;
use crate::config::Config;

/// What a mistake may take to be found; everyday, on a machine that has other things to do.
fn soon() -> Duration {
    let is_strict = std::env::var("SLIMSPAN_STRICT").as_deref() == Ok("1");
    Duration::from_secs(if is_strict { 1 } else { 10 })
}

#[test]
fn every_mutant_of_the_shipped_file_is_refused_with_its_line() {
    let text = with_backend();
    let mutants = mutants(&text);
    assert!(mutants.len() > 200, "{}", mutants.len());
    let mut unnoticed = Vec::new();
    for Mutant {
        text,
        changed,
        line,
    } in mutants
    {
        let begun = Instant::now();
        let Err(errors) = Config::parse(&text, "c.yaml", |_| None) else {
            unnoticed.push(changed);
            continue;
        };
        let took = begun.elapsed();
        assert!(took < soon(), "{took:?}: {errors}");
        for error in &errors.0 {
            assert_eq!(error.file, "c.yaml");
            assert!(error.line.is_some_and(|line| line > 0), "{error}");
        }
        if let Some(line) = line
            && !errors.0.iter().any(|error| error.line == Some(line))
        {
            panic!("line {line} is not named: {errors}");
        }
    }
    assert!(unnoticed.is_empty(), "{unnoticed:#?}");
}
