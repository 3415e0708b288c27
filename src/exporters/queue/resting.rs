//! What was refused for now and rests on disk: nothing of it is in memory but where it stands.

use std::collections::{BTreeMap, BTreeSet};

use tokio::time::Instant;

use super::tries::Tries;

/// What rests until its time comes, in groups that go as one.
#[derive(Debug)]
pub(super) struct Resting<T> {
    /// By the place of their first one, the oldest first.
    groups: BTreeMap<u64, Group<T>>,
    /// By when they go.
    later: BTreeSet<(Instant, u64)>,
    /// Whose time has come, and the same of those that make way for others.
    due: [BTreeSet<u64>; 2],
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
    pub(super) fn push(&mut self, place: u64, ones: Vec<T>, tries: Tries) {
        self.len += ones.len();
        self.later.insert((tries.due(), place));
        self.groups.insert(place, Group { ones, tries });
    }

    /// The oldest of those whose time has come: of those that make way for others, or of the rest.
    pub(super) fn first(&self, are_stubborn: bool) -> Option<u64> {
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
            let group = self.groups.get(&place);
            let is_stubborn = group.is_some_and(|group| group.tries.is_stubborn());
            let [usual, stubborn] = &mut self.due;
            let due = if is_stubborn { stubborn } else { usual };
            due.insert(place);
        }
    }

    /// When the next one's time comes.
    pub(super) fn next_due(&self) -> Option<Instant> {
        self.later.first().map(|(due, _)| *due)
    }

    /// Who is to show whether a backend works: the oldest; or where somebody is there who may refuse only this
    /// one, who was tried the least. When somebody may, where all were told to wait.
    pub(super) fn probe(&self, is_reached: bool, now: Instant) -> Result<u64, Option<Instant>> {
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
    pub(super) fn take(&mut self, place: u64) -> Option<(Vec<T>, Tries)> {
        let Group { ones, tries } = self.groups.remove(&place)?;
        self.len -= ones.len();
        self.later.remove(&(tries.due(), place));
        for due in &mut self.due {
            due.remove(&place);
        }
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
