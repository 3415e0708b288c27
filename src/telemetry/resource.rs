//! `service.telemetry.resource`, in both forms of the Collector: who it is that tells.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;
use std::sync::OnceLock;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{Deserialize, Deserializer, Error, MapAccess, Visitor};
use serde::ser::{Serialize, SerializeMap as _, Serializer};

pub use super::attribute::{Attribute, AttributeValue};

/// Attributes of this process, beside or instead of those that it has by itself. Null takes one away.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Resource {
    /// As older versions of the Collector have them: names and texts.
    pub inline: BTreeMap<String, Option<String>>,
    /// As newer ones have them, under `attributes`.
    pub attributes: Vec<Attribute>,
    /// Where it is written what the names mean.
    pub schema_url: Option<String>,
}

const ATTRIBUTES: &str = "attributes";
const SCHEMA_URL: &str = "schema_url";

/// Keys of the newer form that are no attributes of the older one.
const LEFT_OUT: [&str; 3] = ["attributes_list", "detectors", "detection/development"];

/// A key of it.
enum Key {
    Attributes,
    SchemaUrl,
    /// The name of an attribute.
    Inline(String),
}

impl Resource {
    /// What is wrong with it.
    pub fn mistake(&self) -> Option<&'static str> {
        let mut names = self.attributes.iter().map(|attribute| &attribute.name);
        let is_nameless = self.inline.contains_key("") || names.any(String::is_empty);
        is_nameless.then_some("a key is empty, and Prometheus reads no label without a name")
    }

    /// The attributes of this process.
    pub fn attributes(&self) -> BTreeMap<String, AttributeValue> {
        static INSTANCE: OnceLock<String> = OnceLock::new();
        let instance = INSTANCE.get_or_init(|| {
            let random: u128 = rand::random();
            // As the Collector has it: a UUID of version 4.
            let id = random & !(0xf << 76) & !(0x3 << 62) | (0x4 << 76) | (0x2 << 62);
            let hex = format!("{id:032x}");
            let parts = [
                &hex[..8],
                &hex[8..12],
                &hex[12..16],
                &hex[16..20],
                &hex[20..],
            ];
            parts.join("-")
        });
        let own = [
            ("service.name", "slimspan"),
            ("service.version", env!("CARGO_PKG_VERSION")),
            ("service.instance.id", instance),
        ];
        let text = |text: &str| Some(AttributeValue::Text(text.to_owned()));
        let own = own.map(|(key, value)| (key.to_owned(), text(value)));
        let mut all = BTreeMap::from(own);
        let inline = self.inline.iter();
        all.extend(inline.map(|(key, value)| (key.clone(), value.as_deref().and_then(text))));
        let attributes = self.attributes.iter();
        all.extend(attributes.map(|attribute| (attribute.name.clone(), attribute.value.clone())));
        let some = |(key, value): (String, Option<AttributeValue>)| Some((key, value?));
        all.into_iter().filter_map(some).collect()
    }

    /// The attributes as labels.
    pub fn labels(&self) -> Vec<(String, String)> {
        let label = |(key, value): (String, AttributeValue)| {
            let word = |c: char| if c.is_ascii_alphanumeric() { c } else { '_' };
            let key: String = key.chars().map(word).collect();
            let digit = key.starts_with(|c: char| c.is_ascii_digit());
            (if digit { format!("_{key}") } else { key }, value.to_text())
        };
        let labels: BTreeMap<_, _> = self.attributes().into_iter().map(label).collect();
        labels.into_iter().collect()
    }
}

impl<'de> Deserialize<'de> for Resource {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(OfEither)
    }
}

struct OfEither;

impl<'de> Visitor<'de> for OfEither {
    type Value = Resource;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a mapping")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Resource, A::Error> {
        let mut resource = Resource::default();
        while let Some(key) = map.next_key()? {
            match key {
                Key::Attributes => resource.attributes = map.next_value()?,
                Key::SchemaUrl => resource.schema_url = map.next_value()?,
                Key::Inline(name) => {
                    let value = map.next_value()?;
                    resource.inline.insert(name, value);
                }
            }
        }
        let name = resource.inline.keys().next();
        match name {
            Some(name) if !resource.attributes.is_empty() => Err(A::Error::custom(format!(
                "has attributes, and \"{name}\" beside it, which is the older way: write it as - {{name: {name}, \
                 value: …}} under attributes"
            ))),
            _ => Ok(resource),
        }
    }
}

impl<'de> Deserialize<'de> for Key {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let name = String::deserialize(deserializer)?;
        match name.as_str() {
            ATTRIBUTES => Ok(Self::Attributes),
            SCHEMA_URL => Ok(Self::SchemaUrl),
            left_out if LEFT_OUT.contains(&left_out) => {
                Err(D::Error::unknown_field(left_out, &[ATTRIBUTES, SCHEMA_URL]))
            }
            _ => Ok(Self::Inline(name)),
        }
    }
}

impl Serialize for Resource {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Self {
            inline,
            attributes,
            schema_url,
        } = self;
        let more = usize::from(!attributes.is_empty()) + usize::from(schema_url.is_some());
        let mut map = serializer.serialize_map(Some(inline.len() + more))?;
        for (name, value) in inline {
            map.serialize_entry(name, value)?;
        }
        if !attributes.is_empty() {
            map.serialize_entry(ATTRIBUTES, attributes)?;
        }
        if let Some(schema_url) = schema_url {
            map.serialize_entry(SCHEMA_URL, schema_url)?;
        }
        map.end()
    }
}

impl JsonSchema for Resource {
    fn schema_name() -> Cow<'static, str> {
        "Resource".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "description": "Attributes of this process, beside or instead of those that it has by itself.",
            "type": "object",
            "properties": {
                ATTRIBUTES: {
                    "description": "The attributes, one by one.",
                    "type": "array",
                    "items": generator.subschema_for::<Attribute>(),
                },
                SCHEMA_URL: {
                    "description": "Where it is written what their names mean.",
                    "type": ["string", "null"],
                },
            },
            // The older way.
            "additionalProperties": { "type": ["string", "null"] },
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_resource_is_what_the_process_is_unless_it_is_told_otherwise() {
        let attribute = |name: &str, value| Attribute {
            name: name.to_owned(),
            value,
        };
        let text = |text: &str| AttributeValue::Text(text.to_owned());
        let inline = Resource {
            inline: BTreeMap::from([
                ("service.name".to_owned(), Some("edge".to_owned())),
                ("service.version".to_owned(), None),
                ("2 words".to_owned(), Some("x".to_owned())),
            ]),
            ..Resource::default()
        };
        let newer = Resource {
            attributes: vec![
                attribute("service.name", Some(text("first"))),
                attribute("service.name", Some(text("edge"))),
                attribute("service.version", None),
                attribute("2 words", Some(text("x"))),
            ],
            ..Resource::default()
        };
        let labels = inline.labels();
        assert_eq!(newer.labels(), labels);
        let keys: Vec<_> = labels.iter().map(|(key, _)| key.as_str()).collect();
        assert_eq!(keys, ["_2_words", "service_instance_id", "service_name"]);
        assert_eq!(labels[2].1, "edge");
        let (id, again) = (&labels[1].1, &inline.labels()[1].1);
        assert_eq!(id, again);
        assert_eq!((id.len(), &id[14..15]), (36, "4"), "{id}");
    }
}
