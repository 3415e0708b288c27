//! How the entries of a request are written down: in the journal, or in memory where the disk does not take them in
//! time.

use std::mem;
use std::sync::PoisonError;

use bytes::Bytes;
use tokio::sync::oneshot;
use tokio::time::{Instant, timeout};

use super::super::entry::{Entry, State};
use super::memory::Holding;
use super::queue::{Home, Record};
use super::{PATIENCE, REST, Shared, to_lines};

impl Shared {
    /// Writes entries down; what tells that they are in the bucket, where the disk did not take them.
    pub(super) async fn record(&self, entries: Vec<Entry>) -> Option<oneshot::Receiver<()>> {
        let mut unwritten = Unwritten {
            shared: self,
            count: entries.len(),
        };
        let waits: Vec<_> = entries
            .iter()
            .filter(|entry| entry.state == State::Spooled)
            .filter_map(|entry| Some((entry.tenant.clone(), entry.digest?)))
            .collect();
        let recorded = entries.iter().map(|entry| entry.recorded).max();
        let lines = to_lines(&entries);
        drop(entries);
        let own = self.journals().own();
        let written = match own {
            Some((number, journal)) => {
                let appended = self.append(&journal, lines.clone()).await;
                appended.map(|entry| Home::Journal { number, entry })
            }
            // That was told when it was opened.
            None => Err(String::new()),
        };
        let (home, told) = match written {
            Ok(home) => (home, None),
            Err(reason) => {
                let held = self.memory().hold(lines.clone(), unwritten.count);
                let Some(Holding { id, told }) = held else {
                    let why = if reason.is_empty() { "" } else { "; " };
                    unwritten.told(&format!("{reason}{why}what waits in memory is full"));
                    return None;
                };
                if !reason.is_empty() && told.is_none() {
                    self.warn_of_memory(&format!("{reason}; nobody waits for the store now"));
                }
                (Home::Memory(id), told)
            }
        };
        self.counts
            .catalog
            .recorded(mem::take(&mut unwritten.count));
        self.queue().push(Record {
            home,
            len: lines.len(),
            waits,
            recorded: recorded.unwrap_or_default(),
            since: Instant::now(),
            is_awaited: told.is_some(),
        });
        self.arrived.notify_one();
        told
    }

    async fn append(
        &self,
        journal: &crate::journal::Journal,
        lines: Bytes,
    ) -> Result<crate::journal::Entry, String> {
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

/// Entries that are lost unless they are written down.
pub(super) struct Unwritten<'s> {
    pub(super) shared: &'s Shared,
    pub(super) count: usize,
}

impl Unwritten<'_> {
    fn told(mut self, reason: &str) {
        self.shared.lost(mem::take(&mut self.count), reason);
    }
}

impl Drop for Unwritten<'_> {
    fn drop(&mut self) {
        if self.count > 0 {
            let reason = "slimspan stopped before the disk had them";
            self.shared.lost(self.count, reason);
        }
    }
}
