//! A backend may quote what it refuses. That is for its sender and for who reads dead letters, and for no log.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use serde_json::{Value, json};
use slimspan::answer::Answer;
use slimspan_proto::Signal;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tonic::{Code, Status};
use tonic_types::{ErrorDetails, StatusExt as _};

use crate::support::backend::Backend;
use crate::support::canaries::{self, CANARY};
use crate::support::http::{Form, HttpSender};
use crate::support::measured::measured;
use crate::support::pages::get;
use crate::support::sender::Sender;
use crate::support::slimspan::Slimspan;
use crate::support::{config, otlp};

/// With and without a queue, over gRPC and over HTTP.
const EXPORTERS: [&str; 4] = [
    "otlp_grpc",
    "otlp_grpc/queued",
    "otlp_http",
    "otlp_http/queued",
];

/// What becomes of a request that says so.
const OUTCOMES: [&str; 4] = ["refused", "later", "partly", "large"];

fn quote() -> String {
    format!("immense term, whose prefix is: {CANARY}")
}

/// A span that says what is to become of it, by which exporter it goes, and what nobody is to read.
fn span(outcome: &str, exporter: &str) -> Bytes {
    let size = if outcome == "large" { 20_000 } else { 0 };
    otlp::span([
        ("outcome", otlp::text(outcome)),
        ("exporter", otlp::text(exporter)),
        ("secret", otlp::text(CANARY)),
        ("padding", otlp::text("-".repeat(size))),
    ])
}

fn says(message: &[u8], outcome: &str) -> bool {
    let mut windows = message.windows(outcome.len());
    windows.any(|window| window == outcome.as_bytes())
}

/// Each exporter has a pipeline and a receiver of its own, in this order.
fn configured(backend: &Backend) -> Value {
    let mut config = config::standard(backend.address);
    config::tell_metrics(&mut config);
    let (mut receivers, mut exporters, mut pipelines) = (json!({}), json!({}), json!({}));
    for (number, id) in EXPORTERS.iter().enumerate() {
        let receiver = format!("otlp/{number}");
        receivers[&receiver] = json!({ "protocols": {
            "grpc": { "endpoint": "127.0.0.1:0" },
            "http": { "endpoint": "127.0.0.1:0" },
        } });
        let mut exporter = if id.starts_with("otlp_grpc") {
            config::exporter(backend.address)
        } else {
            json!({ "endpoint": format!("http://{}", backend.address) })
        };
        exporter["retry_on_failure"] =
            json!({ "initial_interval": "10ms", "max_interval": "50ms" });
        if id.ends_with("queued") {
            exporter["sending_queue"] = json!({ "enabled": true });
        }
        exporters[*id] = exporter;
        pipelines[format!("traces/{number}")] = json!({
            "receivers": [receiver],
            "processors": ["memory_limiter", "artifact"],
            "exporters": [id],
        });
    }
    config["receivers"] = receivers;
    config["exporters"] = exporters;
    config["service"]["pipelines"] = pipelines;
    config
}

#[tokio::test]
async fn what_a_backend_quotes_is_told_and_not_logged() {
    let refused_once = Mutex::new(BTreeSet::new());
    let backend = Backend::answering(move |received| {
        let message = received.message;
        if says(&message, "refused") {
            Err(Status::invalid_argument(quote()))
        } else if says(&message, "large") {
            Err(Status::resource_exhausted(format!(
                "message larger than max: {}",
                quote()
            )))
        } else if says(&message, "partly") {
            Ok(otlp::partial_success(1, &quote()))
        } else if refused_once.lock().unwrap().insert(message) {
            let at_once = ErrorDetails::with_retry_info(Some(Duration::ZERO));
            Err(Status::with_error_details(
                Code::Unavailable,
                quote(),
                at_once,
            ))
        } else {
            Ok(Bytes::new())
        }
    })
    .await;
    let folder = Arc::new(tempfile::tempdir().unwrap());
    let env = [("SLIMSPAN_LOG", "debug")];
    let yaml = configured(&backend).to_string();
    let mut slimspan = Slimspan::spawn_with(folder, &yaml, &env);
    assert!(slimspan.ready().await, "{}", slimspan.stderr());

    for (number, exporter) in EXPORTERS.iter().enumerate() {
        let sender = Sender::connect(slimspan.addresses[number]).await;
        let is_queued = exporter.ends_with("queued");
        for outcome in OUTCOMES {
            let what = format!("{outcome} by {exporter}");
            let answer = sender.send(Signal::Traces, &span(outcome, exporter)).await;
            match (outcome, answer) {
                // Nobody knows yet.
                (_, Ok(answer)) if is_queued => assert_eq!(answer, Bytes::new(), "{what}"),
                ("refused", Err(status)) => {
                    assert_eq!(status.code(), Code::InvalidArgument, "{what}");
                    assert!(status.message().contains(CANARY), "{what}: {status}");
                }
                ("later", Ok(answer)) => assert_eq!(answer, Bytes::new(), "{what}"),
                ("partly" | "large", Ok(answer)) => {
                    let told = Answer::from(answer).message();
                    assert!(told.contains(CANARY), "{what}: {told}");
                }
                (_, answer) => panic!("{what}: {answer:?}"),
            }
        }
        if !is_queued {
            let sender = HttpSender::connect(slimspan.http_addresses[number]).await;
            let request = span("refused", exporter);
            let answer = sender.post(Signal::Traces, Form::Protobuf, request).await;
            assert_eq!(answer.status, 400, "{answer:?}");
            assert!(says(&answer.body, CANARY), "{answer:?}");
        }
    }
    // Each line that a backend's words belong to, and how often.
    for (line, times) in [
        ("trying again in ", 4),
        ("refused: otlp_", 2),
        ("400 Bad Request: otlp_", 2),
        (" bytes cannot go: otlp_", 4),
        ("the request is kept in ", 4),
        ("the backend rejected 1 of these: [", 2),
        ("[invalid_argument, 37 bytes of its own words", 6),
    ] {
        slimspan.logs_times(line, times).await;
    }
    let metrics = get(slimspan.page("telemetry"), "/metrics").await.body;
    assert!(metrics.contains("otelcol_"), "{metrics}");
    let letters = slimspan.folder().join("data/dead_letters");
    let letters = std::fs::read_dir(letters).unwrap();
    let letters = letters.map(|letter| letter.unwrap().path());
    let reasons = letters.filter(|path| path.extension().is_some_and(|kind| kind == "txt"));
    let reasons: Vec<_> = reasons
        .map(|path| std::fs::read_to_string(path).unwrap())
        .collect();
    assert_eq!(reasons.len(), 8, "{reasons:#?}");
    for reason in &reasons {
        assert!(reason.contains(CANARY), "{reason}");
    }
    let ended = slimspan.stop().await;
    for (place, text) in [
        ("log", &ended.stderr),
        ("output", &ended.stdout),
        ("metrics", &metrics),
    ] {
        let told = text.lines().find(|line| line.contains(CANARY));
        assert_eq!(told, None, "in the {place}");
    }
    // Of those that came later, the second was taken without a word.
    let quotes = backend.received().len() - EXPORTERS.len();
    measured(
        "P30",
        "program::quoting",
        "0 words that a backend quotes in log, output and metrics",
        format_args!("0 of {quotes} quotes, at debug"),
    );
}

/// Reads the first request of a connection of HTTP/2, and ends the connection with these words.
async fn end(mut stream: TcpStream, words: &[u8]) -> std::io::Result<()> {
    // No settings.
    stream.write_all(&[0, 0, 0, 4, 0, 0, 0, 0, 0]).await?;
    stream.read_exact(&mut [0; 24]).await?;
    loop {
        let mut head = [0; 9];
        stream.read_exact(&mut head).await?;
        let len = u32::from_be_bytes([0, head[0], head[1], head[2]]);
        stream.read_exact(&mut vec![0; len as usize]).await?;
        // Its headers.
        if head[3] == 1 {
            break;
        }
    }
    // GOAWAY: no stream was seen, ENHANCE_YOUR_CALM, the words.
    let len = u8::try_from(words.len() + 8).unwrap();
    let goaway = [0, 0, len, 7, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 11];
    stream.write_all(&[&goaway[..], words].concat()).await?;
    // What is not read would end the connection in another way.
    tokio::io::copy(&mut stream, &mut tokio::io::sink()).await?;
    Ok(())
}

/// A backend that ends every connection so.
async fn ending() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(async move { end(stream, quote().as_bytes()).await });
        }
    });
    address
}

/// Why a backend ends a connection it says in its own words, too.
#[tokio::test]
async fn what_a_backend_says_when_it_ends_a_connection_is_neither_told_nor_logged() {
    let mut config = config::standard(ending().await);
    config["exporters"]["otlp_grpc"]["retry_on_failure"] = json!({ "enabled": false });
    let slimspan = canaries::start(config).await;
    let sender = slimspan.sender().await;
    let request = span("ended", "otlp_grpc");
    let refused = sender.send(Signal::Traces, &request).await.unwrap_err();
    assert_eq!(refused.code(), Code::Unavailable, "{refused}");
    assert!(!refused.message().contains(CANARY), "{refused}");
    let reason = "connection error received: detected excessive load";
    assert!(refused.message().contains(reason), "{refused}");
    let ended = slimspan.stop().await;
    for text in [&ended.stderr, &ended.stdout] {
        let told = text.lines().find(|line| line.contains(CANARY));
        assert_eq!(told, None);
    }
    assert!(ended.stderr.contains(reason), "{}", ended.stderr);
}
