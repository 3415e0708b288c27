//! What an attempt says of a backend.

use super::super::tries::Later;
use crate::exporters::delivery::Delivered;
use crate::refusal::Refusal;

/// What a backend said of a request.
#[derive(Debug, Clone, Copy)]
pub(super) enum Said {
    /// It took it, or what it does not take of it has its end elsewhere.
    Answered,
    /// It may take it another time.
    Later(Later),
    /// That was slimspan, which failed at it; or it lets nobody in.
    Nothing,
}

impl Said {
    pub(super) fn of(outcome: &Result<Delivered, Refusal>) -> Self {
        match outcome {
            Err(refusal) if refusal.is_fault() => Self::Nothing,
            Err(refusal) if refusal.is_retryable() => Self::Later(Later::of(refusal)),
            Err(refusal) if refusal.is_outage() => Self::Nothing,
            _ => Self::Answered,
        }
    }
}
