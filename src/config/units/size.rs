//! Sizes in bytes.
#![expect(
    clippy::ref_option,
    clippy::trivially_copy_pass_by_ref,
    reason = "serde gives references to fields"
)]

use std::borrow::Cow;

use bytesize::ByteSize;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{Deserializer, Error};
use serde::ser::Serializer;
use serde::{Deserialize, Serialize};

const PATTERN: &str = "^[0-9]+(\\.[0-9]+)? *([bB]|[kKmMgGtTpPeE]([iI]?[bB])?)?$";

/// A size of at least one byte, such as `8KiB`, `64MiB` or a bare number of bytes.
pub(crate) struct PositiveSize;

/// A size of at least one byte, or null for none.
pub(crate) struct PositiveSizeOrNone;

/// A size from `MIN` to `MAX` bytes.
pub(crate) struct SizeBetween<const MIN: u64, const MAX: u64>;

/// A size from 0 to `MAX` bytes.
pub(crate) struct SizeUpTo<const MAX: u64>;

impl PositiveSize {
    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<ByteSize, D::Error> {
        let size = read(deserializer, "1 byte")?;
        if size.as_u64() == 0 {
            return Err(D::Error::custom("must be 1 byte or more, such as 8KiB"));
        }
        Ok(size)
    }

    pub(crate) fn serialize<S: Serializer>(
        size: &ByteSize,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&exactly(*size))
    }
}

impl PositiveSizeOrNone {
    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Option<ByteSize>, D::Error> {
        #[derive(Deserialize)]
        struct Positive(#[serde(deserialize_with = "PositiveSize::deserialize")] ByteSize);

        let size = Option::<Positive>::deserialize(deserializer)?;
        Ok(size.map(|Positive(size)| size))
    }

    pub(crate) fn serialize<S: Serializer>(
        size: &Option<ByteSize>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        size.map(exactly).serialize(serializer)
    }
}

impl<const MIN: u64, const MAX: u64> SizeBetween<MIN, MAX> {
    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<ByteSize, D::Error> {
        let size = PositiveSize::deserialize(deserializer)?;
        if (MIN..=MAX).contains(&size.as_u64()) {
            return Ok(size);
        }
        let (least, most) = (ByteSize::b(MIN), ByteSize::b(MAX));
        Err(D::Error::custom(format!(
            "must be from {least} to {most}, found {size}"
        )))
    }

    pub(crate) fn serialize<S: Serializer>(
        size: &ByteSize,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        PositiveSize::serialize(size, serializer)
    }
}

impl<const MAX: u64> SizeUpTo<MAX> {
    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<ByteSize, D::Error> {
        let size = read(deserializer, "0")?;
        if size.as_u64() > MAX {
            return Err(D::Error::custom(format!(
                "must be at most {MAX} bytes, found {}",
                size.as_u64()
            )));
        }
        Ok(size)
    }

    pub(crate) fn serialize<S: Serializer>(
        size: &ByteSize,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        PositiveSize::serialize(size, serializer)
    }
}

/// A size as it is written; errors call `least` the smallest there is.
fn read<'de, D: Deserializer<'de>>(deserializer: D, least: &str) -> Result<ByteSize, D::Error> {
    let text = String::deserialize(deserializer)?;
    if text.starts_with('-') {
        return Err(D::Error::custom(format!(
            "\"{text}\" is negative: a size is {least} or more"
        )));
    }
    let size: ByteSize = text.parse().map_err(|_| {
        D::Error::custom(format!(
            "\"{text}\" is not a size: use a number with a unit such as 8KiB"
        ))
    })?;
    // The parser stops here for everything larger.
    if size.as_u64() == u64::MAX {
        return Err(D::Error::custom(format!("\"{text}\" is too large")));
    }
    Ok(size)
}

/// The size in the largest unit of which it is a multiple.
fn exactly(size: ByteSize) -> String {
    let bytes = size.as_u64();
    let units = ["B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"];
    let fits = (bytes.trailing_zeros() / 10).min(6);
    match units.get(fits as usize) {
        Some(unit) if bytes > 0 => format!("{}{unit}", bytes >> (10 * fits)),
        _ => "0B".to_owned(),
    }
}

impl JsonSchema for PositiveSize {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "PositiveSize".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "anyOf": [
                { "type": "string", "pattern": PATTERN, "not": { "pattern": "^[0.]+[^0-9]*$" } },
                { "type": "integer", "minimum": 1 },
            ],
        })
    }
}

impl JsonSchema for PositiveSizeOrNone {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "PositiveSizeOrNone".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        json_schema!({ "anyOf": [PositiveSize::json_schema(generator), { "type": "null" }] })
    }
}

impl<const MIN: u64, const MAX: u64> JsonSchema for SizeBetween<MIN, MAX> {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        format!("SizeBetween{MIN}And{MAX}").into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "anyOf": [
                { "type": "string", "pattern": PATTERN, "not": { "pattern": "^[0.]+[^0-9]*$" } },
                { "type": "integer", "minimum": MIN, "maximum": MAX },
            ],
        })
    }
}

impl<const MAX: u64> JsonSchema for SizeUpTo<MAX> {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        format!("SizeUpTo{MAX}").into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "anyOf": [
                { "type": "string", "pattern": PATTERN },
                { "type": "integer", "minimum": 0, "maximum": MAX },
            ],
        })
    }
}
