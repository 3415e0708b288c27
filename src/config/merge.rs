//! Several sources become one, by the rules of the Collector: mappings are joined key by key, and
//! everything else, lists and nulls included, is replaced by what comes later.

use std::collections::HashMap;

use super::node::{Entry, Node, Value};

/// What separates the keys of a path that stands where a key does.
const SEPARATOR: &str = "::";

/// Merges `later` over `node`.
pub(super) fn merge(node: &mut Node, later: Node) {
    match (&mut node.value, later.value) {
        (Value::Mapping(entries), Value::Mapping(more)) => merge_entries(entries, more),
        (_, value) => {
            *node = Node {
                place: later.place,
                value,
                written: later.written,
            };
        }
    }
}

fn merge_entries(entries: &mut Vec<Entry>, more: Vec<Entry>) {
    let positions = entries.iter().enumerate();
    let mut positions: HashMap<String, usize> = positions
        .map(|(position, entry)| (entry.key.clone(), position))
        .collect();
    for entry in more {
        let position = positions.get(&entry.key).copied();
        let Some(earlier) = position.and_then(|position| entries.get_mut(position)) else {
            positions.insert(entry.key.clone(), entries.len());
            entries.push(entry);
            continue;
        };
        let both = matches!(
            (&earlier.value.value, &entry.value.value),
            (Value::Mapping(_), Value::Mapping(_))
        );
        // Of what is only added to, the first place is where people look.
        if !both {
            earlier.place = entry.place;
        }
        merge(&mut earlier.value, entry.value);
    }
}

/// Makes keys such as `exporters::debug::verbosity` at the top into the mappings that they stand for.
pub(super) fn unfold(root: &mut Node) {
    let Value::Mapping(entries) = &mut root.value else {
        return;
    };
    if !entries.iter().any(|entry| entry.key.contains(SEPARATOR)) {
        return;
    }
    let mut unfolded = Vec::new();
    for entry in std::mem::take(entries) {
        let keys: Vec<&str> = entry.key.split(SEPARATOR).collect();
        if keys.len() == 1 || keys.iter().any(|key| key.is_empty()) {
            merge_entries(&mut unfolded, vec![entry]);
        } else if let Value::Mapping(nested) =
            Node::under_at(&keys, entry.value, &entry.place).value
        {
            merge_entries(&mut unfolded, nested);
        }
    }
    *entries = unfolded;
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]
mod tests {
    use super::super::path::KeyPath;
    use super::super::source;
    use super::*;

    fn merged(texts: &[&str]) -> Node {
        let sources = texts.iter().enumerate();
        let sources = sources.map(|(number, text)| source::parse(text, &format!("{number}.yaml")));
        source::join(sources).map_err(|_| ()).unwrap()
    }

    #[test]
    fn merges_by_the_table() {
        let table: &[(&[&str], &str)] = &[
            (&["a: 1", "b: 2"], "{a: 1, b: 2}"),
            (&["a: 1", "a: 2"], "{a: 2}"),
            (
                &["a: {b: 1, c: 2}", "a: {c: 3, d: 4}"],
                "{a: {b: 1, c: 3, d: 4}}",
            ),
            (&["a: [1, 2]", "a: [3]"], "{a: [3]}"),
            (&["a: [1, 2]", "a: []"], "{a: []}"),
            (&["a: {b: 1}", "a:"], "{a: }"),
            (&["a: {b: 1}", "a: null"], "{a: null}"),
            (&["a: {b: 1}", "a: 7"], "{a: 7}"),
            (&["a: 7", "a: {b: 1}"], "{a: {b: 1}}"),
            (&["a:", "a: {b: 1}"], "{a: {b: 1}}"),
            (&["a: {b: 1}", ""], "{a: {b: 1}}"),
            (&["", "a: {b: 1}"], "{a: {b: 1}}"),
            (&["a: {b: 1}", "a: {}"], "{a: {b: 1}}"),
            (&["a: 1", "a: 2", "a: 3"], "{a: 3}"),
            (&["a::b::c: 1"], "{a: {b: {c: 1}}}"),
            (
                &["a: {b: {d: 0}}", "a::b::c: 1\na::b::d: 2"],
                "{a: {b: {d: 2, c: 1}}}",
            ),
            (&["a::: 1"], "{a::: 1}"),
        ];
        for (texts, expected) in table {
            assert_eq!(merged(texts).shown(), *expected, "{texts:?}");
        }
    }

    #[test]
    fn each_value_knows_where_it_comes_from() {
        let root = merged(&[
            "a:\n  b: 1\n  c: 2\nlist: [1]",
            "# first\na:\n  c: 3\n  d: 4\n",
            "list:\n- 5\n- 6\n",
        ]);
        for (path, place) in [
            (KeyPath::of(["a"]), "0.yaml:1"),
            (KeyPath::of(["a", "b"]), "0.yaml:2"),
            (KeyPath::of(["a", "c"]), "1.yaml:3"),
            (KeyPath::of(["a", "d"]), "1.yaml:4"),
            (KeyPath::of(["list"]), "2.yaml:1"),
            (KeyPath::of(["list"]).index(1), "2.yaml:3"),
            (KeyPath::of(["a", "missing"]), "0.yaml:1"),
        ] {
            let at = root.place_at(&path);
            let at = format!("{}:{}", at.source, at.line.unwrap());
            assert_eq!(at, place, "{path}");
        }
    }
}
