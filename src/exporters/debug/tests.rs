#![expect(clippy::unwrap_used, reason = "tests")]
#![expect(
    clippy::unnecessary_wraps,
    reason = "optional fields are filled by functions of their type"
)]

use opentelemetry_proto::tonic::collector::{
    logs::v1::ExportLogsServiceRequest, metrics::v1::ExportMetricsServiceRequest,
    trace::v1::ExportTraceServiceRequest,
};
use opentelemetry_proto::tonic::common::v1::{
    AnyValue, ArrayValue, InstrumentationScope, KeyValue, KeyValueList, any_value::Value,
};
use opentelemetry_proto::tonic::logs::v1::{LogRecord, ResourceLogs, ScopeLogs};
use opentelemetry_proto::tonic::metrics::v1::{
    Exemplar, Gauge, Histogram, HistogramDataPoint, Metric, NumberDataPoint, ResourceMetrics,
    ScopeMetrics, exemplar, metric::Data, number_data_point,
};
use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_proto::tonic::trace::v1::{
    ResourceSpans, ScopeSpans, Span, Status,
    span::{Event, Link},
};
use prost::Message as _;
use slimspan_proto::Signal;

use super::{DebugConfig, Verbosity, render};
use crate::terminal::Style;

/// 2024-05-01T12:00:00Z in nanoseconds.
const NOON: u64 = 1_714_564_800_000_000_000;

const REFERENCE: &str = r#"{"type":"artifact","sha256":"a34e4caf65f0a34e4caf65f0a34e4caf65f0a34e4caf65f0a34e4caf65f0abcd","content_type":"image/png","size_bytes":19763,"uri":"file:///blobs/a3.png","encoding":"base64","prefix":"data:image/png;base64,"}"#;

fn plain(signal: Signal, request: &[u8], verbosity: Verbosity) -> String {
    render(signal, request, verbosity, Style::Plain)
}

fn attribute(key: &str, value: Value) -> KeyValue {
    KeyValue {
        key: key.to_owned(),
        value: any(value),
        ..KeyValue::default()
    }
}

fn string(key: &str, value: &str) -> KeyValue {
    attribute(key, text(value))
}

fn text(value: &str) -> Value {
    Value::StringValue(value.to_owned())
}

fn any(value: Value) -> Option<AnyValue> {
    Some(AnyValue { value: Some(value) })
}

fn resource() -> Option<Resource> {
    Some(Resource {
        attributes: vec![string("service.name", "shop")],
        ..Resource::default()
    })
}

fn scope() -> Option<InstrumentationScope> {
    Some(InstrumentationScope {
        name: "instrumentation".to_owned(),
        version: "1.2".to_owned(),
        ..InstrumentationScope::default()
    })
}

fn traces(spans: Vec<Span>) -> Vec<u8> {
    ExportTraceServiceRequest {
        resource_spans: vec![ResourceSpans {
            resource: resource(),
            scope_spans: vec![ScopeSpans {
                scope: scope(),
                spans,
                schema_url: "https://opentelemetry.io/schemas/1.30.0".to_owned(),
            }],
            ..ResourceSpans::default()
        }],
    }
    .encode_to_vec()
}

fn chat(attributes: Vec<KeyValue>) -> Span {
    Span {
        trace_id: vec![0x4b; 16],
        span_id: vec![0x0a; 8],
        name: "chat gpt-4o".to_owned(),
        kind: 3,
        start_time_unix_nano: NOON,
        end_time_unix_nano: NOON + 812_000_000,
        attributes,
        ..Span::default()
    }
}

fn logs() -> Vec<u8> {
    ExportLogsServiceRequest {
        resource_logs: vec![ResourceLogs {
            resource: resource(),
            scope_logs: vec![ScopeLogs {
                scope: scope(),
                log_records: vec![LogRecord {
                    time_unix_nano: NOON,
                    severity_number: 9,
                    severity_text: "INFO".to_owned(),
                    event_name: "gen_ai.choice".to_owned(),
                    trace_id: vec![0x4b; 16],
                    body: any(Value::KvlistValue(KeyValueList {
                        values: vec![
                            string("image", REFERENCE),
                            attribute(
                                "scores",
                                Value::ArrayValue(ArrayValue {
                                    values: vec![
                                        any(Value::DoubleValue(1.0)).unwrap(),
                                        AnyValue { value: None },
                                        any(text("a")).unwrap(),
                                    ],
                                }),
                            ),
                        ],
                    })),
                    ..LogRecord::default()
                }],
                ..ScopeLogs::default()
            }],
            ..ResourceLogs::default()
        }],
    }
    .encode_to_vec()
}

fn metrics() -> Vec<u8> {
    let requests = Metric {
        name: "requests".to_owned(),
        unit: "1".to_owned(),
        data: Some(Data::Gauge(Gauge {
            data_points: vec![NumberDataPoint {
                attributes: vec![
                    string("route", "/ask"),
                    attribute("hot", Value::BoolValue(true)),
                ],
                time_unix_nano: NOON,
                value: Some(number_data_point::Value::AsInt(5)),
                ..NumberDataPoint::default()
            }],
        })),
        ..Metric::default()
    };
    let latency = Metric {
        name: "latency".to_owned(),
        unit: "ms".to_owned(),
        data: Some(Data::Histogram(Histogram {
            aggregation_temporality: 2,
            data_points: vec![HistogramDataPoint {
                start_time_unix_nano: NOON,
                time_unix_nano: NOON,
                count: 3,
                sum: Some(30.5),
                bucket_counts: vec![2, 1],
                explicit_bounds: vec![10.0],
                exemplars: vec![Exemplar {
                    value: Some(exemplar::Value::AsDouble(20.5)),
                    ..Exemplar::default()
                }],
                ..HistogramDataPoint::default()
            }],
        })),
        ..Metric::default()
    };
    ExportMetricsServiceRequest {
        resource_metrics: vec![ResourceMetrics {
            resource: resource(),
            scope_metrics: vec![ScopeMetrics {
                scope: scope(),
                metrics: vec![requests, latency],
                ..ScopeMetrics::default()
            }],
            ..ResourceMetrics::default()
        }],
    }
    .encode_to_vec()
}

#[test]
fn basic_counts() {
    let request = traces(vec![chat(Vec::new()), chat(Vec::new())]);
    for (signal, request, contents) in [
        (Signal::Traces, request, "2 spans"),
        (Signal::Logs, logs(), "1 log record"),
        (Signal::Metrics, metrics(), "2 metrics, 2 data points"),
    ] {
        assert_eq!(
            plain(signal, &request, Verbosity::Basic),
            format!("{signal}: 1 resource, {contents}, {} B\n", request.len())
        );
    }
    assert_eq!(
        plain(Signal::Traces, &[], Verbosity::Detailed),
        "traces: 0 resources, 0 spans, 0 B\n"
    );
}

#[test]
fn normal_shows_references_and_cuts_long_values() {
    let messages = format!(r#"[{{"role":"user","content":[{REFERENCE},{REFERENCE}]}}]"#);
    let mut span = chat(vec![
        string("gen_ai.input.messages", &messages),
        string("long", &"ä".repeat(161)),
        attribute("document.pdf", Value::BytesValue(vec![0x25; 20])),
    ]);
    span.status = Some(Status {
        code: 2,
        message: "overloaded".to_owned(),
    });
    span.events = vec![Event {
        name: "retry".to_owned(),
        attributes: vec![attribute("attempt", Value::IntValue(2))],
        ..Event::default()
    }];
    let shown = plain(Signal::Traces, &traces(vec![span]), Verbosity::Normal);
    let (_, lines) = shown.split_once('\n').unwrap();
    assert_eq!(
        lines,
        format!(
            r#"  chat gpt-4o  trace 4b4b4b4b  812.0ms  error overloaded
    gen_ai.input.messages = [{{"role":"user","content":[‹artifact›,‹artifact›]}}]
      ↳ artifact image/png 19.3 KiB sha256 a34e4caf65f0… file:///blobs/a3.png
      ↳ artifact image/png 19.3 KiB sha256 a34e4caf65f0… file:///blobs/a3.png
    long = {}… (2 B more)
    document.pdf = 20 bytes 25252525252525252525252525252525…
    event retry
      attempt = 2
"#,
            "ä".repeat(160)
        )
    );
}

#[test]
fn normal_shows_logs() {
    let shown = plain(Signal::Logs, &logs(), Verbosity::Normal);
    let (_, lines) = shown.split_once('\n').unwrap();
    assert_eq!(
        lines,
        r#"  2024-05-01T12:00:00Z INFO gen_ai.choice  trace 4b4b4b4b
    body = {image: "‹artifact›", scores: [1.0, , "a"]}
      ↳ artifact image/png 19.3 KiB sha256 a34e4caf65f0… file:///blobs/a3.png
"#
    );
}

#[test]
fn normal_shows_metrics() {
    let shown = plain(Signal::Metrics, &metrics(), Verbosity::Normal);
    let (_, lines) = shown.split_once('\n').unwrap();
    assert_eq!(
        lines,
        r#"  requests  gauge, 1 data point
    {route: "/ask", hot: true} 5 1
  latency  cumulative histogram, 1 data point
    count 3, sum 30.5 ms
"#
    );
}

#[test]
fn detailed_shows_everything_of_a_span() {
    let mut span = chat(vec![string("picture", REFERENCE), string("empty", "")]);
    span.parent_span_id = vec![1; 8];
    span.trace_state = "a=b".to_owned();
    span.flags = 0x101;
    span.status = Some(Status::default());
    span.dropped_attributes_count = 4;
    span.events = vec![Event {
        name: "retry".to_owned(),
        time_unix_nano: NOON,
        attributes: vec![KeyValue::default()],
        ..Event::default()
    }];
    span.links = vec![Link {
        trace_id: vec![2; 16],
        span_id: vec![3; 8],
        ..Link::default()
    }];
    let shown = plain(Signal::Traces, &traces(vec![span]), Verbosity::Detailed);
    let (_, lines) = shown.split_once('\n').unwrap();
    assert_eq!(
        lines,
        format!(
            "\
resource #0
  attributes
    -> service.name: Str(shop)
  scope #0
    schema url    : https://opentelemetry.io/schemas/1.30.0
    name          : instrumentation
    version       : 1.2
    span #0
      trace id      : {}
      parent id     : 0101010101010101
      id            : 0a0a0a0a0a0a0a0a
      trace state   : a=b
      flags         : 0x00000101
      name          : chat gpt-4o
      kind          : client
      start         : 2024-05-01T12:00:00Z
      end           : 2024-05-01T12:00:00.812Z
      status        : unset
      attributes
        -> picture: Str({REFERENCE})
            ↳ artifact image/png 19.3 KiB sha256 a34e4caf65f0… file:///blobs/a3.png
        -> empty: Str()
      dropped       : 4 attributes
      event #0
        name          : retry
        time          : 2024-05-01T12:00:00Z
        attributes
          -> : Empty()
      link #0
        trace id      : {}
        id            : 0303030303030303
",
            "4b".repeat(16),
            "02".repeat(16)
        )
    );
}

#[test]
fn detailed_shows_logs_and_data_points() {
    let shown = plain(Signal::Logs, &logs(), Verbosity::Detailed);
    assert!(
        shown.contains("severity      : INFO (9)\n      event name    : gen_ai.choice"),
        "{shown}"
    );
    assert!(
        shown.contains("-> body: Map({image: \"{\"type\""),
        "{shown}"
    );

    let shown = plain(Signal::Metrics, &metrics(), Verbosity::Detailed);
    let (_, histogram) = shown.split_once("metric #1\n").unwrap();
    assert_eq!(
        histogram,
        "      name          : latency
      unit          : ms
      kind          : cumulative histogram
      data point #0
        start         : 2024-05-01T12:00:00Z
        time          : 2024-05-01T12:00:00Z
        value         : count 3, sum 30.5
          up to 10.0: 2
          above: 1
        exemplar #0
          time          : -
          value         : 20.5
"
    );
}

#[test]
fn a_request_that_does_not_decode_gives_one_line() {
    // The name of the span is cut into the middle of a character.
    let mut request = traces(vec![chat(Vec::new())]);
    let name = request.windows(4).position(|at| at == b"chat").unwrap();
    if let Some(byte) = request.get_mut(name) {
        *byte = 0xc3;
    }
    for verbosity in [Verbosity::Basic, Verbosity::Normal, Verbosity::Detailed] {
        let shown = plain(Signal::Traces, &request, verbosity);
        assert!(
            shown.starts_with("traces: 160 B that cannot be shown: "),
            "{shown}"
        );
        assert_eq!(shown.lines().count(), 1);
    }
}

#[test]
fn telemetry_cannot_drive_the_terminal() {
    let hostile = "\u{1b}[2J\u{9b}2J\r\nfake line\u{7}\u{202e}";
    let mut span = chat(vec![string(hostile, hostile)]);
    span.name = hostile.to_owned();
    span.trace_state = hostile.to_owned();
    span.status = Some(Status {
        code: 2,
        message: hostile.to_owned(),
    });
    span.events = vec![Event {
        name: hostile.to_owned(),
        ..Event::default()
    }];
    let request = traces(vec![span]);
    for verbosity in [Verbosity::Normal, Verbosity::Detailed] {
        let shown = plain(Signal::Traces, &request, verbosity);
        assert!(
            shown
                .chars()
                .all(|symbol| symbol == '\n' || !symbol.is_control()),
            "{shown:?}"
        );
        assert!(!shown.contains('\u{202e}'), "{shown:?}");
        assert!(!shown.contains("\nfake"), "{shown:?}");
    }
}

#[test]
fn colours_only_when_told() {
    let request = traces(vec![chat(vec![string("picture", REFERENCE)])]);
    for verbosity in [Verbosity::Basic, Verbosity::Normal, Verbosity::Detailed] {
        let coloured = render(Signal::Traces, &request, verbosity, Style::Ansi);
        assert!(coloured.contains("\u{1b}[1mtraces\u{1b}[0m"), "{coloured}");
    }
}

#[test]
fn the_configuration_says_how_much() {
    let config = |json| serde_json::from_str::<DebugConfig>(json);
    assert_eq!(config("{}").unwrap().verbosity, Verbosity::Basic);
    assert_eq!(
        config(r#"{"verbosity":"detailed"}"#).unwrap().verbosity,
        Verbosity::Detailed
    );
    assert!(config(r#"{"verbosity":"loud"}"#).is_err());
    assert!(config(r#"{"verbose":"basic"}"#).is_err());
}
