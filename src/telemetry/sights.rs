use std::fmt::Debug;
use std::time::{Duration, Instant};

/// What can only be seen by a look at what runs.
pub trait Sights: Debug + Send + Sync {
    /// How it looks now.
    fn look(&self) -> Sight;
}

/// How things look at one moment.
#[derive(Debug, Clone, Default)]
pub struct Sight {
    /// The queues of exporters.
    pub queues: Vec<QueueSight>,
    /// The stores for artifacts.
    pub stores: Vec<StoreSight>,
    /// The memory for requests.
    pub memory: MemorySight,
}

/// A queue.
#[derive(Debug, Clone)]
pub struct QueueSight {
    /// Whose it is.
    pub exporter: String,
    /// How much is in it, in the unit of its `sizer`.
    pub size: u64,
    /// How much can be in it.
    pub capacity: u64,
    /// Whether it had no room for a request lately, and has none for it yet.
    pub is_full: bool,
}

/// A store.
#[derive(Debug, Clone)]
pub struct StoreSight {
    /// Its id.
    pub store: String,
    /// Whether attempts to reach it failed lately, so that it is not asked any more.
    pub failing: bool,
    /// What stands in front of it, if anything does.
    pub spool: Option<SpoolSight>,
}

/// A spool.
#[derive(Debug, Clone, Copy)]
pub struct SpoolSight {
    /// Artifacts that wait for the store.
    pub artifacts: u64,
    /// Their size.
    pub bytes: u64,
    /// The disk space that it may take.
    pub limit: u64,
    /// Whether it could not take an artifact lately.
    pub is_full: bool,
    /// How long the first of them has waited, at least: of those from an earlier run it is not known
    /// when they came.
    pub oldest: Option<Duration>,
}

/// The memory of requests in flight, in bytes.
#[derive(Debug, Clone, Copy, Default)]
pub struct MemorySight {
    /// What they take now.
    pub in_flight: u64,
    /// What they may take.
    pub limit: u64,
}

/// Whether something happened a short while ago.
///
/// What is not well is asked seldom, and what is not asked shows nothing: a failure that is long ago
/// says no more than that somebody should try again.
#[derive(Debug, Clone, Copy, Default)]
pub struct Lately(Option<Instant>);

impl Lately {
    /// How long it counts.
    pub const WHILE: Duration = Duration::from_secs(30);

    /// It happened now.
    pub fn now() -> Self {
        Self(Some(Instant::now()))
    }

    /// Whether it happened lately.
    pub fn holds(self) -> bool {
        self.0.is_some_and(|at| at.elapsed() < Self::WHILE)
    }
}
