//! A configuration as it is printed: read again, it means the same.

use serde::ser::{Error, Serialize, SerializeMap as _, SerializeSeq as _, Serializer};

use super::Config;
use super::node::{Node, Value};
use super::scalar::Typed;
use super::yaml;

/// Everything that a configuration says. A `$` in it is a `$`, so it is written as `$$`.
#[derive(Debug)]
pub struct Printed<'c>(pub(super) &'c Config);

impl Serialize for Printed<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let text = serde_saphyr::to_string(self.0).map_err(S::Error::custom)?;
        let tree = yaml::parse(&text, &"printed".into())
            .map_err(|error| S::Error::custom(format!("{error:?}")))?;
        Escaped(&tree).serialize(serializer)
    }
}

struct Escaped<'n>(&'n Node);

impl Serialize for Escaped<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match &self.0.value {
            Value::Scalar(scalar) => match scalar.typed() {
                Typed::Null => serializer.serialize_unit(),
                Typed::Bool(value) => serializer.serialize_bool(value),
                Typed::Int(value) => match i64::try_from(value) {
                    Ok(value) => serializer.serialize_i64(value),
                    Err(_) => serializer.serialize_i128(value),
                },
                Typed::Float(value) => serializer.serialize_f64(value),
                Typed::Str(text) if text.contains('$') => {
                    serializer.serialize_str(&text.replace('$', "$$"))
                }
                Typed::Str(text) => serializer.serialize_str(text),
            },
            Value::Sequence(items) => {
                let mut list = serializer.serialize_seq(Some(items.len()))?;
                for item in items {
                    list.serialize_element(&Escaped(item))?;
                }
                list.end()
            }
            Value::Mapping(entries) => {
                let mut map = serializer.serialize_map(Some(entries.len()))?;
                for entry in entries {
                    // Nothing is replaced in keys.
                    map.serialize_entry(&entry.key, &Escaped(&entry.value))?;
                }
                map.end()
            }
        }
    }
}
