//! The table at the end of the demo's report.

use std::collections::HashSet;

use bytesize::ByteSize;

use super::DemoOutcome;
use crate::terminal::{Page, Piece};

/// A line of the table; sizes in bytes.
#[derive(Default)]
struct Row<'a> {
    name: &'a str,
    original: u64,
    slim: u64,
    stored: u64,
}

/// What each request weighed before and after, and all of them together.
pub(super) fn table(page: &mut Page, outcomes: &[DemoOutcome<'_>]) {
    let mut total = Row {
        name: "total",
        ..Row::default()
    };
    let mut seen = HashSet::new();
    let rows: Vec<_> = outcomes
        .iter()
        .map(|outcome| Row {
            name: outcome.name,
            original: outcome.original.len() as u64,
            slim: outcome.slim.len() as u64,
            // The store keeps one copy of a file, however often it is sent.
            stored: outcome
                .artifacts
                .iter()
                .filter(|artifact| seen.insert(artifact.digest))
                .map(|artifact| artifact.size)
                .sum(),
        })
        .inspect(|row| {
            total.original += row.original;
            total.slim += row.slim;
            total.stored += row.stored;
        })
        .collect();
    let width = rows
        .iter()
        .map(|row| row.name.chars().count())
        .max()
        .unwrap_or(0)
        .max(total.name.len());
    page.line(
        0,
        [Piece::label(format!(
            "{:<width$}  {:>10}  {:>10}  {:>10}  {:>10}",
            "request", "in", "out", "stored", "saved"
        ))],
    );
    for row in &rows {
        page.line(0, [Piece::text(row.cells(width))]);
    }
    page.line(0, [Piece::title(total.cells(width))]);
}

impl Row<'_> {
    fn cells(&self, width: usize) -> String {
        format!(
            "{:<width$}  {:>10}  {:>10}  {:>10}  {:>10}",
            self.name,
            ByteSize::b(self.original).to_string(),
            ByteSize::b(self.slim).to_string(),
            ByteSize::b(self.stored).to_string(),
            self.saved(),
        )
    }

    /// How much less the backend gets, in percent of what came in.
    fn saved(&self) -> String {
        if self.original == 0 {
            return "-".to_owned();
        }
        let percent = 100.0 - 100.0 * self.slim as f64 / self.original as f64;
        format!("{percent:.1} %")
    }
}
