//! What a queue on disk does while its backend takes nothing, or not all.

use std::sync::Mutex as Locked;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytesize::ByteSize;
use futures::FutureExt as _;
use futures::future::BoxFuture;
use tokio::time::{sleep, sleep_until};

use super::*;
use crate::exporters::Taker;

const SECOND: Duration = Duration::from_secs(1);

/// A backend that is away until then. It notes which requests it was asked with, and when.
#[derive(Debug)]
struct Away {
    back: Instant,
    asked: Locked<Vec<(Instant, usize)>>,
}

impl Taker for Away {
    fn take(
        &self,
        request: Bytes,
        _: Option<Duration>,
    ) -> BoxFuture<'static, Result<Answer, Refusal>> {
        let now = Instant::now();
        // It ends with its name.
        let name = String::from_utf8_lossy(&request[request.len() - 6..]).into_owned();
        self.asked
            .lock()
            .unwrap()
            .push((now, name.parse().unwrap()));
        let away = Refusal::unavailable(Culprit::Backend, "away").unreached(true);
        let answer = if now < self.back {
            Err(away)
        } else {
            Ok(Answer::success())
        };
        std::future::ready(answer).boxed()
    }
}

/// With the pauses that are the default.
#[tokio::test]
async fn what_waits_for_its_backend_takes_no_memory_and_goes_at_once_when_it_is_back() {
    const ALL: usize = 200;
    let folder = tempfile::tempdir().unwrap();
    let budget = Budget::new(Limits {
        limit_mib: 128,
        spike_mib: 25,
    });
    let begin = |num_consumers, opened, backend: &Arc<Away>| {
        let exporter = OtlpGrpcConfig::new("127.0.0.1:9".parse().unwrap());
        let taker: Arc<Away> = Arc::clone(backend);
        let wire = Wire::Taken(taker);
        let way = Way::new("otlp".to_owned(), wire, None, exporter.delivery());
        let config = QueueConfig {
            num_consumers,
            ..QueueConfig::default()
        };
        Queue::begin(Arc::new(way), &config, Some(opened), parts(budget.clone()))
    };
    let backend = |back| {
        let asked = Locked::default();
        Arc::new(Away { back, asked })
    };
    let queue = begin(0, opened(folder.path()).await, &backend(Instant::now()));
    for number in 0..ALL {
        let name = format!("{}{number:06}", "a".repeat(1_000));
        let request = Bytes::from(nested(&[1, 2, 2, 5], name));
        let terms = terms(&queue);
        queue.offer(Signal::Traces, request, &terms).await.unwrap();
    }
    drop(queue);
    let opened = opened(folder.path()).await;
    pause();
    let back = Instant::now() + 600 * SECOND;
    let backend = backend(back);
    let queue = begin(10, opened, &backend);
    sleep_until(back - SECOND).await;
    let is_free = async {
        while budget.in_flight() > 0 {
            sleep(Duration::from_millis(1)).await;
        }
    };
    timeout(SECOND / 2, is_free).await.unwrap();
    assert_eq!(queue.load().size, ALL as u64);
    let before = std::mem::take(&mut *backend.asked.lock().unwrap());
    // About as often as one request alone would be tried.
    assert!((15..70).contains(&before.len()), "{}", before.len());
    let is_empty = async {
        while queue.load().size > 0 {
            sleep(Duration::from_millis(5)).await;
        }
    };
    timeout(60 * SECOND, is_empty).await.unwrap();
    let mut taken = backend.asked.lock().unwrap().clone();
    taken.retain(|(at, _)| *at >= back);
    let (first, last) = (taken[0].0, taken[ALL - 1].0);
    assert_eq!((taken.len(), taken[0].1), (ALL, 0));
    assert!(last - first < 5 * SECOND, "{:?}", last - first);
    let in_turn = taken.iter().enumerate();
    // Ten go at a time, and a busy machine gives one the disk while others have several turns.
    let in_turn = in_turn.filter(|(place, (_, number))| place.abs_diff(*number) <= 40);
    let in_turn = in_turn.count();
    assert!(in_turn >= ALL * 8 / 10, "{in_turn}");
    assert_eq!(budget.in_flight(), 0);
}

/// A backend that takes the first part of a request, and the second one when it is asked again.
#[derive(Debug, Default)]
struct Halfway(Locked<Vec<u8>>);

impl Taker for Halfway {
    fn take(
        &self,
        request: Bytes,
        _: Option<Duration>,
    ) -> BoxFuture<'static, Result<Answer, Refusal>> {
        let last = *request.last().unwrap();
        let mut asked = self.0.lock().unwrap();
        let answer = if last == b'b' && !asked.contains(&b'b') {
            Err(Refusal::unavailable(Culprit::Backend, "not yet"))
        } else {
            Ok(Answer::success())
        };
        asked.push(last);
        std::future::ready(answer).boxed()
    }
}

#[tokio::test]
async fn what_goes_in_parts_goes_on_where_it_could_not_go_on() {
    let folder = tempfile::tempdir().unwrap();
    let mut exporter = OtlpGrpcConfig::new("127.0.0.1:9".parse().unwrap());
    exporter.max_request_bytes = ByteSize::kib(40);
    let backend = Arc::new(Halfway::default());
    let taker: Arc<Halfway> = Arc::clone(&backend);
    let wire = Wire::Taken(taker);
    let way = Way::new("otlp".to_owned(), wire, None, exporter.delivery());
    let budget = Budget::new(Limits {
        limit_mib: 128,
        spike_mib: 25,
    });
    let config = QueueConfig::default();
    let opened = Some(opened(folder.path()).await);
    let queue = Queue::begin(Arc::new(way), &config, opened, parts(budget));
    let halves = ["a", "b", "c"].map(|name| nested(&[1, 2, 2, 5], name.repeat(30_000)));
    let terms = terms(&queue);
    let request = Bytes::from(halves.concat());
    queue.offer(Signal::Traces, request, &terms).await.unwrap();
    let is_tried = async {
        while backend.0.lock().unwrap().len() < 2 {
            sleep(Duration::from_millis(1)).await;
        }
    };
    timeout(60 * SECOND, is_tried).await.unwrap();
    pause();
    let is_empty = async {
        while queue.load().size > 0 {
            sleep(Duration::from_millis(5)).await;
        }
    };
    timeout(60 * SECOND, is_empty).await.unwrap();
    assert_eq!(*backend.0.lock().unwrap(), b"abbc");
}

/// A backend that is away until then, and something fails at the first request from then on.
#[derive(Debug)]
struct Failing(Away);

impl Taker for Failing {
    fn take(
        &self,
        request: Bytes,
        left: Option<Duration>,
    ) -> BoxFuture<'static, Result<Answer, Refusal>> {
        if Instant::now() >= self.0.back && request.ends_with(b"000000") {
            let failed = Refusal::fault("it failed", true);
            return std::future::ready(Err(failed)).boxed();
        }
        self.0.take(request, left)
    }
}

/// The request that was to show whether the backend is back can neither be sent nor become a dead letter.
#[tokio::test]
async fn one_that_has_no_end_leaves_it_to_others_to_ask_a_backend_that_was_away() {
    let folder = tempfile::tempdir().unwrap();
    let file = tempfile::NamedTempFile::new().unwrap();
    let mut exporter = OtlpGrpcConfig::new("127.0.0.1:9".parse().unwrap());
    exporter.dead_letters.directory = Some(file.path().join("letters"));
    let begin = |num_consumers, opened, backend: &Arc<Failing>| {
        let taker: Arc<Failing> = Arc::clone(backend);
        let wire = Wire::Taken(taker);
        let way = Way::new("otlp".to_owned(), wire, None, exporter.delivery());
        let config = QueueConfig {
            num_consumers,
            ..QueueConfig::default()
        };
        let budget = Budget::new(Limits {
            limit_mib: 128,
            spike_mib: 25,
        });
        Queue::begin(Arc::new(way), &config, Some(opened), parts(budget))
    };
    let backend = |back| {
        let asked = Locked::default();
        Arc::new(Failing(Away { back, asked }))
    };
    let queue = begin(0, opened(folder.path()).await, &backend(Instant::now()));
    for number in 0..5 {
        let request = Bytes::from(nested(&[1, 2, 2, 5], format!("{number:06}")));
        let terms = terms(&queue);
        queue.offer(Signal::Traces, request, &terms).await.unwrap();
    }
    drop(queue);
    let opened = opened(folder.path()).await;
    pause();
    // Before the first pause ends.
    let backend = backend(Instant::now() + SECOND);
    let queue = begin(2, opened, &backend);
    let one_is_left = async {
        while queue.load().size > 1 {
            sleep(Duration::from_millis(5)).await;
        }
    };
    timeout(20 * SECOND, one_is_left).await.unwrap();
    let asked = backend.0.asked.lock().unwrap();
    let before = asked.iter().filter(|(at, _)| *at < backend.0.back);
    assert!(before.count() >= 3, "{asked:?}");
}

/// A backend for which everything is too large. It counts how often it was asked.
#[derive(Debug, Default)]
struct Narrow(AtomicUsize);

impl Taker for Narrow {
    fn take(&self, _: Bytes, _: Option<Duration>) -> BoxFuture<'static, Result<Answer, Refusal>> {
        self.0.fetch_add(1, Ordering::Relaxed);
        std::future::ready(Err(Refusal::too_costly("too large"))).boxed()
    }
}

/// Its sender was told that it is safe, and nobody else has it.
#[tokio::test]
async fn what_is_too_large_and_can_be_kept_nowhere_else_stays_on_disk() {
    let (folder, home) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let place = home.path().join("place");
    std::fs::write(&place, "a file").unwrap();
    let letters = place.join("letters");
    let mut exporter = OtlpGrpcConfig::new("127.0.0.1:9".parse().unwrap());
    exporter.dead_letters.directory = Some(letters.clone());
    let backend = Arc::new(Narrow::default());
    let taker: Arc<Narrow> = Arc::clone(&backend);
    let way = Way::new(
        "otlp".to_owned(),
        Wire::Taken(taker),
        None,
        exporter.delivery(),
    );
    let budget = Budget::new(Limits {
        limit_mib: 128,
        spike_mib: 25,
    });
    let config = QueueConfig::default();
    let opened = Some(opened(folder.path()).await);
    let queue = Queue::begin(Arc::new(way), &config, opened, parts(budget));
    offer(&queue).await.unwrap();
    pause();
    let is_empty = async || {
        while queue.load().size > 0 {
            sleep(Duration::from_millis(5)).await;
        }
    };
    assert!(timeout(100 * SECOND, is_empty()).await.is_err());
    assert_eq!(backend.0.load(Ordering::Relaxed), 1);
    std::fs::remove_file(&place).unwrap();
    timeout(100 * SECOND, is_empty()).await.unwrap();
    let kept = std::fs::read_dir(letters).unwrap();
    assert_eq!(kept.count(), 2, "the request, and why");
}
