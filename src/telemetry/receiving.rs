use std::sync::atomic::AtomicU64;
use std::time::{Duration, Instant};

use slimspan_proto::Signal;

use super::{BySignal, Latency, Sizes, add, get};

/// What came in through one listener of a receiver.
#[derive(Debug)]
pub struct ReceiverCounts {
    /// The receiver's id.
    pub(crate) receiver: String,
    /// What it speaks.
    pub(crate) transport: &'static str,
    /// Items that were taken.
    pub(crate) accepted: BySignal,
    /// Items that a pipeline did not take, alone or with their whole request.
    pub(crate) refused: BySignal,
    /// Items that went into no pipeline.
    pub(crate) failed: BySignal,
    /// Requests that were answered with OK.
    pub(crate) requests_accepted: AtomicU64,
    /// Requests that were answered with anything else.
    pub(crate) requests_refused: AtomicU64,
    /// How long requests took, from their headers to their answers.
    pub(crate) latency: Latency,
    /// The bytes of requests, decompressed.
    pub(crate) sizes: Sizes,
}

impl Default for ReceiverCounts {
    fn default() -> Self {
        Self::of("", "")
    }
}

impl ReceiverCounts {
    /// Nothing yet of a listener of the receiver of this id.
    pub(super) fn of(id: &str, transport: &'static str) -> Self {
        Self {
            receiver: id.to_owned(),
            transport,
            accepted: BySignal::default(),
            refused: BySignal::default(),
            failed: BySignal::default(),
            requests_accepted: AtomicU64::new(0),
            requests_refused: AtomicU64::new(0),
            latency: Latency::default(),
            sizes: Sizes::of_bytes(),
        }
    }

    /// Of the items of a request so many are taken, so many a pipeline did not take, and so many went into
    /// none.
    pub(crate) fn ended(&self, signal: Signal, accepted: u64, refused: u64, failed: u64) {
        self.accepted.add(signal, accepted);
        self.refused.add(signal, refused);
        self.failed.add(signal, failed);
    }

    /// A request was answered, after such a time.
    pub(crate) fn answered(&self, ok: bool, took: Duration) {
        self.latency.took(took);
        let counter = if ok {
            &self.requests_accepted
        } else {
            &self.requests_refused
        };
        add(counter, 1);
    }

    /// All requests that were answered.
    pub(crate) fn requests(&self) -> u64 {
        get(&self.requests_accepted) + get(&self.requests_refused)
    }
}

/// What goes into a processor and comes out of it.
#[derive(Debug, Default)]
pub struct ProcessorCounts {
    pub(crate) processor: String,
    pub(crate) incoming: BySignal,
    pub(crate) outgoing: BySignal,
    /// How long it took, without what comes after it.
    pub(crate) took: BySignal<Latency>,
}

/// How long something takes that began when this was made.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Watch(Instant);

impl Watch {
    pub(crate) fn start() -> Self {
        Self(Instant::now())
    }

    pub(crate) fn read(self) -> Duration {
        self.0.elapsed()
    }
}
