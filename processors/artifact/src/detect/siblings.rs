//! What the attributes and kvlist members beside a value say about it.

use std::collections::HashMap;

use slimspan_proto::{Members, Value, ValueKind};

use super::about::{self, About, Labels, MAX_LABEL};
use crate::pattern::Pattern;

/// What the lists of values say that were asked for, so that each is read once.
#[derive(Debug, Default)]
pub(crate) struct Siblings<'a> {
    lists: HashMap<usize, Vec<Label<'a>>>,
}

/// Key and value of an attribute or member.
type Label<'a> = (&'a [u8], &'a [u8]);

/// Labels of one list that are kept: nobody writes more.
const MAX_LABELS: usize = 256;

impl<'a> Siblings<'a> {
    /// What stands beside `value`.
    pub(crate) fn about(&mut self, value: &Value<'a>, deny_keys: &[Pattern]) -> About {
        let own = value.members.map(|members| self.labels(members, value.key));
        let own = own.unwrap_or_default();
        let mut label = own.media_type().map(str::to_owned);
        let mut file_name = own.file_name().map(str::to_owned);
        if let Some((outer, holder)) = value.outer.filter(|_| value.nested) {
            let outer = self.labels(outer, holder);
            if value.key == b"b64_json" {
                label = label.or_else(|| outer.media_type().map(str::to_owned));
            }
            if holder == b"source" {
                file_name = file_name.or_else(|| outer.file_name().map(str::to_owned));
            }
        }
        if !value.nested {
            // `name` beside an attribute is anything's.
            file_name = None;
        }
        let denied = about::is_denied(value.key, &own.part_type, deny_keys)
            || about::is_denied(value.attribute, b"", deny_keys);
        About {
            label,
            file_name,
            denied,
        }
    }

    /// What the members say that have the same prefix as `key`, up to its last dot.
    fn labels(&mut self, members: Members<'a>, key: &[u8]) -> Labels {
        let list = self.lists.entry(members.start()).or_insert_with(|| {
            members
                .iter()
                .filter(|member| {
                    let (_, name) = split(member.key);
                    member.kind == ValueKind::String
                        && member.content.len() <= MAX_LABEL
                        && about::is_label(name)
                })
                .map(|member| (member.key, member.content))
                .take(MAX_LABELS)
                .collect()
        });
        let (prefix, _) = split(key);
        let mut labels = Labels::default();
        for (key, value) in list {
            let (of_label, name) = split(key);
            if of_label == prefix {
                labels.note(name, value);
            }
        }
        labels
    }
}

/// The part of a key up to its last dot, and the part behind it.
fn split(key: &[u8]) -> (&[u8], &[u8]) {
    let dot = memchr::memrchr(b'.', key).map_or(0, |dot| dot + 1);
    key.split_at(dot)
}
