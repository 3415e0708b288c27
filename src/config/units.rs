//! Numbers, sizes and durations as people write them.
//!
//! The functions are meant for `#[serde(deserialize_with = "...")]`; their errors quote the value
//! and show a correct one.

use std::fmt;
use std::marker::PhantomData;
use std::time::Duration;

use bytesize::ByteSize;
use jiff::fmt::friendly::SpanParser;
use serde::Deserialize;
use serde::de::{Deserializer, Error, Visitor};

/// The longest duration: what fits into 64 bits of nanoseconds, so that adding it to any clock
/// cannot overflow.
const MAX_DURATION: Duration = Duration::from_nanos(i64::MAX as u64);

/// A duration of 0 or more, such as `5s`, `200ms`, `1h30m` or a bare `0`.
pub(crate) fn duration<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
    let text = String::deserialize(deserializer)?;
    if text == "0" {
        return Ok(Duration::ZERO);
    }
    if text.starts_with('-') {
        return Err(D::Error::custom(format!(
            "\"{text}\" is negative: a duration is 0 or more"
        )));
    }
    let duration = SpanParser::new()
        .parse_unsigned_duration(&text)
        .map_err(|_| {
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

/// A duration greater than 0.
pub(crate) fn positive_duration<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Duration, D::Error> {
    let duration = duration(deserializer)?;
    if duration.is_zero() {
        return Err(D::Error::custom("must be longer than 0, such as 5s"));
    }
    Ok(duration)
}

/// A size of at least one byte, such as `8KiB`, `64MiB` or a bare number of bytes.
pub(crate) fn positive_size<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<ByteSize, D::Error> {
    let size = size(deserializer, "1 byte")?;
    if size.as_u64() == 0 {
        return Err(D::Error::custom("must be 1 byte or more, such as 8KiB"));
    }
    Ok(size)
}

/// A size from `MIN` to `MAX` bytes.
pub(crate) fn size_between<'de, D: Deserializer<'de>, const MIN: u64, const MAX: u64>(
    deserializer: D,
) -> Result<ByteSize, D::Error> {
    let size = positive_size(deserializer)?;
    if (MIN..=MAX).contains(&size.as_u64()) {
        return Ok(size);
    }
    let (least, most) = (ByteSize::b(MIN), ByteSize::b(MAX));
    Err(D::Error::custom(format!(
        "must be from {least} to {most}, found {size}"
    )))
}

/// A size of at least one byte, or null.
pub(crate) fn optional_positive_size<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<ByteSize>, D::Error> {
    #[derive(Deserialize)]
    struct Positive(#[serde(deserialize_with = "positive_size")] ByteSize);

    let size = Option::<Positive>::deserialize(deserializer)?;
    Ok(size.map(|Positive(size)| size))
}

/// A size from 0 to `MAX` bytes.
pub(crate) fn size_up_to<'de, D: Deserializer<'de>, const MAX: u64>(
    deserializer: D,
) -> Result<ByteSize, D::Error> {
    let size = size(deserializer, "0")?;
    if size.as_u64() > MAX {
        return Err(D::Error::custom(format!(
            "must be at most {MAX} bytes, found {}",
            size.as_u64()
        )));
    }
    Ok(size)
}

/// A size as it is written; errors call `least` the smallest there is.
fn size<'de, D: Deserializer<'de>>(deserializer: D, least: &str) -> Result<ByteSize, D::Error> {
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

/// A whole number from `MIN` to `MAX`, both included.
pub(crate) fn between<'de, D, N, const MIN: u64, const MAX: u64>(
    deserializer: D,
) -> Result<N, D::Error>
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

/// A whole number from `MIN` to `MAX`, both included, or null for none.
pub(crate) fn between_or_none<'de, D, N, const MIN: u64, const MAX: u64>(
    deserializer: D,
) -> Result<Option<N>, D::Error>
where
    D: Deserializer<'de>,
    N: TryFrom<u64>,
{
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
            between::<_, _, MIN, MAX>(value).map(Some)
        }
    }

    deserializer.deserialize_option(OrNone::<N, MIN, MAX>(PhantomData))
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

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]
mod tests {
    use serde::de::DeserializeOwned;

    use super::super::{de, yaml};
    use super::*;

    #[derive(Debug, Deserialize)]
    struct AnyDuration(#[serde(deserialize_with = "duration")] Duration);

    #[derive(Debug, Deserialize)]
    struct PositiveDuration(#[serde(deserialize_with = "positive_duration")] Duration);

    #[derive(Debug, Deserialize)]
    struct Size(#[serde(deserialize_with = "positive_size")] ByteSize);

    #[derive(Debug, Deserialize)]
    struct MaybeSize(#[serde(deserialize_with = "optional_positive_size")] Option<ByteSize>);

    #[derive(Debug, Deserialize)]
    struct SmallSize(#[serde(deserialize_with = "size_up_to::<_, 1024>")] ByteSize);

    #[derive(Debug, Deserialize)]
    struct Number(#[serde(deserialize_with = "between::<_, _, 1, 1024>")] u16);

    #[derive(Debug, Deserialize)]
    struct NumberOrNone(#[serde(deserialize_with = "between_or_none::<_, _, 1, 9>")] Option<u16>);

    fn read<T: DeserializeOwned>(text: &str) -> Result<T, String> {
        de::from_node(&yaml::parse(text).unwrap()).map_err(|error| error.to_string())
    }

    #[test]
    fn durations() {
        let table = [
            ("5s", Duration::from_secs(5)),
            ("200ms", Duration::from_millis(200)),
            ("1h30m", Duration::from_mins(90)),
            ("1.5s", Duration::from_millis(1500)),
            ("15us", Duration::from_micros(15)),
            ("15µs", Duration::from_micros(15)),
            ("7ns", Duration::from_nanos(7)),
            ("1m", Duration::from_mins(1)),
            ("24h", Duration::from_hours(24)),
            ("0", Duration::ZERO),
            ("0s", Duration::ZERO),
            ("2562047h", Duration::from_hours(2_562_047)),
        ];
        for (text, expected) in table {
            assert_eq!(read::<AnyDuration>(text).unwrap().0, expected, "{text}");
        }
        assert_eq!(read::<PositiveDuration>("1ns").unwrap().0.as_nanos(), 1);
    }

    #[test]
    fn what_is_no_duration() {
        let shape = "is not a duration: use a number with a unit such as 5s, 200ms or 1h30m";
        for text in [
            "5",
            "1.5",
            "s",
            "5 parsecs",
            "ten seconds",
            "5s5s",
            "''",
            "1e3s",
            "true",
            "PT5S",
        ] {
            let error = read::<AnyDuration>(text).unwrap_err();
            assert_eq!(error, format!("\"{}\" {shape}", text.trim_matches('\'')));
        }
        let table = [
            ("-5s", "\"-5s\" is negative: a duration is 0 or more"),
            (
                "2562048h",
                "\"2562048h\" is too long: a duration is at most 292 years",
            ),
            ("[5s]", "expected a string, found a list"),
            ("", "expected a string, found null"),
        ];
        for (text, expected) in table {
            assert_eq!(read::<AnyDuration>(text).unwrap_err(), expected, "{text}");
        }
        assert!(read::<AnyDuration>("5s ago").is_err());
        assert!(read::<AnyDuration>("99999999999999999999h").is_err());
        assert_eq!(
            read::<PositiveDuration>("0").unwrap_err(),
            "must be longer than 0, such as 5s"
        );
    }

    #[test]
    fn sizes() {
        let table = [
            ("8KiB", 8 << 10),
            ("64MiB", 64 << 20),
            ("8 KiB", 8 << 10),
            ("8kib", 8 << 10),
            ("8KB", 8000),
            ("1.5KiB", 1536),
            ("8192", 8192),
            ("'8192'", 8192),
            ("1B", 1),
        ];
        for (text, expected) in table {
            assert_eq!(read::<Size>(text).unwrap().0.as_u64(), expected, "{text}");
        }
    }

    #[test]
    fn what_is_no_size() {
        let shape = "is not a size: use a number with a unit such as 8KiB";
        for text in ["8 potatoes", "KiB", "1.2.3KiB", "1e3", "''", "true", "0x10"] {
            let error = read::<Size>(text).unwrap_err();
            assert_eq!(error, format!("\"{}\" {shape}", text.trim_matches('\'')));
        }
        let table = [
            ("-1", "\"-1\" is negative: a size is 1 byte or more"),
            ("0", "must be 1 byte or more, such as 8KiB"),
            ("0KiB", "must be 1 byte or more, such as 8KiB"),
            ("99999999999EiB", "\"99999999999EiB\" is too large"),
            ("[8KiB]", "expected a string, found a list"),
        ];
        for (text, expected) in table {
            assert_eq!(read::<Size>(text).unwrap_err(), expected, "{text}");
        }
    }

    #[test]
    fn sizes_that_may_be_missing() {
        for (text, expected) in [("8KiB", Some(8 << 10)), ("null", None), ("", None)] {
            let size = read::<MaybeSize>(text).unwrap().0;
            assert_eq!(size.map(|size| size.as_u64()), expected, "{text}");
        }
        assert_eq!(
            read::<MaybeSize>("0").unwrap_err(),
            "must be 1 byte or more, such as 8KiB"
        );
    }

    #[test]
    fn sizes_within_limits() {
        for (text, expected) in [("0", 0), ("256B", 256), ("1KiB", 1024)] {
            let size = read::<SmallSize>(text).unwrap().0;
            assert_eq!(size.as_u64(), expected, "{text}");
        }
        for (text, expected) in [
            ("1025", "must be at most 1024 bytes, found 1025"),
            ("2KiB", "must be at most 1024 bytes, found 2048"),
            ("-1", "\"-1\" is negative: a size is 0 or more"),
        ] {
            assert_eq!(read::<SmallSize>(text).unwrap_err(), expected, "{text}");
        }
    }

    #[test]
    fn whole_numbers_within_limits() {
        assert_eq!(read::<Number>("1").unwrap().0, 1);
        assert_eq!(read::<Number>("1024").unwrap().0, 1024);
        let table = [
            ("0", "must be from 1 to 1024, found 0"),
            ("1025", "must be from 1 to 1024, found 1025"),
            ("-1", "must be from 1 to 1024, found -1"),
            (
                "18446744073709551616",
                "must be from 1 to 1024, found 18446744073709551616",
            ),
            (
                "1.5",
                "expected a whole number, found a number with a fraction or too large",
            ),
            ("'7'", "expected a whole number, found string \"7\""),
            ("64MiB", "expected a whole number, found string \"64MiB\""),
            ("", "expected a whole number, found null"),
        ];
        for (text, expected) in table {
            assert_eq!(read::<Number>(text).unwrap_err(), expected, "{text}");
        }
        assert_eq!(read::<NumberOrNone>("9").unwrap().0, Some(9));
        assert_eq!(read::<NumberOrNone>("null").unwrap().0, None);
        assert_eq!(
            read::<NumberOrNone>("10").unwrap_err(),
            "must be from 1 to 9, found 10"
        );
        let beyond = read::<Number>(&"9".repeat(60)).unwrap_err();
        assert!(
            beyond.starts_with("expected a whole number, found "),
            "{beyond}"
        );
    }
}
