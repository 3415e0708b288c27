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
    Unasked {
        above: &["telemetry", "logs"],
        key: "processors",
        beside: "initial_fields",
        asks_nothing: is_hollow,
        schema: || hollow("the log is written, and not sent"),
    },
    Unasked {
        above: RESOURCE,
        key: "detectors",
        beside: "schema_url",
        asks_nothing: is_hollow,
        schema: || hollow("nothing is found out about this machine"),
    },
    Unasked {
        above: RESOURCE,
        key: "detection/development",
        beside: "schema_url",
        asks_nothing: is_hollow,
        schema: || hollow("nothing is found out about this machine"),
    },
    Unasked {
        above: &["prometheus"],
        key: "with_resource_constant_labels",
        beside: "without_units",
        asks_nothing: is_hollow,
        schema: || hollow("target_info has what is in resource"),
    },
    Unasked {
        above: NEWER,
        key: "with_resource_constant_labels",
        beside: STRATEGY,
        asks_nothing: is_hollow,
        schema: || hollow("target_info has what is in resource"),
    },
    Unasked {
        above: NEWER,
        key: "resource_constant_labels",
        beside: STRATEGY,
        asks_nothing: is_hollow,
        schema: || hollow("target_info has what is in resource"),
    },
    Unasked {
        above: NEWER,
        key: "without_scope_info",
        beside: STRATEGY,
        asks_nothing: is_flag,
        schema: || word(&json!([true, false, null]), "metrics have no scopes here"),
    },
    Unasked {
        above: NEWER,
        key: "scope_info_enabled",
        beside: STRATEGY,
        asks_nothing: is_flag,
        schema: || word(&json!([true, false, null]), "metrics have no scopes here"),
    },
    Unasked {
        above: NEWER,
        key: "without_target_info",
        beside: STRATEGY,
        asks_nothing: |node| is(node, Typed::Bool(false)),
        schema: || word(&json!([false, null]), "there always is a target_info here"),
    },
    Unasked {
        above: NEWER,
        key: "target_info_enabled/development",
        beside: STRATEGY,
        asks_nothing: |node| is(node, Typed::Bool(true)),
        schema: || word(&json!([true, null]), "there always is a target_info here"),
    },
    Unasked {
        above: BACKEND,
        key: "temporality_preference",
        beside: "headers_list",
        asks_nothing: |node| is(node, Typed::Str("cumulative")),
        schema: || word(&json!(["cumulative", null]), "that is what is sent"),
    },
    Unasked {
        above: BACKEND,
        key: "default_histogram_aggregation",
        beside: "headers_list",
        asks_nothing: |node| is(node, Typed::Str("explicit_bucket_histogram")),
        schema: || {
            word(
                &json!(["explicit_bucket_histogram", null]),
                "that is what is sent",
            )
        },
    },
    Unasked {
        above: &["exporter", "otlp_http"],
        key: "encoding",
        beside: "headers_list",
        asks_nothing: |node| is(node, Typed::Str("protobuf")),
        schema: || word(&json!(["protobuf", null]), "that is what is sent"),
    },
    Unasked {
        above: READER,
        key: "producers",
        beside: "exporter",
        asks_nothing: is_hollow,
        schema: || hollow("own metrics are all that is sent"),
    },
    Unasked {
        above: READER,
        key: "cardinality_limits",
        beside: "exporter",
        asks_nothing: is_hollow,
        schema: || hollow("there are as many series as there are components"),
    },
];

const RESOURCE: &[&str] = &["telemetry", "resource"];
const READER: &[&str] = &["metrics", "readers", "*"];
/// A backend for what slimspan says of itself.
const BACKEND: &[&str] = &["exporter", "*"];
const NEWER: &[&str] = &["prometheus/development"];
/// What only the newer form of a listener for Prometheus has.
const STRATEGY: &str = "translation_strategy";

/// The schema of something in which nothing stands.
fn hollow(why: &str) -> Json {
    let list = json!({ "type": ["array", "null"], "maxItems": 0 });
    json!({
        "type": ["array", "object", "null"],
        "maxItems": 0,
        "additionalProperties": {
            "type": ["array", "object", "null"],
            "maxItems": 0,
            "additionalProperties": list,
        },
        "description": format!("As in the Collector; {why}, so it is empty."),
    })
}

/// The schema of one of a few words.
fn word(words: &Json, why: &str) -> Json {
    json!({ "enum": words, "description": format!("As in the Collector; {why}.") })
}

/// Takes them all away.
pub(super) fn take_away(root: &mut Node) {
    strip(root, &[]);
}

/// Takes away what asks for nothing under the keys `above`.
fn strip(node: &mut Node, above: &[&str]) {
    let entries = match &mut node.value {
        Value::Mapping(entries) => entries,
        Value::Sequence(items) => return items.iter_mut().for_each(|item| strip(item, above)),
        Value::Scalar(_) => return,
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

/// Whether nothing stands in it, however deep.
fn is_hollow(node: &Node) -> bool {
    match &node.value {
        Value::Sequence(items) => items.is_empty(),
        Value::Mapping(entries) => entries.iter().all(|entry| is_hollow(&entry.value)),
        Value::Scalar(_) => node.is_null(),
    }
}

/// Whether it is just this, or nothing.
fn is(node: &Node, wanted: Typed<'_>) -> bool {
    match &node.value {
        Value::Scalar(scalar) => scalar.typed() == wanted || node.is_null(),
        Value::Sequence(_) | Value::Mapping(_) => false,
    }
}

fn is_flag(node: &Node) -> bool {
    is(node, Typed::Bool(true)) || is(node, Typed::Bool(false))
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
