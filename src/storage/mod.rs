//! Where artifacts are kept: a local folder, S3, GCS, Azure or memory.
//!
//! An artifact stands under its SHA-256, so equal bytes are one object, a put can be repeated
//! without harm, and a reference is known before anything is uploaded.

mod abandoned;
mod breaker;
mod bucket;
mod cloud;
pub mod config;
mod error;
mod flights;
mod folder;
#[cfg(test)]
pub(crate) mod gated;
mod google;
mod known;
mod layout;
mod leftovers;
mod location;
#[cfg(test)]
pub(crate) mod meddled;
mod open;
mod pace;
mod recollections;
mod retry;
mod s3;
pub mod spool;
mod store;
mod together;

pub use abandoned::{Abandoned, abandoned};
pub use bucket::{Bucket, BucketError, Listed};
pub use config::StoreConfig;
pub use error::{Action, OpenError, StoreError};
pub use s3::{LifecycleRule, LifecycleRules, lifecycle_rules};
pub(crate) use spool::Fate;
pub use spool::Spool;
pub use store::{Incoming, KeepError, Kept, ListError, ListedArtifact, ObjectFacts, Store, Stored};
