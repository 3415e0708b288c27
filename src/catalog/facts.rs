use jiff::Timestamp;
use slimspan_artifact::Digest;

use super::entry::{Entry, State};
use super::ids::{SpanId, TraceId};

/// What is known of one artifact. Its places are a [page](super::Page) of the entries with its digest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ArtifactFacts {
    /// Its name.
    pub digest: Digest,
    /// What its bytes show to be; what a sender says, where that alone is known.
    pub content_type: String,
    /// Its bytes, or what is said of them.
    pub size: u64,
    /// What the newest payload that gives it a name calls it.
    pub file_name: Option<String>,
    /// The best that is known of where its bytes are.
    pub state: State,
    /// How many places refer to it.
    pub references: u64,
    /// The time of the oldest of these.
    pub first: Timestamp,
    /// The time of the newest.
    pub last: Timestamp,
}

/// The artifacts of a trace, span by span.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TraceArtifacts {
    /// Which trace.
    pub trace: TraceId,
    /// Its spans that have artifacts, in the order in which they began. Log records of the trace are with
    /// their span; those without one are together at their time.
    pub spans: Vec<TracedSpan>,
    /// Whether the trace has more than is shown here.
    pub is_cut: bool,
}

/// A span and its artifacts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TracedSpan {
    /// Which span; none for log records without one.
    pub span: Option<SpanId>,
    /// What it is called.
    pub name: String,
    /// Whose it is.
    pub service: String,
    /// When it began.
    pub time: Timestamp,
    /// What refers to artifacts in it.
    pub entries: Vec<Entry>,
}

/// What there is to choose from, with how many entries each has: the most first.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Menus {
    /// Services.
    pub services: Vec<Count>,
    /// Content types.
    pub content_types: Vec<Count>,
    /// Tenants that may be seen.
    pub tenants: Vec<Count>,
    /// All entries that may be seen.
    pub entries: u64,
}

/// A choice, and how many entries it has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Count {
    /// What it is.
    pub value: String,
    /// How many.
    pub entries: u64,
}
