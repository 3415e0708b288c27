//! References within a text, and what was changed around them.

use bytes::Bytes;

use super::values::Restorer;
use crate::Digest;
use crate::encoding::Codec;
use crate::placement::{Change, restore_part};
use crate::reference::mention::{Mention, Style};

impl<F: FnMut(Digest) -> Option<Bytes>> Restorer<'_, F> {
    /// What is changed in a text with these references in it, in ascending order.
    pub(super) fn changes(&mut self, content: &[u8], mentions: &[Mention]) -> Vec<Change> {
        let mut changes = Vec::new();
        for mention in mentions {
            if mention.is_marked() {
                let (range, with) = mention.unmark();
                self.originals.shrunk(range.len(), with.len());
                changes.push(Change {
                    range,
                    with,
                    is_reference: false,
                });
            } else {
                self.within(content, mention, &mut changes);
            }
        }
        changes.sort_by_key(|change| change.range.start);
        changes
    }

    /// The changes that put back what a reference within a text stands for.
    fn within(&mut self, content: &[u8], mention: &Mention, changes: &mut Vec<Change>) {
        let written = &mention.standing.written;
        let mut range = mention.range.clone();
        let mut around = Vec::new();
        let quote = match mention.style {
            Style::Object { backslashes } if !written.codec.is_json_object() => {
                [vec![b'\\'; backslashes], vec![b'"']].concat()
            }
            _ => Vec::new(),
        };
        if written.quotes {
            let quote = written.quote();
            let opened = content
                .get(..range.start)
                .is_some_and(|text| text.ends_with(quote));
            let closed = content
                .get(range.end..)
                .is_some_and(|text| text.starts_with(quote));
            if !opened || !closed {
                return;
            }
            range = range.start - quote.len()..range.end + quote.len();
        }
        if let Some(part) = &written.part {
            let Some(undone) = restore_part(content, &mention.range, part) else {
                return;
            };
            around = undone;
        }
        // There are no bytes in a text.
        if written.codec == Codec::Bytes {
            return;
        }
        let removed = range.len()
            + around
                .iter()
                .map(|change| change.range.len())
                .sum::<usize>();
        let added = 2 * quote.len() + around.iter().map(|change| change.with.len()).sum::<usize>();
        // What is added beside it is less than what is removed: a reference is longer.
        let replaced = removed.saturating_sub(added);
        if let Some(original) = self.originals.original(&mention.standing, replaced) {
            let with = [&quote[..], &original, &quote].concat();
            changes.push(Change {
                range,
                with,
                is_reference: false,
            });
            changes.append(&mut around);
        }
    }
}
