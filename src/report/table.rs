use bytesize::ByteSize;

use super::row::Row;
use super::{Report, share};
use crate::terminal::{Page, Piece, Style, middle_cut};

/// The characters of names that are shown.
const ATTRIBUTE: usize = 44;
const MEDIA_TYPE: usize = 28;

const HEADINGS: [&str; 7] = [
    "attribute",
    "media type",
    "files",
    "repeats",
    "decoded",
    "in requests",
    "saved",
];

/// The columns from this one on are numbers.
const NUMBERS: usize = 2;

pub(super) fn table(report: &Report) -> String {
    // Without colours: a report goes to logs and files as well.
    let mut page = Page::new(Style::Plain);
    let rows: Vec<_> = report.rows().iter().map(cells).collect();
    if rows.is_empty() {
        page.line(0, [Piece::text("nothing would be moved")]);
    } else {
        rows_of(&mut page, &rows);
    }
    page.line(0, []);
    totals(&mut page, report);
    page.finish()
}

type Cells = [String; HEADINGS.len()];

fn cells(row: &Row<'_>) -> Cells {
    [
        shown(row.attribute.unwrap_or("(others)"), ATTRIBUTE),
        shown(row.media_type.unwrap_or_default(), MEDIA_TYPE),
        row.count.to_string(),
        row.duplicates.to_string(),
        size(row.decoded_bytes),
        size(row.bytes_before),
        percent(row.share_saved),
    ]
}

fn rows_of(page: &mut Page, rows: &[Cells]) {
    let headings = HEADINGS.map(str::to_owned);
    let mut widths = [0; HEADINGS.len()];
    for cells in rows.iter().chain([&headings]) {
        for (width, cell) in widths.iter_mut().zip(cells) {
            *width = (*width).max(cell.chars().count());
        }
    }
    for cells in [&headings].into_iter().chain(rows) {
        let mut line = String::new();
        for (column, (cell, width)) in cells.iter().zip(widths).enumerate() {
            let aligned = if column < NUMBERS {
                format!("{cell:<width$}")
            } else {
                format!("{cell:>width$}")
            };
            if column > 0 {
                line.push_str("  ");
            }
            line.push_str(&aligned);
        }
        page.line(0, [Piece::text(line)]);
    }
}

fn totals(page: &mut Page, report: &Report) {
    let totals = &report.totals;
    let moved = &totals.moved;
    let saved = share(report.saved_bytes(), totals.bytes_before);
    let mut line = |name: &str, what: String| {
        page.line(0, [Piece::label(format!("{name:<13}")), Piece::text(what)]);
    };
    line(
        "requests",
        format!(
            "{}, {} before, {} after, {} saved",
            totals.requests,
            size(totals.bytes_before),
            size(totals.bytes_after),
            percent(saved)
        ),
    );
    let at_least = if report.seen.is_complete() {
        ""
    } else {
        "at least "
    };
    line(
        "files",
        format!(
            "{} references, {at_least}{} repeats, {} to store",
            moved.count,
            moved.duplicates,
            size(totals.stored_bytes)
        ),
    );
    line(
        "left alone",
        format!("{} base64 values that were cut off", totals.truncated),
    );
    line(
        "mislabelled",
        format!("{} files of another type than they say", totals.mislabelled),
    );
}

fn shown(name: &str, longest: usize) -> String {
    // What a terminal would act on is escaped before it is measured.
    middle_cut(&crate::terminal::escaped(name), longest).into_owned()
}

fn size(bytes: u64) -> String {
    ByteSize::b(bytes).to_string()
}

fn percent(share: f64) -> String {
    format!("{:.1} %", 100.0 * share)
}
