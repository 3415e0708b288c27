//! With `fsync` nothing is acknowledged before it is on the disk: its bytes, and the names that lead there.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::cell::{Cell, RefCell};
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, mpsc};
use std::thread;
use std::time::Duration;

use slimspan_generators::wire::nested;
use slimspan_proto::Signal;
use tempfile::TempDir;
use tokio::sync::{Semaphore, oneshot};

use super::config::{FileConfig, RotationConfig};
use super::disk::Disk;
use super::open::folder_of;
use super::output::Output;
use super::writer::{Failure, Job, Order, Writer, Written};
use crate::admission::{Budget, Limits};

const A: &str = "{\"resourceSpans\":[1]}\n";
const B: &str = "{\"resourceSpans\":[2]}\n";

type Outcome = Result<Written, Failure>;

thread_local! {
    /// The folders that were brought to the disk, and what the only file in each held then, if there is one.
    static FOLDERS: RefCell<Vec<(PathBuf, usize)>> = const { RefCell::new(Vec::new()) };
    /// How many of the next times fail.
    static FAILING: Cell<usize> = const { Cell::new(0) };
    /// Who waits to be told that a request is written, and how many were told before the disk had any.
    static WAITING: RefCell<Vec<oneshot::Receiver<Outcome>>> = const { RefCell::new(Vec::new()) };
    static TOLD_EARLY: Cell<usize> = const { Cell::new(0) };
    static SYNCS: Cell<usize> = const { Cell::new(0) };
}

fn may_fail() -> io::Result<()> {
    let left = FAILING.get();
    FAILING.set(left.saturating_sub(1));
    if left > 0 {
        return Err(io::Error::other("the disk is broken"));
    }
    Ok(())
}

fn file(file: &File) -> io::Result<()> {
    SYNCS.set(SYNCS.get() + 1);
    WAITING.with_borrow(|waiting| {
        if SYNCS.get() == 1 {
            TOLD_EARLY.set(waiting.iter().filter(|one| !one.is_empty()).count());
        }
    });
    may_fail()?;
    file.sync_data()
}

fn folder(folder: &Path) -> io::Result<()> {
    let file = fs::read_dir(folder)?.flatten().map(|entry| entry.path());
    let len = file.filter(|path| path.ends_with("telemetry.json"));
    let len = len
        .map(|path| fs::read(path).map_or(0, |bytes| bytes.len()))
        .sum();
    FOLDERS.with_borrow_mut(|folders| folders.push((folder.to_owned(), len)));
    may_fail()?;
    File::open(folder)?.sync_all()
}

const WATCHED: Disk = Disk::of(file, folder);

fn config(place: &TempDir, path: &str) -> FileConfig {
    let mut config = FileConfig::new(place.path().join(path));
    config.fsync = true;
    config.create_directory = true;
    config
}

/// The folders that came to the disk since this was asked last.
fn folders() -> Vec<PathBuf> {
    let folders = FOLDERS.take();
    folders.into_iter().map(|(folder, _)| folder).collect()
}

#[test]
fn every_name_is_on_the_disk_before_a_record_is() {
    let place = tempfile::tempdir().unwrap();
    let mut config = config(&place, "a/b/telemetry.json");
    config.rotation = Some(RotationConfig {
        max_megabytes: 1,
        ..RotationConfig::default()
    });
    let mut output = Output::open_on(WATCHED, &config, Arc::default()).unwrap();
    let (top, middle, bottom) = (
        place.path().to_owned(),
        place.path().join("a"),
        place.path().join("a/b"),
    );
    let mut made = folders();
    made.sort();
    assert_eq!(made, [top, middle, bottom], "new folders, and the new file");
    output.append(A.as_bytes()).unwrap();
    assert!(folders().is_empty(), "nothing is new");
    let large = format!("{{\"resourceSpans\":[\"{}\"]}}\n", "x".repeat(1 << 20));
    output.append(large.as_bytes()).unwrap();
    assert_eq!(
        folders(),
        [folder_of(&config.path)],
        "a file was renamed, and another made"
    );
    fs::remove_file(&config.path).unwrap();
    output.append(B.as_bytes()).unwrap();
    assert_eq!(
        folders(),
        [folder_of(&config.path)],
        "somebody has taken the file away"
    );
    drop(output);

    config.rotation = None;
    config.fsync = false;
    drop(Output::open_on(WATCHED, &config, Arc::default()).unwrap());
    assert!(folders().is_empty(), "nobody asked for it");
}

#[test]
fn what_is_moved_away_is_on_the_disk_before_it_is_cut_off() {
    let place = tempfile::tempdir().unwrap();
    let config = config(&place, "telemetry.json");
    let torn = [A, "{\"resourceSpans\":[4"].concat();
    fs::write(&config.path, &torn).unwrap();
    drop(Output::open_on(WATCHED, &config, Arc::default()).unwrap());
    let lens: Vec<usize> = FOLDERS.take().into_iter().map(|(_, len)| len).collect();
    assert_eq!(lens, [torn.len(), A.len()]);
}

#[test]
fn a_name_that_does_not_come_to_the_disk_is_no_place_for_records() {
    let place = tempfile::tempdir().unwrap();
    let mut config = config(&place, "telemetry.json");
    FAILING.set(1);
    let error = Output::open_on(WATCHED, &config, Arc::default())
        .unwrap_err()
        .to_string();
    assert!(error.contains("the disk is broken"), "{error}");

    config.rotation = Some(RotationConfig {
        max_megabytes: 1,
        ..RotationConfig::default()
    });
    let mut output = Output::open_on(WATCHED, &config, Arc::default()).unwrap();
    output.append(A.as_bytes()).unwrap();
    let large = format!("{{\"resourceSpans\":[\"{}\"]}}\n", "x".repeat(1 << 20));
    // The one before, and then the folder with the new one.
    output.sync().unwrap();
    fs::remove_file(&config.path).unwrap();
    FAILING.set(2);
    for _ in 0..2 {
        output.append(large.as_bytes()).unwrap_err();
        assert_eq!(fs::read(&config.path).map_or(0, |bytes| bytes.len()), 0);
    }
    output.append(large.as_bytes()).unwrap();
    assert_eq!(fs::read(&config.path).unwrap().len(), large.len());
}

/// The system tells of bytes that are lost only once: the next time it would say that all is well.
#[test]
fn after_a_sync_that_failed_the_file_is_opened_anew() {
    let place = tempfile::tempdir().unwrap();
    let config = config(&place, "telemetry.json");
    let mut output = Output::open_on(WATCHED, &config, Arc::default()).unwrap();
    output.append(A.as_bytes()).unwrap();
    FAILING.set(1);
    output.sync().unwrap_err();
    output.sync().unwrap_err();
    assert!(output.has_failed_to_sync());
    folders();
    output.append(B.as_bytes()).unwrap();
    assert_eq!(folders(), [folder_of(&config.path)], "it was opened");
    output.sync().unwrap();
    let text = fs::read_to_string(&config.path).unwrap();
    assert_eq!(text, [A, B].concat());
}

/// A request, and who waits for what becomes of it.
fn job(orders: &mpsc::Sender<Order>) -> oneshot::Receiver<Outcome> {
    job_with(orders, bytes::Bytes::new())
}

fn job_with(orders: &mpsc::Sender<Order>, request: bytes::Bytes) -> oneshot::Receiver<Outcome> {
    let (done, outcome) = oneshot::channel();
    let room = Arc::new(Semaphore::new(1)).try_acquire_owned().unwrap();
    let job = Job {
        signal: Signal::Traces,
        request,
        done,
        _room: room,
    };
    orders.send(Order::Write(job)).unwrap();
    outcome
}

fn budget() -> Budget {
    Budget::new(Limits {
        limit_mib: 64,
        spike_mib: 0,
    })
}

#[test]
fn requests_are_acknowledged_when_they_are_on_the_disk() {
    for fsync in [true, false] {
        let place = tempfile::tempdir().unwrap();
        let mut config = config(&place, "telemetry.json");
        config.fsync = fsync;
        let writer = Writer::new(
            &config,
            Output::open_on(WATCHED, &config, Arc::default()).unwrap(),
            budget(),
        );
        let (orders, received) = mpsc::channel();
        let waiting: Vec<_> = (0..3).map(|_| job(&orders)).collect();
        drop(orders);
        WAITING.set(waiting);
        SYNCS.set(0);
        TOLD_EARLY.set(0);
        writer.run(&received);
        for mut one in WAITING.take() {
            one.try_recv().unwrap().unwrap();
        }
        if fsync {
            assert_eq!(TOLD_EARLY.get(), 0);
            assert_eq!(SYNCS.get(), 2, "one for all three, and one at the end");
        } else {
            assert_eq!(
                TOLD_EARLY.get(),
                3,
                "whoever does not ask for it does not wait for it"
            );
        }
    }
}

#[test]
fn requests_whose_bytes_do_not_come_to_the_disk_are_not_acknowledged() {
    let place = tempfile::tempdir().unwrap();
    let config = config(&place, "telemetry.json");
    let writer = Writer::new(
        &config,
        Output::open_on(WATCHED, &config, Arc::default()).unwrap(),
        budget(),
    );
    let (orders, received) = mpsc::channel();
    let lost = [job(&orders), job(&orders)];
    let (done, synced) = oneshot::channel();
    orders.send(Order::Sync(done)).unwrap();
    let kept = job(&orders);
    drop(orders);
    FAILING.set(1);
    writer.run(&received);
    for mut one in lost {
        let outcome = one.try_recv().unwrap();
        assert!(
            matches!(&outcome, Err(Failure::Io(error)) if error.to_string().contains("broken")),
            "{outcome:?}"
        );
    }
    { synced }.try_recv().unwrap();
    { kept }.try_recv().unwrap().unwrap();
}

/// What is lost with one file is not acknowledged because another one came to the disk.
#[test]
fn a_new_file_does_not_speak_for_the_one_before() {
    let place = tempfile::tempdir().unwrap();
    let mut config = config(&place, "telemetry.json");
    config.rotation = Some(RotationConfig {
        max_megabytes: 1,
        ..RotationConfig::default()
    });
    let writer = Writer::new(
        &config,
        Output::open_on(WATCHED, &config, Arc::default()).unwrap(),
        budget(),
    );
    let (orders, received) = mpsc::channel();
    // One resource with an attribute that does not fit beside another record.
    let large = nested(&[2, 1], "x".repeat(1 << 20).as_bytes());
    let large = nested(&[1, 1, 1], [nested(&[1], b"key"), large].concat());
    let (lost, too_large) = (job(&orders), job_with(&orders, large.into()));
    let kept = job(&orders);
    drop(orders);
    FAILING.set(1);
    writer.run(&received);
    for mut one in [lost, too_large] {
        assert!(matches!(one.try_recv().unwrap(), Err(Failure::Io(_))));
    }
    { kept }.try_recv().unwrap().unwrap();
}

/// A reload opens the file while the writer before has not let go of it yet.
#[test]
fn a_file_is_waited_for_until_its_writer_has_ended() {
    let place = tempfile::tempdir().unwrap();
    let config = config(&place, "telemetry.json");
    let before = Output::open(&config, Arc::default()).unwrap();
    let ends = thread::spawn(move || {
        thread::sleep(Duration::from_millis(100));
        drop(before);
    });
    drop(Output::open(&config, Arc::default()).unwrap());
    ends.join().unwrap();
}
