//! Whether what is put in place of files will be found there again.

use super::{Extractor, changes};
use crate::placement::{Change, Whole, covers};
use crate::reference::list::Listed;

impl Extractor<'_> {
    /// Whether what comes in place of a whole value is found there again.
    pub(super) fn is_read_back(&self, whole: &Whole) -> bool {
        match whole {
            Whole::List(list) => Listed::read(list).is_some_and(|listed| !listed.is_marked()),
            Whole::String(text) | Whole::Entry { text, .. } => {
                let found = self.mentions.within(text);
                matches!(&found[..], [one] if one.range == (0..text.len()) && !one.is_marked())
            }
        }
    }

    /// Whether the references that `changes` put into `content`, and no others, are found there
    /// again.
    pub(super) fn are_read_back(&self, content: &[u8], changes: &[Change]) -> bool {
        let mut slim = Vec::with_capacity(changes::slim_len(content.len(), changes));
        let mut references = Vec::new();
        let mut copied = 0;
        for change in changes {
            let before = content.get(copied..change.range.start);
            slim.extend_from_slice(before.unwrap_or_default());
            let start = slim.len();
            slim.extend_from_slice(&change.with);
            if change.is_reference {
                references.push(start..slim.len());
            }
            copied = change.range.end;
        }
        slim.extend_from_slice(content.get(copied..).unwrap_or_default());
        let mut references = references.iter();
        let trusted = self.mentions.within(&slim).into_iter();
        let mut trusted = trusted.filter(|mention| !mention.is_marked());
        trusted.all(|mention| {
            let reference = references.next();
            reference.is_some_and(|reference| covers(reference, &mention.range))
        }) && references.next().is_none()
    }
}
