use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::metrics::v1::{Exemplar, Metric, exemplar};

use super::{attributes, field, flags, heading, resource, scope};
use crate::exporters::debug::points::{self, Point};
use crate::exporters::debug::value::time;
use crate::terminal::{Page, Piece, hex};

pub(in crate::exporters::debug) fn metrics(page: &mut Page, request: &ExportMetricsServiceRequest) {
    for (index, metrics) in request.resource_metrics.iter().enumerate() {
        resource(page, index, &metrics.schema_url, metrics.resource.as_ref());
        for (index, metrics) in metrics.scope_metrics.iter().enumerate() {
            scope(page, index, &metrics.schema_url, metrics.scope.as_ref());
            for (index, one) in metrics.metrics.iter().enumerate() {
                heading(page, 2, &format!("metric #{index}"));
                metric(page, one);
            }
        }
    }
}

fn metric(page: &mut Page, metric: &Metric) {
    field(page, 3, "name", &metric.name);
    field(page, 3, "description", &metric.description);
    field(page, 3, "unit", &metric.unit);
    field(page, 3, "kind", &points::kind(metric));
    attributes(page, 3, "metadata", &metric.metadata);
    for (index, one) in points::of(metric).iter().enumerate() {
        heading(page, 3, &format!("data point #{index}"));
        point(page, one);
    }
}

fn point(page: &mut Page, point: &Point<'_>) {
    attributes(page, 4, "attributes", point.attributes);
    field(page, 4, "start", &time(point.start));
    field(page, 4, "time", &time(point.time));
    field(page, 4, "flags", &flags(point.flags));
    field(page, 4, "value", &point.value);
    for line in &point.distribution {
        page.line(5, [Piece::text(line)]);
    }
    for (index, one) in point.exemplars.iter().enumerate() {
        heading(page, 4, &format!("exemplar #{index}"));
        exemplar(page, one);
    }
}

fn exemplar(page: &mut Page, exemplar: &Exemplar) {
    field(page, 5, "trace id", &hex(&exemplar.trace_id));
    field(page, 5, "span id", &hex(&exemplar.span_id));
    field(page, 5, "time", &time(exemplar.time_unix_nano));
    let value = match exemplar.value {
        None => String::new(),
        Some(exemplar::Value::AsInt(value)) => value.to_string(),
        Some(exemplar::Value::AsDouble(value)) => format!("{value:?}"),
    };
    field(page, 5, "value", &value);
    attributes(page, 5, "attributes", &exemplar.filtered_attributes);
}
