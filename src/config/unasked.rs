//! Keys that are left out here, with values that ask for nothing: they are as if they were not there. They are taken
//! away from the tree of nodes, before that is read.

use serde_json::{Value as Json, json};

use super::node::{Entry, Node, Value};
use super::scalar::Typed;

/// A key, and a value that asks for nothing.
pub(super) struct Unasked {
    /// The keys that lead there, from behind; `*` is any.
    above: &'static [&'static str],
    pub(super) key: &'static str,
    /// A key that stands where it would.
    pub(super) beside: &'static str,
    asks_nothing: fn(&Node) -> bool,
    /// The schema of such a value.
    pub(super) schema: fn() -> Json,
}

pub(super) const UNASKED: &[Unasked] = &[
    Unasked {
        above: &["tls"],
        key: "tpm",
        beside: "key_pem",
        asks_nothing: is_disabled,
        schema: || {
            json!({
                "type": ["object", "null"],
                "properties": { "enabled": { "const": false, "description": "As in the Collector." } },
                "description": "As in the Collector; no TPM is used here, so it cannot be enabled.",
            })
        },
    },
    Unasked {
        above: &["auth"],
        key: "request_params",
        beside: "authenticator",
        asks_nothing: is_empty,
        schema: || {
            json!({
                "type": ["array", "null"],
                "maxItems": 0,
                "description": "As in the Collector; credentials stand in headers here, so it is empty.",
            })
        },
    },
    Unasked {
        above: &["exporters", "*"],
        key: "middlewares",
        beside: "retry_on_failure",
        asks_nothing: is_empty,
        schema: || {
            json!({
                "type": ["array", "null"],
                "maxItems": 0,
                "description": "As in the Collector; nothing stands before a backend here, so it is empty.",
            })
        },
    },
];

/// Takes them all away.
pub(super) fn take_away(root: &mut Node) {
    strip(root, &[]);
}

/// Takes away what asks for nothing under the keys `above`.
fn strip(node: &mut Node, above: &[&str]) {
    let Value::Mapping(entries) = &mut node.value else {
        return;
    };
    entries.retain(|entry| !UNASKED.iter().any(|unasked| unasked.is(above, entry)));
    for entry in entries {
        let above = [above, &[entry.key.as_str()]].concat();
        strip(&mut entry.value, &above);
    }
}

impl Unasked {
    fn is(&self, above: &[&str], entry: &Entry) -> bool {
        let mut from_behind = above.iter().rev().zip(self.above.iter().rev());
        let is_there =
            above.len() >= self.above.len() && from_behind.all(|(key, of)| *of == "*" || key == of);
        is_there && entry.key == self.key && (self.asks_nothing)(&entry.value)
    }
}

fn is_empty(node: &Node) -> bool {
    match &node.value {
        Value::Sequence(items) => items.is_empty(),
        Value::Scalar(_) | Value::Mapping(_) => node.is_null(),
    }
}

fn is_disabled(node: &Node) -> bool {
    let enabled = node.get("enabled").map(|entry| &entry.value.value);
    match (&node.value, enabled) {
        (Value::Mapping(_), None) => true,
        (Value::Mapping(_), Some(Value::Scalar(scalar))) => {
            matches!(scalar.typed(), Typed::Bool(false) | Typed::Null)
        }
        _ => node.is_null(),
    }
}
