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
use crate::joining::Divided;
use crate::refusal::{Culprit, Refusal};

/// The most requests of one odd item each. What is left is refused as they were together.
const ALONE: usize = 100;

/// What goes apart, and how.
#[derive(Debug, Clone, Copy)]
pub struct Apart<'a> {
    /// Ranges of items, which ascend.
    pub isolated: &'a [Range<usize>],
    /// What the sender does with the request where it is refused as a whole.
    pub divided: Divided,
    /// When the sender stops waiting for those.
    pub deadline: Instant,
    /// What copies are charged to.
    pub budget: &'a Budget,
}

/// Sends `request` by `send`, in several requests where items of it go `apart`. `send` is told what is done with
/// what is refused, and `not_sent` how many items were refused together and are not sent alone.
pub async fn send_apart<F>(
    signal: Signal,
    request: Bytes,
    apart: Apart<'_>,
    send: impl Fn(Bytes, Divided) -> F,
    not_sent: impl Fn(usize),
) -> Result<Answer, Refusal>
where
    F: Future<Output = Result<Answer, Refusal>>,
{
    let Apart {
        isolated,
        divided,
        deadline,
        budget,
    } = apart;
    if isolated.is_empty() {
        return send(request, divided).await;
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
    let weight =
        |range: &Range<usize>| -> usize { range.clone().map(|index| items.weight(index)).sum() };
    let weights = |ranges: &[Range<usize>]| -> usize { ranges.iter().map(weight).sum() };
    let mut is_any_sound = (0..items.len()).any(|index| !is_odd(index));
    let mut answer = Answer::success();
    if is_any_sound {
        // First, because they matter more. Where these are refused, nothing was delivered.
        let sound = items.carve(|index| !is_odd(index));
        // The odd ones are handed back with them.
        answer =
            (send(sound, Divided::Never).await).inspect_err(|_| not_sent(weights(isolated)))?;
    }
    let divided = if isolated.len() > 1 {
        Divided::IntoItems
    } else {
        Divided::Never
    };
    let odd = send(items.carve(is_odd), divided);
    let together = match in_time(deadline, odd).await {
        Ok(of_odd) => return Ok(answer.and(of_odd)),
        // They can be delivered later. That the rest is delivered twice then is less than a loss.
        Err(refusal) if refusal.is_retryable() => return Err(refusal),
        Err(refusal) => refusal,
    };

    // The only one was alone already, and counts as that.
    let is_only = isolated.len() == 1;
    let tried = if is_only {
        0
    } else {
        isolated.len().min(ALONE)
    };
    let (alone, rest) = isolated.split_at(tried);
    let mut refused = 0;
    let mut reason = None;
    for (sent, range) in alone.iter().enumerate() {
        let only = items.carve(|index| range.contains(&index));
        match in_time(deadline, send(only, Divided::Never)).await {
            Ok(of_range) => {
                is_any_sound = true;
                answer = answer.and(of_range);
            }
            Err(refusal) if refusal.is_retryable() => {
                not_sent(weights(isolated.get(sent + 1..).unwrap_or_default()));
                return Err(refusal);
            }
            Err(refusal) => {
                refused += weight(range);
                reason = reason.or(Some(refusal));
            }
        }
    }
    let rest_weighs = weights(rest);
    refused += rest_weighs;
    if !is_only {
        not_sent(rest_weighs);
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

#[cfg(test)]
#[expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]
mod tests {
    use std::slice;
    use std::sync::Mutex;
    use std::time::Duration;

    use slimspan_generators::wire::nested;

    use super::*;
    use crate::admission::Limits;

    const SIZE: usize = 500 << 10;

    const ODD: Range<usize> = 1..2;

    /// A span with a large name, and an odd one behind it.
    fn request() -> Bytes {
        let sound = nested(&[1, 2, 2, 5], vec![b'x'; SIZE]);
        let odd = nested(&[1, 2, 2, 5], b"\xff");
        [sound, odd].concat().into()
    }

    fn budget() -> Budget {
        Budget::new(Limits {
            limit_mib: 4,
            spike_mib: 1,
        })
    }

    fn apart<'a>(budget: &'a Budget, isolated: &'a [Range<usize>]) -> Apart<'a> {
        Apart {
            isolated,
            divided: Divided::Never,
            deadline: Instant::now() + Duration::from_secs(10),
            budget,
        }
    }

    #[tokio::test]
    async fn the_copy_is_charged_as_long_as_it_is_sent() {
        let (budget, request) = (budget(), request());
        let sent = Mutex::new(Vec::new());
        let take = async |part: Bytes, _: Divided| {
            sent.lock().unwrap().push((part.len(), budget.in_flight()));
            Ok(Answer::success())
        };
        let apart_now = apart(&budget, slice::from_ref(&ODD));
        let answer = send_apart(Signal::Traces, request.clone(), apart_now, &take, |_| {}).await;
        assert_eq!(answer, Ok(Answer::success()));
        assert_eq!(budget.in_flight(), 0, "given back");
        // Nothing is copied of what goes as it is.
        let whole = apart(&budget, &[]);
        let answer = send_apart(Signal::Traces, request.clone(), whole, &take, |_| {}).await;
        assert_eq!(answer, Ok(Answer::success()));
        let sent = sent.into_inner().unwrap();
        let [(sound, first), (odd, second), (all, last)] = sent[..] else {
            panic!("{sent:?}");
        };
        assert_eq!((sound + odd, all), (request.len(), request.len()));
        assert!(first >= request.len() as u64, "{first}");
        assert!(second >= request.len() as u64, "{second}");
        assert_eq!(last, 0);
    }

    #[tokio::test(start_paused = true)]
    async fn without_memory_for_a_copy_nothing_is_sent() {
        let (budget, request) = (budget(), request());
        let mut others = budget.lease_for_copy();
        let most = usize::try_from(budget.limit()).unwrap() - SIZE / 2;
        others.charge_ahead(most).await.unwrap();
        let apart_now = apart(&budget, slice::from_ref(&ODD));
        let never = async |_: Bytes, _: Divided| panic!("sent without memory for it");
        let refused = send_apart(Signal::Traces, request.clone(), apart_now, never, |_| {}).await;
        let refused = refused.unwrap_err();
        assert!(refused.is_retryable(), "{refused}");
        let told = refused.to_string();
        assert!(told.contains("memory_limiter.limit_mib"), "{told}");
        drop(others);
        let send = async |_: Bytes, _: Divided| Ok(Answer::success());
        let apart_now = apart(&budget, slice::from_ref(&ODD));
        let answer = send_apart(Signal::Traces, request, apart_now, send, |_| {}).await;
        assert_eq!(answer, Ok(Answer::success()));
        assert_eq!(budget.in_flight(), 0);
    }
}
