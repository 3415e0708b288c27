//! The OpenTelemetry SDKs for Python and Node.js, as people use them: every exporter that each of them has,
//! plain and over TLS with a token, compressed and not.
//!
//! Both have exporters for gRPC, and for protobuf and JSON over HTTP; Python's for JSON is a package of its own.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Output;
use std::time::Duration;

use bytes::Bytes;
use futures::future::join_all;
use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::metrics::v1::{metric, number_data_point};
use prost::Message as _;
use slimspan_artifact::Digest;
use slimspan_proto::Signal;
use tokio::process::Command;
use tokio::time::timeout;

use crate::support::backend::{Backend, Received};
use crate::support::certificates::Authority;
use crate::support::references::{path_in, references, restored};
use crate::support::rotel::Rotel;
use crate::support::slimspan::Slimspan;
use crate::support::tools::tool;
use crate::support::{SOON, config, otlp};

/// By which ways the SDKs send.
const PROTOCOLS: [&str; 3] = ["grpc", "http/protobuf", "http/json"];

/// An SDK that is installed here.
struct Sdk {
    language: Language,
    /// Its interpreter, or its packages.
    path: PathBuf,
    /// The same for JSON.
    of_json: PathBuf,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Language {
    Python,
    Node,
}

impl Sdk {
    fn python() -> Option<Self> {
        Some(Self {
            language: Language::Python,
            path: tool("otel/bin/python")?,
            of_json: tool("otel-json/bin/python")?,
        })
    }

    fn node() -> Option<Self> {
        let path = tool("otel-node/node_modules")?;
        Some(Self {
            language: Language::Node,
            of_json: path.clone(),
            path,
        })
    }

    /// Has the script of this name send the picture to a listener of `slimspan`.
    fn script(&self, name: &str, slimspan: &Slimspan, protocol: &str, scheme: &str) -> Command {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        let path = match protocol {
            "http/json" => &self.of_json,
            _ => &self.path,
        };
        let mut command = match self.language {
            Language::Python => Command::new(path),
            Language::Node => Command::new("node"),
        };
        command
            .arg(root.join(match self.language {
                Language::Python => format!("tests/sdk/{name}.py"),
                Language::Node => format!("tests/sdk/{name}.mjs"),
            }))
            .arg(root.join("src/cli/demo/picture.png"))
            .arg(protocol)
            .env("OTEL_EXPORTER_OTLP_PROTOCOL", protocol)
            .env("PACKAGES", path)
            // To Python's HTTP client these count for more than whom the SDK says to trust.
            .env_remove("REQUESTS_CA_BUNDLE")
            .env_remove("CURL_CA_BUNDLE")
            .kill_on_drop(true);
        let address = match protocol {
            "grpc" => slimspan.addresses[0],
            _ => slimspan.http_addresses[0],
        };
        let endpoint = format!("{scheme}://{address}");
        command.env("OTEL_EXPORTER_OTLP_ENDPOINT", endpoint);
        command
    }

    /// The script over TLS, trusting whom `trusted` is the file of, with a token.
    fn secured(
        &self,
        name: &str,
        slimspan: &Slimspan,
        protocol: &str,
        [trusted, token]: [&str; 2],
        patience: Duration,
    ) -> Command {
        let mut command = self.script(name, slimspan, protocol, "https");
        let headers = format!("authorization=Bearer%20{token}");
        command
            .env(
                "OTEL_EXPORTER_OTLP_CERTIFICATE",
                slimspan.folder().join(trusted),
            )
            .env("OTEL_EXPORTER_OTLP_HEADERS", headers)
            .env("OTEL_EXPORTER_OTLP_TIMEOUT", self.patience(patience));
        command
    }

    /// How it says how long an export may take.
    fn patience(&self, time: Duration) -> String {
        match self.language {
            Language::Python => time.as_secs().to_string(),
            Language::Node => time.as_millis().to_string(),
        }
    }

    /// What the backend and the store have after the script: slim requests, and the picture.
    fn check(&self, backend: &Backend, artifacts: &Path) {
        let received = backend.received();
        let found: Vec<_> = received
            .iter()
            .map(|one| references(one.signal, &one.message))
            .collect();
        let counts: Vec<_> = found.iter().map(Vec::len).collect();
        let (expected, most) = match self.language {
            // URI, JSON with two, base64, bytes, none.
            Language::Python => ([1, 2, 1, 1, 0], 3_000),
            // URI, part, base64, none, and bytes in a log.
            Language::Node => ([1, 1, 1, 0, 1], 1_000),
        };
        assert_eq!(counts, expected);
        assert!(received.iter().all(|one| one.message.len() < most));
        let digest = Digest::of(otlp::PICTURE).to_string();
        assert!(found.iter().flatten().all(|one| one.sha256 == digest));
        let stored = std::fs::read(path_in(artifacts, &digest)).unwrap();
        assert!(stored == otlp::PICTURE, "the picture, byte for byte");
        if self.language == Language::Node {
            check_restored(&received, artifacts);
        }
    }
}

/// Waits for the end of a script. An interpreter with all its packages starts slowly where others do, too.
async fn ended(what: &str, output: impl Future<Output = std::io::Result<Output>>) -> Output {
    let output = timeout(4 * SOON, output).await;
    let output = output.unwrap_or_else(|_| panic!("{what}: not within {:?}", 4 * SOON));
    output.unwrap()
}

/// Has a listener over HTTP take nothing but what is compressed in this way, so that a success tells that it
/// was. Over gRPC there is no such key.
fn takes_only(config: &mut serde_json::Value, compression: Option<&str>) {
    if let Some(name) = compression {
        let http = &mut config["receivers"]["otlp"]["protocols"]["http"];
        http["compression_algorithms"] = serde_json::json!([name]);
    }
}

/// What an exporter said of each of five spans, or of four and a log record.
fn results(what: &str, output: &Output) -> Vec<String> {
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{what}: {said}");
    serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{what}: {error}: {said}"))
}

/// What went in can be made again of what came out.
fn check_restored(received: &[Received], artifacts: &Path) {
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
    check_log(&log[0]);
}

/// The picture is the bytes in the body of the log record, which is a map.
fn check_log(whole: &Bytes) {
    let log = ExportLogsServiceRequest::decode(whole.clone()).unwrap();
    let body = log.resource_logs[0].scope_logs[0].log_records[0]
        .body
        .clone();
    let Some(Value::KvlistValue(map)) = body.unwrap().value else {
        panic!("the body is no map");
    };
    let value = map.values[0].value.clone().unwrap().value;
    assert!(value == Some(Value::BytesValue(otlp::PICTURE.to_vec())));
}

/// A real SDK and its own gRPC and HTTP clients: it is told of success, the file is in the store in one
/// piece, and the backend gets slim requests.
async fn pictures_get_stored(sdk: &Sdk, ways: &[(&str, Option<&str>)]) {
    for (protocol, compression) in ways {
        let backend = Backend::start().await;
        let mut config = config::with_http(backend.address);
        takes_only(&mut config, *compression);
        let slimspan = Slimspan::start(&config).await;
        let output = sdk
            .script("send", &slimspan, protocol, "http")
            .envs(compression.map(|name| ("OTEL_EXPORTER_OTLP_COMPRESSION", name)))
            .output();
        let what = format!("{:?} {protocol} {compression:?}", sdk.language);
        let output = ended(&what, output).await;
        assert_eq!(results(&what, &output), ["SUCCESS"; 5], "{what}");
        sdk.check(&backend, &slimspan.artifacts());
    }
}

#[tokio::test]
async fn the_python_sdk_gets_its_pictures_stored() {
    let Some(sdk) = Sdk::python() else {
        return;
    };
    let ways = [
        ("grpc", None),
        ("grpc", Some("gzip")),
        ("http/protobuf", None),
        ("http/protobuf", Some("gzip")),
        ("http/protobuf", Some("deflate")),
        ("http/json", None),
        ("http/json", Some("gzip")),
    ];
    pictures_get_stored(&sdk, &ways).await;
}

#[tokio::test]
async fn the_node_sdk_gets_its_pictures_stored() {
    let Some(sdk) = Sdk::node() else {
        return;
    };
    let ways = [
        ("grpc", None),
        ("grpc", Some("gzip")),
        ("http/protobuf", None),
        ("http/protobuf", Some("gzip")),
        ("http/json", None),
        ("http/json", Some("gzip")),
    ];
    pictures_get_stored(&sdk, &ways).await;
}

/// Over TLS with the certificate of an authority that `ca.pem` beside the configuration is of, and for those
/// who have the right token; `stranger.pem` is of somebody else.
async fn over_tls(backend: SocketAddr, compression: Option<&str>) -> Slimspan {
    let (authority, stranger) = (Authority::new(), Authority::new());
    let folder = tempfile::tempdir().unwrap();
    authority.issue("127.0.0.1").write(folder.path(), "server");
    std::fs::write(folder.path().join("ca.pem"), authority.pem()).unwrap();
    std::fs::write(folder.path().join("stranger.pem"), stranger.pem()).unwrap();
    let mut config = config::with_tls_and_token(backend, "right");
    takes_only(&mut config, compression);
    Slimspan::start_in(folder, &config).await
}

/// Who trusts it, and has the token.
const GOOD: [&str; 2] = ["ca.pem", "right"];

/// The same SDK over TLS, with the authority that it is told to trust and the token that it is told to
/// send; without either nothing gets through.
async fn comes_over_tls_with_its_token(sdk: &Sdk) {
    for protocol in PROTOCOLS {
        let backend = Backend::start().await;
        let slimspan = over_tls(backend.address, None).await;
        for who in [["stranger.pem", "right"], ["ca.pem", "wrong"], GOOD] {
            // Who is not trusted is tried again until then.
            let patience = Duration::from_secs(if who == GOOD { 10 } else { 1 });
            let output = sdk
                .secured("send", &slimspan, protocol, who, patience)
                .output();
            let what = format!("{:?} {protocol} {who:?}", sdk.language);
            let output = ended(&what, output).await;
            let results = results(&what, &output);
            if who == GOOD {
                assert_eq!(results, ["SUCCESS"; 5], "{what}");
                sdk.check(&backend, &slimspan.artifacts());
            } else {
                assert_eq!(results.len(), 5, "{what}");
                let got_through = results.iter().any(|one| one == "SUCCESS");
                assert!(!got_through, "{what}: {results:?}");
                assert!(backend.received().is_empty(), "{what}");
            }
        }
    }
}

/// The same with gzip.
async fn comes_over_tls_compressed(sdk: &Sdk) {
    for protocol in PROTOCOLS {
        let backend = Backend::start().await;
        let slimspan = over_tls(backend.address, Some("gzip")).await;
        let output = sdk
            .secured("send", &slimspan, protocol, GOOD, Duration::from_secs(10))
            .env("OTEL_EXPORTER_OTLP_COMPRESSION", "gzip")
            .output();
        let what = format!("{:?} {protocol} over TLS with gzip", sdk.language);
        let output = ended(&what, output).await;
        assert_eq!(results(&what, &output), ["SUCCESS"; 5], "{what}");
        sdk.check(&backend, &slimspan.artifacts());
    }
}

#[tokio::test]
async fn the_python_sdk_comes_over_tls_with_its_token() {
    if let Some(sdk) = Sdk::python() {
        comes_over_tls_with_its_token(&sdk).await;
    }
}

#[tokio::test]
async fn the_node_sdk_comes_over_tls_with_its_token() {
    if let Some(sdk) = Sdk::node() {
        comes_over_tls_with_its_token(&sdk).await;
    }
}

#[tokio::test]
async fn the_python_sdk_comes_over_tls_compressed() {
    if let Some(sdk) = Sdk::python() {
        comes_over_tls_compressed(&sdk).await;
    }
}

#[tokio::test]
async fn the_node_sdk_comes_over_tls_compressed() {
    if let Some(sdk) = Sdk::node() {
        comes_over_tls_compressed(&sdk).await;
    }
}

/// Logs and metrics over TLS with a token, and behind slimspan a Collector that others made, which reads all of
/// it and writes it again: the picture comes out as a reference, and the metric as it was.
async fn logs_and_metrics_reach_a_collector(sdk: &Sdk) {
    let ways = PROTOCOLS.map(|protocol| async move {
        let backend = Backend::start().await;
        let Some(rotel) = Rotel::start(backend.address).await else {
            return;
        };
        let slimspan = over_tls(rotel.address, None).await;
        let output = sdk
            .secured(
                "signals",
                &slimspan,
                protocol,
                GOOD,
                Duration::from_secs(10),
            )
            .output();
        let what = format!("{:?} {protocol} logs and metrics", sdk.language);
        let output = ended(&what, output).await;
        assert_eq!(results(&what, &output), ["SUCCESS"; 2], "{what}");

        let received = backend.arrived(2).await;
        let of = |signal| {
            let mut of = received.iter().filter(|one| one.signal == signal);
            let one = of.next();
            one.unwrap_or_else(|| panic!("{what}: no {signal}"))
        };
        let log = of(Signal::Logs);
        assert!(log.message.len() < 1_000, "{what}");
        let found = references(Signal::Logs, &log.message);
        let found: Vec<_> = found.iter().map(|one| &one.sha256).collect();
        let digest = Digest::of(otlp::PICTURE).to_string();
        assert_eq!(found, [&digest], "{what}");
        check_log(&restored(Signal::Logs, &log.message, &slimspan.artifacts()));
        let metrics = &*of(Signal::Metrics).message;
        let metrics = ExportMetricsServiceRequest::decode(metrics).unwrap();
        let metric = &metrics.resource_metrics[0].scope_metrics[0].metrics[0];
        assert_eq!(metric.name, "pictures.sent", "{what}");
        let Some(metric::Data::Sum(sum)) = &metric.data else {
            panic!("{what}: {metric:?}");
        };
        let is_three = match sum.data_points[0].value {
            Some(number_data_point::Value::AsInt(sent)) => sent == 3,
            Some(number_data_point::Value::AsDouble(sent)) => (sent - 3.0).abs() < f64::EPSILON,
            None => false,
        };
        assert!(is_three, "{what}: {metric:?}");
    });
    join_all(ways).await;
}

#[tokio::test]
async fn logs_and_metrics_of_the_python_sdk_reach_a_collector() {
    if let Some(sdk) = Sdk::python() {
        logs_and_metrics_reach_a_collector(&sdk).await;
    }
}

#[tokio::test]
async fn logs_and_metrics_of_the_node_sdk_reach_a_collector() {
    if let Some(sdk) = Sdk::node() {
        logs_and_metrics_reach_a_collector(&sdk).await;
    }
}
