//! What may have left is in the catalog, whatever its sender was told, and whether it waits for that or not.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use slimspan_artifact::Location;
use slimspan_generators::wire::nested;
use tokio::task::JoinHandle;
use tokio::time::{pause, resume, sleep, timeout};

use super::*;
use crate::admission::Limits;
use crate::catalog::Recorder;
use crate::catalog::config::CatalogConfig;
use crate::config::{Delivery as When, OnStoreFailure};
use crate::exporters::faulty::{DOUBTED, Faulty, HELD, REFUSED};
use crate::exporters::otlp_grpc::config::OtlpGrpcConfig;
use crate::exporters::queue::Queue;
use crate::exporters::queue::config::QueueConfig;
use crate::exporters::{Delivery, Exporter, Way, Wire};
use crate::storage::{Store, StoreConfig};

const PATIENCE: Duration = Duration::from_secs(8);

/// A pipeline that takes files out, before an exporter with faults.
struct Rig {
    pipelines: Arc<Pipelines>,
    wire: Faulty,
    counters: Arc<Counters>,
}

impl Rig {
    fn new(batch: Option<BatchConfig>, queue: Option<&QueueConfig>) -> Self {
        let counters: Arc<Counters> = Arc::default();
        let budget = Budget::new(Limits {
            limit_mib: 512,
            spike_mib: 100,
        });
        let config = OtlpGrpcConfig::new("127.0.0.1:9".parse().unwrap());
        let wire = Faulty::default();
        let faulty = Wire::Faulty(wire.clone());
        let way = Way::new("otlp".to_owned(), faulty, None, config.delivery());
        let way = Arc::new(way);
        let queue = queue.map(|queue| {
            let (way, counters) = (Arc::clone(&way), Arc::clone(&counters));
            Queue::open(way, queue, None, budget.clone(), counters).unwrap()
        });
        let exporter = Exporter::Otlp(Box::new(Delivery::new(way, queue)));
        let store = Store::open(&StoreConfig::new("memory://")).unwrap();
        let catalog = CatalogConfig::default();
        let recorder = Recorder::open(&catalog, &store, counters.store("artifact_store"));
        let keeping = Keeping {
            store,
            delivery: When::Sync,
            on_failure: OnStoreFailure::Refuse,
            tenancy: None,
            recorder: Some(recorder),
        };
        let policy = Policy::new(8192, Location::Store("memory://x".to_owned()));
        let mut pipeline = Pipeline::new(
            "traces".parse().unwrap(),
            Some((policy, Fate::Kept(Box::new(keeping)))),
            vec![Destination::Exporter(Arc::new(exporter), Wanted::default())],
            budget.clone(),
            Arc::clone(&counters),
        );
        if let Some(batch) = batch {
            pipeline = pipeline.with_batch(batch, Arc::default());
        }
        let entries = EntryLimit {
            most: 1000,
            key: "max_items".to_owned(),
        };
        let mut pipelines = Pipelines::new(entries, budget, Arc::clone(&counters));
        pipelines.add(Arc::new(pipeline));
        Self {
            pipelines: Arc::new(pipelines),
            wire,
            counters,
        }
    }

    /// Sends a span with this name and a file.
    fn send(&self, name: &str) -> JoinHandle<Result<Answer, Refusal>> {
        let file = nested(&[2, 7], vec![7; 20_000]);
        let attribute = [nested(&[1], b"file"), file].concat();
        let span = [nested(&[5], name), nested(&[9], attribute)].concat();
        let request = Bytes::from(nested(&[1, 2, 2], span));
        let pipelines = Arc::clone(&self.pipelines);
        tokio::spawn(async move {
            let (client, deadline) = (Arc::new(Client::unknown()), Instant::now() + PATIENCE);
            let sent =
                pipelines.consume(Signal::Traces, request, client, deadline, Trace::default());
            sent.await
        })
    }

    /// Waits until the backend has so many requests that it does not answer yet.
    async fn held(&self, requests: u32) {
        let held = timeout(
            Duration::from_mins(1),
            self.wire.holds.acquire_many(requests),
        );
        held.await.unwrap().unwrap().forget();
    }

    /// How many entries were written down, and how many lost.
    fn written(&self) -> (u64, u64) {
        let counts = self.counters.store("artifact_store").catalog.read();
        (counts.recorded, counts.lost)
    }

    /// Waits until no batch has anything in memory any more.
    async fn is_over(&self) {
        let over = async {
            while self.pipelines.budget.in_flight() > 0 {
                sleep(Duration::from_millis(5)).await;
            }
        };
        timeout(Duration::from_mins(1), over).await.unwrap();
    }

    async fn has_written(&self, entries: u64) {
        let written = async {
            while self.written().0 < entries {
                sleep(Duration::from_millis(5)).await;
            }
        };
        timeout(Duration::from_mins(1), written).await.unwrap();
        assert_eq!(self.written(), (entries, 0));
    }
}

async fn goes_away(call: JoinHandle<Result<Answer, Refusal>>) {
    call.abort();
    assert!(call.await.unwrap_err().is_cancelled());
}

/// As a receiver drops a request whose stream was reset.
#[tokio::test]
async fn a_sender_that_goes_away_takes_no_entry_along() {
    let rig = Rig::new(None, None);
    let call = rig.send(HELD);
    rig.held(1).await;
    assert_eq!(rig.written(), (0, 0));
    goes_away(call).await;
    rig.has_written(1).await;
}

/// The batch goes without its senders, and what the backend says of it is what counts.
#[tokio::test]
async fn what_leaves_in_a_batch_is_written_down_when_its_senders_are_gone() {
    for (name, written) in [("", 2), (REFUSED, 0)] {
        let batch = BatchConfig {
            send_batch_size: 2,
            // All of them are joined, or the test would wait for that.
            timeout: Duration::from_hours(1),
            ..BatchConfig::default()
        };
        let rig = Rig::new(Some(batch), None);
        let calls = [1, 2].map(|number| rig.send(&format!("{HELD} {name} {number}")));
        rig.held(1).await;
        for call in calls {
            goes_away(call).await;
        }
        assert_eq!(rig.written(), (0, 0), "{name}");
        // A refused one is sent again, each request by itself.
        rig.wire.lets_go.add_permits(3);
        rig.is_over().await;
        rig.has_written(written).await;
    }
}

#[tokio::test]
async fn only_what_was_refused_without_doubt_is_not_written_down() {
    for (name, is_accepted, written) in
        [("sound", true, 1), (REFUSED, false, 0), (DOUBTED, false, 1)]
    {
        let rig = Rig::new(None, None);
        let outcome = rig.send(name).await.unwrap();
        assert_eq!(outcome.is_ok(), is_accepted, "{name}: {outcome:?}");
        assert_eq!(rig.written(), (written, 0), "{name}");
    }
}

/// What still waits in a queue goes out when its sender was told that it did not, or has gone away.
#[tokio::test]
async fn what_a_queue_sends_later_is_written_down() {
    let queue = QueueConfig {
        wait_for_result: true,
        ..QueueConfig::default()
    };
    let rig = Rig::new(None, Some(&queue));
    let call = rig.send(HELD);
    rig.held(1).await;
    // The clock jumps to the deadline as nothing else happens.
    pause();
    let refusal = call.await.unwrap().unwrap_err();
    resume();
    assert!(refusal.to_string().contains("still waits"), "{refusal}");
    assert_eq!(rig.written(), (1, 0));
    let call = rig.send(HELD);
    rig.held(1).await;
    goes_away(call).await;
    rig.has_written(2).await;
    // The queue tells of what became of it.
    for (name, written) in [(REFUSED, 2), (DOUBTED, 3), ("sound", 4)] {
        let outcome = rig.send(name).await.unwrap();
        assert_eq!(outcome.is_ok(), name == "sound", "{outcome:?}");
        assert_eq!(rig.written(), (written, 0), "{name}");
    }
}
