//! How the entries of a request are written down: in the journal, or in memory where the disk does not take them in
//! time.

use std::mem;

use tokio::sync::oneshot;
use tokio::time::Instant;

use super::super::entry::{Entry, State};
use super::claims::is_claim;
use super::memory::Holding;
use super::queue::{Home, Record};
use super::{Shared, to_lines};

impl Shared {
    /// Writes entries down.
    pub(super) async fn record(&self, entries: Vec<Entry>) -> Written {
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
        let (claims, others): (Vec<_>, Vec<_>) = entries.into_iter().partition(is_claim);
        let of_others = to_lines(&others);
        drop(others);
        let claimed = claims.len();
        let mut lines = of_others.clone();
        if claimed > 0 {
            lines = [of_others.clone(), to_lines(&claims)].concat().into();
        }
        drop(claims);
        let own = self.journals().own();
        let written = match own {
            Some((number, journal)) => {
                let appended = self.append(&journal, lines.clone()).await;
                appended.map(|entry| Home::Journal { number, entry })
            }
            // That was told when it was opened.
            None => Err(String::new()),
        };
        let (home, written) = match written {
            Ok(home) => (home, Written::OnDisk),
            Err(reason) => {
                if claimed > 0 && !self.memory().has_room_for_claims(lines.len()) {
                    lines = of_others;
                    unwritten.count -= claimed;
                    self.lost(
                        claimed,
                        "what senders store themselves has no more room in memory",
                    );
                    if lines.is_empty() {
                        return Written::AtRisk;
                    }
                }
                let held = self.memory().hold(lines.clone(), unwritten.count);
                let Some(Holding { id, told }) = held else {
                    let why = if reason.is_empty() { "" } else { "; " };
                    unwritten.told(&format!("{reason}{why}what waits in memory is full"));
                    return Written::AtRisk;
                };
                if !reason.is_empty() && told.is_none() {
                    self.warn_of_memory(&format!("{reason}; nobody waits for the store now"));
                }
                let written = told.map_or(Written::AtRisk, Written::Awaited);
                (Home::Memory(id), written)
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
            is_awaited: matches!(written, Written::Awaited(_)),
        });
        self.arrived.notify_one();
        written
    }
}

/// What became of entries that were to be written down.
pub(super) enum Written {
    /// They are.
    OnDisk,
    /// They are in memory until the bucket has them, which this tells.
    Awaited(oneshot::Receiver<()>),
    /// They are in memory alone, or lost.
    AtRisk,
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
