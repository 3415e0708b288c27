//! What is changed in a text.

use crate::detect::Found;
use crate::placement::{Change, Placement, Replaced, covers};
use crate::reference::mention::Mention;

/// What is changed in a text.
pub(super) struct Changes {
    /// They put references in place of files and mark those that its sender wrote, in ascending order.
    pub(super) made: Vec<Change>,
    /// What references come in place of.
    pub(super) replaced: Vec<Replaced>,
    /// How many references are marked.
    pub(super) marked: usize,
}

/// The changes to a text with these files and references in it.
pub(super) fn of(
    placement: &Placement<'_, '_, '_>,
    found: &[Found],
    mentions: &[Mention],
) -> Changes {
    let (mut made, replaced) = placement.within(found, mentions);
    let gone: Vec<_> = replaced
        .iter()
        .filter_map(|replaced| found.get(replaced.number))
        .map(|found| found.range.clone())
        .collect();
    let mut marked = 0;
    for mention in mentions {
        // What is in a file comes back with it.
        let next = gone.partition_point(|file| file.end <= mention.range.start);
        if !gone
            .get(next)
            .is_some_and(|file| covers(file, &mention.range))
        {
            marked += 1;
            let (range, with) = mention.mark();
            made.push(Change {
                range,
                with,
                is_reference: false,
            });
        }
    }
    made.sort_by_key(|change| (change.range.start, change.range.end));
    Changes {
        made,
        replaced,
        marked,
    }
}

/// How long a text of `len` bytes is with them.
pub(super) fn slim_len(len: usize, changes: &[Change]) -> usize {
    let grown: usize = changes.iter().map(|change| change.with.len()).sum();
    let gone: usize = changes.iter().map(|change| change.range.len()).sum();
    len + grown - gone
}
