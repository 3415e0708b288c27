use std::fmt;
use std::str::FromStr;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use slimspan_artifact::Digest;

use super::ids::{EntryId, SpanId, TraceId};
use super::text;
use crate::tenant::TenantId;

/// One reference: where it stands, and what it leads to. As JSON, with stable names, it is a line of the
/// catalog.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// The same on every line about this reference. Of several lines the one that was recorded last holds,
    /// and of those the one that was settled last.
    #[serde(with = "text")]
    pub id: EntryId,
    /// When the reference was written down. Deletions that are later hide it.
    #[serde(with = "text::time")]
    pub recorded: Timestamp,
    /// When it was found out what became of an artifact that was in the spool; none in the first line.
    #[serde(default, with = "text::time_or_null")]
    pub settled: Option<Timestamp>,
    /// When the span began, or the time of the log record; when it was recorded, where neither is known.
    #[serde(with = "text::time")]
    pub time: Timestamp,
    /// Whose it is.
    pub tenant: TenantId,
    /// `traces` or `logs`; none for an artifact that was put by itself.
    pub signal: Option<String>,
    /// The resource's `service.name`; empty where it has none.
    pub service: String,
    /// The trace, if the reference belongs to one.
    #[serde(rename = "trace_id", with = "text::or_null")]
    pub trace: Option<TraceId>,
    /// The span, if the reference belongs to one.
    #[serde(rename = "span_id", with = "text::or_null")]
    pub span: Option<SpanId>,
    /// What the span is called; empty where it has no name, or there is no span.
    pub span_name: String,
    /// What the attribute belongs to: `resource`, `scope`, `span`, `event`, `link` or `log`.
    pub carrier: String,
    /// Which of the events or links of its span it is on, from 0; none elsewhere, and in lines of earlier versions.
    #[serde(default)]
    pub carrier_index: Option<u32>,
    /// The name of the event that it is on.
    #[serde(default)]
    pub event_name: Option<String>,
    /// The key of the attribute, or `(body)`.
    pub attribute: String,
    /// Where it stands in the value of that, such as `[0].parts[2].data`; none where it is all of it, or a text that is
    /// no JSON, and in lines of earlier versions.
    #[serde(default)]
    pub path: Option<String>,
    /// How many references stand before it in the same span or log record; 0 in lines of earlier versions.
    #[serde(default)]
    pub position: u32,
    /// How the file stood there, such as `data_uri`.
    pub shape: String,
    /// What the reference leads to; none for what was cut before it came.
    #[serde(rename = "sha256", with = "text::or_null")]
    pub digest: Option<Digest>,
    /// What the bytes show to be; what their sender says, where that alone is known.
    pub content_type: String,
    /// The decoded bytes; of what was cut, those of the value.
    #[serde(rename = "size_bytes")]
    pub size: u64,
    /// What the payload called the file, if it did.
    #[serde(rename = "filename")]
    pub file_name: Option<String>,
    /// Where the bytes are.
    pub state: State,
}

impl Entry {
    /// Whether this line takes the place of one with the same id.
    pub fn replaces(&self, other: &Self) -> bool {
        self.order() > other.order()
    }

    /// What is left of it when it was deleted with its trace: that it led to this file, and when a spool gave that to
    /// the store. Nothing is left of what its sender said.
    pub(super) fn deleted(self) -> Self {
        Self {
            time: self.recorded,
            service: String::new(),
            span: None,
            span_name: String::new(),
            carrier: String::new(),
            carrier_index: None,
            event_name: None,
            attribute: String::new(),
            path: None,
            position: 0,
            shape: String::new(),
            content_type: String::new(),
            size: 0,
            file_name: None,
            ..self
        }
    }

    /// Of several lines the greatest holds. A later reference stands before whatever became of an earlier
    /// one, which a deletion between the two hides.
    fn order(&self) -> (i64, Option<i64>, State) {
        let settled = self.settled.map(Timestamp::as_microsecond);
        (self.recorded.as_microsecond(), settled, self.state)
    }
}

/// Where the bytes of an entry are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum State {
    /// Wherever its sender stores it by itself, if it does: this says only that it was referred to.
    Referred,
    /// In the span still: what came was the beginning of a file.
    Truncated,
    /// Nowhere: they were given up.
    Dropped,
    /// On the disk of the replica that took them, until the store has them.
    Spooled,
    /// In the store.
    Stored,
}

impl State {
    /// All there are.
    pub const ALL: [Self; 5] = [
        Self::Referred,
        Self::Truncated,
        Self::Dropped,
        Self::Spooled,
        Self::Stored,
    ];

    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Referred => "referred",
            Self::Truncated => "truncated",
            Self::Dropped => "dropped",
            Self::Spooled => "spooled",
            Self::Stored => "stored",
        }
    }
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// The text names no state.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a state is stored, spooled, dropped, truncated or referred")]
pub struct InvalidState;

impl FromStr for State {
    type Err = InvalidState;

    fn from_str(text: &str) -> Result<Self, InvalidState> {
        let mut all = Self::ALL.into_iter();
        all.find(|state| state.name() == text).ok_or(InvalidState)
    }
}
