//! The names of headers.
#![expect(clippy::ref_option, reason = "serde gives references to fields")]

use std::borrow::Cow;

use http::HeaderName;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::Deserialize;
use serde::de::{Deserializer, Error};
use serde::ser::{Serialize as _, Serializer};

const PATTERN: &str = "^[0-9A-Za-z!#$%&'*+.^_`|~-]+$";

/// The name of a header.
pub(crate) struct Header;

/// The name of a header, or null for none.
pub(crate) struct HeaderOrNone;

impl Header {
    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<HeaderName, D::Error> {
        parse(&String::deserialize(deserializer)?)
    }

    pub(crate) fn serialize<S: Serializer>(
        name: &HeaderName,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(name.as_str())
    }
}

impl HeaderOrNone {
    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Option<HeaderName>, D::Error> {
        let name = Option::<String>::deserialize(deserializer)?;
        name.map(|name| parse(&name)).transpose()
    }

    pub(crate) fn serialize<S: Serializer>(
        name: &Option<HeaderName>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        name.as_ref().map(HeaderName::as_str).serialize(serializer)
    }
}

fn parse<E: Error>(name: &str) -> Result<HeaderName, E> {
    HeaderName::from_bytes(name.as_bytes())
        .map_err(|_| E::custom(format!("\"{name}\" is not a header name")))
}

impl JsonSchema for Header {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "Header".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "pattern": PATTERN })
    }
}

impl JsonSchema for HeaderOrNone {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "HeaderOrNone".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": ["string", "null"], "pattern": PATTERN })
    }
}
