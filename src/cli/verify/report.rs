//! What a look at a store found.

use bytesize::ByteSize;
use serde::Serialize;

use super::super::complain;
use crate::storage::Store;
use crate::tenant::TenantId;

/// What was found.
#[derive(Debug, Default, Serialize)]
pub(super) struct Report {
    /// Artifacts that were read, and are right.
    pub(super) right: u64,
    /// Their bytes.
    pub(super) bytes: u64,
    /// Artifacts whose bytes are others.
    pub(super) damaged: Vec<Finding>,
    /// Objects that are no artifact, or not where they belong.
    pub(super) misplaced: Vec<Finding>,
    /// Artifacts that could not be read, also because the store lists them and does not have them.
    pub(super) unreadable: Vec<Finding>,
    /// Artifacts that were deleted between their listing and their turn.
    pub(super) vanished: u64,
    /// Artifacts that were not chosen.
    pub(super) left_out: u64,
    pub(super) milliseconds: u64,
}

#[derive(Debug, Serialize)]
pub(super) struct Finding {
    pub(super) tenant: TenantId,
    pub(super) key: String,
    pub(super) problem: String,
}

impl Report {
    pub(super) fn is_well(&self) -> bool {
        self.damaged.is_empty() && self.misplaced.is_empty() && self.unreadable.is_empty()
    }

    /// Whether there was nothing at all.
    pub(super) fn is_empty(&self) -> bool {
        self.is_well() && self.right == 0 && self.vanished == 0 && self.left_out == 0
    }

    /// For people; of digests that begin with `prefix`.
    pub(super) fn text(&self, store: &Store, prefix: &str) -> String {
        if self.is_empty() {
            return match prefix {
                "" => format!("{store}: nothing is stored there\n"),
                prefix => format!("{store}: no artifact begins with {prefix}\n"),
            };
        }
        let rate = self.bytes.saturating_mul(1000) / self.milliseconds.max(1);
        let mut lines = vec![format!(
            "{store}: {} artifacts of {} are right; read in {:.1} s, {}/s",
            self.right,
            ByteSize::b(self.bytes),
            self.milliseconds as f64 / 1000.0,
            ByteSize::b(rate)
        )];
        for (what, findings) in [
            ("damaged", &self.damaged),
            ("misplaced", &self.misplaced),
            ("not readable", &self.unreadable),
        ] {
            if !findings.is_empty() {
                lines.push(format!("{} {what}", findings.len()));
            }
        }
        if self.vanished > 0 {
            lines.push(format!("{} were deleted meanwhile", self.vanished));
        }
        if self.left_out > 0 {
            lines.push(format!("{} were not chosen", self.left_out));
        }
        if !self.is_well() {
            complain(
                "nothing was changed: what is damaged or lost is to be restored from a copy, or deleted",
            );
        }
        lines.push(String::new());
        lines.join("\n")
    }
}
