//! Values that are texts, or mappings of such values.

use std::collections::BTreeMap;
use std::fmt;

use schemars::JsonSchema;
use serde::de::{Deserializer, MapAccess, Visitor};
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// A text, or a mapping.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(untagged)]
pub enum TextOrFields {
    /// As it was written, a number too.
    Text(String),
    /// What is in the mapping.
    Fields(BTreeMap<String, TextOrFields>),
}

impl TextOrFields {
    /// What the reader of a configuration knows it by, which has no other way to keep the text of a number.
    pub(super) const NAME: &str = "TextOrFields";

    /// The same in JSON.
    pub(crate) fn to_json(&self) -> Value {
        match self {
            Self::Text(text) => text.clone().into(),
            Self::Fields(fields) => {
                let fields = fields.iter();
                fields
                    .map(|(key, value)| (key.clone(), value.to_json()))
                    .collect()
            }
        }
    }
}

impl<'de> Deserialize<'de> for TextOrFields {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_newtype_struct(Self::NAME, OfEither)
    }
}

struct OfEither;

impl<'de> Visitor<'de> for OfEither {
    type Value = TextOrFields;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a string or a mapping")
    }

    fn visit_str<E>(self, text: &str) -> Result<TextOrFields, E> {
        Ok(TextOrFields::Text(text.to_owned()))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<TextOrFields, A::Error> {
        let mut fields = BTreeMap::new();
        while let Some((key, value)) = map.next_entry()? {
            fields.insert(key, value);
        }
        Ok(TextOrFields::Fields(fields))
    }

    fn visit_newtype_struct<D: Deserializer<'de>>(
        self,
        deserializer: D,
    ) -> Result<TextOrFields, D::Error> {
        deserializer.deserialize_any(self)
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]
mod tests {
    use super::super::{de, expand, yaml};
    use super::*;

    fn read(text: &str) -> Result<Value, String> {
        let mut node = yaml::parse(text, &"c.yaml".into()).unwrap();
        expand::expand(&mut node, &|name| {
            (name == "BUILD").then(|| "12e456".to_owned())
        });
        let read = de::from_node::<TextOrFields>(&node);
        read.map(|read| read.to_json())
            .map_err(|error| error.to_string())
    }

    #[test]
    fn numbers_keep_their_text() {
        for (text, json) in [
            ("0123", serde_json::json!("0123")),
            ("${env:BUILD}", serde_json::json!("12e456")),
            ("true", serde_json::json!("true")),
            (
                "{a: 1e3, b: {c: d}}",
                serde_json::json!({ "a": "1e3", "b": { "c": "d" } }),
            ),
        ] {
            assert_eq!(read(text), Ok(json), "{text}");
        }
        for (text, told) in [
            ("[a]", "expected a string, found a list"),
            ("{a: [1, 2]}", "expected a string, found a list"),
            ("~", "expected a string, found null"),
        ] {
            assert_eq!(read(text), Err(told.to_owned()), "{text}");
        }
    }
}
