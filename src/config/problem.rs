//! A mistake that is known by its path and has yet to be given a place.

use super::de;
use super::path::KeyPath;

/// A mistake in the tree of the configuration.
#[derive(Debug, PartialEq)]
pub(super) struct Problem {
    /// The value whose place is shown.
    pub(super) culprit: KeyPath,
    /// The path that is shown.
    pub(super) path: String,
    /// What is wrong and what would be right.
    pub(super) message: String,
}

impl Problem {
    /// A mistake in the value at `path`.
    pub(super) fn at(path: &KeyPath, message: impl Into<String>) -> Self {
        Self {
            culprit: path.clone(),
            path: path.to_string(),
            message: message.into(),
        }
    }

    /// A mistake somewhere under `path`.
    pub(super) fn under(path: &KeyPath, error: de::Error) -> Self {
        let (steps, message, is_unknown_key) = error.into_parts();
        let culprit = path.join(steps);
        // The Collector names the mapping, and in the message the key.
        let shown = if is_unknown_key {
            culprit.parent()
        } else {
            culprit.clone()
        };
        Self {
            path: shown.to_string(),
            culprit,
            message,
        }
    }
}
