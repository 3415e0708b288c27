//! How large a request may be, and what one that is larger costs.

use std::io::Read as _;
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures::future::join_all;
use slimspan_proto::Signal;
use tonic::{Code, Status};

use crate::support::backend::Backend;
use crate::support::frames::{announcement, compress, frame};
use crate::support::http::{Form, post};
use crate::support::measured::{bound, measured};
use crate::support::sender::{Call, open_body, retry_after};
use crate::support::slimspan::Slimspan;
use crate::support::{config, otlp};

const MIB: usize = 1 << 20;

/// Senders repeat OUT_OF_RANGE for ever, and RESOURCE_EXHAUSTED where a RetryInfo comes with it.
fn assert_too_large(status: &Status) {
    assert_eq!(status.code(), Code::ResourceExhausted, "{status}");
    assert_eq!(retry_after(status), None, "{status}");
    assert!(
        status.message().contains("max_recv_msg_size_mib"),
        "{status}"
    );
}

/// A byte more than the limit is refused for good, before and after decompression.
#[tokio::test]
async fn the_limit_is_exact() {
    let backend = Backend::start().await;
    let mut config = config::standard(backend.address);
    config::limit_requests(&mut config, 1);
    let slimspan = Slimspan::start(&config).await;
    let sender = slimspan.sender().await;
    let (largest, too_large) = (otlp::sized_span(MIB), otlp::sized_span(MIB + 1));

    sender.send(Signal::Traces, &largest).await.unwrap();
    let refused = sender.send(Signal::Traces, &too_large).await;
    assert_too_large(&refused.unwrap_err());
    for compression in ["gzip", "zstd", "snappy"] {
        let answer = sender.send_compressed(&largest, compression).await;
        assert_eq!(answer.status().code(), Code::Ok, "{answer:?}");
        let answer = sender.send_compressed(&too_large, compression).await;
        assert_too_large(answer.status());
    }
    let received = backend.received();
    assert_eq!(received.len(), 4);
    assert!(received.iter().all(|one| one.message == largest));
    slimspan.stop_well().await;
}

/// Without a limit in the configuration it is 64 MiB.
#[tokio::test]
async fn the_default_limit_is_64_mib() {
    let backend = Backend::start().await;
    let mut config = config::standard(backend.address);
    config["exporters"]["otlp_grpc"]["compression"] = "none".into();
    let slimspan = Slimspan::start(&config).await;
    let sender = slimspan.sender().await;
    let largest = otlp::sized_span(64 * MIB);
    sender.send(Signal::Traces, &largest).await.unwrap();
    assert!(backend.only() == largest);
    let too_large = otlp::sized_span(64 * MIB + 1);
    let refused = sender.send(Signal::Traces, &too_large).await;
    assert_too_large(&refused.unwrap_err());
    slimspan.stop_well().await;
}

/// Who has little memory need not say how large requests may be: a quarter of it, where they do not.
#[tokio::test]
async fn with_little_memory_requests_are_smaller() {
    let backend = Backend::start().await;
    let mut config = config::with_http(backend.address);
    config["processors"]["memory_limiter"]["limit_mib"] = 128.into();
    config["exporters"]["otlp_grpc"]["compression"] = "none".into();
    let slimspan = Slimspan::start(&config).await;
    let sender = slimspan.sender().await;
    let largest = otlp::sized_span(32 * MIB);
    sender.send(Signal::Traces, &largest).await.unwrap();
    assert!(backend.only() == largest);
    let too_large = otlp::sized_span(40 * MIB);
    let refused = sender.send(Signal::Traces, &too_large).await;
    assert_too_large(&refused.unwrap_err());
    let gzip = compress("gzip", &too_large);
    let mut request = post(Signal::Traces, Form::Protobuf, Bytes::from(gzip));
    let encoding = "gzip".parse().unwrap();
    request.headers_mut().insert("content-encoding", encoding);
    let answer = slimspan.http_sender().await.request(request).await;
    assert_eq!(answer.status, 413, "{answer:?}");
    let told = answer.refusal(Form::Protobuf);
    assert!(told.message().contains("max_request_body_size"), "{told}");
    let ended = slimspan.stop().await;
    for told in [
        "receivers.otlp.protocols.grpc.max_recv_msg_size_mib: is 32, a quarter of",
        "receivers.otlp.protocols.http.max_request_body_size: is 32MiB, a quarter of",
    ] {
        assert!(ended.stderr.contains(told), "{}", ended.stderr);
    }
}

/// A request that says how large it will be need not come to be refused.
#[tokio::test]
async fn an_announcement_above_the_limit_is_refused_at_once() {
    let backend = Backend::start().await;
    let slimspan = Slimspan::start(&config::standard(backend.address)).await;
    let sender = slimspan.sender().await;
    let mut beginning = announcement(0, 64 * MIB + 1);
    beginning.extend_from_slice(&[1, 2, 3]);
    // The body stays open: the answer does not wait for its end.
    let (_open, body) = open_body(beginning.freeze());
    let answer = sender.call(Call::traces(body)).await;
    assert_too_large(answer.status());
    slimspan.stop_well().await;
}

/// How soon a bomb is refused: as soon as it has expanded to the limit, and not when all of it has.
pub(super) fn soon_refused() -> Duration {
    bound(Duration::from_millis(200), Duration::from_secs(10))
}

/// Compressed as far as it goes.
fn smallest(compression: &str, message: &[u8]) -> Vec<u8> {
    if compression != "gzip" {
        return compress(compression, message);
    }
    let mut gzip = flate2::read::GzEncoder::new(message, flate2::Compression::best());
    let mut compressed = Vec::new();
    gzip.read_to_end(&mut compressed).unwrap();
    compressed
}

/// A gibibyte in a mebibyte or less is refused where it passes the limit, soon and in the memory of the
/// limit and half as much: in one piece and in many.
#[tokio::test]
async fn a_bomb_is_refused_within_bounded_memory() {
    let backend = Backend::start().await;
    let zeros = vec![0; 128 * MIB];
    let (mut most, mut slowest) = (0, Duration::ZERO);
    for (compression, piece, pieces) in [
        ("gzip", 128 * MIB, 1),
        ("gzip", 16 * MIB, 64),
        ("zstd", 128 * MIB, 1),
        ("zstd", 16 * MIB, 64),
    ] {
        let bomb = smallest(compression, &zeros[..piece]).repeat(pieces);
        let slimspan = Slimspan::start(&config::standard(backend.address)).await;
        let sender = slimspan.sender().await;
        let before = slimspan.peak_memory();
        let call = || Call::whole(frame(1, &bomb)).header("grpc-encoding", compression);
        for _ in 0..3 {
            let begun = Instant::now();
            let answer = sender.call(call()).await;
            let took = begun.elapsed();
            assert_too_large(answer.status());
            assert!(
                took < soon_refused(),
                "{compression}, {pieces} pieces: {took:?}"
            );
            slowest = slowest.max(took);
        }
        let grown = slimspan.peak_memory().saturating_sub(before);
        assert!(
            grown < 96 * MIB as u64,
            "{compression}: {} MiB",
            grown >> 20
        );
        most = most.max(grown);
        slimspan.stop_well().await;
    }
    measured(
        "P18",
        "program::limits, a bomb of 1 GiB",
        "refused within 200 ms and below 96 MiB: one and a half times the limit",
        format_args!(
            "{slowest:.0?} and {} MiB at most: gzip and zstd, in one piece and in 64",
            most >> 20
        ),
    );
    assert!(backend.received().is_empty());
}

/// As many as come at once, they take no more than all requests may take together.
#[tokio::test]
async fn many_bombs_stay_within_the_memory_of_all_requests() {
    const LIMIT: u64 = 256;
    let backend = Backend::start().await;
    let mut config = config::standard(backend.address);
    config["processors"]["memory_limiter"]["limit_mib"] = LIMIT.into();
    let slimspan = Slimspan::start(&config).await;
    let bomb = smallest("gzip", &vec![0; 16 * MIB]).repeat(64);
    let before = slimspan.peak_memory();
    let bombs = (0..32).map(async |_| {
        let sender = slimspan.sender().await;
        let call = Call::whole(frame(1, &bomb)).header("grpc-encoding", "gzip");
        let answer = sender.call(call).await;
        let status = answer.status();
        // It has no memory for all of them, and those that it has no memory for may come back.
        if status.code() == Code::Unavailable {
            assert!(retry_after(status).is_some(), "{status}");
        } else {
            assert_too_large(status);
        }
    });
    join_all(bombs).await;
    let grown = slimspan.peak_memory().saturating_sub(before);
    assert!(grown < LIMIT * MIB as u64, "{} MiB", grown >> 20);
    measured(
        "P18",
        "program::limits, 32 bombs at once",
        &format!("below {LIMIT} MiB, the limit of all requests"),
        format_args!("{} MiB", grown >> 20),
    );
    let sender = slimspan.sender().await;
    let span = otlp::plain_span(1);
    sender.send(Signal::Traces, &span).await.unwrap();
    assert_eq!(backend.only(), span);
    slimspan.stop_well().await;
}
