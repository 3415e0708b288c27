use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use slimspan_artifact::Digest;

use super::ids::{EntryId, TraceId};
use super::text;
use crate::tenant::TenantId;

/// What was deleted, when and why. It hides every entry that was recorded up to its time, or up to the one
/// that it gives for that.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tombstone {
    /// What tells it from others.
    #[serde(with = "text")]
    pub id: EntryId,
    /// When it was deleted.
    #[serde(with = "text::time")]
    pub time: Timestamp,
    /// Whose it was.
    pub tenant: TenantId,
    /// What was deleted.
    #[serde(flatten)]
    pub deleted: Deleted,
    /// Why, in the words of who did it.
    pub reason: String,
    /// Of what expired: entries that were recorded up to then are hidden. What came later is needed still,
    /// and nothing that waits for the store is given up.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        with = "text::time_or_null"
    )]
    pub up_to: Option<Timestamp>,
}

impl Tombstone {
    /// Entries that were recorded up to then are hidden.
    pub fn hides_up_to(&self) -> Timestamp {
        self.up_to.unwrap_or(self.time)
    }
}

/// What was deleted of a tenant's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(tag = "deleted", rename_all = "lowercase")]
pub enum Deleted {
    /// One artifact, with all references to it.
    Artifact {
        /// Which.
        #[serde(rename = "sha256", with = "text")]
        digest: Digest,
    },
    /// The references of one trace, and the artifacts that nothing else refers to.
    Trace {
        /// Which.
        #[serde(rename = "trace_id", with = "text")]
        trace: TraceId,
    },
    /// Everything.
    Tenant,
}

/// A tombstone as it stands in an object.
pub(super) fn to_line(tombstone: &Tombstone) -> Vec<u8> {
    // There is nothing in it that JSON does not have.
    let mut line = serde_json::to_vec(tombstone).unwrap_or_default();
    line.push(b'\n');
    line
}

/// The tombstones of an object, a line each, and how many lines are none.
pub(super) fn from_lines(body: &[u8]) -> (Vec<Tombstone>, usize) {
    let lines = body.split(|byte| *byte == b'\n');
    let lines = lines.filter(|line| !line.is_empty());
    let mut unreadable = 0;
    let tombstones = lines.filter_map(|line| {
        let tombstone = serde_json::from_slice(line);
        unreadable += usize::from(tombstone.is_err());
        tombstone.ok()
    });
    (tombstones.collect(), unreadable)
}
