//! Requests, as an SDK would encode them.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::collector::trace::v1::{
    ExportTracePartialSuccess, ExportTraceServiceRequest, ExportTraceServiceResponse,
};
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue, any_value::Value};
use opentelemetry_proto::tonic::logs::v1::{LogRecord, ResourceLogs, ScopeLogs};
use opentelemetry_proto::tonic::metrics::v1::{
    Gauge, Metric, NumberDataPoint, ResourceMetrics, ScopeMetrics, metric, number_data_point,
};
use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span};
use prost::Message as _;
use slimspan_generators::{Random, fake_file};
use slimspan_proto::Signal;

/// A file of the size of a photo.
pub(crate) const PHOTO: usize = 200_000;

/// A real picture.
pub(crate) const PICTURE: &[u8] = include_bytes!("../../src/cli/demo/picture.png");

/// Random bytes that start like a picture.
pub(crate) fn photo(seed: u64, size: usize) -> Vec<u8> {
    fake_file(&mut Random::new(seed), size)
}

pub(crate) fn data_uri(file: &[u8]) -> Value {
    Value::StringValue(format!("data:image/png;base64,{}", STANDARD.encode(file)))
}

pub(crate) fn bytes(file: &[u8]) -> Value {
    Value::BytesValue(file.to_vec())
}

pub(crate) fn text(text: impl Into<String>) -> Value {
    Value::StringValue(text.into())
}

/// A message to a model that shows it a picture.
pub(crate) fn chat_with(file: &[u8]) -> Value {
    let url = STANDARD.encode(file);
    Value::StringValue(format!(
        r#"[{{"role":"user","content":[{{"type":"image_url","image_url":{{"url":"data:image/png;base64,{url}"}}}}]}}]"#
    ))
}

/// One span with these attributes.
pub(crate) fn span(attributes: impl IntoIterator<Item = (&'static str, Value)>) -> Bytes {
    let attributes = attributes.into_iter();
    let attributes = attributes.map(|(key, value)| (key.to_owned(), value));
    request(Signal::Traces, vec![attributes.collect()])
}

/// One span with these attributes, of the tenant that its resource names.
pub(crate) fn span_of(
    tenant: Option<&str>,
    attributes: impl IntoIterator<Item = (&'static str, Value)>,
) -> Bytes {
    let mut request = ExportTraceServiceRequest::decode(span(attributes)).unwrap();
    if let (Some(resource), Some(tenant)) = (&mut request.resource_spans[0].resource, tenant) {
        let named = attribute(("tenant.id".to_owned(), text(tenant)));
        resource.attributes.push(named);
    }
    request.encode_to_vec().into()
}

/// Spans or log records that have these attributes, in one request.
pub(crate) fn request(signal: Signal, items: Vec<Vec<(String, Value)>>) -> Bytes {
    let items = items.into_iter();
    let items = items.map(|attributes| attributes.into_iter().map(attribute).collect());
    if signal == Signal::Logs {
        return logs(items.map(|attributes| record(text("hello"), attributes)));
    }
    let spans = items.map(|attributes| Span {
        trace_id: vec![7; 16],
        span_id: vec![8; 8],
        name: "chat gpt-4o".to_owned(),
        start_time_unix_nano: 1_700_000_000_000_000_000,
        end_time_unix_nano: 1_700_000_001_000_000_000,
        attributes,
        ..Span::default()
    });
    let request = ExportTraceServiceRequest {
        resource_spans: vec![ResourceSpans {
            resource: Some(resource()),
            scope_spans: vec![ScopeSpans {
                spans: spans.collect(),
                ..ScopeSpans::default()
            }],
            ..ResourceSpans::default()
        }],
    };
    request.encode_to_vec().into()
}

/// The attributes of the only span of a request.
pub(crate) fn attributes(request: &[u8]) -> Vec<(String, Value)> {
    let request = ExportTraceServiceRequest::decode(request).unwrap();
    let resources = request.resource_spans.into_iter();
    let scopes = resources.flat_map(|resource| resource.scope_spans);
    let spans: Vec<Span> = scopes.flat_map(|scope| scope.spans).collect();
    let [span] = <[Span; 1]>::try_from(spans).unwrap();
    let pair = |one: KeyValue| (one.key, one.value.unwrap().value.unwrap());
    span.attributes.into_iter().map(pair).collect()
}

/// One span with one picture.
pub(crate) fn span_with(file: &[u8]) -> Bytes {
    span([("picture", data_uri(file))])
}

/// A span without any file; `number` tells it from others.
pub(crate) fn plain_span(number: u64) -> Bytes {
    span([("number", text(number.to_string()))])
}

/// A request of exactly `size` bytes that holds nothing to move.
pub(crate) fn sized_span(size: usize) -> Bytes {
    let padded = |padding: usize| span([("padding", text("-".repeat(padding)))]);
    // The length of a length changes little, so a few steps lead there.
    let mut padding = size;
    for _ in 0..4 {
        let request = padded(padding);
        if request.len() == size {
            return request;
        }
        padding = padding + size - request.len();
    }
    panic!("no request has {size} bytes");
}

/// One log record.
pub(crate) fn log(
    body: Value,
    attributes: impl IntoIterator<Item = (&'static str, Value)>,
) -> Bytes {
    let attributes = attributes.into_iter();
    let attributes = attributes.map(|(key, value)| attribute((key.to_owned(), value)));
    logs([record(body, attributes.collect())])
}

fn record(body: Value, attributes: Vec<KeyValue>) -> LogRecord {
    LogRecord {
        time_unix_nano: 1_700_000_000_000_000_000,
        body: Some(AnyValue { value: Some(body) }),
        attributes,
        ..LogRecord::default()
    }
}

fn logs(records: impl IntoIterator<Item = LogRecord>) -> Bytes {
    let request = ExportLogsServiceRequest {
        resource_logs: vec![ResourceLogs {
            resource: Some(resource()),
            scope_logs: vec![ScopeLogs {
                log_records: records.into_iter().collect(),
                ..ScopeLogs::default()
            }],
            ..ResourceLogs::default()
        }],
    };
    request.encode_to_vec().into()
}

/// One metric, with an attribute of this value on its data point.
pub(crate) fn metric(value: Value) -> Bytes {
    let point = NumberDataPoint {
        attributes: vec![attribute(("picture".to_owned(), value))],
        time_unix_nano: 1_700_000_000_000_000_000,
        value: Some(number_data_point::Value::AsInt(7)),
        ..NumberDataPoint::default()
    };
    let metric = Metric {
        name: "queue.size".to_owned(),
        data: Some(metric::Data::Gauge(Gauge {
            data_points: vec![point],
        })),
        ..Metric::default()
    };
    let request = ExportMetricsServiceRequest {
        resource_metrics: vec![ResourceMetrics {
            resource: Some(resource()),
            scope_metrics: vec![ScopeMetrics {
                metrics: vec![metric],
                ..ScopeMetrics::default()
            }],
            ..ResourceMetrics::default()
        }],
    };
    request.encode_to_vec().into()
}

/// What a backend answers that did not take all spans, or has something to say.
pub(crate) fn partial_success(rejected_spans: i64, error_message: &str) -> Bytes {
    let partial_success = Some(ExportTracePartialSuccess {
        rejected_spans,
        error_message: error_message.to_owned(),
    });
    let response = ExportTraceServiceResponse { partial_success };
    response.encode_to_vec().into()
}

fn resource() -> Resource {
    Resource {
        attributes: vec![attribute(("service.name".to_owned(), text("shop")))],
        ..Resource::default()
    }
}

fn attribute((key, value): (String, Value)) -> KeyValue {
    KeyValue {
        key,
        value: Some(AnyValue { value: Some(value) }),
        ..KeyValue::default()
    }
}
