//! What the catalog is told of a request: all that may have left, whether its sender waits for that or not.

use std::mem;
use std::sync::{Mutex, PoisonError};

use crate::catalog::{Entry, Recorder};
use crate::exporters::Departure;

/// The entries of a request until it is known what became of it. Where it is let go of before somebody has
/// waited for its end, and some of the request may have left, they are written down all the same: its sender
/// has gone away, and may never send it again.
#[derive(Debug)]
pub(in crate::pipeline) struct Recording {
    entries: Mutex<Vec<Entry>>,
    recorder: Recorder,
    departure: Departure,
}

impl Recording {
    pub(super) fn new(entries: Vec<Entry>, recorder: Recorder) -> Self {
        Self {
            entries: Mutex::new(entries),
            recorder,
            departure: Departure::watched(),
        }
    }

    /// Where it is to be noted that some of the request may have left.
    pub(in crate::pipeline) fn departure(&self) -> &Departure {
        &self.departure
    }

    /// The request has gone as far as it goes. Ends within a second.
    pub(in crate::pipeline) async fn ended(&self) {
        if self.departure.is_possible() {
            self.recorder.record(self.take()).await;
        }
    }

    fn take(&self) -> Vec<Entry> {
        let mut entries = self.entries.lock().unwrap_or_else(PoisonError::into_inner);
        mem::take(&mut entries)
    }
}

impl Drop for Recording {
    fn drop(&mut self) {
        if self.departure.is_possible() {
            self.recorder.record_abandoned(self.take());
        }
    }
}
