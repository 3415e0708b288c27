//! Which span refers to which artifact.
//!
//! Every reference that slimspan makes is an [`Entry`]: a line of JSON in append-only objects under
//! `catalog/` in the artifacts' own bucket. Replicas share nothing but these objects. What answers
//! questions is an [`Index`] of them on the disk of a machine, which can be thrown away at any time.

mod compact;
pub mod config;
mod entry;
mod erase;
mod error;
mod facts;
mod filter;
mod follower;
pub mod gc;
mod ids;
pub mod index;
mod layout;
mod places;
mod put;
pub mod recorder;
mod text;
mod tombstone;
mod withheld;

pub use compact::{Compacted, Compaction};
pub use entry::{Entry, State};
pub use erase::{Erased, Erasing};
pub use error::CatalogError;
pub use facts::{ArtifactFacts, Count, Menus, TraceArtifacts, TracedSpan};
pub use filter::{Cursor, Filter, MAX_PAGE, Page, Tenants, TypePattern};
pub use follower::{Catalog, Reach, Synced};
pub use gc::Gc;
pub use ids::{EntryId, InvalidId, SpanId, TraceId};
pub use index::Index;
pub use places::Taken;
pub use put::PutFile;
pub(crate) use recorder::KEEPING;
pub use recorder::{Recorder, RoomForClaims};
pub use tombstone::{Deleted, KeptBack, Tombstone};
pub use withheld::Withholding;

use std::path::{Path, PathBuf};

use crate::storage::Bucket;

/// The file of the index, in the folder that a machine has for the catalog.
const INDEX: &str = "index.sqlite";

/// Where in `directory` a machine keeps what belongs to the catalog of `bucket`.
fn folder(directory: &Path, bucket: &Bucket) -> PathBuf {
    let place = blake3::hash(bucket.to_string().as_bytes()).to_hex();
    directory.join(place.get(..16).unwrap_or_default())
}
