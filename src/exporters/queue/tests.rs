//! What a queue on disk does while its disk, or the memory, lacks something.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

mod away;
mod batches;

use std::sync::atomic::Ordering;
use std::time::Duration;

use slimspan_generators::wire::nested;
use tempfile::TempDir;
use tokio::time::{pause, resume, timeout};

use super::*;
use crate::admission::Limits;
use crate::client::Client;
use crate::exporters::departure::{Notice, Notices};
use crate::exporters::faulty::{Faulty, HELD, POISON, SLOW_POISON};
use crate::exporters::otlp_grpc::OtlpGrpcExporter;
use crate::exporters::otlp_grpc::config::OtlpGrpcConfig;
use crate::exporters::terms::Oversize;
use crate::exporters::{Departure, Divided, Wire};
use crate::journal::FaultyDisk;
use crate::tally::Ticket;
use crate::telemetry::traces::{Onward, Trace};
use consumer::Unread;
use turns::{Turn, Went};

const HOUR: Duration = Duration::from_hours(1);

const ON_DISK: Options = Options {
    segment_bytes: 1 << 20,
    max_bytes: 1 << 30,
    fsync: true,
    max_damaged_bytes: 1 << 20,
};

/// A queue on a disk that can be broken. Nothing takes anything out of it.
fn queue() -> (TempDir, FaultyDisk, Queue) {
    queue_for("127.0.0.1:9", 0)
}

/// The same with so many consumers that send to this backend.
fn queue_for(backend: &str, num_consumers: usize) -> (TempDir, FaultyDisk, Queue) {
    let (folder, disk) = (tempfile::tempdir().unwrap(), FaultyDisk::default());
    let mut exporter = OtlpGrpcConfig::new(backend.parse().unwrap());
    exporter.tls.insecure = true;
    let name = || "otlp_grpc".to_owned();
    let wire = OtlpGrpcExporter::new(name(), &exporter).unwrap();
    let way = Way::new(name(), wire, None, exporter.delivery());
    let config = QueueConfig {
        num_consumers,
        ..QueueConfig::default()
    };
    let opened = Journal::open_on(Arc::new(disk.clone()), folder.path(), ON_DISK).unwrap();
    let budget = Budget::new(Limits {
        limit_mib: 128,
        spike_mib: 25,
    });
    let queue = Queue::begin(Arc::new(way), &config, Some(opened), parts(budget));
    (folder, disk, queue)
}

fn parts(budget: Budget) -> (Budget, Arc<Counters>, Herald) {
    (budget, Arc::default(), Herald::default())
}

fn request() -> Bytes {
    let name = nested(&[1, 2, 2, 5], "a".repeat(100_000));
    Bytes::from(name)
}

/// What a sender says who waits for five seconds.
fn terms(queue: &Queue) -> Terms {
    let ticket = Ticket::new(Arc::clone(&queue.shared.counters), Signal::Traces);
    Terms {
        client: Arc::new(Client::unknown()),
        tenants: Arc::default(),
        alone: false,
        deadline: Instant::now() + Duration::from_secs(5),
        oversize: Oversize::Kept,
        divided: Divided::Never,
        tickets: ticket.into(),
        trace: Trace::default(),
        onward: Onward::default(),
        departure: Departure::default(),
    }
}

/// The only request that is to go next.
async fn next(queue: &Queue) -> Queued {
    next_turn(queue).await.0
}

async fn next_turn(queue: &Queue) -> (Queued, Went) {
    let Turn { ones, went } = queue.shared.waiting.next(true).await.unwrap();
    let [only] = <[_; 1]>::try_from(ones).unwrap();
    (only, went)
}

async fn offer(queue: &Queue) -> Result<Answer, Refusal> {
    let terms = terms(queue);
    let offered = queue.offer(Signal::Traces, request(), &terms);
    timeout(HOUR, offered).await.unwrap()
}

/// A consumer that ended with it would leave one less for all that come after, and after a start it
/// would end again.
#[tokio::test]
async fn what_slimspan_fails_at_each_time_becomes_a_dead_letter_and_holds_up_nothing() {
    let (folder, letters) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let mut exporter = OtlpGrpcConfig::new("127.0.0.1:9".parse().unwrap());
    exporter.dead_letters.directory = Some(letters.path().into());
    let way = Way::new(
        "otlp".to_owned(),
        Wire::Faulty(Faulty::default()),
        None,
        exporter.delivery(),
    );
    let config = QueueConfig {
        num_consumers: 1,
        ..QueueConfig::default()
    };
    let opened = Journal::open(folder.path(), ON_DISK).unwrap();
    let budget = Budget::new(Limits {
        limit_mib: 128,
        spike_mib: 25,
    });
    let queue = Queue::begin(Arc::new(way), &config, Some(opened), parts(budget));
    for name in [POISON, SLOW_POISON, "sound"] {
        let request = Bytes::from(nested(&[1, 2, 2, 5], name));
        let terms = terms(&queue);
        queue.offer(Signal::Traces, request, &terms).await.unwrap();
    }
    let is_empty = async {
        while queue.load().size > 0 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    timeout(Duration::from_mins(1), is_empty).await.unwrap();
    let kept = std::fs::read_dir(letters.path()).unwrap();
    let kept = kept.map(|file| std::fs::read(file.unwrap().path()).unwrap());
    let kept: Vec<_> = kept
        .map(|file| String::from_utf8_lossy(&file).into_owned())
        .collect();
    // Two of three, each with its reason beside it.
    assert_eq!(kept.len(), 4);
    let culprit = |file: &&String| file.contains("the exporter otlp (traces) failed");
    assert_eq!(kept.iter().filter(culprit).count(), 2, "{kept:?}");
    let panics = queue.shared.counters.panics.all();
    assert_eq!(panics.load(Ordering::Relaxed), 8);
}

#[tokio::test]
async fn a_disk_that_hangs_holds_nobody_beyond_the_deadline() {
    let (_folder, disk, queue) = queue();
    let held = disk.hold_syncs();
    // The clock stands still, and jumps to the deadline as nothing else happens.
    pause();
    let begun = Instant::now();
    let refusal = offer(&queue).await.unwrap_err();
    assert_eq!(begun.elapsed().as_secs(), 5);
    assert!(refusal.is_retryable());
    assert!(
        refusal
            .to_string()
            .contains("on disk was not written in time")
    );
    assert_eq!(queue.load().size, 0);
    resume();
    drop(held);
    offer(&queue).await.unwrap();
    assert_eq!(queue.load().size, 1);
}

/// Thirty minutes a hundred times over, without a backend that answers anything: nothing is too old, and each
/// time it is tried again.
#[tokio::test]
async fn fifty_hours_without_a_backend_take_nothing_out_of_it() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let attempts = Arc::new(std::sync::atomic::AtomicUsize::new(0));
    let counted = Arc::clone(&attempts);
    std::thread::spawn(move || {
        for connection in listener.incoming() {
            drop(connection);
            counted.fetch_add(1, Ordering::Relaxed);
        }
    });
    let (folder, _disk, queue) = queue_for(&address, 1);
    for _ in 0..3 {
        offer(&queue).await.unwrap();
    }
    for _ in 0..100 {
        let before = attempts.load(Ordering::Relaxed);
        pause();
        tokio::time::advance(HOUR / 2).await;
        // What an attempt does takes the time that it takes.
        resume();
        let tried = async {
            let mut looks = 0;
            while attempts.load(Ordering::Relaxed) == before {
                tokio::time::sleep(Duration::from_millis(1)).await;
                looks += 1;
                if looks % 200 == 0 {
                    // The clock has jumped while an attempt had not ended yet, and its pause came after that.
                    pause();
                    tokio::time::advance(Duration::from_mins(1)).await;
                    resume();
                }
            }
        };
        timeout(HOUR, tried).await.unwrap();
    }
    assert_eq!(queue.load().size, 3);
    let counters = &queue.shared.counters;
    assert_eq!(counters.items.of(Signal::Traces).read().rejected, 0);
    drop(queue);
    let reader = Journal::open_read_only(folder.path()).unwrap();
    assert_eq!(reader.entries().len(), 3);
}

/// A file system that the system has set to read-only, as it does after faults of its disk.
#[tokio::test]
async fn a_disk_that_may_only_be_read_asks_senders_to_come_back_until_it_may_be_written() {
    let (_folder, disk, queue) = queue();
    for round in 1..=3 {
        offer(&queue).await.unwrap();
        assert!(!queue.load().is_full);
        disk.set_read_only(true);
        for _ in 0..3 {
            let refusal = offer(&queue).await.unwrap_err();
            assert!(refusal.is_retryable() && refusal.asked_delay().is_some());
            let says = refusal.to_string();
            assert!(says.contains("its queue cannot be written"), "{says}");
            assert!(says.contains("Read-only file system"), "{says}");
        }
        let load = queue.load();
        assert_eq!((load.size, load.is_full), (round, true));
        disk.set_read_only(false);
    }
    for _ in 1..=3 {
        let queued = next(&queue).await;
        let Held::Disk(entry) = &queued.held else {
            unreachable!("it is on disk")
        };
        let stands = queue.shared.read(entry, true).await.unwrap();
        assert_eq!(stands.request, request());
    }
}

#[tokio::test]
async fn what_is_read_back_takes_memory_while_it_is_there() {
    let (_folder, _disk, queue) = queue();
    offer(&queue).await.unwrap();
    let shared = &queue.shared;
    assert_eq!(shared.budget.in_flight(), 0, "on disk it takes none");
    let queued = next(&queue).await;
    let Held::Disk(entry) = &queued.held else {
        unreachable!("it is on disk")
    };
    let read = shared.read(entry, true).await.unwrap().request;
    assert_eq!(read, request());
    // As it is, and what is made of it to be sent.
    assert!(shared.budget.in_flight() >= 2 * read.len() as u64);
    let part = read.slice(..1);
    drop(read);
    assert!(shared.budget.in_flight() > 0, "somebody has a part of it");
    drop(part);
    assert_eq!(shared.budget.in_flight(), 0);
}

#[tokio::test]
async fn where_there_is_no_memory_it_stays_where_it_is() {
    let (_folder, _disk, queue) = queue();
    offer(&queue).await.unwrap();
    let shared = &queue.shared;
    pause();
    let mut all = shared.budget.lease_for_more();
    let limit = usize::try_from(shared.budget.limit()).unwrap();
    all.charge(limit / 2).await.unwrap();
    let (queued, went) = next_turn(&queue).await;
    let ended = timeout(HOUR, shared.finish(vec![queued], went)).await;
    let left = ended.unwrap().left;
    let [queued] = &left[..] else {
        panic!("it is gone")
    };
    drop(all);
    let Held::Disk(entry) = &queued.held else {
        unreachable!("it is on disk")
    };
    let stands = shared.read(entry, true).await.unwrap();
    assert_eq!(stands.request, request());
}

/// A larger limit may have been configured when it came.
#[tokio::test]
async fn what_is_larger_than_the_memory_there_is_goes_alone() {
    let (_folder, _disk, queue) = queue();
    let lease = queue.shared.budget.lease_to_send_again(1 << 40);
    assert!(timeout(HOUR, lease).await.unwrap().is_ok());
}

#[tokio::test]
async fn what_the_disk_does_not_give_is_neither_lost_nor_damaged() {
    let (folder, disk, queue) = queue();
    offer(&queue).await.unwrap();
    let shared = &queue.shared;
    let (queued, went) = next_turn(&queue).await;
    disk.fail_reads();
    pause();
    let ended = timeout(HOUR, shared.finish(vec![queued], went)).await;
    let left = ended.unwrap().left;
    let [queued] = &left[..] else {
        panic!("it was given up")
    };
    let Held::Disk(entry) = &queued.held else {
        unreachable!("it is on disk")
    };
    assert!(matches!(
        shared.read(entry, true).await,
        Err(Unread::Later(_))
    ));
    assert_eq!(shared.counters.items.of(Signal::Traces).read().rejected, 0);
    disk.mend_reads();
    let stands = shared.read(entry, true).await.unwrap();
    assert_eq!(stands.request, request());
    drop(queue);
    assert!(!folder.path().join("quarantine").exists());
}

/// The journal in this folder, where an earlier life may have had it.
async fn opened(folder: &Path) -> (Journal, Recovered) {
    loop {
        // The one before lets go of it when its last write has ended.
        match Journal::open(folder, ON_DISK) {
            Err(error) if error.is_in_use() => {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
            opened => break opened.unwrap(),
        }
    }
}

/// What is to be told of a request, as long as it is here.
#[derive(Debug)]
struct Untold(Notice);

impl Notices for Untold {
    fn notice(&self) -> Option<Notice> {
        Some(self.0.clone())
    }
}

/// What notes all that it is to tell, when it was told.
fn noting() -> (Arc<std::sync::Mutex<Vec<Notice>>>, Herald) {
    let told: Arc<std::sync::Mutex<Vec<Notice>>> = Arc::default();
    let heard = Arc::clone(&told);
    let herald = Herald::new(move |notice| {
        let heard = Arc::clone(&heard);
        Box::pin(async move {
            tokio::task::yield_now().await;
            heard.lock().unwrap().push(notice);
        })
    });
    (told, herald)
}

/// The life that took a request may end before it told anybody of it, and the next one sends it.
#[tokio::test]
async fn what_is_to_be_told_of_a_request_is_told_before_another_life_sends_it() {
    let folder = tempfile::tempdir().unwrap();
    let wire = Faulty::default();
    let (told, herald) = noting();
    let begin = async |num_consumers| {
        let exporter = OtlpGrpcConfig::new("127.0.0.1:9".parse().unwrap());
        let faulty = Wire::Faulty(wire.clone());
        let way = Way::new("otlp".to_owned(), faulty, None, exporter.delivery());
        let config = QueueConfig {
            num_consumers,
            ..QueueConfig::default()
        };
        let budget = Budget::new(Limits {
            limit_mib: 128,
            spike_mib: 25,
        });
        let parts = (budget, Arc::default(), herald.clone());
        let opened = opened(folder.path()).await;
        Queue::begin(Arc::new(way), &config, Some(opened), parts)
    };
    let notices = ["one", "another"].map(|what| Notice {
        to: "s3://media/x".to_owned(),
        what: Bytes::from(what),
    });
    let [first, second] = notices
        .clone()
        .map(|notice| Departure::watched_with(Arc::new(Untold(notice))));
    let queue = begin(0).await;
    let terms = Terms {
        // Of two requests that travel as one.
        departure: Departure::joined([&first, &second]),
        ..terms(&queue)
    };
    let request = Bytes::from(nested(&[1, 2, 2, 5], HELD));
    queue.offer(Signal::Traces, request, &terms).await.unwrap();
    drop((queue, terms));
    assert_eq!(*told.lock().unwrap(), []);
    let next = timeout(Duration::from_mins(1), begin(1)).await.unwrap();
    let leaves = timeout(Duration::from_mins(1), wire.holds.acquire());
    leaves.await.unwrap().unwrap().forget();
    assert_eq!(*told.lock().unwrap(), notices);
    drop(next);
}
