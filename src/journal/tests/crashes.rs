use std::sync::Arc;

use futures::future::join_all;

use super::faulty_disk::FaultyDisk;
use super::{SMALL, bodies, body, copy, open, segments};
use crate::journal::{Damage, Journal};

/// The control of this test is the sync itself: without it nothing is left.
#[tokio::test]
async fn what_was_told_survives_a_power_cut() {
    let folder = tempfile::tempdir().unwrap();
    let disk = FaultyDisk::default();
    let opened = Journal::open_on(Arc::new(disk.clone()), folder.path(), SMALL);
    let (journal, _) = opened.unwrap();
    let mut told = Vec::new();
    for round in 0..20 {
        let numbers = round * 7..(round + 1) * 7;
        let appends = numbers
            .clone()
            .map(|number| journal.append(&[body(number, 200)]));
        for appended in join_all(appends).await {
            appended.unwrap();
        }
        told.extend(numbers.map(|number| body(number, 200)));
        // Written, and maybe not synced, when the power is cut.
        let _late = journal.append(&[body(1000 + round, 200)]);
        let later = tempfile::tempdir().unwrap();
        disk.cut_power(folder.path(), later.path());
        let (journal, found) = open(later.path(), SMALL);
        let found = bodies(&journal, &found.entries);
        let found: Vec<_> = found
            .into_iter()
            .filter(|body| !body.starts_with(b"record 10"))
            .collect();
        let told: Vec<_> = told
            .iter()
            .filter(|body| !body.starts_with(b"record 10"))
            .cloned()
            .collect();
        assert_eq!(found, told, "round {round}");
    }
}

/// A folder with all that recovery has to do: holes, a torn tail, a copy, what is removed, and what is
/// missing.
async fn battered() -> (tempfile::TempDir, Vec<bytes::Bytes>) {
    let folder = tempfile::tempdir().unwrap();
    let (journal, _) = open(folder.path(), SMALL);
    let appends = (0..40).map(|number| journal.append(&[body(number, 500)]));
    let entries: Vec<_> = join_all(appends)
        .await
        .into_iter()
        .map(Result::unwrap)
        .collect();
    // All but the last of the second segment, and all of the third.
    for entry in entries.iter().filter(|entry| [1, 2].contains(&entry.slot)) {
        journal.remove(entry);
    }
    journal.append(&[body(40, 500)]).await.unwrap();
    let files = segments(folder.path());
    // As if the crash had come before the copies of these were deleted.
    let removed = files.len();
    assert!(removed >= 4, "{files:?}");
    drop(journal);
    let files = segments(folder.path());
    let flip = |file: &std::path::Path, at: usize| {
        let mut bytes = std::fs::read(file).unwrap();
        bytes[at] ^= 0x55;
        std::fs::write(file, bytes).unwrap();
    };
    flip(&files[0], 700);
    flip(&files[1], 20);
    std::fs::copy(&files[2], folder.path().join("copy.segment")).unwrap();
    let last = files.last().unwrap();
    let len = last.metadata().unwrap().len();
    std::fs::OpenOptions::new()
        .write(true)
        .open(last)
        .unwrap()
        .set_len(len - 9)
        .unwrap();
    let mended = copy(folder.path());
    let (journal, found) = open(mended.path(), SMALL);
    let expected = bodies(&journal, &found.entries);
    assert!(expected.len() > 20, "{}", expected.len());
    let Damage {
        torn_tails,
        holes,
        duplicate_records,
        misnamed_segments,
        ..
    } = found.damage;
    assert_eq!((torn_tails, holes, misnamed_segments), (1, 2, 1));
    assert!(duplicate_records > 4);
    (folder, expected)
}

/// The end comes after each change that recovery makes, once more in the recovery from that, and what
/// is intact is all there afterwards.
#[tokio::test]
async fn recovery_may_end_at_any_step() {
    let (folder, expected) = battered().await;
    let mut steps = 0;
    loop {
        let crashed = copy(folder.path());
        let disk = FaultyDisk::default();
        disk.end_after(steps);
        let first = Journal::open_on(Arc::new(disk.clone()), crashed.path(), SMALL);
        if let Ok((journal, found)) = first {
            assert_eq!(bodies(&journal, &found.entries), expected);
        }
        let whole = !disk.has_ended();
        for again in [3, 1, 6] {
            let disk = FaultyDisk::default();
            disk.end_after(again);
            drop(Journal::open_on(Arc::new(disk), crashed.path(), SMALL));
        }
        for _ in 0..2 {
            let (journal, found) = open(crashed.path(), SMALL);
            assert_eq!(
                bodies(&journal, &found.entries),
                expected,
                "after {steps} steps"
            );
        }
        let quarantine = std::fs::read_dir(crashed.path().join("quarantine")).unwrap();
        let kept: Vec<_> = quarantine.map(|kept| kept.unwrap().file_name()).collect();
        assert_eq!(kept.len(), 3, "two holes and a copy: {kept:?}");
        if whole {
            break;
        }
        steps += 1;
    }
    assert!(steps > 10, "{steps}");
}

/// Killed at any moment of its life, a journal has what it told and not more than it was given.
#[tokio::test]
async fn an_end_at_any_change_loses_nothing_that_was_told() {
    for changes in 0.. {
        let folder = tempfile::tempdir().unwrap();
        let disk = FaultyDisk::default();
        let opened = Journal::open_on(Arc::new(disk.clone()), folder.path(), SMALL);
        let (journal, _) = opened.unwrap();
        disk.end_after(changes);
        let (mut told, mut removed) = (Vec::new(), Vec::new());
        for number in 0..30 {
            if let Ok(entry) = journal.append(&[body(number, 600)]).await {
                told.push((number, entry));
            }
            if number % 2 == 1
                && let Some((number, entry)) = told.pop()
            {
                journal.remove(&entry);
                removed.push(number);
            }
        }
        drop(journal);
        let ended = disk.has_ended();
        let (journal, found) = open(folder.path(), SMALL);
        let found = bodies(&journal, &found.entries);
        for (number, _) in &told {
            assert!(
                found.contains(&body(*number, 600)),
                "{number} after {changes}"
            );
        }
        let known = told.iter().map(|(number, _)| number).chain(&removed);
        let known: Vec<_> = known.map(|number| body(*number, 600)).collect();
        // One that failed when it was written already may be there.
        let unknown = found.iter().filter(|body| !known.contains(body)).count();
        assert!(unknown <= 1, "{unknown} after {changes}");
        if !ended {
            assert_eq!(found.len(), told.len());
            break;
        }
    }
}
