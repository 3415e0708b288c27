//! What the catalog is told of a request: all that may have left, whether its sender waits for that or not.

use std::mem;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::time::Instant;

use crate::catalog::{Entry, Recorder};
use crate::exporters::{Departure, Notice, Notices};

/// The entries of a request until it is known what became of it. Where it is let go of before somebody has
/// waited for its end, and some of the request may have left, they are written down all the same: its sender
/// has gone away, and may never send it again.
#[derive(Debug)]
pub(in crate::pipeline) struct Recording {
    untold: Arc<Untold>,
    departure: Departure,
}

/// Entries that nobody has written down yet.
#[derive(Debug)]
struct Untold {
    entries: Mutex<Vec<Entry>>,
    recorder: Recorder,
}

impl Recording {
    pub(super) fn new(entries: Vec<Entry>, recorder: Recorder) -> Self {
        let untold = Arc::new(Untold {
            entries: Mutex::new(entries),
            recorder,
        });
        Self {
            departure: Departure::watched_with(Arc::clone(&untold) as Arc<dyn Notices>),
            untold,
        }
    }

    /// Where it is to be noted that some of the request may have left.
    pub(in crate::pipeline) fn departure(&self) -> &Departure {
        &self.departure
    }

    /// The request has gone as far as it goes. Ends within some seconds; where the disk of the catalog does not do its
    /// part in one, not much later than at `deadline`.
    pub(in crate::pipeline) async fn ended(&self, deadline: Instant) {
        if self.departure.is_possible() {
            let entries = self.untold.take();
            let recorder = &self.untold.recorder;
            recorder.record_by(entries, Some(deadline)).await;
        }
    }
}

impl Drop for Recording {
    fn drop(&mut self) {
        if self.departure.is_possible() {
            let entries = self.untold.take();
            self.untold.recorder.record_abandoned(entries);
        }
    }
}

impl Untold {
    fn entries(&self) -> MutexGuard<'_, Vec<Entry>> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn take(&self) -> Vec<Entry> {
        mem::take(&mut *self.entries())
    }
}

impl Notices for Untold {
    fn notice(&self) -> Option<Notice> {
        let entries = self.entries();
        (!entries.is_empty()).then(|| Notice {
            to: self.recorder.place(),
            what: Recorder::lines(&entries),
        })
    }
}
