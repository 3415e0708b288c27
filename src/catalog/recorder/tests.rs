//! What is written down while nobody waits for it.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fs;
use std::path::Path;
use std::pin::pin;
use std::process::Command;

use futures::future::join_all;
use slimspan_artifact::{Artifact, Digest};
use tempfile::TempDir;
use tokio::task::JoinHandle;
use tokio::time::{advance, pause, resume, sleep, timeout};

use super::memory::{FLUSH, IN_MEMORY};
use super::recording::Unwritten;
use super::*;
use crate::catalog::{PutFile, State, layout};
use crate::config::Delivery;
use crate::journal::FaultyDisk;
use crate::storage::{Spool, StoreConfig};
use crate::telemetry::Catalogued;

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

/// A store in a folder, and a folder in which its entries wait.
struct OnDisk {
    home: TempDir,
    store: Store,
    config: CatalogConfig,
    counts: Arc<StoreCounts>,
}

impl OnDisk {
    fn new() -> Self {
        let home = tempfile::tempdir().unwrap();
        let bucket = home.path().join("bucket");
        fs::create_dir(&bucket).unwrap();
        let config = CatalogConfig {
            directory: home.path().join("catalog"),
            ..CatalogConfig::default()
        };
        Self {
            store: Store::open(&StoreConfig::new(bucket.to_str().unwrap())).unwrap(),
            home,
            config,
            counts: Arc::default(),
        }
    }

    /// One without a folder in which entries could wait.
    fn without_journal() -> Self {
        let mut on_disk = Self::new();
        let file = on_disk.home.path().join("file");
        fs::write(&file, "").unwrap();
        on_disk.config.directory = file.join("catalog");
        on_disk
    }

    fn open(&self) -> Recorder {
        Recorder::open(&self.config, &self.store, Arc::clone(&self.counts))
    }

    /// One whose disk is not asked for now.
    fn open_resting(&self) -> Recorder {
        let recorder = self.open();
        assert!(recorder.shared.journals().own().is_some());
        *recorder.shared.resting.lock().unwrap() = Some(Instant::now() + Duration::from_hours(1));
        recorder
    }

    /// One whose journal is on that disk.
    fn open_on(&self, disk: &FaultyDisk) -> Recorder {
        let recorder = self.open();
        let journals = Journals::on(disk, &self.home.path().join("faulty"), &self.config);
        assert!(journals.own().is_some());
        *recorder.shared.journals() = journals;
        recorder
    }

    /// How many entries the bucket has.
    async fn in_bucket(&self) -> usize {
        let bucket = self.store.bucket();
        let mut entries = 0;
        for object in bucket.list(layout::FOLDER, None).await.unwrap() {
            let lines = bucket.get(&object.key).await.unwrap().unwrap();
            entries += from_lines(&lines).0.len();
        }
        entries
    }

    /// From now on no entries can be put.
    fn break_bucket(&self) {
        fs::write(self.home.path().join("bucket/catalog"), "").unwrap();
    }

    fn counts(&self) -> Catalogued {
        self.counts.catalog.read()
    }

    async fn end(&self, recorder: &Recorder) {
        let drain = CancellationToken::new();
        drain.cancel();
        let ended = timeout(Duration::from_mins(1), recorder.run(&self.store, drain));
        ended.await.unwrap();
    }
}

/// A disk that does not write for a moment costs no entry: it waits in memory, and what does not fit is counted.
#[tokio::test]
async fn what_the_disk_does_not_take_waits_in_memory() {
    let on_disk = OnDisk::new();
    let recorder = on_disk.open_resting();
    let counts = || on_disk.counts();
    recorder.record(vec![entry()]).await;
    assert_eq!((counts().recorded, counts().lost), (1, 0));
    let memory = || recorder.shared.memory();
    let waits = memory().bytes;
    assert!(waits > 0);
    memory().bytes = IN_MEMORY;
    recorder.record(vec![entry()]).await;
    assert_eq!((counts().recorded, counts().lost), (1, 1));
    memory().bytes = waits;
    on_disk.end(&recorder).await;
    assert_eq!((recorder.waiting(), counts().objects), (0, 1));
    assert_eq!(memory().bytes, 0);
    drop(recorder);
    assert_eq!(counts().lost, 1);
    assert_eq!(on_disk.open().waiting(), 0, "the bucket has it");
}

/// However slow the disk is, a kill loses no entry of a request that was answered: the bucket has it by then. Those that
/// wait at the same time share its objects.
#[tokio::test]
async fn what_the_disk_does_not_take_is_in_the_bucket_before_its_request_is_answered() {
    let (mut on_disk, disk) = (OnDisk::new(), FaultyDisk::default());
    on_disk.config.interval = Duration::from_hours(1);
    let recorder = on_disk.open_on(&disk);
    let (running, _drain) = on_disk.begin(&recorder);
    let held = disk.hold_syncs();
    // The first find out that the disk does not write, and the others do not ask it.
    for round in 1..=3 {
        let requests = (0..20).map(|_| recorder.record(vec![entry()]));
        timeout(Duration::from_mins(1), join_all(requests))
            .await
            .unwrap();
        // What is here now is what a kill leaves.
        assert_eq!(on_disk.in_bucket().await, 20 * round);
    }
    let counts = on_disk.counts();
    assert_eq!((counts.recorded, counts.lost), (60, 0));
    assert!(counts.objects <= 30, "{} objects", counts.objects);
    running.abort();
    assert!(running.await.unwrap_err().is_cancelled());
    drop(held);
}

/// Telemetry does not wait for a bucket that takes nothing, either; for one that takes something again it does.
#[tokio::test]
async fn nobody_waits_for_a_bucket_that_fails() {
    let mut on_disk = OnDisk::new();
    on_disk.config.interval = Duration::from_millis(10);
    on_disk.break_bucket();
    let recorder = on_disk.open_resting();
    let (running, drain) = on_disk.begin(&recorder);
    let begun = Instant::now();
    for _ in 0..100 {
        recorder.record(vec![entry()]).await;
    }
    let took = begun.elapsed();
    assert!(took < FLUSH, "{took:?}");
    let counts = on_disk.counts();
    assert_eq!((counts.recorded, counts.lost), (100, 0));
    assert!(counts.failures > 0);
    fs::remove_file(on_disk.home.path().join("bucket/catalog")).unwrap();
    let healed = async {
        while on_disk.in_bucket().await < 100 {
            sleep(Duration::from_millis(5)).await;
        }
    };
    timeout(Duration::from_mins(1), healed).await.unwrap();
    recorder.record(vec![entry()]).await;
    assert_eq!(on_disk.in_bucket().await, 101);
    drain.cancel();
    timeout(Duration::from_mins(1), running)
        .await
        .unwrap()
        .unwrap();
    assert_eq!((recorder.waiting(), on_disk.counts().lost), (0, 0));
}

/// What a kill would take along is not acknowledged, and what comes then is not let out, but for one now and then that
/// finds out whether the disk is back.
#[tokio::test]
async fn nothing_is_acknowledged_that_neither_of_them_has() {
    let mut on_disk = OnDisk::new();
    on_disk.config.interval = Duration::from_millis(10);
    on_disk.break_bucket();
    let recorder = on_disk.open_resting();
    assert!(recorder.takes(), "nothing is known yet");
    let (running, drain) = on_disk.begin(&recorder);
    assert!(!recorder.record(vec![entry()]).await);
    on_disk.has_failed(1).await;
    assert!(!recorder.takes());
    pause();
    advance(REST).await;
    resume();
    assert!(recorder.takes(), "one finds out");
    assert!(!recorder.takes(), "others wait for that");
    assert!(!recorder.record(vec![entry()]).await);
    // The disk is back, and then the bucket.
    *recorder.shared.resting.lock().unwrap() = None;
    assert!(recorder.record(vec![entry()]).await);
    assert!(recorder.takes() && recorder.takes());
    fs::remove_file(on_disk.home.path().join("bucket/catalog")).unwrap();
    drain.cancel();
    timeout(Duration::from_mins(1), running)
        .await
        .unwrap()
        .unwrap();
    assert_eq!((recorder.waiting(), on_disk.counts().lost), (0, 0));
}

/// Unless that is what somebody wants; and what refers to a store in memory needs to outlive nothing.
#[tokio::test]
async fn what_neither_of_them_has_is_acknowledged_where_it_may_be() {
    let mut on_disk = OnDisk::new();
    on_disk.config.interval = Duration::from_millis(10);
    on_disk.config.on_failure = OnCatalogFailure::Forward;
    on_disk.break_bucket();
    let recorder = on_disk.open_resting();
    let (running, _drain) = on_disk.begin(&recorder);
    for _ in 0..2 {
        assert!(recorder.takes());
        assert!(recorder.record(vec![entry()]).await);
        on_disk.has_failed(1).await;
    }
    running.abort();
    let (_store, recorder) = opened();
    assert!(recorder.takes());
    assert!(recorder.record(vec![entry()]).await);
}

/// One that does not answer is waited for once, and by nobody for longer than its sender waits.
#[tokio::test(start_paused = true)]
async fn a_bucket_that_hangs_is_waited_for_once() {
    let on_disk = OnDisk::new();
    let recorder = on_disk.open_resting();
    // Nothing more is heard of who puts it.
    let _flushes = recorder.shared.begin_to_flush();
    let begun = Instant::now();
    let deadline = begun + Duration::from_secs(2);
    recorder.record_by(vec![entry()], Some(deadline)).await;
    assert_eq!(begun.elapsed().as_secs(), 2);
    recorder.record(vec![entry()]).await;
    let once = 2 + FLUSH.as_secs();
    assert_eq!(begun.elapsed().as_secs(), once);
    for _ in 0..10 {
        recorder.record(vec![entry()]).await;
    }
    assert_eq!(begun.elapsed().as_secs(), once);
    assert_eq!((on_disk.counts().recorded, on_disk.counts().lost), (12, 0));
}

/// A stop or a reload costs no entry, either, where the disk has come back, and the bucket is away.
#[tokio::test]
async fn what_is_in_memory_at_the_end_waits_for_the_next_start() {
    let on_disk = OnDisk::new();
    let recorder = on_disk.open_resting();
    on_disk.break_bucket();
    assert!(recorder.is_durable());
    recorder.record(vec![entry()]).await;
    assert!(!recorder.is_durable());
    on_disk.end(&recorder).await;
    drop(recorder);
    assert_eq!((on_disk.counts().objects, on_disk.counts().lost), (0, 0));
    assert_eq!(on_disk.open().waiting(), 1);
}

/// What neither of them takes is counted, whether the end was waited for or cut off.
#[tokio::test]
async fn what_nobody_takes_is_lost_and_counted() {
    let on_disk = OnDisk::without_journal();
    let recorder = on_disk.open();
    recorder.record(vec![entry()]).await;
    on_disk.end(&recorder).await;
    drop(recorder);
    assert_eq!((on_disk.counts().objects, on_disk.counts().lost), (1, 0));
    fs::remove_dir_all(on_disk.home.path().join("bucket/catalog")).unwrap();
    on_disk.break_bucket();
    let recorder = on_disk.open();
    recorder.record(vec![entry(), entry()]).await;
    on_disk.end(&recorder).await;
    assert_eq!(on_disk.counts().lost, 2);
    // After the end nobody puts it.
    recorder.record(vec![entry()]).await;
    assert_eq!(on_disk.counts().lost, 2);
    drop(recorder);
    assert_eq!(on_disk.counts().lost, 3);
}

/// What the bucket has, but not yet what became of its file in the spool, takes room in memory until then, and is
/// not lost.
#[tokio::test]
async fn what_waits_for_the_spool_stays_in_memory() {
    let mut on_disk = OnDisk::new();
    on_disk.config.interval = Duration::from_millis(10);
    let mut of_spool = StoreConfig::new("memory://").spool;
    of_spool.directory = on_disk.home.path().join("spool");
    let spool = Spool::open(&of_spool, "spool".to_owned(), &on_disk.store).unwrap();
    on_disk.store = on_disk.store.clone().with_spool(spool);
    let bytes = Bytes::from_static(b"file");
    let artifact = Artifact {
        digest: Digest::of(&bytes),
        media_type: "text/plain".to_owned(),
        bytes,
    };
    let one = std::slice::from_ref(&artifact);
    let kept = on_disk.store.keep_all(one, Delivery::Background);
    kept.await.unwrap();
    let recorder = on_disk.open_resting();
    let mut spooled = entry();
    spooled.state = State::Spooled;
    recorder.record(vec![spooled]).await;
    let drain = CancellationToken::new();
    let put = async {
        while on_disk.counts().objects == 0 {
            sleep(Duration::from_millis(5)).await;
        }
        assert!(recorder.shared.memory().bytes > 0);
        drain.cancel();
    };
    let run = recorder.run(&on_disk.store, drain.clone());
    let both = async { tokio::join!(run, put) };
    timeout(Duration::from_mins(1), both).await.unwrap();
    drop(recorder);
    assert_eq!(on_disk.counts().lost, 0);
    assert_eq!(on_disk.open().waiting(), 1, "its file waits");
}

/// A file of which nobody gets anything until it is let go of, as on a disk that hangs.
struct Hanging(PathBuf);

impl Hanging {
    fn at(path: &Path) -> Self {
        let made = Command::new("mkfifo").arg(path).status();
        assert!(made.unwrap().success());
        Self(path.to_owned())
    }
}

impl Drop for Hanging {
    fn drop(&mut self) {
        // Who waits for another end of it has one, and who comes later finds nothing.
        let _both = fs::File::options().read(true).write(true).open(&self.0);
        let _ = fs::remove_file(&self.0);
    }
}

impl OnDisk {
    /// Puts it beside everything else until it is told to stop.
    fn begin(&self, recorder: &Recorder) -> (JoinHandle<()>, CancellationToken) {
        let (recorder, store) = (recorder.clone(), self.store.clone());
        let drain = CancellationToken::new();
        let until = drain.clone();
        let running = tokio::spawn(async move { recorder.run(&store, until).await });
        (running, drain)
    }

    /// Waits until so many objects with entries were put.
    async fn has_put(&self, objects: u64) {
        let put = async {
            while self.counts().objects < objects {
                sleep(Duration::from_millis(5)).await;
            }
        };
        timeout(Duration::from_mins(1), put).await.unwrap();
        assert_eq!(self.counts().objects, objects);
    }

    /// Waits until the bucket has refused so many.
    async fn has_failed(&self, times: u64) {
        let failed = async {
            while self.counts().failures < times {
                sleep(Duration::from_millis(5)).await;
            }
        };
        timeout(Duration::from_mins(1), failed).await.unwrap();
    }

    /// A journal beside those of this one, which another process may have left, and that hangs: from now on it is
    /// time to look for it. What is put has to have begun before.
    async fn hanging_journal(&self, recorder: &Recorder) -> Hanging {
        let journal = recorder.shared.folder.join("journal-7");
        fs::create_dir(&journal).unwrap();
        let hanging = Hanging::at(&journal.join("lock"));
        pause();
        advance(Duration::from_mins(1)).await;
        resume();
        hanging
    }
}

/// Nothing waits for what others left but what they left.
#[tokio::test]
async fn a_journal_that_hangs_keeps_nothing_else_from_the_bucket() {
    let mut on_disk = OnDisk::new();
    on_disk.config.interval = Duration::from_millis(10);
    let recorder = on_disk.open_resting();
    let (running, drain) = on_disk.begin(&recorder);
    recorder.record(vec![entry()]).await;
    on_disk.has_put(1).await;
    let hanging = on_disk.hanging_journal(&recorder).await;
    for objects in [2, 3] {
        recorder.record(vec![entry()]).await;
        on_disk.has_put(objects).await;
    }
    drain.cancel();
    timeout(Duration::from_mins(1), running)
        .await
        .unwrap()
        .unwrap();
    assert_eq!((recorder.waiting(), on_disk.counts().lost), (0, 0));
    drop(hanging);
}

/// What hangs keeps nothing in memory that nobody puts any more, and so it is told.
#[tokio::test]
async fn what_is_in_memory_is_told_where_the_end_is_cut_off_while_a_journal_hangs() {
    for tells_itself in [true, false] {
        let mut on_disk = OnDisk::new();
        on_disk.config.interval = Duration::from_millis(10);
        on_disk.break_bucket();
        let recorder = on_disk.open_resting();
        let (running, _drain) = on_disk.begin(&recorder);
        recorder.record(vec![entry()]).await;
        on_disk.has_failed(1).await;
        let hanging = on_disk.hanging_journal(&recorder).await;
        // It has met what hangs, and goes on.
        on_disk.has_failed(2).await;
        running.abort();
        assert!(running.await.unwrap_err().is_cancelled());
        assert_eq!(on_disk.counts().lost, 0);
        if tells_itself {
            recorder.cut_off();
            assert_eq!(on_disk.counts().lost, 1);
        }
        drop(recorder);
        assert_eq!(on_disk.counts().lost, 1);
        drop(hanging);
    }
}

/// What a disk does not give stays there, and nothing else waits for it.
#[tokio::test]
async fn entries_that_the_disk_does_not_give_keep_no_others_from_the_bucket() {
    let mut on_disk = OnDisk::new();
    on_disk.config.interval = Duration::from_millis(10);
    let recorder = on_disk.open();
    for _ in 0..2 {
        recorder.record(vec![entry()]).await;
    }
    let journal = recorder.shared.folder.join("journal-0");
    let files = fs::read_dir(journal).unwrap();
    let mut files = files.map(|file| file.unwrap().path());
    let segment = files.find(|path| path.extension().is_some_and(|of| of == "segment"));
    let segment = segment.unwrap();
    let aside = segment.with_extension("aside");
    fs::rename(&segment, &aside).unwrap();
    let hanging = Hanging::at(&segment);
    *recorder.shared.resting.lock().unwrap() = Some(Instant::now() + Duration::from_hours(1));
    recorder.record(vec![entry()]).await;
    let (running, drain) = on_disk.begin(&recorder);
    on_disk.has_put(1).await;
    assert_eq!((recorder.waiting(), on_disk.counts().lost), (2, 0));
    // It gives them again.
    drop(hanging);
    fs::rename(&aside, &segment).unwrap();
    pause();
    advance(REST).await;
    resume();
    on_disk.has_put(2).await;
    drain.cancel();
    timeout(Duration::from_mins(1), running)
        .await
        .unwrap()
        .unwrap();
    assert_eq!((recorder.waiting(), on_disk.counts().lost), (0, 0));
}
