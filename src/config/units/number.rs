//! Numbers within limits.
#![expect(
    clippy::ref_option,
    clippy::trivially_copy_pass_by_ref,
    reason = "serde gives references to fields"
)]

use std::borrow::Cow;
use std::fmt;
use std::marker::PhantomData;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{Deserializer, Error, Visitor};
use serde::ser::Serializer;
use serde::{Deserialize, Serialize};

/// A whole number from `MIN` to `MAX`, both included.
pub(crate) struct Between<const MIN: u64, const MAX: u64>;

/// A whole number from `MIN` to `MAX`, both included, or null for none.
pub(crate) struct BetweenOrNone<const MIN: u64, const MAX: u64>;

/// A number from 0 to 1.
pub(crate) struct Fraction;

/// A number of 1 or more, by which something grows.
pub(crate) struct AtLeastOne;

impl<const MIN: u64, const MAX: u64> Between<MIN, MAX> {
    pub(crate) fn deserialize<'de, D, N>(deserializer: D) -> Result<N, D::Error>
    where
        D: Deserializer<'de>,
        N: TryFrom<u64>,
    {
        let number = deserializer.deserialize_i128(WholeNumber)?;
        u64::try_from(number)
            .ok()
            .filter(|number| (MIN..=MAX).contains(number))
            .and_then(|number| N::try_from(number).ok())
            .ok_or_else(|| D::Error::custom(format!("must be from {MIN} to {MAX}, found {number}")))
    }

    pub(crate) fn serialize<S: Serializer, N: Serialize>(
        number: &N,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        number.serialize(serializer)
    }
}

impl<const MIN: u64, const MAX: u64> BetweenOrNone<MIN, MAX> {
    pub(crate) fn deserialize<'de, D, N>(deserializer: D) -> Result<Option<N>, D::Error>
    where
        D: Deserializer<'de>,
        N: TryFrom<u64>,
    {
        deserializer.deserialize_option(OrNone::<N, MIN, MAX>(PhantomData))
    }

    pub(crate) fn serialize<S: Serializer, N: Serialize>(
        number: &Option<N>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        number.serialize(serializer)
    }
}

struct OrNone<N, const MIN: u64, const MAX: u64>(PhantomData<N>);

impl<'de, N: TryFrom<u64>, const MIN: u64, const MAX: u64> Visitor<'de> for OrNone<N, MIN, MAX> {
    type Value = Option<N>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a whole number or null")
    }

    fn visit_none<E: Error>(self) -> Result<Option<N>, E> {
        Ok(None)
    }

    fn visit_some<D: Deserializer<'de>>(self, value: D) -> Result<Option<N>, D::Error> {
        Between::<MIN, MAX>::deserialize(value).map(Some)
    }
}

struct WholeNumber;

impl Visitor<'_> for WholeNumber {
    type Value = i128;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a whole number")
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<i128, E> {
        Ok(value.into())
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<i128, E> {
        Ok(value.into())
    }

    fn visit_i128<E: Error>(self, value: i128) -> Result<i128, E> {
        Ok(value)
    }
}

impl Fraction {
    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<f64, D::Error> {
        let number = f64::deserialize(deserializer)?;
        if (0.0..=1.0).contains(&number) {
            Ok(number)
        } else {
            Err(D::Error::custom(format!(
                "{number} is not from 0 to 1, such as 0.5"
            )))
        }
    }

    pub(crate) fn serialize<S: Serializer>(number: &f64, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_f64(*number)
    }
}

impl AtLeastOne {
    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<f64, D::Error> {
        let number = f64::deserialize(deserializer)?;
        if number.is_finite() && number >= 1.0 {
            Ok(number)
        } else {
            Err(D::Error::custom(format!(
                "{number} is less than 1: intervals must not shrink, such as 1.5"
            )))
        }
    }

    pub(crate) fn serialize<S: Serializer>(number: &f64, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_f64(*number)
    }
}

impl<const MIN: u64, const MAX: u64> JsonSchema for Between<MIN, MAX> {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        format!("Between{MIN}And{MAX}").into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "integer", "minimum": MIN, "maximum": MAX })
    }
}

impl<const MIN: u64, const MAX: u64> JsonSchema for BetweenOrNone<MIN, MAX> {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        format!("Between{MIN}And{MAX}OrNone").into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": ["integer", "null"], "minimum": MIN, "maximum": MAX })
    }
}

impl JsonSchema for Fraction {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "Fraction".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "number", "minimum": 0, "maximum": 1 })
    }
}

impl JsonSchema for AtLeastOne {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "AtLeastOne".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "number", "minimum": 1 })
    }
}
