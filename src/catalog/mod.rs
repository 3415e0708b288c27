//! Which span refers to which artifact.
//!
//! Every reference that slimspan makes is an [`Entry`]: a line of JSON in append-only objects under
//! `catalog/` in the artifacts' own bucket. Replicas share nothing but these objects. What answers
//! questions is an [`Index`] of them on the disk of a machine, which can be thrown away at any time.

mod entry;
mod error;
mod facts;
mod filter;
mod ids;
pub mod index;
mod text;
mod tombstone;

pub use entry::{Entry, State};
pub use error::CatalogError;
pub use facts::{ArtifactFacts, Count, Menus, TraceArtifacts, TracedSpan};
pub use filter::{Cursor, Filter, MAX_PAGE, Page, Tenants, TypePattern};
pub use ids::{EntryId, InvalidId, SpanId, TraceId};
pub use index::Index;
pub use tombstone::{Deleted, Tombstone};
