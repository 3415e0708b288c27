//! The OpenTelemetry SDK for Node.js, with each of its three exporters.

use std::path::Path;
use std::process::Output;

use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use prost::Message as _;
use slimspan_artifact::Digest;
use slimspan_proto::Signal;
use tokio::process::Command;

use crate::support::backend::Backend;
use crate::support::certificates::Authority;
use crate::support::references::{path_in, references, restored};
use crate::support::slimspan::Slimspan;
use crate::support::tools::tool;
use crate::support::{config, otlp, soon};

const PROTOCOLS: [&str; 3] = ["grpc", "http/protobuf", "http/json"];

/// What the exporters said, of four spans and a log record.
fn results(output: &Output) -> Vec<String> {
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    serde_json::from_slice(&output.stdout).unwrap()
}

/// Where a listener of slimspan is.
fn endpoint(slimspan: &Slimspan, protocol: &str, scheme: &str) -> String {
    let address = match protocol {
        "grpc" => slimspan.addresses[0],
        _ => slimspan.http_addresses[0],
    };
    format!("{scheme}://{address}")
}

fn script(packages: &Path, protocol: &str) -> Command {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut command = Command::new("node");
    command
        .arg(root.join("tests/sdk/send.mjs"))
        .arg(root.join("src/cli/demo/picture.png"))
        .arg(protocol)
        .env("PACKAGES", packages)
        .kill_on_drop(true);
    command
}

/// What the backend and the store have after the script: slim requests of which the whole can be
/// made again, and the picture.
fn check(backend: &Backend, artifacts: &Path) {
    let received = backend.received();
    let counts: Vec<_> = received
        .iter()
        .map(|one| references(one.signal, &one.message).len())
        .collect();
    assert_eq!(counts, [1, 1, 1, 0, 1], "URI, part, base64, none, bytes");
    assert!(received.iter().all(|one| one.message.len() < 1_000));
    let digest = Digest::of(otlp::PICTURE).to_string();
    let stored = std::fs::read(path_in(artifacts, &digest)).unwrap();
    assert!(stored == otlp::PICTURE, "the picture, byte for byte");

    let whole: Vec<_> = received
        .iter()
        .map(|one| restored(one.signal, &one.message, artifacts))
        .collect();
    let (spans, log) = whole.split_at(4);
    let values: Vec<_> = spans
        .iter()
        .map(|span| match otlp::attributes(span).remove(0) {
            (_, Value::StringValue(text)) => text,
            (key, value) => panic!("{key} is {value:?}"),
        })
        .collect();
    let (Value::StringValue(uri), blob) = (otlp::data_uri(otlp::PICTURE), &values[1]) else {
        unreachable!("a data URI is a text");
    };
    let base64 = uri.split_once(',').unwrap().1;
    assert!(values[0] == uri && values[2] == base64);
    let blob: serde_json::Value = serde_json::from_str(blob).unwrap();
    assert!(blob[0]["parts"][1]["content"] == base64 && blob[0]["parts"][1]["type"] == "blob");

    assert_eq!(received[4].signal, Signal::Logs);
    let log = ExportLogsServiceRequest::decode(log[0].clone()).unwrap();
    let body = log.resource_logs[0].scope_logs[0].log_records[0]
        .body
        .clone();
    let Some(Value::KvlistValue(map)) = body.unwrap().value else {
        panic!("the body is no map");
    };
    let value = map.values[0].value.clone().unwrap().value;
    assert!(value == Some(Value::BytesValue(otlp::PICTURE.to_vec())));
}

/// Every exporter is told of success, and what it sent is whole again with the file from the store.
#[tokio::test]
async fn the_node_sdk_gets_its_pictures_stored() {
    let Some(packages) = tool("otel-node/node_modules") else {
        return;
    };
    for protocol in PROTOCOLS {
        let backend = Backend::start().await;
        let slimspan = Slimspan::start(&config::with_http(backend.address)).await;
        let output = script(&packages, protocol)
            .env(
                "OTEL_EXPORTER_OTLP_ENDPOINT",
                endpoint(&slimspan, protocol, "http"),
            )
            .output();
        let output = soon("the script ends", output).await.unwrap();
        assert_eq!(results(&output), ["SUCCESS"; 5], "{protocol}");
        check(&backend, &slimspan.artifacts());
    }
}

/// The same over TLS, for those who have the token and trust who vouches for slimspan; for others nothing
/// goes in.
#[tokio::test]
async fn the_node_sdk_comes_over_tls_with_its_token() {
    let Some(packages) = tool("otel-node/node_modules") else {
        return;
    };
    let (authority, stranger) = (Authority::new(), Authority::new());
    for protocol in PROTOCOLS {
        let backend = Backend::start().await;
        let folder = tempfile::tempdir().unwrap();
        authority.issue("127.0.0.1").write(folder.path(), "server");
        std::fs::write(folder.path().join("ca.pem"), authority.pem()).unwrap();
        std::fs::write(folder.path().join("stranger.pem"), stranger.pem()).unwrap();
        let config = config::with_tls_and_token(backend.address, "right");
        let slimspan = Slimspan::start_in(folder, &config).await;

        for (trusted, token, comes_in) in [
            ("stranger.pem", "right", false),
            ("ca.pem", "wrong", false),
            ("ca.pem", "right", true),
        ] {
            let output = script(&packages, protocol)
                .env(
                    "OTEL_EXPORTER_OTLP_ENDPOINT",
                    endpoint(&slimspan, protocol, "https"),
                )
                .env(
                    "OTEL_EXPORTER_OTLP_CERTIFICATE",
                    slimspan.folder().join(trusted),
                )
                .env(
                    "OTEL_EXPORTER_OTLP_HEADERS",
                    format!("authorization=Bearer%20{token}"),
                )
                // In milliseconds. Who is not trusted is tried again until then.
                .env(
                    "OTEL_EXPORTER_OTLP_TIMEOUT",
                    if comes_in { "10000" } else { "1000" },
                )
                .output();
            let output = soon("the script ends", output).await.unwrap();
            let results = results(&output);
            if comes_in {
                assert_eq!(results, ["SUCCESS"; 5], "{protocol}");
                check(&backend, &slimspan.artifacts());
            } else {
                assert_eq!(results.len(), 5, "{protocol}");
                assert!(!results.iter().any(|one| one == "SUCCESS"), "{protocol}");
                assert!(backend.received().is_empty(), "{protocol}");
            }
        }
    }
}
