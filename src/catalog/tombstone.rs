use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use slimspan_artifact::Digest;

use super::ids::{EntryId, TraceId};
use super::text;
use crate::tenant::TenantId;

/// What was deleted, when and why. It hides every entry that was recorded up to its time.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tombstone {
    /// What tells it from others.
    #[serde(with = "text")]
    pub id: EntryId,
    /// When it was deleted.
    #[serde(with = "text::time")]
    pub time: Timestamp,
    /// Whose it was.
    pub tenant: TenantId,
    /// What was deleted.
    #[serde(flatten)]
    pub deleted: Deleted,
    /// Why, in the words of who did it.
    pub reason: String,
}

/// What was deleted of a tenant's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(tag = "deleted", rename_all = "lowercase")]
pub enum Deleted {
    /// One artifact, with all references to it.
    Artifact {
        /// Which.
        #[serde(rename = "sha256", with = "text")]
        digest: Digest,
    },
    /// The references of one trace, and the artifacts that nothing else refers to.
    Trace {
        /// Which.
        #[serde(rename = "trace_id", with = "text")]
        trace: TraceId,
    },
    /// Everything.
    Tenant,
}
