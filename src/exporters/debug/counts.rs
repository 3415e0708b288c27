//! The one line that sums a request up.

use bytesize::ByteSize;
use opentelemetry_proto::tonic::collector::{
    logs::v1::ExportLogsServiceRequest, metrics::v1::ExportMetricsServiceRequest,
    trace::v1::ExportTraceServiceRequest,
};
use slimspan_proto::{Fields, Malformed, Signal};

use super::points;
use crate::terminal::Piece;

pub(super) fn traces(request: &ExportTraceServiceRequest, bytes: usize) -> [Piece<'static>; 2] {
    let spans = request
        .resource_spans
        .iter()
        .flat_map(|resource| &resource.scope_spans)
        .map(|scope| scope.spans.len())
        .sum();
    line(
        Signal::Traces,
        request.resource_spans.len(),
        &count(spans, "span"),
        bytes,
    )
}

pub(super) fn logs(request: &ExportLogsServiceRequest, bytes: usize) -> [Piece<'static>; 2] {
    let records = request
        .resource_logs
        .iter()
        .flat_map(|resource| &resource.scope_logs)
        .map(|scope| scope.log_records.len())
        .sum();
    line(
        Signal::Logs,
        request.resource_logs.len(),
        &count(records, "log record"),
        bytes,
    )
}

pub(super) fn metrics(request: &ExportMetricsServiceRequest, bytes: usize) -> [Piece<'static>; 2] {
    let metrics = || {
        request
            .resource_metrics
            .iter()
            .flat_map(|resource| &resource.scope_metrics)
            .flat_map(|scope| &scope.metrics)
    };
    let points = metrics().map(|metric| points::of(metric).len()).sum();
    let contents = format!(
        "{}, {}",
        count(metrics().count(), "metric"),
        count(points, "data point")
    );
    line(
        Signal::Metrics,
        request.resource_metrics.len(),
        &contents,
        bytes,
    )
}

/// Profiles are counted and not shown: there are no types for them.
pub(super) fn profiles(request: &[u8]) -> Result<[Piece<'static>; 2], Malformed> {
    let mut resources = 0;
    for field in Fields::new(request, 0..request.len()) {
        resources += usize::from(field?.number == 1);
    }
    let profiles = slimspan_proto::count(Signal::Profiles, request);
    let contents = count(profiles, "profile");
    Ok(line(Signal::Profiles, resources, &contents, request.len()))
}

/// `1 span`, `2 spans`.
pub(super) fn count(number: usize, noun: &str) -> String {
    let plural = if number == 1 { "" } else { "s" };
    format!("{number} {noun}{plural}")
}

fn line(signal: Signal, resources: usize, contents: &str, bytes: usize) -> [Piece<'static>; 2] {
    [
        Piece::title(signal.name()),
        Piece::text(format!(
            ": {}, {contents}, {}",
            count(resources, "resource"),
            ByteSize::b(bytes as u64)
        )),
    ]
}
