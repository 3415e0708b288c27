//! Whether a request may have left.
//!
//! A backend that answers too late has the request, and so may one whose answer breaks. Who has to know of
//! all that left asks for what may have, whatever its sender was told. A queue that outlives this process keeps
//! beside a request what is to be told of it: who asks now may be gone when it leaves.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use bytes::Bytes;
use futures::future::BoxFuture;

use crate::refusal::Refusal;

/// Notes whether some of a request may have left, also where nobody waits for that any more. Clones are one;
/// by default nobody asks.
#[derive(Debug, Clone, Default)]
pub struct Departure(Arc<[Arc<Asked>]>);

/// Somebody who asks.
#[derive(Debug, Default)]
struct Asked {
    is_possible: AtomicBool,
    /// What they want to be told by another process, if this one ends before.
    notice: Option<Arc<dyn Notices>>,
}

/// What somebody is to be told of a request when it may have left.
pub trait Notices: fmt::Debug + Send + Sync {
    /// It as it stands beside the request; none where there is nothing to tell, or it was told.
    fn notice(&self) -> Option<Notice>;
}

/// What stands beside a request in a queue that outlives its process.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Notice {
    /// Who is to be told.
    pub to: String,
    /// What.
    pub what: Bytes,
}

/// Tells those who are there now what stands beside requests of an earlier process. By default nobody is.
#[derive(Clone)]
pub struct Herald(Arc<dyn Fn(Notice) -> BoxFuture<'static, ()> + Send + Sync>);

impl Herald {
    /// One that tells by this. What it returns ends when it was told.
    pub fn new(tell: impl Fn(Notice) -> BoxFuture<'static, ()> + Send + Sync + 'static) -> Self {
        Self(Arc::new(tell))
    }

    pub(super) async fn tell(&self, notice: Notice) {
        (self.0)(notice).await;
    }
}

impl Default for Herald {
    fn default() -> Self {
        Self::new(|_| Box::pin(std::future::ready(())))
    }
}

impl fmt::Debug for Herald {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Herald").finish_non_exhaustive()
    }
}

/// Something that goes out at this moment. Where it ends without an outcome, nobody knows how far it got.
#[derive(Debug)]
#[must_use = "dropped, it may have left"]
pub struct Leaving<'a>(Option<&'a Departure>);

impl Departure {
    /// One that somebody asks.
    pub fn watched() -> Self {
        Self([Arc::default()].into())
    }

    /// The same for somebody who is to be told this, where this process ends before the request leaves.
    pub fn watched_with(notice: Arc<dyn Notices>) -> Self {
        let asked = Asked {
            notice: Some(notice),
            ..Asked::default()
        };
        Self([Arc::new(asked)].into())
    }

    /// Those of all requests that travel as one.
    pub fn joined<'d>(departures: impl IntoIterator<Item = &'d Self>) -> Self {
        let all = departures.into_iter().flat_map(|of| of.0.iter().cloned());
        Self(all.collect())
    }

    /// Some of it may have left.
    pub fn note(&self) {
        for asked in &*self.0 {
            asked.is_possible.store(true, Ordering::Relaxed);
        }
    }

    /// What is to be told of it by another process, if this one ends before.
    pub(super) fn notices(&self) -> Vec<Notice> {
        let notices = self.0.iter().filter_map(|asked| asked.notice.as_ref());
        notices.filter_map(|of| of.notice()).collect()
    }

    /// Whether some of it may have left.
    pub fn is_possible(&self) -> bool {
        let mut all = self.0.iter();
        all.any(|asked| asked.is_possible.load(Ordering::Relaxed))
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
