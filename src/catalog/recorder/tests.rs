//! What is written down while nobody waits for it.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::pin::pin;

use slimspan_artifact::Digest;

use super::*;
use crate::catalog::PutFile;
use crate::storage::StoreConfig;

fn opened() -> (Store, Recorder) {
    let store = Store::open(&StoreConfig::new("memory://")).unwrap();
    let recorder = Recorder::open(&CatalogConfig::default(), &store, Arc::default());
    (store, recorder)
}

fn entry() -> Entry {
    let file = PutFile {
        tenant: crate::tenant::TenantId::default(),
        digest: Digest::of(b"file"),
        size: 4,
        content_type: "text/plain".to_owned(),
        name: None,
        is_spooled: false,
    };
    file.entry().unwrap()
}

/// At the end it is waited for, like all that came before the end.
#[tokio::test]
async fn the_end_waits_for_what_is_being_written_down() {
    let (store, recorder) = opened();
    let slow = Arc::new(Semaphore::new(0));
    let (shared, ends) = (Arc::clone(&recorder.shared), Arc::clone(&slow));
    recorder.shared.writing.spawn(async move {
        let _ends = ends.acquire().await;
        shared.record(vec![entry()]).await;
    });
    let drain = CancellationToken::new();
    drain.cancel();
    let mut run = pin!(recorder.run(&store, drain));
    let early = timeout(Duration::from_millis(500), &mut run).await;
    assert!(early.is_err(), "it did not wait");
    slow.add_permits(1);
    timeout(Duration::from_mins(1), run).await.unwrap();
    assert_eq!(recorder.waiting(), 0);
    assert_eq!(recorder.shared.counts.catalog.read().objects, 1);
}

/// Who waits for it may go away: it goes on.
#[tokio::test]
async fn what_nobody_waits_for_any_more_is_written_down() {
    let (_store, recorder) = opened();
    drop(recorder.record(vec![entry()]));
    recorder.record_abandoned(vec![entry()]);
    recorder.shared.writing.close();
    recorder.shared.writing.wait().await;
    assert_eq!(recorder.waiting(), 2);
    assert_eq!(recorder.shared.counts.catalog.read().lost, 0);
}

/// Requests that are given up in masses take no memory beyond a limit, and what is not written down is told.
#[tokio::test]
async fn what_is_abandoned_is_bounded_and_counted() {
    let (_store, recorder) = opened();
    let counts = || recorder.shared.counts.catalog.read();
    // Nothing of it is written down before this waits for something.
    recorder.record_abandoned(vec![entry(); ABANDONED]);
    recorder.record_abandoned(vec![entry()]);
    assert_eq!(counts().lost, 1);
    recorder.shared.writing.close();
    recorder.shared.writing.wait().await;
    let told = counts();
    assert_eq!(told.recorded + told.lost, ABANDONED as u64 + 1);
    assert_eq!(recorder.shared.abandoned.available_permits(), ABANDONED);
}

/// Also what the end of the process cuts off.
#[tokio::test]
async fn what_is_cut_off_is_counted_as_lost() {
    let (_store, recorder) = opened();
    let shared = Arc::clone(&recorder.shared);
    // Dropped where it waits for a disk.
    let record = async move {
        let _unwritten = Unwritten {
            shared: &shared,
            count: 3,
        };
        std::future::pending::<()>().await;
    };
    let cut = tokio::spawn(record);
    tokio::task::yield_now().await;
    cut.abort();
    assert!(cut.await.unwrap_err().is_cancelled());
    assert_eq!(recorder.shared.counts.catalog.read().lost, 3);
}

/// A disk that does not write for a moment costs no entry: it waits in memory, and what does not fit is counted.
#[tokio::test]
async fn what_the_disk_does_not_take_waits_in_memory() {
    let home = tempfile::tempdir().unwrap();
    let bucket = home.path().join("bucket");
    std::fs::create_dir(&bucket).unwrap();
    let store = Store::open(&StoreConfig::new(bucket.to_str().unwrap())).unwrap();
    let config = CatalogConfig {
        directory: home.path().join("catalog"),
        ..CatalogConfig::default()
    };
    let recorder = Recorder::open(&config, &store, Arc::default());
    let shared = &recorder.shared;
    let counts = || shared.counts.catalog.read();
    assert!(shared.journals().own().is_some());
    *shared.resting.lock().unwrap() = Some(Instant::now() + Duration::from_hours(1));
    recorder.record(vec![entry()]).await;
    assert_eq!((counts().recorded, counts().lost), (1, 0));
    let waits = shared.queue().in_memory;
    assert!(waits > 0);
    shared.queue().in_memory = IN_MEMORY;
    recorder.record(vec![entry()]).await;
    assert_eq!((counts().recorded, counts().lost), (1, 1));
    shared.queue().in_memory = waits;
    let drain = CancellationToken::new();
    drain.cancel();
    let ended = timeout(Duration::from_mins(1), recorder.run(&store, drain));
    ended.await.unwrap();
    assert_eq!((recorder.waiting(), counts().objects), (0, 1));
}
