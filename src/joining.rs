//! Requests that go as one: how they are joined, what is too much for one, and whose an answer is.
//!
//! OTLP requests are joined by writing one behind the other, so that nothing is decoded.

use std::ops::Range;

use bytes::Bytes;
use slimspan_proto::{Items, Malformed, Signal};

use crate::answer::Answer;
use crate::refusal::Refusal;

/// One request of several: all that OTLP requests have is repeated.
pub fn join(mut parts: Vec<Bytes>) -> Bytes {
    match parts.len() {
        0 | 1 => parts.pop().unwrap_or_default(),
        _ => parts.concat().into(),
    }
}

/// Whether a refusal of several requests that went as one may be about one of them alone, so that halves of
/// them may fare better.
pub fn may_be_about_one(refusal: &Refusal) -> bool {
    refusal.is_for_contents() || refusal.is_fault()
}

/// What whoever sends a request does with it where it is refused. What goes again has not failed yet.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Divided {
    /// It is not divided.
    #[default]
    Never,
    /// It is several requests, and goes in halves where one of them [may be](may_be_about_one) at fault.
    InHalves,
    /// Each of its items goes alone where it is refused for good.
    IntoItems,
}

impl Divided {
    /// Whether what was refused so goes again, in parts.
    pub fn goes_again(self, refusal: &Refusal) -> bool {
        match self {
            Self::Never => false,
            Self::InHalves => may_be_about_one(refusal),
            Self::IntoItems => !refusal.is_retryable(),
        }
    }
}

/// What of an answer to requests that went as one is about each of them, if they have so many items. Which
/// items the backend rejected is not known, so the first ones are told of them: together it is right, and
/// nobody repeats what was accepted.
pub fn shares(items: &[usize], answer: &Answer) -> Vec<Answer> {
    let rejected = answer.rejected().unwrap_or(0);
    if rejected == 0 || items.len() == 1 {
        return vec![answer.clone(); items.len()];
    }
    let why = format!(
        "of a batch with requests of other senders {rejected} items were rejected: {}",
        answer.message()
    );
    let mut left = usize::try_from(rejected).unwrap_or(usize::MAX);
    let share = |of_this: &usize| {
        let of_this = left.min(*of_this);
        left -= of_this;
        match of_this {
            0 => Answer::success(),
            _ => Answer::rejecting(of_this, &why),
        }
    };
    items.iter().map(share).collect()
}

/// The items in pieces of at most `most`, or of one that counts as more.
pub fn ranges(items: &Items, most: usize) -> Vec<Range<usize>> {
    let mut ranges: Vec<Range<usize>> = Vec::new();
    let mut weight = 0;
    for index in 0..items.len() {
        weight += items.weight(index);
        match ranges.last_mut() {
            Some(range) if weight <= most => range.end = index + 1,
            _ => {
                weight = items.weight(index);
                ranges.push(index..index + 1);
            }
        }
    }
    ranges
}

/// A request in pieces of at most so many items.
#[derive(Debug)]
pub struct Pieces {
    items: Items,
    ranges: Vec<Range<usize>>,
}

impl Pieces {
    /// The request in pieces of at most `most` items, or of one that counts as more. Who calls this asks
    /// before whether the signal [is divisible](Signal::is_divisible).
    pub fn of(signal: Signal, request: &Bytes, most: usize) -> Result<Self, Malformed> {
        let items = Items::read(signal, request)?;
        let ranges = ranges(&items, most);
        Ok(Self { items, ranges })
    }

    /// How many there are.
    pub fn count(&self) -> usize {
        self.ranges.len()
    }

    /// The piece at `index`. It is written when it is asked for: together they can be far larger than the
    /// request, where a large resource has to go with each.
    pub fn piece(&self, index: usize) -> Bytes {
        let range = self.ranges.get(index).cloned().unwrap_or_default();
        let chosen: Vec<_> = range.collect();
        self.items.of(&chosen)
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use slimspan_generators::wire::nested;
    use slimspan_proto::count;

    use super::*;

    fn span(name: &str) -> Bytes {
        nested(&[1, 2, 2, 5], name).into()
    }

    #[test]
    fn what_is_joined_has_the_items_of_all() {
        assert_eq!(join(Vec::new()), Bytes::new());
        assert_eq!(join(vec![span("a")]), span("a"));
        let joined = join(vec![span("a"), span("b"), span("c")]);
        assert_eq!(count(Signal::Traces, &joined), 3);
    }

    #[test]
    fn pieces_have_all_items_in_order_and_at_most_so_many_each() {
        let names = ["a", "b", "c", "d", "e"];
        let whole = join(names.map(span).to_vec());
        let pieces = Pieces::of(Signal::Traces, &whole, 2).unwrap();
        let written = (0..pieces.count()).map(|index| pieces.piece(index));
        let written: Vec<_> = written.collect();
        let items: Vec<_> = written.iter().map(|of| count(Signal::Traces, of)).collect();
        assert_eq!(items, [2, 2, 1]);
        let place = |name: &str| {
            let all: Vec<u8> = written.concat();
            all.windows(1).position(|byte| byte == name.as_bytes())
        };
        let places: Vec<_> = names.map(place).into();
        assert!(places.is_sorted() && places.iter().all(Option::is_some));
        let whole = Pieces::of(Signal::Traces, &whole, 5).unwrap();
        assert_eq!(whole.count(), 1);
    }

    #[test]
    fn the_first_are_told_of_what_was_rejected_and_together_it_is_right() {
        let answer = Answer::rejecting(5, "too old");
        let of_each = shares(&[3, 0, 4, 2], &answer);
        let rejected: Vec<_> = of_each.iter().map(Answer::rejected).collect();
        assert_eq!(rejected, [Some(3), None, Some(2), None]);
        assert!(of_each[0].message().contains("too old"));
        assert_eq!(shares(&[3], &answer), [answer]);
        let warning = Answer::rejecting(0, "careful");
        assert_eq!(shares(&[1, 1], &warning), [warning.clone(), warning]);
    }
}
