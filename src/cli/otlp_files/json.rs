//! OTLP/JSON, in which only the values that changed are written anew.
//!
//! Files are put back in protobuf, so a request is converted, and what that changed in the
//! conversion is carried over into the text. Everything else stays the text it was: members that
//! no schema knows yet, the order of members, white space, the spelling of numbers.

use std::collections::BTreeMap;

use anyhow::{Context as _, anyhow, bail};
use bytes::Bytes;
use serde::de::IgnoredAny;
use serde_json::Value;
use slimspan_proto::Signal;
use slimspan_proto::json::{Limits, read, write};

use super::splice::{Change, splice};

/// The members by which a request tells its signal.
const RECORDS: [(&str, Signal); 3] = [
    ("resourceSpans", Signal::Traces),
    ("resourceLogs", Signal::Logs),
    ("resourceMetrics", Signal::Metrics),
];

/// The signal of a request in JSON, and the request in protobuf.
pub(super) fn to_protobuf(text: &[u8]) -> anyhow::Result<(Signal, Bytes)> {
    let signal = signal(text)?;
    let request = read(signal, text, Limits::default()).context("it is no OTLP/JSON")?;
    match request.causes.first() {
        None => Ok((signal, request.request.into())),
        // What is missing in one form cannot be found again in the other.
        Some(cause) => Err(anyhow!("{cause}").context("it is no OTLP/JSON")),
    }
}

/// `text` with what differs between two requests in protobuf: what it was converted to, and what
/// that became.
pub(super) fn rewrite(
    signal: Signal,
    text: &[u8],
    before: &[u8],
    after: &[u8],
) -> anyhow::Result<Bytes> {
    let json = |request| -> anyhow::Result<Value> {
        Ok(serde_json::from_slice(&write(signal, request)?.text)?)
    };
    let text = std::str::from_utf8(text)?;
    Ok(match Change::between(&json(before)?, &json(after)?) {
        None => text.to_owned(),
        Some(change) => splice(text, &change)?,
    }
    .into())
}

fn signal(text: &[u8]) -> anyhow::Result<Signal> {
    let members: BTreeMap<String, Option<IgnoredAny>> =
        serde_json::from_slice(text).context("it is no JSON")?;
    let has = |member: &str| members.get(member).is_some_and(Option::is_some);
    let mut found = RECORDS.iter().filter(|(member, _)| has(member));
    match (found.next(), found.next()) {
        (Some((_, signal)), None) => Ok(*signal),
        // The request that holds nothing.
        (None, _) if members.is_empty() => Ok(Signal::Traces),
        (None, _) => bail!(
            "it is no OTLP export request: it has neither resourceSpans nor resourceLogs nor \
             resourceMetrics"
        ),
        (Some(_), Some(_)) => bail!("it is no OTLP export request: it has records of two signals"),
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
    use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
    use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
    use opentelemetry_proto::tonic::common::v1::any_value::Value as Any;
    use opentelemetry_proto::tonic::common::v1::{AnyValue, ArrayValue, KeyValue, KeyValueList};
    use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span, span};

    use prost::Message as _;

    use super::*;

    fn key_value(key: &str, value: Option<Any>) -> KeyValue {
        KeyValue {
            key: key.to_owned(),
            value: value.map(|value| AnyValue { value: Some(value) }),
            ..KeyValue::default()
        }
    }

    fn request(attributes: Vec<KeyValue>) -> ExportTraceServiceRequest {
        let span = Span {
            trace_id: vec![0xab; 16],
            span_id: vec![0xcd; 8],
            name: "chat".to_owned(),
            kind: 3,
            start_time_unix_nano: 1_700_000_000_000_000_001,
            attributes,
            events: vec![span::Event::default()],
            ..Span::default()
        };
        ExportTraceServiceRequest {
            resource_spans: vec![ResourceSpans {
                scope_spans: vec![ScopeSpans {
                    spans: vec![span],
                    ..ScopeSpans::default()
                }],
                ..ResourceSpans::default()
            }],
        }
    }

    /// Each kind of value, its text in a document, the value that is read.
    const DOCUMENT: &str = r#"{ "resourceSpans": [{"scopeSpans": [{"spans": [{
        "future": {"a": [1, 2.50]}, "traceId": "abababababababababababababababab",
        "spanId": "CDCDCDCDCDCDCDCD", "name": "chat", "kind": 3, "links": null,
        "startTimeUnixNano": "1700000000000000001", "events": [{}],
        "attributes": [
            {"key": "string", "value": {"stringValue": "a\u0062\/c"}},
            {"key": "int", "value": {"intValue": "-9223372036854775808"}},
            {"key": "number", "value": {"intValue": 7}},
            {"key": "double", "value": {"doubleValue": 1.10}},
            {"key": "infinity", "value": {"doubleValue": "-Infinity"}},
            {"key": "bytes", "value": {"bytesValue": "AAH/"}},
            {"key": "base64url", "value": {"bytesValue": "_w"}},
            {"key": "array", "value": {"arrayValue": {"values": [{"stringValue": "x"}, {}, {"boolValue": true}]}}},
            {"key": "list", "value": {"kvlistValue": {"values": [{"key": "k", "value": {"bytesValue": "AQ=="}}]}}},
            {"key": "empty array", "value": {"arrayValue": {}}},
            {"key": "empty list", "value": {"kvlistValue": {}}},
            {"key": "empty", "value": {}},
            {"key": "none"},
            {"value": {"stringValue": "no key"}},
            {"key": "future", "value": {"decimalValue": "1.5"}}
        ]}]}]}] }"#;

    fn attributes() -> Vec<KeyValue> {
        let array = vec![
            AnyValue {
                value: Some(Any::StringValue("x".to_owned())),
            },
            AnyValue::default(),
            AnyValue {
                value: Some(Any::BoolValue(true)),
            },
        ];
        let list = vec![key_value("k", Some(Any::BytesValue(vec![1])))];
        let empty = |key| KeyValue {
            value: Some(AnyValue::default()),
            ..key_value(key, None)
        };
        vec![
            key_value("string", Some(Any::StringValue("ab/c".to_owned()))),
            key_value("int", Some(Any::IntValue(i64::MIN))),
            key_value("number", Some(Any::IntValue(7))),
            key_value("double", Some(Any::DoubleValue(1.1))),
            key_value("infinity", Some(Any::DoubleValue(f64::NEG_INFINITY))),
            key_value("bytes", Some(Any::BytesValue(vec![0, 1, 255]))),
            key_value("base64url", Some(Any::BytesValue(vec![255]))),
            key_value("array", Some(Any::ArrayValue(ArrayValue { values: array }))),
            key_value(
                "list",
                Some(Any::KvlistValue(KeyValueList { values: list })),
            ),
            key_value("empty array", Some(Any::ArrayValue(ArrayValue::default()))),
            key_value(
                "empty list",
                Some(Any::KvlistValue(KeyValueList::default())),
            ),
            empty("empty"),
            key_value("none", None),
            key_value("", Some(Any::StringValue("no key".to_owned()))),
            empty("future"),
        ]
    }

    #[test]
    fn every_kind_of_value_is_read() {
        let (signal, protobuf) = to_protobuf(DOCUMENT.as_bytes()).unwrap();
        assert_eq!(signal, Signal::Traces);
        let read = ExportTraceServiceRequest::decode(protobuf).unwrap();
        assert_eq!(read, request(attributes()));
    }

    #[test]
    fn only_what_changed_is_written_anew() {
        let (signal, before) = to_protobuf(DOCUMENT.as_bytes()).unwrap();
        let same = rewrite(signal, DOCUMENT.as_bytes(), &before, &before).unwrap();
        assert_eq!(same, DOCUMENT);

        let mut changed = attributes();
        let mut set = |index: usize, value| {
            let attribute: &mut KeyValue = &mut changed[index];
            attribute.value = Some(AnyValue { value: Some(value) });
        };
        set(0, Any::BytesValue(vec![0xff]));
        set(5, Any::BytesValue(vec![2]));
        set(8, Any::StringValue("\"list\"".to_owned()));
        set(13, Any::StringValue("neu".to_owned()));
        let after = request(changed).encode_to_vec();
        let text = rewrite(signal, DOCUMENT.as_bytes(), &before, &after).unwrap();
        let expected = DOCUMENT
            .replace(
                r#"{"stringValue": "a\u0062\/c"}"#,
                r#"{"bytesValue":"/w=="}"#,
            )
            .replace(r#""AAH/""#, r#""Ag==""#)
            .replace(
                r#"{"kvlistValue": {"values": [{"key": "k", "value": {"bytesValue": "AQ=="}}]}}"#,
                r#"{"stringValue":"\"list\""}"#,
            )
            .replace(r#""no key""#, r#""neu""#);
        assert_eq!(text, expected);
    }

    /// As the Collector writes them: what is empty is left out, 64-bit integers are strings.
    #[test]
    fn logs_and_metrics_are_read() {
        let logs = r#"{"resourceLogs":[{"resource":{},"scopeLogs":[{"scope":{},"logRecords":[
            {"timeUnixNano":"1700000000000000000","severityNumber":9,"severityText":"Info",
             "body":{"kvlistValue":{"values":[{"key":"a","value":{"arrayValue":{}}}]}},
             "traceId":"","spanId":""},
            {"observedTimeUnixNano":"1","body":{},"flags":1,"eventName":"e"}]}]}]}"#;
        let (signal, protobuf) = to_protobuf(logs.as_bytes()).unwrap();
        assert_eq!(signal, Signal::Logs);
        let read = ExportLogsServiceRequest::decode(protobuf).unwrap();
        assert_eq!(read.resource_logs[0].scope_logs[0].log_records.len(), 2);

        let metrics = r#"{"resourceMetrics":[{"scopeMetrics":[{"metrics":[
            {"name":"g","gauge":{"dataPoints":[{"asDouble":"NaN"},{"asInt":"-7"},{"asDouble":1}]}},
            {"name":"s","sum":{"aggregationTemporality":2,"isMonotonic":true,"dataPoints":[{"asInt":"1",
                "exemplars":[{"asDouble":0.5,"spanId":"0102030405060708"}]}]}},
            {"name":"h","histogram":{"aggregationTemporality":2,"dataPoints":[{"count":"3",
                "bucketCounts":["1","2"],"explicitBounds":[10]}]}},
            {"name":"e","exponentialHistogram":{"dataPoints":[{"count":"1","scale":-1,
                "positive":{"offset":3,"bucketCounts":["1"]},"negative":{}}]}},
            {"name":"q","summary":{"dataPoints":[{"count":"1","sum":2.5,
                "quantileValues":[{"quantile":0.5,"value":2.5}]}]}},
            {"name":"none"}]}]}]}"#;
        let (signal, protobuf) = to_protobuf(metrics.as_bytes()).unwrap();
        assert_eq!(signal, Signal::Metrics);
        let read = ExportMetricsServiceRequest::decode(protobuf).unwrap();
        let metrics = &read.resource_metrics[0].scope_metrics[0].metrics;
        assert_eq!(metrics.len(), 6);
        assert!(metrics[..5].iter().all(|metric| metric.data.is_some()));
    }

    #[test]
    fn what_is_no_request_says_why() {
        for (text, reason) in [
            ("{", "no JSON"),
            ("{\"spans\":[]}", "neither resourceSpans nor"),
            ("{\"resourceSpans\":[],\"resourceLogs\":[]}", "two signals"),
            ("{\"resourceSpans\":{}}", "no OTLP/JSON"),
            (
                "{\"resourceSpans\":[{\"scopeSpans\":[{\"spans\":[{\"kind\":\"SPAN_KIND_SERVER\"}]}]}]}",
                "kind is an enum written as a name",
            ),
        ] {
            let error = to_protobuf(text.as_bytes()).unwrap_err();
            assert!(format!("{error:#}").contains(reason), "{error:#}");
        }
        let (_, protobuf) = to_protobuf(b"{}").unwrap();
        assert_eq!(protobuf, "");
    }
}
