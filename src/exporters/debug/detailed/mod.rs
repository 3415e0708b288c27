//! Verbosity `detailed`: everything, laid out like the Collector's debug exporter.

mod logs;
mod metrics;
mod traces;

use opentelemetry_proto::tonic::common::v1::{AnyValue, InstrumentationScope, KeyValue};
use opentelemetry_proto::tonic::resource::v1::Resource;

pub(super) use logs::logs;
pub(super) use metrics::metrics;
pub(super) use traces::traces;

use super::value::full_line;
use crate::terminal::{Page, Piece};

fn resource(page: &mut Page, index: usize, schema_url: &str, resource: Option<&Resource>) {
    heading(page, 0, &format!("resource #{index}"));
    field(page, 1, "schema url", schema_url);
    if let Some(resource) = resource {
        attributes(page, 1, "attributes", &resource.attributes);
        dropped(page, 1, "attributes", resource.dropped_attributes_count);
    }
}

fn scope(page: &mut Page, index: usize, schema_url: &str, scope: Option<&InstrumentationScope>) {
    heading(page, 1, &format!("scope #{index}"));
    field(page, 2, "schema url", schema_url);
    if let Some(scope) = scope {
        field(page, 2, "name", &scope.name);
        field(page, 2, "version", &scope.version);
        attributes(page, 2, "attributes", &scope.attributes);
        dropped(page, 2, "attributes", scope.dropped_attributes_count);
    }
}

fn heading(page: &mut Page, depth: usize, text: &str) {
    page.line(depth, [Piece::title(text)]);
}

/// A line for a field, unless it is empty.
fn field(page: &mut Page, depth: usize, name: &str, value: &str) {
    if !value.is_empty() {
        page.line(
            depth,
            [Piece::label(format!("{name:<14}: ")), Piece::text(value)],
        );
    }
}

fn dropped(page: &mut Page, depth: usize, what: &str, count: u32) {
    if count > 0 {
        field(page, depth, "dropped", &format!("{count} {what}"));
    }
}

fn attributes(page: &mut Page, depth: usize, name: &str, attributes: &[KeyValue]) {
    if attributes.is_empty() {
        return;
    }
    page.line(depth, [Piece::label(name)]);
    for attribute in attributes {
        value(page, depth + 1, &attribute.key, attribute.value.as_ref());
    }
}

fn value(page: &mut Page, depth: usize, key: &str, value: Option<&AnyValue>) {
    full_line(page, depth, key, value);
}

/// Flags as the specification writes them, or nothing when none is set.
fn flags(flags: u32) -> String {
    if flags == 0 {
        String::new()
    } else {
        format!("{flags:#010x}")
    }
}
