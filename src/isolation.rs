//! Sends the odd items of a request apart from the sound ones.
//!
//! A text that is not UTF-8 is taken by some backends and refused by others, with all that came with
//! it. All odd items go together in a request of their own; where that is refused, each goes alone,
//! and the sender is told of those that are refused even so.

use std::ops::Range;

use bytes::Bytes;
use slimspan_proto::{Items, Signal};
use tokio::time::{Instant, timeout_at};

use crate::admission::Budget;
use crate::answer::Answer;
use crate::refusal::{Culprit, Refusal};

/// The most requests of one odd item each. What is left is refused as they were together.
const ALONE: usize = 100;

/// What goes apart, and how.
#[derive(Debug, Clone, Copy)]
pub struct Apart<'a> {
    /// Ranges of items, which ascend.
    pub isolated: &'a [Range<usize>],
    /// When the sender stops waiting for those.
    pub deadline: Instant,
    /// What copies are charged to.
    pub budget: &'a Budget,
}

/// Sends `request` by `send`, in several requests where items of it go `apart`.
pub async fn send_apart<F>(
    signal: Signal,
    request: Bytes,
    apart: Apart<'_>,
    send: impl Fn(Bytes) -> F,
) -> Result<Answer, Refusal>
where
    F: Future<Output = Result<Answer, Refusal>>,
{
    let Apart {
        isolated,
        deadline,
        budget,
    } = apart;
    if isolated.is_empty() {
        return send(request).await;
    }
    // There is one copy at a time, of a part of it: of what is sound, of what is odd, of one place.
    let mut lease = budget.lease_for_copy();
    lease.charge_ahead(request.len()).await?;
    let items = Items::read(signal, &request)?;
    let is_odd = |index: usize| {
        let after = isolated.partition_point(|range| range.start <= index);
        let range = after.checked_sub(1).and_then(|last| isolated.get(last));
        range.is_some_and(|range| range.contains(&index))
    };
    let mut is_any_sound = (0..items.len()).any(|index| !is_odd(index));
    let mut answer = Answer::success();
    if is_any_sound {
        // First, because they matter more. Where these are refused, nothing was delivered.
        answer = send(items.carve(|index| !is_odd(index))).await?;
    }
    let together = match in_time(deadline, send(items.carve(is_odd))).await {
        Ok(of_odd) => return Ok(answer.and(of_odd)),
        // They can be delivered later. That the rest is delivered twice then is less than a loss.
        Err(refusal) if refusal.is_retryable() => return Err(refusal),
        Err(refusal) => refusal,
    };

    let weight =
        |range: &Range<usize>| -> usize { range.clone().map(|index| items.weight(index)).sum() };
    let mut refused = 0;
    let mut reason = None;
    for (sent, range) in isolated.iter().enumerate() {
        if sent < ALONE && isolated.len() > 1 {
            let alone = items.carve(|index| range.contains(&index));
            match in_time(deadline, send(alone)).await {
                Ok(of_range) => {
                    is_any_sound = true;
                    answer = answer.and(of_range);
                    continue;
                }
                Err(refusal) if refusal.is_retryable() => return Err(refusal),
                Err(refusal) => reason = reason.or(Some(refusal)),
            }
        }
        refused += weight(range);
    }
    let reason = reason.unwrap_or(together);
    if !is_any_sound {
        return Err(reason);
    }
    let reason =
        format!("sent apart for a text that is not UTF-8, {refused} were refused: {reason}");
    Ok(answer.and(Answer::rejecting(refused, &reason)))
}

async fn in_time(
    deadline: Instant,
    sent: impl Future<Output = Result<Answer, Refusal>>,
) -> Result<Answer, Refusal> {
    timeout_at(deadline, sent).await.unwrap_or_else(|_| {
        Err(Refusal::unavailable(
            Culprit::Backend,
            "texts that are not UTF-8 were sent apart, and the backend did not answer in time",
        ))
    })
}
