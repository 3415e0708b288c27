//! How large a request may be, and what one that is larger costs.

use slimspan_proto::Signal;
use tonic::{Code, Status};

use crate::support::backend::Backend;
use crate::support::frames::{announcement, compress, frame};
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
    for compression in ["gzip", "zstd"] {
        let answer = sender.send_compressed(&largest, compression).await;
        assert_eq!(answer.status().code(), Code::Ok, "{answer:?}");
        let answer = sender.send_compressed(&too_large, compression).await;
        assert_too_large(answer.status());
    }
    let received = backend.received();
    assert_eq!(received.len(), 3);
    assert!(received.iter().all(|one| one.message == largest));
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
}

/// A gibibyte in a mebibyte is refused where it passes the limit, in a few times the memory of
/// the limit.
#[tokio::test]
async fn a_gzip_bomb_is_refused_within_bounded_memory() {
    let backend = Backend::start().await;
    let slimspan = Slimspan::start(&config::standard(backend.address)).await;
    let sender = slimspan.sender().await;
    let before = slimspan.peak_memory();
    // Members of a gzip file follow one another.
    let bomb = compress("gzip", &vec![0; 16 * MIB]).repeat(64);
    let call = || Call::whole(frame(1, &bomb)).header("grpc-encoding", "gzip");
    for _ in 0..3 {
        assert_too_large(sender.call(call()).await.status());
    }
    let grown = slimspan.peak_memory() - before;
    assert!(grown < 320 * MIB as u64, "{} MiB", grown >> 20);
    assert!(backend.received().is_empty());
}
