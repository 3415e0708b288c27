//! What is kept of damage, and what is not.

use std::fs;
use std::ops::RangeInclusive;
use std::path::Path;

use super::{SMALL, body, copy, open, segments};
use crate::journal::format::RECORD_HEADER;
use crate::journal::{Damage, Options, Recovered};

fn with_limit(max_damaged_bytes: u64) -> Options {
    Options {
        max_damaged_bytes,
        ..SMALL
    }
}

/// A journal of which one record in each segment is damaged; the names of the segments, oldest first.
async fn damaged() -> (tempfile::TempDir, Vec<String>) {
    let folder = tempfile::tempdir().unwrap();
    let (journal, _) = open(folder.path(), SMALL);
    for number in 0..20 {
        journal.append(&[body(number, 1_000)]).await.unwrap();
    }
    drop(journal);
    let mut names = Vec::new();
    for path in segments(folder.path()) {
        let mut bytes = fs::read(&path).unwrap();
        // In the body of the first record.
        bytes[100] ^= 1;
        fs::write(&path, bytes).unwrap();
        names.push(path.file_name().unwrap().to_str().unwrap().to_owned());
    }
    assert!(names.len() >= 5);
    (folder, names)
}

/// Opens it, and says what was found and which damage is kept, by segment.
fn start(folder: &Path, options: Options) -> (Recovered, Vec<String>) {
    let (_journal, found) = open(folder, options);
    let Ok(files) = fs::read_dir(folder.join("quarantine")) else {
        return (found, Vec::new());
    };
    let names = files.map(|file| file.unwrap().file_name().into_string().unwrap());
    let mut kept: Vec<_> = names
        .map(|name| name[..=name.find(".segment").unwrap() + 7].to_owned())
        .collect();
    kept.sort();
    (found, kept)
}

/// So many damaged places, each of a record with its header.
fn places(count: usize) -> RangeInclusive<u64> {
    let least = count * (RECORD_HEADER + 1_000);
    let most = least + count * 8;
    least as u64..=most as u64
}

#[tokio::test]
async fn the_newest_damage_is_kept_and_the_rest_is_told() {
    let (folder, names) = damaged().await;
    let newest = &names[names.len() - 2..];
    // It is the same at every start, also where the segments are there still.
    for _ in 0..3 {
        let (found, kept) = start(folder.path(), with_limit(*places(3).start() - 1));
        assert_eq!(kept, newest);
        assert!(places(names.len() - 2).contains(&found.given_up));
        assert_eq!(found.damage.holes, names.len() as u64);
    }
    // What is kept already makes room, too.
    let (found, kept) = start(folder.path(), with_limit(*places(1).end()));
    assert_eq!(kept, names[names.len() - 1..]);
    assert!(places(names.len() - 1).contains(&found.given_up));
    // And with room for all, nothing is given up.
    let (found, kept) = start(folder.path(), with_limit(1 << 20));
    assert_eq!((found.given_up, kept), (0, names));
}

#[tokio::test]
async fn damage_of_later_times_takes_the_place_of_older_damage() {
    let (folder, names) = damaged().await;
    let limit = with_limit(*places(names.len()).end());
    let (found, kept) = start(folder.path(), limit);
    assert_eq!((found.given_up, kept), (0, names.clone()));
    // All that was intact is done, so nothing but the quarantine has the damaged bytes.
    let (journal, found) = open(folder.path(), limit);
    for entry in &found.entries {
        journal.remove(entry);
    }
    let entry = journal.append(&[body(99, 1_000)]).await.unwrap();
    drop(journal);
    let path = segments(folder.path()).pop().unwrap();
    let mut bytes = fs::read(&path).unwrap();
    bytes[usize::try_from(entry.offset).unwrap() + RECORD_HEADER] ^= 1;
    fs::write(&path, bytes).unwrap();
    let (found, kept) = start(folder.path(), limit);
    assert_eq!(kept[..names.len() - 1], names[1..]);
    assert!(found.given_up >= *places(1).start(), "{}", found.given_up);
    assert!(path.to_str().unwrap().ends_with(&kept[kept.len() - 1]));
}

/// What could never be kept takes nothing along.
#[tokio::test]
async fn one_that_is_too_large_is_given_up_alone() {
    let (folder, names) = damaged().await;
    let newest = segments(folder.path()).pop().unwrap();
    let mut bytes = fs::read(&newest).unwrap();
    bytes.resize(bytes.len() + 50_000, 7);
    fs::write(&newest, bytes).unwrap();
    let (found, kept) = start(folder.path(), with_limit(20_000));
    assert_eq!(found.given_up, 50_000);
    assert_eq!(kept, names, "the other damage of the newest one, too");
}

/// A file whose records all stand elsewhere is moved away, or deleted where there is no room for it.
#[tokio::test]
async fn a_copy_of_a_segment_is_bounded_as_well() {
    for (limit, is_kept) in [(1 << 20, true), (100, false)] {
        let folder = tempfile::tempdir().unwrap();
        let (journal, _) = open(folder.path(), SMALL);
        journal.append(&[body(0, 1_000)]).await.unwrap();
        drop(journal);
        let copied = copy(folder.path());
        let file = segments(copied.path()).remove(0);
        let len = fs::metadata(&file).unwrap().len();
        fs::copy(&file, copied.path().join("0000000099.segment")).unwrap();
        let (found, kept) = start(copied.path(), with_limit(limit));
        assert_eq!(found.entries.len(), 1);
        assert_eq!(found.damage.duplicate_records, 1, "{}", found.damage);
        assert_eq!(segments(copied.path()).len(), 1);
        assert_eq!(kept.len(), usize::from(is_kept));
        assert_eq!(found.given_up, if is_kept { 0 } else { len });
        let (again, _) = start(copied.path(), with_limit(limit));
        assert_eq!((again.damage, again.given_up), (Damage::default(), 0));
    }
}
