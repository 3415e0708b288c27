use std::collections::VecDeque;
use std::mem;

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

impl Record {
    fn is_on_disk(&self) -> bool {
        matches!(self.home, Home::Journal { .. })
    }
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
    /// What is on a disk that does not give it, until somebody asks for it again.
    aside: VecDeque<Record>,
}

impl Queue {
    pub(super) fn len(&self) -> usize {
        self.records.len() + self.aside.len()
    }

    /// Whether there is nothing that can be put now.
    pub(super) fn is_idle(&self) -> bool {
        self.records.is_empty()
    }

    /// Whether some of it waits for its disk.
    pub(super) fn waits_for_disk(&self) -> bool {
        !self.aside.is_empty()
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

    /// The disk does not give these, and so nothing else that is on it: what is in memory does not wait for that.
    pub(super) fn set_aside(&mut self, unread: Vec<Record>) {
        self.aside.extend(unread);
        let all = mem::take(&mut self.records).into_iter();
        let (on_disk, in_memory): (VecDeque<Record>, VecDeque<Record>) =
            all.partition(Record::is_on_disk);
        self.records = in_memory;
        self.bytes -= on_disk.iter().map(|record| record.len).sum::<usize>();
        self.aside.extend(on_disk);
    }

    /// It may give them by now.
    pub(super) fn take_back(&mut self) {
        let mut records = mem::take(&mut self.aside);
        self.bytes += records.iter().map(|record| record.len).sum::<usize>();
        records.append(&mut self.records);
        self.records = records;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(len: usize, home: Home) -> Record {
        Record {
            home,
            len,
            waits: Vec::new(),
            recorded: Timestamp::UNIX_EPOCH,
            since: Instant::now(),
        }
    }

    #[test]
    fn what_the_disk_does_not_give_comes_back_before_what_came_later() {
        let on_disk = || Home::Journal {
            number: 0,
            entry: Entry::nowhere(),
        };
        let mut queue = Queue::default();
        for (len, home) in [
            (1, on_disk()),
            (2, on_disk()),
            (4, Home::Memory(0)),
            (8, on_disk()),
        ] {
            queue.push(record(len, home));
        }
        let unread = queue.take(1);
        queue.set_aside(unread);
        assert_eq!((queue.len(), queue.bytes()), (4, 4));
        assert!(queue.waits_for_disk() && !queue.is_idle());
        let lens = |taken: Vec<Record>| taken.iter().map(|of| of.len).collect::<Vec<_>>();
        assert_eq!(lens(queue.take(100)), [4]);
        assert!(queue.is_idle());
        queue.push(record(16, Home::Memory(1)));
        queue.take_back();
        assert!(!queue.waits_for_disk());
        assert_eq!((queue.len(), queue.bytes()), (4, 27));
        assert_eq!(lens(queue.take(100)), [1, 2, 8, 16]);
        assert_eq!((queue.len(), queue.bytes()), (0, 0));
    }
}
