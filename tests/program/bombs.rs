//! A few KiB on the wire that are two million empty messages: refused before they cost anything.

use std::io::Read as _;
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures::future::join_all;
use slimspan_generators::wire::nested;
use slimspan_proto::Signal;
use tonic::Code;

use crate::support::backend::Backend;
use crate::support::frames::frame;
use crate::support::http::{Form, post};
use crate::support::measured::{bound, measured};
use crate::support::sender::{Call, retry_after};
use crate::support::slimspan::Slimspan;
use crate::support::{config, otlp};

const MIB: usize = 1 << 20;

/// The largest request.
const LIMIT: usize = 16 * MIB;

/// The size of each bomb.
const BOMB: usize = 4 * MIB;

/// Where empty messages, or texts, stand by the million. Decoders make a structure of each.
const REPEATED: [(Signal, &str, &[u8]); 24] = [
    (Signal::Traces, "resources", &[1]),
    (Signal::Traces, "scopes", &[1, 2]),
    (Signal::Traces, "spans", &[1, 2, 2]),
    (Signal::Traces, "attributes of a resource", &[1, 1, 1]),
    (Signal::Traces, "entities", &[1, 1, 3]),
    (Signal::Traces, "keys of an entity", &[1, 1, 3, 3]),
    (Signal::Traces, "attributes of a scope", &[1, 2, 1, 3]),
    (Signal::Traces, "attributes of a span", &[1, 2, 2, 9]),
    (Signal::Traces, "events", &[1, 2, 2, 11]),
    (Signal::Traces, "attributes of an event", &[1, 2, 2, 11, 3]),
    (Signal::Traces, "links", &[1, 2, 2, 13]),
    (Signal::Traces, "attributes of a link", &[1, 2, 2, 13, 4]),
    (Signal::Traces, "values of an array", &[1, 2, 2, 9, 2, 5, 1]),
    (Signal::Traces, "values of a list", &[1, 2, 2, 9, 2, 6, 1]),
    (Signal::Logs, "log records", &[1, 2, 2]),
    (Signal::Logs, "attributes of a log record", &[1, 2, 2, 6]),
    (Signal::Logs, "values in a body", &[1, 2, 2, 5, 5, 1]),
    (Signal::Metrics, "metrics", &[1, 2, 2]),
    (Signal::Metrics, "points", &[1, 2, 2, 5, 1]),
    (Signal::Metrics, "exemplars", &[1, 2, 2, 5, 1, 5]),
    (Signal::Metrics, "points of a sum", &[1, 2, 2, 7, 1]),
    (Signal::Metrics, "points of a histogram", &[1, 2, 2, 9, 1]),
    (Signal::Metrics, "points of a summary", &[1, 2, 2, 11, 1]),
    (Signal::Metrics, "quantiles", &[1, 2, 2, 11, 1, 6]),
];

/// Empty messages in the last of these fields, all in the ones before it.
fn bomb(path: &[u8]) -> Vec<u8> {
    let (last, around) = path.split_last().unwrap();
    nested(around, [last << 3 | 2, 0].repeat(BOMB / 2 - 32))
}

fn gzip(message: &[u8]) -> Vec<u8> {
    let mut gzip = flate2::read::GzEncoder::new(message, flate2::Compression::best());
    let mut compressed = Vec::new();
    gzip.read_to_end(&mut compressed).unwrap();
    compressed
}

fn call(signal: Signal, message: &[u8], coding: Option<&'static str>) -> Call {
    let flag = u8::from(coding.is_some());
    let call = Call::whole(frame(flag, message)).of(signal);
    match coding {
        Some(coding) => call.header("grpc-encoding", coding),
        None => call,
    }
}

async fn started(limit_mib: u64) -> (Slimspan, Backend) {
    let backend = Backend::start().await;
    let mut config = config::with_http(backend.address);
    config::limit_requests(&mut config, (LIMIT / MIB) as u64);
    config["processors"]["memory_limiter"]["limit_mib"] = limit_mib.into();
    (Slimspan::start(&config).await, backend)
}

/// Every repeated field, as it is and compressed to some KiB: each is refused for good within the time and
/// the memory that the row of the catalogue says.
#[tokio::test]
async fn empty_messages_by_the_million_are_refused_at_once_and_cost_nothing() {
    let (slimspan, backend) = started(512).await;
    let sender = slimspan.sender().await;
    // What a sound request of that size takes is not what this is about.
    let sound = otlp::sized_span(BOMB);
    for coding in [None, Some("gzip")] {
        let message = coding.map_or_else(|| sound.to_vec(), |_| gzip(&sound));
        let answer = sender.call(call(Signal::Traces, &message, coding)).await;
        assert_eq!(answer.status().code(), Code::Ok, "{answer:?}");
    }
    let received = backend.received().len();
    let (before, mut slowest) = (slimspan.peak_memory(), Duration::ZERO);
    for (signal, what, path) in REPEATED {
        let plain = bomb(path);
        let compressed = gzip(&plain);
        assert!(compressed.len() < 16 << 10, "{what}: {}", compressed.len());
        for (message, coding) in [(&plain, None), (&compressed, Some("gzip"))] {
            let call = call(signal, message, coding);
            let began = Instant::now();
            let answer = sender.call(call).await;
            slowest = slowest.max(began.elapsed());
            let status = answer.status();
            assert_eq!(status.code(), Code::ResourceExhausted, "{what}: {status}");
            assert_eq!(retry_after(status), None, "{what}: {status}");
            assert!(status.message().contains(".max_items"), "{what}: {status}");
        }
    }
    let grown = slimspan.peak_memory().saturating_sub(before);
    assert_eq!(backend.received().len(), received);
    let within = bound(Duration::from_millis(200), Duration::from_secs(10));
    assert!(slowest < within, "{slowest:?}");
    assert!(grown <= bound(3 * LIMIT / 2, 4 * LIMIT) as u64, "{grown}");
    measured(
        "P18",
        "program::bombs, empty messages",
        "each of the repeated fields refused within 200 ms, in 1.5 times the limit",
        format_args!(
            "{} fields, the slowest refused in {slowest:.0?}; {:.1} MiB more than a sound request, limit {} MiB",
            REPEATED.len(),
            grown as f64 / MIB as f64,
            LIMIT / MIB
        ),
    );
    slimspan.stop_well().await;
}

/// As JSON it is `{}`.
#[tokio::test]
async fn empty_objects_by_the_million_are_refused_at_once_and_cost_nothing() {
    let (slimspan, backend) = started(512).await;
    let sender = slimspan.http_sender().await;
    let before = slimspan.peak_memory();
    let spans = "{},".repeat(BOMB / 3);
    let text = format!(r#"{{"resourceSpans":[{{"scopeSpans":[{{"spans":[{spans}{{}}]}}]}}]}}"#);
    let request = post(Signal::Traces, Form::Json, Bytes::from(text));
    let began = Instant::now();
    let answer = sender.request(request).await;
    let took = began.elapsed();
    assert_eq!(answer.status, 413, "{answer:?}");
    assert_eq!(answer.retry_after(), None);
    assert!(answer.refusal(Form::Json).message().contains(".max_items"));
    assert_eq!(backend.received().len(), 0);
    let grown = slimspan.peak_memory().saturating_sub(before);
    let within = bound(Duration::from_millis(200), Duration::from_secs(10));
    assert!(took < within, "{took:?}");
    assert!(grown <= bound(3 * LIMIT / 2, 4 * LIMIT) as u64, "{grown}");
    measured(
        "P18",
        "program::bombs, empty objects",
        "refused within 200 ms, in 1.5 times the limit",
        format_args!(
            "refused in {took:.0?}; {:.1} MiB, limit {} MiB",
            grown as f64 / MIB as f64,
            LIMIT / MIB
        ),
    );
    drop(sender);
    slimspan.stop_well().await;
}

/// All at the same moment stay within what the process may take.
#[tokio::test]
async fn many_bombs_together_stay_within_the_limit_of_memory() {
    const MEMORY: u64 = 128;
    let (slimspan, _backend) = started(MEMORY).await;
    let bombs: Vec<_> = REPEATED
        .map(|(signal, _, path)| (signal, gzip(&bomb(path))))
        .into();
    let sent = bombs.iter().cycle().take(32).map(async |(signal, bomb)| {
        let sender = slimspan.sender().await;
        sender.call(call(*signal, bomb, Some("gzip"))).await
    });
    for answer in join_all(sent).await {
        let status = answer.status();
        let (is_refused, may_come_back) = (
            status.code() == Code::ResourceExhausted,
            status.code() == Code::Unavailable && retry_after(status).is_some(),
        );
        assert!(is_refused || may_come_back, "{status}");
    }
    let peak = slimspan.peak_memory();
    assert!(peak <= MEMORY << 20, "{} MiB", peak >> 20);
    measured(
        "P18",
        "program::bombs, 32 in parallel",
        format_args!("within {MEMORY} MiB").to_string().as_str(),
        format_args!("{} MiB", peak >> 20),
    );
    slimspan.stop_well().await;
}
