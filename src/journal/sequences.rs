use std::collections::BTreeSet;
use std::ops::Range;

/// No segment has more records.
pub(super) const MOST: u64 = 1 << 27;

/// Some of the sequences of one segment, at a bit for each.
#[derive(Debug)]
pub(super) struct Sequences {
    range: Range<u64>,
    bits: Vec<u64>,
    /// Those before the range: of records that were moved here from older segments.
    earlier: BTreeSet<u64>,
}

impl Sequences {
    /// None of `range`, which is all that there may be, but for what is moved here.
    pub(super) fn none_of(range: Range<u64>) -> Self {
        let end = range.end.min(range.start.saturating_add(MOST));
        Self {
            range: range.start..end.max(range.start),
            bits: Vec::new(),
            earlier: BTreeSet::new(),
        }
    }

    /// Adds one; returns whether it is new. What is behind the range is not taken.
    pub(super) fn insert(&mut self, sequence: u64) -> bool {
        if sequence < self.range.start {
            return self.earlier.insert(sequence);
        }
        let Some((word, bit)) = self.place(sequence) else {
            return false;
        };
        if self.bits.len() <= word {
            self.bits.resize(word + 1, 0);
        }
        match self.bits.get_mut(word) {
            Some(word) if *word & bit == 0 => {
                *word |= bit;
                true
            }
            _ => false,
        }
    }

    pub(super) fn contains(&self, sequence: u64) -> bool {
        if sequence < self.range.start {
            return self.earlier.contains(&sequence);
        }
        self.place(sequence)
            .and_then(|(word, bit)| Some(self.bits.get(word)? & bit != 0))
            .unwrap_or(false)
    }

    /// Lets the range grow to hold `sequence`.
    pub(super) fn reach(&mut self, sequence: u64) {
        let limit = self.range.start.saturating_add(MOST);
        let end = sequence.saturating_add(1).min(limit);
        self.range.end = self.range.end.max(end);
    }

    pub(super) fn range(&self) -> Range<u64> {
        self.range.clone()
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = u64> + '_ {
        let earlier = self.earlier.iter().copied();
        earlier.chain(self.range().filter(|sequence| self.contains(*sequence)))
    }

    fn place(&self, sequence: u64) -> Option<(usize, u64)> {
        if !self.range.contains(&sequence) {
            return None;
        }
        let index = sequence - self.range.start;
        Some((usize::try_from(index / 64).ok()?, 1 << (index % 64)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_is_new_once_and_none_is_behind_the_range() {
        let mut some = Sequences::none_of(100..200);
        for (sequence, is_new) in [
            (100, true),
            (100, false),
            (199, true),
            (7, true),
            (7, false),
            (200, false),
        ] {
            assert_eq!(some.insert(sequence), is_new, "{sequence}");
        }
        assert_eq!(some.iter().collect::<Vec<_>>(), [7, 100, 199]);
        let contained = [6, 7, 8, 100, 101].map(|sequence| some.contains(sequence));
        assert_eq!(contained, [false, true, false, true, false]);
        some.reach(200);
        assert!(some.insert(200));
        assert!(Sequences::none_of(0..u64::MAX).range().end <= MOST);
    }
}
