use std::collections::BTreeSet;
use std::io;
use std::path::PathBuf;

/// The segments of a journal in the order in which they were begun, those too that are begun while they
/// are looked at. Their names tell it.
///
/// The process that owns the journal may move records meanwhile, always into a newer segment, and before
/// the older one goes. So who looks in this order sees each of them at least once.
pub(super) struct InOrder<L> {
    list: L,
    /// The newest first.
    ahead: Vec<PathBuf>,
    listed: BTreeSet<PathBuf>,
}

impl<L: Fn() -> io::Result<Vec<PathBuf>>> InOrder<L> {
    /// Those that `list` finds, each time that it is asked.
    pub(super) fn of(list: L) -> Self {
        Self {
            list,
            ahead: Vec::new(),
            listed: BTreeSet::new(),
        }
    }
}

impl<L: Fn() -> io::Result<Vec<PathBuf>>> Iterator for InOrder<L> {
    type Item = io::Result<PathBuf>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.ahead.is_empty() {
            let mut found = match (self.list)() {
                Ok(found) => found,
                Err(error) => return Some(Err(error)),
            };
            found.retain(|path| !self.listed.contains(path));
            found.sort_by(|one, other| other.cmp(one));
            self.listed.extend(found.iter().cloned());
            self.ahead = found;
        }
        self.ahead.pop().map(Ok)
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use std::cell::RefCell;

    use super::*;

    #[test]
    fn what_is_begun_meanwhile_comes_last() {
        let files = RefCell::new(vec![3, 1, 2]);
        let path = |number: &u32| PathBuf::from(format!("{number:010}.segment"));
        let list = || Ok(files.borrow().iter().map(path).collect());
        let mut seen = Vec::new();
        for next in InOrder::of(list) {
            let next = next.unwrap();
            if next == path(&2) {
                // What stands in the first goes into a new one.
                files.borrow_mut().retain(|number| *number != 1);
                files.borrow_mut().extend([5, 4]);
            }
            seen.push(next);
        }
        assert_eq!(seen, [1, 2, 3, 4, 5].map(|number| path(&number)));
    }

    #[test]
    fn a_folder_that_cannot_be_listed_is_told() {
        let list = || Err(io::Error::other("the disk is broken"));
        let first = InOrder::of(list).next().unwrap();
        assert!(first.is_err());
    }
}
