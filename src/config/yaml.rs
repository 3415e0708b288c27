//! Reads YAML text into a tree of nodes, within limits on its size and depth.

mod merge_key;

use std::collections::HashMap;
use std::sync::Arc;

use saphyr_parser::{Event, Parser, ScalarStyle};

use super::node::{Entry, Node, Place, Value};
use super::path::{KeyPath, Step};
use super::scalar::{Origin, Scalar};

/// Nodes in a configuration, each expansion of an alias counted.
pub(super) const MAX_NODES: usize = 20_000;
/// Levels of nesting, aliases included, which also bounds every recursion over the tree.
pub(super) const MAX_LEVELS: usize = 64;

/// Text that is not the YAML of a configuration.
#[derive(Debug)]
pub(super) struct SyntaxError {
    pub(super) path: KeyPath,
    pub(super) line: usize,
    pub(super) message: String,
}

/// Reads the one document in `text`, which comes from `source`. An empty text is a null node.
pub(super) fn parse(text: &str, source: &Arc<str>) -> Result<Node, SyntaxError> {
    let mut builder = Builder {
        source: Arc::clone(source),
        root: None,
        open: Vec::new(),
        anchors: HashMap::new(),
        nodes: 0,
        line: 1,
    };
    for event in Parser::new_from_str(text) {
        let (event, span) = event.map_err(|error| SyntaxError {
            path: builder.path(),
            line: error.marker().line(),
            message: format!("not valid YAML: {}", error.info()),
        })?;
        builder.line = span.start.line();
        builder.take(event)?;
    }
    let start = builder.place(1);
    Ok(builder.root.unwrap_or_else(|| Node::null(start)))
}

/// What is told of too many values.
pub(super) fn too_large() -> String {
    format!(
        "too large: a configuration has at most {MAX_NODES} values, each use of an alias counted in \
         full"
    )
}

/// What is told of too many levels.
pub(super) fn too_deep() -> String {
    format!("nested too deeply: a configuration has at most {MAX_LEVELS} levels")
}

struct Builder {
    source: Arc<str>,
    root: Option<Node>,
    open: Vec<Collection>,
    anchors: HashMap<usize, Node>,
    nodes: usize,
    /// The line of the event at hand.
    line: usize,
}

/// A list or mapping whose end has not come yet.
struct Collection {
    anchor: usize,
    line: usize,
    items: Items,
}

enum Items {
    Sequence(Vec<Node>),
    Mapping {
        entries: Vec<Entry>,
        /// The line of each key seen.
        lines: HashMap<String, usize>,
        /// The key whose value comes next.
        key: Option<Key>,
        /// The mappings whose keys it has, too.
        merged: Vec<Vec<Entry>>,
    },
}

/// A key of a mapping whose value has not come yet.
struct Key {
    name: String,
    line: usize,
    /// Whether it takes the keys of others.
    is_merge: bool,
}

impl Builder {
    fn take(&mut self, event: Event<'_>) -> Result<(), SyntaxError> {
        match event {
            Event::DocumentStart(_) if self.root.is_some() => {
                Err(self.error("a second document: the configuration is one YAML document"))
            }
            Event::Scalar(_, _, _, Some(_))
            | Event::SequenceStart(_, Some(_))
            | Event::MappingStart(_, Some(_)) => Err(self.error(
                "YAML tags are not supported: write the value without the tag, and in quotes if \
                 it is a string",
            )),
            Event::Scalar(text, style, anchor, None) => {
                let origin = match style {
                    ScalarStyle::Plain => Origin::Plain,
                    _ => Origin::Quoted,
                };
                let scalar = Scalar {
                    text: text.into_owned(),
                    origin,
                };
                self.add(Value::Scalar(scalar), self.line, anchor)
            }
            Event::SequenceStart(anchor, None) => self.begin(anchor, Items::Sequence(Vec::new())),
            Event::MappingStart(anchor, None) => self.begin(
                anchor,
                Items::Mapping {
                    entries: Vec::new(),
                    lines: HashMap::new(),
                    key: None,
                    merged: Vec::new(),
                },
            ),
            Event::SequenceEnd | Event::MappingEnd => match self.open.pop() {
                Some(collection) => {
                    let value = match collection.items {
                        Items::Sequence(items) => Value::Sequence(items),
                        Items::Mapping {
                            mut entries,
                            merged,
                            ..
                        } => {
                            merge_key::add(&mut entries, merged);
                            Value::Mapping(entries)
                        }
                    };
                    self.add(value, collection.line, collection.anchor)
                }
                None => Err(self.error("not valid YAML: an end without a beginning")),
            },
            Event::Alias(anchor) => self.expand_alias(anchor),
            Event::Nothing
            | Event::StreamStart
            | Event::StreamEnd
            | Event::DocumentStart(_)
            | Event::DocumentEnd => Ok(()),
        }
    }

    fn begin(&mut self, anchor: usize, items: Items) -> Result<(), SyntaxError> {
        // The collection itself and at least one level below it.
        self.check_levels(2)?;
        self.open.push(Collection {
            anchor,
            line: self.line,
            items,
        });
        Ok(())
    }

    fn expand_alias(&mut self, anchor: usize) -> Result<(), SyntaxError> {
        let Some(mut node) = self.anchors.get(&anchor).cloned() else {
            return Err(self.error("an alias must not stand inside the value that it stands for"));
        };
        let extent = node.extent();
        self.check_levels(extent.levels)?;
        self.count(extent.nodes)?;
        node.place = self.place(self.line);
        self.put(node)
    }

    fn add(&mut self, value: Value, line: usize, anchor: usize) -> Result<(), SyntaxError> {
        self.count(1)?;
        let node = Node::new(self.place(line), value);
        // The parser numbers anchors from 1.
        if anchor > 0 {
            self.count(node.extent().nodes)?;
            self.anchors.insert(anchor, node.clone());
        }
        self.put(node)
    }

    fn place(&self, line: usize) -> Place {
        Place {
            source: Arc::clone(&self.source),
            line: Some(line),
        }
    }

    fn put(&mut self, node: Node) -> Result<(), SyntaxError> {
        let source = Arc::clone(&self.source);
        match self.open.last_mut().map(|collection| &mut collection.items) {
            None => self.root = Some(node),
            Some(Items::Sequence(items)) => items.push(node),
            Some(Items::Mapping {
                entries,
                key,
                merged,
                ..
            }) => match key.take() {
                Some(key) if key.is_merge => match merge_key::mappings(node) {
                    Some(mappings) => *merged = mappings,
                    None => {
                        return Err(SyntaxError {
                            path: self.path().key(key.name),
                            line: key.line,
                            message: merge_key::NOT_MAPPINGS.to_owned(),
                        });
                    }
                },
                Some(key) => entries.push(Entry {
                    key: key.name,
                    place: Place {
                        source,
                        line: Some(key.line),
                    },
                    value: node,
                }),
                None => return self.place_key(node.value),
            },
        }
        Ok(())
    }

    fn place_key(&mut self, value: Value) -> Result<(), SyntaxError> {
        let Value::Scalar(scalar) = value else {
            return Err(self.error("a key must be a single word, not a list or mapping"));
        };
        let is_merge = merge_key::is(&scalar);
        let name = scalar.text;
        let here = self.line;
        if let Some(Collection {
            items: Items::Mapping { lines, key, .. },
            ..
        }) = self.open.last_mut()
        {
            let first = lines.insert(name.clone(), here);
            *key = Some(Key {
                name,
                line: here,
                is_merge,
            });
            if let Some(first) = first {
                return Err(self.error(format!("this key already stands in line {first}")));
            }
        }
        Ok(())
    }

    fn count(&mut self, nodes: usize) -> Result<(), SyntaxError> {
        self.nodes = self.nodes.saturating_add(nodes);
        if self.nodes > MAX_NODES {
            return Err(self.error(too_large()));
        }
        Ok(())
    }

    fn check_levels(&self, more: usize) -> Result<(), SyntaxError> {
        if self.open.len() + more > MAX_LEVELS {
            return Err(self.error(too_deep()));
        }
        Ok(())
    }

    fn error(&self, message: impl Into<String>) -> SyntaxError {
        SyntaxError {
            path: self.path(),
            line: self.line,
            message: message.into(),
        }
    }

    /// The path of the value that is being read.
    fn path(&self) -> KeyPath {
        let steps: Vec<Step> = self
            .open
            .iter()
            .filter_map(|collection| match &collection.items {
                Items::Sequence(items) => Some(Step::Index(items.len())),
                Items::Mapping { key, .. } => {
                    let key = key.as_ref()?;
                    Some(Step::Key(key.name.clone()))
                }
            })
            .collect();
        steps.into()
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]
mod tests {
    use super::super::node::Extent;
    use super::*;

    fn parse(text: &str) -> Result<Node, SyntaxError> {
        super::parse(text, &"c.yaml".into())
    }

    fn error(text: &str) -> String {
        match parse(text) {
            Ok(_) => format!("no error in {text:?}"),
            Err(SyntaxError {
                path,
                line,
                message,
            }) => format!("{line}: {path}: {message}"),
        }
    }

    #[test]
    fn keeps_the_line_of_each_key_and_item() {
        let root =
            parse("# comment\na:\n  b: 1\n  c:\n    - x\n    - y\nd: {e: 1,\n  f: 2}\n").unwrap();
        let lines = [
            (KeyPath::of(["a"]), 2),
            (KeyPath::of(["a", "b"]), 3),
            (KeyPath::of(["a", "c"]), 4),
            (KeyPath::of(["a", "c"]).index(1), 6),
            (KeyPath::of(["a", "c"]).index(9), 4),
            (KeyPath::of(["a", "missing", "x"]), 2),
            (KeyPath::of(["d", "f"]), 8),
        ];
        for (path, line) in lines {
            assert_eq!(root.place_at(&path).line, Some(line), "{path}");
        }
    }

    #[test]
    fn an_empty_text_is_null() {
        for text in ["", "# only a comment\n", "---\n"] {
            assert!(parse(text).unwrap().is_null(), "{text:?}");
        }
    }

    #[test]
    fn an_alias_is_a_copy_of_its_anchor() {
        let root = parse("a: &x {b: [1, 2]}\nc: *x\n").unwrap();
        let copy = &root.get("c").unwrap().value;
        assert_eq!(
            copy.extent(),
            Extent {
                nodes: 4,
                levels: 3
            }
        );
        assert_eq!(root.place_at(&KeyPath::of(["c"])).line, Some(2));
    }

    #[test]
    fn refuses_what_a_configuration_never_needs() {
        let table = [
            (
                "a: 1\nb: {c: 1,\n  c: 2}\n",
                "3: b.c: this key already stands in line 2",
            ),
            (
                "a: 1\n---\nb: 1\n",
                "2: : a second document: the configuration is one YAML document",
            ),
            (
                "a: !!str 1\n",
                "1: a: YAML tags are not supported: write the value without the tag, and in quotes if it is a string",
            ),
            (
                "a: !x [1]\n",
                "1: a: YAML tags are not supported: write the value without the tag, and in quotes if it is a string",
            ),
            (
                "a: !x {b: 1}\n",
                "1: a: YAML tags are not supported: write the value without the tag, and in quotes if it is a string",
            ),
            (
                "? [a, b]\n: 1\n",
                "1: : a key must be a single word, not a list or mapping",
            ),
            (
                "a: &x [1, *x]\n",
                "1: a[1]: an alias must not stand inside the value that it stands for",
            ),
            (
                "a: *nowhere\n",
                "1: a: not valid YAML: while parsing node, found unknown anchor",
            ),
        ];
        for (text, expected) in table {
            assert_eq!(error(text), expected);
        }
    }

    #[test]
    fn tabs_as_indentation_are_an_error_with_a_line() {
        let message = error("a:\n\tb: 1\n");
        assert!(message.starts_with("2: a: not valid YAML: "), "{message}");
    }

    #[test]
    fn an_alias_bomb_does_not_go_off() {
        let levels = (1..6).map(|level| {
            let below = vec![format!("*a{}", level - 1); 10].join(", ");
            format!("a{level}: &a{level} [{below}]\n")
        });
        let bomb = "a0: &a0 [x]\n".to_owned() + &levels.collect::<String>();
        let message = error(&bomb);
        assert!(message.contains("too large"), "{message}");
    }

    #[test]
    fn each_use_of_an_alias_counts_in_full() {
        let text = format!(
            "a: &x [{}]\nb: [{}]\n",
            "x, ".repeat(99),
            "*x, ".repeat(250)
        );
        let message = error(&text);
        assert!(message.starts_with("2: b["), "{message}");
        assert!(message.contains("too large"), "{message}");
    }

    #[test]
    fn many_plain_values_are_too_large_as_well() {
        assert!(parse(&"- x\n".repeat(MAX_NODES - 1)).is_ok());
        let message = error(&"- x\n".repeat(MAX_NODES));
        assert!(message.contains("too large"), "{message}");
    }

    #[test]
    fn depth_is_bounded_however_it_is_reached() {
        let nested = |levels: usize| {
            (0..levels).fold(String::new(), |text, level| {
                text + &"  ".repeat(level) + "a:\n"
            })
        };
        assert!(parse(&nested(MAX_LEVELS - 1)).is_ok());
        assert!(error(&nested(MAX_LEVELS)).contains("nested too deeply"));

        let links = (1..MAX_LEVELS).map(|level| format!("a{level}: &a{level} [*a{}]\n", level - 1));
        let chain = "a0: &a0 [x]\n".to_owned() + &links.collect::<String>();
        assert!(error(&chain).contains("nested too deeply"));
    }
}
