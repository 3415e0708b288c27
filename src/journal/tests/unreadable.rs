//! A disk that does not give what is on it: nobody knows whether that is intact, so nothing is called
//! lost or damaged, and nothing is deleted.

use std::fs;

use super::{SMALL, bodies, body, on_faulty_disk, open_on, segments};
use crate::journal::{Damage, Options, ReadError};

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
