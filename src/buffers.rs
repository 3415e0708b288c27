//! The memory that requests arrive in, kept for those that come next.
//!
//! Memory of megabytes that is given back and taken again costs a page fault for every 4 KiB, and the kernel
//! fills each page with zeros: for a request of which nothing is decoded, that is a third of all work.

use std::collections::VecDeque;
use std::mem;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use bytes::Bytes;
use tokio::runtime::Handle;
use tokio::time::{Instant, sleep};

/// What is smaller the allocator keeps at hand by itself.
const SMALLEST: usize = 256 << 10;

/// What lies idle of a limit of memory is one in so many, and no more than [`MOST`].
const IDLE: u64 = 16;
const MOST: usize = 64 << 20;

/// What nobody has needed for so long goes back to the system.
const REST: Duration = Duration::from_secs(1);

/// The size of a buffer for so many bytes. Requests differ a little in length, so there are four sizes to each
/// power of two: a fifth of a buffer may be memory that an earlier request has written to, and that is charged
/// to nobody. What none has written to costs nothing.
fn size(room: usize) -> usize {
    if room < SMALLEST {
        return room;
    }
    let step = room
        .checked_next_power_of_two()
        .map_or(1, |power| power / 8);
    room.checked_next_multiple_of(step).unwrap_or(room)
}

/// Where memory lies that no request needs.
#[derive(Debug, Clone, Default)]
pub struct Buffers(Arc<Idle>);

#[derive(Debug, Default)]
struct Idle {
    most: usize,
    /// Where they are given back to the system in time; nothing is kept without it.
    runtime: Option<Handle>,
    kept: Mutex<Kept>,
}

/// The one that came last stands last, and is taken first: those that are not needed grow old.
#[derive(Debug, Default)]
struct Kept {
    bytes: usize,
    buffers: VecDeque<(Vec<u8>, Instant)>,
    /// The bytes of those that were taken from here and are in use: nobody may have announced more than comes.
    lent: usize,
    /// Whether somebody looks for those that have grown old.
    is_watched: bool,
}

/// Bytes that become more, in memory that goes back to where it came from.
#[derive(Debug, Default)]
pub struct Buffer {
    bytes: Vec<u8>,
    from: Buffers,
    /// As many bytes of it count as lent.
    lent: usize,
}

impl Buffers {
    /// None yet, and as many as a process with this limit may keep, in a runtime.
    pub fn within(limit_mib: u64) -> Self {
        let most = usize::try_from(limit_mib.saturating_mul(1 << 20) / IDLE);
        Self(Arc::new(Idle {
            most: most.map_or(MOST, |most| most.min(MOST)),
            runtime: Handle::try_current().ok(),
            kept: Mutex::default(),
        }))
    }

    /// One with room for so many bytes, which is there already: it costs nothing. All of those that are in use
    /// have a limit, too: who announces much and sends little has memory that is charged to nobody.
    pub fn idle(&self, room: usize) -> Option<Buffer> {
        let size = size(room);
        let mut kept = self.kept();
        let lent = kept.lent.checked_add(size);
        let lent = lent.filter(|lent| *lent <= self.0.most)?;
        let mut sizes = kept.buffers.iter().map(|(bytes, _)| bytes.capacity());
        let place = sizes.rposition(|capacity| capacity == size)?;
        let (bytes, _) = kept.buffers.remove(place)?;
        kept.bytes -= bytes.capacity();
        kept.lent = lent;
        drop(kept);
        Some(self.buffer(bytes, size))
    }

    /// One with room for so many bytes.
    pub fn take(&self, room: usize) -> Buffer {
        let idle = self.idle(room);
        idle.unwrap_or_else(|| self.buffer(Vec::with_capacity(size(room)), 0))
    }

    fn buffer(&self, bytes: Vec<u8>, lent: usize) -> Buffer {
        let from = self.clone();
        Buffer { bytes, from, lent }
    }

    /// Keeps `bytes`, and what was given back before it as far as there is room.
    fn keep(&self, mut bytes: Vec<u8>, lent: usize) {
        if lent > 0 {
            self.kept().lent -= lent;
        }
        let Some(runtime) = &self.0.runtime else {
            return;
        };
        if !(SMALLEST..=self.0.most).contains(&bytes.capacity()) {
            return;
        }
        bytes.clear();
        let mut kept = self.kept();
        kept.bytes += bytes.capacity();
        kept.buffers.push_back((bytes, Instant::now()));
        let too_many = kept.oldest_while(|kept, _| kept > self.0.most);
        let is_watched = mem::replace(&mut kept.is_watched, true);
        // Giving memory back to the system takes its time.
        drop(kept);
        drop(too_many);
        if !is_watched {
            runtime.spawn(watch(Arc::downgrade(&self.0)));
        }
    }

    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.0.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Kept {
    /// Takes the oldest ones out as long as `goes` says so of all their bytes and the time when one came.
    fn oldest_while(&mut self, goes: impl Fn(usize, Instant) -> bool) -> Vec<Vec<u8>> {
        let mut gone = Vec::new();
        while let Some((_, since)) = self.buffers.front()
            && goes(self.bytes, *since)
            && let Some((oldest, _)) = self.buffers.pop_front()
        {
            self.bytes -= oldest.capacity();
            gone.push(oldest);
        }
        gone
    }
}

/// Gives back to the system what nobody has needed for a while, until there is nothing.
async fn watch(idle: Weak<Idle>) {
    loop {
        sleep(REST).await;
        let Some(idle) = idle.upgrade() else { return };
        let buffers = Buffers(idle);
        let mut kept = buffers.kept();
        let gone = kept.oldest_while(|_, since| since.elapsed() >= REST);
        kept.is_watched = !kept.buffers.is_empty();
        let is_watched = kept.is_watched;
        drop(kept);
        drop(gone);
        if !is_watched {
            return;
        }
    }
}

impl Buffer {
    /// As many bytes are there.
    pub fn len(&self) -> usize {
        self.bytes.len()
    }

    /// Whether none is there.
    pub fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// As many can be there.
    pub fn capacity(&self) -> usize {
        self.bytes.capacity()
    }

    /// Adds `part`; there has to be room for it, or it costs time.
    pub fn add(&mut self, part: &[u8]) {
        self.bytes.extend_from_slice(part);
    }

    /// Its bytes, which cannot be changed any more.
    pub fn freeze(self) -> Bytes {
        Bytes::from_owner(self)
    }
}

impl AsRef<[u8]> for Buffer {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

impl Drop for Buffer {
    fn drop(&mut self) {
        self.from.keep(mem::take(&mut self.bytes), self.lent);
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use super::*;

    const MIB: usize = 1 << 20;

    fn idle(buffers: &Buffers) -> Vec<usize> {
        let kept = buffers.kept();
        let idle = kept.buffers.iter().map(|(bytes, _)| bytes.capacity());
        let idle: Vec<_> = idle.collect();
        assert_eq!(kept.bytes, idle.iter().sum::<usize>());
        idle
    }

    #[tokio::test]
    async fn what_is_given_back_is_taken_again() {
        let buffers = Buffers::within(64);
        let mut buffer = buffers.take(MIB - 1);
        assert_eq!(buffer.capacity(), MIB);
        buffer.add(b"of another sender");
        let at = buffer.as_ref().as_ptr();
        let bytes = buffer.freeze();
        let part = bytes.slice(3..10);
        drop(bytes);
        assert_eq!(part, "another");
        assert!(idle(&buffers).is_empty(), "a part of it is in use");
        drop(part);
        assert_eq!(idle(&buffers), [MIB]);
        assert!(buffers.idle(MIB + 1).is_none());
        assert!(buffers.idle(MIB * 7 / 8).is_none());
        let again = buffers.idle(MIB * 7 / 8 + 1).unwrap();
        assert!(again.is_empty());
        assert_eq!(again.as_ref().as_ptr(), at);
        assert!(idle(&buffers).is_empty());
    }

    #[test]
    fn a_buffer_is_little_larger_than_what_it_is_for() {
        for (room, of) in [
            (0, 0),
            (SMALLEST - 1, SMALLEST - 1),
            (SMALLEST, SMALLEST),
            (SMALLEST + 1, SMALLEST / 4 * 5),
            (4 * MIB, 4 * MIB),
            (4 * MIB + 1, 5 * MIB),
            (7 * MIB + 1, 8 * MIB),
            (usize::MAX, usize::MAX),
        ] {
            assert_eq!(size(room), of, "{room}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn what_nobody_needs_goes_back_to_the_system() {
        let buffers = Buffers::within(64);
        for _ in 0..2 {
            let [needed, idle_one] = [0, 1].map(|_| buffers.take(MIB));
            drop([idle_one, needed]);
            for _ in 0..7 {
                drop(buffers.take(MIB));
                sleep(REST / 4).await;
            }
            assert_eq!(idle(&buffers), [MIB], "one is in use all along");
            sleep(REST * 9 / 4).await;
            assert!(idle(&buffers).is_empty());
        }
        let without_runtime = std::thread::spawn(|| {
            let buffers = Buffers::within(64);
            drop(buffers.take(MIB));
            idle(&buffers)
        });
        assert!(without_runtime.join().unwrap().is_empty());
    }

    /// Each gives a buffer back, and announces as much again without sending it.
    #[tokio::test]
    async fn no_more_is_lent_than_a_part_of_the_limit() {
        let buffers = Buffers::within(64);
        let mut parked = Vec::new();
        for _ in 0..20 {
            drop(buffers.take(MIB));
            parked.extend(buffers.idle(MIB));
        }
        assert_eq!(parked.len(), 4);
        parked.pop();
        assert!(buffers.idle(MIB).is_some());
        drop(parked);
        assert_eq!(buffers.kept().lent, 0);
    }

    #[tokio::test]
    async fn no_more_lies_idle_than_a_part_of_the_limit() {
        let buffers = Buffers::within(64);
        let taken: Vec<_> = (0..6).map(|_| buffers.take(MIB)).collect();
        drop(taken);
        assert_eq!(idle(&buffers), [MIB; 4]);
        drop(buffers.take(3 * MIB));
        assert_eq!(idle(&buffers), [MIB, 3 * MIB], "the oldest went");
        drop(buffers.take(5 * MIB));
        assert_eq!(idle(&buffers), [MIB, 3 * MIB], "too large");
        drop(buffers.take(SMALLEST - 1));
        assert_eq!(idle(&buffers), [MIB, 3 * MIB], "too small");
        for limit_mib in [4096, u64::MAX] {
            assert_eq!(Buffers::within(limit_mib).0.most, MOST);
        }
    }
}
