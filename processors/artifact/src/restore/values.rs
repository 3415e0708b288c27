//! The values of a request in which references stand, each as a whole or with them in its text.

use bytes::Bytes;
use slimspan_proto::{Edit, Value, ValueKind};

use super::originals::Originals;
use crate::Digest;
use crate::encoding::Codec;
use crate::placement::{Change, REF, restore_link};
use crate::reference::Standing;
use crate::reference::inline::Inline;
use crate::reference::list::Listed;
use crate::reference::mention::{Mention, Mentions};

/// Puts the artifacts back into one value after the other.
pub(super) struct Restorer<'m, F> {
    pub(super) mentions: &'m Mentions,
    pub(super) originals: Originals<F>,
}

impl<F: FnMut(Digest) -> Option<Bytes>> Restorer<'_, F> {
    pub(super) fn visit(&mut self, value: &Value<'_>, edit: &mut Edit<'_>) {
        match value.kind {
            ValueKind::String => self.string(value, edit),
            ValueKind::KeyValueList if value.canonical => self.list(value, edit),
            _ => {}
        }
    }

    fn list(&mut self, value: &Value<'_>, edit: &mut Edit<'_>) {
        let originals = &mut self.originals;
        let left = originals.left.len();
        let len = value.content.len();
        if let Some(listed) = Listed::read(value.content) {
            if listed.is_marked() {
                let unmarked = listed.unmark();
                originals.shrunk(len, unmarked.len());
                edit.set_list(&unmarked);
            } else if let Some(original) = originals.original(&listed.standing, len) {
                set(edit, &listed.standing, &original);
            }
        } else {
            let mentions = self.mentions;
            let standing = |text: &[u8]| whole(mentions.within(text), text.len());
            let list = restore_link(value.content, standing, |standing, replaced| {
                originals.original(standing, replaced)
            });
            if let Some(list) = list {
                edit.set_list(&list);
            }
        }
        if originals.left.len() > left {
            // It stays, and so does what is in it: a preview can name any artifact.
            edit.keep();
        }
    }

    fn string(&mut self, value: &Value<'_>, edit: &mut Edit<'_>) {
        let content = value.content;
        if let Some(inline) = Inline::read(content) {
            self.inline(content.len(), &inline, edit);
            return;
        }
        let mentions = self.mentions.within(content);
        if let [mention] = &mentions[..]
            && mention.range == (0..content.len())
            && !mention.is_marked()
            && !mention.standing.written.literal
        {
            self.alone(value, &mention.standing, edit);
            return;
        }
        for Change { range, with, .. } in self.changes(content, &mentions) {
            edit.replace(range, with);
        }
    }

    /// A text of so many bytes that holds others.
    fn inline(&mut self, len: usize, inline: &Inline, edit: &mut Edit<'_>) {
        if inline.is_marked() {
            let mark = Inline::unmark();
            self.originals.shrunk(mark.len(), 0);
            edit.replace(mark, Vec::new());
        } else {
            self.originals.shrunk(len, inline.bytes.len());
            edit.set_bytes(&inline.bytes);
        }
    }

    /// A reference that is the whole string.
    fn alone(&mut self, value: &Value<'_>, standing: &Standing, edit: &mut Edit<'_>) {
        let written = &standing.written;
        // The list that is the link was asked already, and its artifact could not be had.
        if written.part.is_some() {
            return;
        }
        let renamed = written
            .renamed
            .then(|| value.key.strip_suffix(REF))
            .flatten();
        let replaced = value.content.len() + renamed.map_or(0, |_| REF.len());
        let Some(original) = self.originals.original(standing, replaced) else {
            return;
        };
        if !renamed.is_some_and(|key| edit.set_entry(key, kind(standing), &original)) {
            set(edit, standing, &original);
        }
    }
}

/// What the text says that is a reference as a whole, and ours.
fn whole(mentions: Vec<Mention>, len: usize) -> Option<Standing> {
    let [mention] = <[Mention; 1]>::try_from(mentions).ok()?;
    let whole = mention.range == (0..len) && !mention.is_marked();
    whole.then_some(mention.standing)
}

fn kind(standing: &Standing) -> ValueKind {
    match standing.written.codec {
        Codec::Bytes => ValueKind::Bytes,
        _ => ValueKind::String,
    }
}

fn set(edit: &mut Edit<'_>, standing: &Standing, original: &[u8]) {
    match kind(standing) {
        ValueKind::Bytes => edit.set_bytes(original),
        _ => edit.set_string(original),
    }
}
