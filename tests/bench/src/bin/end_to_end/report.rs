//! What the turns come to.

use std::fmt::Write as _;

use crate::setup::{Load, Setup, Way};
use crate::turn::Turn;

/// The turns of one program in one setup.
pub(crate) struct Row<'a> {
    /// 0 for the slimspan that is measured, 1 for the other.
    pub(crate) program: usize,
    pub(crate) setup: &'a Setup,
    pub(crate) turns: &'a [Turn],
}

impl Row<'_> {
    fn median(&self, figure: impl Fn(&Turn) -> f64) -> f64 {
        median(self.turns.iter().map(figure))
    }

    /// The median of the rounds' ratios to another row: a slow moment of the machine hits both.
    fn against(&self, other: &Row<'_>, figure: impl Fn(&Turn) -> f64) -> f64 {
        let rounds = self.turns.iter().zip(other.turns);
        median(rounds.map(|(ours, theirs)| figure(ours) / figure(theirs)))
    }

    fn is(&self, program: usize, load: Load, way: Way) -> bool {
        self.program == program && *self.setup == Setup { load, way }
    }
}

/// All figures, one line for each row.
pub(crate) fn table(rows: &[Row<'_>]) -> String {
    let mut table = format!(
        "{:<40} {:>8} {:>7} {:>8} {:>7} {:>7} {:>8} {:>8} {:>9} {:>9}\n",
        "",
        "CPU s/GB",
        "/bare",
        "req/s",
        "/bare",
        "GB/s",
        "p50 ms",
        "p99 ms",
        "peak MiB",
        "passed on"
    );
    for row in rows {
        let name = match row.program {
            0 => row.setup.to_string(),
            _ => format!("{} (other)", row.setup),
        };
        // The same line of the program measured stands for "bare" where it did not run.
        let bare = rows
            .iter()
            .find(|bare| bare.is(row.program, row.setup.load, Way::Bare))
            .unwrap_or(row);
        let _ = writeln!(
            table,
            "{name:<40} {:>8.3} {:>7.2} {:>8.0} {:>7.2} {:>7.2} {:>8.1} {:>8.1} {:>9.0} {:>8.1}%",
            row.median(cpu),
            row.against(bare, cpu),
            row.median(throughput),
            row.against(bare, throughput),
            row.median(|turn| turn.bytes / 1e9 / turn.seconds),
            row.median(|turn| turn.latency(50)),
            row.median(|turn| turn.latency(99)),
            row.median(|turn| turn.peak_memory as f64 / f64::from(1 << 20)),
            row.median(|turn| turn.bytes_passed_on / turn.bytes * 100.0),
        );
    }
    for row in rows.iter().filter(|row| row.program == 0) {
        let Setup { load, way } = *row.setup;
        if let Some(other) = rows.iter().find(|other| other.is(1, load, way)) {
            let _ = writeln!(
                table,
                "{:<40} {:.3} of the other's CPU, {:.3} of its requests per second",
                row.setup.to_string(),
                row.against(other, cpu),
                row.against(other, throughput),
            );
        }
    }
    table
}

/// Requests per second on ordinary spans, as a part of what bare forwarding reaches.
pub(crate) fn ordinary_throughput(rows: &[Row<'_>]) -> Option<f64> {
    let of = |way| rows.iter().find(|row| row.is(0, Load::Ordinary, way));
    Some(of(Way::Memory)?.against(of(Way::Bare)?, throughput))
}

/// CPU seconds on images that were seen before, as a part of those on new ones.
pub(crate) fn repeated_images(rows: &[Row<'_>]) -> Option<f64> {
    images(rows, Way::Recalled, Way::Memory)
}

/// CPU seconds on images that were seen once before, as a part of those on new ones.
pub(crate) fn images_again(rows: &[Row<'_>]) -> Option<f64> {
    images(rows, Way::Again, Way::Memory)
}

/// CPU seconds on new images, as a part of those where none is remembered.
pub(crate) fn remembered_images(rows: &[Row<'_>]) -> Option<f64> {
    images(rows, Way::Memory, Way::Forgetful)
}

fn images(rows: &[Row<'_>], ours: Way, theirs: Way) -> Option<f64> {
    let of = |way| rows.iter().find(|row| row.is(0, Load::Images, way));
    Some(of(ours)?.against(of(theirs)?, cpu))
}

/// CPU seconds of the collector for each GB that it received.
fn cpu(turn: &Turn) -> f64 {
    turn.cpu_seconds / (turn.bytes / 1e9)
}

/// Requests per second.
fn throughput(turn: &Turn) -> f64 {
    turn.requests() as f64 / turn.seconds
}

fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or_default()
}
