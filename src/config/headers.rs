//! Headers that come with every request of an exporter, or every answer of a receiver.

use std::collections::BTreeMap;
use std::fmt;

use http::{HeaderMap, HeaderName, HeaderValue};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::Deserialize;
use serde::de::{Deserializer, Error, MapAccess, SeqAccess, Unexpected, Visitor};

use super::Secret;

/// `headers`: a mapping of names to values or, as the Collector has it too, a list of
/// `{name: …, value: …}`. The names come out in lower case.
pub(crate) fn headers<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<BTreeMap<String, Secret>, D::Error> {
    deserializer.deserialize_any(Headers)
}

/// What [`headers`] reads.
pub(crate) fn schema(generator: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "anyOf": [
            generator.subschema_for::<BTreeMap<String, Secret>>(),
            generator.subschema_for::<Vec<Header>>(),
        ],
    })
}

/// They are credentials, mostly, so they are told nobody.
pub(crate) fn to_map(headers: &BTreeMap<String, Secret>) -> HeaderMap {
    let pairs = headers.iter().filter_map(|(name, value)| {
        let name = HeaderName::from_bytes(name.as_bytes()).ok()?;
        let mut value = HeaderValue::from_str(value.expose()).ok()?;
        value.set_sensitive(true);
        Some((name, value))
    });
    pairs.collect()
}

struct Headers;

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Header {
    /// The name.
    name: String,
    /// The value.
    value: Secret,
}

impl<'de> Visitor<'de> for Headers {
    type Value = BTreeMap<String, Secret>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a mapping of names to values")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut headers = BTreeMap::new();
        while let Some(name) = map.next_key::<String>()? {
            let value = map.next_value()?;
            add(&mut headers, &name, value)?;
        }
        Ok(headers)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Self::Value, A::Error> {
        let mut headers = BTreeMap::new();
        while let Some(Header { name, value }) = list.next_element()? {
            add(&mut headers, &name, value)?;
        }
        Ok(headers)
    }

    fn visit_unit<E: Error>(self) -> Result<Self::Value, E> {
        Ok(BTreeMap::new())
    }

    /// Not quoted: it may be a secret that belongs one level deeper.
    fn visit_str<E: Error>(self, _: &str) -> Result<Self::Value, E> {
        Err(E::invalid_type(Unexpected::Other("a string"), &self))
    }
}

fn add<E: Error>(
    headers: &mut BTreeMap<String, Secret>,
    name: &str,
    value: Secret,
) -> Result<(), E> {
    let header = HeaderName::from_bytes(name.as_bytes())
        .map_err(|_| E::custom(format!("\"{name}\" is not a header name")))?;
    if HeaderValue::from_str(value.expose()).is_err() {
        return Err(E::custom(format!(
            "the value of \"{name}\" has a character that a header cannot carry, such as a line \
             break"
        )));
    }
    if headers.insert(header.as_str().to_owned(), value).is_some() {
        return Err(E::custom(format!(
            "\"{header}\" is given twice, in different spellings"
        )));
    }
    Ok(())
}
