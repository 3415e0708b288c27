//! The disk of the journal: how long it is waited for, and who finds out whether it takes something again.

use std::sync::PoisonError;

use bytes::Bytes;
use tokio::time::{Instant, timeout};

use super::{PATIENCE, REST, Shared};
use crate::journal::{Entry, Journal};

impl Shared {
    /// Whether the disk took what came last, or it is time that somebody finds out.
    pub(super) fn disk_may_take(&self) -> bool {
        if self.journals().own().is_none() {
            return false;
        }
        let mut failing = self.failing.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        if failing.is_some_and(|until| now < until) {
            return false;
        }
        // Others wait for what this one finds out.
        if failing.is_some() {
            *failing = Some(now + REST);
        }
        true
    }

    /// Writes lines into the journal; why the disk did not take them in time.
    pub(super) async fn append(&self, journal: &Journal, lines: Bytes) -> Result<Entry, String> {
        let appended = self.try_append(journal, lines).await;
        let mut failing = self.failing.lock().unwrap_or_else(PoisonError::into_inner);
        match &appended {
            Ok(_) => *failing = None,
            Err(_) => {
                failing.get_or_insert_with(|| Instant::now() + REST);
            }
        }
        appended
    }

    async fn try_append(&self, journal: &Journal, lines: Bytes) -> Result<Entry, String> {
        let resting = *self.resting.lock().unwrap_or_else(PoisonError::into_inner);
        if resting.is_some_and(|until| Instant::now() < until) {
            return Err("the disk did not write in time a moment ago".to_owned());
        }
        if let Ok(appended) = timeout(PATIENCE, journal.append(&[lines])).await {
            return appended.map_err(|error| error.to_string());
        }
        let mut resting = self.resting.lock().unwrap_or_else(PoisonError::into_inner);
        *resting = Some(Instant::now() + REST);
        Err(format!("the disk did not write them within {PATIENCE:?}"))
    }
}
