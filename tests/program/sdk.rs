//! The OpenTelemetry SDK for Python, as people use it.

use std::path::Path;

use serde_json::json;
use slimspan_artifact::Digest;
use slimspan_proto::Signal;
use tokio::process::Command;

use crate::support::backend::Backend;
use crate::support::references::{path_in, references};
use crate::support::slimspan::Slimspan;
use crate::support::tools::tool;
use crate::support::{config, otlp, soon};

/// A real SDK and its own gRPC and HTTP clients: it is told of success, the file is in the store in one
/// piece, and the backend gets slim spans.
#[tokio::test]
async fn the_python_sdk_gets_its_pictures_stored() {
    let Some(python) = tool("otel/bin/python") else {
        return;
    };
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    for (protocol, compression) in [
        ("grpc", None),
        ("grpc", Some("gzip")),
        ("http/protobuf", None),
        ("http/protobuf", Some("gzip")),
        ("http/protobuf", Some("deflate")),
    ] {
        let backend = Backend::start().await;
        let slimspan = Slimspan::start(&config::with_http(backend.address)).await;
        let address = match protocol {
            "grpc" => slimspan.addresses[0],
            _ => slimspan.http_addresses[0],
        };
        let script = Command::new(&python)
            .envs(compression.map(|name| ("OTEL_EXPORTER_OTLP_COMPRESSION", name)))
            .arg(root.join("tests/sdk/send.py"))
            .arg(root.join("src/cli/demo/picture.png"))
            .env("OTEL_EXPORTER_OTLP_ENDPOINT", format!("http://{address}"))
            .env("OTEL_EXPORTER_OTLP_PROTOCOL", protocol)
            .kill_on_drop(true)
            .output();
        let output = soon("the script ends", script).await.unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{said}");
        let results: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
        let success = ["SUCCESS"; 5];
        assert_eq!(
            results,
            json!(success),
            "{protocol} {compression:?}: {said}"
        );

        let received = backend.received();
        let found: Vec<_> = received
            .iter()
            .map(|one| references(Signal::Traces, &one.message))
            .collect();
        let counts: Vec<_> = found.iter().map(Vec::len).collect();
        assert_eq!(
            counts,
            [1, 2, 1, 1, 0],
            "URI, JSON with two, base64, bytes, none"
        );
        let digest = Digest::of(otlp::PICTURE).to_string();
        assert!(found.iter().flatten().all(|one| one.sha256 == digest));
        assert!(received.iter().all(|one| one.message.len() < 3_000));
        let stored = std::fs::read(path_in(&slimspan.artifacts(), &digest)).unwrap();
        assert!(stored == otlp::PICTURE);
    }
}
