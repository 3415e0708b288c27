//! The JSON Schema: the file that is shipped, and that it agrees with the reader.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a panic is a failed test"
)]

use std::sync::LazyLock;

use jsonschema::Validator;
use serde_json::{Map, Value};

use super::super::node::{self, Node};
use super::super::scalar::Typed;
use super::super::yaml;
use crate::config::schema;

const SHIPPED: &str = include_str!("../../../docs/collector.schema.json");

static SCHEMA: LazyLock<Validator> =
    LazyLock::new(|| jsonschema::validator_for(&schema()).unwrap());

/// What the schema has against a text; nothing against what is no YAML.
pub(super) fn complaint(text: &str) -> Option<String> {
    let root = yaml::parse(text, &"c.yaml".into()).ok()?;
    let value = json(&root);
    let error = SCHEMA.validate(&value).err()?;
    Some(format!("{}: {error}", error.instance_path()))
}

/// Fails where the schema has something against a configuration that is right.
pub(super) fn accepts(text: &str) {
    if let Some(complaint) = complaint(text) {
        panic!("{complaint}\n{text}");
    }
}

/// The tree as an editor sees it: nothing is replaced.
pub(super) fn json(node: &Node) -> Value {
    match &node.value {
        node::Value::Scalar(scalar) => match scalar.typed() {
            Typed::Null => Value::Null,
            Typed::Bool(value) => value.into(),
            Typed::Int(value) => serde_json::Number::from_i128(value)
                .map_or_else(|| Value::from(value as f64), Value::Number),
            Typed::Float(value) => value.into(),
            Typed::Str(text) => text.into(),
        },
        node::Value::Sequence(items) => items.iter().map(json).collect(),
        node::Value::Mapping(entries) => {
            let entries = entries.iter();
            let entries = entries.map(|entry| (entry.key.clone(), json(&entry.value)));
            Value::Object(entries.collect::<Map<_, _>>())
        }
    }
}

#[test]
fn the_shipped_schema_is_that_of_the_types() {
    let shipped: Value = serde_json::from_str(SHIPPED).unwrap();
    assert!(
        shipped == schema(),
        "docs/collector.schema.json is not up to date: slimspan schema > docs/collector.schema.json"
    );
}

#[test]
fn every_key_is_described() {
    fn undescribed(path: &str, value: &Value, found: &mut Vec<String>) {
        let Value::Object(schema) = value else { return };
        for (name, inner) in schema {
            let path = format!("{path}/{name}");
            if path.ends_with("/properties") {
                for (key, of_key) in inner.as_object().into_iter().flatten() {
                    let refers = of_key.get("$ref").is_some();
                    if of_key.get("description").is_none() && !refers {
                        found.push(format!("{path}/{key}"));
                    }
                }
            }
            undescribed(&path, inner, found);
        }
    }
    let mut found = Vec::new();
    undescribed("", &schema(), &mut found);
    assert!(found.is_empty(), "no description: {found:#?}");
}

/// What stands for something else may stand anywhere.
#[test]
fn substitutions_are_accepted_for_every_value() {
    accepts(
        "receivers: ${file:receivers.yaml}\n\
         processors: {memory_limiter: {limit_mib: \"${env:MIB}\", check_interval: \"${env:EVERY:-1s}\"}}\n\
         exporters:\n  otlp_grpc: ${env:EXPORTER}\n  debug: {verbosity: \"${env:VERBOSITY}\"}\n\
         extensions: {artifact_store: {url: \"s3://${env:BUCKET}\", spool: \"${file:spool.yaml}\", known_digests: \"${env:N}\"}}\n\
         service: {extensions: \"${env:EXTENSIONS}\", pipelines: {traces: {receivers: [\"${env:R}\"], exporters: [debug]}}}\n",
    );
}
