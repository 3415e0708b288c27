//! What a backend answers, and what something between here and there does in its place.

use std::convert::Infallible;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::header::{CONTENT_ENCODING, CONTENT_TYPE, LOCATION};
use http::{HeaderMap, HeaderValue};
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceResponse;
use prost::Message as _;
use reqwest::Response;
use serde::Deserialize;
use serde_json::Value;
use tokio::time::timeout;
use tonic_types::Status;
use url::Url;

use crate::answer::Answer;
use crate::broken::root;
use crate::compression::Compression;
use crate::exporters::secrets::Secrets;
use crate::refusal::Refusal;

/// The largest answer that is read (OTLP specification: clients must limit it).
const LARGEST: usize = 4 << 20;

/// How much of a refusal is read, and for how long: its status says what counts.
const REFUSAL: usize = 64 << 10;
const PATIENCE: Duration = Duration::from_secs(1);

/// What is told at most of a refusal that is no OTLP.
const TOLD: usize = 200;

/// What a backend says that took a request, or why it did not.
pub(super) enum Said {
    /// It took it, as a whole or in part.
    Answer(Answer),
    /// It did not.
    Refused(Refusal),
    /// Nobody knows. A retry is safe, for it may have taken nothing.
    Unclear(String),
}

/// Reads an answer to a request of the exporter `name`. `left` is what is left of the attempt's time;
/// nothing that is told holds one of the `secrets` that came with the request.
pub(super) async fn read(
    name: &str,
    secrets: &Secrets,
    mut response: Response,
    left: Duration,
) -> Said {
    let status = response.status();
    if status.is_success() {
        return match body(&mut response, LARGEST).await {
            Ok(body) => match success(response.headers(), body, secrets) {
                Ok(answer) => Said::Answer(answer),
                Err(why) => Said::Unclear(secrets.redact(&format!("HTTP {status}, but {why}"))),
            },
            Err(why) => Said::Unclear(why),
        };
    }
    let told = if status.is_redirection() {
        redirection(response.headers()).map(|told| secrets.redact(&told))
    } else {
        // What a backend says is not worth more time than what it decides.
        let body = timeout(PATIENCE.min(left / 2), body(&mut response, REFUSAL));
        match body.await {
            Ok(Ok(body)) => reason(response.headers(), &body, secrets),
            _ => None,
        }
    };
    let told = told.as_deref();
    Said::Refused(Refusal::of_otlp_http(
        name,
        status,
        response.headers(),
        told,
    ))
}

/// A body of `limit` bytes at most, decompressed.
async fn body(response: &mut Response, limit: usize) -> Result<Bytes, String> {
    let too_large = || format!("its answer has more than {limit} bytes");
    let announced = response.content_length();
    if announced.is_some_and(|announced| announced > limit as u64) {
        return Err(too_large());
    }
    let mut body = BytesMut::new();
    loop {
        let chunk = response.chunk().await;
        match chunk.map_err(|error| format!("its answer broke: {}", root(&error)))? {
            None => break,
            Some(chunk) if body.len() + chunk.len() > limit => return Err(too_large()),
            Some(chunk) => body.extend_from_slice(&chunk),
        }
    }
    let compression = match response.headers().get(CONTENT_ENCODING) {
        None => None,
        Some(name) => match name.as_bytes() {
            b"deflate" => Some(Compression::Deflate),
            name => Compression::of_header(name).map_err(|_| {
                "its answer is compressed in a way that nobody asked for".to_owned()
            })?,
        },
    };
    let Some(compression) = compression else {
        return Ok(body.freeze());
    };
    let free = |_| Ok::<(), Infallible>(());
    let decompressed = compression.decompress(&body, limit, free);
    decompressed.map_err(|_| "its answer cannot be decompressed".to_owned())
}

/// What the header says of a body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Protobuf,
    Json,
    Text,
    Other,
    Untold,
}

fn kind(headers: &HeaderMap) -> Kind {
    let Some(value) = headers.get(CONTENT_TYPE) else {
        return Kind::Untold;
    };
    let value = value.to_str().unwrap_or_default();
    let essence = value.split(';').next().unwrap_or_default().trim();
    match essence.to_ascii_lowercase().as_str() {
        "application/x-protobuf" | "application/protobuf" => Kind::Protobuf,
        "application/json" => Kind::Json,
        "text/plain" => Kind::Text,
        "" => Kind::Untold,
        _ => Kind::Other,
    }
}

/// What a body is that is no OTLP, in words from here: a header may say anything.
fn media(headers: &HeaderMap) -> &'static str {
    const KNOWN: [&str; 13] = [
        "text/html",
        "text/plain",
        "text/xml",
        "application/xml",
        "application/xhtml+xml",
        "application/octet-stream",
        "application/grpc",
        "text/...",
        "image/...",
        "audio/...",
        "video/...",
        "multipart/...",
        "application/...",
    ];
    let value = headers.get(CONTENT_TYPE).map(HeaderValue::as_bytes);
    let value = value.unwrap_or_default().to_ascii_lowercase();
    let essence = value.split(|byte| *byte == b';').next();
    let essence = essence.unwrap_or_default().trim_ascii();
    let is = |known: &&str| match known.strip_suffix("...") {
        Some(kind) => essence.starts_with(kind.as_bytes()),
        None => essence == known.as_bytes(),
    };
    let mut known = KNOWN.into_iter();
    known.find(is).unwrap_or("of another content type")
}

/// The OTLP response in the body of a success; an error where it is none, as of a page to log in on.
fn success(headers: &HeaderMap, body: Bytes, secrets: &Secrets) -> Result<Answer, String> {
    if body.is_empty() {
        return Ok(Answer::success());
    }
    let kind = kind(headers);
    let is_json = match kind {
        Kind::Protobuf => false,
        Kind::Json => true,
        // No protobuf message begins with a brace: it would be the end of a group.
        Kind::Untold => body.first() == Some(&b'{'),
        Kind::Text | Kind::Other => {
            return Err(format!("its answer is {} and no OTLP", media(headers)));
        }
    };
    if is_json {
        // A list would do for serde, field by field.
        let is_object = body.trim_ascii_start().starts_with(b"{");
        let response = is_object.then(|| serde_json::from_slice::<JsonResponse>(&body).ok());
        let response = response.flatten();
        return response
            .ok_or("its answer is no OTLP/JSON")
            .and_then(|response| response.answer(secrets))
            .map_err(ToOwned::to_owned);
    }
    // All signals have the same response.
    let decoded = ExportTraceServiceResponse::decode(body.clone());
    decoded.map_err(|_| "its answer is no OTLP response".to_owned())?;
    Ok(secrets.redact_answer(Answer::from(body)))
}

/// An `Export{Trace,Logs,Metrics}ServiceResponse` in JSON.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct JsonResponse {
    #[serde(alias = "partial_success")]
    partial_success: Option<JsonPartialSuccess>,
    // What answers have that are none: a gateway that says no does not always change the status.
    error: Option<Value>,
    errors: Option<Value>,
    code: Option<Value>,
    message: Option<Value>,
    success: Option<Value>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct JsonPartialSuccess {
    #[serde(
        alias = "rejectedSpans",
        alias = "rejectedLogRecords",
        alias = "rejectedDataPoints",
        alias = "rejectedProfiles",
        alias = "rejected_spans",
        alias = "rejected_log_records",
        alias = "rejected_data_points",
        alias = "rejected_profiles"
    )]
    rejected: Option<JsonCount>,
    #[serde(alias = "error_message")]
    error_message: Option<String>,
}

/// JSON of protobuf has 64 bits in quotes, and takes them without.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum JsonCount {
    Number(i64),
    Text(String),
}

impl JsonResponse {
    fn answer(self, secrets: &Secrets) -> Result<Answer, &'static str> {
        if self.is_doubtful() {
            return Err("its answer speaks of an error and is no OTLP/JSON");
        }
        let partial = self.partial_success.unwrap_or_default();
        let rejected = match partial.rejected {
            Some(JsonCount::Number(number)) => Some(number),
            Some(JsonCount::Text(text)) => text.parse().ok(),
            None => Some(0),
        };
        let rejected = rejected.and_then(|rejected| usize::try_from(rejected).ok());
        let rejected = rejected.ok_or("its answer rejects a number of items that is none")?;
        let message = secrets.redact(&partial.error_message.unwrap_or_default());
        if rejected == 0 && message.is_empty() {
            return Ok(Answer::success());
        }
        Ok(Answer::rejecting(rejected, &message))
    }

    /// Whether it says beside OTLP that something went wrong, or may have.
    fn is_doubtful(&self) -> bool {
        let is_empty = |value: &Value| match value {
            Value::Null | Value::Bool(false) => true,
            Value::String(text) => text.is_empty(),
            Value::Array(list) => list.is_empty(),
            Value::Object(members) => members.is_empty(),
            Value::Bool(true) | Value::Number(_) => false,
        };
        let is_true = |value: &Value| *value == Value::Bool(true);
        // 0 is OK in gRPC.
        let is_ok = |value: &Value| matches!(value.as_i64(), Some(0 | 200));
        let says_ok =
            self.success.as_ref().is_some_and(is_true) || self.code.as_ref().is_some_and(is_ok);
        let mut errors = [&self.error, &self.errors].into_iter().flatten();
        errors.any(|error| !is_empty(error))
            || self.success.as_ref().is_some_and(|value| !is_true(value))
            || self.code.as_ref().is_some_and(|value| !is_ok(value))
            || !says_ok && self.message.as_ref().is_some_and(|value| !is_empty(value))
    }
}

/// What a refusal says of why.
fn reason(headers: &HeaderMap, body: &[u8], secrets: &Secrets) -> Option<String> {
    #[derive(Deserialize)]
    struct Json {
        message: Option<String>,
        error: Option<Value>,
    }

    let told = match kind(headers) {
        Kind::Protobuf => Status::decode(body).ok()?.message,
        Kind::Json => {
            let json: Json = serde_json::from_slice(body).ok()?;
            let error = json.error.unwrap_or_default();
            let of_error = error.as_str().or_else(|| error.get("message")?.as_str());
            json.message.or_else(|| of_error.map(ToOwned::to_owned))?
        }
        Kind::Text => String::from_utf8_lossy(body).into_owned(),
        Kind::Untold | Kind::Other => return None,
    };
    // Before it is cut: nobody knows half a secret.
    let told = secrets.redact(told.trim());
    let end = told
        .char_indices()
        .nth(TOLD)
        .map_or(told.len(), |(end, _)| end);
    let told = told.get(..end).unwrap_or_default();
    (!told.is_empty()).then(|| told.replace(char::is_control, " "))
}

/// Where a backend is by its own account.
fn redirection(headers: &HeaderMap) -> Option<String> {
    let location = headers.get(LOCATION)?.to_str().ok()?;
    let Ok(mut shown) = Url::parse(location) else {
        return Some("it is elsewhere, and redirects are not followed".to_owned());
    };
    // It may hold a key.
    shown.set_query(None);
    shown.set_fragment(None);
    let _ = shown.set_username("");
    let _ = shown.set_password(None);
    Some(format!(
        "it is at {shown}, and redirects are not followed: set the endpoint to where it is"
    ))
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use opentelemetry_proto::tonic::collector::trace::v1::ExportTracePartialSuccess;

    use super::*;

    fn of_type(name: &str) -> HeaderMap {
        let mut headers = HeaderMap::new();
        if !name.is_empty() {
            headers.insert(CONTENT_TYPE, name.parse().unwrap());
        }
        headers
    }

    fn partial() -> Bytes {
        let partial_success = ExportTracePartialSuccess {
            rejected_spans: 3,
            error_message: "too old".to_owned(),
        };
        let response = ExportTraceServiceResponse {
            partial_success: Some(partial_success),
        };
        response.encode_to_vec().into()
    }

    #[test]
    fn a_success_is_otlp_or_nothing() {
        let some = Answer::rejecting(3, "too old");
        let json = |rejected: &str| {
            Bytes::from(format!(
                r#"{{"partialSuccess":{{"{rejected},"errorMessage":"too old"}}}}"#
            ))
        };
        for (kind, body, answer) in [
            ("application/x-protobuf", Bytes::new(), Answer::success()),
            ("", Bytes::new(), Answer::success()),
            ("text/html", Bytes::new(), Answer::success()),
            ("application/x-protobuf", partial(), some.clone()),
            ("application/protobuf; charset=x", partial(), some.clone()),
            ("", partial(), some.clone()),
            ("", "{}".into(), Answer::success()),
            (
                "application/json",
                r#"{"code":0,"message":"ok","error":null,"errors":[]}"#.into(),
                Answer::success(),
            ),
            (
                "application/json",
                r#"{"success":true,"message":"ok"}"#.into(),
                Answer::success(),
            ),
            ("application/json", "{}".into(), Answer::success()),
            (
                "Application/JSON",
                r#"{"partialSuccess":{}}"#.into(),
                Answer::success(),
            ),
            (
                "application/json",
                r#"{"partialSuccess":null}"#.into(),
                Answer::success(),
            ),
            (
                "application/json",
                json(r#"rejectedSpans":"3""#),
                some.clone(),
            ),
            (
                "application/json",
                json(r#"rejectedSpans":3"#),
                some.clone(),
            ),
            (
                "application/json",
                json(r#"rejectedLogRecords":"3""#),
                some.clone(),
            ),
            (
                "application/json",
                json(r#"rejectedProfiles":"3""#),
                some.clone(),
            ),
            ("application/json", json(r#"rejected_data_points":3"#), some),
            (
                "application/json",
                json(r#"rejectedSpans":"0""#),
                Answer::rejecting(0, "too old"),
            ),
        ] {
            let found = success(&of_type(kind), body.clone(), &Secrets::default());
            assert_eq!(found, Ok(answer), "{kind} {body:?}");
        }
        for (kind, body) in [
            ("text/html", &b"<html>log in</html>"[..]),
            ("text/plain", b"OK"),
            ("application/json", b"<html>"),
            ("application/json", b"[]"),
            ("application/json", br#"{"partialSuccess":7}"#),
            (
                "application/json",
                br#"{"partialSuccess":{"rejectedSpans":"x"}}"#,
            ),
            (
                "application/json",
                br#"{"partialSuccess":{"rejectedSpans":-1}}"#,
            ),
            ("application/json", br#"{"error":"invalid key"}"#),
            ("application/json", br#"{"errors":[{}]}"#),
            ("application/json", br#"{"success":false}"#),
            ("application/json", br#"{"code":16,"partialSuccess":{}}"#),
            ("application/json", br#"{"code":"Unauthorized"}"#),
            ("application/json", br#"{"message":"forbidden"}"#),
            ("application/x-protobuf", b"\xff\xff"),
            ("application/x-protobuf", b"{}"),
            ("", b"garbage"),
        ] {
            let found = success(
                &of_type(kind),
                Bytes::from_static(body),
                &Secrets::default(),
            );
            assert!(found.is_err(), "{kind} {}", body.escape_ascii());
        }
    }

    #[test]
    fn what_an_answer_says_that_it_is_is_told_in_words_from_here() {
        for (kind, told) in [
            ("Text/HTML; charset=c4n4ry", "text/html"),
            ("text/c4n4ry", "text/..."),
            ("application/vnd.c4n4ry", "application/..."),
            ("c4n4ry/html", "of another content type"),
            ("c4n4ry", "of another content type"),
        ] {
            let body = Bytes::from_static(b"x");
            let why = success(&of_type(kind), body, &Secrets::default()).unwrap_err();
            assert_eq!(why, format!("its answer is {told} and no OTLP"), "{kind}");
        }
    }

    #[test]
    fn a_refusal_says_why_in_many_ways() {
        let status = Status {
            code: 3,
            message: "too many".to_owned(),
            details: Vec::new(),
        };
        for (kind, body, told) in [
            (
                "application/x-protobuf",
                status.encode_to_vec(),
                Some("too many"),
            ),
            (
                "application/json",
                br#"{"code":3,"message":"no"}"#.into(),
                Some("no"),
            ),
            ("application/json", br#"{"error":"no"}"#.into(), Some("no")),
            (
                "application/json",
                br#"{"error":{"message":"no"}}"#.into(),
                Some("no"),
            ),
            ("application/json", br#"{"errors":[]}"#.into(), None),
            (
                "text/plain; charset=utf-8",
                b" quota\nover\n".into(),
                Some("quota over"),
            ),
            ("text/html", b"<html>".into(), None),
            ("application/x-protobuf", vec![0xff], None),
            ("", b"anything".into(), None),
        ] {
            let found = reason(&of_type(kind), &body, &Secrets::default());
            assert_eq!(found.as_deref(), told, "{kind}");
        }
        let long = "ä".repeat(10_000);
        let found = reason(&of_type("text/plain"), long.as_bytes(), &Secrets::default()).unwrap();
        assert_eq!(found.chars().count(), TOLD);
    }

    #[test]
    fn a_secret_that_a_backend_repeats_is_not_told() {
        let mut headers = HeaderMap::new();
        let mut key = HeaderValue::from_static("Bearer hunter2");
        key.set_sensitive(true);
        headers.insert("authorization", key);
        let secrets = Secrets::of(&headers);
        let said = format!("{}hunter2 is no key", "x".repeat(TOLD - 3));
        let told = reason(&of_type("text/plain"), said.as_bytes(), &secrets).unwrap();
        assert!(!told.contains("hun"), "{told}");
        let partial_success = ExportTracePartialSuccess {
            rejected_spans: 3,
            error_message: "Bearer hunter2 is old".to_owned(),
        };
        let response = ExportTraceServiceResponse {
            partial_success: Some(partial_success),
        };
        let json =
            r#"{"partialSuccess":{"rejectedSpans":3,"errorMessage":"Bearer hunter2 is old"}}"#;
        for (kind, body) in [
            ("application/x-protobuf", response.encode_to_vec().into()),
            ("application/json", Bytes::from(json)),
        ] {
            let answer = success(&of_type(kind), body, &secrets);
            assert_eq!(answer, Ok(Answer::rejecting(3, "[REDACTED] is old")));
        }
    }

    #[test]
    fn a_redirection_is_told_without_a_secret() {
        let mut headers = HeaderMap::new();
        assert_eq!(redirection(&headers), None);
        let location = "https://hunter2:hunter2@new.example.com/v1/traces?key=hunter2#hunter2";
        headers.insert(LOCATION, location.parse().unwrap());
        let told = redirection(&headers).unwrap();
        assert!(told.contains("new.example.com/v1/traces"), "{told}");
        assert!(!told.contains("hunter2"), "{told}");
    }
}
