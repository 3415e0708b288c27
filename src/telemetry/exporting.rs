use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use slimspan_proto::Signal;

use super::{BySignal, Lately, Latency, Sizes, add};

/// So many attempts in a row have to fail until a backend counts as failing.
const FAILURES: u32 = 3;

/// What became of what an exporter sent.
#[derive(Debug, Default)]
pub struct ExporterCounts {
    /// The exporter's id.
    pub(crate) exporter: String,
    /// Items that the backend took.
    pub(crate) sent: BySignal,
    /// Items that it did not take in the end: they were given up, or handed back to who sent them. What
    /// goes again, in parts or from a disk, is not among them.
    pub(crate) failed: BySignal,
    /// Items that its queue had no room for.
    pub(crate) not_queued: BySignal,
    /// Requests that are being sent now.
    pub(crate) in_flight: AtomicU64,
    /// Attempts that repeat another one.
    pub(crate) retries: AtomicU64,
    /// What one attempt took, whatever came of it.
    pub(crate) latency: Latency,
    /// Requests that were kept because no backend takes them.
    pub(crate) dead_letters: AtomicU64,
    /// Requests that were given up because there was no place to keep them.
    pub(crate) lost: AtomicU64,
    /// What went as one out of its queue, where that joins anything.
    pub(crate) batches: BatchSizes,
    failures: AtomicU32,
    failed_lately: Mutex<Lately>,
}

/// How large it was what went as one.
#[derive(Debug)]
pub(crate) struct BatchSizes {
    pub(crate) items: Sizes,
    pub(crate) bytes: Sizes,
}

impl Default for BatchSizes {
    fn default() -> Self {
        Self {
            items: Sizes::of_items(),
            bytes: Sizes::of_bytes(),
        }
    }
}

/// What came of one attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Attempt {
    /// The backend answered.
    Answered,
    /// It could not be reached, is overloaded or does not let us in.
    Failed,
    /// Whoever sent the request had hardly any time, which says nothing of the backend.
    GivenUp,
}

/// A request that is being sent until this is dropped. It has failed then, unless something else was said.
#[derive(Debug)]
pub struct InFlight<'a> {
    counts: &'a ExporterCounts,
    signal: Signal,
    items: u64,
    sent: u64,
    failed: u64,
}

impl InFlight<'_> {
    /// The backend took all of its items but so many.
    pub fn sent_all_but(&mut self, rejected: u64) {
        self.failed = rejected.min(self.items);
        self.sent = self.items - self.failed;
    }

    /// Its items go again in other requests, and count there.
    pub fn goes_again(&mut self) {
        (self.sent, self.failed) = (0, 0);
    }

    /// The backend took none of its items.
    pub fn failed(&mut self) {
        (self.sent, self.failed) = (0, self.items);
    }
}

impl Drop for InFlight<'_> {
    fn drop(&mut self) {
        let counts = self.counts;
        counts.in_flight.fetch_sub(1, Ordering::Relaxed);
        counts.sent.add(self.signal, self.sent);
        counts.failed.add(self.signal, self.failed);
    }
}

impl ExporterCounts {
    /// Nothing yet of the exporter of this id.
    pub(super) fn of(id: &str) -> Self {
        Self {
            exporter: id.to_owned(),
            ..Self::default()
        }
    }

    /// A request of so many items is sent from now on.
    pub fn begin(&self, signal: Signal, items: usize) -> InFlight<'_> {
        add(&self.in_flight, 1);
        InFlight {
            counts: self,
            signal,
            items: items as u64,
            sent: 0,
            failed: items as u64,
        }
    }

    /// A request is sent from now on, of which is counted elsewhere what becomes of it.
    pub fn begin_uncounted(&self, signal: Signal) -> InFlight<'_> {
        self.begin(signal, 0)
    }

    /// Of so many items all were sent but so many, which were given up or handed back.
    pub fn ended(&self, signal: Signal, items: usize, failed: usize) {
        self.sent.add(signal, items.saturating_sub(failed) as u64);
        self.failed.add(signal, failed.min(items) as u64);
    }

    /// The queue did not take a request.
    pub fn not_queued(&self, signal: Signal, items: usize) {
        self.not_queued.add(signal, items as u64);
    }

    /// So much goes as one out of the queue.
    pub fn batched(&self, items: usize, bytes: usize) {
        self.batches.items.add(items);
        self.batches.bytes.add(bytes);
    }

    /// One attempt, which may repeat another one, ended after such a time.
    pub fn attempted(&self, repeats: bool, took: Duration, outcome: Attempt) {
        add(&self.retries, usize::from(repeats));
        self.latency.took(took);
        match outcome {
            Attempt::Answered => self.failures.store(0, Ordering::Relaxed),
            Attempt::GivenUp => {}
            Attempt::Failed => {
                self.failures.fetch_add(1, Ordering::Relaxed);
                *self.lock() = Lately::now();
            }
        }
    }

    /// Requests were kept as dead letters, and others could not be.
    pub fn gave_up(&self, kept: usize, lost: usize) {
        add(&self.dead_letters, kept);
        add(&self.lost, lost);
    }

    /// Whether the last attempts failed, and that was lately.
    pub fn is_failing(&self) -> bool {
        self.failures.load(Ordering::Relaxed) >= FAILURES && self.lock().holds()
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Lately> {
        self.failed_lately
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_backend_fails_when_several_attempts_in_a_row_did() {
        let counts = ExporterCounts::default();
        let attempt = |outcome| counts.attempted(false, Duration::ZERO, outcome);
        for _ in 1..FAILURES {
            attempt(Attempt::Failed);
            assert!(!counts.is_failing());
        }
        attempt(Attempt::Answered);
        for _ in 0..FAILURES {
            attempt(Attempt::Failed);
        }
        assert!(counts.is_failing());
        attempt(Attempt::Answered);
        assert!(!counts.is_failing());
    }
}
