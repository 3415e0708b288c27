//! Values that must not show up in logs.

use std::cell::Cell;
use std::fmt;

use schemars::JsonSchema;
use serde::ser::Serializer;
use serde::{Deserialize, Serialize};

thread_local! {
    /// Whether secrets are written as they are.
    static EXPOSED: Cell<bool> = const { Cell::new(false) };
}

/// A password, token or key. It shows as `[REDACTED]`.
#[derive(Clone, PartialEq, Eq, Deserialize, JsonSchema)]
pub struct Secret(String);

impl Secret {
    /// What is shown of one.
    pub(crate) const REDACTED: &str = "[REDACTED]";

    /// Whether secrets are written as they are at the moment.
    pub(crate) fn is_exposed() -> bool {
        EXPOSED.get()
    }

    /// Hides a value.
    pub fn new(value: String) -> Self {
        Self(value)
    }

    /// The value itself, for the one place that has to send it.
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// Runs `write`, in which secrets are serialised as they are: for who asks to see them.
    pub(crate) fn exposed<T>(write: impl FnOnce() -> T) -> T {
        let before = EXPOSED.replace(true);
        let written = write();
        EXPOSED.set(before);
        written
    }
}

impl Serialize for Secret {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(if Self::is_exposed() {
            &self.0
        } else {
            Self::REDACTED
        })
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(Self::REDACTED)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shows_only_when_asked() {
        let secret = Secret::new("hunter2".to_owned());
        assert_eq!(
            format!("{secret:?} {:?}", Some(&secret)),
            "[REDACTED] Some([REDACTED])"
        );
        assert_eq!(secret.expose(), "hunter2");
        let written = || serde_json::to_string(&secret).unwrap_or_default();
        assert_eq!(Secret::exposed(written), "\"hunter2\"");
        assert_eq!(written(), "\"[REDACTED]\"");
    }
}
