//! What is a sender's own business, in every field that there is for it; and that no log, no metric and no answer has
//! it, whatever was wrong with the request that it stood in.

use std::fmt::{Debug, Write as _};
use std::sync::Arc;

use bytes::Bytes;
use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::{
    AnyValue, InstrumentationScope, KeyValue, any_value::Value as Any,
};
use opentelemetry_proto::tonic::logs::v1::{LogRecord, ResourceLogs, ScopeLogs};
use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_proto::tonic::trace::v1::span::{Event, Link};
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span, Status};
use prost::Message as _;
use serde_json::Value;

use super::config;
use super::measured::measured;
use super::pages::get;
use super::slimspan::{Ended, Slimspan};

/// Stands in what nobody may read.
pub(crate) const CANARY: &str = "c4n4ry";

/// What was answered, all of which a sender sees.
#[derive(Default)]
pub(crate) struct Answers {
    text: String,
    count: usize,
}

/// Starts it so that it logs and counts all that it can.
pub(crate) async fn start(mut config: Value) -> Slimspan {
    config::tell_metrics(&mut config);
    let folder = Arc::new(tempfile::tempdir().unwrap());
    let env = [("SLIMSPAN_LOG", "debug")];
    let mut slimspan = Slimspan::spawn_with(folder, &config.to_string(), &env);
    assert!(slimspan.ready().await, "{}", slimspan.stderr());
    slimspan
}

impl Answers {
    pub(crate) fn add(&mut self, answer: &impl Debug) {
        writeln!(self.text, "{answer:?}").unwrap();
        self.count += 1;
    }

    /// Stops it; nothing that it said has the canary, and it had much to say.
    pub(crate) async fn end(self, slimspan: Slimspan, test: &str) -> Ended {
        let metrics = get(slimspan.page("telemetry"), "/metrics").await.body;
        assert!(metrics.contains("otelcol_"), "{metrics}");
        let ended = slimspan.stop().await;
        assert_eq!(ended.code, Some(0), "{}", ended.stderr);
        assert!(ended.stderr.contains("DEBUG"), "{}", ended.stderr);
        for (place, text) in [
            ("log", &ended.stderr),
            ("output", &ended.stdout),
            ("answers", &self.text),
            ("metrics", &metrics),
        ] {
            let line = text.lines().find(|line| line.contains(CANARY));
            assert_eq!(line, None, "{test}: in the {place}");
        }
        measured(
            "P30",
            &format!("{test}, with canaries"),
            "0 words of requests in log, output, answers and metrics",
            format_args!(
                "0 in {} answers and {} lines of log, at debug",
                self.count,
                ended.stderr.lines().count()
            ),
        );
        ended
    }
}

fn word() -> String {
    CANARY.to_owned()
}

fn value() -> AnyValue {
    AnyValue {
        value: Some(Any::StringValue(word())),
    }
}

fn attributes() -> Vec<KeyValue> {
    vec![KeyValue {
        key: word(),
        value: Some(value()),
        ..KeyValue::default()
    }]
}

fn resource() -> Resource {
    Resource {
        attributes: attributes(),
        ..Resource::default()
    }
}

fn scope() -> InstrumentationScope {
    InstrumentationScope {
        name: word(),
        version: word(),
        attributes: attributes(),
        ..InstrumentationScope::default()
    }
}

/// A sound span that has it in every text.
pub(crate) fn span() -> Bytes {
    let span = Span {
        trace_id: vec![7; 16],
        span_id: vec![8; 8],
        trace_state: word(),
        name: word(),
        attributes: attributes(),
        events: vec![Event {
            name: word(),
            attributes: attributes(),
            ..Event::default()
        }],
        links: vec![Link {
            trace_id: vec![7; 16],
            span_id: vec![9; 8],
            trace_state: word(),
            attributes: attributes(),
            ..Link::default()
        }],
        status: Some(Status {
            message: word(),
            code: 2,
        }),
        ..Span::default()
    };
    let request = ExportTraceServiceRequest {
        resource_spans: vec![ResourceSpans {
            resource: Some(resource()),
            scope_spans: vec![ScopeSpans {
                scope: Some(scope()),
                spans: vec![span],
                schema_url: word(),
            }],
            schema_url: word(),
        }],
    };
    request.encode_to_vec().into()
}

/// A sound log record that has it in every text.
pub(crate) fn log() -> Bytes {
    let record = LogRecord {
        severity_text: word(),
        body: Some(value()),
        attributes: attributes(),
        event_name: word(),
        ..LogRecord::default()
    };
    let request = ExportLogsServiceRequest {
        resource_logs: vec![ResourceLogs {
            resource: Some(resource()),
            scope_logs: vec![ScopeLogs {
                scope: Some(scope()),
                log_records: vec![record],
                schema_url: word(),
            }],
            schema_url: word(),
        }],
    };
    request.encode_to_vec().into()
}
