//! P32: whatever is wrong with the shipped file is told with its line, and soon.
#![expect(clippy::panic, reason = "a panic is a failed test")]

use std::time::{Duration, Instant};

use super::shipped::with_backend;
use crate::config::Config;

/// What a mistake may take to be found, on a machine that has other things to do.
const SOON: Duration = Duration::from_secs(10);

/// A text with one mistake, and the line that is to be named; none where any may be.
struct Mutant {
    text: String,
    /// What stands in place of the line.
    changed: String,
    line: Option<usize>,
}

/// A line of the file that has a key.
struct Line<'t> {
    indentation: &'t str,
    key: &'t str,
    value: &'t str,
}

fn line_of(line: &str) -> Option<Line<'_>> {
    let trimmed = line.trim_start();
    let (key, value) = trimmed.split_once(':')?;
    let is_key = !key.is_empty() && key.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
    is_key.then(|| Line {
        indentation: line.strip_suffix(trimmed).unwrap_or_default(),
        key,
        value: value.trim(),
    })
}

/// Every mistake of a few kinds, in every line that has a key.
fn mutants(text: &str) -> Vec<Mutant> {
    let lines: Vec<&str> = text.lines().collect();
    let mut mutants = Vec::new();
    for (index, line) in lines.iter().enumerate() {
        let Some(Line {
            indentation,
            key,
            value,
        }) = line_of(line)
        else {
            continue;
        };
        let mut with = |changed: String, line: Option<usize>| {
            let mut lines: Vec<&str> = lines.clone();
            if let Some(slot) = lines.get_mut(index) {
                *slot = &changed;
            }
            let text = lines.join("\n");
            mutants.push(Mutant {
                text,
                changed,
                line,
            });
        };
        let here = Some(index + 1);
        // A key that there is not.
        with(format!("{indentation}{key}_: {value}"), here);
        // The same key again: what was said first is what was meant, or not.
        with(
            format!("{indentation}{key}: {value}\n{indentation}{key}: {value}"),
            None,
        );
        with(format!("\t{indentation}{key}: {value}"), None);
        with(format!("{indentation}{key} {value}"), None);
        if value.is_empty() {
            continue;
        }
        with(format!("{indentation}{key}: {{a: [1, 2]}}"), here);
        with(format!("{indentation}{key}: !tag {value}"), here);
        with(format!("{indentation}{key}: *nowhere"), here);
        with(format!("{indentation}{key}: [{value}"), None);
        with(format!("{indentation}{key}: ${{env:"), here);
        with(format!("{indentation}{key}: ${{vault:x}}"), here);
        // Any word may be the name of a host.
        if value.starts_with(|c: char| c.is_ascii_digit()) && key != "host" {
            for wrong in ["-1", "99999999999999999999999999", "1 parsec", "1e999", "x"] {
                with(format!("{indentation}{key}: {wrong}"), here);
            }
        }
    }
    mutants
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
        assert!(begun.elapsed() < SOON, "{:?}: {errors}", begun.elapsed());
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
