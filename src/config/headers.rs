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

/// `headers_list`: headers in one text, as `OTEL_EXPORTER_OTLP_HEADERS` has them.
pub(crate) fn headers_list<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<Secret>, D::Error> {
    let list = Option::<Secret>::deserialize(deserializer)?;
    if let Some(list) = &list {
        listed(list).map_err(D::Error::custom)?;
    }
    Ok(list)
}

/// What such a text says: `a=1,b=2`, and `%2C` for what a list cannot have in it. Nothing of it is in an error,
/// for anything may be a secret that was written in another way.
pub(crate) fn listed(list: &Secret) -> Result<BTreeMap<String, Secret>, String> {
    let mut headers = BTreeMap::new();
    let entries = list.expose().split(',').map(str::trim).zip(1_usize..);
    for (entry, number) in entries.filter(|(entry, _)| !entry.is_empty()) {
        let Some((name, value)) = entry.split_once('=') else {
            return Err(format!("its entry {number} is not name=value"));
        };
        let Ok(name) = HeaderName::from_bytes(name.trim().as_bytes()) else {
            return Err(format!("its entry {number} begins with no header name"));
        };
        let value = decoded(value.trim()).filter(|value| HeaderValue::from_str(value).is_ok());
        let Some(value) = value else {
            return Err(format!(
                "the value of its entry {number} cannot be: write % and two digits for what is no letter or \
                 digit, such as %20 for a space"
            ));
        };
        let value = Secret::new(value);
        if headers.insert(name.as_str().to_owned(), value).is_some() {
            return Err(format!("its entry {number} has the name of another"));
        }
    }
    Ok(headers)
}

/// A value of a list; none where it has what a list cannot have.
fn decoded(value: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(value.len());
    let mut rest = value.as_bytes();
    while let Some((&first, after)) = rest.split_first() {
        rest = after;
        match first {
            b';' | b'"' | b'\\' | b' ' => return None,
            b'%' => {
                let (digits, after) = after.split_first_chunk::<2>()?;
                let [high, low] = digits.map(|digit| char::from(digit).to_digit(16));
                bytes.push(u8::try_from(high? * 16 + low?).ok()?);
                rest = after;
            }
            byte => bytes.push(byte),
        }
    }
    String::from_utf8(bytes).ok()
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

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use super::*;

    fn read(list: &str) -> Result<Vec<(String, String)>, String> {
        let headers = listed(&Secret::new(list.to_owned()))?;
        let headers = headers.into_iter();
        Ok(headers
            .map(|(name, value)| (name, value.expose().to_owned()))
            .collect())
    }

    #[test]
    fn a_list_is_read_as_others_write_it() {
        let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        assert!(read("").unwrap().is_empty());
        assert_eq!(
            read("X-Tenant=shop, api-key = a=b== ,,empty=").unwrap(),
            [
                pair("api-key", "a=b=="),
                pair("empty", ""),
                pair("x-tenant", "shop")
            ]
        );
        assert_eq!(
            read("authorization=Bearer%20a%2Cb%3b%25").unwrap(),
            [pair("authorization", "Bearer a,b;%")]
        );
    }

    #[test]
    fn what_is_no_list_is_told_without_a_word_of_it() {
        for (list, says) in [
            ("a=1,canary", "entry 2 is not name=value"),
            ("canary canary=1", "entry 1 begins with no header name"),
            ("a=canary canary", "entry 1"),
            ("a=canary;b", "entry 1"),
            ("a=canary%2", "entry 1"),
            ("a=canary%+1", "entry 1"),
            ("a=canary%0a", "entry 1"),
            ("a=canary%ff", "entry 1"),
            ("canary=1,b=2,Canary=3", "entry 3 has the name of another"),
        ] {
            let error = read(list).unwrap_err();
            assert!(error.contains(says), "{list}: {error}");
            assert!(!error.to_lowercase().contains("canary"), "{error}");
        }
    }
}
