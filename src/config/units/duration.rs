//! Durations, as Go programs write them.

use std::borrow::Cow;
use std::time::Duration;

use jiff::fmt::friendly::{Designator, Spacing, SpanParser, SpanPrinter};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::Deserialize;
use serde::de::{Deserializer, Error};
use serde::ser::Serializer;

/// The longest duration: what fits into 64 bits of nanoseconds, so that adding it to any clock
/// cannot overflow.
const MAX_DURATION: Duration = Duration::from_nanos(i64::MAX as u64);

const PATTERN: &str = "^(0|([0-9]+(\\.[0-9]+)?(ns|us|µs|μs|ms|s|m|h))+)$";

/// A duration of 0 or more, such as `5s`, `200ms`, `1h30m` or a bare `0`.
pub(crate) struct AnyDuration;

/// A duration of 0 or more, or null for none.
pub(crate) struct AnyDurationOrNone;

/// A duration greater than 0.
pub(crate) struct PositiveDuration;

impl AnyDuration {
    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Duration, D::Error> {
        let text = String::deserialize(deserializer)?;
        if text == "0" {
            return Ok(Duration::ZERO);
        }
        if text.starts_with('-') {
            return Err(D::Error::custom(format!(
                "\"{text}\" is negative: a duration is 0 or more"
            )));
        }
        // The parser knows more ways to write a duration than the Collector does.
        let parsed = is_compact(&text)
            .then(|| SpanParser::new().parse_unsigned_duration(&text).ok())
            .flatten();
        let duration = parsed.ok_or_else(|| {
            D::Error::custom(format!(
                "\"{text}\" is not a duration: use a number with a unit such as 5s, 200ms or 1h30m"
            ))
        })?;
        if duration > MAX_DURATION {
            return Err(D::Error::custom(format!(
                "\"{text}\" is too long: a duration is at most 292 years"
            )));
        }
        Ok(duration)
    }

    pub(crate) fn serialize<S: Serializer>(
        duration: &Duration,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        if duration.is_zero() {
            return serializer.serialize_str("0s");
        }
        let printer = SpanPrinter::new()
            .spacing(Spacing::None)
            .designator(Designator::Compact);
        serializer.serialize_str(&printer.unsigned_duration_to_string(duration))
    }
}

impl AnyDurationOrNone {
    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Option<Duration>, D::Error> {
        #[derive(Deserialize)]
        struct Given(#[serde(with = "AnyDuration")] Duration);
        let duration = Option::<Given>::deserialize(deserializer)?;
        Ok(duration.map(|Given(duration)| duration))
    }

    #[expect(clippy::ref_option, reason = "serde gives references to fields")]
    pub(crate) fn serialize<S: Serializer>(
        duration: &Option<Duration>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        match duration {
            Some(duration) => AnyDuration::serialize(duration, serializer),
            None => serializer.serialize_none(),
        }
    }
}

impl PositiveDuration {
    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Duration, D::Error> {
        let duration = AnyDuration::deserialize(deserializer)?;
        if duration.is_zero() {
            return Err(D::Error::custom("must be longer than 0, such as 5s"));
        }
        Ok(duration)
    }

    pub(crate) fn serialize<S: Serializer>(
        duration: &Duration,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        AnyDuration::serialize(duration, serializer)
    }
}

/// Whether it is numbers and units of at most an hour, and nothing else.
fn is_compact(text: &str) -> bool {
    let mut rest = text;
    while !rest.is_empty() {
        let number = |c: char| c.is_ascii_digit() || c == '.';
        let unit = rest.trim_start_matches(number);
        let next = unit.trim_start_matches(|c| !number(c));
        let name = unit.strip_suffix(next).unwrap_or(unit);
        if !matches!(name, "ns" | "us" | "µs" | "μs" | "ms" | "s" | "m" | "h") {
            return false;
        }
        rest = next;
    }
    true
}

impl JsonSchema for AnyDuration {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "Duration".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        // A bare 0 is a number to YAML.
        json_schema!({ "anyOf": [{ "type": "string", "pattern": PATTERN }, { "const": 0 }] })
    }
}

impl JsonSchema for AnyDurationOrNone {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "DurationOrNone".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "anyOf": [{ "type": ["string", "null"], "pattern": PATTERN }, { "const": 0 }]
        })
    }
}

impl JsonSchema for PositiveDuration {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "PositiveDuration".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        let not_zero = "^([0.]+[a-zµμ]*)+$";
        json_schema!({ "type": "string", "pattern": PATTERN, "not": { "pattern": not_zero } })
    }
}
