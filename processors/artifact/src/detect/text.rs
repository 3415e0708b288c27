//! Text with files in it: prose, markup, logs, what Python prints for an object.

use super::found::Found;
use super::{Scanner, base64_run, data_uri, python_literal};

/// Looks for the files of one shape in a text.
type Shape = fn(&mut Scanner<'_>, &[u8]) -> Vec<Found>;

/// The shapes within texts, the surest first: of two that overlap the first one stays.
const WITHIN: [Shape; 3] = [data_uri::within, python_literal::within, base64_run::within];

/// The files in `text`, in ascending order.
pub(super) fn scan(scanner: &mut Scanner<'_>, text: &[u8]) -> Vec<Found> {
    let mut all: Vec<Found> = Vec::new();
    for shape in WITHIN {
        let mut found = shape(scanner, text);
        found.retain(|one| !overlaps(&all, one));
        all.append(&mut found);
        all.sort_by_key(|one| one.range.start);
    }
    // Not before, or a part of what is not moved would be taken for a file of its own.
    all.retain(|one| scanner.admits(one));
    if scanner.unescaped > 0 {
        for one in &mut all {
            one.note_specials(text);
        }
    }
    all
}

/// Whether `one` shares characters with any of `all`, which are in ascending order.
fn overlaps(all: &[Found], one: &Found) -> bool {
    let next = all.partition_point(|other| other.range.end <= one.range.start);
    all.get(next)
        .is_some_and(|other| other.range.start < one.range.end)
}
