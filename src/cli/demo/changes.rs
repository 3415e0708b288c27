//! What became of the attributes of a request on its way.

use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue, any_value::Value};
use prost::{DecodeError, Message as _};

use crate::terminal::bytes_excerpt;

/// A span attribute whose value left otherwise than it came.
pub(super) struct Change {
    pub(super) key: String,
    pub(super) before: String,
    /// Its key afterwards; some references get another one.
    pub(super) key_after: String,
    pub(super) after: String,
}

/// The attributes of the spans that differ between two versions of one trace request.
pub(super) fn changes(original: &[u8], slim: &[u8]) -> Result<Vec<Change>, DecodeError> {
    let (original, slim) = (attributes(original)?, attributes(slim)?);
    Ok(original
        .into_iter()
        .zip(slim)
        .filter(|(before, after)| before != after)
        .map(|(before, after)| Change {
            before: text(before.value),
            after: text(after.value),
            key: before.key,
            key_after: after.key,
        })
        .collect())
}

fn attributes(request: &[u8]) -> Result<Vec<KeyValue>, DecodeError> {
    Ok(ExportTraceServiceRequest::decode(request)?
        .resource_spans
        .into_iter()
        .flat_map(|resource| resource.scope_spans)
        .flat_map(|scope| scope.spans)
        .flat_map(|span| span.attributes)
        .collect())
}

fn text(value: Option<AnyValue>) -> String {
    match value.and_then(|value| value.value) {
        None => String::new(),
        Some(Value::StringValue(text)) => text,
        Some(Value::BytesValue(bytes)) => bytes_excerpt(&bytes),
        Some(other) => format!("{other:?}"),
    }
}
