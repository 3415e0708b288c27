//! Whose doing a refusal is.

use std::fmt;

/// Whose doing it is that a request was not accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Culprit {
    /// The request itself.
    Sender,
    /// This process: its limits, its shutdown, its faults.
    Slimspan,
    /// The store for artifacts.
    Store,
    /// What an exporter sends to.
    Backend,
}

impl Culprit {
    /// All there are, in the order of their declaration.
    pub const ALL: [Self; 4] = [Self::Sender, Self::Slimspan, Self::Store, Self::Backend];

    /// Its name, for people and programs.
    pub fn name(self) -> &'static str {
        match self {
            Self::Sender => "sender",
            Self::Slimspan => "slimspan",
            Self::Store => "store",
            Self::Backend => "backend",
        }
    }
}

impl fmt::Display for Culprit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
