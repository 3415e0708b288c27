use std::collections::HashSet;

use slimspan_artifact::Digest;

/// The digests that are remembered: some 10 MB of them.
const MOST: usize = 200_000;

/// The digests that were there before. When there are too many, those that come later are not
/// remembered and count as new each time; so duplicates are counted too low, never too high.
#[derive(Debug, Default)]
pub(super) struct Seen {
    digests: HashSet<Digest>,
    overflowed: bool,
}

impl Seen {
    /// Whether `digest` is new, as far as is known.
    pub(super) fn insert(&mut self, digest: Digest) -> bool {
        if self.digests.len() < MOST {
            return self.digests.insert(digest);
        }
        let new = !self.digests.contains(&digest);
        self.overflowed |= new;
        new
    }

    /// Whether every digest is remembered.
    pub(super) fn is_complete(&self) -> bool {
        !self.overflowed
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_does_not_fit_is_new_each_time() {
        let mut seen = Seen::default();
        let digest = |number: usize| Digest::of(&number.to_be_bytes());
        for number in 0..MOST {
            assert!(seen.insert(digest(number)));
        }
        assert!(!seen.insert(digest(0)));
        assert!(seen.is_complete());
        assert!(seen.insert(digest(MOST)));
        assert!(seen.insert(digest(MOST)));
        assert!(!seen.insert(digest(MOST - 1)));
        assert!(!seen.is_complete());
        assert_eq!(seen.digests.len(), MOST);
    }
}
