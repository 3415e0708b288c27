//! What the catalog is told of a request: all that may have left, whether its sender waits for that or not.

use std::mem;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::time::Instant;

use crate::catalog::{Entry, Recorder, RoomForClaims};
use crate::exporters::{Departure, Notice, Notices};
use crate::refusal::{Culprit, Refusal};

/// The entries of a request until it is known what became of it. Where it is let go of before somebody has
/// waited for its end, and some of the request may have left, they are written down all the same: its sender
/// has gone away, and may never send it again.
#[derive(Debug)]
pub(in crate::pipeline) struct Recording {
    untold: Arc<Untold>,
    departure: Departure,
}

/// What the catalog is to be told of a request.
#[derive(Debug, Default)]
pub(in crate::pipeline) struct Tidings {
    entries: Vec<Entry>,
    /// What those take of which a request has very many in few bytes.
    rooms: Vec<RoomForClaims>,
}

/// What nobody has written down yet.
#[derive(Debug)]
struct Untold {
    tidings: Mutex<Tidings>,
    recorder: Recorder,
}

impl Tidings {
    /// Where there is no room for what senders say they store themselves, that is left out, and counted.
    pub(super) fn of(mut entries: Vec<Entry>, recorder: &Recorder) -> Self {
        let room = recorder.make_room(&mut entries);
        Self {
            entries,
            rooms: room.into_iter().collect(),
        }
    }

    pub(super) fn append(&mut self, mut other: Self) {
        self.entries.append(&mut other.entries);
        self.rooms.append(&mut other.rooms);
    }

    pub(super) fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }
}

impl Recording {
    pub(super) fn new(tidings: Tidings, recorder: Recorder) -> Self {
        let untold = Arc::new(Untold {
            tidings: Mutex::new(tidings),
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

    /// Refuses a request before it leaves, where it would have to be refused afterwards: then its backend would get it
    /// once more each time that it comes.
    pub(in crate::pipeline) fn may_leave(&self) -> Result<(), Refusal> {
        if self.untold.recorder.takes() {
            Ok(())
        } else {
            Err(untellable())
        }
    }

    /// The request has gone as far as it goes. Ends within some seconds; where the disk of the catalog does not do its
    /// part in one, not much later than at `deadline`. An error where it is not to be acknowledged, because a kill could
    /// leave a reference that nobody knows of.
    pub(in crate::pipeline) async fn ended(&self, deadline: Instant) -> Result<(), Refusal> {
        if !self.departure.is_possible() {
            return Ok(());
        }
        let Tidings { entries, rooms } = self.untold.take();
        let recorder = &self.untold.recorder;
        let is_told = recorder.record_by(entries, Some(deadline)).await;
        drop(rooms);
        if is_told { Ok(()) } else { Err(untellable()) }
    }
}

/// What the sender of a request is told that nobody can write down.
fn untellable() -> Refusal {
    Refusal::unavailable(
        Culprit::Store,
        "neither the disk nor the store of the catalog takes at the moment what refers to files: see \
         catalog.on_failure of the artifact_store",
    )
}

impl Drop for Recording {
    fn drop(&mut self) {
        if self.departure.is_possible() {
            let tidings = self.untold.take();
            self.untold.recorder.record_abandoned(tidings.entries);
        }
    }
}

impl Untold {
    fn tidings(&self) -> MutexGuard<'_, Tidings> {
        self.tidings.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn take(&self) -> Tidings {
        mem::take(&mut *self.tidings())
    }
}

impl Notices for Untold {
    fn notice(&self) -> Option<Notice> {
        let tidings = self.tidings();
        (!tidings.is_empty()).then(|| Notice {
            to: self.recorder.place(),
            what: Recorder::lines(&tidings.entries),
        })
    }
}
