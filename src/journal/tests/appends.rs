use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures::future::{join_all, poll_immediate};

use super::{SMALL, bodies, body, on_faulty_disk, open, segments};
use crate::journal::{AppendError, Entry, Journal, OpenError, Options, ReadError, Recovered};

const ROOMY: Options = Options {
    segment_bytes: 1 << 20,
    ..SMALL
};

#[tokio::test]
async fn what_was_appended_is_there_in_order_until_it_is_removed() {
    let folder = tempfile::tempdir().unwrap();
    let (journal, found) = open(folder.path(), SMALL);
    assert_eq!(found, Recovered::default());
    let mut entries = Vec::new();
    for number in 0..50 {
        let whole = body(number, 500);
        let parts = [whole.slice(..7), Bytes::new(), whole.slice(7..)];
        entries.push(journal.append(&parts).await.unwrap());
    }
    let all: Vec<_> = (0..50).map(|number| body(number, 500)).collect();
    assert_eq!(bodies(&journal, &entries), all);
    assert_eq!(journal.read(&entries[3]).await.unwrap(), all[3]);
    assert_eq!(journal.read_beginning(&entries[3], 8).unwrap(), all[3][..8]);
    for entry in entries.iter().step_by(2) {
        journal.remove(entry);
        journal.remove(entry);
    }
    drop(journal);
    for _ in 0..2 {
        let (journal, found) = open(folder.path(), SMALL);
        let odd: Vec<_> = (0..50)
            .filter(|number| number % 2 == 1)
            .map(|number| body(number, 500))
            .collect();
        assert_eq!(bodies(&journal, &found.entries), odd);
        assert_eq!(found.damage, crate::journal::Damage::default());
        let beside = Journal::open_read_only(folder.path()).unwrap();
        let read = beside
            .entries()
            .iter()
            .map(|entry| beside.read(entry).unwrap());
        assert_eq!(read.collect::<Vec<_>>(), odd);
    }
}

#[tokio::test]
async fn a_segment_goes_with_its_last_record() {
    let folder = tempfile::tempdir().unwrap();
    let (journal, _) = open(folder.path(), SMALL);
    let appends = (0..40).map(|number| journal.append(&[body(number, 500)]));
    let entries: Vec<_> = join_all(appends)
        .await
        .into_iter()
        .map(Result::unwrap)
        .collect();
    let before = segments(folder.path()).len();
    assert!(before > 4);
    for entry in &entries[..20] {
        journal.remove(entry);
    }
    // The one that is appended comes after the removals.
    journal.append(&[body(40, 1)]).await.unwrap();
    assert!(segments(folder.path()).len() < before - 1);
    assert!(matches!(
        journal.read_blocking(&entries[0]),
        Err(ReadError::Removed)
    ));
    let on_disk = segments(folder.path())
        .iter()
        .map(|path| path.metadata().unwrap().len())
        .sum::<u64>();
    assert_eq!(journal.held(), on_disk);
    for entry in &entries[20..] {
        journal.remove(entry);
    }
    drop(journal);
    let (journal, found) = open(folder.path(), SMALL);
    assert_eq!(found.entries.len(), 1);
    assert_eq!(bodies(&journal, &found.entries), [body(40, 1)]);
    journal.remove(&found.entries[0]);
    drop(journal);
    assert_eq!(segments(folder.path()).len(), 0);
    let (_journal, found) = open(folder.path(), SMALL);
    assert_eq!(found, Recovered::default());
}

/// Records of a journal that was emptied are not taken for those of a later one.
#[tokio::test]
async fn marks_of_old_records_hold_for_no_new_ones() {
    let folder = tempfile::tempdir().unwrap();
    for round in 0..5 {
        let (journal, found) = open(folder.path(), SMALL);
        assert_eq!(found, Recovered::default(), "{round}");
        let entry = journal.append(&[body(1, 500)]).await.unwrap();
        drop(journal);
        let (journal, found) = open(folder.path(), SMALL);
        assert_eq!(found.entries.len(), 1, "{round}");
        assert_eq!(found.entries[0].sequence(), entry.sequence());
        journal.remove(&found.entries[0]);
    }
}

#[tokio::test]
async fn appends_that_wait_share_a_sync() {
    let (_folder, disk, journal) = on_faulty_disk(ROOMY);
    // The segment is begun with the first record.
    journal.append(&[body(0, 10)]).await.unwrap();
    let before = disk.syncs();
    let held = disk.hold_syncs();
    let first = journal.append(&[body(1, 100)]);
    let others = join_all((2..500).map(|number| journal.append(&[body(number, 100)])));
    drop(held);
    first.await.unwrap();
    for appended in others.await {
        appended.unwrap();
    }
    let syncs = disk.syncs() - before;
    assert!((1..=2).contains(&syncs), "{syncs}");
}

#[tokio::test]
async fn nothing_is_told_before_its_sync() {
    let (_folder, disk, journal) = on_faulty_disk(ROOMY);
    let held = disk.hold_syncs();
    let appending = journal.append(&[body(1, 100)]);
    futures::pin_mut!(appending);
    let early = tokio::time::timeout(Duration::from_millis(100), &mut appending).await;
    assert!(early.is_err());
    drop(held);
    appending.await.unwrap();
    assert_eq!(disk.syncs(), 2, "the marks, and the record");
}

#[tokio::test]
async fn a_record_that_nobody_waits_for_is_removed() {
    let (folder, disk, journal) = on_faulty_disk(ROOMY);
    let held = disk.hold_syncs();
    let waiting = journal.append(&[body(1, 100)]);
    let written = journal.append(&[body(2, 100)]);
    futures::pin_mut!(waiting);
    assert!(poll_immediate(&mut waiting).await.is_none());
    drop(written);
    drop(held);
    let kept = waiting.await.unwrap();
    // One that was told, but not heard.
    let unheard = journal.append(&[body(3, 100)]);
    journal.append(&[body(4, 100)]).await.unwrap();
    drop(unheard);
    journal.append(&[body(5, 100)]).await.unwrap();
    assert_eq!(journal.read_blocking(&kept).unwrap(), body(1, 100));
    drop(journal);
    let (journal, found) = open(folder.path(), ROOMY);
    let left = [1, 4, 5].map(|number| body(number, 100));
    assert_eq!(bodies(&journal, &found.entries), left);
}

/// The bytes of a sender, which know whether somebody still has them.
struct Owned(Arc<Bytes>);

impl AsRef<[u8]> for Owned {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

/// A disk may hang for as long as it likes, and senders come again.
#[tokio::test]
async fn what_nobody_waits_for_is_not_kept_while_a_sync_hangs() {
    let (folder, disk, journal) = on_faulty_disk(ROOMY);
    let held = disk.hold_syncs();
    let hangs = disk.next_sync();
    let first = journal.append(&[body(0, 100)]);
    hangs.await;
    let bytes = Arc::new(body(1, 100));
    for polled in [false, true] {
        for _ in 0..10 {
            let owned = Bytes::from_owner(Owned(Arc::clone(&bytes)));
            let mut append = Box::pin(journal.append(&[owned]));
            if polled {
                assert!(poll_immediate(&mut append).await.is_none());
            }
            assert_eq!(Arc::strong_count(&bytes), 2);
        }
    }
    assert_eq!(Arc::strong_count(&bytes), 1, "the journal holds some of it");
    let last = journal.append(&[body(2, 100)]);
    drop(held);
    first.await.unwrap();
    last.await.unwrap();
    let held = journal.held();
    drop(journal);
    let (journal, found) = open(folder.path(), ROOMY);
    let left = [0, 2].map(|number| body(number, 100));
    assert_eq!(bodies(&journal, &found.entries), left);
    assert_eq!(journal.held(), held);
    assert!(held < 400, "{held}: what nobody waited for was written");
}

#[tokio::test]
async fn it_is_full_until_something_is_removed() {
    let folder = tempfile::tempdir().unwrap();
    let options = Options {
        segment_bytes: 1 << 30,
        max_bytes: 64 << 10,
        fsync: true,
        max_damaged_bytes: 1 << 30,
    };
    let (journal, _) = open(folder.path(), options);
    let mut entries = Vec::new();
    let error = loop {
        match journal.append(&[body(entries.len() as u64, 1000)]).await {
            Ok(entry) => entries.push(entry),
            Err(error) => break error,
        }
    };
    assert!(
        error.is_full() && matches!(error, AppendError::Full { .. }),
        "{error}"
    );
    assert!((60..64).contains(&entries.len()), "{}", entries.len());
    assert!(journal.held() <= 64 << 10);
    // An eighth of it is a segment.
    for entry in &entries[..8] {
        journal.remove(entry);
    }
    journal.append(&[body(99, 1000)]).await.unwrap();
    for entry in &entries[8..] {
        journal.remove(entry);
    }
    let large = body(100, 40 << 10);
    let entry = journal.append(std::slice::from_ref(&large)).await.unwrap();
    journal.remove(&entry);
    // What is in the way stands in the newest segment.
    for _ in 0..3 {
        let entry = journal.append(std::slice::from_ref(&large)).await.unwrap();
        journal.remove(&entry);
    }
    let error = journal.append(&[body(0, 64 << 10)]).await.unwrap_err();
    assert!(
        !error.is_full() && matches!(error, AppendError::TooLarge { .. }),
        "{error}"
    );
}

#[tokio::test]
async fn a_full_disk_takes_nothing_along_and_heals() {
    for room in [0, 1, 31, 32, 33, 500, 1031] {
        let (folder, disk, journal) = on_faulty_disk(ROOMY);
        journal.append(&[body(0, 1000)]).await.unwrap();
        disk.set_room(room);
        let error = journal.append(&[body(1, 1000)]).await.unwrap_err();
        assert!(error.is_full(), "{error}");
        let held = journal.held();
        let one = segments(folder.path())[0].metadata().unwrap().len();
        assert_eq!(held, one, "what was written of it is cut off");
        // What is smaller may fit in what is left.
        disk.set_room(u64::MAX);
        journal.append(&[body(2, 1000)]).await.unwrap();
        drop(journal);
        let (journal, found) = open(folder.path(), ROOMY);
        assert_eq!(
            bodies(&journal, &found.entries),
            [body(0, 1000), body(2, 1000)]
        );
        assert_eq!(found.damage, crate::journal::Damage::default());
    }
}

#[tokio::test]
async fn a_disk_without_room_for_a_segment_heals() {
    let (_folder, disk, journal) = on_faulty_disk(ROOMY);
    for room in [0, 20, 39] {
        disk.set_room(room);
        assert!(journal.append(&[body(0, 10)]).await.unwrap_err().is_full());
    }
    disk.set_room(u64::MAX);
    journal.append(&[body(1, 10)]).await.unwrap();
}

#[tokio::test]
async fn short_writes_make_whole_records() {
    let (folder, disk, journal) = on_faulty_disk(SMALL);
    disk.write_at_once(7);
    for number in 0..20 {
        let whole = body(number, 300);
        journal
            .append(&[whole.slice(..100), whole.slice(100..)])
            .await
            .unwrap();
    }
    drop(journal);
    let (journal, found) = open(folder.path(), SMALL);
    let all: Vec<_> = (0..20).map(|number| body(number, 300)).collect();
    assert_eq!(bodies(&journal, &found.entries), all);
}

/// After a failed sync nothing more goes into that segment, and no sync is tried there again.
#[tokio::test]
async fn a_failed_sync_fails_what_it_was_for_and_nothing_else() {
    let (folder, disk, journal) = on_faulty_disk(ROOMY);
    let first = journal.append(&[body(0, 100)]).await.unwrap();
    let held = disk.hold_syncs();
    let begun = journal.append(&[body(1, 100)]);
    disk.fail_syncs(1);
    drop(held);
    assert!(matches!(begun.await, Err(AppendError::Io(_))));
    let syncs = disk.syncs();
    assert_eq!(segments(folder.path()).len(), 1);
    journal.append(&[body(2, 100)]).await.unwrap();
    assert_eq!(segments(folder.path()).len(), 2);
    assert_eq!(disk.syncs(), syncs + 1);
    assert_eq!(journal.read_blocking(&first).unwrap(), body(0, 100));
    drop(journal);
    let (journal, found) = open(folder.path(), ROOMY);
    assert_eq!(
        bodies(&journal, &found.entries),
        [body(0, 100), body(2, 100)]
    );
    assert_eq!(found.damage, crate::journal::Damage::default());
}

/// What goes on in the next segment has numbers of its own, also where those of what was cut off are free again.
#[tokio::test]
async fn no_two_share_a_number_where_the_last_sync_of_a_segment_fails() {
    let (folder, disk, journal) = on_faulty_disk(SMALL);
    let first = journal.append(&[body(0, 1_000)]).await.unwrap();
    let held = disk.hold_syncs();
    let hangs = disk.next_sync();
    let alone = journal.append(&[body(1, 1_000)]);
    hangs.await;
    // All that waits now is one batch: three fill a segment, and small ones stand behind the fourth.
    let lens = [1_000, 1_000, 1_000, 1_000, 100, 100, 100, 100];
    let batch = (2..).zip(lens).map(|(number, len)| body(number, len));
    let batch: Vec<_> = batch.collect();
    let appends: Vec<_> = batch
        .iter()
        .map(|body| journal.append(std::slice::from_ref(body)))
        .collect();
    disk.fail_syncs(2);
    drop(held);
    assert!(matches!(alone.await, Err(AppendError::Io(_))));
    let appended = join_all(appends).await;
    let mut told = vec![(first.sequence(), body(0, 1_000))];
    for (number, (appended, body)) in appended.into_iter().zip(batch).enumerate() {
        match appended {
            Ok(entry) => told.push((entry.sequence(), body)),
            Err(error) => {
                assert!(number < 3, "{number}: {error}");
                assert!(matches!(error, AppendError::Io(_)), "{error}");
            }
        }
    }
    assert_eq!(told.len(), 6);
    let sequences: Vec<_> = told.iter().map(|(sequence, _)| *sequence).collect();
    assert!(
        sequences.is_sorted_by(|one, other| one < other),
        "{sequences:?}"
    );
    drop(journal);
    let (journal, found) = open(folder.path(), SMALL);
    let found_as = found.entries.iter().map(Entry::sequence);
    let found_as: Vec<_> = found_as.zip(bodies(&journal, &found.entries)).collect();
    assert_eq!(found_as, told);
    assert_eq!(found.damage, crate::journal::Damage::default());
}

/// It can neither be synced nor cut off, and may be found by the next start.
#[tokio::test]
async fn what_cannot_be_cut_off_does_not_come_and_shares_its_number_with_no_other() {
    let (folder, disk, journal) = on_faulty_disk(ROOMY);
    let first = journal.append(&[body(0, 100)]).await.unwrap();
    disk.fail_syncs(1);
    disk.fail_cuts(1);
    let failed = journal.append(&[body(1, 100)]).await;
    assert!(matches!(failed, Err(AppendError::Io(_))));
    let next = journal.append(&[body(2, 100)]).await.unwrap();
    let sequences = [&first, &next].map(Entry::sequence);
    assert_eq!(sequences[1] - sequences[0], 2);
    drop(journal);
    let (journal, found) = open(folder.path(), ROOMY);
    let told = [body(0, 100), body(2, 100)];
    assert_eq!(bodies(&journal, &found.entries), told);
    let found_as: Vec<_> = found.entries.iter().map(Entry::sequence).collect();
    assert_eq!(found_as, sequences);
    assert_eq!(found.damage, crate::journal::Damage::default());
}

#[tokio::test]
async fn a_folder_has_one_owner() {
    let folder = tempfile::tempdir().unwrap();
    let (journal, _) = open(folder.path(), SMALL);
    let error = Journal::open(folder.path(), SMALL).unwrap_err();
    assert!(matches!(error, OpenError::InUse { .. }), "{error}");
    assert!(error.to_string().contains(folder.path().to_str().unwrap()));
    let entry = journal.append(&[body(1, 10)]).await.unwrap();
    let beside = Journal::open_read_only(folder.path()).unwrap();
    assert_eq!(beside.entries().len(), 1);
    assert_eq!(
        beside.read(&beside.entries()[0]).unwrap(),
        journal.read_blocking(&entry).unwrap()
    );
    drop(journal);
    open(folder.path(), SMALL);
}
