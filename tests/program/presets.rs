//! With the preset of a backend, nothing reaches it that it would cut or refuse.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use prost::Message as _;
use serde_json::json;
use slimspan_artifact::{Location, restore};
use slimspan_proto::Signal;

use crate::support::backend::Backend;
use crate::support::references::restored;
use crate::support::refusing::Refusing;
use crate::support::slimspan::{Slimspan, run};
use crate::support::{config, otlp};

/// The attributes of all spans that arrived, as text.
fn attributes(backend: &Backend) -> Vec<(String, String)> {
    let received = backend.received().into_iter();
    let requests = received.map(|one| ExportTraceServiceRequest::decode(one.message).unwrap());
    let scopes = requests
        .flat_map(|request| request.resource_spans)
        .flat_map(|resource| resource.scope_spans);
    let attributes = scopes
        .flat_map(|scope| scope.spans)
        .flat_map(|span| span.attributes);
    let pair = |one: opentelemetry_proto::tonic::common::v1::KeyValue| {
        let Some(Value::StringValue(text)) = one.value.unwrap().value else {
            panic!("{} is no text", one.key);
        };
        (one.key, text)
    };
    attributes.map(pair).collect()
}

/// Spans with a picture of `file` bytes, a text of `long` and many of `short`.
fn request(file: usize, long: usize, short: usize, spans: usize) -> Bytes {
    let text = |len: usize| otlp::text("slim spans, fat spans. ".repeat(len)[..len].to_owned());
    let mut items = vec![
        vec![("picture".to_owned(), otlp::data_uri(&otlp::photo(1, file)))],
        vec![("prompt".to_owned(), text(long))],
    ];
    items.extend((0..spans).map(|_| vec![("note".to_owned(), text(short))]));
    otlp::request(Signal::Traces, items)
}

fn count(attributes: &[(String, String)], key: &str) -> usize {
    attributes.iter().filter(|(name, _)| name == key).count()
}

/// Requests of a megabyte at most, values of 4,095 characters at most, and all of it is there.
#[tokio::test]
async fn new_relic_gets_what_it_takes() {
    let backend = Backend::start().await;
    let mut config = config::over_http(backend.address);
    config["exporters"]["otlp_http"]["preset"] = json!("newrelic");
    let slimspan = Slimspan::start(&config).await;
    let request = request(3_000, 5_000, 3_900, 600);
    assert!(request.len() > 2_000_000);
    let sender = slimspan.sender().await;
    assert_eq!(sender.send(Signal::Traces, &request).await.unwrap(), "");
    let received = backend.received();
    assert!(received.len() >= 3, "{}", received.len());
    assert!(received.iter().all(|one| one.message.len() <= 1_000_000));
    let attributes = attributes(&backend);
    let longest = attributes
        .iter()
        .map(|(_, text)| text.chars().count())
        .max();
    assert!(longest.unwrap() <= 4_095, "{longest:?}");
    for (key, times) in [("picture_ref", 1), ("prompt_ref", 1), ("note", 600)] {
        assert_eq!(count(&attributes, key), times, "{key}");
    }
}

/// Values of 2,048 bytes at most; without the preset they would be cut.
#[tokio::test]
async fn tempo_gets_what_it_does_not_cut() {
    for preset in [Some("tempo"), None] {
        let backend = Backend::start().await;
        let mut config = config::standard(backend.address);
        config["exporters"]["otlp_grpc"]["preset"] = json!(preset);
        let slimspan = Slimspan::start(&config).await;
        let sender = slimspan.sender().await;
        let request = request(1_600, 2_100, 2_040, 3);
        sender.send(Signal::Traces, &request).await.unwrap();
        let attributes = attributes(&backend);
        let cut = attributes.iter().filter(|(_, text)| text.len() > 2_048);
        assert_eq!(cut.count(), if preset.is_some() { 0 } else { 2 });
        assert_eq!(count(&attributes, "note"), 3);
        let moved = usize::from(preset.is_some());
        assert_eq!(count(&attributes, "picture_ref"), moved);
        assert_eq!(count(&attributes, "prompt_ref"), moved);
    }
}

/// What a backend does to values that are too long, as its documentation has it (docs/presets.md).
const LONGEST: &[(&str, usize)] = &[
    ("tempo", 2_048),
    ("jaeger", 32_766),
    ("datadog", 25_000),
    ("newrelic", 4_095),
    ("honeycomb", 65_535),
];

/// Whatever the size of a text or a file, no value is longer than the backend takes, and where it goes is told
/// beside it.
#[tokio::test]
async fn no_value_is_longer_than_the_backend_takes() {
    for (preset, longest) in LONGEST {
        let backend = Backend::start().await;
        let mut config = config::over_http(backend.address);
        config["exporters"]["otlp_http"]["preset"] = json!(preset);
        let slimspan = Slimspan::start(&config).await;
        let text = |len: usize| otlp::text("slim spans, fat spans. ".repeat(len)[..len].to_owned());
        let sizes = [
            longest / 2,
            longest - 100,
            longest + 1,
            longest * 2,
            longest * 9,
        ];
        let items = sizes.iter().flat_map(|size| {
            let picture = otlp::data_uri(&otlp::photo(1, *size));
            let bare = otlp::photo(2, size * 3 / 4);
            [
                vec![("text".to_owned(), text(*size))],
                vec![("picture".to_owned(), picture)],
                vec![("raw".to_owned(), otlp::bytes(&bare))],
            ]
        });
        let request = otlp::request(Signal::Traces, items.collect());
        let sender = slimspan.sender().await;
        assert_eq!(sender.send(Signal::Traces, &request).await.unwrap(), "");
        let mut moved = 0;
        for one in backend.received() {
            let request = slimspan_generators::Request::decode(Signal::Traces, &one.message);
            request.unwrap().visit(&mut |_, _, _, value| {
                let (len, is_reference) = match &value.value {
                    Some(Value::StringValue(text)) => (text.len(), text.starts_with("file://")),
                    Some(Value::BytesValue(bytes)) => (bytes.len().div_ceil(3) * 4, false),
                    _ => (0, false),
                };
                assert!(len <= *longest, "{preset}: a value of {len}");
                moved += usize::from(is_reference);
            });
        }
        // At least what would have been cut.
        assert!(moved >= 9, "{preset}: {moved} moved");
    }
}

/// Backends that show pictures by a link in a message part get one there.
#[tokio::test]
async fn links_stand_where_backends_show_them() {
    for preset in ["phoenix", "langfuse", "opik", "logfire"] {
        let backend = Backend::start().await;
        let mut config = config::standard(backend.address);
        config["exporters"]["otlp_grpc"]["preset"] = json!(preset);
        config["extensions"]["artifact_store"]["public_url"] = json!("https://files.example.com");
        let slimspan = Slimspan::start(&config).await;
        let request = otlp::span([("gen_ai.input.messages", otlp::chat_with(otlp::PICTURE))]);
        let sender = slimspan.sender().await;
        sender.send(Signal::Traces, &request).await.unwrap();
        let [(_, text)] = &attributes(&backend)[..] else {
            panic!("one attribute");
        };
        let messages: serde_json::Value = serde_json::from_str(text).unwrap();
        let url = &messages[0]["content"][0]["image_url"]["url"];
        let digest = slimspan_artifact::Digest::of(otlp::PICTURE);
        let expected = format!("https://files.example.com/artifacts/{digest}.png");
        assert_eq!(*url, expected, "{preset}: {text}");
    }
}

/// Phoenix answers OK and loses a span with bytes in it, however few. It gets none; a backend beside it gets
/// them as they came, and either request can be made whole.
#[tokio::test]
async fn phoenix_gets_no_bytes() {
    let (phoenix, other) = (Backend::start().await, Backend::start().await);
    let mut config = config::standard(phoenix.address);
    let mut of_phoenix = config::exporter(phoenix.address);
    of_phoenix["preset"] = json!("phoenix");
    config["exporters"] = json!({
        "otlp_grpc/phoenix": of_phoenix,
        "otlp_grpc/other": config::exporter(other.address),
    });
    for signal in ["traces", "logs", "metrics"] {
        config["service"]["pipelines"][signal]["exporters"] =
            json!(["otlp_grpc/phoenix", "otlp_grpc/other"]);
    }
    let slimspan = Slimspan::start(&config).await;
    let request = otlp::span([
        ("few", otlp::bytes(&[0, 1, 2, 3, 4])),
        ("none", otlp::bytes(&[])),
        ("picture", otlp::bytes(otlp::PICTURE)),
    ]);
    let sender = slimspan.sender().await;
    sender.send(Signal::Traces, &request).await.unwrap();
    let [one, two, (_, picture)] = &attributes(&phoenix)[..] else {
        panic!("three attributes");
    };
    let text = |(key, text): &(String, String)| format!("{key}: {text}");
    assert_eq!(text(one), "few: artifact://bytes/base64,AAECAwQ=");
    assert_eq!(text(two), "none: artifact://bytes/base64,");
    assert!(picture.starts_with("file://"), "{picture}");
    let others = otlp::attributes(&other.only());
    assert_eq!(others[0].1, Value::BytesValue(vec![0, 1, 2, 3, 4]));
    assert_eq!(others[1].1, Value::BytesValue(vec![]));
    for slim in [phoenix.only(), other.only()] {
        assert!(restored(Signal::Traces, &slim, &slimspan.artifacts()) == request);
    }
}

/// Also where the store fails, and requests go on with their files.
#[tokio::test]
async fn phoenix_gets_no_bytes_where_the_store_fails() {
    let (phoenix, refusing) = (Backend::start().await, Refusing::start());
    let mut config = config::with_s3(phoenix.address, refusing.address);
    config["extensions"]["artifact_store"]["timeout"] = json!("500ms");
    config["exporters"]["otlp_grpc"]["preset"] = json!("phoenix");
    let slimspan = Slimspan::start(&config).await;
    let request = otlp::span([
        ("few", otlp::bytes(&[0, 1, 2, 3, 4])),
        ("picture", otlp::bytes(otlp::PICTURE)),
    ]);
    let sender = slimspan.sender().await;
    sender.send(Signal::Traces, &request).await.unwrap();
    let [(_, few), (_, picture)] = &attributes(&phoenix)[..] else {
        panic!("two attributes");
    };
    assert_eq!(few, "artifact://bytes/base64,AAECAwQ=");
    let base64 = STANDARD.encode(otlp::PICTURE);
    assert!(*picture == format!("artifact://bytes/base64,{base64}"));
    let nowhere = Location::Public("http://nowhere".to_owned());
    let whole = restore(Signal::Traces, &phoenix.only(), &nowhere, |_| None).unwrap();
    assert!(whole.request == request);
}

/// Who validates a configuration sees what presets make of it.
#[tokio::test]
async fn what_presets_set_is_shown() {
    let folder = tempfile::tempdir().unwrap();
    let mut config = config::over_http(([127, 0, 0, 1], 1).into());
    config["exporters"]["otlp_http"]["preset"] = json!("newrelic");
    config["exporters"]["otlp_http"]["reference"] = json!("uri");
    let file = folder.path().join("collector.yaml");
    std::fs::write(&file, config.to_string()).unwrap();
    let ended = run(folder.path(), &["validate", "--config", "collector.yaml"]).await;
    assert_eq!(ended.code, Some(0), "{ended:?}");
    for line in [
        "  exporters.otlp_http.max_request_bytes: 1000000 (preset newrelic)\n",
        "  processors.artifact.threshold: 2KiB (preset newrelic)\n",
        "  processors.artifact.text_threshold: 4000 (preset newrelic)\n",
    ] {
        assert!(ended.stdout.contains(line), "{}", ended.stdout);
    }
    assert!(
        !ended.stdout.contains("reference: semconv"),
        "{}",
        ended.stdout
    );
}
