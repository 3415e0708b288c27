use std::fs;
use std::io::{Seek as _, SeekFrom, Write as _};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures::future::join_all;

use super::{SMALL, body, copy, measured, open, segments};
use crate::journal::format::{RECORD_HEADER, SEGMENT_HEADER};
use crate::journal::{Damage, Entry, Journal, Options, Reader};

const OPTIONS: Options = Options {
    segment_bytes: 16 << 10,
    ..SMALL
};

/// A journal of a hundred records in 64 KiB.
struct Intact {
    folder: tempfile::TempDir,
    files: Vec<File>,
}

struct File {
    path: PathBuf,
    bytes: Vec<u8>,
    records: Vec<(Range<usize>, Bytes)>,
}

async fn intact() -> Intact {
    let folder = tempfile::tempdir().unwrap();
    let (journal, _) = open(folder.path(), OPTIONS);
    let sizes = |number: u64| 250 + usize::try_from(number * 37 % 800).unwrap();
    let appends = (0..100).map(|number| journal.append(&[body(number, sizes(number))]));
    let entries: Vec<_> = join_all(appends)
        .await
        .into_iter()
        .map(Result::unwrap)
        .collect();
    let files = segments(folder.path()).into_iter().zip(0..);
    let files: Vec<File> = files
        .map(|(path, slot)| File {
            bytes: fs::read(&path).unwrap(),
            path,
            records: (0..)
                .zip(&entries)
                .filter(|(_, entry)| entry.slot == slot)
                .map(|(number, entry)| {
                    let begin = usize::try_from(entry.offset).unwrap();
                    let body = body(number, sizes(number));
                    (begin..begin + RECORD_HEADER + entry.len(), body)
                })
                .collect(),
        })
        .collect();
    assert!(files.len() >= 4);
    let bytes: usize = files.iter().map(|file| file.bytes.len()).sum();
    assert!((60 << 10..70 << 10).contains(&bytes), "{bytes}");
    Intact { folder, files }
}

impl Intact {
    /// The sequences of the records but those that are `lost` in the file `at`.
    fn sequences_without(&self, at: usize, lost: impl Fn(&Range<usize>) -> bool) -> Vec<u64> {
        let records = self.files.iter().enumerate();
        let records = records.flat_map(|(number, file)| {
            let ranges = file.records.iter().map(|(range, _)| range);
            ranges.map(move |range| (number, range))
        });
        (1..)
            .zip(records)
            .filter(|(_, (number, range))| *number != at || !lost(range))
            .map(|(sequence, _)| sequence)
            .collect()
    }

    /// The records but those that are `lost` in the file `at`.
    fn without(&self, at: usize, lost: impl Fn(&Range<usize>) -> bool) -> Vec<Bytes> {
        let files = self.files.iter().enumerate();
        files
            .flat_map(|(number, file)| file.records.iter().map(move |record| (number, record)))
            .filter(|(number, (range, _))| *number != at || !lost(range))
            .map(|(_, (_, body))| body.clone())
            .collect()
    }
}

/// A start takes long, so that one in so many is also that: `SLIMSPAN_STARTS` says how many there are.
fn one_in() -> usize {
    let given = std::env::var("SLIMSPAN_STARTS").ok();
    let starts = given.map_or(67, |starts| starts.parse().unwrap());
    (64 << 10) / starts
}

/// What is found without changing anything.
fn look(folder: &Path) -> (Vec<Bytes>, Damage) {
    let reader = Reader::open(folder).unwrap();
    let read = reader
        .entries()
        .iter()
        .map(|entry| reader.read(entry).unwrap());
    (read.collect(), *reader.damage())
}

/// The sequences of what is found without changing anything: its bytes were summed.
fn glance(folder: &Path) -> (Vec<u64>, Damage) {
    let reader = Reader::open(folder).unwrap();
    let sequences = reader.entries().iter().map(Entry::sequence);
    (sequences.collect(), *reader.damage())
}

/// What is found, put in order, and found again.
fn recover(folder: &Path) -> (Vec<Bytes>, Damage) {
    let begun = Instant::now();
    let (journal, found) = open(folder, OPTIONS);
    assert!(begun.elapsed() < Duration::from_secs(5));
    let read = super::bodies(&journal, &found.entries);
    drop(journal);
    let (again, _) = look(folder);
    assert_eq!(again, read, "recovery loses nothing");
    (read, found.damage)
}

#[tokio::test]
async fn a_flipped_byte_costs_the_record_that_it_is_in() {
    let intact = intact().await;
    let (mut looked, mut started, each) = (0, 0, one_in());
    let newest = intact.files.len() - 1;
    for (at, file) in intact.files.iter().enumerate() {
        let mut bytes = file.bytes.clone();
        let mut open = fs::OpenOptions::new().write(true).open(&file.path).unwrap();
        let mut put = |at: usize, byte: u8| {
            open.seek(SeekFrom::Start(at as u64)).unwrap();
            open.write_all(&[byte]).unwrap();
        };
        for flipped in 0..bytes.len() {
            bytes[flipped] ^= 1 << (flipped % 8);
            put(flipped, bytes[flipped]);
            let (found, damage) = glance(intact.folder.path());
            let is_hit = |record: &Range<usize>| record.contains(&flipped);
            let place = format!("byte {flipped} of file {at}: {damage}");
            assert!(found == intact.sequences_without(at, is_hit), "{place}");
            let is_last = at == newest && flipped >= file.records.last().unwrap().0.start;
            // That there was a record at the very end is told by nothing else.
            let lost = u64::from(flipped >= SEGMENT_HEADER && !is_last);
            assert_eq!(
                (damage.holes, damage.lost_records, damage.torn_tails),
                (1, lost, 0),
                "{place}"
            );
            looked += 1;
            if flipped % each == 0 {
                started += 1;
                let battered = copy(intact.folder.path());
                assert!(
                    recover(battered.path()) == (intact.without(at, is_hit), damage),
                    "{place}"
                );
                let kept: Vec<_> = fs::read_dir(battered.path().join("quarantine"))
                    .unwrap()
                    .collect();
                assert_eq!(kept.len(), 1, "{place}");
                let kept = fs::read(kept[0].as_ref().unwrap().path()).unwrap();
                assert!(
                    bytes.windows(kept.len()).any(|window| window == kept),
                    "{place}"
                );
            }
            bytes[flipped] = file.bytes[flipped];
            put(flipped, bytes[flipped]);
        }
    }
    measured(
        "damage, every byte flipped",
        &format!("{looked} logs of 64 KiB read, {started} of them also started on"),
    );
}

#[tokio::test]
async fn a_file_that_is_cut_costs_what_is_cut_off() {
    let intact = intact().await;
    let (mut looked, mut started, each) = (0, 0, one_in());
    let newest = intact.files.len() - 1;
    for (at, file) in intact.files.iter().enumerate() {
        let open = fs::OpenOptions::new().write(true).open(&file.path).unwrap();
        for len in (0..file.bytes.len()).rev() {
            open.set_len(len as u64).unwrap();
            let (found, damage) = glance(intact.folder.path());
            let place = format!("{len} bytes of file {at}: {damage}");
            let is_cut = |record: &Range<usize>| record.end > len;
            assert!(found == intact.sequences_without(at, is_cut), "{place}");
            let cut = file
                .records
                .iter()
                .filter(|(record, _)| is_cut(record))
                .count() as u64;
            let ends: Vec<usize> = file
                .records
                .iter()
                .map(|(record, _)| record.start)
                .collect();
            let ragged = u64::from(!ends.contains(&len));
            let expected = if at == newest {
                (0, 0, ragged)
            } else {
                (ragged, cut, 0)
            };
            assert_eq!(
                (damage.holes, damage.lost_records, damage.torn_tails),
                expected,
                "{place}"
            );
            looked += 1;
            if len % each == 0 {
                started += 1;
                assert!(
                    recover(copy(intact.folder.path()).path())
                        == (intact.without(at, is_cut), damage),
                    "{place}"
                );
            }
        }
        fs::write(&file.path, &file.bytes).unwrap();
    }
    measured(
        "damage, cut at every length",
        &format!("{looked} logs of 64 KiB read, {started} of them also started on"),
    );
}

#[tokio::test]
async fn a_page_of_zeros_costs_the_records_that_it_touches() {
    let intact = intact().await;
    for (at, file) in intact.files.iter().enumerate() {
        for begin in (0..file.bytes.len()).step_by(512) {
            let end = (begin + 4096).min(file.bytes.len());
            let mut bytes = file.bytes.clone();
            bytes[begin..end].fill(0);
            fs::write(&file.path, &bytes).unwrap();
            let (found, damage) = recover(copy(intact.folder.path()).path());
            let touched = |record: &Range<usize>| record.start < end && begin < record.end;
            assert!(
                found == intact.without(at, touched),
                "{begin} of {at}: {damage}"
            );
            assert!(
                damage.holes + damage.torn_tails > 0,
                "{begin} of {at}: {damage}"
            );
        }
        fs::write(&file.path, &file.bytes).unwrap();
    }
}

/// What stands behind a gap is found although its offsets are others.
#[tokio::test]
async fn bytes_that_are_gone_cost_the_records_that_they_were_in() {
    let intact = intact().await;
    for (at, file) in intact.files.iter().enumerate() {
        for begin in (SEGMENT_HEADER..file.bytes.len() - 300).step_by(301) {
            let mut bytes = file.bytes.clone();
            let gone = begin..begin + 299;
            bytes.drain(gone.clone());
            fs::write(&file.path, &bytes).unwrap();
            let (found, damage) = recover(copy(intact.folder.path()).path());
            let touched = |of: &Range<usize>| of.start < gone.end && gone.start < of.end;
            assert!(
                found == intact.without(at, touched),
                "{begin} of {at}: {damage}"
            );
            assert!(
                damage.holes + damage.torn_tails > 0,
                "{begin} of {at}: {damage}"
            );
        }
        fs::write(&file.path, &file.bytes).unwrap();
    }
}

#[tokio::test]
async fn garbage_behind_a_segment_costs_nothing() {
    let intact = intact().await;
    let all = intact.without(0, |_| false);
    for (at, file) in intact.files.iter().enumerate() {
        let foreign = &intact.files[(at + 1) % intact.files.len()].bytes;
        let random = body(7, 100_000);
        for garbage in [
            &random[..40],
            &random[..],
            &foreign[..],
            b"rec\nrec\n",
            &[0; 9000],
        ] {
            let mut bytes = file.bytes.clone();
            bytes.extend_from_slice(garbage);
            fs::write(&file.path, &bytes).unwrap();
            let (found, damage) = recover(copy(intact.folder.path()).path());
            assert!(found == all, "{} behind {at}: {damage}", garbage.len());
            assert_eq!(damage.holes + damage.torn_tails, 1, "{damage}");
            assert_eq!(damage.lost_records, 0, "{damage}");
        }
        fs::write(&file.path, &file.bytes).unwrap();
    }
}

#[tokio::test]
async fn segments_may_be_lost_copied_and_swapped() {
    let intact = intact().await;
    let all = intact.without(0, |_| false);
    let name = |path: &Path, at: usize| path.join(intact.files[at].path.file_name().unwrap());
    for at in 0..intact.files.len() {
        let lost = copy(intact.folder.path());
        fs::remove_file(name(lost.path(), at)).unwrap();
        let (found, damage) = recover(lost.path());
        assert!(found == intact.without(at, |_| true), "{at}");
        assert_eq!(
            damage,
            Damage {
                missing_segments: 1,
                ..Damage::default()
            }
        );
        // It is told once.
        assert_eq!(look(lost.path()).1, Damage::default());

        let copied = copy(intact.folder.path());
        fs::copy(
            name(copied.path(), at),
            copied.path().join("0000000099.segment"),
        )
        .unwrap();
        let (found, damage) = recover(copied.path());
        assert!(found == all, "{at}");
        let twice = intact.files[at].records.len() as u64;
        assert_eq!(
            (damage.duplicate_records, damage.misnamed_segments),
            (twice, 1)
        );
        assert_eq!((damage.lost_records, damage.missing_segments), (0, 0));
        assert_eq!(segments(copied.path()).len(), intact.files.len());

        for with in 0..at {
            let swapped = copy(intact.folder.path());
            let (one, other) = (name(swapped.path(), at), name(swapped.path(), with));
            let aside = swapped.path().join("aside");
            fs::rename(&one, &aside).unwrap();
            fs::rename(&other, &one).unwrap();
            fs::rename(&aside, &other).unwrap();
            let (found, damage) = recover(swapped.path());
            assert!(found == all, "{at} and {with}");
            assert_eq!(
                damage,
                Damage {
                    misnamed_segments: 2,
                    ..Damage::default()
                }
            );
        }
    }
}

/// What a sender sends is never taken for a record, whatever the disk does to what stands around it.
#[tokio::test]
async fn a_record_in_a_body_is_none() {
    let folder = tempfile::tempdir().unwrap();
    let (journal, _) = open(folder.path(), SMALL);
    journal.append(&[body(0, 500)]).await.unwrap();
    let forged = Bytes::from(fs::read(&segments(folder.path())[0]).unwrap());
    drop(journal);
    let (journal, _) = open(folder.path(), SMALL);
    let entry = journal.append(std::slice::from_ref(&forged)).await.unwrap();
    journal.append(&[body(2, 500)]).await.unwrap();
    drop(journal);
    let file = &segments(folder.path())[1];
    let mut bytes = fs::read(file).unwrap();
    bytes[usize::try_from(entry.offset).unwrap() + 5] ^= 1;
    fs::write(file, bytes).unwrap();
    let (journal, found) = open(folder.path(), SMALL);
    assert_eq!(
        super::bodies(&journal, &found.entries),
        [body(0, 500), body(2, 500)]
    );
    assert_eq!((found.damage.holes, found.damage.lost_records), (1, 1));
}

#[tokio::test]
async fn damaged_marks_bring_records_again_and_no_more() {
    let folder = tempfile::tempdir().unwrap();
    let (journal, _) = open(folder.path(), SMALL);
    let mut entries = Vec::new();
    for number in 0..20 {
        entries.push(journal.append(&[body(number, 300)]).await.unwrap());
    }
    for entry in &entries[1..19] {
        journal.remove(entry);
    }
    drop(journal);
    let marks = fs::read(folder.path().join("marks")).unwrap();
    for flipped in 0..marks.len() {
        let damaged = copy(folder.path());
        let mut marks = marks.clone();
        marks[flipped] ^= 1;
        fs::write(damaged.path().join("marks"), marks).unwrap();
        let (found, damage) = look(damaged.path());
        assert!((2..=3).contains(&found.len()), "{flipped}: {}", found.len());
        assert_eq!(
            (damage.damaged_marks, damage.missing_segments),
            (1, 0),
            "{flipped}: {damage}"
        );
    }
    for cut in 0..marks.len() {
        fs::write(folder.path().join("marks"), &marks[..cut]).unwrap();
        let (found, damage) = look(folder.path());
        assert!(found.contains(&body(0, 300)) && found.contains(&body(19, 300)));
        assert_eq!(damage.lost_records, 0, "{damage}");
    }
    fs::remove_file(folder.path().join("marks")).unwrap();
    let (_, damage) = recover(folder.path());
    assert_eq!(
        damage,
        Damage {
            damaged_marks: 1,
            ..Damage::default()
        }
    );
}

#[tokio::test]
async fn what_a_later_version_wrote_stays() {
    let intact = intact().await;
    let file = &intact.files[1];
    let mut bytes = file.bytes.clone();
    bytes[8] = 2;
    let sum = crate::journal::format::crc(&bytes[..SEGMENT_HEADER - 4]);
    bytes[SEGMENT_HEADER - 4..SEGMENT_HEADER].copy_from_slice(&sum.to_le_bytes());
    fs::write(&file.path, &bytes).unwrap();
    let (journal, found) = Journal::open(intact.folder.path(), OPTIONS).unwrap();
    assert_eq!(
        found.damage,
        Damage {
            unreadable_segments: 1,
            ..Damage::default()
        }
    );
    assert_eq!(found.entries.len(), intact.without(1, |_| true).len());
    for entry in found.entries {
        journal.remove(&entry);
    }
    drop(journal);
    assert!(fs::read(&file.path).unwrap() == bytes);
}
