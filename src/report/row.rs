use serde::Serialize;
use slimspan_artifact::Move;

use super::share;
use crate::terminal::middle_cut;

/// The characters of an attribute's key or a media type that are kept.
const LONGEST_NAME: usize = 200;

/// What a row is about.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct RowKey {
    attribute: String,
    media_type: String,
}

impl RowKey {
    pub(super) fn new(attribute: &str, media_type: &str) -> Self {
        Self {
            attribute: middle_cut(attribute, LONGEST_NAME).into_owned(),
            media_type: middle_cut(media_type, LONGEST_NAME).into_owned(),
        }
    }
}

/// The sum over references.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Moved {
    pub(super) count: u64,
    pub(super) duplicates: u64,
    pub(super) decoded_bytes: u64,
    pub(super) bytes_before: u64,
    pub(super) bytes_after: u64,
}

impl Moved {
    pub(super) fn add(&mut self, moved: &Move, duplicate: bool) {
        self.count += 1;
        self.duplicates += u64::from(duplicate);
        self.decoded_bytes += moved.size as u64;
        self.bytes_before += moved.before as u64;
        self.bytes_after += moved.after as u64;
    }
}

/// A line of the report.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Row<'a> {
    /// `null` for all that did not fit into the report.
    pub(super) attribute: Option<&'a str>,
    pub(super) media_type: Option<&'a str>,
    #[serde(rename = "references")]
    pub(super) count: u64,
    pub(super) duplicates: u64,
    pub(super) decoded_bytes: u64,
    pub(super) bytes_before: u64,
    pub(super) bytes_after: u64,
    #[serde(rename = "bytes_saved")]
    pub(super) saved_bytes: u64,
    pub(super) share_saved: f64,
}

impl<'a> Row<'a> {
    pub(super) fn new(key: Option<&'a RowKey>, moved: &Moved) -> Self {
        let Moved {
            count,
            duplicates,
            decoded_bytes,
            bytes_before,
            bytes_after,
        } = *moved;
        let saved_bytes = bytes_before.saturating_sub(bytes_after);
        Self {
            attribute: key.map(|key| key.attribute.as_str()),
            media_type: key.map(|key| key.media_type.as_str()),
            count,
            duplicates,
            decoded_bytes,
            bytes_before,
            bytes_after,
            saved_bytes,
            share_saved: share(saved_bytes, bytes_before),
        }
    }
}
