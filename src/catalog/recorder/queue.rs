use std::collections::VecDeque;

use jiff::Timestamp;
use slimspan_artifact::Digest;
use tokio::time::Instant;

use crate::journal::Entry;
use crate::tenant::TenantId;

/// The lines of one request.
#[derive(Debug)]
pub(super) struct Record {
    pub(super) home: Home,
    pub(super) len: usize,
    /// Artifacts that were in the spool when it was recorded.
    pub(super) waits: Vec<(TenantId, Digest)>,
    /// When it was recorded, by the clock that deletions have, too.
    pub(super) recorded: Timestamp,
    pub(super) since: Instant,
}

/// Where lines are until the bucket has them.
#[derive(Debug)]
pub(super) enum Home {
    /// In one of the journals.
    Journal { number: usize, entry: Entry },
    /// In this process, where they are found by this.
    Memory(u64),
}

/// What the bucket does not have yet, oldest first.
#[derive(Debug, Default)]
pub(super) struct Queue {
    records: VecDeque<Record>,
    bytes: usize,
}

impl Queue {
    pub(super) fn len(&self) -> usize {
        self.records.len()
    }

    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Since when the oldest waits.
    pub(super) fn since(&self) -> Option<Instant> {
        self.records.front().map(|record| record.since)
    }

    pub(super) fn push(&mut self, record: Record) {
        self.bytes += record.len;
        self.records.push_back(record);
    }

    /// The oldest, of `most` bytes together or one alone.
    pub(super) fn take(&mut self, most: usize) -> Vec<Record> {
        let (mut taken, mut bytes) = (Vec::new(), 0);
        while let Some(next) = self.records.front() {
            if !taken.is_empty() && bytes + next.len > most {
                break;
            }
            bytes += next.len;
            taken.extend(self.records.pop_front());
        }
        self.bytes -= bytes;
        taken
    }
}
