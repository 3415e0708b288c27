//! `<<`, with which a mapping takes keys from others: `<<: *anchor`, or `<<: [*a, *b]`. It is of YAML 1.1, and the
//! Collector's files have it.

use std::collections::HashSet;

use super::super::node::{Entry, Node, Value};
use super::super::scalar::{Origin, Scalar};

/// The key.
const KEY: &str = "<<";

/// What is told of anything else behind it.
pub(super) const NOT_MAPPINGS: &str = "the key << takes the keys of a mapping, or of a list of mappings, such as \
                                       <<: *anchor; put \"<<\" in quotes if it is a name";

/// Whether it is this key. One in quotes is a name like any other.
pub(super) fn is(key: &Scalar) -> bool {
    key.text == KEY && matches!(key.origin, Origin::Plain)
}

/// The mappings behind the key, if there is nothing else.
pub(super) fn mappings(value: Node) -> Option<Vec<Vec<Entry>>> {
    let entries = |node: Node| match node.value {
        Value::Mapping(entries) => Some(entries),
        Value::Scalar(_) | Value::Sequence(_) => None,
    };
    match value.value {
        Value::Sequence(items) => items.into_iter().map(entries).collect(),
        _ => Some(vec![entries(value)?]),
    }
}

/// Adds the keys of `mappings` that are not there yet: a mapping's own keys win, and of several mappings the first.
/// Each stays where it was written, which is where a mistake in it is put right.
pub(super) fn add(own: &mut Vec<Entry>, mappings: Vec<Vec<Entry>>) {
    let mut known: HashSet<String> = own.iter().map(|entry| entry.key.clone()).collect();
    for entry in mappings.into_iter().flatten() {
        if known.insert(entry.key.clone()) {
            own.push(entry);
        }
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]
mod tests {
    use std::collections::BTreeMap;
    use std::fmt::Write as _;

    use proptest::prelude::*;

    use super::super::super::node::Extent;
    use super::super::super::path::KeyPath;
    use super::super::{SyntaxError, parse};
    use super::*;

    fn root(text: &str) -> Node {
        parse(text, &"c.yaml".into()).map_err(|_| ()).unwrap()
    }

    fn error(text: &str) -> String {
        match parse(text, &"c.yaml".into()) {
            Ok(_) => format!("no error in {text:?}"),
            Err(SyntaxError {
                path,
                line,
                message,
            }) => format!("{line}: {path}: {message}"),
        }
    }

    #[test]
    fn a_mapping_has_the_keys_of_others_that_are_not_its_own() {
        for (text, expected) in [
            (
                "a: &a {b: 1, c: 2}\nd: {<<: *a, c: 3, e: 4}",
                "{c: 3, e: 4, b: 1}",
            ),
            // Wherever it stands.
            ("a: &a {b: 1, c: 2}\nd: {c: 3, <<: *a}", "{c: 3, b: 1}"),
            // Of a list the first.
            (
                "a: &a {b: 1}\nc: &c {b: 2, f: 3}\nd: {<<: [*a, *c]}",
                "{b: 1, f: 3}",
            ),
            ("a: &a {b: 1}\nd: {<<: [{b: 0}, *a]}", "{b: 0}"),
            ("a: &a [{b: 1}, {b: 2, c: 3}]\nd: {<<: *a}", "{b: 1, c: 3}"),
            ("d: {<<: {b: 1}}", "{b: 1}"),
            ("d: {<<: [], b: 1}", "{b: 1}"),
            ("d: {<<: {}}", "{}"),
            // Mappings are not joined: a key is taken as a whole.
            ("a: &a {b: {c: 1}}\nd: {<<: *a, b: {e: 2}}", "{b: {e: 2}}"),
            // What was taken is taken on.
            (
                "a: &a {b: 1}\nc: &c {<<: *a, e: 2}\nd: {<<: *c, f: 3}",
                "{f: 3, e: 2, b: 1}",
            ),
            (
                "a: &a {b: 1}\nd: {e: {<<: *a}, <<: {f: {<<: *a}}}",
                "{e: {b: 1}, f: {b: 1}}",
            ),
            ("a: &a {b: 1}\nd:\n- <<: *a\n  c: 2\n", "[{c: 2, b: 1}]"),
            // An anchor on it is the whole.
            ("a: &a {b: 1}\nx: &x {<<: *a}\nd: *x", "{b: 1}"),
            // In quotes it is a name.
            ("d: {\"<<\": 1}", "{<<: 1}"),
            ("d: {'<<': {b: 1}}", "{<<: {b: 1}}"),
            ("a: &a {\"<<\": 1}\nd: {<<: *a}", "{<<: 1}"),
        ] {
            let root = root(text);
            let Value::Mapping(entries) = &root.value else {
                unreachable!("{text}")
            };
            let last = entries.iter().find(|entry| entry.key == "d").unwrap();
            assert_eq!(last.value.shown(), expected, "{text}");
        }
    }

    #[test]
    fn what_was_taken_stands_where_it_was_written() {
        let root = root("a: &a\n  b: 1\n  c:\n    d: 2\ne:\n  <<: *a\n  f: 3\n");
        for (path, line) in [
            (KeyPath::of(["e", "b"]), 2),
            (KeyPath::of(["e", "c", "d"]), 4),
            (KeyPath::of(["e", "f"]), 7),
            (KeyPath::of(["e", "missing"]), 5),
        ] {
            assert_eq!(root.place_at(&path).line, Some(line), "{path}");
        }
    }

    #[test]
    fn what_is_no_mapping_has_no_keys_to_take() {
        for (text, at) in [
            ("a:\n  <<: 1\n  b: 2\n", "2: a.<<"),
            ("a:\n  <<:\n  b: 2\n", "2: a.<<"),
            ("a: &a text\nb:\n  c: 1\n  <<: *a\n", "4: b.<<"),
            ("a: &a {b: 1}\nc: {<<: [*a, 1]}\n", "2: c.<<"),
            ("a: &a {b: 1}\nc:\n- <<: [[*a]]\n", "3: c[0].<<"),
            ("<<:\n- b\n", "1: <<"),
        ] {
            assert_eq!(error(text), format!("{at}: {NOT_MAPPINGS}"), "{text}");
        }
        for (text, told) in [
            (
                "a: &a {b: 1}\nc:\n  <<: *a\n  <<: *a\n",
                "4: c.<<: this key already stands in line 3",
            ),
            (
                "a: &a {<<: *a}\n",
                "1: a.<<: an alias must not stand inside the value that it stands for",
            ),
        ] {
            assert_eq!(error(text), told, "{text}");
        }
    }

    /// Each use counts in full, also where all of its keys are there already.
    #[test]
    fn a_bomb_of_merge_keys_does_not_go_off() {
        let levels = (1..6).map(|level| {
            let keys = (0..10).map(|key| format!("k{key}: {{<<: *a{}}}", level - 1));
            let keys: Vec<String> = keys.collect();
            format!("a{level}: &a{level} {{{}}}\n", keys.join(", "))
        });
        let bomb = "a0: &a0 {x: 1}\n".to_owned() + &levels.collect::<String>();
        let told = error(&bomb);
        assert!(told.contains("too large"), "{told}");

        let keys: Vec<String> = (0..100).map(|key| format!("k{key}: 1")).collect();
        let again = "*x, ".repeat(250);
        let told = error(&format!(
            "a: &x {{{}}}\nb: {{<<: [{again}]}}\n",
            keys.join(", ")
        ));
        assert!(told.contains("too large"), "{told}");

        let links =
            (1..80).map(|level| format!("a{level}: &a{level} {{b: {{<<: *a{}}}}}\n", level - 1));
        let told = error(&("a0: &a0 {b: 1}\n".to_owned() + &links.collect::<String>()));
        assert!(told.contains("nested too deeply"), "{told}");
    }

    #[test]
    fn what_is_taken_is_no_larger_than_its_alias() {
        let root = root("a: &a {b: [1, 2]}\nc: {<<: *a}\n");
        let extent = Extent {
            nodes: 4,
            levels: 3,
        };
        assert_eq!(root.get("c").unwrap().value.extent(), extent);
    }

    proptest! {
        /// By the rule itself: own keys, then those of each mapping in turn.
        #[test]
        fn keys_are_taken_by_the_rule(
            mappings in prop::collection::vec(prop::collection::btree_map("[a-f]", 0..100_u8, 0..5), 0..5),
            own in prop::collection::btree_map("[a-f]", 100..200_u8, 0..4),
            first in any::<bool>(),
        ) {
            let mut text = String::new();
            for (number, mapping) in mappings.iter().enumerate() {
                let _ = writeln!(text, "m{number}: &m{number} {}", flow(mapping));
            }
            let aliases: Vec<String> = (0..mappings.len()).map(|number| format!("*m{number}")).collect();
            let merged = format!("<<: [{}]", aliases.join(", "));
            let own_keys = own.iter().map(|(key, value)| format!("{key}: {value}"));
            let mut parts: Vec<String> = own_keys.collect();
            parts.insert(if first { 0 } else { parts.len() }, merged);
            let _ = writeln!(text, "last: {{{}}}", parts.join(", "));

            let mut expected = own.clone();
            for (key, value) in mappings.iter().flatten() {
                expected.entry(key.clone()).or_insert(*value);
            }
            let root = root(&text);
            let Value::Mapping(entries) = &root.get("last").unwrap().value.value else {
                unreachable!("{text}")
            };
            prop_assert_eq!(entries.len(), expected.len(), "{}", &text);
            let found: BTreeMap<String, u8> = entries
                .iter()
                .map(|entry| (entry.key.clone(), entry.value.shown().parse().unwrap()))
                .collect();
            prop_assert_eq!(found, expected, "{}", text);
        }
    }

    fn flow(mapping: &BTreeMap<String, u8>) -> String {
        let entries = mapping.iter().map(|(key, value)| format!("{key}: {value}"));
        format!("{{{}}}", entries.collect::<Vec<_>>().join(", "))
    }
}
