//! What the objects of the catalog are called.

use jiff::Timestamp;
use jiff::tz::TimeZone;

/// The folder of all of it, below the store's prefix.
pub(super) const FOLDER: &str = "catalog";

/// Where deletions are.
pub(super) const TOMBSTONES: &str = "catalog/tombstones";

/// Where it stands what is too old.
pub(super) const MARKS: &str = "catalog/gc";

/// Between these are the keys of all objects of entries, and of nothing else.
pub(super) const ENTRIES_BETWEEN: (&str, &str) = ("catalog/0", "catalog/:");

/// How names of entries' objects end.
const ENTRIES: &str = ".jsonl";

/// How names of objects with deletions end.
const TOMBSTONE: &str = ".json";

/// What stands before the second at which somebody is to go on with a deletion.
const UNTIL: &str = "-until-";

/// The folder of the objects that were begun in the hour of `time`.
pub(super) fn hour(time: Timestamp) -> String {
    format!("{FOLDER}/{}", utc(time, "%Y-%m-%d/%H"))
}

/// How the names of objects begin that were begun at `time`: those of one folder are in the order of time.
pub(super) fn stamp(time: Timestamp) -> String {
    utc(time, "%Y%m%dT%H%M%S%.6fZ")
}

/// A new object of entries, begun at `time` by `replica`.
pub(super) fn entries(time: Timestamp, replica: u32) -> String {
    let random: u32 = rand::random();
    let (hour, stamp) = (hour(time), stamp(time));
    format!("{hour}/{stamp}-{replica:08x}-{random:08x}{ENTRIES}")
}

/// What several objects become of which `last` is the last. It stands behind all of them, so who lists them
/// in their order meets it if it misses one of them.
pub(super) fn merged(last: &str) -> String {
    behind(last, ENTRIES)
}

/// The same of objects with deletions.
pub(super) fn merged_tombstones(last: &str) -> String {
    behind(last, TOMBSTONE)
}

fn behind(last: &str, ending: &str) -> String {
    let random: u32 = rand::random();
    let last = last.strip_suffix(ending).unwrap_or(last);
    // Short, however often it is merged again. `_` is behind `.` and `-`.
    let (first, merged) = last.split_once('_').unwrap_or((last, ""));
    let generation = merged.get(..4).and_then(|times| times.parse().ok());
    let generation: u16 = generation.map_or(1, |times: u16| times.saturating_add(1));
    format!("{first}_{generation:04}-{random:08x}{ending}")
}

/// A new object with deletions, made at `time` by `replica`.
pub(super) fn tombstones(time: Timestamp, replica: u32) -> String {
    let random: u32 = rand::random();
    format!(
        "{TOMBSTONES}/{}-{replica:08x}-{random:08x}{TOMBSTONE}",
        stamp(time)
    )
}

/// The same of a deletion that is not finished: at `until` somebody is to go on with it.
pub(super) fn unfinished(time: Timestamp, replica: u32, until: Timestamp) -> String {
    let name = tombstones(time, replica);
    let name = name.strip_suffix(TOMBSTONE).unwrap_or(&name);
    format!("{name}{UNTIL}{}{TOMBSTONE}", until.as_second())
}

/// What an object is called when the deletion in it is finished, and when somebody is to go on with it; none where
/// it is finished.
pub(super) fn is_unfinished(key: &str) -> Option<(String, Timestamp)> {
    let (name, until) = key.strip_suffix(TOMBSTONE)?.split_once(UNTIL)?;
    let until = Timestamp::from_second(until.parse().ok()?).ok()?;
    Some((format!("{name}{TOMBSTONE}"), until))
}

/// Whether an object has deletions with which nobody has to go on.
pub(super) fn is_finished(key: &str) -> bool {
    key.ends_with(TOMBSTONE) && !key.contains(UNTIL)
}

/// A new object with marks, made at `time`.
pub(super) fn marks(time: Timestamp) -> String {
    let random: u32 = rand::random();
    format!("{MARKS}/{}-{random:08x}.jsonl", stamp(time))
}

/// Whether an object has entries.
pub(super) fn has_entries(key: &str) -> bool {
    let rest = key
        .strip_prefix(FOLDER)
        .and_then(|rest| rest.strip_prefix('/'));
    rest.is_some_and(|rest| {
        rest.starts_with(|first: char| first.is_ascii_digit()) && rest.ends_with(ENTRIES)
    })
}

fn utc(time: Timestamp, format: &str) -> String {
    time.to_zoned(TimeZone::UTC).strftime(format).to_string()
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use super::*;

    #[test]
    fn names_are_in_the_order_of_time() {
        let time: Timestamp = "2026-11-21T19:43:05.000120Z".parse().unwrap();
        let key = entries(time, 0xab);
        let beginning = "catalog/2026-11-21/19/20261121T194305.000120Z-000000ab-";
        assert!(key.starts_with(beginning), "{key}");
        assert!(has_entries(&key));
        let (from, to) = ENTRIES_BETWEEN;
        assert!((from..to).contains(&key.as_str()));
        assert!(!(from..to).contains(&tombstones(time, 1).as_str()));
        assert_eq!(hour(time), "catalog/2026-11-21/19");
        assert!(!has_entries(&tombstones(time, 1)));
        assert!(!has_entries(&marks(time)));
        assert!(!has_entries("catalog/sha256/ab/abcd"));
        assert!(!has_entries("default/2026/x.jsonl"));
    }

    #[test]
    fn names_tell_which_deletions_are_not_finished() {
        let time: Timestamp = "2026-11-21T19:43:05.000120Z".parse().unwrap();
        let until: Timestamp = "2026-11-23T19:43:05Z".parse().unwrap();
        let key = unfinished(time, 0xab, until);
        let beginning = "catalog/tombstones/20261121T194305.000120Z-000000ab-";
        assert!(key.starts_with(beginning), "{key}");
        let (finished, found) = is_unfinished(&key).unwrap();
        assert_eq!(found, until);
        assert!(finished.starts_with(beginning), "{finished}");
        assert_eq!(finished.len(), tombstones(time, 1).len());
        for finished in [
            finished,
            tombstones(time, 1),
            key.replace("until-1", "until-x"),
        ] {
            assert_eq!(is_unfinished(&finished), None, "{finished}");
        }
        assert!(is_finished(&tombstones(time, 1)) && !is_finished(&key));
        // Whatever a later version means by that.
        assert!(!is_finished(&key.replace("until-1", "until-x")));
    }

    #[test]
    fn what_is_merged_stands_behind_its_parts() {
        let time: Timestamp = "2026-11-21T19:43:05.000120Z".parse().unwrap();
        let mut last = entries(time, 7);
        for _ in 0..5 {
            let next = merged(&last);
            assert!(next > last, "{next} {last}");
            assert!(has_entries(&next));
            assert!(next.len() < 110);
            last = next;
        }
        let later: Timestamp = "2026-11-21T19:43:05.000121Z".parse().unwrap();
        assert!(last < entries(later, 0));
        let mut last = tombstones(time, 7);
        for _ in 0..5 {
            let next = merged_tombstones(&last);
            assert!(next > last, "{next} {last}");
            assert!(is_finished(&next));
            last = next;
        }
        assert!(last < tombstones(later, 0));
    }
}
