//! How much memory requests in flight may take together.

use bytes::Bytes;
use futures::StreamExt as _;
use futures::stream::FuturesUnordered;
use serde_json::json;
use slimspan_proto::Signal;
use tonic::Code;

use crate::support::backend::Backend;
use crate::support::frames::announcement;
use crate::support::measured::measured;
use crate::support::sender::{Call, Sender, open_body, retry_after};
use crate::support::slimspan::Slimspan;
use crate::support::{config, otlp, soon};

const MIB: usize = 1 << 20;

/// Many large requests at once: some are asked to come back, and memory stays where it was told.
#[tokio::test]
async fn requests_beyond_the_budget_are_asked_to_come_back() {
    const SENDERS: usize = 40;
    /// What requests in flight may take.
    const LIMIT: usize = 32 * MIB;
    /// What a connection may leave unread.
    const UNREAD: usize = 640 << 10;
    /// What comes with so many connections besides.
    const BESIDES: usize = 12 * MIB;
    let backend = Backend::start().await;
    let mut config = config::standard(backend.address);
    config::limit_requests(&mut config, 8);
    config["processors"]["memory_limiter"]["limit_mib"] = (LIMIT / MIB).into();
    let slimspan = Slimspan::start(&config).await;
    let before = slimspan.peak_memory();

    // Two of them take nearly the whole budget, and none of them ends by itself.
    let request = otlp::sized_span(7 * MIB);
    let mut open = Vec::new();
    let mut answers = FuturesUnordered::new();
    for _ in 0..SENDERS {
        let mut beginning = announcement(0, request.len());
        beginning.extend_from_slice(&request[..request.len() - 1]);
        let (more, body) = open_body(beginning.freeze());
        open.push(more);
        let sender = slimspan.sender().await;
        answers.push(async move { sender.call(Call::traces(body)).await });
    }
    for _ in 2..SENDERS {
        let answer = soon("a refusal", answers.next()).await.unwrap();
        let status = answer.status();
        assert_eq!(status.code(), Code::Unavailable, "{status}");
        assert!(
            status.message().contains("memory_limiter.limit_mib"),
            "{status}"
        );
        assert!(retry_after(status).is_some(), "{status}");
    }
    let grown = slimspan.peak_memory().saturating_sub(before);
    // A quarter of the 280 MiB that were sent.
    let most = LIMIT + SENDERS * UNREAD + BESIDES;
    assert!(grown < most as u64, "{} MiB", grown >> 20);
    measured(
        "P16",
        "program::memory, more than fits comes at once",
        "below 69 MiB: the limit of 32, 640 KiB that each of 40 connections leaves unread, and 12",
        format_args!(
            "{} MiB of 280 that were sent, all others asked to come back",
            grown >> 20
        ),
    );

    drop(open);
    while answers.next().await.is_some() {}
    let sender = slimspan.sender().await;
    sender.send(Signal::Traces, &request).await.unwrap();
    assert!(backend.only() == request);
    slimspan.stop_well().await;
}

/// What is the limit in percent of the memory that there is, and who is told that it is too much.
#[tokio::test]
async fn the_limit_may_be_a_part_of_the_memory_there_is() {
    let backend = Backend::start().await;
    let mut config = config::standard(backend.address);
    config["processors"]["memory_limiter"] = json!({ "limit_percentage": 100 });
    let mut slimspan = Slimspan::start(&config).await;
    // With what connections pin it is more than there is.
    slimspan.logs("lower memory_limiter.limit_mib").await;
    let ended = slimspan.stop().await;
    let told = |text: &str, after: &str| -> u64 {
        let (_, rest) = text.split_once(after).unwrap();
        rest.split(' ').next().unwrap().parse().unwrap()
    };
    let limit = told(&ended.stdout, "the process takes at most ");
    let memory = told(&ended.stderr, "there are ");
    // The rest of a mebibyte, and of a hundredth of a byte.
    assert!(
        (memory - 1..=memory).contains(&limit),
        "{limit} of {memory}"
    );

    config["processors"]["memory_limiter"] = json!({});
    config["receivers"]["otlp"]["protocols"]["grpc"]["max_connections"] = 1.into();
    let ended = Slimspan::start(&config).await.stop().await;
    assert!(!ended.stderr.contains("lower"), "{}", ended.stderr);
}

/// Who announces much and sends little takes nothing from others.
#[tokio::test]
async fn an_announcement_takes_no_memory() {
    let backend = Backend::start().await;
    let mut config = config::standard(backend.address);
    config["processors"]["memory_limiter"]["limit_mib"] = 256.into();
    let slimspan = Slimspan::start(&config).await;
    let sender = slimspan.sender().await;
    let before = slimspan.peak_memory();
    let mut open = Vec::new();
    let mut calls = Vec::new();
    for _ in 0..20 {
        let (more, call) = announce(&sender);
        open.push(more);
        calls.push(call);
    }
    // It comes after the announcements on the same connection.
    let request = otlp::sized_span(8 * MIB);
    sender.send(Signal::Traces, &request).await.unwrap();
    let grown = slimspan.peak_memory().saturating_sub(before);
    assert!(grown < 128 * MIB as u64, "{} MiB", grown >> 20);
    drop(open);
    for call in calls {
        let code = call.await.unwrap();
        assert_eq!(code, Code::InvalidArgument);
    }
    slimspan.stop_well().await;
}

type More = futures::channel::mpsc::UnboundedSender<Bytes>;

/// Announces 64 MiB and sends three bytes.
fn announce(sender: &Sender) -> (More, tokio::task::JoinHandle<Code>) {
    let mut beginning = announcement(0, 64 * MIB);
    beginning.extend_from_slice(&[1, 2, 3]);
    let (more, body) = open_body(beginning.freeze());
    let sender = sender.clone();
    let call = async move { sender.call(Call::traces(body)).await.status().code() };
    (more, tokio::spawn(call))
}
