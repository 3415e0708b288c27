//! Unix sockets: telemetry that never leaves the machine.

use std::net::SocketAddr;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use http::{Request, StatusCode};
use http_body_util::Full;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use slimspan_proto::Signal;
use tokio::net::UnixStream;

use crate::support::backend::Backend;
use crate::support::slimspan::{Slimspan, run};
use crate::support::{config, http as over_http, otlp, soon};

/// The standard configuration with listeners on sockets beside it.
fn local(backend: SocketAddr) -> Value {
    let mut config = config::standard(backend);
    config["receivers"]["otlp"]["protocols"] = json!({
        "grpc": { "endpoint": "./grpc.sock", "transport": "unix" },
        "http": { "endpoint": "http.sock", "transport": "unix" },
    });
    config
}

/// Sends a request over HTTP to whoever listens.
async fn post(socket: &Path, message: &Bytes) -> StatusCode {
    let stream = soon("slimspan accepts", UnixStream::connect(socket)).await;
    let handshake = http1::handshake(TokioIo::new(stream.unwrap())).await;
    let (mut client, connection) = handshake.unwrap();
    tokio::spawn(connection);
    let request = Request::post(over_http::path(Signal::Traces))
        .header("host", "any.example")
        .header("content-type", over_http::Form::Protobuf.media_type())
        .body(Full::new(message.clone()))
        .unwrap();
    let answer = soon("slimspan answers", client.send_request(request));
    answer.await.unwrap().status()
}

/// Which file it is.
fn inode(path: &Path) -> u64 {
    std::fs::symlink_metadata(path).unwrap().ino()
}

#[tokio::test]
async fn requests_come_and_go_over_unix_sockets() {
    let backend = Backend::start().await;
    let far = Slimspan::start(&local(backend.address)).await;
    let socket = far.folder().join("grpc.sock");
    let mut config = config::standard(backend.address);
    config["receivers"]["otlp"]["protocols"]["grpc"] =
        json!({ "endpoint": "localhost:0", "transport": "tcp4" });
    config["exporters"]["otlp_grpc"]["endpoint"] = json!(format!("unix://{}", socket.display()));
    let near = Slimspan::start(&config).await;
    assert!(near.addresses[0].is_ipv4());

    let span = otlp::plain_span(1);
    let sender = near.sender().await;
    sender.send(Signal::Traces, &span).await.unwrap();
    let status = post(&far.folder().join("http.sock"), &span).await;
    assert_eq!(status, StatusCode::OK);
    let received = backend.received();
    assert_eq!(received.len(), 2);
    assert!(received.iter().all(|one| one.message == span));

    // It finds the receiver by the configuration.
    let demo = run(far.folder(), &["demo", "--config", "collector.yaml"]).await;
    assert_eq!(demo.code, Some(0), "{}{}", demo.stdout, demo.stderr);
    near.stop_well().await;
    let told = far.stop().await;
    assert_eq!(told.code, Some(0), "{}", told.stderr);
    for place in [
        "OTLP/gRPC on unix:./grpc.sock",
        "OTLP/HTTP on unix:http.sock",
    ] {
        assert!(told.stdout.contains(place), "{}", told.stdout);
    }
}

#[tokio::test]
async fn a_socket_outlives_a_reload_and_not_its_process() {
    let backend = Backend::start().await;
    let folder = Arc::new(tempfile::tempdir().unwrap());
    let socket = folder.path().join("grpc.sock");
    let yaml = local(backend.address).to_string();
    let start = || Slimspan::spawn(Arc::clone(&folder), &yaml);
    let mut first = start();
    assert!(first.ready().await, "{}", first.stderr());
    let made = inode(&socket);
    first.signal("HUP");
    first.logs("reloaded the configuration").await;
    assert_eq!(inode(&socket), made);

    let second = start().exit().await;
    assert_ne!(second.code, Some(0));
    let why = "grpc: cannot listen on unix:./grpc.sock: another process listens there";
    assert!(second.stderr.contains(why), "{}", second.stderr);
    assert_eq!(inode(&socket), made);

    first.kill().await;
    assert!(UnixStream::connect(&socket).await.is_err());
    let mut third = start();
    assert!(third.ready().await, "{}", third.stderr());
    UnixStream::connect(&socket).await.unwrap();
    third.stop_well().await;
    assert!(!socket.exists());
}
