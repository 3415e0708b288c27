//! Replaces values in a JSON text and leaves the rest as it is.

use std::collections::BTreeMap;
use std::fmt;

use anyhow::{Context as _, ensure};
use serde::Deserialize;
use serde::de::{Deserializer, MapAccess, Visitor};
use serde_json::Value;
use serde_json::value::RawValue;

/// Where two JSON values differ, and what the other one has there.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Change {
    /// The whole value; its new text.
    Replace(String),
    /// Some members of an object.
    Members(BTreeMap<String, Change>),
    /// Some elements of an array.
    Elements(BTreeMap<usize, Change>),
}

impl Change {
    /// What makes `after` of `before`.
    pub(super) fn between(before: &Value, after: &Value) -> Option<Self> {
        match (before, after) {
            _ if before == after => None,
            (Value::Object(before), Value::Object(after)) if before.keys().eq(after.keys()) => {
                let members = before.iter().zip(after.values());
                let changed = members.filter_map(|((name, before), after)| {
                    Some((name.clone(), Self::between(before, after)?))
                });
                Some(Self::Members(changed.collect()))
            }
            (Value::Array(before), Value::Array(after)) if before.len() == after.len() => {
                let elements = before.iter().zip(after).enumerate();
                let changed = elements.filter_map(|(index, (before, after))| {
                    Some((index, Self::between(before, after)?))
                });
                Some(Self::Elements(changed.collect()))
            }
            _ => Some(Self::Replace(after.to_string())),
        }
    }
}

/// `text` with `change` made in it.
pub(super) fn splice(text: &str, change: &Change) -> anyhow::Result<String> {
    let mut out = String::new();
    put(text, change, &mut out)?;
    Ok(out)
}

fn put(text: &str, change: &Change, out: &mut String) -> anyhow::Result<()> {
    match change {
        Change::Replace(value) => out.push_str(value),
        Change::Members(changes) => {
            let Members(members) = serde_json::from_str(text)?;
            let members = members.iter().map(|(name, value)| (name, *value));
            put_inside(text, members, changes, out)?;
        }
        Change::Elements(changes) => {
            let elements: Vec<&RawValue> = serde_json::from_str(text)?;
            let elements: Vec<_> = elements.into_iter().enumerate().collect();
            let elements = elements.iter().map(|(index, value)| (index, *value));
            put_inside(text, elements, changes, out)?;
        }
    }
    Ok(())
}

fn put_inside<'t, K: Ord + 't>(
    text: &str,
    values: impl Iterator<Item = (&'t K, &'t RawValue)>,
    changes: &BTreeMap<K, Change>,
    out: &mut String,
) -> anyhow::Result<()> {
    let mut made = 0;
    let mut at = 0;
    for (place, value) in values {
        let Some(change) = changes.get(place) else {
            continue;
        };
        let value = value.get();
        // The value is a part of the text, so this is where it stands in it.
        let start = value.as_ptr().addr() - text.as_ptr().addr();
        out.push_str(text.get(at..start).context("a value stands elsewhere")?);
        put(value, change, out)?;
        at = start + value.len();
        made += 1;
    }
    ensure!(
        made == changes.len(),
        "a value to replace is not in the JSON exactly once"
    );
    out.push_str(text.get(at..).unwrap_or_default());
    Ok(())
}

/// The members of an object in the order of the text.
struct Members<'t>(Vec<(String, &'t RawValue)>);

impl<'de> Deserialize<'de> for Members<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct InOrder;

        impl<'de> Visitor<'de> for InOrder {
            type Value = Members<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut members = Vec::new();
                while let Some(member) = map.next_entry()? {
                    members.push(member);
                }
                Ok(Members(members))
            }
        }

        deserializer.deserialize_map(InOrder)
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use serde_json::json;

    use super::*;

    fn changed(text: &str, after: &Value) -> anyhow::Result<String> {
        let before = serde_json::from_str(text).unwrap();
        splice(text, &Change::between(&before, after).unwrap())
    }

    #[test]
    fn the_text_around_a_value_stays() {
        let text = r#" { "a" : [1.0e0, {"b":"\u0041", "c" : null } ,3] , "\u0064":"old","e":{} }"#;
        let after = json!({ "a": [1.0, { "b": "new \"b\"", "c": null }, 4], "d": [1], "e": {} });
        assert_eq!(
            changed(text, &after).unwrap(),
            r#" { "a" : [1.0e0, {"b":"new \"b\"", "c" : null } ,4] , "\u0064":[1],"e":{} }"#
        );
    }

    #[test]
    fn other_members_or_another_length_are_another_value() {
        let text = r#"{"a":{"b": 1},"c":[ 1 ],"d":  2}"#;
        let after = json!({ "a": { "x": 1 }, "c": [], "d": 2 });
        assert_eq!(
            changed(text, &after).unwrap(),
            r#"{"a":{"x":1},"c":[],"d":  2}"#
        );
    }

    #[test]
    fn the_same_is_no_change() {
        let value = json!({ "a": [1, "b"] });
        assert_eq!(Change::between(&value, &value), None);
    }

    #[test]
    fn a_value_that_is_not_there_once_is_an_error() {
        let change = Change::between(&json!({ "a": 1 }), &json!({ "a": 2 })).unwrap();
        for text in [r#"{"b":1}"#, r#"{"a":1,"a":1}"#] {
            assert!(splice(text, &change).is_err(), "{text}");
        }
    }
}
