//! A mistake that is known by its path and has yet to be given a line.

use super::path::KeyPath;

/// A mistake in the tree of the configuration.
#[derive(Debug, PartialEq)]
pub(super) struct Problem {
    /// The value whose line is shown.
    pub(super) culprit: KeyPath,
    /// The path that is shown.
    pub(super) path: KeyPath,
    /// What is wrong and what would be right.
    pub(super) message: String,
}

impl Problem {
    /// A mistake in the value at `path`.
    pub(super) fn at(path: KeyPath, message: impl Into<String>) -> Self {
        Self {
            culprit: path.clone(),
            path,
            message: message.into(),
        }
    }
}
