//! The OpenTelemetry SDK for Python, as people use it.
//!
//! It has exporters for gRPC and for protobuf over HTTP, and none for JSON, as a test here shows. The SDK
//! for Node.js has one.

use std::path::Path;
use std::process::Output;

use slimspan_artifact::Digest;
use slimspan_proto::Signal;
use tokio::process::Command;

use crate::support::backend::Backend;
use crate::support::certificates::Authority;
use crate::support::references::{path_in, references};
use crate::support::slimspan::Slimspan;
use crate::support::tools::tool;
use crate::support::{config, otlp, soon};

const PROTOCOLS: [&str; 2] = ["grpc", "http/protobuf"];

/// Where a listener of slimspan is.
fn endpoint(slimspan: &Slimspan, protocol: &str, scheme: &str) -> String {
    let address = match protocol {
        "grpc" => slimspan.addresses[0],
        _ => slimspan.http_addresses[0],
    };
    format!("{scheme}://{address}")
}

fn script(python: &Path, protocol: &str) -> Command {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut command = Command::new(python);
    command
        .arg(root.join("tests/sdk/send.py"))
        .arg(root.join("src/cli/demo/picture.png"))
        .env("OTEL_EXPORTER_OTLP_PROTOCOL", protocol)
        // To its HTTP client these count for more than whom the SDK says to trust.
        .env_remove("REQUESTS_CA_BUNDLE")
        .env_remove("CURL_CA_BUNDLE")
        .kill_on_drop(true);
    command
}

/// What the exporter said of each of five spans.
fn results(output: &Output) -> Vec<String> {
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {said}"))
}

/// What the backend and the store have after the script: slim spans, and the picture.
fn check(backend: &Backend, artifacts: &Path) {
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
    let stored = std::fs::read(path_in(artifacts, &digest)).unwrap();
    assert!(stored == otlp::PICTURE);
}

/// A real SDK and its own gRPC and HTTP clients: it is told of success, the file is in the store in one
/// piece, and the backend gets slim spans.
#[tokio::test]
async fn the_python_sdk_gets_its_pictures_stored() {
    let Some(python) = tool("otel/bin/python") else {
        return;
    };
    for (protocol, compression) in [
        ("grpc", None),
        ("grpc", Some("gzip")),
        ("http/protobuf", None),
        ("http/protobuf", Some("gzip")),
        ("http/protobuf", Some("deflate")),
    ] {
        let backend = Backend::start().await;
        let slimspan = Slimspan::start(&config::with_http(backend.address)).await;
        let output = script(&python, protocol)
            .envs(compression.map(|name| ("OTEL_EXPORTER_OTLP_COMPRESSION", name)))
            .env(
                "OTEL_EXPORTER_OTLP_ENDPOINT",
                endpoint(&slimspan, protocol, "http"),
            )
            .output();
        let output = soon("the script ends", output).await.unwrap();
        assert_eq!(
            results(&output),
            ["SUCCESS"; 5],
            "{protocol} {compression:?}"
        );
        check(&backend, &slimspan.artifacts());
    }
}

/// The same SDK over TLS, with the authority that it is told to trust and the token that it is told to
/// send; without either nothing gets through.
#[tokio::test]
async fn the_python_sdk_comes_over_tls_with_its_token() {
    let Some(python) = tool("otel/bin/python") else {
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
            let output = script(&python, protocol)
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
                // Who is not trusted is tried again until then.
                .env(
                    "OTEL_EXPORTER_OTLP_TIMEOUT",
                    if comes_in { "10" } else { "1" },
                )
                .output();
            let what = format!("the script ends: {protocol} {trusted} {token}");
            let output = soon(&what, output).await.unwrap();
            let expected = if comes_in { "SUCCESS" } else { "FAILURE" };
            let said = String::from_utf8_lossy(&output.stderr);
            let what = format!("{what}: {said}");
            assert_eq!(results(&output), [expected; 5], "{what}");
            if comes_in {
                check(&backend, &slimspan.artifacts());
            } else {
                assert!(backend.received().is_empty(), "{what}");
            }
        }
    }
}

/// When it has one, this fails, and `http/json` joins the protocols above.
#[tokio::test]
async fn the_python_sdk_has_no_exporter_of_json() {
    let Some(python) = tool("otel/bin/python") else {
        return;
    };
    let configure =
        "from opentelemetry.sdk._configuration import _OTelSDKConfigurator as Configurator
Configurator().configure(auto_instrumentation_version='')";
    for (protocol, is_known) in [("http/protobuf", true), ("http/json", false)] {
        let output = Command::new(&python)
            .args(["-c", configure])
            .env("OTEL_TRACES_EXPORTER", "otlp")
            .env("OTEL_METRICS_EXPORTER", "none")
            .env("OTEL_LOGS_EXPORTER", "none")
            .env("OTEL_EXPORTER_OTLP_PROTOCOL", protocol)
            .kill_on_drop(true)
            .output();
        let output = soon("it ends", output).await.unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.success(), is_known, "{protocol}: {said}");
        let refusal = format!("Unsupported OTLP protocol '{protocol}'");
        assert_eq!(said.contains(&refusal), !is_known, "{said}");
    }
}
