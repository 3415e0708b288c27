//! A disk that does not give what is on it: nobody knows whether that is intact, so nothing is called
//! lost or damaged, and nothing is deleted.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::faulty_disk::FaultyDisk;
use super::{SMALL, bodies, body, on_faulty_disk, open_on, segments};
use crate::journal::format::{SEGMENT_HEADER, crc};
use crate::journal::{AppendError, Damage, Entry, Journal, OpenError, Options, ReadError};

const ROOMY: Options = Options {
    segment_bytes: 64 << 20,
    ..SMALL
};

#[tokio::test]
async fn a_record_that_cannot_be_read_is_not_called_damaged_and_may_be_read_later() {
    let (_folder, disk, journal) = on_faulty_disk(ROOMY);
    let entry = journal.append(&[body(1, 5_000)]).await.unwrap();
    disk.fail_reads();
    let failed = [
        journal.read(&entry).await,
        journal.read_blocking(&entry),
        journal.read_beginning(&entry, 10),
    ];
    for read in failed {
        assert!(matches!(read, Err(ReadError::Io { .. })), "{read:?}");
    }
    disk.mend_reads();
    assert_eq!(journal.read(&entry).await.unwrap(), body(1, 5_000));
}

/// At the start the disk gives the first part of a segment, and the rest another time.
#[tokio::test]
async fn what_a_start_cannot_read_stays_for_the_next_one() {
    // More than is read at a time.
    const LEN: usize = 400_000;
    let (folder, disk, journal) = on_faulty_disk(ROOMY);
    for number in 0..3 {
        journal.append(&[body(number, LEN)]).await.unwrap();
    }
    drop(journal);
    let file = segments(folder.path()).remove(0);
    let before = fs::read(&file).unwrap();

    disk.fail_reads_of(&file, 2 * LEN as u64);
    let (journal, found) = open_on(&disk, folder.path(), ROOMY);
    assert_eq!(found.entries.len(), 1);
    let unreadable = Damage {
        unreadable_segments: 1,
        ..Damage::default()
    };
    assert_eq!(found.damage, unreadable);
    // All that is known of it is done, and it is not deleted.
    journal.remove(&found.entries[0]);
    drop(journal);
    assert!(!folder.path().join("quarantine").exists());
    assert!(fs::read(&file).unwrap() == before);

    disk.mend_reads();
    let (journal, found) = open_on(&disk, folder.path(), ROOMY);
    assert_eq!(found.damage, Damage::default());
    let left = [1, 2].map(|number| body(number, LEN));
    assert!(bodies(&journal, &found.entries) == left);
}

/// A journal of three records in one segment, the first of which is done.
async fn with_one_done() -> (tempfile::TempDir, FaultyDisk, PathBuf) {
    let (folder, disk, journal) = on_faulty_disk(ROOMY);
    let first = journal.append(&[body(0, 500)]).await.unwrap();
    for number in 1..3 {
        journal.append(&[body(number, 500)]).await.unwrap();
    }
    journal.remove(&first);
    drop(journal);
    let file = segments(folder.path()).remove(0);
    (folder, disk, file)
}

/// A start that reads nothing of the segment: it stays, and takes the room that it takes.
async fn start_without(disk: &FaultyDisk, folder: &Path, file: &Path) {
    let before = fs::read(file).unwrap();
    let len = before.len() as u64;
    let options = Options {
        max_bytes: len + 1_000,
        ..ROOMY
    };
    let (journal, found) = open_on(disk, folder, options);
    assert!(found.entries.is_empty());
    let unreadable = Damage {
        unreadable_segments: 1,
        ..Damage::default()
    };
    assert_eq!(found.damage, unreadable);
    assert_eq!(journal.held(), len);
    let full = journal.append(&[body(8, 1_000)]).await;
    assert!(matches!(full, Err(AppendError::Full { .. })), "{full:?}");
    // What comes and goes meanwhile takes nothing along.
    let entry = journal.append(&[body(9, 100)]).await.unwrap();
    journal.remove(&entry);
    drop(journal);
    assert!(fs::read(file).unwrap() == before);
}

/// The next start reads everything, and what was done is not there.
fn start_with_all(disk: &FaultyDisk, folder: &Path) {
    let (journal, found) = open_on(disk, folder, ROOMY);
    assert_eq!(found.damage, Damage::default());
    let left = [1, 2].map(|number| body(number, 500));
    assert!(bodies(&journal, &found.entries) == left);
}

#[tokio::test]
async fn what_is_done_in_a_segment_that_cannot_be_read_does_not_come_again() {
    let (folder, disk, file) = with_one_done().await;
    disk.fail_reads_of(&file, 0);
    for _ in 0..2 {
        start_without(&disk, folder.path(), &file).await;
    }
    disk.mend_reads();
    start_with_all(&disk, folder.path());
}

/// Where two shared one, the queue would lose one of them, and so would a segment into which both are moved.
#[tokio::test]
async fn what_comes_meanwhile_shares_its_number_with_nothing_that_cannot_be_read() {
    // Nothing but its name, its first record, and not even its name.
    for (readable, known, is_moved) in [(0, 0, false), (800_000, 1, false), (0, 0, true)] {
        const LEN: usize = 400_000;
        let (folder, disk, journal) = on_faulty_disk(ROOMY);
        for number in 0..3 {
            journal.append(&[body(number, LEN)]).await.unwrap();
        }
        drop(journal);
        let file = segments(folder.path()).remove(0);
        let nameless = folder.path().join("copy.segment");
        let unread = if is_moved { &nameless } else { &file };
        fs::rename(&file, unread).unwrap();
        disk.fail_reads_of(unread, readable);
        for round in 0..3 {
            let (journal, found) = open_on(&disk, folder.path(), ROOMY);
            assert_eq!(found.entries.len() as u64, known + round);
            assert_eq!(found.damage.lost_records, 0);
            journal.append(&[body(10 + round, 100)]).await.unwrap();
        }

        disk.mend_reads();
        fs::rename(unread, &file).unwrap();
        let (journal, found) = open_on(&disk, folder.path(), ROOMY);
        assert_eq!(found.damage, Damage::default());
        let all = [
            (0, LEN),
            (1, LEN),
            (2, LEN),
            (10, 100),
            (11, 100),
            (12, 100),
        ];
        let all = all.map(|(number, len)| body(number, len));
        assert!(bodies(&journal, &found.entries) == all);
        let sequences = found.entries.iter().map(Entry::sequence);
        assert!(sequences.is_sorted_by(|one, other| one < other));
    }
}

/// An older slimspan is started for a while, and then the one that wrote it.
#[tokio::test]
async fn what_is_done_in_a_segment_of_a_later_version_does_not_come_again() {
    let (folder, disk, file) = with_one_done().await;
    let written = fs::read(&file).unwrap();
    let mut later = written.clone();
    later[8] = 2;
    let sum = crc(&later[..SEGMENT_HEADER - 4]);
    later[SEGMENT_HEADER - 4..SEGMENT_HEADER].copy_from_slice(&sum.to_le_bytes());
    fs::write(&file, later).unwrap();
    start_without(&disk, folder.path(), &file).await;
    fs::write(&file, written).unwrap();
    start_with_all(&disk, folder.path());
}

/// Without them all that is done would be done again, and they would be written anew without it.
#[tokio::test]
async fn marks_that_cannot_be_read_are_not_replaced() {
    let (folder, disk, _) = with_one_done().await;
    let marks = folder.path().join("marks");
    let before = fs::read(&marks).unwrap();
    disk.fail_reads_of(&marks, 0);
    let opened = Journal::open_on(Arc::new(disk.clone()), folder.path(), ROOMY);
    let error = opened.unwrap_err();
    assert!(
        matches!(&error, OpenError::Marks { file, .. } if *file == marks),
        "{error}"
    );
    assert!(error.to_string().contains(marks.to_str().unwrap()));
    assert!(fs::read(&marks).unwrap() == before);
    disk.mend_reads();
    start_with_all(&disk, folder.path());
}

/// A copy of a segment goes, unless the disk keeps back what only the copy may have.
#[tokio::test]
async fn a_copy_that_cannot_be_read_is_not_set_aside() {
    const LEN: usize = 400_000;
    let (folder, disk, journal) = on_faulty_disk(ROOMY);
    for number in 0..2 {
        journal.append(&[body(number, LEN)]).await.unwrap();
    }
    drop(journal);
    let file = segments(folder.path()).remove(0);
    let copied = folder.path().join("0000000099.segment");
    fs::copy(&file, &copied).unwrap();
    disk.fail_reads_of(&copied, LEN as u64 + 200_000);
    let (_journal, found) = open_on(&disk, folder.path(), ROOMY);
    assert_eq!(found.entries.len(), 2);
    assert!(copied.exists());
}
