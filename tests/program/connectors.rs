//! Pipelines that a connector joins.

use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use prost::Message as _;
use serde_json::{Value, json};
use slimspan_proto::Signal;
use tonic::{Code, Status};

use crate::support::backend::Backend;
use crate::support::conservation::{Items, conserved_of};
use crate::support::pages::Metrics;
use crate::support::references::{files, restored};
use crate::support::sender::Sender;
use crate::support::slimspan::Slimspan;
use crate::support::{config, otlp};

/// What comes by the first receiver goes to the first backend, and on to where the second receiver leads: to the
/// second backend, which wants references of its own.
fn joined(one: &Backend, two: &Backend) -> Value {
    let mut config = config::standard(one.address);
    config["receivers"]["otlp/second"] = config["receivers"]["otlp"].clone();
    config["exporters"] = json!({
        "otlp_grpc/one": config::exporter(one.address),
        "otlp_grpc/two": config::exporter(two.address),
    });
    config["exporters"]["otlp_grpc/two"]["reference"] = json!("semconv");
    config["connectors"] = json!({ "forward": {} });
    config["processors"]["batch"] = json!({ "send_batch_size": 2, "timeout": "1m" });
    config["service"]["pipelines"] = json!({
        "traces/first": {
            "receivers": ["otlp"],
            "processors": ["memory_limiter", "artifact"],
            "exporters": ["otlp_grpc/one", "forward"],
        },
        "traces": {
            "receivers": ["forward", "otlp/second"],
            "processors": ["memory_limiter", "batch"],
            "exporters": ["otlp_grpc/two"],
        },
    });
    config::tell_metrics(&mut config);
    config
}

/// What is forwarded is joined with what comes by the receiver of that pipeline, in one batch; files are stored
/// once, each backend has its form of references, and every item has one end.
#[tokio::test]
async fn what_is_forwarded_goes_to_both_pipelines_and_is_joined_with_others() {
    let (one, two) = (Backend::start().await, Backend::start().await);
    let slimspan = Slimspan::start(&joined(&one, &two)).await;
    let [_, second] = slimspan.addresses[..] else {
        panic!("listening on {:?}", slimspan.addresses);
    };
    let (first, second) = (slimspan.sender().await, Sender::connect(second).await);
    let picture = otlp::photo(1, 100_000);
    let request = otlp::span([
        ("raw", otlp::bytes(&picture)),
        ("input", otlp::chat_with(&picture)),
    ]);
    let other = otlp::plain_span(2);
    // Neither goes to the second backend without the other one.
    let (sent, also_sent) = tokio::join!(
        first.send(Signal::Traces, &request),
        second.send(Signal::Traces, &other)
    );
    sent.unwrap();
    also_sent.unwrap();

    let (at_one, at_two) = (one.only(), two.only());
    let artifacts = slimspan.artifacts();
    assert_eq!(restored(Signal::Traces, &at_one, &artifacts), request);
    let both = restored(Signal::Traces, &at_two, &artifacts);
    let orders = [[&*request, &*other].concat(), [&*other, &*request].concat()];
    assert!(orders.iter().any(|order| *order == both));
    assert_eq!(files(&artifacts).len(), 1);
    // The same span, and not the same references.
    let slim = ExportTraceServiceRequest::decode(&*at_one).unwrap();
    let slim_too = ExportTraceServiceRequest::decode(&*at_two).unwrap();
    assert_eq!(slim_too.resource_spans.len(), 2);
    assert!(!slim_too.resource_spans.contains(&slim.resource_spans[0]));

    let metrics = Metrics::of(slimspan.page("telemetry")).await;
    let through = |pipeline: &str| {
        let labels = format!("pipeline=\"{pipeline}\"");
        let labels = [labels.as_str()];
        let incoming = metrics.count("slimspan_pipeline_incoming_items_total", &labels);
        let accepted = metrics.count("slimspan_pipeline_accepted_items_total", &labels);
        (incoming, accepted)
    };
    assert_eq!(
        (through("traces/first"), through("traces")),
        ((1, 1), (2, 2))
    );
    let processed = |processor: &str| {
        let labels = format!("processor=\"{processor}\"");
        let labels = [labels.as_str(), "otel_signal=\"traces\""];
        let incoming = metrics.count("otelcol_processor_incoming_items_total", &labels);
        let outgoing = metrics.count("otelcol_processor_outgoing_items_total", &labels);
        (incoming, outgoing)
    };
    let counts = ["memory_limiter", "artifact", "batch"].map(processed);
    assert_eq!(counts, [(3, 3), (1, 1), (2, 2)]);
    let ended = slimspan.stop().await;
    let items = Items {
        received: 2,
        delivered: 2,
        ..Items::default()
    };
    assert_eq!(conserved_of(Signal::Traces, &ended.stderr), items);
    assert!(
        ended.stderr.contains("artifacts stored 1,"),
        "{}",
        ended.stderr
    );
}

/// A sender is told OK when the exporters of all pipelines that its request reached are done.
#[tokio::test]
async fn what_a_pipeline_behind_a_connector_refuses_is_refused() {
    let one = Backend::start().await;
    let two = Backend::answering(|_| Err(Status::new(Code::InvalidArgument, "no"))).await;
    let mut config = joined(&one, &two);
    config["service"]["pipelines"]["traces"]["processors"] = json!([]);
    let slimspan = Slimspan::start(&config).await;
    let sender = slimspan.sender().await;
    let request = otlp::plain_span(1);
    let refused = sender.send(Signal::Traces, &request).await.unwrap_err();
    assert_eq!(refused.code(), Code::InvalidArgument);
    assert_eq!(one.only(), request);
    let ended = slimspan.stop().await;
    let items = Items {
        received: 1,
        refused: 1,
        ..Items::default()
    };
    assert_eq!(conserved_of(Signal::Traces, &ended.stderr), items);
}
