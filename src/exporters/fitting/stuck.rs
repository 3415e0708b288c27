//! What the backend will never take.

use std::sync::Arc;

use bytes::Bytes;
use slimspan_proto::Items;

use crate::refusal::Refusal;

/// Some of a request that is too large for the backend, or all of it.
#[derive(Debug)]
pub(in super::super) struct Stuck {
    of: Of,
    /// What the backend says.
    pub(in super::super) refusal: Refusal,
}

#[derive(Debug)]
enum Of {
    Whole(Bytes),
    Items(Arc<Items>, Vec<usize>),
}

impl Stuck {
    /// All of a request that cannot be divided.
    pub(super) fn whole(request: Bytes, refusal: Refusal) -> Self {
        Self {
            of: Of::Whole(request),
            refusal,
        }
    }

    /// The `stuck` items, each by itself, unless what stands around it is more than itself: those go together, or
    /// each would have all of that.
    pub(super) fn each(items: Items, mut stuck: Vec<usize>, refusal: &Refusal) -> Vec<Self> {
        stuck.sort_unstable();
        let is_mostly_its_own = |index: &usize| {
            let item = items.iter().nth(*index);
            2 * item.map_or(0, |item| item.range.len()) >= items.len_of(&[*index])
        };
        let (alone, together): (Vec<_>, Vec<_>) = stuck.into_iter().partition(is_mostly_its_own);
        let items = Arc::new(items);
        let alone = alone.into_iter().map(|index| vec![index]);
        let all = alone.chain([together]).filter(|some| !some.is_empty());
        let stuck = all.map(|some| Self {
            of: Of::Items(Arc::clone(&items), some),
            refusal: refusal.clone(),
        });
        stuck.collect()
    }

    /// A request of it alone.
    pub(in super::super) fn request(&self) -> Bytes {
        match &self.of {
            Of::Whole(request) => request.clone(),
            Of::Items(items, chosen) => items.of(chosen),
        }
    }
}
