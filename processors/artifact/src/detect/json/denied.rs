use std::collections::HashMap;
use std::ops::Range;

use super::leaves::{Leaf, Leaves};
use super::plain;
use crate::detect::about;
use crate::pattern::Pattern;

/// Which values of a JSON text may not be taken apart: those of a denied key, at any depth.
pub(super) struct Denied<'a> {
    text: &'a [u8],
    deny_keys: &'a [Pattern],
    /// By where they start: a key of any length can be that of any number of values.
    keys: HashMap<usize, bool>,
    /// By number.
    objects: Vec<bool>,
}

impl<'a> Denied<'a> {
    pub(super) fn of(text: &'a [u8], leaves: &Leaves, deny_keys: &'a [Pattern]) -> Self {
        let mut denied = Self {
            text,
            deny_keys,
            keys: HashMap::new(),
            objects: Vec::with_capacity(leaves.objects.len()),
        };
        for object in &leaves.objects {
            let mut types = object.members.iter().filter(|(key, _)| {
                let key = text.get(key.clone());
                key == Some(b"type")
            });
            let is_denied = denied.object(object.around)
                || denied.key(&object.name)
                || types.any(|(_, kind)| {
                    let kind = kind.clone().and_then(|kind| text.get(kind));
                    kind.is_some_and(|kind| about::is_denied_type(&plain(kind)))
                });
            denied.objects.push(is_denied);
        }
        denied
    }

    /// Whether the value may not be taken apart.
    pub(super) fn denies(&mut self, leaf: &Leaf) -> bool {
        self.object(leaf.within) || self.key(&leaf.key)
    }

    fn object(&self, number: Option<usize>) -> bool {
        let denied = number.and_then(|number| self.objects.get(number));
        denied.copied().unwrap_or(false)
    }

    fn key(&mut self, key: &Range<usize>) -> bool {
        let Self {
            text, deny_keys, ..
        } = *self;
        *self.keys.entry(key.start).or_insert_with(|| {
            let key = plain(text.get(key.clone()).unwrap_or_default());
            about::is_denied(&key, b"", deny_keys)
        })
    }
}
