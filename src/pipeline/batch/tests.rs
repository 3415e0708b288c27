//! How often a batch is in memory.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::time::Duration;

use futures::future::ready;
use slimspan_generators::wire::nested;
use slimspan_proto::count;

use super::*;
use crate::admission::Limits;
use crate::exporters::otlp_grpc::config::OtlpGrpcConfig;
use crate::exporters::{Delivery, Exporter, Taker, Way, Wire};
use crate::pipeline::{Destination, Pipeline, Pipelines, Wanted};
use crate::sift::EntryLimit;
use crate::telemetry::Counters;

/// A backend that keeps the very bytes that it was given.
#[derive(Debug, Default)]
struct Keeps(Mutex<Vec<Bytes>>);

impl Taker for Keeps {
    fn take(
        &self,
        request: Bytes,
        _left: Option<Duration>,
    ) -> BoxFuture<'static, Result<Answer, Refusal>> {
        self.0.lock().unwrap().push(request);
        ready(Ok(Answer::success())).boxed()
    }
}

#[tokio::test]
async fn exporters_share_what_is_joined() {
    let counters: Arc<Counters> = Arc::default();
    let budget = Budget::new(Limits {
        limit_mib: 512,
        spike_mib: 100,
    });
    let config = OtlpGrpcConfig::new("127.0.0.1:9".parse().unwrap());
    let keeps: Arc<Keeps> = Arc::default();
    let exporter = |name: &str| {
        let backend: Arc<Keeps> = Arc::clone(&keeps);
        let wire = Wire::Taken(backend);
        let way = Way::new(name.to_owned(), wire, None, config.delivery());
        let exporter = Exporter::Otlp(Box::new(Delivery::new(Arc::new(way), None)));
        Destination::Exporter(Arc::new(exporter), Wanted::default())
    };
    let batch = BatchConfig {
        send_batch_size: 4,
        // All of them are joined, or the test would wait for that.
        timeout: Duration::from_hours(1),
        ..BatchConfig::default()
    };
    let pipeline = Pipeline::new(
        "traces".parse().unwrap(),
        None,
        ["first", "second", "third"].map(exporter).into(),
        budget.clone(),
        Arc::clone(&counters),
    );
    let entries = EntryLimit {
        most: 1000,
        key: "max_items".to_owned(),
    };
    let mut pipelines = Pipelines::new(entries, budget, counters);
    pipelines.add(Arc::new(pipeline.with_batch(batch, Arc::default())));
    let deadline = Instant::now() + Duration::from_mins(1);
    let sent = (0..4).map(|number| {
        let span = nested(&[1, 2, 2, 5], format!("span {number}"));
        let client = Arc::new(Client::unknown());
        let trace = Trace::default();
        pipelines.consume(Signal::Traces, Bytes::from(span), client, deadline, trace)
    });
    for told in join_all(sent).await {
        assert_eq!(told, Ok(Answer::success()));
    }
    // While they are all there, no two copies are at one place.
    let kept = keeps.0.lock().unwrap();
    assert_eq!(kept.len(), 3);
    for request in kept.iter() {
        assert_eq!(count(Signal::Traces, request), 4);
        assert_eq!(request.as_ptr(), kept[0].as_ptr());
    }
}
