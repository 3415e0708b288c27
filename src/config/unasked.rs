//! Keys that are left out here, with values that ask for nothing: they are as if they were not there. They are taken
//! away from the tree of nodes, before that is read.

use serde_json::{Value as Json, json};

use super::node::{Entry, Node, Value};
use super::scalar::Typed;

/// A key, and a value that asks for nothing.
pub(super) struct Unasked {
    /// The keys that lead there, from behind; `*` is any, and `type/*` a component of a type.
    above: &'static [&'static str],
    pub(super) key: &'static str,
    /// Keys that stand where it would, and nowhere else together.
    pub(super) beside: &'static [&'static str],
    asks_nothing: fn(&Node) -> bool,
    /// The schema of such a value.
    pub(super) schema: fn() -> Json,
}

pub(super) const UNASKED: &[Unasked] = &[
    Unasked {
        above: &["tls"],
        key: "tpm",
        beside: &["key_pem"],
        asks_nothing: is_disabled,
        schema: || disabled("no TPM is used here"),
    },
    Unasked {
        above: &["auth"],
        key: "request_params",
        beside: &["authenticator"],
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
        beside: &["retry_on_failure"],
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
        beside: &["initial_fields"],
        asks_nothing: is_hollow,
        schema: || hollow("the log is written, and not sent"),
    },
    Unasked {
        above: RESOURCE,
        key: "detectors",
        beside: &["schema_url"],
        asks_nothing: is_hollow,
        schema: || hollow("nothing is found out about this machine"),
    },
    Unasked {
        above: RESOURCE,
        key: "detection/development",
        beside: &["schema_url"],
        asks_nothing: is_hollow,
        schema: || hollow("nothing is found out about this machine"),
    },
    Unasked {
        above: &["prometheus"],
        key: "with_resource_constant_labels",
        beside: &["without_units"],
        asks_nothing: is_hollow,
        schema: || hollow("target_info has what is in resource"),
    },
    Unasked {
        above: NEWER,
        key: "with_resource_constant_labels",
        beside: &[STRATEGY],
        asks_nothing: is_hollow,
        schema: || hollow("target_info has what is in resource"),
    },
    Unasked {
        above: NEWER,
        key: "resource_constant_labels",
        beside: &[STRATEGY],
        asks_nothing: is_hollow,
        schema: || hollow("target_info has what is in resource"),
    },
    Unasked {
        above: NEWER,
        key: "without_scope_info",
        beside: &[STRATEGY],
        asks_nothing: is_flag,
        schema: || word(&json!([true, false, null]), "metrics have no scopes here"),
    },
    Unasked {
        above: NEWER,
        key: "scope_info_enabled",
        beside: &[STRATEGY],
        asks_nothing: is_flag,
        schema: || word(&json!([true, false, null]), "metrics have no scopes here"),
    },
    Unasked {
        above: NEWER,
        key: "without_target_info",
        beside: &[STRATEGY],
        asks_nothing: |node| is(node, Typed::Bool(false)),
        schema: || word(&json!([false, null]), "there always is a target_info here"),
    },
    Unasked {
        above: NEWER,
        key: "target_info_enabled/development",
        beside: &[STRATEGY],
        asks_nothing: |node| is(node, Typed::Bool(true)),
        schema: || word(&json!([true, null]), "there always is a target_info here"),
    },
    Unasked {
        above: BACKEND,
        key: "temporality_preference",
        beside: &["headers_list"],
        asks_nothing: |node| is(node, Typed::Str("cumulative")),
        schema: || word(&json!(["cumulative", null]), "that is what is sent"),
    },
    Unasked {
        above: BACKEND,
        key: "default_histogram_aggregation",
        beside: &["headers_list"],
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
        beside: &["headers_list"],
        asks_nothing: |node| is(node, Typed::Str("protobuf")),
        schema: || word(&json!(["protobuf", null]), "that is what is sent"),
    },
    Unasked {
        above: READER,
        key: "producers",
        beside: &["exporter"],
        asks_nothing: is_hollow,
        schema: || hollow("own metrics are all that is sent"),
    },
    Unasked {
        above: READER,
        key: "cardinality_limits",
        beside: &["exporter"],
        asks_nothing: is_hollow,
        schema: || hollow("there are as many series as there are components"),
    },
    Unasked {
        above: &["exporters", "debug/*"],
        key: "sending_queue",
        beside: &["verbosity"],
        asks_nothing: is_off,
        schema: || off("what arrives is printed at once"),
    },
    Unasked {
        above: &["exporters", "file/*"],
        key: "group_by",
        beside: &["path", "flush_interval"],
        asks_nothing: is_disabled,
        schema: || disabled("all is written to one file"),
    },
    Unasked {
        above: &["exporters", "file/*"],
        key: "encoding",
        beside: &["path", "flush_interval"],
        asks_nothing: Node::is_null,
        schema: || word(&json!([null]), "what is written is OTLP, as format says"),
    },
    Unasked {
        above: &["extensions", "zpages/*"],
        key: "expvar",
        beside: &["transport", "allowed_hosts"],
        asks_nothing: is_disabled,
        schema: || disabled("no variables of Go are shown"),
    },
    Unasked {
        above: &["extensions", "bearertokenauth/*"],
        key: "retry_on_failure",
        beside: &["scheme"],
        asks_nothing: is_disabled,
        schema: || disabled("a start does not wait for the file"),
    },
    Unasked {
        above: &["extensions", "bearertokenauth/*"],
        key: "wait_for_token_file",
        beside: &["scheme"],
        asks_nothing: |node| is(node, Typed::Bool(false)),
        schema: || word(&json!([false, null]), "a start does not wait for the file"),
    },
    dialer(&["receivers", "otlp/*", "protocols", "*"]),
    dialer(&["extensions", "zpages/*"]),
    dialer(&["extensions", "health_check/*"]),
    dialer(&["extensions", "healthcheckv2/*"]),
    dialer(&["extensions", "healthcheckv2/*", "http"]),
    dialer(&["extensions", "healthcheckv2/*", "grpc"]),
];

/// The Collector has keys for who connects in its listeners, too, where they do nothing.
const fn dialer(above: &'static [&'static str]) -> Unasked {
    Unasked {
        above,
        key: "dialer",
        beside: &["endpoint", "transport"],
        asks_nothing: is_dialer,
        schema: of_dialer,
    }
}

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

/// The schema of something that is not enabled.
fn disabled(why: &str) -> Json {
    json!({
        "type": ["object", "null"],
        "properties": { "enabled": { "const": false, "description": "As in the Collector." } },
        "description": format!("As in the Collector; {why}, so it cannot be enabled."),
    })
}

/// The same where it says so.
fn off(why: &str) -> Json {
    let mut schema = disabled(why);
    if let Json::Object(schema) = &mut schema {
        schema.insert("type".to_owned(), "object".into());
        schema.insert("required".to_owned(), json!(["enabled"]));
    }
    schema
}

fn of_dialer() -> Json {
    json!({
        "type": ["object", "null"],
        "properties": { "timeout": { "description": "As in the Collector." } },
        "additionalProperties": false,
        "description": "As in the Collector; a listener connects to nobody, so it does nothing.",
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
            above.len() >= self.above.len() && from_behind.all(|(key, of)| leads(of, key));
        is_there && entry.key == self.key && (self.asks_nothing)(&entry.value)
    }
}

/// Whether a key is one of those that `of` stands for.
fn leads(of: &str, key: &str) -> bool {
    match of.strip_suffix("/*") {
        Some(of) => key.split('/').next() == Some(of),
        None => of == "*" || key == of,
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

/// Whether it says that it is not enabled.
fn is_off(node: &Node) -> bool {
    let enabled = node.get("enabled").map(|entry| &entry.value);
    enabled.is_some_and(|enabled| !enabled.is_null() && is(enabled, Typed::Bool(false)))
}

/// Whether nothing stands in it but the time for a connection.
fn is_dialer(node: &Node) -> bool {
    match &node.value {
        Value::Mapping(entries) => entries.iter().all(|entry| entry.key == "timeout"),
        Value::Scalar(_) | Value::Sequence(_) => node.is_null(),
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
