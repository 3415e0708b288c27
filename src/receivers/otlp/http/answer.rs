//! Answers, in the form of the request.

use std::time::Duration;

use bytes::Bytes;
use http::{HeaderValue, Response, StatusCode, header};
use http_body_util::Full;
use prost::Message as _;
use serde_json::{Value, json};
use slimspan_proto::Signal;

use super::content::Form;
use crate::answer::Answer;
use crate::refusal::Refusal;

/// Why a request is not taken: the refusal, and the status where HTTP has one of its own for it.
#[derive(Debug)]
pub(super) struct Declined {
    pub(super) status: StatusCode,
    pub(super) refusal: Refusal,
}

impl From<Refusal> for Declined {
    fn from(refusal: Refusal) -> Self {
        Self {
            status: refusal.http_status(),
            refusal,
        }
    }
}

/// The answer to a request that was taken, as a whole or in part.
pub(super) fn success(form: Form, signal: Signal, answer: Answer) -> Response<Full<Bytes>> {
    let body = match form {
        Form::Protobuf => answer.into(),
        Form::Json => json_success(signal, &answer).to_string().into(),
    };
    response(StatusCode::OK, form, body)
}

/// The answer to one that was not. Its body is a `google.rpc.Status`, as OTLP wants it.
pub(super) fn failure(form: Form, declined: &Declined) -> Response<Full<Bytes>> {
    let Declined { status, refusal } = declined;
    let told = refusal.to_status();
    let body = match form {
        Form::Json => {
            let mut body = json!({ "code": told.code() as i32, "message": told.message() });
            if let Some(delay) = refusal.asked_delay() {
                body["details"] = json!([{
                    "@type": "type.googleapis.com/google.rpc.RetryInfo",
                    "retryDelay": duration(delay),
                }]);
            }
            body.to_string().into()
        }
        // With details, these are the whole of it.
        Form::Protobuf if !told.details().is_empty() => Bytes::copy_from_slice(told.details()),
        Form::Protobuf => {
            let status = tonic_types::Status {
                code: told.code() as i32,
                message: told.message().to_owned(),
                details: Vec::new(),
            };
            status.encode_to_vec().into()
        }
    };
    let mut response = response(*status, form, body);
    if let Some(seconds) = refusal.retry_after_seconds() {
        let headers = response.headers_mut();
        headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds));
    }
    if *status == StatusCode::METHOD_NOT_ALLOWED {
        let headers = response.headers_mut();
        headers.insert(header::ALLOW, HeaderValue::from_static("POST"));
    }
    response
}

fn response(status: StatusCode, form: Form, body: Bytes) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(body));
    *response.status_mut() = status;
    let media_type = HeaderValue::from_static(form.media_type());
    response
        .headers_mut()
        .insert(header::CONTENT_TYPE, media_type);
    response
}

/// What counts of an answer. Numbers of 64 bits are strings in the JSON of protobuf.
fn json_success(signal: Signal, answer: &Answer) -> Value {
    let Some(rejected) = answer.rejected() else {
        return json!({});
    };
    let rejected_items = match signal {
        Signal::Traces => "rejectedSpans",
        Signal::Metrics => "rejectedDataPoints",
        Signal::Logs => "rejectedLogRecords",
        Signal::Profiles => "rejectedProfiles",
    };
    let mut partial = json!({ "errorMessage": answer.message() });
    if rejected > 0 {
        partial[rejected_items] = rejected.to_string().into();
    }
    json!({ "partialSuccess": partial })
}

/// A duration in the JSON of protobuf.
fn duration(duration: Duration) -> String {
    match duration.subsec_nanos() {
        0 => format!("{}s", duration.as_secs()),
        nanos => format!("{}.{nanos:09}s", duration.as_secs()),
    }
}
