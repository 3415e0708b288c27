//! Metrics of slimspan that it sends to a backend.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::metrics::v1::{metric::Data, number_data_point::Value as Number};
use prost::Message as _;
use serde_json::{Value, json};
use slimspan_proto::Signal;
use tokio::net::TcpStream;
use tokio::sync::Semaphore;
use tokio::time::timeout;
use tonic::Status;

use crate::support::backend::{Backend, Received};
use crate::support::conservation::conserved_of;
use crate::support::pages::Metrics;
use crate::support::slimspan::Slimspan;
use crate::support::{config, otlp, soon};

const SPANS: &str = "otelcol_receiver_accepted_spans";

/// The standard configuration, with metrics to a backend for them so often, beside those that Prometheus reads.
fn with_metrics(backend: &Backend, metrics: &Backend, protocol: &str, interval: u32) -> Value {
    let mut config = config::standard(backend.address);
    config::tell_metrics(&mut config);
    let telemetry = &mut config["service"]["telemetry"];
    telemetry["resource"] = json!({ "service.name": "edge", "schema_url": "https://x.test/1.0" });
    telemetry["metrics"]["views"] = json!([{
        "selector": { "instrument_name": "otelcol_exporter_*" },
        "stream": { "aggregation": { "drop": {} } },
    }]);
    let readers = telemetry["metrics"]["readers"].as_array_mut().unwrap();
    readers.push(json!({ "periodic": {
        "interval": interval,
        "exporter": { "otlp": {
            "protocol": protocol,
            "endpoint": format!("http://{}", metrics.address),
            "headers": { "x-key": "secret" },
        } },
    } }));
    config
}

/// What the counter of this name says in a request; none if it is not there.
fn sum(request: &Received, name: &str) -> Option<i64> {
    assert_eq!(request.signal, Signal::Metrics);
    let decoded = ExportMetricsServiceRequest::decode(&*request.message).unwrap();
    let [resource] = decoded.resource_metrics.as_slice() else {
        panic!("{decoded:?}");
    };
    assert_eq!(resource.schema_url, "https://x.test/1.0");
    let shown = format!("{:?}", resource.resource);
    assert!(shown.contains("edge") && shown.contains("service.instance.id"));
    let scopes = resource.scope_metrics.iter();
    let mut metrics = scopes.flat_map(|scope| &scope.metrics);
    let metric = metrics.find(|metric| metric.name == name)?;
    let Some(Data::Sum(sum)) = &metric.data else {
        panic!("{metric:?}");
    };
    assert!(sum.is_monotonic && sum.aggregation_temporality == 2);
    let values = sum.data_points.iter().map(|point| match point.value {
        Some(Number::AsInt(value)) => value,
        ref other => panic!("{other:?}"),
    });
    Some(values.sum())
}

/// The first request that says so.
async fn said(backend: &Backend, name: &str, value: i64) -> Received {
    let mut seen = 0;
    loop {
        let requests = backend.arrived(seen + 1).await;
        let found = requests.iter().find(|one| sum(one, name) == Some(value));
        if let Some(found) = found {
            return found.clone();
        }
        seen = requests.len();
    }
}

/// Over both protocols; what was told is what is counted, and the telemetry itself is not counted as received.
#[tokio::test]
async fn a_backend_sees_what_was_accepted() {
    for protocol in ["grpc", "http/protobuf"] {
        let (backend, metrics) = (Backend::start().await, Backend::start().await);
        let config = with_metrics(&backend, &metrics, protocol, 20);
        let slimspan = Slimspan::start(&config).await;
        let sender = slimspan.sender().await;
        for number in 0..3 {
            let span = otlp::plain_span(number);
            sender.send(Signal::Traces, &span).await.unwrap();
        }
        let request = said(&metrics, SPANS, 3).await;
        assert_eq!(
            request.path == "/v1/metrics",
            protocol != "grpc",
            "{}",
            request.path
        );
        assert_eq!(request.headers["x-key"], "secret");
        // Nobody is to trace what carries metrics.
        let parent = request.headers["traceparent"].to_str().unwrap();
        assert!(parent.ends_with("-00"), "{parent}");
        let points = sum(&request, "otelcol_receiver_accepted_metric_points");
        assert_eq!(points, Some(0));
        assert_eq!(sum(&request, "otelcol_exporter_sent_spans"), None);
        // Prometheus is told the same, also of what is dropped.
        let read = Metrics::of(slimspan.page("telemetry")).await;
        assert_eq!(read.count("otelcol_receiver_accepted_spans_total", &[]), 3);
        assert!(!read.0.contains("otelcol_exporter_"), "{}", read.0);
        let ended = slimspan.stop().await;
        assert_eq!(conserved_of(Signal::Traces, &ended.stderr).received, 3);
        assert_eq!(conserved_of(Signal::Metrics, &ended.stderr).received, 0);
    }
}

/// At the end all is told that was counted, however long it is until the next time.
#[tokio::test]
async fn the_last_ones_are_sent_at_the_end() {
    let (backend, metrics) = (Backend::start().await, Backend::start().await);
    let config = with_metrics(&backend, &metrics, "grpc", 3_600_000);
    let slimspan = Slimspan::start(&config).await;
    let span = otlp::plain_span(1);
    slimspan
        .sender()
        .await
        .send(Signal::Traces, &span)
        .await
        .unwrap();
    assert_eq!(metrics.received().len(), 0);
    slimspan.stop_well().await;
    let requests = metrics.received();
    assert_eq!(requests.len(), 1);
    assert_eq!(sum(&requests[0], SPANS), Some(1));
}

/// They are sent behind the last delivery, which they tell of, too, however late it is.
#[tokio::test]
async fn the_last_ones_tell_of_the_last_delivery() {
    let gate = Arc::new(Semaphore::new(0));
    let (backend, metrics) = (Backend::gated(&gate).await, Backend::start().await);
    let mut config = with_metrics(&backend, &metrics, "grpc", 3_600_000);
    config["service"]["telemetry"]["metrics"]["views"] = json!([]);
    config["exporters"]["otlp_grpc"]["sending_queue"] = json!({});
    let slimspan = Slimspan::start(&config).await;
    let sender = slimspan.sender().await;
    let span = otlp::plain_span(1);
    sender.send(Signal::Traces, &span).await.unwrap();
    backend.arrived(1).await;
    slimspan.signal("TERM");
    let refused = async { while TcpStream::connect(slimspan.addresses[0]).await.is_ok() {} };
    soon("the listener closes", refused).await;
    let early = timeout(Duration::from_millis(300), metrics.arrived(1)).await;
    assert!(early.is_err(), "told before the last delivery");
    gate.add_permits(1);
    let ended = slimspan.end().await;
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    let requests = metrics.received();
    assert_eq!(requests.len(), 1);
    assert_eq!(sum(&requests[0], "otelcol_exporter_sent_spans"), Some(1));
}

/// A backend that takes none of them costs no request, and a line in the log until it takes them again.
#[tokio::test]
async fn a_backend_that_is_away_is_told_once() {
    let backend = Backend::start().await;
    let is_away = Arc::new(AtomicBool::new(true));
    let away = Arc::clone(&is_away);
    let metrics = Backend::answering(move |_| {
        if away.load(Ordering::Relaxed) {
            return Err(Status::invalid_argument("no"));
        }
        Ok(bytes::Bytes::new())
    })
    .await;
    let config = with_metrics(&backend, &metrics, "grpc", 10);
    let mut slimspan = Slimspan::start(&config).await;
    metrics.arrived(5).await;
    let span = otlp::plain_span(1);
    slimspan
        .sender()
        .await
        .send(Signal::Traces, &span)
        .await
        .unwrap();
    is_away.store(false, Ordering::Relaxed);
    slimspan.logs("own metrics are taken again").await;
    said(&metrics, SPANS, 1).await;
    let log = slimspan.stop().await.stderr;
    assert_eq!(log.matches("own metrics are not taken").count(), 1, "{log}");
}
