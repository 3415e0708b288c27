//! Slim requests become what they were.

use bytes::Bytes;
use http::{Method, StatusCode};
use serde_json::json;
use slimspan::compression::Compression;
use slimspan_artifact::Digest;
use slimspan_proto::Signal;

use super::{Served, with_server};
use crate::support::backend::Backend;
use crate::support::http::{Form, json};
use crate::support::pages::Metrics;
use crate::support::references::path_in;
use crate::support::{config, otlp};

#[tokio::test]
async fn what_went_on_slim_comes_back_whole() {
    let backend = Backend::start().await;
    let mut config = with_server();
    config["exporters"]["otlp_grpc"] = config::exporter(backend.address);
    config["extensions"]["artifact_server"]["public_url"] = json!("https://files.example.com");
    config["extensions"]["artifact_server"]["open_to_everybody"] = json!(true);
    config::tell_metrics(&mut config);
    let served = Served::start(&config).await;
    let photo = otlp::photo(1, otlp::PHOTO);
    let original = otlp::span([
        ("a", otlp::data_uri(&photo)),
        ("b", otlp::chat_with(&photo)),
    ]);
    let record = otlp::log(
        otlp::data_uri(&photo),
        [("a", otlp::chat_with(&otlp::photo(2, otlp::PHOTO)))],
    );
    let sender = served.slimspan.sender().await;
    let both = [(Signal::Traces, &original), (Signal::Logs, &record)];
    for (number, (signal, original)) in both.into_iter().enumerate() {
        sender.send(signal, original).await.unwrap();
        let slim = backend.message(number);
        assert!(slim.len() < 5_000, "{signal:?}");
        comes_back_whole(&served, signal, &slim, original).await;
    }
    let slim = backend.message(0);
    let restore = async |content_type: &str, body: Bytes| {
        let client = served.pages.with("content-type", content_type);
        client.ask(Method::POST, "/v1/restore/traces", body).await
    };

    // Compressed it is the same, as at a receiver.
    for compression in [Compression::Gzip, Compression::Zstd, Compression::Deflate] {
        for (content_type, slim, original) in [
            ("application/x-protobuf", slim.clone(), original.clone()),
            (
                "application/json",
                json(Signal::Traces, &slim),
                json(Signal::Traces, &original),
            ),
        ] {
            let client = served.pages.with("content-type", content_type);
            let client = client.with("content-encoding", compression.name());
            let body = compression.compress(&slim).unwrap();
            let answer = client.ask(Method::POST, "/v1/restore/traces", body).await;
            assert_eq!(answer.status, StatusCode::OK, "{compression}: {answer:?}");
            assert_eq!(answer.body, original, "{compression}");
        }
    }
    let bomb = Compression::Zstd.compress(&vec![0; 65 << 20]).unwrap();
    let client = served.pages.with("content-type", "application/x-protobuf");
    let client = client.with("content-encoding", "zstd");
    let answer = client.ask(Method::POST, "/v1/restore/traces", bomb).await;
    assert_eq!(answer.status, StatusCode::PAYLOAD_TOO_LARGE);

    // What is gone, or damaged, stays a reference.
    let digest = Digest::of(&photo).to_string();
    let file = path_in(&served.slimspan.artifacts(), &digest);
    std::fs::write(&file, "damaged").unwrap();
    for _ in 0..2 {
        let answer = restore("application/x-protobuf", slim.clone()).await;
        assert_eq!(answer.body, slim);
        assert_ne!(answer.headers["slimspan-references-left"], "0");
        let _ = std::fs::remove_file(&file);
    }
    let metrics = Metrics::of(served.slimspan.page("telemetry")).await;
    let damaged = metrics.count("slimspan_artifact_server_damaged_total", &[]);
    assert_eq!(damaged, 1, "what is gone is not damaged");
    for (content_type, body, status) in [
        (
            "text/plain",
            slim.clone(),
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
        ),
        ("application/json", slim.clone(), StatusCode::BAD_REQUEST),
    ] {
        let answer = restore(content_type, body).await;
        assert_eq!(answer.status, status, "{content_type}");
    }
    let client = served.pages.with("content-type", "application/x-protobuf");
    for (coding, body, status) in [
        ("br", slim.clone(), StatusCode::UNSUPPORTED_MEDIA_TYPE),
        ("gzip", slim.clone(), StatusCode::BAD_REQUEST),
    ] {
        let answer = client.with("content-encoding", coding);
        let answer = answer.ask(Method::POST, "/v1/restore/traces", body).await;
        assert_eq!(answer.status, status, "{coding}");
    }
    let answer = client.ask(Method::POST, "/v1/restore/metrics", slim).await;
    assert_eq!(answer.status, StatusCode::NOT_FOUND);
}

/// In both forms, at the path of its signal and at no other.
async fn comes_back_whole(served: &Served, signal: Signal, slim: &Bytes, original: &Bytes) {
    let paths = ["/v1/restore/traces", "/v1/restore/logs"];
    let [path, other] = if signal == Signal::Logs {
        [paths[1], paths[0]]
    } else {
        paths
    };
    for (content_type, told, form) in [
        (
            "application/x-protobuf",
            "application/x-protobuf",
            Form::Protobuf,
        ),
        (
            "application/json; charset=utf-8",
            "application/json",
            Form::Json,
        ),
    ] {
        let client = served.pages.with("content-type", content_type);
        let [slim, original] = [slim, original].map(|request| form.write(signal, request));
        let answer = client.ask(Method::POST, path, slim.clone()).await;
        assert_eq!(answer.status, StatusCode::OK, "{path}: {answer:?}");
        assert_eq!(answer.body, original, "{path}: {content_type}");
        assert_eq!(answer.headers["slimspan-references-left"], "0", "{path}");
        assert_eq!(answer.headers["content-type"], told, "{path}");
        let answer = client.ask(Method::POST, other, slim).await;
        assert_ne!(answer.body, original, "{other}: {content_type}");
    }
}

#[tokio::test]
async fn a_request_that_comes_slowly_holds_up_no_other() {
    let served = Served::start(&with_server()).await;
    let client = served.pages.with("content-type", "application/x-protobuf");
    let (path, request) = ("/v1/restore/traces", otlp::plain_span(1));
    let mut slow = client.announce(Method::POST, path, request.len()).await;
    assert!(slow.is_wanted().await);
    let answer = client.ask(Method::POST, path, request.clone()).await;
    assert_eq!(answer.status, StatusCode::OK, "{answer:?}");
    assert_eq!(answer.body, request);
    let answer = slow.send(&request).await;
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
}
