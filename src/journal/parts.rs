use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;

/// The bytes of a record on their way to the thread of the journal. A disk may hang for hours, and who
/// does not wait any more takes them back: else each attempt of a sender would add its bytes to those
/// before it.
#[derive(Debug)]
pub(super) struct Parts {
    shared: Shared,
}

type Shared = Arc<Mutex<Option<Vec<Bytes>>>>;

/// Held by who waits for the record.
#[derive(Debug)]
pub(super) struct TakenBack {
    shared: Shared,
}

impl Parts {
    pub(super) fn new(parts: &[Bytes]) -> (Self, TakenBack) {
        let shared = Arc::new(Mutex::new(Some(parts.to_vec())));
        let taken_back = TakenBack {
            shared: Arc::clone(&shared),
        };
        (Self { shared }, taken_back)
    }

    /// None where nobody waits for the record any more.
    pub(super) fn take(self) -> Option<Vec<Bytes>> {
        take(&self.shared)
    }
}

impl Drop for TakenBack {
    fn drop(&mut self) {
        drop(take(&self.shared));
    }
}

fn take(shared: &Shared) -> Option<Vec<Bytes>> {
    // Nothing under the lock panics half-way.
    let mut parts = shared.lock().unwrap_or_else(PoisonError::into_inner);
    parts.take()
}
