//! What is shown to a person in a terminal.
//!
//! Telemetry is written by strangers, so a [`Page`] escapes every piece of text it takes: an
//! attribute cannot move the cursor, change colours or fake a line.

mod excerpt;
mod page;
mod reference;

pub use excerpt::{bytes_excerpt, excerpt, hex, middle_cut};
pub use page::{Page, Piece, Style, escaped, is_unsafe};
pub use reference::{PLACEHOLDER, Reference, replace_references};
