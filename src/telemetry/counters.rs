//! What is counted of all requests of the process.

mod components;

use std::collections::BTreeSet;
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock, Weak};
use std::time::{Duration, Instant};

use bytesize::ByteSize;
use jiff::Timestamp;
use slimspan_artifact::Extraction;
use slimspan_proto::Signal;
use tokio::sync::watch;

use self::components::Components;
use super::connections::{Connection, Connections};
use super::traces::SpanCounts;
use super::{Findings, Ignored, Outcome, Phase, ReceiverCounts, Recent, Sight, Sights, add, get};
use crate::panics::Panics;
use crate::refusal::{CODES, Culprit, Refusal};
use crate::tally::Tallies;

/// What became of the requests of this process. Its `Display` is the sum that is told at the end.
#[derive(Debug)]
pub struct Counters {
    /// What became of every item.
    pub items: Tallies,
    /// When the process began to count.
    pub began: Began,
    /// The files that were found.
    pub(crate) found: Findings,
    /// What was ignored of requests in JSON.
    pub ignored: Ignored,
    /// Requests that are worth a look.
    pub recent: Recent,
    /// Requests at which slimspan itself failed.
    pub panics: Arc<Panics>,
    /// What became of slimspan's own spans.
    pub own_spans: Arc<SpanCounts>,
    pub(super) requests: AtomicU64,
    pub(super) bytes_in: AtomicU64,
    pub(super) bytes_out: AtomicU64,
    pub(super) references: AtomicU64,
    pub(super) saved: AtomicU64,
    pub(super) stored: AtomicU64,
    pub(super) deduplicated: AtomicU64,
    pub(super) dropped: AtomicU64,
    pub(super) texts: AtomicU64,
    pub(super) mislabelled: AtomicU64,
    pub(super) truncated: AtomicU64,
    pub(super) untrusted: AtomicU64,
    pub(super) indices: AtomicU64,
    pub(super) forwarded: AtomicU64,
    pub(super) spooled: AtomicU64,
    pub(super) uploaded: AtomicU64,
    pub(super) failed_uploads: AtomicU64,
    pub(super) damaged: AtomicU64,
    pub(super) damage_given_up: AtomicU64,
    pub(super) refused_connections: AtomicU64,
    pub(super) connections: Arc<Connections>,
    refusals: [[[AtomicU64; CODES.len()]; Culprit::ALL.len()]; Signal::ALL.len()],
    components: Mutex<Components>,
    sights: RwLock<Option<Weak<dyn Sights>>>,
    phase: watch::Sender<Phase>,
}

/// When something began, by both clocks.
#[derive(Debug, Clone, Copy)]
pub struct Began {
    /// For people.
    pub at: Timestamp,
    /// For durations.
    pub instant: Instant,
}

impl Default for Counters {
    fn default() -> Self {
        Self {
            items: Tallies::default(),
            began: Began {
                at: Timestamp::now(),
                instant: Instant::now(),
            },
            found: Findings::default(),
            ignored: Ignored::default(),
            recent: Recent::default(),
            panics: Arc::default(),
            own_spans: Arc::default(),
            requests: AtomicU64::default(),
            bytes_in: AtomicU64::default(),
            bytes_out: AtomicU64::default(),
            references: AtomicU64::default(),
            saved: AtomicU64::default(),
            stored: AtomicU64::default(),
            deduplicated: AtomicU64::default(),
            dropped: AtomicU64::default(),
            texts: AtomicU64::default(),
            mislabelled: AtomicU64::default(),
            truncated: AtomicU64::default(),
            untrusted: AtomicU64::default(),
            indices: AtomicU64::default(),
            forwarded: AtomicU64::default(),
            spooled: AtomicU64::default(),
            uploaded: AtomicU64::default(),
            failed_uploads: AtomicU64::default(),
            damaged: AtomicU64::default(),
            damage_given_up: AtomicU64::default(),
            refused_connections: AtomicU64::default(),
            connections: Arc::default(),
            refusals: Default::default(),
            components: Mutex::default(),
            sights: RwLock::default(),
            phase: watch::Sender::default(),
        }
    }
}

impl Counters {
    /// A request of `bytes` came in.
    pub fn received(&self, bytes: usize) {
        add(&self.requests, 1);
        add(&self.bytes_in, bytes);
    }

    /// A request of `bytes` goes to the exporters.
    pub fn sent(&self, bytes: usize) {
        add(&self.bytes_out, bytes);
    }

    /// The bytes that went into pipelines, and those that came out of them and were taken.
    pub(crate) fn bytes(&self) -> (u64, u64) {
        (get(&self.bytes_in), get(&self.bytes_out))
    }

    /// Keys and values of a request without a dictionary are indices of one: nobody can tell what they mean.
    pub fn indices(&self, indices: usize) {
        add(&self.indices, indices);
    }

    /// Values were cut before they came, and stay.
    pub fn left_alone(&self, extraction: &Extraction) {
        add(&self.truncated, extraction.truncated);
    }

    /// Artifacts were replaced by references; `stored` of them were new to the store, `spooled` to
    /// the spool, and the bytes of others may have been given up. References that a sender wrote were
    /// marked.
    pub fn extracted(&self, extraction: &Extraction, stored: usize, spooled: usize) {
        add(&self.untrusted, extraction.untrusted);
        if extraction.moves.is_empty() {
            return;
        }
        add(&self.references, extraction.moves.len());
        add(&self.stored, stored);
        add(&self.spooled, spooled);
        let (mut kept, mut dropped) = (BTreeSet::new(), BTreeSet::new());
        let mut saved = 0;
        for moved in &extraction.moves {
            let digests = if moved.stored {
                &mut kept
            } else {
                &mut dropped
            };
            digests.insert(moved.digest);
            self.found.add(moved);
            saved += moved.before.saturating_sub(moved.after);
        }
        add(&self.saved, saved);
        add(&self.dropped, dropped.len());
        // What was there before need not be kept again.
        let known = kept.len().saturating_sub(stored + spooled);
        add(&self.deduplicated, known);
        add(&self.texts, extraction.texts);
        add(&self.mislabelled, extraction.mislabelled);
    }

    /// An artifact of a spool was put into the store.
    pub fn uploaded(&self) {
        add(&self.uploaded, 1);
        add(&self.stored, 1);
    }

    /// The store did not take an artifact of a spool, which stays there.
    pub fn upload_failed(&self) {
        add(&self.failed_uploads, 1);
    }

    /// An artifact of a spool cannot be read any more.
    pub fn damaged(&self) {
        add(&self.damaged, 1);
    }

    /// Damaged bytes of a disk are not kept for people: there is too much of it.
    pub fn damage_given_up(&self, bytes: u64) {
        self.damage_given_up.fetch_add(bytes, Ordering::Relaxed);
    }

    /// A request went on unmodified because its artifacts could not be stored.
    pub fn forwarded(&self) {
        add(&self.forwarded, 1);
    }

    /// A connection was closed because there are as many as there may be.
    pub fn connection_refused(&self) {
        add(&self.refused_connections, 1);
    }

    /// A connection is open as long as what is returned.
    pub fn connection(&self) -> Connection {
        Connection::of(&self.connections)
    }

    /// A request that came `by` a receiver was answered, with OK unless it was `refused`.
    pub fn answered(
        &self,
        by: &Arc<ReceiverCounts>,
        signal: Signal,
        took: Duration,
        refused: Option<&Refusal>,
    ) {
        by.answered(refused.is_none(), took);
        let outcome = match refused {
            None => Outcome::Accepted,
            Some(refusal) => {
                let (culprit, code) = (refusal.culprit(), refusal.code_number());
                add(self.refusals_of(signal, culprit, code), 1);
                Outcome::Refused {
                    culprit: culprit.name(),
                    code: CODES[code],
                }
            }
        };
        self.recent.add(by, signal, took, outcome);
    }

    fn refusals_of(&self, signal: Signal, culprit: Culprit, code: usize) -> &AtomicU64 {
        let signal = Signal::ALL.iter().position(|one| *one == signal);
        &self.refusals[signal.unwrap_or_default()][culprit as usize][code]
    }

    /// How often requests were refused, where that has happened: signal, culprit, code.
    pub(crate) fn refusals(&self) -> Vec<(Signal, Culprit, &'static str, u64)> {
        let mut all = Vec::new();
        for signal in Signal::ALL {
            for culprit in Culprit::ALL {
                for (number, code) in CODES.into_iter().enumerate() {
                    let times = get(self.refusals_of(signal, culprit, number));
                    if times > 0 {
                        all.push((signal, culprit, code, times));
                    }
                }
            }
        }
        all
    }

    /// What is looked at from now on, as long as somebody else has it.
    pub fn show<S: Sights + 'static>(&self, sights: &Arc<S>) {
        let sights: Weak<S> = Arc::downgrade(sights);
        *self.sights.write().unwrap_or_else(PoisonError::into_inner) = Some(sights);
    }

    /// How it looks now.
    pub fn look(&self) -> Sight {
        let sights = self.sights.read().unwrap_or_else(PoisonError::into_inner);
        let sights = sights.as_ref().and_then(Weak::upgrade);
        sights.map(|sights| sights.look()).unwrap_or_default()
    }

    /// The process is in this phase from now on.
    pub fn enter(&self, phase: Phase) {
        self.phase.send_replace(phase);
    }

    /// Where the process is in its life.
    pub fn phase(&self) -> Phase {
        *self.phase.borrow()
    }

    /// The same for who is to know when it changes.
    pub fn phases(&self) -> watch::Receiver<Phase> {
        self.phase.subscribe()
    }
}

impl fmt::Display for Counters {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "requests {}, {} in, {} out; values replaced {}, artifacts stored {}, \
             artifacts dropped {}, texts moved {}, mislabelled files {}, \
             truncated values left alone {}, requests forwarded unmodified {}, \
             connections refused {}, artifacts spooled {}, of these uploaded {}, damaged {}, \
             requests that made slimspan panic {}, failed uploads {}",
            get(&self.requests),
            ByteSize::b(get(&self.bytes_in)),
            ByteSize::b(get(&self.bytes_out)),
            get(&self.references),
            get(&self.stored),
            get(&self.dropped),
            get(&self.texts),
            get(&self.mislabelled),
            get(&self.truncated),
            get(&self.forwarded),
            get(&self.refused_connections),
            get(&self.spooled),
            get(&self.uploaded),
            get(&self.damaged),
            get(self.panics.all()),
            get(&self.failed_uploads),
        )
    }
}
