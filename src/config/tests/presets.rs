//! Presets set what the documentation says, and nothing that somebody wrote.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a panic is a failed test"
)]

use bytesize::ByteSize;

use super::super::preset::{Preset, Values};
use crate::config::*;

const DOCUMENTATION: &str = include_str!("../../../docs/presets.md");

/// One backend behind one processor: what stands in each.
fn parse(exporter: &str, processor: &str) -> Config {
    parse_all(
        &format!("otlp_http: {{endpoint: http://host, {exporter}}}"),
        processor,
        "otlp_http",
    )
}

fn parse_all(exporters: &str, processor: &str, behind: &str) -> Config {
    let text = format!(
        "receivers: {{otlp: }}
processors:
  artifact: {{store: artifact_store, {processor}}}
exporters:
  {exporters}
extensions:
  artifact_store: {{url: ./data}}
service:
  extensions: [artifact_store]
  pipelines:
    traces: {{receivers: [otlp], processors: [artifact], exporters: [{behind}]}}
"
    );
    let parsed = Config::parse(&text, "c.yaml", |_| None);
    parsed.unwrap_or_else(|errors| panic!("{text}{errors}")).0
}

fn artifact(config: &Config) -> &ArtifactConfig {
    let Some(ProcessorConfig::Artifact(artifact)) = config.processors.get(&id("artifact")) else {
        panic!("{config:?}");
    };
    artifact
}

fn id(text: &str) -> ComponentId {
    text.parse().unwrap()
}

/// What an exporter and the processor before it have in the end.
fn outcome(
    config: &Config,
    exporter: &str,
) -> (ByteSize, Option<ReferenceForm>, ByteSize, Option<ByteSize>) {
    let exporter = config.exporters.get(&id(exporter)).unwrap();
    let artifact = artifact(config);
    (
        exporter.delivery().unwrap().max_request_bytes,
        exporter.reference(),
        artifact.threshold,
        artifact.text_threshold,
    )
}

fn size(text: &str) -> ByteSize {
    text.parse().unwrap()
}

fn form(text: &str) -> ReferenceForm {
    let known = [ReferenceForm::Native, ReferenceForm::Semconv];
    known
        .into_iter()
        .find(|form| form.to_string() == text)
        .unwrap()
}

/// Over either protocol, each preset comes to what its row of the table says.
#[test]
fn every_preset_is_what_the_table_says() {
    for preset in Preset::ALL {
        let Values {
            max_request_bytes,
            reference,
            bytes_values,
            threshold,
            text_threshold,
            ..
        } = preset.values();
        for (component, endpoint, largest) in [
            ("otlp_grpc", "host:4317", "4MiB"),
            ("otlp_http", "http://host", "20MiB"),
        ] {
            let exporter = format!("{component}: {{endpoint: '{endpoint}', preset: {preset}}}");
            let config = parse_all(&exporter, "", component);
            let expected = (
                size(max_request_bytes.unwrap_or(largest)),
                reference.map(form),
                size(threshold.unwrap_or("8KiB")),
                text_threshold.map(size),
            );
            assert_eq!(
                outcome(&config, component),
                expected,
                "{preset} {component}"
            );
            let exporter = config.exporters.get(&id(component)).unwrap();
            let of_bytes = bytes_values.map(|_| BytesForm::Text);
            assert_eq!(exporter.bytes_values(), of_bytes, "{preset} {component}");
            let set = [
                max_request_bytes,
                reference,
                bytes_values,
                threshold,
                text_threshold,
            ];
            assert_eq!(config.presets.len(), set.into_iter().flatten().count());
        }
        assert!(!preset.values().source.is_empty(), "{preset}: who says so?");
        let row = row(preset);
        assert!(
            DOCUMENTATION.contains(&row),
            "docs/presets.md has to have this row:\n{row}"
        );
    }
    let rows = DOCUMENTATION.lines().filter(|line| line.starts_with("| `"));
    assert_eq!(rows.count(), Preset::ALL.len(), "and no others");
}

/// A row of the documentation.
fn row(preset: Preset) -> String {
    let values = preset.values();
    let show =
        |value: Option<&str>| value.map_or_else(|| "-".to_owned(), |value| format!("`{value}`"));
    let unconfirmed = values
        .unconfirmed
        .map(|what| format!(". Not confirmed: {what}"));
    format!(
        "| `{preset}` | {} | {} | {} | {} | {} | {}{} | {} |",
        show(values.max_request_bytes),
        show(values.threshold),
        show(values.text_threshold),
        show(values.reference),
        show(values.bytes_values),
        values.because,
        unconfirmed.unwrap_or_default(),
        values.source,
    )
}

#[test]
fn what_is_written_counts() {
    let written = "max_request_bytes: 2MB, reference: object";
    let config = parse(
        &format!("preset: newrelic, {written}"),
        "threshold: 9KiB, text_threshold: null",
    );
    let expected = (size("2MB"), Some(ReferenceForm::Object), size("9KiB"), None);
    assert_eq!(outcome(&config, "otlp_http"), expected);
    assert_eq!(config.presets, []);
    // What is written for all backends counts for each.
    let config = parse("preset: newrelic", "reference: object");
    assert_eq!(outcome(&config, "otlp_http").1, None);
    assert_eq!(artifact(&config).reference, ReferenceForm::Object);
}

#[test]
fn a_processor_may_have_a_preset_of_its_own() {
    let config = parse("preset: newrelic", "preset: tempo");
    let (largest, reference, threshold, text_threshold) = outcome(&config, "otlp_http");
    assert_eq!(
        (largest, reference),
        (size("1MB"), Some(ReferenceForm::Semconv))
    );
    assert_eq!(
        (threshold, text_threshold),
        (size("1KiB"), Some(size("2KiB")))
    );
    assert_eq!(artifact(&config).reference, ReferenceForm::Semconv);
    let config = parse("timeout: 1s", "preset: phoenix");
    assert_eq!(artifact(&config).reference, ReferenceForm::Native);
    let shown: Vec<_> = config.presets.iter().map(ToString::to_string).collect();
    assert_eq!(
        shown,
        [
            "processors.artifact.reference: native (preset phoenix)",
            "processors.artifact.bytes_values: text (preset phoenix)",
        ]
    );
    assert_eq!(artifact(&config).bytes_values, Some(BytesForm::Text));
}

/// Where spans are lost without it, it is not enough to spell out that nothing is said; what is said counts.
#[test]
fn a_null_does_not_keep_bytes_from_a_backend_that_loses_spans_for_them() {
    for (of_exporter, of_processor, expected) in [
        ("null", "null", Some(BytesForm::Text)),
        ("keep", "null", Some(BytesForm::Keep)),
        ("null", "keep", None),
        ("text", "keep", Some(BytesForm::Text)),
    ] {
        let config = parse(
            &format!("preset: phoenix, bytes_values: {of_exporter}"),
            &format!("bytes_values: {of_processor}"),
        );
        let exporter = config.exporters.get(&id("otlp_http")).unwrap();
        let why = format!("{of_exporter} {of_processor}");
        assert_eq!(exporter.bytes_values(), expected, "{why}");
        let set = config.presets.iter().map(|set| set.path.as_str());
        let is_set = set.filter(|path| path.ends_with("bytes_values")).count();
        assert_eq!(is_set, usize::from(of_exporter == of_processor), "{why}");
    }
    // Everywhere else a null is as good as a value.
    let config = parse("preset: phoenix, reference: null", "");
    assert_eq!(outcome(&config, "otlp_http").1, None);
}

#[test]
fn a_processor_has_the_preset_that_all_behind_it_have() {
    let one = |preset: &str, number: u8| {
        format!("otlp_http/{number}: {{endpoint: http://host, preset: {preset}}}")
    };
    let none = "otlp_http/2: {endpoint: http://host}".to_owned();
    let debug = "debug: {verbosity: basic}".to_owned();
    for (exporters, behind, threshold) in [
        (
            [one("tempo", 1), one("tempo", 2)],
            "otlp_http/1, otlp_http/2",
            "1KiB",
        ),
        ([one("tempo", 1), debug], "otlp_http/1, debug", "1KiB"),
        (
            [one("tempo", 1), one("jaeger", 2)],
            "otlp_http/1, otlp_http/2",
            "8KiB",
        ),
        ([one("tempo", 1), none], "otlp_http/1, otlp_http/2", "8KiB"),
        ([one("tempo", 1), one("jaeger", 2)], "otlp_http/1", "1KiB"),
    ] {
        let config = parse_all(&exporters.join("\n  "), "", behind);
        assert_eq!(
            artifact(&config).threshold,
            size(threshold),
            "{exporters:?}"
        );
    }
}

#[test]
fn a_preset_that_nobody_knows_is_a_mistake() {
    let text = "receivers: {otlp: }\nexporters:\n  otlp_grpc: {endpoint: 'host:1', preset: zipkin}\n\
                service: {pipelines: {traces: {receivers: [otlp], exporters: [otlp_grpc]}}}\n";
    let errors = Config::parse(text, "c.yaml", |_| None)
        .unwrap_err()
        .to_string();
    assert!(
        errors.contains(
            "c.yaml:3: exporters.otlp_grpc.preset: unknown value \"zipkin\"; known are otlp, tempo,"
        ),
        "{errors}"
    );
}
