//! From the start to the end.

use std::sync::Arc;
use std::time::Duration;

use serde_json::json;
use slimspan_artifact::Digest;
use slimspan_proto::Signal;
use tokio::io::AsyncReadExt as _;
use tokio::net::TcpStream;
use tokio::sync::Semaphore;

use crate::support::backend::Backend;
use crate::support::conservation::conserved_of;
use crate::support::http::{Form, HttpSender};
use crate::support::references::{path_in, references, restored};
use crate::support::slimspan::Slimspan;
use crate::support::{config, otlp, soon};

/// Without gRPC beside it, at paths of its own: the backend gets references, and the folder the files.
#[tokio::test]
async fn pictures_come_by_http_alone() {
    let backend = Backend::start().await;
    let mut config = config::standard(backend.address);
    config::http_only(&mut config);
    config["receivers"]["otlp"]["protocols"]["http"]["traces_url_path"] = json!("/otlp/t");
    let slimspan = Slimspan::start(&config).await;
    assert!(slimspan.addresses.is_empty());
    let request = otlp::span_with(otlp::PICTURE);
    for sender in [
        slimspan.http_sender().await,
        HttpSender::http2(slimspan.http_addresses[0]).await,
    ] {
        let mut post = crate::support::http::post(Signal::Traces, Form::Protobuf, request.clone());
        *post.uri_mut() = "/otlp/t".parse().unwrap();
        let answer = sender.request(post).await;
        assert_eq!((answer.status.as_u16(), &answer.body[..]), (200, &b""[..]));
        let log = otlp::log(otlp::data_uri(otlp::PICTURE), []);
        sender.send(Signal::Logs, &log).await.unwrap();
    }
    let digest = Digest::of(otlp::PICTURE).to_string();
    let received = backend.received();
    assert_eq!(received.len(), 4);
    for one in &received {
        assert_eq!(references(one.signal, &one.message)[0].sha256, digest);
    }
    let stored = std::fs::read(path_in(&slimspan.artifacts(), &digest)).unwrap();
    assert!(stored == otlp::PICTURE);
    let back = restored(Signal::Traces, &received[0].message, &slimspan.artifacts());
    assert_eq!(back, request);
}

/// Requests under way end, connections without one are not waited for, and every item is told.
#[tokio::test]
async fn a_stop_ends_what_is_under_way_and_waits_for_nobody_else() {
    let gate = Arc::new(Semaphore::new(0));
    let backend = Backend::gated(&gate).await;
    let mut slimspan = Slimspan::start(&config::with_http(backend.address)).await;
    let address = slimspan.http_addresses[0];
    let mut silent = TcpStream::connect(address).await.unwrap();
    let sender = slimspan.http_sender().await;
    let idle = slimspan.http_sender().await;
    let nothing = idle.post(Signal::Traces, Form::Protobuf, "").await;
    assert_eq!(nothing.status, 200);
    let under_way = tokio::spawn(async move {
        let answer = sender.post(
            Signal::Traces,
            Form::Json,
            Form::Json.write(Signal::Traces, &otlp::plain_span(1)),
        );
        answer.await
    });
    let is_there = async {
        while backend.received().is_empty() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    soon("it is at the backend", is_there).await;
    slimspan.signal("TERM");
    slimspan.logs("stopping").await;
    // Nobody is served any more who was not.
    let closed = soon("it is closed", silent.read_to_end(&mut Vec::new())).await;
    let _ = closed;
    gate.add_permits(1);
    let answer = under_way.await.unwrap();
    assert_eq!(answer.status, 200);
    let ended = slimspan.end().await;
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    let traces = conserved_of(Signal::Traces, &ended.stderr);
    assert_eq!((traces.received, traces.delivered), (1, 1));
    assert!(!ended.stderr.contains("did not end"), "{}", ended.stderr);
}

/// Each listener is told at the start, and what its senders can pin counts.
#[tokio::test]
async fn the_start_tells_where_it_listens() {
    let backend = Backend::start().await;
    let pinned = |stdout: &str| -> u64 {
        let (_, rest) = stdout
            .split_once("connections unread can take up to ")
            .unwrap();
        rest.split(' ').next().unwrap().parse().unwrap()
    };
    let grpc = Slimspan::start(&config::standard(backend.address))
        .await
        .stop()
        .await;
    let slimspan = Slimspan::start(&config::with_http(backend.address)).await;
    let address = slimspan.http_addresses[0];
    let both = slimspan.stop().await;
    let line = format!("listening for OTLP/HTTP on {address}, requests up to 64.0 MiB");
    assert!(both.stdout.contains(&line), "{}", both.stdout);
    // 1000 connections with 640 KiB each, and 32 requests with 40 KiB.
    let more = pinned(&both.stdout) - pinned(&grpc.stdout);
    assert_eq!(more, 1000 * (640 + 32 * 40) / 1024);
}
