//! What a request may cost: depth, entries, and memory.

use super::Reader;
use crate::json::problem::{JsonError, Problem};
use crate::json::table::Message;
use crate::wire::DEEPEST;

/// What a request may cost.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// How many messages may stand inside each other. An item with more is rejected.
    pub max_depth: usize,
    /// How many entries a request may have, counted as [`check`](crate::check()) counts them.
    pub max_entries: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            max_depth: DEEPEST,
            max_entries: usize::MAX,
        }
    }
}

/// What memory for a message is asked for at a time: the least.
const STEP: usize = 64 << 10;

impl Reader<'_> {
    /// Makes sure that there is memory for what is written. Only numbers in arrays take more than they do
    /// in the text, where a comma is all there is around them.
    pub(super) fn grow(&mut self) -> Result<(), JsonError> {
        if self.out.bytes.len() <= self.charged {
            return Ok(());
        }
        let step = STEP.max(self.charged / 2);
        if !(self.more)(step) {
            return Err(Problem::NoMemory(self.charged + step).at(self.text.at));
        }
        self.charged += step;
        Ok(())
    }

    pub(super) fn afford(&mut self, message: &Message) -> Result<(), JsonError> {
        self.spend(message.cost)
    }

    pub(super) fn spend(&mut self, cost: usize) -> Result<(), JsonError> {
        self.cost += cost;
        if self.cost > self.max_cost {
            return Err(Problem::TooMany.at(self.text.at));
        }
        Ok(())
    }
}
