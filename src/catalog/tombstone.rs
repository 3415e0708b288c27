use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use slimspan_artifact::Digest;

use super::ids::{EntryId, TraceId};
use super::text;
use crate::tenant::TenantId;

/// Up to then nothing was recorded.
pub(super) const NOTHING: Timestamp = Timestamp::UNIX_EPOCH;

/// Stores tell in seconds when something was stored.
const PRECISION: SignedDuration = SignedDuration::from_secs(1);

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

    /// Whether it tells of an artifact that goes with a trace, unless something else refers to it.
    pub(super) fn is_with_a_trace(&self) -> bool {
        self.up_to == Some(NOTHING)
    }
}

/// An artifact that is given to nobody although its bytes may be there, because somebody wants them gone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeptBack {
    /// What says so.
    pub tombstone: Tombstone,
    /// Until then a spool may have given it to the store for what is deleted.
    pub settled: Option<Timestamp>,
}

impl KeptBack {
    /// Whether bytes are given to nobody that the store, or a spool, got at `written`. What only expired is given for as
    /// long as it is there, and so is what came after it was deleted.
    pub fn holds(&self, written: Timestamp) -> bool {
        let tombstone = &self.tombstone;
        let is_wanted_gone = tombstone.up_to.is_none() || tombstone.is_with_a_trace();
        let was_before = |time: Timestamp| time.duration_since(written) >= PRECISION;
        let came_late = self.settled.is_some_and(|settled| settled >= written);
        is_wanted_gone && (was_before(tombstone.time) || came_late)
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_wanted_gone_is_kept_back_and_not_what_came_after_that() {
        let time = Timestamp::UNIX_EPOCH + SignedDuration::from_hours(1_000);
        let day = SignedDuration::from_hours(24);
        for (up_to, is_wanted_gone) in [
            (None, true),
            (Some(NOTHING), true),
            // It expired.
            (Some(time - day), false),
        ] {
            let tombstone = Tombstone {
                id: EntryId::random(),
                time,
                tenant: TenantId::default(),
                deleted: Deleted::Artifact {
                    digest: Digest::of(b"file"),
                },
                reason: String::new(),
                up_to,
            };
            for (written, is_before) in [
                (time - day, true),
                (time - PRECISION, true),
                // Of the second in which it was deleted nobody knows.
                (time - PRECISION / 2, false),
                (time + day, false),
            ] {
                let of = |settled| KeptBack {
                    tombstone: tombstone.clone(),
                    settled,
                };
                // By a spool, for what is deleted.
                let late = Some(time + day * 2);
                for (settled, expected) in [
                    (None, is_before),
                    (Some(time - day * 2), is_before),
                    (late, true),
                ] {
                    let holds = of(settled).holds(written);
                    assert_eq!(
                        holds,
                        is_wanted_gone && expected,
                        "{up_to:?} {written} {settled:?}"
                    );
                }
            }
        }
    }
}
