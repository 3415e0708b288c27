//! What becomes of spans that there is no room for.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::sync::Arc;
use std::sync::atomic::Ordering;

use http::HeaderMap;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use slimspan_proto::Signal;
use tokio::sync::mpsc;

use super::config::TracesConfig;
use super::{Span, SpanCounts, Tracer};
use crate::telemetry::ReceiverCounts;

fn tracer(room: usize) -> (Tracer, mpsc::Receiver<Span>, Arc<SpanCounts>) {
    let (outlet, spans) = mpsc::channel(room);
    let counts = Arc::new(SpanCounts::default());
    let tracer = Tracer::new(&TracesConfig::default(), vec![outlet], Arc::clone(&counts));
    (tracer, spans, counts)
}

/// A request of very many tenants has as many stages: what is not told of them is a number in its own span.
#[tokio::test]
async fn stages_beyond_those_that_are_told_are_counted() {
    let (tracer, mut spans, counts) = tracer(1_000);
    let request = tracer.begin(
        &HeaderMap::new(),
        &ReceiverCounts::default(),
        Signal::Traces,
    );
    for number in 0..100 {
        request
            .trace()
            .stage(|| format!("stage {number}"))
            .ended(None);
    }
    // One that ends after the request is nobody's any more.
    let late = request.trace().stage(|| "late".to_owned());
    request.ended(None);
    drop(late);
    spans.close();
    let mut all = Vec::new();
    while let Some(span) = spans.recv().await {
        all.push(span);
    }
    let root = all.pop().unwrap();
    assert_eq!(all.len(), 64);
    assert!(all.iter().all(|stage| stage.parent_span_id == root.span_id));
    let untold = root
        .attributes
        .iter()
        .find(|attribute| attribute.key == "slimspan.stages.untold");
    let untold = untold.unwrap().value.clone().unwrap().value;
    assert_eq!(untold, Some(Value::IntValue(36)));
    assert_eq!(counts.dropped.load(Ordering::Relaxed), 0);
}

/// Spans that belong together go together or not at all, and each of them counts.
#[tokio::test]
async fn what_finds_no_room_is_counted_span_by_span() {
    let (tracer, mut spans, counts) = tracer(5);
    for _ in 0..3 {
        let request = tracer.begin(&HeaderMap::new(), &ReceiverCounts::default(), Signal::Logs);
        for _ in 0..2 {
            request.trace().stage(|| "stage".to_owned()).ended(None);
        }
        request.ended(None);
    }
    assert_eq!(counts.dropped.load(Ordering::Relaxed), 6);
    let mut left = 0;
    while spans.try_recv().is_ok() {
        left += 1;
    }
    assert_eq!(left, 3);
    drop(spans);
    drop(tracer.begin(&HeaderMap::new(), &ReceiverCounts::default(), Signal::Logs));
    assert_eq!(counts.dropped.load(Ordering::Relaxed), 7, "nobody is there");
}
