//! Verbosity `normal`: a line for each span, log record and data point, and their attributes.

use std::time::Duration;

use opentelemetry_proto::tonic::collector::{
    logs::v1::ExportLogsServiceRequest, metrics::v1::ExportMetricsServiceRequest,
    trace::v1::ExportTraceServiceRequest,
};
use opentelemetry_proto::tonic::common::v1::KeyValue;
use opentelemetry_proto::tonic::logs::v1::LogRecord;
use opentelemetry_proto::tonic::metrics::v1::Metric;
use opentelemetry_proto::tonic::trace::v1::{Span, status::StatusCode};

use super::counts::count;
use super::points;
use super::value::{braces, brief_line, time};
use crate::terminal::{Page, Piece, excerpt, hex};

/// How many characters of a name or a message are shown.
const NAME: usize = 160;

pub(super) fn traces(page: &mut Page, request: &ExportTraceServiceRequest) {
    let spans = request
        .resource_spans
        .iter()
        .flat_map(|resource| &resource.scope_spans)
        .flat_map(|scope| &scope.spans);
    for span in spans {
        one_span(page, span);
    }
}

pub(super) fn logs(page: &mut Page, request: &ExportLogsServiceRequest) {
    let records = request
        .resource_logs
        .iter()
        .flat_map(|resource| &resource.scope_logs)
        .flat_map(|scope| &scope.log_records);
    for record in records {
        one_record(page, record);
    }
}

pub(super) fn metrics(page: &mut Page, request: &ExportMetricsServiceRequest) {
    let metrics = request
        .resource_metrics
        .iter()
        .flat_map(|resource| &resource.scope_metrics)
        .flat_map(|scope| &scope.metrics);
    for metric in metrics {
        one_metric(page, metric);
    }
}

fn one_span(page: &mut Page, span: &Span) {
    let duration = span
        .end_time_unix_nano
        .saturating_sub(span.start_time_unix_nano);
    let mut pieces = vec![
        Piece::title(excerpt(&span.name, NAME)),
        short_trace(&span.trace_id),
        Piece::text(format!("  {:.1?}", Duration::from_nanos(duration))),
    ];
    if let Some(status) = &span.status
        && status.code() == StatusCode::Error
    {
        pieces.push(Piece::bad(format!(
            "  error {}",
            excerpt(&status.message, NAME)
        )));
    }
    page.line(1, pieces);
    attributes(page, 2, &span.attributes);
    for event in &span.events {
        page.line(
            2,
            [
                Piece::aside("event "),
                Piece::text(excerpt(&event.name, NAME)),
            ],
        );
        attributes(page, 3, &event.attributes);
    }
}

fn one_record(page: &mut Page, record: &LogRecord) {
    let mut pieces = vec![Piece::aside(time(match record.time_unix_nano {
        0 => record.observed_time_unix_nano,
        time => time,
    }))];
    for word in [&record.severity_text, &record.event_name] {
        if !word.is_empty() {
            pieces.push(Piece::title(format!(" {}", excerpt(word, NAME))));
        }
    }
    pieces.push(short_trace(&record.trace_id));
    page.line(1, pieces);
    if record.body.is_some() {
        brief_line(page, 2, "body", record.body.as_ref());
    }
    attributes(page, 2, &record.attributes);
}

fn one_metric(page: &mut Page, metric: &Metric) {
    let points = points::of(metric);
    page.line(
        1,
        [
            Piece::title(excerpt(&metric.name, NAME)),
            Piece::text(format!(
                "  {}, {}",
                points::kind(metric),
                count(points.len(), "data point")
            )),
        ],
    );
    for point in points {
        page.line(
            2,
            [
                Piece::text(braces(point.attributes)),
                Piece::text(format!("{} {}", point.value, excerpt(&metric.unit, NAME))),
            ],
        );
    }
}

fn attributes(page: &mut Page, depth: usize, attributes: &[KeyValue]) {
    for attribute in attributes {
        brief_line(page, depth, &attribute.key, attribute.value.as_ref());
    }
}

/// The first eight digits of a trace id, enough to tell one trace from the next.
fn short_trace(id: &[u8]) -> Piece<'static> {
    match id.get(..4) {
        Some(head) => Piece::aside(format!("  trace {}", hex(head))),
        None => Piece::aside("  no trace"),
    }
}
