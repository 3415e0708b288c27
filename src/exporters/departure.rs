//! Whether a request may have left.
//!
//! A backend that answers too late has the request, and so may one whose answer breaks. Who has to know of
//! all that left asks for what may have, whatever its sender was told.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::refusal::Refusal;

/// Notes whether some of a request may have left, also where nobody waits for that any more. Clones are one;
/// by default nobody asks.
#[derive(Debug, Clone, Default)]
pub struct Departure(Arc<[Arc<AtomicBool>]>);

/// Something that goes out at this moment. Where it ends without an outcome, nobody knows how far it got.
#[derive(Debug)]
#[must_use = "dropped, it may have left"]
pub struct Leaving<'a>(Option<&'a Departure>);

impl Departure {
    /// One that somebody asks.
    pub fn watched() -> Self {
        Self([Arc::default()].into())
    }

    /// Those of all requests that travel as one.
    pub fn joined<'d>(departures: impl IntoIterator<Item = &'d Self>) -> Self {
        let flags = departures.into_iter().flat_map(|of| of.0.iter().cloned());
        Self(flags.collect())
    }

    /// Some of it may have left.
    pub fn note(&self) {
        for flag in &*self.0 {
            flag.store(true, Ordering::Relaxed);
        }
    }

    /// Whether some of it may have left.
    pub fn is_possible(&self) -> bool {
        self.0.iter().any(|flag| flag.load(Ordering::Relaxed))
    }

    /// Some of it goes out now.
    pub fn begin(&self) -> Leaving<'_> {
        Leaving(Some(self))
    }
}

impl Leaving<'_> {
    /// It is known what became of it: only a refusal without doubt says that it has not left.
    pub fn ended<T>(mut self, outcome: &Result<T, Refusal>) {
        if matches!(outcome, Err(refusal) if !refusal.is_in_doubt()) {
            self.0 = None;
        }
    }
}

impl Drop for Leaving<'_> {
    fn drop(&mut self) {
        if let Some(departure) = self.0 {
            departure.note();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::refusal::Culprit;

    fn away() -> Refusal {
        Refusal::unavailable(Culprit::Backend, "away")
    }

    #[test]
    fn only_what_is_refused_without_doubt_has_not_left() {
        let outcomes = [
            (Ok(()), true),
            (Err(away()), false),
            (Err(away().in_doubt(true)), true),
            (Err(away().in_doubt(true).in_doubt(false)), false),
        ];
        for (outcome, left) in outcomes {
            let departure = Departure::watched();
            departure.begin().ended(&outcome);
            assert_eq!(departure.is_possible(), left, "{outcome:?}");
        }
        let departure = Departure::watched();
        drop(departure.begin());
        assert!(departure.is_possible(), "it was cut off");
        // What is known of another attempt does not change that.
        departure.begin().ended(&Err::<(), _>(away()));
        assert!(departure.is_possible());
    }

    #[test]
    fn what_travels_as_one_leaves_as_one() {
        let (one, other) = (Departure::watched(), Departure::watched());
        let all = Departure::joined([&one, &other, &Departure::default()]);
        assert!(!one.is_possible() && !other.is_possible());
        all.note();
        assert!(one.is_possible() && other.is_possible());
        assert!(!Departure::joined([]).is_possible());
    }
}
