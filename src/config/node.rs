//! The YAML text as a tree of nodes that know their lines.

use super::path::{KeyPath, Step};
use super::scalar::{Scalar, Typed};

/// A value of the configuration.
#[derive(Clone)]
pub(super) struct Node {
    /// The line on which the value starts, counted from 1.
    pub(super) line: usize,
    pub(super) value: Value,
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
    /// The line of the key, counted from 1.
    pub(super) line: usize,
    pub(super) value: Node,
}

impl Node {
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

    /// The line of the value at `path`, or of its closest ancestor that exists.
    pub(super) fn line_at(&self, path: &KeyPath) -> usize {
        let mut node = self;
        let mut line = self.line;
        for step in path.steps() {
            match (step, &node.value) {
                (Step::Key(key), _) => {
                    let Some(entry) = node.get(key) else { break };
                    (node, line) = (&entry.value, entry.line);
                }
                (Step::Index(index), Value::Sequence(items)) => {
                    let Some(item) = items.get(*index) else { break };
                    (node, line) = (item, item.line);
                }
                (Step::Index(_), _) => break,
            }
        }
        line
    }

    /// How large the tree under this node is.
    pub(super) fn extent(&self) -> Extent {
        match &self.value {
            Value::Scalar(_) => Extent::around([]),
            Value::Sequence(items) => Extent::around(items),
            Value::Mapping(entries) => Extent::around(entries.iter().map(|entry| &entry.value)),
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
