use slimspan_proto::Signal;

use super::BySignal;

/// Members of requests in JSON that OTLP does not have. They are ignored, as it wants it.
#[derive(Debug, Default)]
pub struct Ignored {
    snake_case: BySignal,
    other: BySignal,
}

/// How such a member is spelled: its name is the sender's, and is told nobody.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Spelling {
    /// As one that OTLP has, with underscores: its sender meant that one, and what it holds is lost.
    SnakeCase,
    /// As none that OTLP has.
    Other,
}

impl Spelling {
    /// All there are.
    pub const ALL: [Self; 2] = [Self::SnakeCase, Self::Other];

    /// Its name, for programs.
    pub fn name(self) -> &'static str {
        match self {
            Self::SnakeCase => "snake_case",
            Self::Other => "other",
        }
    }
}

impl Ignored {
    /// So many members of a request were ignored.
    pub fn add(&self, signal: Signal, spelling: Spelling, members: usize) {
        self.of(spelling).add(signal, members as u64);
    }

    pub(crate) fn get(&self, signal: Signal, spelling: Spelling) -> u64 {
        self.of(spelling).get(signal)
    }

    fn of(&self, spelling: Spelling) -> &BySignal {
        match spelling {
            Spelling::SnakeCase => &self.snake_case,
            Spelling::Other => &self.other,
        }
    }
}
