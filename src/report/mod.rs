//! What extraction would move, or has moved: counted by attribute and media type.
//!
//! A report takes as much memory as its limits allow, however long it is added to.

mod row;
mod seen;
mod table;

use std::collections::BTreeMap;

use serde::{Serialize, Serializer};
use slimspan_artifact::Extraction;

use row::{Moved, Row, RowKey};
use seen::Seen;

/// Attributes and media types that are told apart. Both are a sender's words, of which there may
/// be any number.
const MAX_ROWS: usize = 1000;

/// The sum over requests. Serialized, it is a JSON object with stable names; sizes are in bytes.
#[derive(Debug, Default)]
pub struct Report {
    totals: Totals,
    rows: BTreeMap<RowKey, Moved>,
    /// What did not fit into the rows.
    other: Moved,
    seen: Seen,
}

/// What holds for all requests.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Totals {
    requests: u64,
    bytes_before: u64,
    bytes_after: u64,
    /// Decoded bytes of artifacts, each artifact once.
    stored_bytes: u64,
    truncated: u64,
    mislabelled: u64,
    moved: Moved,
}

impl Report {
    /// Counts what was moved out of a request of `before` bytes.
    pub fn add(&mut self, extraction: &Extraction, before: usize) {
        self.totals.requests += 1;
        self.totals.bytes_before += before as u64;
        self.totals.bytes_after += extraction.request.len() as u64;
        self.totals.truncated += extraction.truncated as u64;
        self.totals.mislabelled += extraction.mislabelled as u64;
        for moved in &extraction.moves {
            let first = self.seen.insert(moved.digest);
            if first && moved.stored {
                self.totals.stored_bytes += moved.size as u64;
            }
            let key = RowKey::new(&moved.attribute, &moved.media_type);
            let row = if self.rows.len() < MAX_ROWS || self.rows.contains_key(&key) {
                self.rows.entry(key).or_default()
            } else {
                &mut self.other
            };
            row.add(moved, !first);
            self.totals.moved.add(moved, !first);
        }
    }

    /// The number of requests.
    pub fn requests(&self) -> u64 {
        self.totals.requests
    }

    /// The report for people: a line for each attribute and media type, the one that saves the
    /// most first, and the totals. Every line ends with a line feed.
    pub fn to_table(&self) -> String {
        table::table(self)
    }

    /// The rows, the one that saves the most first; what did not fit comes last.
    fn rows(&self) -> Vec<Row<'_>> {
        let mut rows: Vec<Row<'_>> = self
            .rows
            .iter()
            .map(|(key, moved)| Row::new(Some(key), moved))
            .collect();
        // Rows of the same saving stay in the order of their names.
        rows.sort_by_key(|row| std::cmp::Reverse(row.saved_bytes));
        if self.other.count > 0 {
            rows.push(Row::new(None, &self.other));
        }
        rows
    }

    fn saved_bytes(&self) -> u64 {
        let Totals {
            bytes_before,
            bytes_after,
            ..
        } = self.totals;
        bytes_before.saturating_sub(bytes_after)
    }
}

/// `part` of `whole`, from 0 to 1; of nothing it is 0.
fn share(part: u64, whole: u64) -> f64 {
    if whole == 0 {
        0.0
    } else {
        part as f64 / whole as f64
    }
}

impl Serialize for Report {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        #[derive(Serialize)]
        struct Json<'a> {
            requests: u64,
            bytes_before: u64,
            bytes_after: u64,
            bytes_saved: u64,
            share_saved: f64,
            references: u64,
            duplicates: u64,
            duplicates_exact: bool,
            decoded_bytes: u64,
            stored_bytes: u64,
            truncated: u64,
            mislabelled: u64,
            attributes: Vec<Row<'a>>,
        }

        let Totals {
            requests,
            bytes_before,
            bytes_after,
            stored_bytes,
            truncated,
            mislabelled,
            moved,
        } = self.totals.clone();
        Json {
            requests,
            bytes_before,
            bytes_after,
            bytes_saved: self.saved_bytes(),
            share_saved: share(self.saved_bytes(), bytes_before),
            references: moved.count,
            duplicates: moved.duplicates,
            duplicates_exact: self.seen.is_complete(),
            decoded_bytes: moved.decoded_bytes,
            stored_bytes,
            truncated,
            mislabelled,
            attributes: self.rows(),
        }
        .serialize(serializer)
    }
}

#[cfg(test)]
mod tests;
