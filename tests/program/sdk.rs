//! The OpenTelemetry SDK for Python, as people use it.

use std::path::Path;

use serde_json::json;
use slimspan_artifact::Digest;
use slimspan_proto::Signal;
use tokio::process::Command;

use crate::support::backend::Backend;
use crate::support::certificates::Authority;
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

/// The same SDK over TLS, with the authority that it is told to trust and the token that it is told to
/// send; without either nothing gets through.
#[tokio::test]
async fn the_python_sdk_sends_over_tls_with_a_token() {
    let Some(python) = tool("otel/bin/python") else {
        return;
    };
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let backend = Backend::start().await;
    let (authority, stranger) = (Authority::new(), Authority::new());
    let folder = tempfile::tempdir().unwrap();
    authority.issue("127.0.0.1").write(folder.path(), "server");
    std::fs::write(folder.path().join("ca.pem"), authority.pem()).unwrap();
    std::fs::write(folder.path().join("stranger.pem"), stranger.pem()).unwrap();
    let mut config = config::standard(backend.address);
    config["extensions"]["bearertokenauth"] = json!({ "token": "s3cret" });
    config["service"]["extensions"] = json!(["artifact_store", "bearertokenauth"]);
    let protocol = json!({
        "endpoint": "127.0.0.1:0",
        "tls": { "cert_file": "server.pem", "key_file": "server.key" },
        "auth": { "authenticator": "bearertokenauth" },
    });
    config["receivers"]["otlp"]["protocols"] = json!({ "grpc": protocol });
    let slimspan = Slimspan::start_in(folder, &config).await;
    for (trusted, token, result) in [
        ("ca.pem", "s3cret", "SUCCESS"),
        ("ca.pem", "guessed", "FAILURE"),
        ("stranger.pem", "s3cret", "FAILURE"),
    ] {
        let before = backend.received().len();
        let script = Command::new(&python)
            .arg(root.join("tests/sdk/send.py"))
            .arg(root.join("src/cli/demo/picture.png"))
            .env(
                "OTEL_EXPORTER_OTLP_ENDPOINT",
                format!("https://{}", slimspan.addresses[0]),
            )
            .env(
                "OTEL_EXPORTER_OTLP_CERTIFICATE",
                slimspan.folder().join(trusted),
            )
            .env(
                "OTEL_EXPORTER_OTLP_HEADERS",
                format!("authorization=Bearer%20{token}"),
            )
            // Who is not trusted is tried again until then.
            .env(
                "OTEL_EXPORTER_OTLP_TIMEOUT",
                if result == "SUCCESS" { "10" } else { "1" },
            )
            .kill_on_drop(true)
            .output();
        let output = soon("the script ends", script).await.unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        let results: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
        let expected = [result; 5];
        assert_eq!(results, json!(expected), "{said}");
        let arrived = backend.received().len() - before;
        assert_eq!(arrived, if result == "SUCCESS" { 5 } else { 0 }, "{said}");
    }
}
