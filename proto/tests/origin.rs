//! What values belong to, with prost as the oracle.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::unnecessary_wraps,
    missing_docs
)]

use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::{AnyValue, InstrumentationScope, KeyValue, any_value};
use opentelemetry_proto::tonic::logs::v1::{LogRecord, ResourceLogs, ScopeLogs};
use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span, span};
use prost::Message as _;
use slimspan_proto::{Origin, Signal, origins};

fn value(text: &str) -> Option<AnyValue> {
    let value = Some(any_value::Value::StringValue(text.to_owned()));
    Some(AnyValue { value })
}

fn attribute(key: &str, text: &str) -> KeyValue {
    KeyValue {
        key: key.to_owned(),
        value: value(text),
        ..KeyValue::default()
    }
}

fn resource(number: u8) -> Option<Resource> {
    Some(Resource {
        attributes: vec![
            attribute("host", "h"),
            attribute("service.name", &format!("service {number}")),
            attribute("logo", &format!("<resource {number}>")),
        ],
        ..Resource::default()
    })
}

fn span(number: u8) -> Span {
    Span {
        trace_id: vec![number; 16],
        span_id: vec![number; 8],
        name: format!("span {number}"),
        start_time_unix_nano: u64::from(number) + 100,
        attributes: vec![attribute("a", &format!("<span {number}>"))],
        events: vec![span::Event {
            name: "an event".to_owned(),
            time_unix_nano: 5,
            attributes: vec![attribute("b", &format!("<event {number}>"))],
            ..span::Event::default()
        }],
        ..Span::default()
    }
}

fn spans(number: u8) -> ResourceSpans {
    ResourceSpans {
        resource: resource(number),
        scope_spans: vec![
            ScopeSpans {
                scope: Some(InstrumentationScope {
                    attributes: vec![attribute("s", &format!("<scope {number}>"))],
                    ..InstrumentationScope::default()
                }),
                spans: vec![span(number), span(number + 1)],
                ..ScopeSpans::default()
            },
            ScopeSpans {
                spans: vec![span(number + 2)],
                ..ScopeSpans::default()
            },
        ],
        ..ResourceSpans::default()
    }
}

fn offset(request: &[u8], text: &str) -> usize {
    let text = text.as_bytes();
    let found = request
        .windows(text.len())
        .position(|window| window == text);
    found.unwrap_or_else(|| panic!("{text:?} is in it"))
}

#[test]
fn every_value_has_the_ids_of_its_span_and_the_service_of_its_resource() {
    let request = ExportTraceServiceRequest {
        resource_spans: vec![spans(1), spans(11)],
    };
    let request = request.encode_to_vec();
    let texts = [1_u8, 11].map(|number| {
        [
            (format!("<resource {number}>"), number, None),
            (format!("<scope {number}>"), number, None),
            (format!("<span {number}>"), number, Some(number)),
            (format!("<event {number}>"), number, Some(number)),
            (format!("<event {}>", number + 1), number, Some(number + 1)),
            (format!("<span {}>", number + 2), number, Some(number + 2)),
        ]
    });
    let mut asked: Vec<_> = texts
        .iter()
        .flatten()
        .map(|(text, service, span)| (offset(&request, text), service, span))
        .collect();
    asked.sort_unstable();
    let offsets: Vec<usize> = asked.iter().map(|(at, _, _)| *at).collect();
    let found = origins(Signal::Traces, &request, &offsets);
    assert_eq!(found.len(), asked.len());
    for (origin, (_, service, span)) in found.into_iter().zip(asked) {
        let (service, id) = (format!("service {service}"), span.unwrap_or_default());
        let name = format!("span {id}");
        let expected = Origin {
            service: service.as_bytes(),
            ..Origin::default()
        };
        let ids = [id; 16];
        let expected = match span {
            None => expected,
            Some(_) => Origin {
                trace: &ids,
                span: &ids[..8],
                name: name.as_bytes(),
                time: u64::from(id) + 100,
                ..expected
            },
        };
        assert_eq!(origin, expected);
    }
}

#[test]
fn log_records_have_the_time_that_they_were_observed_at_where_there_is_no_other() {
    let record = |number: u8, time: u64| LogRecord {
        time_unix_nano: time,
        observed_time_unix_nano: 77,
        trace_id: vec![number; 16],
        span_id: vec![number; 8],
        body: value(&format!("<body {number}>")),
        ..LogRecord::default()
    };
    let request = ExportLogsServiceRequest {
        resource_logs: vec![ResourceLogs {
            resource: resource(3),
            scope_logs: vec![ScopeLogs {
                log_records: vec![record(1, 5), record(2, 0)],
                ..ScopeLogs::default()
            }],
            ..ResourceLogs::default()
        }],
    };
    let request = request.encode_to_vec();
    let offsets = [offset(&request, "<body 1>"), offset(&request, "<body 2>")];
    let found = origins(Signal::Logs, &request, &offsets);
    for (origin, (id, time)) in found.into_iter().zip([(1_u8, 5), (2, 77)]) {
        assert_eq!(origin.time, time);
        assert_eq!(origin.trace, [id; 16]);
        assert_eq!(origin.span, [id; 8]);
        assert_eq!((origin.service, origin.name), (&b"service 3"[..], &b""[..]));
    }
}

#[test]
fn what_is_cut_is_read_as_far_as_it_goes() {
    let request = ExportTraceServiceRequest {
        resource_spans: vec![spans(1)],
    };
    let request = request.encode_to_vec();
    let at = offset(&request, "<span 1>");
    for end in 0..request.len() {
        let found = origins(
            Signal::Traces,
            request.get(..end).unwrap_or_default(),
            &[at],
        );
        assert_eq!(found.len(), 1);
    }
}
