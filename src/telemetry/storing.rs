use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use super::{CatalogCounts, Latency, add};

/// What became of attempts to use one store.
#[derive(Debug, Default)]
pub struct StoreCounts {
    /// The store's id.
    pub(crate) store: String,
    /// Artifacts that it took, repetitions included.
    pub(crate) puts: AtomicU64,
    /// Their bytes.
    pub(crate) put_bytes: AtomicU64,
    /// What an attempt to put took, whatever came of it.
    pub(crate) latency: Latency,
    /// Of its catalog.
    pub(crate) catalog: CatalogCounts,
    failures: [[AtomicU64; Reason::ALL.len()]; Action::ALL.len()],
    /// Whether the last attempt to put showed that it is away.
    failed_last: AtomicBool,
}

/// What was asked of the store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// To take an artifact.
    Put,
    /// To give it back.
    Get,
    /// To forget the parts of one that does not come whole.
    Abort,
}

impl Action {
    /// All there are, in the order of their declaration.
    pub const ALL: [Self; 3] = [Self::Put, Self::Get, Self::Abort];

    /// Its name, for programs.
    pub fn name(self) -> &'static str {
        match self {
            Self::Put => "put",
            Self::Get => "get",
            Self::Abort => "abort",
        }
    }
}

/// Why the store did not do what it was asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reason {
    /// It had no more time.
    TimedOut,
    /// It did not answer one attempt.
    Silent,
    /// It failed before and was not asked.
    NotAsked,
    /// Its clock and ours differ.
    ClockSkew,
    /// It is away, overloaded or full.
    Unavailable,
    /// It does not allow it.
    Denied,
    /// It cannot work as configured.
    Misconfigured,
    /// It has no such artifact.
    NotFound,
    /// It gave other bytes.
    Corrupt,
}

impl Reason {
    /// All there are, in the order of their declaration.
    pub const ALL: [Self; 9] = [
        Self::TimedOut,
        Self::Silent,
        Self::NotAsked,
        Self::ClockSkew,
        Self::Unavailable,
        Self::Denied,
        Self::Misconfigured,
        Self::NotFound,
        Self::Corrupt,
    ];

    /// Its name, for programs.
    pub fn name(self) -> &'static str {
        match self {
            Self::TimedOut => "timed_out",
            Self::Silent => "silent",
            Self::NotAsked => "not_asked",
            Self::ClockSkew => "clock_skew",
            Self::Unavailable => "unavailable",
            Self::Denied => "denied",
            Self::Misconfigured => "misconfigured",
            Self::NotFound => "not_found",
            Self::Corrupt => "corrupt",
        }
    }
}

impl StoreCounts {
    /// Nothing yet of the store of this id.
    pub(super) fn of(id: &str) -> Self {
        Self {
            store: id.to_owned(),
            ..Self::default()
        }
    }

    /// What became of the entries of its catalog.
    pub fn catalogued(&self) -> super::Catalogued {
        self.catalog.read()
    }

    /// It took an artifact of so many bytes.
    pub fn put(&self, bytes: usize) {
        add(&self.puts, 1);
        add(&self.put_bytes, bytes);
        self.failed_last.store(false, Ordering::Relaxed);
    }

    /// Whether no attempt to put has worked since one showed that it is away.
    pub fn failed_last(&self) -> bool {
        self.failed_last.load(Ordering::Relaxed)
    }

    /// It did not do what it was asked.
    pub fn failed(&self, action: Action, reason: Reason) {
        add(self.failures_of(action, reason), 1);
        let away = matches!(
            reason,
            Reason::TimedOut | Reason::Silent | Reason::Unavailable
        );
        if action == Action::Put && away {
            self.failed_last.store(true, Ordering::Relaxed);
        }
    }

    pub(crate) fn failures_of(&self, action: Action, reason: Reason) -> &AtomicU64 {
        let [puts, gets, aborts] = &self.failures;
        let of = match action {
            Action::Put => puts,
            Action::Get => gets,
            Action::Abort => aborts,
        };
        &of[reason as usize]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::telemetry::get;

    #[test]
    fn every_reason_has_its_own_counter() {
        let counts = StoreCounts::default();
        for (number, reason) in Reason::ALL.into_iter().enumerate() {
            assert_eq!(reason as usize, number);
            counts.failed(Action::Get, reason);
            assert_eq!(get(counts.failures_of(Action::Get, reason)), 1);
            assert_eq!(get(counts.failures_of(Action::Put, reason)), 0);
        }
    }
}
