//! Which part of an artifact is asked for (RFC 9110, 13 and 14).

use std::ops::Range;

use http::{HeaderMap, header};

/// What is to be sent of an artifact.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Part {
    /// All of it.
    Whole,
    /// These bytes.
    Bytes(Range<u64>),
    /// None: it has no such bytes.
    Unsatisfiable,
}

impl Part {
    /// What `headers` ask for of an artifact that has `size` bytes and this `etag`. What is not understood, and
    /// what asks for several parts, gets the whole, as any server may answer.
    pub(super) fn of(headers: &HeaderMap, size: u64, etag: &str) -> Self {
        let mut ranges = headers.get_all(header::RANGE).iter();
        let (Some(range), None) = (ranges.next(), ranges.next()) else {
            return Self::Whole;
        };
        // A date is no answer: an artifact has no other than its first.
        if let Some(condition) = headers.get(header::IF_RANGE)
            && condition.as_bytes() != etag.as_bytes()
        {
            return Self::Whole;
        }
        let range = range.to_str().ok().and_then(spec);
        range.map_or(Self::Whole, |spec| spec.within(size))
    }
}

enum Spec {
    From(u64, Option<u64>),
    Last(u64),
}

fn spec(text: &str) -> Option<Spec> {
    let (unit, range) = text.split_once('=')?;
    if !unit.trim().eq_ignore_ascii_case("bytes") {
        return None;
    }
    let (first, last) = range.trim().split_once('-')?;
    let number = |text: &str| {
        let is_number = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        // What is larger than any number is larger than any artifact.
        is_number.then(|| text.parse().unwrap_or(u64::MAX))
    };
    match (first, last) {
        ("", last) => Some(Spec::Last(number(last)?)),
        (first, "") => Some(Spec::From(number(first)?, None)),
        (first, last) => {
            let (first, last) = (number(first)?, number(last)?);
            (first <= last).then_some(Spec::From(first, Some(last)))
        }
    }
}

impl Spec {
    fn within(&self, size: u64) -> Part {
        let range = match *self {
            Self::From(first, last) => {
                first..last.map_or(size, |last| last.saturating_add(1).min(size))
            }
            Self::Last(count) => size.saturating_sub(count)..size,
        };
        if range.start < range.end {
            Part::Bytes(range)
        } else {
            Part::Unsatisfiable
        }
    }
}

/// Whether a list of entity tags, as `If-Match` and `If-None-Match` have it, has this one. A weak tag is of something
/// that is much the same, which is enough for `If-None-Match` only (RFC 9110, 13.1).
pub(super) fn lists(headers: &HeaderMap, name: header::HeaderName, etag: &str) -> Option<bool> {
    let may_be_weak = name == header::IF_NONE_MATCH;
    let mut values = headers.get_all(name).iter().peekable();
    values.peek()?;
    let mut tags = values
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .map(str::trim);
    Some(tags.any(|tag| {
        let strong = tag.strip_prefix("W/").filter(|_| may_be_weak);
        tag == "*" || strong.unwrap_or(tag) == etag
    }))
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use super::*;

    fn part(range: &str, size: u64) -> Part {
        let mut headers = HeaderMap::new();
        headers.insert(header::RANGE, range.parse().unwrap());
        Part::of(&headers, size, "\"e\"")
    }

    #[test]
    fn parts() {
        for (range, expected) in [
            ("bytes=0-0", Part::Bytes(0..1)),
            ("bytes=0-", Part::Bytes(0..10)),
            ("bytes=9-", Part::Bytes(9..10)),
            ("bytes=3-5", Part::Bytes(3..6)),
            ("bytes=3-500", Part::Bytes(3..10)),
            ("Bytes=3-5", Part::Bytes(3..6)),
            ("bytes=-3", Part::Bytes(7..10)),
            ("bytes=-500", Part::Bytes(0..10)),
            ("bytes=0-99999999999999999999999", Part::Bytes(0..10)),
            ("bytes=10-", Part::Unsatisfiable),
            ("bytes=10-11", Part::Unsatisfiable),
            ("bytes=99999999999999999999999-", Part::Unsatisfiable),
            ("bytes=-0", Part::Unsatisfiable),
            ("bytes=5-3", Part::Whole),
            ("bytes=0-1,3-4", Part::Whole),
            ("bytes=-", Part::Whole),
            ("bytes=+1-2", Part::Whole),
            ("bytes=a-b", Part::Whole),
            ("items=0-1", Part::Whole),
            ("bytes", Part::Whole),
        ] {
            assert_eq!(part(range, 10), expected, "{range}");
        }
        assert_eq!(part("bytes=0-", 0), Part::Unsatisfiable);
        assert_eq!(part("bytes=-1", 0), Part::Unsatisfiable);
    }

    #[test]
    fn a_part_of_something_else_is_no_part() {
        for (condition, expected) in [
            ("\"e\"", Part::Bytes(0..1)),
            ("W/\"e\"", Part::Whole),
            ("\"f\"", Part::Whole),
            ("Wed, 21 Oct 2015 07:28:00 GMT", Part::Whole),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(header::RANGE, "bytes=0-0".parse().unwrap());
            headers.insert(header::IF_RANGE, condition.parse().unwrap());
            assert_eq!(Part::of(&headers, 10, "\"e\""), expected, "{condition}");
        }
    }

    #[test]
    fn tags() {
        for (list, found, found_strong) in [
            ("\"e\"", true, true),
            ("W/\"e\"", true, false),
            ("W/\"e\", \"e\"", true, true),
            ("\"a\", \"e\"", true, true),
            ("*", true, true),
            ("\"a\"", false, false),
            ("e", false, false),
        ] {
            for (name, found) in [
                (header::IF_NONE_MATCH, found),
                (header::IF_MATCH, found_strong),
            ] {
                let mut headers = HeaderMap::new();
                headers.insert(&name, list.parse().unwrap());
                let listed = lists(&headers, name.clone(), "\"e\"");
                assert_eq!(listed, Some(found), "{name}: {list}");
            }
        }
        let none = lists(&HeaderMap::new(), header::IF_MATCH, "\"e\"");
        assert_eq!(none, None);
    }
}
