//! Segments of which little is needed: that is moved, so that the rest of the room is there again.

use std::collections::HashMap;
use std::path::Path;
use std::time::{Duration, Instant};

use proptest::prelude::*;

use super::faulty_disk::FaultyDisk;
use super::{bodies, body, copy, on_faulty_disk, open_on, segments};
use crate::journal::{AppendError, Damage, Entry, Journal, Options, ReadError};

/// Of 32 segments at most, by their size.
const TIGHT: Options = Options {
    segment_bytes: 2 << 10,
    max_bytes: 64 << 10,
    fsync: true,
    max_damaged_bytes: 1 << 30,
};

/// What it may have while something is moved.
const MOST: u64 = TIGHT.max_bytes + TIGHT.segment_bytes;

/// What the journal has, beside what it should have.
fn all(journal: &Journal, entries: &[Entry]) -> Vec<(u64, bytes::Bytes)> {
    let read = |entry: &Entry| (entry.sequence(), journal.read_blocking(entry).unwrap());
    entries.iter().map(read).collect()
}

fn on_disk(folder: &Path) -> u64 {
    let files = segments(folder);
    files
        .iter()
        .map(|path| path.metadata().unwrap().len())
        .sum()
}

/// Records that go at once, and with some of them a small one that stays.
async fn fill(journal: &Journal, stay: &mut Vec<(u64, Entry)>, numbers: std::ops::Range<u64>) {
    for number in numbers {
        let passes = journal.append(&[body(number, 1_000)]).await;
        let passes = passes.unwrap();
        if number % 4 == 0 {
            let number = 1_000_000 + number;
            let stays = journal.append(&[body(number, 50)]).await.unwrap();
            stay.push((number, stays));
        }
        journal.remove(&passes);
        assert!(journal.held() <= MOST, "{} of {MOST}", journal.held());
    }
}

#[tokio::test]
async fn a_few_that_stay_keep_no_room_that_others_need() {
    let (folder, disk, journal) = on_faulty_disk(TIGHT);
    let mut stay = Vec::new();
    fill(&journal, &mut stay, 0..320).await;
    let expected: Vec<_> = stay.iter().map(|(number, _)| body(*number, 50)).collect();
    for ((_, entry), expected) in stay.iter().zip(&expected) {
        // By what was told when they were appended, wherever they stand now.
        assert_eq!(&journal.read(entry).await.unwrap(), expected);
        assert_eq!(journal.read_blocking(entry).unwrap(), expected);
        assert_eq!(journal.read_beginning(entry, 9).unwrap(), expected[..9]);
        assert_eq!(journal.read_part(entry, 3..9).unwrap(), expected[3..9]);
    }
    journal.settle().await;
    assert_eq!(journal.held(), on_disk(folder.path()));
    drop(journal);

    // In the order in which they came, and as often as that is asked.
    for _ in 0..2 {
        let (journal, found) = open_on(&disk, folder.path(), TIGHT);
        assert_eq!(found.damage, Damage::default());
        assert_eq!(bodies(&journal, &found.entries), expected);
        let told: Vec<_> = stay.iter().map(|(_, entry)| entry.sequence()).collect();
        let is: Vec<_> = found.entries.iter().map(Entry::sequence).collect();
        assert_eq!(is, told);
    }
    let (journal, found) = open_on(&disk, folder.path(), TIGHT);
    let numbers = stay.iter().map(|(number, _)| *number);
    let mut stay: Vec<_> = numbers.zip(found.entries).collect();
    fill(&journal, &mut stay, 320..640).await;
    for (number, entry) in &stay {
        assert_eq!(journal.read_blocking(entry).unwrap(), body(*number, 50));
        journal.remove(entry);
        journal.remove(entry);
    }
    journal.settle().await;
    let (_, first) = &stay[0];
    let read = journal.read_blocking(first);
    assert!(matches!(read, Err(ReadError::Removed)), "{read:?}");
    drop(journal);
    let (_journal, found) = open_on(&disk, folder.path(), TIGHT);
    assert_eq!((found.entries.len(), found.damage), (0, Damage::default()));
    assert_eq!(segments(folder.path()).len(), 0);
}

/// Where it is full, at least about half of it is needed.
#[tokio::test]
async fn what_is_needed_fills_it() {
    let (_folder, _disk, journal) = on_faulty_disk(TIGHT);
    let mut needed = 0;
    for number in 0.. {
        match journal.append(&[body(number, 300)]).await {
            Ok(entry) if number % 2 == 0 => needed += entry.len() as u64,
            Ok(entry) => journal.remove(&entry),
            Err(error) => {
                assert!(matches!(error, AppendError::Full { .. }), "{error}");
                break;
            }
        }
    }
    assert!(needed >= TIGHT.max_bytes * 2 / 5, "{needed}");
}

/// The segment goes only when what was in it is on the disk somewhere else.
#[tokio::test]
async fn a_power_cut_at_any_time_takes_nothing_that_was_moved() {
    let (folder, disk, journal) = on_faulty_disk(TIGHT);
    let mut stay = Vec::new();
    for round in 0..32 {
        fill(&journal, &mut stay, round * 10..(round + 1) * 10).await;
        // Nothing changes while it is copied.
        journal.settle().await;
        let later = tempfile::tempdir().unwrap();
        disk.cut_power(folder.path(), later.path());
        let (journal, found) = open_on(&FaultyDisk::default(), later.path(), TIGHT);
        let found = all(&journal, &found.entries);
        for (number, entry) in &stay {
            let expected = (entry.sequence(), body(*number, 50));
            let times = found.iter().filter(|one| **one == expected).count();
            assert_eq!(times, 1, "{number} in round {round}");
        }
    }
}

/// Without `fsync` nothing is promised of what comes. What was on the disk when it was moved stays there.
#[tokio::test]
async fn without_fsync_a_power_cut_takes_nothing_either_that_was_moved() {
    const UNSYNCED: Options = Options {
        fsync: false,
        ..TIGHT
    };
    let (folder, disk, journal) = on_faulty_disk(TIGHT);
    let mut stay = Vec::new();
    fill(&journal, &mut stay, 0..40).await;
    journal.settle().await;
    let before = segments(folder.path());
    drop(journal);
    let (journal, _) = open_on(&disk, folder.path(), UNSYNCED);
    for round in 4..32 {
        fill(&journal, &mut Vec::new(), round * 10..(round + 1) * 10).await;
        journal.settle().await;
        let later = tempfile::tempdir().unwrap();
        disk.cut_power(folder.path(), later.path());
        let (journal, found) = open_on(&FaultyDisk::default(), later.path(), UNSYNCED);
        let found = all(&journal, &found.entries);
        for (number, entry) in &stay {
            let expected = (entry.sequence(), body(*number, 50));
            let times = found.iter().filter(|one| **one == expected).count();
            assert_eq!(times, 1, "{number} in round {round}");
        }
    }
    assert!(before.iter().all(|segment| !segment.exists()));
}

/// The process ends after each change of the disk, also half-way through a move.
#[tokio::test]
async fn an_end_at_any_change_of_a_move_neither_loses_nor_doubles() {
    const SMALLER: Options = Options {
        segment_bytes: 1 << 10,
        max_bytes: 8 << 10,
        ..TIGHT
    };
    // Each segment has room for one of either.
    let made = |number: u64| body(number, if number.is_multiple_of(2) { 100 } else { 700 });
    for changes in 0.. {
        let (folder, disk, journal) = on_faulty_disk(SMALLER);
        disk.end_after(changes);
        let (mut told, mut gone) = (HashMap::new(), Vec::new());
        for number in 0..26_u64 {
            if let Ok(entry) = journal.append(&[made(number)]).await {
                told.insert(number, entry);
            }
            // The small ones stay for a while, until some of them are moved.
            let done = if number.is_multiple_of(2) {
                number.checked_sub(20)
            } else {
                Some(number)
            };
            if let Some(done) = done
                && let Some(entry) = told.remove(&done)
            {
                journal.remove(&entry);
                journal.settle().await;
                // Else the mark may not be there.
                if !disk.has_ended() {
                    gone.push(done);
                }
            }
        }
        drop(journal);
        let without_power = tempfile::tempdir().unwrap();
        disk.cut_power(folder.path(), without_power.path());
        let lives = [folder.path(), folder.path(), without_power.path()];
        for (start, folder) in lives.into_iter().enumerate() {
            let (journal, found) = open_on(&FaultyDisk::default(), folder, SMALLER);
            let found = bodies(&journal, &found.entries);
            for number in 0..26 {
                let expected = made(number);
                let times = found.iter().filter(|one| **one == expected).count();
                let is_told = told.contains_key(&number);
                let what = format!("{number} after {changes}, start {start}");
                assert!(times <= 1, "{what}");
                assert!(times == 1 || !is_told, "{what}");
                // Marks are not synced.
                let may_come_again = start == 2 || !gone.contains(&number);
                assert!(times == 0 || may_come_again, "{what}");
            }
        }
        if !disk.has_ended() {
            assert_eq!(told.len() + gone.len(), 26);
            assert!(changes > 50, "{changes}");
            break;
        }
    }
}

/// Segments of a record that is done and a small one that stays, until there is room for no more of them.
async fn fill_up(journal: &Journal) -> Vec<(u64, Entry)> {
    let mut stay = Vec::new();
    while journal.held() + 1_300 <= TIGHT.max_bytes {
        let number = stay.len() as u64;
        let passes = journal.append(&[body(number, 1_000)]).await.unwrap();
        let stays = journal.append(&[body(1_000 + number, 50)]).await.unwrap();
        stay.push((1_000 + number, stays));
        journal.remove(&passes);
    }
    stay
}

/// What the disk does not take stays where it is.
#[tokio::test]
async fn what_cannot_be_moved_stays() {
    for fails in 0..3 {
        let (folder, disk, journal) = on_faulty_disk(TIGHT);
        let stay = fill_up(&journal).await;
        let full = stay.len() as u64;
        match fails {
            0 => disk.set_room(30),
            1 => disk.fail_syncs(1),
            _ => disk.fail_reads(),
        }
        // One sync that fails is soon forgotten, where the rest stays as it is.
        for number in full..full + if fails == 1 { 1 } else { 4 } {
            let error = journal.append(&[body(number, 1_500)]).await.unwrap_err();
            assert!(matches!(error, AppendError::Full { .. }), "{error}");
        }
        disk.set_room(u64::MAX);
        disk.mend_reads();
        for (number, entry) in &stay {
            assert_eq!(journal.read_blocking(entry).unwrap(), body(*number, 50));
        }
        drop(journal);
        let (journal, found) = open_on(&disk, folder.path(), TIGHT);
        let found = all(&journal, &found.entries);
        for (number, entry) in &stay {
            let expected = (entry.sequence(), body(*number, 50));
            let times = found.iter().filter(|one| **one == expected).count();
            assert_eq!(times, 1, "{number}");
        }
    }
}

/// One bad place on a disk keeps back what stands there, and no room that the rest can make.
#[tokio::test]
async fn one_that_cannot_be_read_keeps_no_other_from_being_moved() {
    let (folder, disk, journal) = on_faulty_disk(TIGHT);
    let stay = fill_up(&journal).await;
    // Of all of them as little is needed, so the first one is to go first.
    let bad = segments(folder.path()).remove(0);
    disk.fail_reads_of(&bad, 0);
    let large: Vec<_> = (0..4).map(|number| body(number, 1_500)).collect();
    for large in &large {
        journal.append(std::slice::from_ref(large)).await.unwrap();
    }
    assert_eq!(disk.failed_reads(), 1, "others come before it from then on");
    assert!(bad.exists());
    disk.mend_reads();
    drop(journal);
    let (journal, found) = open_on(&disk, folder.path(), TIGHT);
    assert_eq!(found.damage, Damage::default());
    let expected = stay.iter().map(|(number, _)| body(*number, 50));
    let expected: Vec<_> = expected.chain(large).collect();
    assert_eq!(bodies(&journal, &found.entries), expected);
}

/// A disk has room for the first of two, and for both of them later.
#[tokio::test]
async fn what_was_moved_in_part_is_moved_whole_later() {
    let (folder, disk, journal) = on_faulty_disk(TIGHT);
    let mut stay = Vec::new();
    // Two in each segment, and room for two more in the last one.
    while journal.held() + 1_300 <= TIGHT.max_bytes {
        let number = stay.len() as u64;
        let passes = journal.append(&[body(number, 1_000)]).await.unwrap();
        for number in [number, number + 1] {
            let stays = journal.append(&[body(1_000 + number, 200)]).await.unwrap();
            stay.push((1_000 + number, stays));
        }
        journal.remove(&passes);
    }
    disk.set_room(300);
    let error = journal.append(&[body(0, 1_500)]).await.unwrap_err();
    assert!(matches!(error, AppendError::Full { .. }), "{error}");
    disk.set_room(u64::MAX);
    let deadline = Instant::now() + Duration::from_secs(30);
    while journal.append(&[body(0, 1_500)]).await.is_err() {
        assert!(Instant::now() < deadline, "it is full for good");
        tokio::task::yield_now().await;
    }
    drop(journal);
    let (journal, found) = open_on(&disk, folder.path(), TIGHT);
    let found = all(&journal, &found.entries);
    for (number, entry) in &stay {
        let expected = (entry.sequence(), body(*number, 200));
        let times = found.iter().filter(|one| **one == expected).count();
        assert_eq!(times, 1, "{number}");
    }
}

/// Somebody reads what another process moves.
#[tokio::test]
async fn who_reads_beside_the_owner_finds_what_was_moved() {
    let (folder, _disk, journal) = on_faulty_disk(TIGHT);
    let mut stay = Vec::new();
    fill(&journal, &mut stay, 0..40).await;
    let passes = journal.append(&[body(7, 1_000)]).await.unwrap();
    journal.settle().await;
    let beside = Journal::open_read_only(folder.path()).unwrap();
    let seen = beside.entries().to_vec();
    assert_eq!(seen.len(), stay.len() + 1);
    let first = segments(folder.path()).remove(0);
    journal.remove(&passes);
    let mut later = Vec::new();
    fill(&journal, &mut later, 40..400).await;
    assert!(!first.exists());
    for ((number, _), entry) in stay.iter().zip(&seen) {
        let expected = body(*number, 50);
        assert_eq!(beside.read(entry).unwrap(), expected);
        assert_eq!(beside.read_beginning(entry, 9).unwrap(), expected[..9]);
    }
    let read = beside.read(seen.last().unwrap());
    assert!(matches!(read, Err(ReadError::Removed)), "{read:?}");
    // And where it was moved once more since.
    for (_, entry) in stay[1..].iter().chain(&later) {
        journal.remove(entry);
    }
    fill(&journal, &mut Vec::new(), 400..800).await;
    assert_eq!(beside.read(&seen[0]).unwrap(), body(stay[0].0, 50));
    let read = beside.read(&seen[1]);
    assert!(matches!(read, Err(ReadError::Removed)), "{read:?}");
}

/// What is done with a journal.
#[derive(Debug, Clone, Copy)]
enum Step {
    Append(usize),
    /// Of those that are there, one by its place.
    Remove(usize),
    Restart,
    PowerCut,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        12 => (1_usize..1_500).prop_map(Step::Append),
        11 => (0_usize..1_000).prop_map(Step::Remove),
        1 => Just(Step::Restart),
        1 => Just(Step::PowerCut),
    ];
    proptest::collection::vec(step, 1..300)
}

/// The journal beside a map of what should be in it.
async fn follow(steps: Vec<Step>) {
    const SMALLER: Options = Options {
        segment_bytes: 1 << 10,
        max_bytes: 16 << 10,
        ..TIGHT
    };
    let (folder, disk, mut journal) = on_faulty_disk(SMALLER);
    // The number that each body is made of, its length, and the entry.
    let mut live: Vec<(u64, usize, Entry)> = Vec::new();
    for (number, step) in (0..).zip(steps) {
        match step {
            Step::Append(len) => match journal.append(&[body(number, len)]).await {
                Ok(entry) => live.push((number, len, entry)),
                Err(error) => {
                    assert!(matches!(error, AppendError::Full { .. }), "{error}");
                    let needed = live.iter().map(|(_, _, entry)| entry.taken());
                    let needed: u64 = needed.sum();
                    // But for the segments at the end, and that of the one that did not fit.
                    assert!(needed + 6_000 > SMALLER.max_bytes / 2, "{needed}");
                }
            },
            Step::Remove(at) if !live.is_empty() => {
                let (_, _, entry) = live.remove(at % live.len());
                journal.remove(&entry);
            }
            Step::Remove(_) => {}
            Step::Restart => {
                drop(journal);
                let found;
                (journal, found) = open_on(&disk, folder.path(), SMALLER);
                assert_eq!(found.damage, Damage::default());
                let is = all(&journal, &found.entries);
                let should = live.iter();
                let should =
                    should.map(|(number, len, entry)| (entry.sequence(), body(*number, *len)));
                assert_eq!(is, should.collect::<Vec<_>>());
                for ((_, _, old), new) in live.iter_mut().zip(found.entries) {
                    *old = new;
                }
            }
            Step::PowerCut => {
                journal.settle().await;
                let later = tempfile::tempdir().unwrap();
                disk.cut_power(folder.path(), later.path());
                let (journal, found) = open_on(&FaultyDisk::default(), later.path(), SMALLER);
                let is = all(&journal, &found.entries);
                for (number, len, entry) in &live {
                    let should = (entry.sequence(), body(*number, *len));
                    assert_eq!(is.iter().filter(|one| **one == should).count(), 1);
                }
            }
        }
        assert!(journal.held() <= SMALLER.max_bytes + SMALLER.segment_bytes);
    }
    for (number, len, entry) in &live {
        assert_eq!(journal.read_blocking(entry).unwrap(), body(*number, *len));
    }
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 16,
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn it_has_what_a_map_would_have(steps in steps()) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(follow(steps));
    }
}

/// Two files of the same records, as a backup that was put back leaves them: each is delivered once.
#[tokio::test]
async fn an_older_segment_that_is_put_back_doubles_nothing() {
    let (folder, disk, journal) = on_faulty_disk(TIGHT);
    let mut stay = Vec::new();
    fill(&journal, &mut stay, 0..40).await;
    journal.settle().await;
    let old = segments(folder.path());
    let kept = copy(folder.path());
    fill(&journal, &mut stay, 40..400).await;
    drop(journal);
    let gone = old.iter().filter(|path| !path.exists());
    let mut put_back = 0;
    for path in gone {
        std::fs::copy(kept.path().join(path.file_name().unwrap()), path).unwrap();
        put_back += 1;
    }
    assert!(put_back > 1, "{put_back}");
    let (journal, found) = open_on(&disk, folder.path(), TIGHT);
    let found = bodies(&journal, &found.entries);
    for (number, _) in &stay {
        let expected = body(*number, 50);
        let times = found.iter().filter(|one| **one == expected).count();
        assert_eq!(times, 1, "{number}");
    }
}
