//! What was refused for now and rests on disk: nothing of it is in memory but where it stands.

use std::collections::{BTreeMap, BTreeSet};

use tokio::time::Instant;

use super::tries::Tries;
use crate::journal::Entry;

/// What rests until its time comes, in groups that go as one.
#[derive(Debug)]
pub(super) struct Resting<T> {
    /// By the place of their first one, the oldest first.
    groups: BTreeMap<Entry, Group<T>>,
    /// By when they go.
    later: BTreeSet<(Instant, Entry)>,
    /// Whose time has come, and the same of those that make way for others.
    due: [BTreeSet<Entry>; 2],
    len: usize,
}

#[derive(Debug)]
struct Group<T> {
    ones: Vec<T>,
    tries: Tries,
}

impl<T> Resting<T> {
    pub(super) fn new() -> Self {
        Self {
            groups: BTreeMap::new(),
            later: BTreeSet::new(),
            due: [BTreeSet::new(), BTreeSet::new()],
            len: 0,
        }
    }

    pub(super) fn len(&self) -> usize {
        self.len
    }

    pub(super) fn is_empty(&self) -> bool {
        self.groups.is_empty()
    }

    /// These rest, the first of which has this place.
    pub(super) fn push(&mut self, place: Entry, ones: Vec<T>, tries: Tries) {
        self.len += ones.len();
        self.later.insert((tries.due(), place));
        self.groups.insert(place, Group { ones, tries });
    }

    /// The oldest of those whose time has come: of those that make way for others, or of the rest.
    pub(super) fn first(&self, are_stubborn: bool) -> Option<Entry> {
        let [usual, stubborn] = &self.due;
        let due = if are_stubborn { stubborn } else { usual };
        due.first().copied()
    }

    /// It is so late now.
    pub(super) fn ripen(&mut self, now: Instant) {
        while let Some((due, place)) = self.later.first().copied()
            && due <= now
        {
            self.later.pop_first();
            let Some(group) = self.groups.get(&place) else {
                continue;
            };
            let [usual, stubborn] = &mut self.due;
            let due = if group.tries.is_stubborn() {
                stubborn
            } else {
                usual
            };
            due.insert(place);
        }
    }

    /// When the next one's time comes.
    pub(super) fn next_due(&self) -> Option<Instant> {
        self.later.first().map(|(due, _)| *due)
    }

    /// Who is to show whether a backend works: the oldest; or where somebody is there who may refuse only this
    /// one, who was tried the least. When somebody may, where all were told to wait.
    pub(super) fn probe(&self, is_reached: bool, now: Instant) -> Result<Entry, Option<Instant>> {
        let may_go = self.groups.iter();
        let may_go = may_go.filter(|(_, group)| group.tries.told() <= now);
        let rank = |group: &Group<T>| if is_reached { group.tries.all() } else { 0 };
        let next = may_go.min_by_key(|(place, group)| (rank(group), **place));
        next.map(|(place, _)| *place).ok_or_else(|| {
            let told = self.groups.values().map(|group| group.tries.told());
            told.min()
        })
    }

    /// Those whose first one has this place.
    pub(super) fn take(&mut self, place: Entry) -> Option<(Vec<T>, Tries)> {
        for due in &mut self.due {
            // Also where there is nothing: who is asked for again and again would hold up all others.
            due.remove(&place);
        }
        let Group { ones, tries } = self.groups.remove(&place)?;
        self.len -= ones.len();
        self.later.remove(&(tries.due(), place));
        Some((ones, tries))
    }

    /// The backend takes something again, so that most of it need not wait any more.
    pub(super) fn works_again(&mut self, now: Instant) {
        self.later.clear();
        self.due = [BTreeSet::new(), BTreeSet::new()];
        for (place, group) in &mut self.groups {
            group.tries = group.tries.works_again(now);
            self.later.insert((group.tries.due(), *place));
        }
    }

    /// All of it, in order.
    pub(super) fn take_rest(&mut self) -> Vec<T> {
        self.later.clear();
        self.due = [BTreeSet::new(), BTreeSet::new()];
        self.len = 0;
        let groups = std::mem::take(&mut self.groups);
        groups.into_values().flat_map(|group| group.ones).collect()
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use super::*;

    #[test]
    fn two_of_one_number_both_rest() {
        let (mut resting, now) = (Resting::new(), Instant::now());
        let places = [1, 2].map(|segment| Entry::numbered(7, segment));
        for (place, one) in places.into_iter().zip(["one", "another"]) {
            resting.push(place, vec![one], Tries::none(now));
        }
        resting.ripen(now);
        for (place, one) in places.into_iter().zip(["one", "another"]) {
            assert_eq!(resting.first(false), Some(place));
            assert_eq!(resting.take(place).unwrap().0, [one]);
        }
        assert_eq!((resting.len(), resting.first(false)), (0, None));
    }

    #[test]
    fn what_is_not_there_is_asked_for_once() {
        let (mut resting, now) = (Resting::<i32>::new(), Instant::now());
        let place = Entry::nowhere();
        resting.later.insert((now, place));
        resting.ripen(now);
        assert_eq!(resting.first(false), None);
        let [usual, _] = &mut resting.due;
        usual.insert(place);
        assert!(resting.take(place).is_none());
        assert_eq!(resting.first(false), None);
    }
}
