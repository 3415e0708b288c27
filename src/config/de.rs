//! Deserialises nodes of the configuration into the structs of the components.
//!
//! A null body counts as an empty mapping or list, so that `debug:` means the defaults.

use std::fmt;
use std::slice;

use serde::de::value::BorrowedStrDeserializer;
use serde::de::{
    self, DeserializeOwned, Deserializer, Expected, IntoDeserializer, Unexpected, Visitor,
};
use serde::forward_to_deserialize_any;

use super::left_out;
use super::nearest::known_are;
use super::node::{Entry, Node, Value};
use super::path::Step;
use super::scalar::{Origin, Scalar, Typed};
use super::text_or_fields::TextOrFields;

/// Reads a value of the type `T` from a node.
pub(super) fn from_node<T: DeserializeOwned>(node: &Node) -> Result<T, Error> {
    T::deserialize(NodeDeserializer { node })
}

/// A value that does not fit its type.
#[derive(Debug)]
pub(super) struct Error {
    message: String,
    /// The way to the culprit, innermost step first.
    steps: Vec<Step>,
    /// Whether the culprit is a key that its mapping cannot have.
    is_unknown_key: bool,
    /// Whether it is a key with nothing behind it, of a mapping that has only certain keys.
    is_null_key: bool,
    /// The key that has to be there.
    missing: Option<&'static str>,
}

impl Error {
    fn inside(mut self, step: Step) -> Self {
        self.steps.push(step);
        self
    }

    /// The steps from the node that was read to a key with nothing behind it, if that is what is wrong.
    pub(super) fn null_key(&self) -> Option<Vec<Step>> {
        self.is_null_key
            .then(|| self.steps.iter().rev().cloned().collect())
    }

    /// The key that has to be there, if that is what is wrong.
    pub(super) fn missing(&self) -> Option<&'static str> {
        self.missing
    }

    /// The steps from the node that was read to the culprit, what is wrong with it, and whether that
    /// is that there is no such key.
    pub(super) fn into_parts(mut self) -> (Vec<Step>, String, bool) {
        self.steps.reverse();
        (self.steps, self.message, self.is_unknown_key)
    }
}

impl std::error::Error for Error {}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl de::Error for Error {
    fn custom<T: fmt::Display>(message: T) -> Self {
        Self {
            message: message.to_string(),
            steps: Vec::new(),
            is_unknown_key: false,
            is_null_key: false,
            missing: None,
        }
    }

    fn invalid_type(found: Unexpected<'_>, expected: &dyn Expected) -> Self {
        Self::custom(match found {
            Unexpected::Unit => format!("expected {expected}, found null"),
            Unexpected::Seq => format!("expected {expected}, found a list"),
            Unexpected::Map => format!("expected {expected}, found a mapping"),
            Unexpected::Float(_) => {
                format!("expected {expected}, found a number with a fraction or too large")
            }
            other => format!("expected {expected}, found {other}"),
        })
    }

    fn unknown_variant(variant: &str, known: &'static [&'static str]) -> Self {
        if let Some(why) = left_out::why(variant, known) {
            return Self::custom(format!("\"{variant}\" is not supported: {why}"));
        }
        Self::custom(format!(
            "unknown value \"{variant}\"{}",
            known_are(variant, "known", known)
        ))
    }

    fn unknown_field(field: &str, known: &'static [&'static str]) -> Self {
        if let Some(why) = left_out::why(field, known) {
            return Self::custom(format!("is not supported: {why}"));
        }
        let known = known_are(field, "known", known);
        Self {
            is_unknown_key: true,
            ..Self::custom(format!("has invalid keys: {field}{known}"))
        }
    }

    fn missing_field(field: &'static str) -> Self {
        Self {
            missing: Some(field),
            ..Self::custom(format!("the field \"{field}\" is required"))
        }
    }
}

#[derive(Clone, Copy)]
struct NodeDeserializer<'de> {
    node: &'de Node,
}

impl<'de> NodeDeserializer<'de> {
    /// What the node is where a string, list or mapping is wanted.
    fn unexpected(self) -> Unexpected<'static> {
        match &self.node.value {
            Value::Sequence(_) => Unexpected::Seq,
            Value::Mapping(_) => Unexpected::Map,
            Value::Scalar(scalar) => match scalar.typed() {
                Typed::Null => Unexpected::Unit,
                Typed::Bool(value) => Unexpected::Bool(value),
                Typed::Int(_) | Typed::Float(_) => Unexpected::Other("a number"),
                // Not quoted: it may be a secret that belongs one level deeper.
                Typed::Str(_) => Unexpected::Other("a string"),
            },
        }
    }

    fn wrong_type(self, expected: &str) -> Error {
        self.name_unset_variable(de::Error::invalid_type(self.unexpected(), &expected))
    }

    /// A null that nobody wrote needs an explanation.
    fn name_unset_variable(self, mut error: Error) -> Error {
        if let Value::Scalar(Scalar {
            origin: Origin::UnsetVariable(name),
            ..
        }) = &self.node.value
        {
            error.message = format!(
                "{}, because the environment variable {name} is not set",
                error.message
            );
        }
        error
    }

    /// Its keys and values; `are_known` where it has only certain keys.
    fn entries(self, are_known: bool) -> Result<Entries<'de>, Error> {
        let entries: &[Entry] = match &self.node.value {
            Value::Mapping(entries) => entries,
            _ if self.node.is_null() => &[],
            _ => return Err(self.wrong_type("a mapping")),
        };
        Ok(Entries {
            left: entries.iter(),
            current: None,
            are_known,
        })
    }

    fn text(self) -> Result<&'de str, Error> {
        match &self.node.value {
            Value::Scalar(scalar) => scalar.text(),
            Value::Sequence(_) | Value::Mapping(_) => self.node.written.as_deref(),
        }
        .ok_or_else(|| self.wrong_type("a string"))
    }
}

impl<'de> Deserializer<'de> for NodeDeserializer<'de> {
    type Error = Error;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        match &self.node.value {
            Value::Sequence(_) => self.deserialize_seq(visitor),
            Value::Mapping(_) => self.deserialize_map(visitor),
            Value::Scalar(scalar) => match scalar.typed() {
                Typed::Null => visitor
                    .visit_unit()
                    .map_err(|error| self.name_unset_variable(error)),
                Typed::Bool(value) => visitor.visit_bool(value),
                Typed::Int(value) => {
                    if let Ok(value) = i64::try_from(value) {
                        visitor.visit_i64(value)
                    } else if let Ok(value) = u64::try_from(value) {
                        visitor.visit_u64(value)
                    } else {
                        visitor.visit_i128(value)
                    }
                }
                Typed::Float(value) => visitor.visit_f64(value),
                Typed::Str(text) => visitor.visit_borrowed_str(text),
            },
        }
    }

    fn deserialize_str<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_borrowed_str(self.text()?)
    }

    fn deserialize_string<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        self.deserialize_str(visitor)
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        if self.node.is_null() {
            visitor.visit_none()
        } else {
            visitor.visit_some(self)
        }
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        visitor: V,
    ) -> Result<V::Value, Error> {
        match &self.node.value {
            Value::Mapping(_) if name == TextOrFields::NAME => self.deserialize_map(visitor),
            _ if name == TextOrFields::NAME => self.deserialize_str(visitor),
            _ => visitor.visit_newtype_struct(self),
        }
    }

    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        let items: &[Node] = match &self.node.value {
            Value::Sequence(items) => items,
            _ if self.node.is_null() => &[],
            _ => return Err(self.wrong_type("a list")),
        };
        visitor.visit_seq(Items {
            items: items.iter().enumerate(),
        })
    }

    fn deserialize_map<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_map(self.entries(false)?)
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        _fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        visitor.visit_map(self.entries(true)?)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _name: &'static str,
        _variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        visitor.visit_enum(self.text()?.into_deserializer())
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char bytes byte_buf unit unit_struct
        tuple tuple_struct identifier ignored_any
    }
}

struct Items<'de> {
    items: std::iter::Enumerate<slice::Iter<'de, Node>>,
}

impl<'de> de::SeqAccess<'de> for Items<'de> {
    type Error = Error;

    fn next_element_seed<T: de::DeserializeSeed<'de>>(
        &mut self,
        seed: T,
    ) -> Result<Option<T::Value>, Error> {
        let Some((index, node)) = self.items.next() else {
            return Ok(None);
        };
        seed.deserialize(NodeDeserializer { node })
            .map(Some)
            .map_err(|error| error.inside(Step::Index(index)))
    }
}

struct Entries<'de> {
    left: slice::Iter<'de, Entry>,
    /// The entry whose key has been read.
    current: Option<&'de Entry>,
    /// Whether there can only be certain keys.
    are_known: bool,
}

impl<'de> de::MapAccess<'de> for Entries<'de> {
    type Error = Error;

    fn next_key_seed<K: de::DeserializeSeed<'de>>(
        &mut self,
        seed: K,
    ) -> Result<Option<K::Value>, Error> {
        let Some(entry) = self.left.next() else {
            return Ok(None);
        };
        self.current = Some(entry);
        seed.deserialize(BorrowedStrDeserializer::new(&entry.key))
            .map(Some)
            .map_err(|error: Error| error.inside(Step::Key(entry.key.clone())))
    }

    fn next_value_seed<V: de::DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, Error> {
        let Some(entry) = self.current.take() else {
            return Err(de::Error::custom("the value was asked for before its key"));
        };
        seed.deserialize(NodeDeserializer { node: &entry.value })
            .map_err(|mut error| {
                let is_this = error.steps.is_empty();
                error.is_null_key |= is_this && self.are_known && entry.value.is_null();
                error.inside(Step::Key(entry.key.clone()))
            })
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]
mod tests {
    use std::collections::BTreeMap;

    use serde::Deserialize;

    use super::super::path::KeyPath;
    use super::super::{expand, yaml};
    use super::*;

    #[derive(Debug, Default, PartialEq, Deserialize)]
    #[serde(deny_unknown_fields, default)]
    struct Sample {
        text: String,
        number: u32,
        float: f64,
        flag: bool,
        maybe: Option<String>,
        list: Vec<Sample>,
        map: BTreeMap<String, String>,
        choice: Choice,
        nested: Required,
    }

    #[derive(Debug, Default, PartialEq, Deserialize)]
    #[serde(rename_all = "lowercase")]
    enum Choice {
        #[default]
        One,
        Two,
    }

    #[derive(Debug, Default, PartialEq, Deserialize)]
    struct Required {
        must: u8,
    }

    fn read(text: &str) -> Result<Sample, String> {
        let mut node = yaml::parse(text, &"c.yaml".into()).unwrap();
        expand::expand(&mut node, &|_| None);
        from_node(&node).map_err(|error| {
            let (steps, message, _) = error.into_parts();
            format!("{}: {message}", KeyPath::from(steps))
        })
    }

    #[test]
    fn reads_every_type() {
        let sample = read(
            "text: x\nnumber: 7\nfloat: 2\nflag: true\nmaybe: y\nlist: [{}, {number: 1}]\n\
             map: {a: b, c: 1, d: true}\nchoice: two\nnested: {must: 3}\n",
        )
        .unwrap();
        let map = [("a", "b"), ("c", "1"), ("d", "true")];
        assert_eq!(
            sample,
            Sample {
                text: "x".to_owned(),
                number: 7,
                float: 2.0,
                flag: true,
                maybe: Some("y".to_owned()),
                list: vec![
                    Sample::default(),
                    Sample {
                        number: 1,
                        ..Sample::default()
                    }
                ],
                map: map.map(|(k, v)| (k.to_owned(), v.to_owned())).into(),
                choice: Choice::Two,
                nested: Required { must: 3 },
            }
        );
    }

    #[test]
    fn null_means_defaults_for_bodies() {
        assert_eq!(read("").unwrap(), Sample::default());
        assert_eq!(
            read("list:\nmap: ~\nmaybe: null\n").unwrap(),
            Sample::default()
        );
    }

    #[test]
    fn numbers_keep_their_text_where_a_string_is_wanted() {
        assert_eq!(read("text: 0123").unwrap().text, "0123");
        assert_eq!(read("text: 1e3").unwrap().text, "1e3");
    }

    #[test]
    fn errors_say_where_what_was_expected_and_what_was_found() {
        let table = [
            (
                "list: [{}, {number: x}]",
                "list[1].number: expected u32, found string \"x\"",
            ),
            ("number: '7'", "number: expected u32, found string \"7\""),
            ("number: [7]", "number: expected u32, found a list"),
            ("number: {a: 7}", "number: expected u32, found a mapping"),
            ("number:", "number: expected u32, found null"),
            (
                "flag: yes",
                "flag: expected a boolean, found string \"yes\"",
            ),
            ("text: [a]", "text: expected a string, found a list"),
            ("text:", "text: expected a string, found null"),
            ("list: {a: 1}", "list: expected a list, found a mapping"),
            ("list: [7]", "list[0]: expected a mapping, found a number"),
            ("map: [a]", "map: expected a mapping, found a list"),
            (
                "map: {a: {b: c}}",
                "map.a: expected a string, found a mapping",
            ),
            (
                "choice: three",
                "choice: unknown value \"three\"; known are one, two",
            ),
            ("nested: {}", "nested: the field \"must\" is required"),
            (
                "text: ${env:NONE}",
                "text: expected a string, found null, because the environment variable NONE is not set",
            ),
            (
                "flag: ${env:NONE}",
                "flag: expected a boolean, found null, because the environment variable NONE is not set",
            ),
        ];
        for (text, expected) in table {
            assert_eq!(read(text).unwrap_err(), expected);
        }
        let unknown = read("map: {}\nmpa: {}").unwrap_err();
        assert!(
            unknown.starts_with("mpa: has invalid keys: mpa; known are text, number, "),
            "{unknown}"
        );
    }
}
