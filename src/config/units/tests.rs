#![expect(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

use std::time::Duration;

use bytesize::ByteSize;
use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::super::{de, yaml};
use super::*;

#[derive(Debug, Deserialize)]
struct Any(#[serde(with = "AnyDuration")] Duration);

#[derive(Debug, Deserialize)]
struct Positive(#[serde(with = "PositiveDuration")] Duration);

#[derive(Debug, Deserialize)]
struct Size(#[serde(with = "PositiveSize")] ByteSize);

#[derive(Debug, Deserialize)]
struct MaybeSize(#[serde(with = "PositiveSizeOrNone")] Option<ByteSize>);

#[derive(Debug, Deserialize)]
struct SmallSize(#[serde(with = "SizeUpTo::<1024>")] ByteSize);

#[derive(Debug, Deserialize)]
struct Number(#[serde(with = "Between::<1, 1024>")] u16);

#[derive(Debug, Deserialize)]
struct NumberOrNone(#[serde(with = "BetweenOrNone::<1, 9>")] Option<u16>);

fn read<T: DeserializeOwned>(text: &str) -> Result<T, String> {
    de::from_node(&yaml::parse(text, &"c.yaml".into()).unwrap()).map_err(|error| error.to_string())
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
        assert_eq!(read::<Any>(text).unwrap().0, expected, "{text}");
    }
    assert_eq!(read::<Positive>("1ns").unwrap().0.as_nanos(), 1);
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
        let error = read::<Any>(text).unwrap_err();
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
        assert_eq!(read::<Any>(text).unwrap_err(), expected, "{text}");
    }
    assert!(read::<Any>("5s ago").is_err());
    assert!(read::<Any>("99999999999999999999h").is_err());
    assert_eq!(
        read::<Positive>("0").unwrap_err(),
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
