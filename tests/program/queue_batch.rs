//! `sending_queue.batch`: what waits in a queue goes as one, and each request has an end of its own.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures::future::join_all;
use serde_json::{Value, json};
use slimspan::answer::Answer;
use slimspan::journal::Journal;
use slimspan_proto::{Signal, count};
use tokio::sync::Semaphore;
use tokio::time::timeout;
use tonic::{Code, Status};

use crate::support::backend::{Backend, Received};
use crate::support::frames::frame;
use crate::support::pages::Metrics;
use crate::support::queued::{self, dead_letters, home, send_all, start_in};
use crate::support::refusing::Refusing;
use crate::support::sender::{Call, Sender};
use crate::support::slimspan::{Ended, Slimspan};
use crate::support::{config, otlp, soon};

/// So long that only the size of a batch, half of the time of who waits, or a stop lets it go.
const LONG: &str = "1h";

/// A queue that joins what waits, in front of a backend that is asked again soon.
fn in_memory(backend: SocketAddr, batch: Value) -> Value {
    queued::in_memory(backend, joining(batch))
}

fn on_disk(backend: SocketAddr, batch: Value) -> Value {
    queued::on_disk(backend, joining(batch))
}

fn waiting(backend: SocketAddr, batch: Value) -> Value {
    let mut queue = joining(batch);
    queue["wait_for_result"] = json!(true);
    queued::in_memory(backend, queue)
}

fn joining(batch: Value) -> Value {
    let mut queue = json!({ "num_consumers": 1 });
    queue["batch"] = batch;
    queue
}

fn joined(numbers: std::ops::Range<u64>) -> Bytes {
    numbers.flat_map(otlp::plain_span).collect()
}

fn has(message: &[u8], number: u64) -> bool {
    let whole = otlp::plain_span(number);
    let mut windows = message.windows(whole.len());
    windows.any(|window| window == whole.as_ref())
}

fn spans(received: &[Received]) -> Vec<usize> {
    let messages = received.iter().map(|one| &one.message);
    messages
        .map(|message| count(Signal::Traces, message))
        .collect()
}

/// What became of the spans, at an end as an operator makes it.
fn ends(ended: &Ended) -> (u64, u64, u64) {
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    queued::ends(ended)
}

/// Waits for the only dead letter.
async fn dead_letter(slimspan: &Slimspan) -> Bytes {
    let kept = async {
        while dead_letters(slimspan.folder()).is_empty() {
            tokio::task::yield_now().await;
        }
    };
    soon("it is kept", kept).await;
    let [only] = <[_; 1]>::try_from(dead_letters(slimspan.folder())).unwrap();
    only
}

/// Twenty requests are one at the backend, in their order and with their bytes, and none goes before there
/// is enough.
#[tokio::test]
async fn what_waits_goes_as_one_when_there_is_enough_of_it() {
    for config in [on_disk, in_memory] {
        let backend = Backend::start().await;
        let batch = json!({ "min_size": 20, "flush_timeout": LONG });
        let mut config = config(backend.address, batch);
        config::tell_metrics(&mut config);
        let slimspan = Slimspan::start(&config).await;
        send_all(&slimspan, 0..19).await;
        let early = timeout(Duration::from_millis(300), backend.arrived(1));
        assert!(early.await.is_err());
        send_all(&slimspan, 19..20).await;
        backend.arrived(1).await;
        assert_eq!(backend.only(), joined(0..20));
        let metrics = Metrics::of(slimspan.page("telemetry")).await;
        let name = "otelcol_exporter_queue_batch_send_size_sum";
        let items = metrics.sum(name, &["exporter=\"otlp_grpc\""]);
        assert!((items - 20.0).abs() < 0.5, "{items}");
        assert_eq!(ends(&slimspan.stop().await), (20, 0, 0));
    }
}

/// What is alone goes when its time is over, and what is in memory at a stop does not wait for more.
#[tokio::test]
async fn time_and_a_stop_let_it_go_however_little_it_is() {
    for config in [on_disk, in_memory] {
        let backend = Backend::start().await;
        let batch = json!({ "min_size": 1000, "flush_timeout": "50ms" });
        let slimspan = Slimspan::start(&config(backend.address, batch)).await;
        send_all(&slimspan, 1..2).await;
        backend.arrived(1).await;
        assert_eq!(backend.only(), otlp::plain_span(1));
        assert_eq!(ends(&slimspan.stop().await), (1, 0, 0));
    }
    let backend = Backend::start().await;
    let batch = json!({ "min_size": 1000, "flush_timeout": LONG });
    let slimspan = Slimspan::start(&in_memory(backend.address, batch)).await;
    send_all(&slimspan, 0..3).await;
    assert_eq!(ends(&slimspan.stop().await), (3, 0, 0));
    assert_eq!(backend.only(), joined(0..3));
}

/// No more can come into a queue that is full, so that what is there goes.
#[tokio::test]
async fn a_full_queue_waits_for_no_more() {
    for config in [on_disk, in_memory] {
        let backend = Backend::start().await;
        let batch = json!({ "min_size": 1000, "flush_timeout": LONG });
        let mut config = config(backend.address, batch);
        config["exporters"]["otlp_grpc"]["sending_queue"]["queue_size"] = json!(3);
        let slimspan = Slimspan::start(&config).await;
        send_all(&slimspan, 0..3).await;
        let sender = slimspan.sender().await;
        let refused = sender.send(Signal::Traces, &otlp::plain_span(3)).await;
        assert_eq!(refused.unwrap_err().code(), Code::Unavailable);
        backend.arrived(1).await;
        assert_eq!(backend.only(), joined(0..3));
        assert_eq!(ends(&slimspan.stop().await), (3, 0, 0));
    }
}

/// By items and by bytes, and a request that alone has more goes in several.
#[tokio::test]
async fn a_batch_has_at_most_so_much() {
    let three = otlp::plain_span(1).len() * 3;
    let most = three + three / 6;
    for size in [
        json!({ "min_size": 3, "max_size": 3, "flush_timeout": LONG }),
        json!({ "min_size": three, "max_size": most, "sizer": "bytes", "flush_timeout": LONG }),
    ] {
        let gate = Arc::new(Semaphore::new(0));
        let backend = Backend::gated(&gate).await;
        let slimspan = Slimspan::start(&on_disk(backend.address, size)).await;
        // More than one batch waits while the only consumer has the first.
        send_all(&slimspan, 0..9).await;
        gate.add_permits(3);
        assert_eq!(spans(&backend.arrived(3).await), [3, 3, 3]);
        let seven = joined(0..7);
        let sender = slimspan.sender().await;
        sender.send(Signal::Traces, &seven).await.unwrap();
        gate.add_permits(100);
        let received = backend.arrived(6).await;
        let of_seven = spans(&received[3..]);
        assert!(of_seven.iter().all(|spans| *spans <= 3), "{of_seven:?}");
        assert_eq!(of_seven.iter().sum::<usize>(), 7);
        assert_eq!(ends(&slimspan.stop().await), (16, 0, 0));
    }
}

/// Acknowledged while the backend is away, killed twice, the second time in the middle of delivering:
/// everything arrives, and nothing comes again but what was under way.
#[tokio::test]
async fn what_is_on_disk_in_batches_survives_being_killed_twice() {
    const BATCH: usize = 4;
    let away = Refusing::start();
    let address = away.address;
    let batch = json!({ "min_size": BATCH, "max_size": BATCH, "flush_timeout": "10ms" });
    let mut config = on_disk(address, batch);
    config["exporters"]["otlp_grpc"]["sending_queue"]["num_consumers"] = json!(2);
    let folder = home();
    let slimspan = start_in(&folder, &config).await;
    send_all(&slimspan, 0..40).await;
    slimspan.kill().await;

    drop(away);
    let gate = Arc::new(Semaphore::new(3));
    let backend = Backend::gated_at(address, &gate).await;
    let slimspan = start_in(&folder, &config).await;
    let received = backend.arrived(5).await;
    assert_eq!(spans(&received), [BATCH; 5]);
    // What was delivered is struck off a moment later.
    let queue = folder.path().join("data/file_storage/exporter_otlp_grpc");
    let struck_off = async {
        while Journal::open_read_only(&queue).unwrap().entries().len() > 40 - 3 * BATCH {
            tokio::task::yield_now().await;
        }
    };
    soon("what was delivered is struck off", struck_off).await;
    slimspan.kill().await;

    gate.add_permits(1_000);
    let slimspan = start_in(&folder, &config).await;
    let until_all = async {
        loop {
            let received = backend.received();
            let arrived = |number| received.iter().any(|one| has(&one.message, number));
            if (0..40).all(arrived) {
                break;
            }
            backend.arrived(received.len() + 1).await;
        }
    };
    soon("everything arrives", until_all).await;
    let ended = slimspan.stop().await;
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    let all: usize = spans(&backend.received()).iter().sum();
    assert!(all <= 40 + 2 * BATCH, "{all}: no more than was under way");
}

/// Requests that go on with other headers never go together, not even after a kill.
#[tokio::test]
async fn only_requests_with_the_same_headers_go_together() {
    const TEAMS: [&str; 4] = ["a", "b", "c", "d"];
    let away = Refusing::start();
    let address = away.address;
    let batch = json!({
        "min_size": 2,
        "flush_timeout": LONG,
        "partition": { "metadata_keys": ["X-Team"] },
    });
    let mut config = on_disk(address, batch);
    config["receivers"]["otlp"]["protocols"]["grpc"]["include_metadata"] = json!(true);
    let headers = json!([{ "key": "x-scope-orgid", "from_context": "x-tenant" }]);
    config["extensions"]["headers_setter"] = json!({ "headers": headers });
    config["service"]["extensions"] = json!(["artifact_store", "headers_setter", "file_storage"]);
    config["exporters"]["otlp_grpc"]["auth"] = json!({ "authenticator": "headers_setter" });
    let folder = home();
    let slimspan = start_in(&folder, &config).await;
    let sender = slimspan.sender().await;
    // Of each, one of another team, which is not passed on.
    for number in 0..2 * TEAMS.len() {
        let tenant = TEAMS[number % TEAMS.len()];
        for team in ["x", "y"] {
            let number = number as u64 + if team == "x" { 0 } else { 100 };
            let call = Call::whole(frame(0, &otlp::plain_span(number)));
            let call = call.header("x-tenant", tenant).header("x-team", team);
            assert_eq!(sender.call(call).await.status().code(), Code::Ok);
        }
    }
    slimspan.kill().await;
    drop(away);
    let backend = Backend::start_at(address).await;
    let slimspan = start_in(&folder, &config).await;
    let received = backend.arrived(2 * TEAMS.len()).await;
    assert_eq!(spans(&received), [2; 2 * TEAMS.len()]);
    for (index, tenant) in TEAMS.iter().enumerate() {
        for of_team in [0, 100] {
            let numbers = [index, index + TEAMS.len()].map(|number| number as u64 + of_team);
            let is_it = |one: &&Received| has(&one.message, numbers[0]);
            let together = received.iter().find(is_it).unwrap();
            assert!(has(&together.message, numbers[1]), "{tenant}: {numbers:?}");
            assert_eq!(together.headers["x-scope-orgid"], *tenant);
        }
    }
    assert_eq!(ends(&slimspan.stop().await).1, 0);
}

/// What one request is refused for does not take the others of its batch along.
#[tokio::test]
async fn a_refusal_for_good_is_for_the_request_that_it_is_about() {
    const BAD: u64 = 5;
    for config in [on_disk, in_memory] {
        let backend = picky(BAD).await;
        let batch = json!({ "min_size": 8, "flush_timeout": LONG });
        let mut config = config(backend.address, batch);
        config::tell_metrics(&mut config);
        let slimspan = Slimspan::start(&config).await;
        send_all(&slimspan, 0..8).await;
        assert_eq!(dead_letter(&slimspan).await, otlp::plain_span(BAD));
        // The last half of what was refused.
        let others = async {
            while !backend
                .received()
                .iter()
                .any(|one| one.message == joined(6..8))
            {
                tokio::task::yield_now().await;
            }
        };
        soon("the others go", others).await;
        // Halves of them were refused before, and have not failed.
        assert_eq!(ended_spans(&slimspan, 8).await, (7, 1));
        assert_eq!(ends(&slimspan.stop().await), (7, 1, 0));
    }
    let backend = picky(BAD).await;
    let batch = json!({ "min_size": 8, "flush_timeout": LONG });
    let mut config = waiting(backend.address, batch);
    config::tell_metrics(&mut config);
    let slimspan = Slimspan::start(&config).await;
    let answers = send_at_once(&slimspan.sender().await, 8).await;
    assert_eq!(ended_spans(&slimspan, 8).await, (7, 1));
    for (number, answer) in (0..).zip(answers) {
        if number == BAD {
            assert_eq!(answer.unwrap_err().code(), Code::InvalidArgument);
        } else {
            answer.unwrap();
        }
    }
    assert_eq!(dead_letters(slimspan.folder()), <[Bytes; 0]>::default());
}

/// Of what the backend rejects nobody knows which items it is: the whole batch is kept, and as many are
/// counted, or told to those who wait.
#[tokio::test]
async fn a_partial_success_is_told_once() {
    for config in [on_disk, in_memory] {
        let backend = Backend::answering(|_| Ok(otlp::partial_success(3, "too old"))).await;
        let batch = json!({ "min_size": 4, "flush_timeout": LONG });
        let slimspan = Slimspan::start(&config(backend.address, batch)).await;
        send_all(&slimspan, 0..4).await;
        assert_eq!(dead_letter(&slimspan).await, joined(0..4));
        assert_eq!(ends(&slimspan.stop().await), (1, 3, 0));
        assert_eq!(backend.received().len(), 1);
    }
    let backend = Backend::answering(|_| Ok(otlp::partial_success(3, "too old"))).await;
    let batch = json!({ "min_size": 4, "flush_timeout": LONG });
    let slimspan = Slimspan::start(&waiting(backend.address, batch)).await;
    let answers = send_at_once(&slimspan.sender().await, 4).await;
    let answers = answers
        .into_iter()
        .map(|answer| Answer::from(answer.unwrap()));
    let rejected = answers.map(|answer| answer.rejected().unwrap_or(0));
    let mut rejected: Vec<_> = rejected.collect();
    rejected.sort_unstable();
    assert_eq!(rejected, [0, 1, 1, 1]);
    assert_eq!(backend.received().len(), 1);
}

/// What is refused for its size is divided as what comes alone, and each item counts as what became of it.
#[tokio::test]
async fn a_batch_that_is_too_large_for_the_backend_goes_in_parts() {
    let backend = Backend::answering(|received| {
        if received.message.len() > 100_000 {
            Err(Status::resource_exhausted("too large"))
        } else {
            Ok(Bytes::new())
        }
    })
    .await;
    let batch = json!({ "min_size": 9, "flush_timeout": LONG });
    let mut config = on_disk(backend.address, batch);
    config::tell_metrics(&mut config);
    let slimspan = Slimspan::start(&config).await;
    let sender = slimspan.sender().await;
    let (fits, never) = (otlp::sized_span(30_000), otlp::sized_span(150_000));
    for request in [&fits, &never].into_iter().chain([&fits; 7]) {
        sender.send(Signal::Traces, request).await.unwrap();
    }
    let all_taken = async {
        loop {
            let received = backend.received();
            let taken = received.iter().filter(|one| one.message.len() <= 100_000);
            let taken: usize = taken.map(|one| count(Signal::Traces, &one.message)).sum();
            if taken == 8 {
                break;
            }
            backend.arrived(received.len() + 1).await;
        }
    };
    soon("all of it is taken", all_taken).await;
    let kept = dead_letter(&slimspan).await;
    assert_eq!(count(Signal::Traces, &kept), 1);
    assert!(kept.len() > 100_000, "{}", kept.len());
    assert_eq!(ended_spans(&slimspan, 9).await, (8, 1));
    assert_eq!(ends(&slimspan.stop().await), (8, 1, 0));
}

/// A request of which an item goes apart waits for nobody, and takes nobody along.
#[tokio::test]
async fn what_goes_apart_is_not_joined() {
    let backend = Backend::start().await;
    let batch = json!({ "min_size": 1000, "flush_timeout": LONG });
    let slimspan = Slimspan::start(&in_memory(backend.address, batch)).await;
    send_all(&slimspan, 0..1).await;
    // A span whose name is not UTF-8.
    let odd = slimspan_generators::wire::nested(&[1, 2, 2, 5], b"\xff");
    let odd = Bytes::from([odd, otlp::plain_span(1).to_vec()].concat());
    let sender = slimspan.sender().await;
    sender.send(Signal::Traces, &odd).await.unwrap();
    assert_eq!(spans(&backend.arrived(2).await), [1, 1]);
    assert!(!has(&backend.received()[0].message, 0));
    assert!(!has(&backend.received()[1].message, 0));
    assert_eq!(ends(&slimspan.stop().await), (3, 0, 0));
}

/// How many spans the exporter has sent, and how many not in the end, when it has done with so many.
async fn ended_spans(slimspan: &Slimspan, all: u64) -> (u64, u64) {
    let ended = async {
        loop {
            let metrics = Metrics::of(slimspan.page("telemetry")).await;
            let (sent, failed) = metrics.spans_by("otlp_grpc");
            if sent + failed >= all {
                break (sent, failed);
            }
            tokio::task::yield_now().await;
        }
    };
    soon("the exporter has done with all of it", ended).await
}

/// A backend that takes no request with this span.
async fn picky(bad: u64) -> Backend {
    Backend::answering(move |received| {
        if has(&received.message, bad) {
            Err(Status::invalid_argument("a span of this request is odd"))
        } else {
            Ok(Bytes::new())
        }
    })
    .await
}

async fn send_at_once(sender: &Sender, spans: u64) -> Vec<Result<Bytes, Status>> {
    let requests: Vec<_> = (0..spans).map(otlp::plain_span).collect();
    let sent = requests.iter();
    join_all(sent.map(|one| sender.send(Signal::Traces, one))).await
}
