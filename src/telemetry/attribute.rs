//! Attributes of what tells of itself, as the Collector's declarative configuration has them.

use std::fmt;
use std::mem::{Discriminant, discriminant};

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{Deserializer, Error, SeqAccess, Visitor};
use serde::{Deserialize, Serialize};

/// An attribute.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(try_from = "Written")]
pub struct Attribute {
    /// Its name.
    pub name: String,
    /// Its value; none takes the attribute of this name away.
    #[schemars(schema_with = "values")]
    pub value: Option<AttributeValue>,
}

/// What an attribute says.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(untagged)]
pub enum AttributeValue {
    /// A text.
    Text(String),
    /// True or false.
    Bool(bool),
    /// A whole number.
    Int(i64),
    /// Any number.
    Double(f64),
    /// Several of one of these.
    List(Vec<AttributeValue>),
}

/// An attribute as it is written.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Written {
    /// Its name.
    name: String,
    /// Its value: a text, a number, true or false, or a list of these; null takes the attribute away.
    #[serde(deserialize_with = "Option::deserialize")]
    #[schemars(schema_with = "values")]
    value: Option<AttributeValue>,
    /// What its value is; what it looks like, unless it is given.
    #[serde(default, rename = "type")]
    of: Option<Type>,
}

/// What a value is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
enum Type {
    String,
    Bool,
    Int,
    Double,
    StringArray,
    BoolArray,
    IntArray,
    DoubleArray,
}

fn values(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": ["string", "number", "boolean", "array", "null"],
        "items": { "type": ["string", "number", "boolean"] },
    })
}

impl TryFrom<Written> for Attribute {
    type Error = &'static str;

    fn try_from(Written { name, value, of }: Written) -> Result<Self, &'static str> {
        let value = match (value, of) {
            (Some(value), Some(of)) => Some(of.read(value)?),
            (value, _) => value,
        };
        Ok(Self { name, value })
    }
}

impl Type {
    /// The value as one of this type.
    fn read(self, value: AttributeValue) -> Result<AttributeValue, &'static str> {
        let of_each = match self {
            Self::StringArray => Some(Self::String),
            Self::BoolArray => Some(Self::Bool),
            Self::IntArray => Some(Self::Int),
            Self::DoubleArray => Some(Self::Double),
            Self::String | Self::Bool | Self::Int | Self::Double => None,
        };
        match (self, of_each, value) {
            (_, Some(of), AttributeValue::List(items)) => {
                let items = items.into_iter().map(|item| of.read(item));
                Ok(AttributeValue::List(items.collect::<Result<_, _>>()?))
            }
            (_, Some(_), _) => Err("its value is no list, as its type says"),
            (Self::String, _, value @ AttributeValue::Text(_))
            | (Self::Bool, _, value @ AttributeValue::Bool(_))
            | (Self::Int, _, value @ AttributeValue::Int(_))
            | (Self::Double, _, value @ AttributeValue::Double(_)) => Ok(value),
            (Self::Double, _, value @ AttributeValue::Int(_)) => Ok(value.into_double()),
            (Self::String, ..) => {
                Err("its value is no string, as its type says: put it in quotes, or remove type")
            }
            (Self::Bool, ..) => Err("its value is neither true nor false, as its type says"),
            (Self::Int, ..) => Err("its value is no whole number, as its type says"),
            _ => Err("its value is no number, as its type says"),
        }
    }
}

impl AttributeValue {
    /// What may stand in a list together: each number may be one of any.
    fn kind(&self) -> Discriminant<Self> {
        match self {
            Self::Int(_) => discriminant(&Self::Double(0.0)),
            other => discriminant(other),
        }
    }

    fn into_double(self) -> Self {
        match self {
            Self::Int(whole) => Self::Double(whole as f64),
            other => other,
        }
    }

    /// The value where there are only texts, as in labels of Prometheus.
    pub fn to_text(&self) -> String {
        match self {
            Self::Text(text) => text.clone(),
            Self::Bool(value) => value.to_string(),
            Self::Int(value) => value.to_string(),
            Self::Double(value) => value.to_string(),
            Self::List(_) => serde_json::to_string(self).unwrap_or_default(),
        }
    }
}

impl<'de> Deserialize<'de> for AttributeValue {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(OfAny)
    }
}

struct OfAny;

impl<'de> Visitor<'de> for OfAny {
    type Value = AttributeValue;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a string, a number, true or false, or a list of these")
    }

    fn visit_bool<E>(self, value: bool) -> Result<AttributeValue, E> {
        Ok(AttributeValue::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<AttributeValue, E> {
        Ok(AttributeValue::Int(value))
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<AttributeValue, E> {
        let value = i64::try_from(value);
        value.map(AttributeValue::Int).map_err(|_| too_large())
    }

    fn visit_i128<E: Error>(self, _: i128) -> Result<AttributeValue, E> {
        Err(too_large())
    }

    fn visit_f64<E>(self, value: f64) -> Result<AttributeValue, E> {
        Ok(AttributeValue::Double(value))
    }

    fn visit_str<E>(self, text: &str) -> Result<AttributeValue, E> {
        Ok(AttributeValue::Text(text.to_owned()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<AttributeValue, A::Error> {
        let mut items: Vec<AttributeValue> = Vec::new();
        while let Some(item) = list.next_element()? {
            let is_list = matches!(item, AttributeValue::List(_));
            let first = items.first().map(AttributeValue::kind);
            if is_list || first.is_some_and(|first| first != item.kind()) {
                return Err(A::Error::custom(
                    "is a list of different things: all are texts, numbers, or true and false",
                ));
            }
            items.push(item);
        }
        let is_double = |item: &AttributeValue| matches!(item, AttributeValue::Double(_));
        if items.iter().any(is_double) {
            let items = items.into_iter().map(AttributeValue::into_double);
            return Ok(AttributeValue::List(items.collect()));
        }
        Ok(AttributeValue::List(items))
    }
}

fn too_large<E: Error>() -> E {
    E::custom("is a number too large for an attribute: put it in quotes")
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_value_is_what_it_looks_like_unless_its_type_says_something_else() {
        for (written, text) in [
            (json!({ "value": "a" }), Ok("a")),
            (json!({ "value": true }), Ok("true")),
            (json!({ "value": 7 }), Ok("7")),
            (json!({ "value": 7.5 }), Ok("7.5")),
            (json!({ "value": ["a", "b"] }), Ok("[\"a\",\"b\"]")),
            (json!({ "value": [] }), Ok("[]")),
            (json!({ "value": [1, 2], "type": "int_array" }), Ok("[1,2]")),
            (json!({ "value": [1], "type": "double_array" }), Ok("[1.0]")),
            (json!({ "value": [1, 2.5] }), Ok("[1.0,2.5]")),
            (
                json!({ "value": [1, 2.5], "type": "double_array" }),
                Ok("[1.0,2.5]"),
            ),
            (json!({ "value": "1", "type": "string" }), Ok("1")),
            (
                json!({ "value": 1, "type": "string" }),
                Err("its value is no string"),
            ),
            (
                json!({ "value": "1", "type": "int" }),
                Err("its value is no whole number"),
            ),
            (
                json!({ "value": 1.5, "type": "int" }),
                Err("its value is no whole number"),
            ),
            (
                json!({ "value": "1", "type": "double" }),
                Err("its value is no number"),
            ),
            (
                json!({ "value": 1, "type": "bool" }),
                Err("its value is neither"),
            ),
            (
                json!({ "value": 1, "type": "int_array" }),
                Err("its value is no list"),
            ),
            (
                json!({ "value": ["a"], "type": "bool_array" }),
                Err("its value is neither"),
            ),
            (
                json!({ "value": [1, "a"] }),
                Err("is a list of different things"),
            ),
            (
                json!({ "value": [[1]] }),
                Err("is a list of different things"),
            ),
            (json!({ "value": u64::MAX }), Err("is a number too large")),
            (json!({}), Err("missing field `value`")),
        ] {
            let mut attribute = written.clone();
            attribute["name"] = "a".into();
            let read = serde_json::from_value::<Attribute>(attribute);
            match text {
                Ok(text) => assert_eq!(read.unwrap().value.unwrap().to_text(), text, "{written}"),
                Err(told) => {
                    let error = read.unwrap_err().to_string();
                    assert!(error.starts_with(told), "{written}: {error}");
                }
            }
        }
        let none = serde_json::from_value::<Attribute>(json!({ "name": "a", "value": null }));
        assert_eq!(none.unwrap().value, None);
    }
}
