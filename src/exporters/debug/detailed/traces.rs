use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::trace::v1::{
    Span,
    span::{Event, Link, SpanKind},
    status::StatusCode,
};

use super::{attributes, dropped, field, flags, heading, resource, scope};
use crate::exporters::debug::value::time;
use crate::terminal::{Page, hex};

pub(in crate::exporters::debug) fn traces(page: &mut Page, request: &ExportTraceServiceRequest) {
    for (index, spans) in request.resource_spans.iter().enumerate() {
        resource(page, index, &spans.schema_url, spans.resource.as_ref());
        for (index, spans) in spans.scope_spans.iter().enumerate() {
            scope(page, index, &spans.schema_url, spans.scope.as_ref());
            for (index, one) in spans.spans.iter().enumerate() {
                heading(page, 2, &format!("span #{index}"));
                span(page, one);
            }
        }
    }
}

fn span(page: &mut Page, span: &Span) {
    field(page, 3, "trace id", &hex(&span.trace_id));
    field(page, 3, "parent id", &hex(&span.parent_span_id));
    field(page, 3, "id", &hex(&span.span_id));
    field(page, 3, "trace state", &span.trace_state);
    field(page, 3, "flags", &flags(span.flags));
    field(page, 3, "name", &span.name);
    field(page, 3, "kind", &kind(span.kind));
    field(page, 3, "start", &time(span.start_time_unix_nano));
    field(page, 3, "end", &time(span.end_time_unix_nano));
    if let Some(status) = &span.status {
        field(page, 3, "status", &code(status.code));
        field(page, 3, "message", &status.message);
    }
    attributes(page, 3, "attributes", &span.attributes);
    dropped(page, 3, "attributes", span.dropped_attributes_count);
    for (index, one) in span.events.iter().enumerate() {
        heading(page, 3, &format!("event #{index}"));
        event(page, one);
    }
    dropped(page, 3, "events", span.dropped_events_count);
    for (index, one) in span.links.iter().enumerate() {
        heading(page, 3, &format!("link #{index}"));
        link(page, one);
    }
    dropped(page, 3, "links", span.dropped_links_count);
}

fn event(page: &mut Page, event: &Event) {
    field(page, 4, "name", &event.name);
    field(page, 4, "time", &time(event.time_unix_nano));
    attributes(page, 4, "attributes", &event.attributes);
    dropped(page, 4, "attributes", event.dropped_attributes_count);
}

fn link(page: &mut Page, link: &Link) {
    field(page, 4, "trace id", &hex(&link.trace_id));
    field(page, 4, "id", &hex(&link.span_id));
    field(page, 4, "trace state", &link.trace_state);
    field(page, 4, "flags", &flags(link.flags));
    attributes(page, 4, "attributes", &link.attributes);
    dropped(page, 4, "attributes", link.dropped_attributes_count);
}

fn kind(number: i32) -> String {
    match SpanKind::try_from(number) {
        Ok(SpanKind::Unspecified) => "unspecified".to_owned(),
        Ok(SpanKind::Internal) => "internal".to_owned(),
        Ok(SpanKind::Server) => "server".to_owned(),
        Ok(SpanKind::Client) => "client".to_owned(),
        Ok(SpanKind::Producer) => "producer".to_owned(),
        Ok(SpanKind::Consumer) => "consumer".to_owned(),
        Err(_) => format!("unknown ({number})"),
    }
}

fn code(number: i32) -> String {
    match StatusCode::try_from(number) {
        Ok(StatusCode::Unset) => "unset".to_owned(),
        Ok(StatusCode::Ok) => "ok".to_owned(),
        Ok(StatusCode::Error) => "error".to_owned(),
        Err(_) => format!("unknown ({number})"),
    }
}
