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
    /// Whether its request waits until the bucket has it.
    pub(super) is_awaited: bool,
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

/// What the bucket does not have yet: what is in memory, which a kill would take along, before what is on disk, and of
/// each the oldest first.
#[derive(Debug, Default)]
pub(super) struct Queue {
    in_memory: VecDeque<Record>,
    on_disk: VecDeque<Record>,
    bytes: usize,
    /// Those for which somebody waits.
    awaited: usize,
    /// What is on a disk that does not give it, until somebody asks for it again.
    aside: VecDeque<Record>,
}

impl Queue {
    pub(super) fn len(&self) -> usize {
        self.in_memory.len() + self.on_disk.len() + self.aside.len()
    }

    /// Whether there is nothing that can be put now.
    pub(super) fn is_idle(&self) -> bool {
        self.in_memory.is_empty() && self.on_disk.is_empty()
    }

    /// Whether somebody waits until the bucket has some of it.
    pub(super) fn is_awaited(&self) -> bool {
        self.awaited > 0
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
        let oldest = [self.in_memory.front(), self.on_disk.front()];
        let oldest = oldest.into_iter().flatten();
        oldest.map(|record| record.since).min()
    }

    pub(super) fn push(&mut self, record: Record) {
        self.bytes += record.len;
        self.awaited += usize::from(record.is_awaited);
        if record.is_on_disk() {
            self.on_disk.push_back(record);
        } else {
            self.in_memory.push_back(record);
        }
    }

    /// The first of it, of `most` bytes together or one alone.
    pub(super) fn take(&mut self, most: usize) -> Vec<Record> {
        let (mut taken, mut bytes) = (Vec::new(), 0);
        while let Some(next) = self.in_memory.front().or_else(|| self.on_disk.front()) {
            if !taken.is_empty() && bytes + next.len > most {
                break;
            }
            bytes += next.len;
            self.awaited -= usize::from(next.is_awaited);
            let next = self.in_memory.pop_front();
            taken.extend(next.or_else(|| self.on_disk.pop_front()));
        }
        self.bytes -= bytes;
        taken
    }

    /// The disk does not give these, and so nothing else that is on it: what is in memory does not wait for that.
    pub(super) fn set_aside(&mut self, unread: Vec<Record>) {
        self.aside.extend(unread);
        let on_disk = mem::take(&mut self.on_disk);
        self.bytes -= on_disk.iter().map(|record| record.len).sum::<usize>();
        self.aside.extend(on_disk);
    }

    /// It may give them by now.
    pub(super) fn take_back(&mut self) {
        let mut on_disk = mem::take(&mut self.aside);
        self.bytes += on_disk.iter().map(|record| record.len).sum::<usize>();
        on_disk.append(&mut self.on_disk);
        self.on_disk = on_disk;
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
            is_awaited: false,
        }
    }

    fn on_disk() -> Home {
        Home::Journal {
            number: 0,
            entry: Entry::nowhere(),
        }
    }

    fn lens(taken: &[Record]) -> Vec<usize> {
        taken.iter().map(|of| of.len).collect()
    }

    #[test]
    fn what_the_disk_does_not_give_comes_back_before_what_came_later() {
        let mut queue = Queue::default();
        for len in [1, 2] {
            queue.push(record(len, on_disk()));
        }
        let unread = queue.take(1);
        assert_eq!(lens(&unread), [1]);
        queue.push(record(4, Home::Memory(0)));
        queue.push(record(8, on_disk()));
        queue.set_aside(unread);
        assert_eq!((queue.len(), queue.bytes()), (4, 4));
        assert!(queue.waits_for_disk() && !queue.is_idle());
        assert_eq!(lens(&queue.take(100)), [4]);
        assert!(queue.is_idle());
        queue.push(record(16, on_disk()));
        queue.take_back();
        assert!(!queue.waits_for_disk());
        assert_eq!((queue.len(), queue.bytes()), (4, 27));
        assert_eq!(lens(&queue.take(100)), [1, 2, 8, 16]);
        assert_eq!((queue.len(), queue.bytes()), (0, 0));
    }

    /// However much is on disk, what a kill would take along does not wait for that.
    #[test]
    fn what_is_in_memory_goes_first() {
        let mut queue = Queue::default();
        for (len, home) in [(1, on_disk()), (2, Home::Memory(0)), (4, on_disk())] {
            queue.push(record(len, home));
        }
        assert!(!queue.is_awaited());
        let mut awaited = record(8, Home::Memory(1));
        awaited.is_awaited = true;
        queue.push(awaited);
        assert!(queue.is_awaited());
        assert_eq!(lens(&queue.take(11)), [2, 8, 1]);
        assert!(!queue.is_awaited());
        assert_eq!(lens(&queue.take(11)), [4]);
        assert_eq!(queue.since(), None);
    }
}
