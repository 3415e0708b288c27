//! What slimspan says of itself: its log, and what it counts.
//!
//! Counters are atomic numbers that live as long as the process; what is only known by a look (how
//! much waits, whether a store is asked) is [looked at](Sights) when somebody asks for it. Nothing here
//! holds a word of what was sent: names come from the configuration or from fixed lists.

mod attribute;
mod cataloguing;
pub mod config;
mod connections;
mod counters;
mod exporting;
mod finding;
mod forms;
mod ignoring;
mod latency;
pub mod logs;
pub mod metrics;
pub mod otlp;
mod passing;
mod phase;
pub mod readers;
mod receiving;
mod recent;
mod resource;
mod seldom;
mod serving;
mod sights;
mod sizes;
mod storing;
pub mod traces;
pub mod views;

pub use cataloguing::{CatalogCounts, Catalogued};
pub use connections::{Connection, Cut};
pub use counters::Counters;
pub use exporting::{Attempt, ExporterCounts, InFlight};
pub use finding::{Findings, Medium};
pub use ignoring::{Ignored, Spelling};
pub use latency::{Latency, Spread};
pub use passing::{BatchCounts, LimiterCounts, PipelineCounts, TenantCounts};
pub use phase::Phase;
pub(crate) use receiving::Watch;
pub use receiving::{ProcessorCounts, ReceiverCounts};
pub use recent::{Outcome, Recent, Told};
pub use seldom::Seldom;
pub use serving::ServerCounts;
pub use sights::{Lately, MemorySight, QueueSight, Sight, Sights, SpoolSight, StoreSight};
pub use sizes::Sizes;
pub use storing::{Action, Reason, StoreCounts};

use std::sync::atomic::{AtomicU64, Ordering};

use slimspan_proto::Signal;

/// Something for each signal, such as a number.
#[derive(Debug, Default)]
pub(crate) struct BySignal<T = AtomicU64>([T; Signal::ALL.len()]);

impl<T> BySignal<T> {
    pub(crate) fn of(&self, signal: Signal) -> &T {
        let [traces, metrics, logs, profiles] = &self.0;
        match signal {
            Signal::Traces => traces,
            Signal::Metrics => metrics,
            Signal::Logs => logs,
            Signal::Profiles => profiles,
        }
    }
}

impl BySignal {
    pub(crate) fn add(&self, signal: Signal, count: u64) {
        self.of(signal).fetch_add(count, Ordering::Relaxed);
    }

    pub(crate) fn get(&self, signal: Signal) -> u64 {
        self.of(signal).load(Ordering::Relaxed)
    }
}

/// Adds to a counter.
fn add(counter: &AtomicU64, count: usize) {
    counter.fetch_add(count as u64, Ordering::Relaxed);
}

/// What a counter says now.
fn get(counter: &AtomicU64) -> u64 {
    counter.load(Ordering::Relaxed)
}
