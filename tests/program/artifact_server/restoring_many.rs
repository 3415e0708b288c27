//! Requests that are restored at the same time: what one takes of the memory is not the others', and what all of
//! them take is not the senders'.

use std::time::Duration;

use bytes::Bytes;
use http::{Method, StatusCode};
use serde_json::{Value, json};
use slimspan_artifact::Digest;
use slimspan_proto::Signal;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpSocket, TcpStream};

use super::client::Client;
use super::{Served, with_tenants};
use crate::support::backend::Backend;
use crate::support::pages::get;
use crate::support::slimspan::Slimspan;
use crate::support::{config, otlp, soon};

const PATH: &str = "/v1/restore/traces";
const PROTOBUF: &str = "application/x-protobuf";
const MIB: usize = 1 << 20;

/// So many MiB for everything: of three quarters of it requests to restore may have half.
fn with_little(backend: &Backend, limit_mib: u64) -> Value {
    let mut config = with_tenants();
    config["exporters"]["otlp_grpc"] = config::exporter(backend.address);
    config["extensions"]["artifact_server"]["public_url"] = json!("https://files.example.com");
    config["processors"]["memory_limiter"] = json!({ "limit_mib": limit_mib });
    config::limit_requests(&mut config, 16);
    config::tell_metrics(&mut config);
    config
}

fn tenants(served: &Served) -> [Client; 2] {
    ["acme", "beta"].map(|name| {
        let client = served.pages.bearer(&format!("token-of-{name}"));
        client.with("content-type", PROTOBUF)
    })
}

/// A request whose head is sent, over a connection that takes next to nothing before it is read.
async fn begin(served: &Served, tenant: &str, len: usize) -> TcpStream {
    let socket = TcpSocket::new_v4().unwrap();
    // Else the system would take all of an answer.
    socket.set_recv_buffer_size(4 << 10).unwrap();
    let address = served.pages.address;
    let mut stream = socket.connect(address).await.unwrap();
    let head = format!(
        "POST {PATH} HTTP/1.1\r\nhost: {address}\r\nauthorization: Bearer token-of-{tenant}\r\n\
         content-type: {PROTOBUF}\r\ncontent-length: {len}\r\n\r\n"
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    stream
}

/// Waits until requests have taken so much memory.
async fn taken(slimspan: &Slimspan, bytes: usize) {
    soon("memory is taken", async {
        loop {
            let page = get(slimspan.page("telemetry"), "/metrics").await.body;
            let mut lines = page.lines();
            let line = lines.find(|line| line.starts_with("slimspan_memory_in_flight"));
            let told = line.and_then(|line| line.rsplit(' ').next());
            let told: f64 = told.unwrap().parse().unwrap();
            if told >= bytes as f64 {
                return;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    })
    .await;
}

#[tokio::test]
async fn one_who_sends_slowly_leaves_the_others_their_memory() {
    let backend = Backend::start().await;
    let served = Served::start(&with_little(&backend, 64)).await;
    let [acme, beta] = tenants(&served);
    let small = otlp::plain_span(1);
    // All that one may have of 48 MiB for requests, and not all of the request.
    let mut slow = begin(&served, "acme", 12 * MIB).await;
    slow.write_all(&vec![0; 12 * MIB - 1]).await.unwrap();
    taken(&served.slimspan, 12 * MIB).await;

    let answer = acme.ask(Method::POST, PATH, small.clone()).await;
    assert_eq!(answer.status, StatusCode::SERVICE_UNAVAILABLE, "{answer:?}");
    assert_eq!(answer.headers["retry-after"], "1");
    let told = answer.json()["error"].to_string();
    assert!(told.contains("12 MiB"), "{told}");
    assert!(told.contains("memory_limiter.limit_mib"), "{told}");

    let answer = beta.ask(Method::POST, PATH, small.clone()).await;
    assert_eq!(answer.status, StatusCode::OK, "{answer:?}");
    assert_eq!(answer.body, small);
    let large = otlp::span([("a", otlp::text("-".repeat(7 * MIB)))]);
    let sender = served.slimspan.sender().await;
    sender.send(Signal::Traces, &large).await.unwrap();

    // What is given up is free again.
    drop(slow);
    soon("there is room", async {
        while acme.ask(Method::POST, PATH, small.clone()).await.status != StatusCode::OK {}
    })
    .await;
}

#[tokio::test]
async fn one_who_reads_slowly_leaves_the_others_their_memory() {
    let backend = Backend::start().await;
    let served = Served::start(&with_little(&backend, 128)).await;
    let [acme, beta] = tenants(&served);
    // In its place it has a third more: of 24 MiB that one may have there is room for two of them.
    let photo = otlp::photo(1, 13 * MIB / 2);
    let digest = Digest::of(&photo);
    let mut slim = Vec::new();
    for tenant in ["acme", "beta"] {
        served.put_for(tenant, photo.clone()).await;
        let uri = format!("https://files.example.com/{tenant}/artifacts/{digest}.png");
        slim.push(otlp::span([("a", otlp::text(uri))]));
    }
    let whole = otlp::span([("a", otlp::data_uri(&photo))]);
    let mut slow = Vec::new();
    for _ in 0..2 {
        let mut stream = begin(&served, "acme", slim[0].len()).await;
        stream.write_all(&slim[0]).await.unwrap();
        let mut status = [0; 12];
        let begins = stream.read_exact(&mut status);
        soon("an answer begins", begins).await.unwrap();
        assert_eq!(status, *b"HTTP/1.1 200");
        slow.push(stream);
    }
    let answer = acme.ask(Method::POST, PATH, slim[0].clone()).await;
    assert_eq!(answer.status, StatusCode::SERVICE_UNAVAILABLE);
    let told = answer.json()["error"].to_string();
    assert!(told.contains("24 MiB"), "{told}");

    let answer = beta.ask(Method::POST, PATH, slim[1].clone()).await;
    assert_eq!(answer.status, StatusCode::OK);
    assert!(answer.body == whole);
    let large = otlp::span([("a", otlp::text("-".repeat(7 * MIB)))]);
    let sender = served.slimspan.sender().await;
    sender.send(Signal::Traces, &large).await.unwrap();

    drop(slow);
    soon("there is room", async {
        let ask = async || acme.ask(Method::POST, PATH, slim[0].clone()).await;
        while ask().await.status != StatusCode::OK {}
    })
    .await;
}

/// What nothing is put back into is there once, and does not count twice.
#[tokio::test]
async fn what_stays_as_it_is_takes_no_more_than_it_took() {
    let backend = Backend::start().await;
    let served = Served::start(&with_little(&backend, 64)).await;
    let [acme, _] = tenants(&served);
    let plain: Bytes = otlp::span([("a", otlp::text("-".repeat(11 * MIB)))]);
    let answer = acme.ask(Method::POST, PATH, plain.clone()).await;
    assert_eq!(answer.status, StatusCode::OK, "{:?}", answer.headers);
    assert!(answer.body == plain);
}
