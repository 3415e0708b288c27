use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;

use jiff::Timestamp;
use slimspan_artifact::Digest;

use super::entry::{Entry, State};
use super::ids::{EntryId, SpanId, TraceId};
use crate::tenant::TenantId;

/// The most entries of one page.
pub const MAX_PAGE: usize = 1_000;

/// Which entries are wanted: those that fit all of it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Filter {
    /// Whose entries may be seen.
    pub tenants: Tenants,
    /// Of this trace.
    pub trace: Option<TraceId>,
    /// Of this span.
    pub span: Option<SpanId>,
    /// Of this service, by its whole name.
    pub service: Option<String>,
    /// Of this content type, or of these.
    pub content_type: Option<TypePattern>,
    /// From this time on.
    pub since: Option<Timestamp>,
    /// Before this time.
    pub until: Option<Timestamp>,
    /// Of at least so many bytes.
    pub min_size: Option<u64>,
    /// Of at most so many bytes.
    pub max_size: Option<u64>,
    /// That lead to this artifact.
    pub digest: Option<Digest>,
    /// Of this signal.
    pub signal: Option<String>,
    /// With this text in the name of the span or of the file, in any case of ASCII letters.
    pub name: Option<String>,
    /// In this state.
    pub state: Option<State>,
}

/// Whose entries may be seen.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Tenants {
    /// Everybody's.
    #[default]
    All,
    /// Those of these.
    These(BTreeSet<TenantId>),
}

impl Tenants {
    /// Those of one alone.
    pub fn one(tenant: TenantId) -> Self {
        Self::These([tenant].into())
    }

    /// Whether entries of `tenant` may be seen.
    pub fn include(&self, tenant: &TenantId) -> bool {
        match self {
            Self::All => true,
            Self::These(tenants) => tenants.contains(tenant),
        }
    }
}

/// A content type such as `image/png`, or all of a kind: `image/*`. Letters are lower case.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TypePattern {
    /// This one.
    Exact(String),
    /// All that begin like this, the slash included.
    Kind(String),
}

impl TypePattern {
    /// Reads `image/png` or `image/*`.
    pub fn new(text: &str) -> Self {
        let text = text.to_ascii_lowercase();
        match text.strip_suffix('*') {
            Some(kind) if kind.ends_with('/') => Self::Kind(kind.to_owned()),
            _ => Self::Exact(text),
        }
    }

    /// Whether a content type is one of these.
    pub fn fits(&self, content_type: &str) -> bool {
        match self {
            Self::Exact(exact) => content_type == exact,
            Self::Kind(kind) => content_type.starts_with(kind.as_str()),
        }
    }
}

impl fmt::Display for TypePattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exact(exact) => f.write_str(exact),
            Self::Kind(kind) => write!(f, "{kind}*"),
        }
    }
}

/// Where a page ended: the next one begins behind it. It means the same to every replica.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cursor {
    /// In microseconds.
    pub(super) time: i64,
    pub(super) position: u32,
    pub(super) id: EntryId,
}

impl Cursor {
    /// Behind this entry.
    pub fn behind(entry: &Entry) -> Self {
        Self {
            time: entry.time.as_microsecond(),
            position: entry.position,
            id: entry.id,
        }
    }
}

impl fmt::Display for Cursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}.{}", self.time, self.position, self.id)
    }
}

/// The text is no cursor.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("this is no cursor: use one that a page ended with, or none to begin")]
pub struct InvalidCursor;

impl FromStr for Cursor {
    type Err = InvalidCursor;

    fn from_str(text: &str) -> Result<Self, InvalidCursor> {
        let (time, rest) = text.split_once('.').ok_or(InvalidCursor)?;
        let (position, id) = rest.split_once('.').ok_or(InvalidCursor)?;
        Ok(Self {
            time: time.parse().map_err(|_| InvalidCursor)?,
            position: position.parse().map_err(|_| InvalidCursor)?,
            id: id.parse().map_err(|_| InvalidCursor)?,
        })
    }
}

/// Some of the entries that were asked for, newest first, and those of one span in their order there.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Page {
    /// The entries.
    pub entries: Vec<Entry>,
    /// Where the next page begins, if there is one.
    pub next: Option<Cursor>,
}
