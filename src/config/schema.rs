//! The JSON Schema of the configuration, for editors: what it refuses, the strict reader refuses, too,
//! and whatever the reader accepts, it accepts.

use schemars::generate::SchemaSettings;
use schemars::{Schema, SchemaGenerator, json_schema};
use serde_json::{Map, Value, json};

use super::components::{
    Component, ConnectorConfig, ExporterConfig, ExtensionConfig, ProcessorConfig, ReceiverConfig,
};
use super::instead::{ROWS, Row};
use super::optional;
use super::service::ServiceConfig;
use super::unasked::UNASKED;

/// The definition of a value that comes from elsewhere.
const SUBSTITUTION: &str = "#/definitions/Substitution";

/// What may stand after the type of a component, and in which it ends.
const NAME: &str = "(/[^\\s\\u0000-\\u001f\\u007f-\\u009f]{1,1024})?$";

/// The schema of a configuration file, in the draft that editors know best.
pub fn schema() -> Value {
    let mut generator = SchemaSettings::draft07().into_generator();
    let mut properties = Map::new();
    for (section, schema) in [
        section::<ReceiverConfig>(&mut generator),
        section::<ProcessorConfig>(&mut generator),
        section::<ExporterConfig>(&mut generator),
        section::<ConnectorConfig>(&mut generator),
        section::<ExtensionConfig>(&mut generator),
    ] {
        properties.insert(section.to_owned(), schema.to_value());
    }
    let mut service = generator.subschema_for::<ServiceConfig>();
    service.insert(
        "description".to_owned(),
        "Which of these run, and how they are joined.".into(),
    );
    properties.insert("service".to_owned(), service.to_value());
    let mut definitions = generator.take_definitions(true);
    for definition in definitions.values_mut() {
        let keys = definition.get_mut("properties");
        if let Some(Value::Object(keys)) = keys {
            for unasked in UNASKED {
                if unasked.beside.iter().all(|key| keys.contains_key(*key)) {
                    keys.insert(unasked.key.to_owned(), (unasked.schema)());
                }
            }
        }
        optional::admit(definition);
        loosen(definition);
    }
    let mut root = json!({
        "$schema": "http://json-schema.org/draft-07/schema#",
        "title": "slimspan",
        "description": "The configuration of slimspan: which components there are, and how they are joined.",
        "type": "object",
        "properties": properties,
        "additionalProperties": false,
    });
    loosen(&mut root);
    definitions.insert(
        "Substitution".to_owned(),
        json!({
            "description": "A value from elsewhere, such as ${env:NAME:-default} or ${file:path}.",
            "type": "string",
            "pattern": "\\$\\{.+\\}",
        }),
    );
    if let Value::Object(root) = &mut root {
        root.insert("definitions".to_owned(), Value::Object(definitions));
    }
    for row in ROWS {
        admit_instead(&mut root, row);
    }
    root
}

/// Admits a value that means another here.
fn admit_instead(root: &mut Value, row: &Row) {
    let section = find(root, "", row.section);
    let components: Vec<_> = if row.types.is_empty() {
        section.into_iter().collect()
    } else {
        let types = row.types.iter();
        types
            .filter_map(|name| find(root, section.as_deref()?, name))
            .collect()
    };
    for component in components {
        let mut keys = row.keys.iter();
        let Some(at) = keys.try_fold(component, |at, key| find(root, &at, key)) else {
            continue;
        };
        let value = root.pointer_mut(&at);
        if let Some(Value::Array(several)) = value.and_then(|value| value.get_mut("anyOf")) {
            let schemas = row.written.schemas();
            let new = schemas.into_iter().filter(|new| !several.contains(new));
            let new: Vec<_> = new.collect();
            several.extend(new);
        }
    }
}

/// Where the schema of a key stands, or that of components of a type, in the schema at `at`: both are JSON pointers.
fn find(root: &Value, at: &str, key: &str) -> Option<String> {
    let schema = root.pointer(at)?;
    if let Some(Value::String(reference)) = schema.get("$ref") {
        return find(root, reference.trim_start_matches('#'), key);
    }
    if schema
        .get("properties")
        .is_some_and(|keys| keys.get(key).is_some())
    {
        return Some(format!("{at}/properties/{key}"));
    }
    let patterns = schema.get("patternProperties").and_then(Value::as_object);
    let mut patterns = patterns.into_iter().flat_map(Map::keys);
    let is_of = |pattern: &&String| pattern.split(['^', '(', '|', ')']).any(|name| name == key);
    if let Some(pattern) = patterns.find(is_of) {
        let pattern = pattern.replace('~', "~0").replace('/', "~1");
        return Some(format!("{at}/patternProperties/{pattern}"));
    }
    ["anyOf", "allOf", "oneOf"].iter().find_map(|several| {
        let count = schema.get(several).and_then(Value::as_array).map(Vec::len);
        (0..count.unwrap_or_default())
            .find_map(|index| find(root, &format!("{at}/{several}/{index}"), key))
    })
}

/// The section of one kind of component, and its schema.
fn section<C: Component>(generator: &mut SchemaGenerator) -> (&'static str, Schema) {
    let types = C::TYPES.iter().map(|of| {
        let names = match of.alias {
            Some(alias) => format!("({}|{alias})", of.name),
            None => of.name.to_owned(),
        };
        let schema = (of.schema)(generator);
        (format!("^{names}{NAME}"), schema.to_value())
    });
    let types: Map<String, Value> = types.collect();
    let schema = json_schema!({
        "description": format!("The {}s, by type[/name].", C::KIND),
        "type": "object",
        "patternProperties": types,
        "additionalProperties": false,
    });
    (C::SECTION, schema)
}

/// Admits, wherever `schema` describes a value, what the reader takes in its place: a number where a
/// text is wanted, nothing where everything has a default, and `${...}` for whatever it stands for.
fn loosen(schema: &mut Value) {
    let Value::Object(schema) = schema else {
        return;
    };
    for key in ["anyOf", "allOf", "oneOf"] {
        if let Some(Value::Array(several)) = schema.get_mut(key) {
            several.iter_mut().for_each(loosen);
        }
    }
    for key in ["properties", "patternProperties"] {
        if let Some(Value::Object(of_keys)) = schema.get_mut(key) {
            of_keys.values_mut().for_each(loosen_value);
        }
    }
    let needed = schema.get("required").cloned().unwrap_or_default();
    if let Some(Value::Object(of_keys)) = schema.get_mut("properties") {
        for (key, of_key) in of_keys {
            let is_needed = needed
                .as_array()
                .is_some_and(|needed| needed.iter().any(|needed| needed == key));
            if !is_needed {
                admit_nothing(of_key);
            }
        }
    }
    for key in ["items", "additionalProperties"] {
        if let Some(of_each @ Value::Object(_)) = schema.get_mut(key) {
            loosen_value(of_each);
        }
    }
    let is = |schema: &Map<String, Value>, wanted: &str| match schema.get("type") {
        Some(Value::String(one)) => one == wanted,
        Some(Value::Array(several)) => several.iter().any(|one| one == wanted),
        _ => false,
    };
    if is_free_text(schema) {
        admit(schema, &["number", "boolean"]);
    }
    if is(schema, "array") || (is(schema, "object") && !schema.contains_key("required")) {
        admit(schema, &["null"]);
    }
}

/// The same for the value of a key or an item of a list.
fn loosen_value(schema: &mut Value) {
    loosen(schema);
    let Value::Object(strict) = schema else {
        return;
    };
    if is_free_text(strict) {
        return;
    }
    let mut loose = Map::new();
    // Editors show these of the value at hand, whatever it may be.
    for shown in ["description", "default"] {
        if let Some(value) = strict.remove(shown) {
            loose.insert(shown.to_owned(), value);
        }
    }
    let strict = Value::Object(std::mem::take(strict));
    loose.insert(
        "anyOf".to_owned(),
        json!([strict, { "$ref": SUBSTITUTION }]),
    );
    *schema = Value::Object(loose);
}

/// Whether any text will do.
fn is_free_text(schema: &Map<String, Value>) -> bool {
    let is_text = match schema.get("type") {
        Some(Value::String(one)) => one == "string",
        Some(Value::Array(several)) => several.iter().any(|one| one == "string"),
        _ => false,
    };
    is_text
        && !["pattern", "enum", "const"]
            .iter()
            .any(|key| schema.contains_key(*key))
}

/// Admits a key with nothing behind it.
fn admit_nothing(schema: &mut Value) {
    let Value::Object(schema) = schema else {
        return;
    };
    if is_free_text(schema) {
        admit(schema, &["null"]);
    } else if let Some(Value::Array(several)) = schema.get_mut("anyOf") {
        several.push(json!({ "type": "null" }));
    }
}

fn admit(schema: &mut Map<String, Value>, more: &[&str]) {
    let Some(types) = schema.get_mut("type") else {
        return;
    };
    let mut several = match types.take() {
        Value::Array(several) => several,
        one => vec![one],
    };
    for one in more {
        if !several.iter().any(|known| known == one) {
            several.push((*one).into());
        }
    }
    *types = Value::Array(several);
}
