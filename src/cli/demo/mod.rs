//! `slimspan demo`: sends a few spans with files in them and shows what became of them.

mod cases;
mod changes;
mod report;
mod savings;

pub use cases::{DemoCase, cases};
pub use report::{DemoOutcome, StoredArtifact, report};
