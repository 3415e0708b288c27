//! What goes as one out of a queue on disk, and what does not.

use futures::future::join_all;
use http::{HeaderMap, HeaderValue};

use super::*;
use crate::exporters::queue::config::PartitionConfig;
use crate::tenant::TenantId;

/// The same queue, in this folder, with this exporter behind it.
async fn open(folder: &Path, config: &QueueConfig, wire: Wire, exporter: &OtlpGrpcConfig) -> Queue {
    open_telling(folder, config, wire, exporter, Herald::default()).await
}

/// The same, and what an earlier life was to tell is told to this one.
async fn open_telling(
    folder: &Path,
    config: &QueueConfig,
    wire: Wire,
    exporter: &OtlpGrpcConfig,
    herald: Herald,
) -> Queue {
    let way = Way::new("otlp".to_owned(), wire, None, exporter.delivery());
    // All of it is for anybody.
    let budget = Budget::new(Limits {
        limit_mib: 128,
        spike_mib: 0,
    });
    let parts = (budget, Arc::default(), herald);
    Queue::begin(Arc::new(way), config, Some(opened(folder).await), parts)
}

/// Batches of two, or later than any test.
fn in_pairs(num_consumers: usize) -> QueueConfig {
    QueueConfig {
        num_consumers,
        batch: Some(QueueBatchConfig {
            flush_timeout: 24 * HOUR,
            min_size: 2,
            max_size: 2,
            partition: PartitionConfig {
                metadata_keys: vec!["x-team".to_owned()],
            },
            ..QueueBatchConfig::default()
        }),
        ..QueueConfig::default()
    }
}

fn exporter() -> OtlpGrpcConfig {
    OtlpGrpcConfig::new("127.0.0.1:9".parse().unwrap())
}

/// The terms of a sender of this tenant and team.
fn of(queue: &Queue, tenant: &str, team: &str) -> Terms {
    let tenant: TenantId = tenant.parse().unwrap();
    let mut metadata = HeaderMap::new();
    metadata.append("x-team", HeaderValue::from_str(team).unwrap());
    metadata.append("x-other", HeaderValue::from_static("is not kept"));
    Terms {
        client: Arc::new(Client::unknown().with_metadata(metadata)),
        tenants: Arc::new([tenant]),
        ..terms(queue)
    }
}

fn named(name: &str) -> Bytes {
    nested(&[1, 2, 2, 5], name).into()
}

/// Whose the requests are that go next.
async fn whose(queue: &Queue) -> Vec<(String, String)> {
    let next = timeout(HOUR, queue.shared.waiting.next(true)).await;
    let batch = next.ok().flatten().map(|turn| turn.ones);
    let batch = batch.unwrap_or_default();
    let whose = batch.iter().map(|queued| {
        let Sender {
            client, tenants, ..
        } = &queued.sender;
        assert_eq!(client.all_metadata().count(), 1, "{client:?}");
        let team = client.metadata("x-team").next().unwrap();
        (tenants.concat(), team.to_str().unwrap().to_owned())
    });
    whose.collect()
}

async fn until_empty(queue: &Queue) {
    let is_empty = async {
        while queue.load().size > 0 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    timeout(Duration::from_mins(1), is_empty).await.unwrap();
}

/// Whoever takes the room that others wait for does not wait for more to go with it: nobody could bring that.
#[tokio::test(start_paused = true)]
async fn what_has_the_room_that_others_wait_for_waits_for_no_more() {
    let config = QueueConfig {
        queue_size: 1,
        block_on_overflow: true,
        ..in_pairs(1)
    };
    let (exporter, wire) = (exporter(), Wire::Faulty(Faulty::default()));
    let way = Way::new("otlp".to_owned(), wire, None, exporter.delivery());
    let budget = Budget::new(Limits {
        limit_mib: 128,
        spike_mib: 0,
    });
    let queue = Queue::begin(Arc::new(way), &config, None, parts(budget));
    let begun = Instant::now();
    let offers = ["one", "two", "three", "four"].map(|name| {
        let (queue, terms) = (&queue, of(&queue, "a", "x"));
        async move {
            let offered = queue.offer(Signal::Traces, named(name), &terms);
            offered.await
        }
    });
    for offered in join_all(offers).await {
        offered.unwrap();
    }
    // Nor does anybody wait for the end of somebody's patience.
    assert!(begun.elapsed() < Duration::from_secs(1));
}

/// Who sent a request is known before it is read: what an earlier life of the process has left goes with what
/// is its like, as it would have gone in that life, and with nothing else.
#[tokio::test]
async fn what_is_on_disk_goes_with_its_like_in_each_life() {
    let folder = tempfile::tempdir().unwrap();
    // Longer than what is read of a record at first.
    let long = "l".repeat(1_000);
    let senders = [("a", "x"), ("b", "x"), ("a", long.as_str())];
    for life in 0..2 {
        let wire = Wire::Faulty(Faulty::default());
        let queue = open(folder.path(), &in_pairs(0), wire, &exporter()).await;
        if life == 0 {
            for (tenant, team) in [senders, senders].concat() {
                let terms = of(&queue, tenant, team);
                let offered = queue.offer(Signal::Traces, request(), &terms);
                offered.await.unwrap();
            }
            let alone = Terms {
                alone: true,
                ..of(&queue, "a", "x")
            };
            let one_more = of(&queue, "c", "x");
            for terms in [alone, one_more] {
                let offered = queue.offer(Signal::Traces, request(), &terms);
                offered.await.unwrap();
            }
        }
        pause();
        for (tenant, team) in senders {
            let sender = (tenant.to_owned(), team.to_owned());
            assert_eq!(whose(&queue).await, [sender.clone(), sender]);
        }
        let alone = ("a".to_owned(), "x".to_owned());
        assert_eq!(whose(&queue).await, [alone]);
        assert!(whose(&queue).await.is_empty(), "one is left, and waits");
        assert_eq!(queue.load().size, 8, "none was sent");
        resume();
    }
}

/// Each request has its own that is to be told of it, also where another life sends several as one.
#[tokio::test]
async fn what_is_to_be_told_of_each_is_told_before_another_life_sends_them_as_one() {
    let folder = tempfile::tempdir().unwrap();
    let (faulty, exporter) = (Faulty::default(), exporter());
    let (told, herald) = noting();
    let begin = async |num_consumers| {
        let wire = Wire::Faulty(faulty.clone());
        let config = in_pairs(num_consumers);
        open_telling(folder.path(), &config, wire, &exporter, herald.clone()).await
    };
    let notices = ["another", "one"].map(|what| Notice {
        to: "s3://media/x".to_owned(),
        what: Bytes::from(what),
    });
    let queue = begin(0).await;
    for notice in notices.clone() {
        let terms = Terms {
            departure: Departure::watched_with(Arc::new(Untold(notice))),
            ..of(&queue, "a", "x")
        };
        let offered = queue.offer(Signal::Traces, named(HELD), &terms);
        offered.await.unwrap();
    }
    drop(queue);
    assert_eq!(*told.lock().unwrap(), []);
    let queue = timeout(Duration::from_mins(1), begin(1)).await.unwrap();
    let leaves = timeout(Duration::from_mins(1), faulty.holds.acquire());
    leaves.await.unwrap().unwrap().forget();
    let mut told = told.lock().unwrap().clone();
    told.sort_by(|one, other| one.what.cmp(&other.what));
    assert_eq!(told, notices);
    // Both are what is let go, once.
    faulty.lets_go.add_permits(1);
    until_empty(&queue).await;
}

/// A request at which slimspan fails becomes a dead letter, and those that went with it do not.
#[tokio::test]
async fn what_slimspan_fails_at_takes_nothing_of_its_batch_along() {
    let (folder, letters) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let mut exporter = exporter();
    exporter.dead_letters.directory = Some(letters.path().into());
    let mut config = in_pairs(1);
    if let Some(batch) = &mut config.batch {
        (batch.min_size, batch.max_size) = (4, 4);
    }
    let wire = Wire::Faulty(Faulty::default());
    let queue = open(folder.path(), &config, wire, &exporter).await;
    for name in ["one", POISON, "two", "three"] {
        let terms = of(&queue, "a", "x");
        let offered = queue.offer(Signal::Traces, named(name), &terms);
        offered.await.unwrap();
    }
    until_empty(&queue).await;
    let files = std::fs::read_dir(letters.path()).unwrap();
    let files = files.map(|file| file.unwrap().path());
    let requests = files.filter(|path| path.extension().is_some_and(|kind| kind == "pb"));
    let kept: Vec<_> = requests.map(|path| std::fs::read(path).unwrap()).collect();
    assert_eq!(kept, [named(POISON)]);
    // However often it was tried, alone and with others, each counts once.
    let counts = queue.shared.way.counts();
    let spans = [&counts.sent, &counts.failed].map(|of| of.get(Signal::Traces));
    assert_eq!(spans, [3, 1]);
}

#[tokio::test]
async fn where_there_is_no_memory_to_join_them_each_goes_alone() {
    const LEFT: usize = 500 << 10;
    let folder = tempfile::tempdir().unwrap();
    let wire = Wire::Faulty(Faulty::default());
    let queue = open(folder.path(), &in_pairs(0), wire, &exporter()).await;
    let shared = &queue.shared;
    for (left, times) in [(None, 1), (Some(LEFT), 2)] {
        for _ in 0..2 {
            let terms = of(&queue, "a", "x");
            let offered = queue.offer(Signal::Traces, request(), &terms);
            offered.await.unwrap();
        }
        let turn = shared.waiting.next(true).await.unwrap();
        let (batch, went) = (turn.ones, turn.went);
        assert_eq!(batch.len(), 2);
        let mut others = shared.budget.lease_for_more();
        if let Some(left) = left {
            // Enough for both, and not for both as one.
            let limit = usize::try_from(shared.budget.limit()).unwrap();
            others.try_charge((limit - left) / 2).unwrap();
        }
        let sent = || shared.way.counts().batches.items.read().count;
        let before = sent();
        let ended = timeout(HOUR, shared.finish(batch, went)).await.unwrap();
        assert!(ended.again.is_empty() && ended.refused.is_empty());
        assert_eq!(sent() - before, times);
    }
    assert_eq!(queue.load().size, 0);
}

/// It waits for nothing but the requests that have the memory.
#[tokio::test]
async fn what_finds_no_memory_beside_others_goes_when_they_are_gone() {
    const LEFT: usize = 300 << 10;
    let folder = tempfile::tempdir().unwrap();
    let wire = Wire::Faulty(Faulty::default());
    let queue = open(folder.path(), &in_pairs(0), wire, &exporter()).await;
    let shared = &queue.shared;
    for _ in 0..2 {
        let terms = of(&queue, "a", "x");
        let offered = queue.offer(Signal::Traces, request(), &terms);
        offered.await.unwrap();
    }
    let Turn { ones, went } = shared.waiting.next(true).await.unwrap();
    let mut others = shared.budget.lease_for_more();
    let limit = usize::try_from(shared.budget.limit()).unwrap();
    others.try_charge((limit - LEFT) / 2).unwrap();
    let ended = timeout(HOUR, shared.finish(ones, went)).await.unwrap();
    assert_eq!((ended.again.len(), ended.left.len()), (1, 0));
    assert_eq!(queue.load().size, 1);
}
