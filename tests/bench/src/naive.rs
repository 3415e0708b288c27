//! The ways that come to mind first: decode everything, change it, encode everything.

use std::error::Error;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::KeyValue;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use prost::{DecodeError, Message as _};
use serde_json::Value as Json;
use sha2::{Digest as _, Sha256};

/// Decodes and encodes a request of traces without a change.
pub fn pass(request: &[u8]) -> Result<Vec<u8>, DecodeError> {
    Ok(ExportTraceServiceRequest::decode(request)?.encode_to_vec())
}

/// Reads a request of traces in JSON.
pub fn from_json(text: &[u8]) -> Result<Vec<u8>, serde_json::Error> {
    let request: ExportTraceServiceRequest = serde_json::from_slice(text)?;
    Ok(request.encode_to_vec())
}

/// Writes a request of traces as JSON.
pub fn to_json(request: &[u8]) -> Result<Vec<u8>, Box<dyn Error>> {
    let request = ExportTraceServiceRequest::decode(request)?;
    Ok(serde_json::to_vec(&request)?)
}

/// Replaces the data URIs of at least `threshold` characters in the JSON texts of span attributes;
/// returns the slim request and the files.
pub fn extract(request: &[u8], threshold: usize) -> Result<(Vec<u8>, Vec<Vec<u8>>), DecodeError> {
    let mut request = ExportTraceServiceRequest::decode(request)?;
    let mut files = Vec::new();
    let spans = request
        .resource_spans
        .iter_mut()
        .flat_map(|resource| &mut resource.scope_spans)
        .flat_map(|scope| &mut scope.spans);
    for attribute in spans.flat_map(|span| &mut span.attributes) {
        if let Some(text) = long_text(attribute, threshold)
            && let Ok(mut json) = serde_json::from_str(text)
        {
            replace(&mut json, threshold, &mut files);
            *text = json.to_string();
        }
    }
    Ok((request.encode_to_vec(), files))
}

fn long_text(attribute: &mut KeyValue, threshold: usize) -> Option<&mut String> {
    match attribute.value.as_mut()?.value.as_mut()? {
        Value::StringValue(text) if text.len() >= threshold => Some(text),
        _ => None,
    }
}

fn replace(json: &mut Json, threshold: usize, files: &mut Vec<Vec<u8>>) {
    match json {
        Json::Array(elements) => {
            for element in elements {
                replace(element, threshold, files);
            }
        }
        Json::Object(members) => {
            for member in members.values_mut() {
                replace(member, threshold, files);
            }
        }
        Json::String(text) if text.len() >= threshold => {
            if let Some(uri) = text.strip_prefix("data:")
                && let Some((media_type, payload)) = uri.split_once(";base64,")
                && let Ok(file) = STANDARD.decode(payload)
            {
                let digest = Bytes::copy_from_slice(&Sha256::digest(&file));
                *json = serde_json::json!({
                    "type": "artifact",
                    "sha256": format!("{digest:x}"),
                    "content_type": media_type,
                    "size_bytes": file.len(),
                });
                files.push(file);
            }
        }
        _ => {}
    }
}
