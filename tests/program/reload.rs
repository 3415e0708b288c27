//! SIGHUP: another configuration without another process.

use std::fs::File;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use serde_json::json;
use slimspan_proto::Signal;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;

use crate::support::backend::{Backend, Received};
use crate::support::http2::{self, Peer};
use crate::support::pages::Metrics;
use crate::support::references::files;
use crate::support::refusing::Refusing;
use crate::support::s3::{Behaviour, S3};
use crate::support::slimspan::Slimspan;
use crate::support::{config, frames, otlp, soon};

/// A request that is under way when the configuration changes is answered, by the one that it came to.
#[tokio::test]
async fn a_request_under_way_is_answered() {
    let gate = Arc::new(Semaphore::new(0));
    let store = S3::start(Behaviour::StoreWhen(Arc::clone(&gate))).await;
    let (first, second) = (Backend::start().await, Backend::start().await);
    let mut config = config::with_s3(first.address, store.address);
    config["extensions"]["artifact_store"]["timeout"] = "20s".into();
    let mut slimspan = Slimspan::start(&config).await;
    let sender = slimspan.sender().await;
    let request = otlp::span_with(otlp::PICTURE);
    let answer = tokio::spawn(async move { sender.send(Signal::Traces, &request).await });
    store.begun(1).await;

    config["exporters"]["otlp_grpc"]["endpoint"] = second.address.to_string().into();
    slimspan.write(&config.to_string());
    slimspan.signal("HUP");
    slimspan.logs("reloading").await;
    // Who connects meanwhile waits, and is not refused.
    let waiting = TcpStream::connect(slimspan.addresses[0]).await.unwrap();
    gate.add_permits(2);
    assert_eq!(answer.await.unwrap().unwrap(), Bytes::new());
    slimspan.logs("reloaded the configuration").await;
    assert_eq!((first.received().len(), second.received().len()), (1, 0));

    let sender = slimspan.sender().await;
    sender
        .send(Signal::Traces, &otlp::plain_span(1))
        .await
        .unwrap();
    assert_eq!((first.received().len(), second.received().len()), (1, 1));
    drop(waiting);
    let ended = slimspan.stop().await;
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    // What was counted before is not forgotten.
    assert!(
        ended.stderr.contains("stopped: requests 2,"),
        "{}",
        ended.stderr
    );
}

/// A stop while a reload waits for what is under way: that is answered, and who comes is told that nobody is here.
#[tokio::test]
async fn a_stop_during_a_reload_closes_what_is_listened_on() {
    let gate = Arc::new(Semaphore::new(0));
    let store = S3::start(Behaviour::StoreWhen(Arc::clone(&gate))).await;
    let backend = Backend::start().await;
    let mut config = config::with_s3(backend.address, store.address);
    config["extensions"]["artifact_store"]["timeout"] = "20s".into();
    let mut slimspan = Slimspan::start(&config).await;
    let sender = slimspan.sender().await;
    let request = otlp::span_with(otlp::PICTURE);
    let there = sender.clone();
    let answer = tokio::spawn(async move { sender.send(Signal::Traces, &request).await });
    store.begun(1).await;
    slimspan.signal("HUP");
    slimspan.logs("reloading the configuration").await;
    // Nothing tells that what is under way is waited for. Where that is later still, it is an ordinary stop.
    tokio::time::sleep(Duration::from_secs(1)).await;
    slimspan.signal("TERM");
    let address = slimspan.addresses[0];
    let closed = async { while TcpStream::connect(address).await.is_ok() {} };
    // At once, and not when whoever may let go of the old configuration's things has done so.
    let closed = tokio::time::timeout(Duration::from_secs(4), closed).await;
    assert!(closed.is_ok(), "somebody listens still");
    // So is who has connected before: the next configuration, which would answer, does not come.
    let span = otlp::plain_span(1);
    let refused = there.send(Signal::Traces, &span);
    // Without that it takes as long as a stop leaves its stages.
    let refused = tokio::time::timeout(Duration::from_secs(2), refused).await;
    assert!(matches!(refused, Ok(Err(_))), "{refused:?}");
    // Only then, so that it is under way all the while.
    gate.add_permits(2);
    assert_eq!(answer.await.unwrap().unwrap(), Bytes::new());
    let ended = slimspan.end().await;
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    assert!(!ended.stderr.contains("reloaded"), "{}", ended.stderr);
}

/// A connection stays when what is behind its listener changes, and its sender notices nothing.
#[tokio::test]
async fn connections_stay_unless_their_listener_changes() {
    let (first, second) = (Backend::start().await, Backend::start().await);
    let mut config = config::with_http(first.address);
    let mut slimspan = Slimspan::start(&config).await;
    let mut grpc = Peer::connect(slimspan.addresses[0]).await.unwrap();
    let http = slimspan.http_sender().await;
    let span = otlp::plain_span(1);
    assert!(sent(&mut grpc, 1, &span).await);
    http.send(Signal::Traces, &span).await.unwrap();

    config["exporters"]["otlp_grpc"]["endpoint"] = second.address.to_string().into();
    // What is seen to at every request is of no connection.
    let protocols = &mut config["receivers"]["otlp"]["protocols"];
    protocols["grpc"]["max_recv_msg_size_mib"] = json!(8);
    protocols["http"]["max_request_body_size"] = json!("8MiB");
    slimspan.write(&config.to_string());
    slimspan.signal("HUP");
    slimspan.logs_times("reloaded the configuration", 1).await;
    assert!(sent(&mut grpc, 3, &span).await);
    http.send(Signal::Traces, &span).await.unwrap();
    assert_eq!((first.received().len(), second.received().len()), (2, 2));

    let protocols = &mut config["receivers"]["otlp"]["protocols"];
    protocols["grpc"]["max_concurrent_streams"] = json!(7);
    protocols["http"]["idle_timeout"] = json!("2m");
    slimspan.write(&config.to_string());
    slimspan.signal("HUP");
    slimspan.logs_times("reloaded the configuration", 2).await;
    assert!(!sent(&mut grpc, 5, &span).await);
    http.send(Signal::Traces, &span).await.unwrap_err();
    let http = slimspan.http_sender().await;
    http.send(Signal::Traces, &span).await.unwrap();
    assert_eq!(slimspan.stop().await.code, Some(0));
}

/// Sends a request over a connection that is not opened again, and returns whether it is answered.
async fn sent(peer: &mut Peer, stream: u32, message: &Bytes) -> bool {
    let body = frames::frame(0, message);
    let body = http2::frame(http2::DATA, http2::END_STREAM, stream, &body);
    let request = [http2::request(stream), body].concat();
    if peer.send(&request).await.is_err() {
        return false;
    }
    loop {
        match peer.next().await {
            Some((http2::HEADERS, flags, _)) if flags & http2::END_STREAM != 0 => return true,
            Some((http2::RST_STREAM | http2::GOAWAY, ..)) | None => return false,
            Some(_) => {}
        }
    }
}

/// What Prometheus has counted goes on, and every item still has one fate, with one of them under way while
/// the configuration changes and two in a queue.
#[tokio::test]
async fn what_is_counted_goes_on() {
    let gate = Arc::new(Semaphore::new(0));
    let opened = Arc::clone(&gate);
    let backend = Backend::scripted(move |received| {
        let gate = Arc::clone(&opened);
        async move {
            if received.signal == Signal::Metrics {
                gate.acquire().await.unwrap().forget();
            }
            Ok(Bytes::new())
        }
    })
    .await;
    let away = Refusing::start();
    let mut config = config::standard(backend.address);
    config["exporters"]["otlp_grpc/away"] = config::exporter(away.address);
    config["exporters"]["otlp_grpc/away"]["sending_queue"] = json!({ "storage": "file_storage" });
    config["extensions"]["file_storage"] = json!({});
    config["service"]["extensions"] = json!(["artifact_store", "file_storage"]);
    config["service"]["pipelines"]["logs"]["exporters"] = json!(["otlp_grpc/away"]);
    let port = Refusing::start();
    let address = port.address;
    config["service"]["telemetry"]["metrics"] = json!({ "address": address.to_string() });
    let mut slimspan = Slimspan::start(&config).await;
    let sender = slimspan.sender().await;
    let span = otlp::plain_span(1);
    for _ in 0..3 {
        sender.send(Signal::Traces, &span).await.unwrap();
    }
    for _ in 0..2 {
        let log = otlp::log(otlp::text("it waits"), []);
        sender.send(Signal::Logs, &log).await.unwrap();
    }
    let under_way = slimspan.sender().await;
    let metric = otlp::metric(otlp::text("small"));
    let under_way = tokio::spawn(async move { under_way.send(Signal::Metrics, &metric).await });
    let is_metric = |one: &Received| one.signal == Signal::Metrics;
    let mut arrived = 1;
    while !backend.arrived(arrived).await.iter().any(is_metric) {
        arrived += 1;
    }
    let before = fates(address).await;
    assert_eq!(before, [[3, 3, 0, 0], [1, 0, 0, 1], [2, 0, 2, 0]]);

    slimspan.write(&config.to_string());
    slimspan.signal("HUP");
    slimspan.logs("reloading").await;
    gate.add_permits(1);
    under_way.await.unwrap().unwrap();
    slimspan.logs("reloaded the configuration").await;
    let after = fates(address).await;
    assert_eq!(after, [[3, 3, 0, 0], [1, 1, 0, 0], [2, 0, 2, 0]]);
    let sender = slimspan.sender().await;
    sender.send(Signal::Traces, &span).await.unwrap();
    let after = fates(address).await;
    assert_eq!(after, [[4, 4, 0, 0], [1, 1, 0, 0], [2, 0, 2, 0]]);
}

/// Of the items of traces, metrics and logs: received, delivered, queued, under way.
async fn fates(address: SocketAddr) -> [[u64; 4]; 3] {
    let metrics = Metrics::of(address).await;
    [Signal::Traces, Signal::Metrics, Signal::Logs].map(|signal| {
        let label = format!("signal=\"{signal}\"");
        let fates = ["received_total", "delivered_total", "queued", "under_way"];
        fates.map(|fate| metrics.count(&format!("slimspan_items_{fate}"), &[&label]))
    })
}

/// A wrong configuration changes nothing, and neither does one that cannot run.
#[tokio::test]
async fn what_cannot_run_leaves_the_one_before() {
    let backend = Backend::start().await;
    let config = config::standard(backend.address);
    let mut slimspan = Slimspan::start(&config).await;
    let sender = slimspan.sender().await;
    let taken = TcpListener::bind("127.0.0.1:0").await.unwrap();

    let mut wrong = config.clone();
    wrong["processors"]["artifact"]["threshold"] = json!("8 potatoes");
    let mut cannot_listen = config.clone();
    cannot_listen["receivers"]["otlp/b"] = json!({ "protocols": { "grpc": {
        "endpoint": taken.local_addr().unwrap().to_string() } } });
    cannot_listen["service"]["pipelines"]["traces"]["receivers"] = json!(["otlp", "otlp/b"]);
    let mut cannot_store = config.clone();
    // A file is where a folder is wanted: only the start finds that out.
    std::fs::write(slimspan.folder().join("file"), "").unwrap();
    cannot_store["extensions"]["artifact_store"]["url"] = json!("./file/artifacts");
    for (config, told) in [
        (wrong, "threshold: \"8 potatoes\" is not a size"),
        (cannot_listen, "cannot listen on"),
        (cannot_store, "the configuration before runs again"),
    ] {
        slimspan.write(&config.to_string());
        slimspan.signal("HUP");
        slimspan.logs(told).await;
        // A call over the connection that was there, or a new one where that had to end.
        let again = slimspan.sender().await;
        again
            .send(Signal::Traces, &otlp::plain_span(1))
            .await
            .unwrap();
    }
    drop(sender);
    assert_eq!(backend.received().len(), 3);
    let ended = slimspan.stop().await;
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    assert!(
        !ended.stderr.contains("reloaded the configuration"),
        "{}",
        ended.stderr
    );
}

/// A folder that somebody still has, as what the collector before was writing may, is waited for.
#[tokio::test]
async fn a_folder_that_is_locked_for_a_moment_is_waited_for() {
    let (backend, store) = (Backend::start().await, S3::start(Behaviour::Store).await);
    let mut config = config::with_s3(backend.address, store.address);
    config["processors"]["artifact"]["delivery"] = json!("background");
    config["extensions"]["artifact_store"]["spool"] = json!({ "directory": "./spool" });
    let mut slimspan = Slimspan::start(&config).await;
    let (one, other) = (
        slimspan.folder().join("spool"),
        slimspan.folder().join("other"),
    );
    let is_lock = |path: &PathBuf| path.ends_with("lock");
    let lock = files(&one).into_iter().find(is_lock).unwrap();
    let lock = other.join(lock.strip_prefix(&one).unwrap());
    std::fs::create_dir_all(lock.parent().unwrap()).unwrap();
    let held = File::create(&lock).unwrap();
    held.lock().unwrap();
    config["extensions"]["artifact_store"]["spool"]["directory"] = json!("./other");
    slimspan.write(&config.to_string());
    slimspan.signal("HUP");
    slimspan.logs("reloading the configuration").await;
    // It is not told that it waits. Should it come to that only later, nothing is in its way.
    tokio::time::sleep(Duration::from_millis(500)).await;
    drop(held);
    slimspan.logs("reloaded the configuration").await;
    let sender = slimspan.sender().await;
    let request = otlp::span_with(otlp::PICTURE);
    sender.send(Signal::Traces, &request).await.unwrap();
    store.begun(1).await;
    let ended = slimspan.stop().await;
    assert!(!ended.stderr.contains("cannot run"), "{}", ended.stderr);
}

/// What the log tells changes with the configuration.
#[tokio::test]
async fn the_level_of_the_log_changes() {
    let backend = Backend::start().await;
    let mut config = config::standard(backend.address);
    let mut slimspan = Slimspan::start(&config).await;
    let wrong = Bytes::from_static(b"\xff");
    let refused = slimspan.sender().await.send(Signal::Traces, &wrong).await;
    refused.unwrap_err();
    assert!(
        !slimspan.stderr().contains("DEBUG"),
        "{}",
        slimspan.stderr()
    );
    config["service"]["telemetry"] =
        json!({ "metrics": { "level": "none" }, "logs": { "level": "debug" } });
    slimspan.write(&config.to_string());
    slimspan.signal("HUP");
    slimspan.logs("reloaded the configuration").await;
    let refused = slimspan.sender().await.send(Signal::Traces, &wrong).await;
    refused.unwrap_err();
    slimspan.logs("refused: ").await;
    assert_eq!(slimspan.stop().await.code, Some(0));
}

/// Listeners come and go with the configuration, and one may take over the port of another.
#[tokio::test]
async fn listeners_come_and_go() {
    let backend = Backend::start().await;
    let config = config::standard(backend.address);
    let mut slimspan = Slimspan::start(&config).await;
    let first = slimspan.addresses[0];
    let free = Refusing::start();
    let second = free.address;

    let mut more = config.clone();
    more["receivers"]["otlp/b"] =
        json!({ "protocols": { "grpc": { "endpoint": second.to_string() } } });
    more["service"]["pipelines"]["traces"]["receivers"] = json!(["otlp", "otlp/b"]);
    slimspan.write(&more.to_string());
    slimspan.signal("HUP");
    slimspan.logs_times("reloaded the configuration", 1).await;
    for address in [first, second] {
        let sender = crate::support::sender::Sender::connect(address).await;
        sender
            .send(Signal::Traces, &otlp::plain_span(1))
            .await
            .unwrap();
    }

    // The same port on all addresses cannot be opened before the one it was has closed.
    let mut less = config.clone();
    less["receivers"]["otlp"]["protocols"]["grpc"]["endpoint"] =
        format!("0.0.0.0:{}", second.port()).into();
    slimspan.write(&less.to_string());
    slimspan.signal("HUP");
    slimspan.logs_times("reloaded the configuration", 2).await;
    let sender = crate::support::sender::Sender::connect(second).await;
    sender
        .send(Signal::Traces, &otlp::plain_span(1))
        .await
        .unwrap();
    let closed = async { while TcpStream::connect(first).await.is_ok() {} };
    soon("the first listener closes", closed).await;
    assert_eq!(slimspan.stop().await.code, Some(0));
}
