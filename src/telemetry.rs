//! What slimspan says of itself: its log, and what it counts.

use std::collections::BTreeSet;
use std::fmt;
use std::io::IsTerminal as _;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytesize::ByteSize;
use slimspan_artifact::Extraction;
use tokio::time::Instant;
use tracing_subscriber::EnvFilter;

use crate::tally::Tallies;

/// Writes the log to standard error: `info` and above unless `SLIMSPAN_LOG` says otherwise, in the
/// syntax of `tracing_subscriber::EnvFilter`.
pub fn init() {
    let filter = EnvFilter::try_from_env("SLIMSPAN_LOG").unwrap_or_else(|_| EnvFilter::new("info"));
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal())
        .with_target(false)
        .init();
}

/// What became of the requests of this process. Its `Display` is the sum that is told at the end.
#[derive(Debug, Default)]
pub struct Counters {
    /// What became of every item.
    pub items: Tallies,
    requests: AtomicU64,
    bytes_in: AtomicU64,
    bytes_out: AtomicU64,
    references: AtomicU64,
    stored: AtomicU64,
    dropped: AtomicU64,
    texts: AtomicU64,
    mislabelled: AtomicU64,
    truncated: AtomicU64,
    forwarded: AtomicU64,
    spooled: AtomicU64,
    uploaded: AtomicU64,
    failed_uploads: AtomicU64,
    damaged: AtomicU64,
    refused_connections: AtomicU64,
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

    /// Values were cut before they came, and stay.
    pub fn left_alone(&self, extraction: &Extraction) {
        add(&self.truncated, extraction.truncated);
    }

    /// Artifacts were replaced by references; `written` of them were new to the store, and the
    /// bytes of others may have been given up.
    pub fn extracted(&self, extraction: &Extraction, written: usize) {
        add(&self.references, extraction.moves.len());
        add(&self.stored, written);
        let dropped = extraction.moves.iter().filter(|of| !of.stored);
        let digests: BTreeSet<_> = dropped.map(|of| of.digest).collect();
        add(&self.dropped, digests.len());
        add(&self.texts, extraction.texts);
        add(&self.mislabelled, extraction.mislabelled);
    }

    /// Artifacts were written to a spool.
    pub fn spooled(&self, artifacts: usize) {
        add(&self.spooled, artifacts);
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

    /// A request went on unmodified because its artifacts could not be stored.
    pub fn forwarded(&self) {
        add(&self.forwarded, 1);
    }

    /// A connection was closed because there are as many as there may be.
    pub fn connection_refused(&self) {
        add(&self.refused_connections, 1);
    }
}

fn add(counter: &AtomicU64, count: usize) {
    counter.fetch_add(count as u64, Ordering::Relaxed);
}

impl fmt::Display for Counters {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let get = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        write!(
            f,
            "requests {}, {} in, {} out; values replaced {}, artifacts stored {}, \
             artifacts dropped {}, texts moved {}, mislabelled files {}, \
             truncated values left alone {}, requests forwarded unmodified {}, \
             connections refused {}, artifacts spooled {}, of these uploaded {}, damaged {}, \
             failed uploads {}",
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
            get(&self.failed_uploads),
        )
    }
}

/// How often the log tells of what comes in floods.
const INTERVAL: Duration = Duration::from_secs(10);

/// Counts what may come in floods, so that the log tells of it seldom, but tells how often it was.
#[derive(Debug, Default)]
pub struct Seldom {
    told: Option<Instant>,
    untold: u64,
}

impl Seldom {
    /// It occurred once more. Returns how often since the log told of it, where it is to tell again.
    pub fn occurred(&mut self) -> Option<u64> {
        self.untold += 1;
        let now = Instant::now();
        if self.told.is_some_and(|told| now < told + INTERVAL) {
            return None;
        }
        self.told = Some(now);
        Some(std::mem::take(&mut self.untold))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_flood_is_told_once_in_an_interval_with_its_number() {
        let mut flood = Seldom::default();
        assert_eq!(flood.occurred(), Some(1));
        for _ in 0..1000 {
            assert_eq!(flood.occurred(), None);
        }
        tokio::time::advance(INTERVAL).await;
        assert_eq!(flood.occurred(), Some(1001));
        assert_eq!(flood.occurred(), None);
    }
}
