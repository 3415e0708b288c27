//! The `batch` processor: requests of several senders go on as one, and each sender learns what became
//! of its own.

use std::time::Duration;

use bytes::Bytes;
use futures::future::join_all;
use serde_json::{Value, json};
use slimspan::answer::Answer;
use slimspan_proto::{Signal, count};
use tokio::time::timeout;
use tonic::{Code, Status};

use crate::support::backend::{Backend, Received};
use crate::support::pages::Metrics;
use crate::support::references::restored;
use crate::support::sender::{Call, Sender, retry_after};
use crate::support::slimspan::Slimspan;
use crate::support::{config, frames, otlp, soon};

fn with_batch(backend: &Backend, batch: Value) -> Value {
    let mut config = config::standard(backend.address);
    config["processors"]["batch"] = batch;
    for signal in ["traces", "logs"] {
        config["service"]["pipelines"][signal]["processors"] =
            json!(["memory_limiter", "artifact", "batch"]);
    }
    config
}

/// The same where the credentials of senders tell their requests apart, and are passed on.
fn by_credential(backend: &Backend, mut batch: Value) -> Value {
    batch["metadata_keys"] = json!(["Authorization"]);
    let mut config = with_batch(backend, batch);
    config["receivers"]["otlp"]["protocols"]["grpc"]["include_metadata"] = json!(true);
    let headers = json!([{ "key": "authorization", "from_context": "authorization" }]);
    config["extensions"]["headers_setter"] = json!({ "headers": headers });
    config["service"]["extensions"] = json!(["artifact_store", "headers_setter"]);
    config["exporters"]["otlp_grpc"]["auth"] = json!({ "authenticator": "headers_setter" });
    config
}

async fn send_as(sender: &Sender, credential: &str, request: &Bytes) -> Status {
    let call = Call::whole(frames::frame(0, request)).header("authorization", credential);
    sender.call(call).await.status().clone()
}

/// Senders with a credential of their own each.
const CREDENTIALS: u64 = 8;

/// Long enough that only the size ends a batch, and below half of a sender's patience.
const LONG: &str = "4s";

fn spans(received: &Received) -> usize {
    count(Signal::Traces, &received.message)
}

#[tokio::test]
async fn requests_are_joined_and_answered_together() {
    let backend = Backend::start().await;
    let batch = json!({ "send_batch_size": 4, "timeout": LONG });
    let slimspan = Slimspan::start(&with_batch(&backend, batch)).await;
    let sender = slimspan.sender().await;
    let requests = [
        otlp::plain_span(1),
        otlp::span_with(otlp::PICTURE),
        otlp::plain_span(2),
    ];
    let first = join_all(requests.iter().map(|one| sender.send(Signal::Traces, one)));
    let last = otlp::plain_span(3);
    let last = async {
        // The others wait for it: nothing is acknowledged that is still to be sent.
        let early = timeout(Duration::from_millis(300), backend.arrived(1));
        assert!(early.await.is_err());
        sender.send(Signal::Traces, &last).await
    };
    let (first, last) = futures::join!(first, last);
    for answer in first.into_iter().chain([last]) {
        assert_eq!(answer.unwrap(), Bytes::new());
    }
    let joined = backend.only();
    assert_eq!(count(Signal::Traces, &joined), 4);
    let restored = restored(Signal::Traces, &joined, &slimspan.artifacts());
    for request in &requests {
        let whole = request.as_ref();
        assert!(restored.windows(whole.len()).any(|part| part == whole));
    }
    slimspan.stop_well().await;
}

/// Requests of one credential go together, and leave with it; those of another one do not go with them.
#[tokio::test]
async fn only_requests_with_the_same_metadata_are_joined() {
    let backend = Backend::start().await;
    let batch = json!({ "send_batch_size": 2, "timeout": LONG });
    let slimspan = Slimspan::start(&by_credential(&backend, batch)).await;
    let sender = slimspan.sender().await;
    // So many that they cannot be joined rightly by chance.
    let requests: Vec<_> = (0..2 * CREDENTIALS).map(otlp::plain_span).collect();
    let credentials: Vec<_> = (0..CREDENTIALS).map(|of| format!("Bearer {of}")).collect();
    let sent = requests.iter().zip(credentials.iter().cycle());
    let sent = sent.map(|(request, credential)| send_as(&sender, credential, request));
    for status in join_all(sent).await {
        assert_eq!(status.code(), Code::Ok, "{status}");
    }
    let received = backend.received();
    assert_eq!(received.len(), credentials.len());
    for (number, credential) in credentials.iter().enumerate() {
        let numbers = [number, number + credentials.len()];
        let is_its = |one: &&Received| {
            let passed_on = one.headers.get("authorization");
            passed_on.is_some_and(|value| value == credential.as_str())
        };
        let of_credential = received.iter().find(is_its);
        let joined = of_credential.unwrap_or_else(|| panic!("{credential}: {received:?}"));
        assert_eq!(spans(joined), 2, "{credential}");
        for number in numbers {
            let whole = requests[number].as_ref();
            let is_in = joined
                .message
                .windows(whole.len())
                .any(|part| part == whole);
            assert!(is_in, "{credential}: {number}");
        }
    }
    slimspan.stop_well().await;
}

/// One combination more than may wait is asked to come back, and may when there is room again; those that
/// wait already do not notice.
#[tokio::test]
async fn so_many_combinations_of_metadata_wait_and_no_more() {
    let backend = Backend::start().await;
    // All of them wait for half of their senders' time.
    let batch = json!({ "send_batch_size": 2, "timeout": "1h", "metadata_cardinality_limit": 1 });
    let mut config = by_credential(&backend, batch);
    config::tell_metrics(&mut config);
    let slimspan = Slimspan::start(&config).await;
    let sender = slimspan.sender().await;
    let requests: Vec<_> = (0..5).map(otlp::plain_span).collect();
    let first = send_as(&sender, "Bearer a", &requests[0]);
    let others = async {
        let waits = async {
            let name = "otelcol_processor_batch_metadata_cardinality";
            let metrics = async || Metrics::of(slimspan.page("telemetry")).await;
            while metrics().await.count(name, &[]) == 0 {
                tokio::task::yield_now().await;
            }
        };
        soon("the first one waits for others", waits).await;
        let refused = send_as(&sender, "Bearer b", &requests[1]).await;
        (refused, send_as(&sender, "Bearer a", &requests[2]).await)
    };
    let (first, (refused, joined)) = futures::join!(first, others);
    assert_eq!(refused.code(), Code::Unavailable, "{refused}");
    let key = "batch.metadata_cardinality_limit";
    assert!(refused.message().contains(key), "{refused}");
    assert!(retry_after(&refused).is_some(), "{refused}");
    for status in [first, joined] {
        assert_eq!(status.code(), Code::Ok, "{status}");
    }
    assert_eq!(count(Signal::Traces, &backend.only()), 2);
    let again = requests[3..].iter();
    let again = again.map(|request| send_as(&sender, "Bearer b", request));
    for status in join_all(again).await {
        assert_eq!(status.code(), Code::Ok, "{status}");
    }
    assert_eq!(backend.received().len(), 2);
    slimspan.stop_well().await;
}

#[tokio::test]
async fn time_ends_a_batch_as_well() {
    let backend = Backend::start().await;
    let batch = json!({ "timeout": "50ms" });
    let slimspan = Slimspan::start(&with_batch(&backend, batch)).await;
    let sender = slimspan.sender().await;
    let request = otlp::plain_span(1);
    sender.send(Signal::Traces, &request).await.unwrap();
    assert_eq!(backend.only(), request);
    slimspan.stop_well().await;
    // Half of a sender's time is enough to wait for others.
    let slow = json!({ "timeout": "1h" });
    let slimspan = Slimspan::start(&with_batch(&backend, slow)).await;
    let call = Call::whole(frames::frame(0, &request)).header("grpc-timeout", "4S");
    let answer = slimspan.sender().await.call(call).await;
    assert_eq!(answer.status().code(), Code::Ok);
    assert_eq!(backend.received().len(), 2);
    slimspan.stop_well().await;
}

/// As in the Collector: what need not be larger goes at once, and so does what may not wait. Only the largest
/// batch is another matter.
#[tokio::test]
async fn without_a_size_or_a_time_nothing_waits() {
    let seven = Bytes::from((0..7).flat_map(otlp::plain_span).collect::<Vec<u8>>());
    for (batch, sizes) in [
        (json!({ "send_batch_size": 0, "timeout": "1h" }), &[7][..]),
        (
            json!({ "send_batch_size": 0, "timeout": "1h", "send_batch_max_size": 3 }),
            &[1, 3, 3],
        ),
        (json!({ "send_batch_size": 100, "timeout": "0s" }), &[7]),
        (
            json!({ "send_batch_size": 4, "timeout": "0s", "send_batch_max_size": 4 }),
            &[3, 4],
        ),
    ] {
        let backend = Backend::start().await;
        let mut config = with_batch(&backend, batch.clone());
        config::tell_metrics(&mut config);
        let slimspan = Slimspan::start(&config).await;
        let sender = slimspan.sender().await;
        sender.send(Signal::Traces, &seven).await.unwrap();
        let mut sent: Vec<_> = backend.received().iter().map(spans).collect();
        sent.sort_unstable();
        assert_eq!(sent, sizes, "{batch}");
        // It was not the time that ended the wait.
        let metrics = Metrics::of(slimspan.page("telemetry")).await;
        let count = |why: &str| {
            let name = format!("otelcol_processor_batch_{why}_trigger_send_total");
            metrics.count(&name, &["processor=\"batch\""])
        };
        assert_eq!((count("batch_size"), count("timeout")), (1, 0), "{batch}");
        slimspan.stop_well().await;
    }
}

#[tokio::test]
async fn a_batch_has_at_most_so_many_items() {
    let backend = Backend::start().await;
    let batch = json!({ "send_batch_size": 3, "send_batch_max_size": 3, "timeout": LONG });
    let slimspan = Slimspan::start(&with_batch(&backend, batch)).await;
    let sender = slimspan.sender().await;
    let seven = Bytes::from((0..7).flat_map(otlp::plain_span).collect::<Vec<u8>>());
    sender.send(Signal::Traces, &seven).await.unwrap();
    let mut sizes: Vec<_> = backend.received().iter().map(spans).collect();
    sizes.sort_unstable();
    assert_eq!(sizes, [1, 3, 3]);
    slimspan.stop_well().await;
}

/// What one sender's request is refused for does not take another's along, also where it is sent by a queue whose
/// answer is waited for; and each counts once, as what became of it.
#[tokio::test]
async fn a_refusal_for_good_is_for_the_request_that_it_is_about() {
    const BAD: u64 = 5;
    for waits in [false, true] {
        let bad = otlp::plain_span(BAD);
        let backend = Backend::answering(move |received| {
            let mut windows = received.message.windows(bad.len());
            if windows.any(|part| part == bad.as_ref()) {
                Err(Status::invalid_argument("a span of this batch is odd"))
            } else {
                Ok(Bytes::new())
            }
        })
        .await;
        let batch = json!({ "send_batch_size": 8, "timeout": LONG });
        let mut config = with_batch(&backend, batch);
        let other = Backend::start().await;
        config["exporters"]["otlp_grpc/other"] = config::exporter(other.address);
        config["service"]["pipelines"]["traces"]["exporters"] =
            json!(["otlp_grpc", "otlp_grpc/other"]);
        if waits {
            config["exporters"]["otlp_grpc"]["sending_queue"] = json!({ "wait_for_result": true });
        }
        config::tell_metrics(&mut config);
        let slimspan = Slimspan::start(&config).await;
        let sender = slimspan.sender().await;
        let requests: Vec<_> = (0..8).map(otlp::plain_span).collect();
        let answers = requests.iter().map(|one| sender.send(Signal::Traces, one));
        for (number, answer) in (0..).zip(join_all(answers).await) {
            if number == BAD {
                assert_eq!(answer.unwrap_err().code(), Code::InvalidArgument);
            } else {
                answer.unwrap();
            }
        }
        assert_eq!(count(Signal::Traces, &other.only()), 8, "it has all, once");
        let metrics = Metrics::of(slimspan.page("telemetry")).await;
        assert_eq!(metrics.spans_by("otlp_grpc"), (7, 1), "{waits}");
        assert_eq!(metrics.spans_by("otlp_grpc/other"), (8, 0), "{waits}");
        let told = slimspan.stop().await.stderr;
        assert!(
            told.contains("traces: received 8 = delivered 7 + rejected 0 + refused 1 + queued 0"),
            "{told}"
        );
    }
}

#[tokio::test]
async fn a_partial_success_is_told_once() {
    let backend = Backend::answering(|_| Ok(otlp::partial_success(3, "too old"))).await;
    let batch = json!({ "send_batch_size": 4, "timeout": LONG });
    let slimspan = Slimspan::start(&with_batch(&backend, batch)).await;
    let sender = slimspan.sender().await;
    let two = |number| Bytes::from([otlp::plain_span(number), otlp::plain_span(9)].concat());
    let requests = [two(1), two(2)];
    let answers = join_all(requests.iter().map(|one| sender.send(Signal::Traces, one))).await;
    let mut rejected = Vec::new();
    for answer in answers {
        let answer = Answer::from(answer.unwrap());
        assert!(answer.message().contains("too old"), "{}", answer.message());
        rejected.extend(answer.rejected());
    }
    rejected.sort_unstable();
    assert_eq!(rejected, [1, 2]);
    let told = slimspan.stop().await.stderr;
    assert!(
        told.contains("traces: received 4 = delivered 1 + rejected 3 + refused 0 + queued 0"),
        "{told}"
    );
}

/// A backend that is broken is not asked again for each of them.
#[tokio::test]
async fn a_refusal_that_is_about_no_request_is_for_all() {
    let backend = Backend::answering(|_| Err(Status::internal("broken"))).await;
    let batch = json!({ "send_batch_size": 8, "timeout": LONG });
    let slimspan = Slimspan::start(&with_batch(&backend, batch)).await;
    let sender = slimspan.sender().await;
    let requests: Vec<_> = (0..8).map(otlp::plain_span).collect();
    let answers = join_all(requests.iter().map(|one| sender.send(Signal::Traces, one))).await;
    for answer in answers {
        assert_eq!(answer.unwrap_err().code(), Code::Internal);
    }
    assert_eq!(backend.received().len(), 1);
    slimspan.stop_well().await;
}

/// Where a request is too large for a batch, what is wrong with a part of it is not for the rest.
#[tokio::test]
async fn a_piece_that_is_refused_does_not_take_the_others_along() {
    let bad = otlp::plain_span(2);
    let backend = Backend::answering(move |received| {
        let message = &received.message;
        if message.windows(bad.len()).any(|part| part == bad.as_ref()) {
            Err(Status::invalid_argument("odd"))
        } else {
            Ok(Bytes::new())
        }
    })
    .await;
    let batch = json!({ "send_batch_size": 2, "send_batch_max_size": 2, "timeout": LONG });
    let slimspan = Slimspan::start(&with_batch(&backend, batch)).await;
    let sender = slimspan.sender().await;
    let six = Bytes::from((0..6).flat_map(otlp::plain_span).collect::<Vec<u8>>());
    let answer = Answer::from(sender.send(Signal::Traces, &six).await.unwrap());
    assert_eq!(answer.rejected(), Some(2), "{}", answer.message());
    assert_eq!(backend.received().len(), 3);
    slimspan.stop_well().await;
}

/// A batch in a queue counts as queued for each of its senders until the backend has it.
#[tokio::test]
async fn a_batch_may_go_through_a_queue() {
    let backend = Backend::start().await;
    let batch = json!({ "send_batch_size": 3, "timeout": LONG });
    let mut config = with_batch(&backend, batch);
    config["exporters"]["otlp_grpc"]["sending_queue"] = json!({ "enabled": true });
    let slimspan = Slimspan::start(&config).await;
    let sender = slimspan.sender().await;
    let requests: Vec<_> = (0..3).map(otlp::plain_span).collect();
    let answers = join_all(requests.iter().map(|one| sender.send(Signal::Traces, one))).await;
    assert!(answers.into_iter().all(|answer| answer.is_ok()));
    assert_eq!(spans(&backend.arrived(1).await[0]), 3);
    let told = slimspan.stop().await.stderr;
    assert!(
        told.contains("traces: received 3 = delivered 3 + rejected 0 + refused 0 + queued 0"),
        "{told}"
    );
}

/// A request of which an item goes apart is joined with no other.
#[tokio::test]
async fn what_goes_apart_is_not_joined() {
    let backend = Backend::start().await;
    let batch = json!({ "send_batch_size": 100, "timeout": LONG });
    let slimspan = Slimspan::start(&with_batch(&backend, batch)).await;
    let sender = slimspan.sender().await;
    // A span whose name is not UTF-8.
    let odd = slimspan_generators::wire::nested(&[1, 2, 2, 5], b"\xff");
    let odd = Bytes::from([odd, otlp::plain_span(1).to_vec()].concat());
    sender.send(Signal::Traces, &odd).await.unwrap();
    assert_eq!(backend.received().len(), 2);
    slimspan.stop_well().await;
}

/// What is joined, and why it went, is told as the Collector tells it.
#[tokio::test]
async fn batches_are_counted() {
    let backend = Backend::start().await;
    let batch = json!({ "send_batch_size": 3, "timeout": LONG });
    let mut config = with_batch(&backend, batch);
    let exporter = json!({ "prometheus": { "port": 0 } });
    config["service"]["telemetry"]["metrics"] = json!({
        "level": "detailed",
        "readers": [{ "pull": { "exporter": exporter } }],
    });
    let slimspan = Slimspan::start(&config).await;
    let sender = slimspan.sender().await;
    let requests: Vec<_> = (0..4).map(otlp::plain_span).collect();
    // Three fill a batch, and the last one waits in vain for others.
    let sent = requests.iter().map(|one| sender.send(Signal::Traces, one));
    for answer in join_all(sent).await {
        answer.unwrap();
    }
    let metrics = Metrics::of(slimspan.page("telemetry")).await;
    let of = ["processor=\"batch\""];
    let name = |name: &str| format!("otelcol_processor_batch_{name}");
    let count = |of_batch: &str| metrics.count(&name(of_batch), &of);
    assert_eq!(count("batch_size_trigger_send_total"), 1);
    assert_eq!(count("timeout_trigger_send_total"), 1);
    assert_eq!(count("metadata_cardinality"), 0);
    assert_eq!(count("batch_send_size_count"), 2);
    assert!((metrics.sum(&name("batch_send_size_sum"), &of) - 4.0).abs() < 0.5);
    let bytes: usize = backend.received().iter().map(|one| one.message.len()).sum();
    let told = metrics.sum(&name("batch_send_size_bytes_sum"), &of);
    assert!((told - bytes as f64).abs() < 0.5, "{told} {bytes}");
    // And what goes through the pipeline, and how long it took.
    let pipeline = ["pipeline=\"traces\""];
    for fate in ["incoming", "accepted"] {
        let name = format!("slimspan_pipeline_{fate}_items_total");
        assert_eq!(metrics.count(&name, &pipeline), 4, "{fate}");
    }
    let by = ["receiver=\"otlp\"", "transport=\"grpc\""];
    let name = "slimspan_receiver_request_duration_seconds_count";
    assert_eq!(metrics.count(name, &by), 4);
    slimspan.stop_well().await;
}
