//! What the attributes and kvlist members beside a value say about it.

use std::collections::{HashMap, HashSet};

use slimspan_proto::{Members, Value, ValueKind};

use super::about::{self, About, Labels, MAX_LABEL};
use crate::pattern::Pattern;
use crate::placement::REF;
use crate::reference::object;

/// What the lists of values say that were asked for, so that each is read once.
#[derive(Debug, Default)]
pub(crate) struct Siblings<'a> {
    lists: HashMap<usize, ByPrefix<'a>>,
    /// The keys that end like the name of a reference.
    refs: HashMap<usize, HashSet<&'a [u8]>>,
    /// Whether kvlists can be references.
    references: HashMap<usize, bool>,
    last: Option<Last<'a>>,
    /// Whether the attribute that was asked for last is denied.
    denied: Option<(&'a [u8], bool)>,
}

/// What stands beside the value that was asked for last. Elements of an array share it, and each
/// would read keys again that can be as long as a request.
#[derive(Debug)]
struct Last<'a> {
    attribute: &'a [u8],
    key: &'a [u8],
    nested: bool,
    about: About,
}

impl<'a> Last<'a> {
    fn is_of(&self, value: &Value<'a>) -> bool {
        // The same places in the request, and so the same lists. An empty key has no place.
        std::ptr::eq(self.attribute, value.attribute)
            && std::ptr::eq(self.key, value.key)
            && self.nested == value.nested
            && !value.key.is_empty()
    }
}

/// What the members of a list say, by the part of their keys up to the last dot.
type ByPrefix<'a> = HashMap<&'a [u8], Labels>;

/// Labels of one list that are kept: nobody writes more.
const MAX_LABELS: usize = 256;

/// A kvlist with more members is no reference.
const MAX_OF_REFERENCE: usize = 12;

impl<'a> Siblings<'a> {
    /// What stands beside `value`.
    pub(crate) fn about(&mut self, value: &Value<'a>, deny_keys: &[Pattern]) -> About {
        if let Some(last) = self.last.as_ref().filter(|last| last.is_of(value)) {
            return last.about.clone();
        }
        let about = self.read(value, deny_keys);
        self.last = Some(Last {
            attribute: value.attribute,
            key: value.key,
            nested: value.nested,
            about: about.clone(),
        });
        about
    }

    fn read(&mut self, value: &Value<'a>, deny_keys: &[Pattern]) -> About {
        let mut label = None;
        let mut file_name = None;
        let mut denied = self.denies(value.attribute, deny_keys);
        let own = value.members.and_then(|of| self.labels(of, value.key));
        let part_type = own.map(|own| &*own.part_type).unwrap_or_default();
        denied = denied || about::is_denied(value.key, part_type, deny_keys);
        if let Some(own) = own {
            denied = denied || own.are_of_reference();
            label = own.media_type().map(str::to_owned);
            // `name` beside an attribute is anything's.
            file_name = own.file_name().filter(|_| value.nested).map(str::to_owned);
        }
        if let Some((outer, holder)) = value.outer.filter(|_| value.nested)
            && holder.len() <= MAX_LABEL
            && let Some(outer) = self.labels(outer, holder)
        {
            if value.key == b"b64_json" {
                label = label.or_else(|| outer.media_type().map(str::to_owned));
            }
            if holder == b"source" {
                file_name = file_name.or_else(|| outer.file_name().map(str::to_owned));
            }
        }
        About {
            label,
            file_name,
            denied,
        }
    }

    /// Whether no value of `attribute` may be taken apart. Read once, like all of a long key.
    pub(crate) fn denies(&mut self, attribute: &'a [u8], deny_keys: &[Pattern]) -> bool {
        if let Some((last, denied)) = self.denied
            && std::ptr::eq(last, attribute)
        {
            return denied;
        }
        let denied = about::is_denied(attribute, b"", deny_keys);
        self.denied = Some((attribute, denied));
        denied
    }

    /// Whether the attribute of `value` may get the name of a reference: it is not in a list of
    /// values, and nothing beside it has that name.
    pub(crate) fn may_be_ref(&mut self, value: &Value<'a>) -> bool {
        let Some(members) = value.members.filter(|_| !value.nested) else {
            return false;
        };
        let refs = self.refs.entry(members.start()).or_insert_with(|| {
            let keys = members.iter().map(|member| member.key);
            keys.filter(|key| key.ends_with(REF)).collect()
        });
        !value.key.is_empty() && !refs.contains(&*[value.key, REF].concat())
    }

    /// Whether `value` stands in a kvlist that could be a reference if the value were a string.
    pub(crate) fn are_of_reference(&mut self, value: &Value<'a>) -> bool {
        let Some(members) = value.members.filter(|_| value.nested) else {
            return false;
        };
        // The labels of a list would take more memory than there is for a few bytes.
        let of_list = self.references.entry(members.start());
        *of_list.or_insert_with(|| {
            let members = members.iter().take(MAX_OF_REFERENCE);
            let (mut has_type, mut has_digest) = (false, false);
            for member in members.filter(|member| member.kind == ValueKind::String) {
                has_type |= member.key == b"type" && object::is_type(member.content);
                has_digest |= member.key == about::DIGEST;
            }
            has_type && has_digest
        })
    }

    /// What the members say that have the same prefix as `key`, up to its last dot.
    fn labels(&mut self, members: Members<'a>, key: &[u8]) -> Option<&Labels> {
        let list = self.lists.entry(members.start()).or_insert_with(|| {
            let mut list = ByPrefix::new();
            let labels = members.iter().filter(|member| {
                let (_, name) = split(member.key);
                // Marks make the type of a reference long.
                let fits = member.content.len() <= MAX_LABEL || name == b"type";
                member.kind == ValueKind::String && fits && about::is_label(name)
            });
            for member in labels.take(MAX_LABELS) {
                let (prefix, name) = split(member.key);
                let label = member.content.get(..MAX_LABEL).unwrap_or(member.content);
                list.entry(prefix).or_default().note(name, label);
            }
            list
        });
        let (prefix, _) = split(key);
        list.get(prefix)
    }
}

/// The part of a key up to its last dot, and the part behind it.
fn split(key: &[u8]) -> (&[u8], &[u8]) {
    let dot = memchr::memrchr(b'.', key).map_or(0, |dot| dot + 1);
    key.split_at(dot)
}
