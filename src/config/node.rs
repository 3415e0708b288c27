//! The YAML text as a tree of nodes that know where they stand.

use std::sync::Arc;

use super::path::{KeyPath, Step};
use super::scalar::{Origin, Scalar, Typed};

/// Where in which source something stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Place {
    /// The name of the source, such as the path of a file.
    pub(super) source: Arc<str>,
    /// The line, counted from 1; none of what has no lines.
    pub(super) line: Option<usize>,
}

impl Place {
    /// Somewhere in a source.
    pub(super) fn unknown(source: &str) -> Self {
        Self {
            source: source.into(),
            line: None,
        }
    }
}

/// A value of the configuration.
#[derive(Clone)]
pub(super) struct Node {
    /// Where the value starts.
    pub(super) place: Place,
    pub(super) value: Value,
    /// The text that a list or mapping was, where it is the value of a variable or a file.
    pub(super) written: Option<Arc<str>>,
}

/// What a node holds.
#[derive(Clone)]
pub(super) enum Value {
    Scalar(Scalar),
    Sequence(Vec<Node>),
    Mapping(Vec<Entry>),
}

/// A key of a mapping and its value. No key stands twice in one mapping.
#[derive(Clone)]
pub(super) struct Entry {
    pub(super) key: String,
    /// Where the key stands.
    pub(super) place: Place,
    pub(super) value: Node,
}

impl Node {
    pub(super) fn new(place: Place, value: Value) -> Self {
        Self {
            place,
            value,
            written: None,
        }
    }

    /// Nothing.
    pub(super) fn null(place: Place) -> Self {
        let scalar = Scalar {
            text: String::new(),
            origin: Origin::Plain,
        };
        Self::new(place, Value::Scalar(scalar))
    }

    /// `value` under these keys.
    pub(super) fn under(keys: &[&str], value: Self) -> Self {
        let place = value.place.clone();
        Self::under_at(keys, value, &place)
    }

    /// `value` under these keys, which stand there.
    pub(super) fn under_at(keys: &[&str], value: Self, place: &Place) -> Self {
        keys.iter().rev().fold(value, |value, key| {
            let entry = Entry {
                key: (*key).to_owned(),
                place: place.clone(),
                value,
            };
            Self::new(place.clone(), Value::Mapping(vec![entry]))
        })
    }

    /// Lets everything in it stand at `place`.
    pub(super) fn move_to(&mut self, place: &Place) {
        self.place = place.clone();
        match &mut self.value {
            Value::Scalar(_) => {}
            Value::Sequence(items) => items.iter_mut().for_each(|item| item.move_to(place)),
            Value::Mapping(entries) => {
                for entry in entries {
                    entry.place = place.clone();
                    entry.value.move_to(place);
                }
            }
        }
    }

    /// Whether the node is null, which an empty body also is.
    pub(super) fn is_null(&self) -> bool {
        matches!(&self.value, Value::Scalar(scalar) if scalar.typed() == Typed::Null)
    }

    /// The value of a key, if this is a mapping that has it.
    pub(super) fn get(&self, key: &str) -> Option<&Entry> {
        match &self.value {
            Value::Mapping(entries) => entries.iter().find(|entry| entry.key == key),
            Value::Scalar(_) | Value::Sequence(_) => None,
        }
    }

    /// The value of a key, to change it.
    pub(super) fn value_mut(&mut self, key: &str) -> Option<&mut Self> {
        match &mut self.value {
            Value::Mapping(entries) => {
                let entry = entries.iter_mut().find(|entry| entry.key == key)?;
                Some(&mut entry.value)
            }
            Value::Scalar(_) | Value::Sequence(_) => None,
        }
    }

    /// The value to which `steps` lead.
    pub(super) fn at(&self, steps: &[Step]) -> Option<&Self> {
        steps.iter().try_fold(self, |node, step| match step {
            Step::Key(key) => Some(&node.get(key)?.value),
            Step::Index(index) => match &node.value {
                Value::Sequence(items) => items.get(*index),
                Value::Scalar(_) | Value::Mapping(_) => None,
            },
        })
    }

    /// Takes away the value to which `steps` lead; whether there was one.
    pub(super) fn take_away(&mut self, steps: &[Step]) -> bool {
        match (steps, &mut self.value) {
            ([Step::Key(key)], Value::Mapping(entries)) => {
                let before = entries.len();
                entries.retain(|entry| entry.key != *key);
                entries.len() < before
            }
            ([Step::Key(key), rest @ ..], Value::Mapping(entries)) => entries
                .iter_mut()
                .find(|entry| entry.key == *key)
                .is_some_and(|entry| entry.value.take_away(rest)),
            ([Step::Index(index), rest @ ..], Value::Sequence(items)) => items
                .get_mut(*index)
                .is_some_and(|item| item.take_away(rest)),
            _ => false,
        }
    }

    /// Where the value at `path` stands, or its closest ancestor that exists.
    pub(super) fn place_at(&self, path: &KeyPath) -> &Place {
        let mut node = self;
        let mut place = &self.place;
        for step in path.steps() {
            match (step, &node.value) {
                (Step::Key(key), _) => {
                    let Some(entry) = node.get(key) else { break };
                    (node, place) = (&entry.value, &entry.place);
                }
                (Step::Index(index), Value::Sequence(items)) => {
                    let Some(item) = items.get(*index) else { break };
                    (node, place) = (item, &item.place);
                }
                (Step::Index(_), _) => break,
            }
        }
        place
    }

    /// How large the tree under this node is.
    pub(super) fn extent(&self) -> Extent {
        match &self.value {
            Value::Scalar(_) => Extent::around([]),
            Value::Sequence(items) => Extent::around(items),
            Value::Mapping(entries) => Extent::around(entries.iter().map(|entry| &entry.value)),
        }
    }

    /// The tree as flow YAML, for a look at it.
    #[cfg(test)]
    pub(super) fn shown(&self) -> String {
        match &self.value {
            Value::Scalar(scalar) => scalar.text.clone(),
            Value::Sequence(items) => {
                let items: Vec<_> = items.iter().map(Self::shown).collect();
                format!("[{}]", items.join(", "))
            }
            Value::Mapping(entries) => {
                let entries = entries.iter();
                let entries: Vec<_> = entries
                    .map(|entry| format!("{}: {}", entry.key, entry.value.shown()))
                    .collect();
                format!("{{{}}}", entries.join(", "))
            }
        }
    }
}

/// How large a tree is.
#[derive(Debug, PartialEq)]
pub(super) struct Extent {
    /// The nodes, the top one included.
    pub(super) nodes: usize,
    /// The levels; a lone scalar has one.
    pub(super) levels: usize,
}

impl Extent {
    fn around<'n>(children: impl IntoIterator<Item = &'n Node>) -> Self {
        let alone = Self {
            nodes: 1,
            levels: 1,
        };
        children
            .into_iter()
            .map(Node::extent)
            .fold(alone, |whole, child| Self {
                nodes: whole.nodes + child.nodes,
                levels: whole.levels.max(child.levels + 1),
            })
    }
}
