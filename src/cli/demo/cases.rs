use std::collections::hash_map::RandomState;
use std::hash::BuildHasher as _;
use std::time::{SystemTime, UNIX_EPOCH};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use opentelemetry_proto::tonic::{
    collector::trace::v1::ExportTraceServiceRequest,
    common::v1::{AnyValue, InstrumentationScope, KeyValue, any_value::Value},
    resource::v1::Resource,
    trace::v1::{ResourceSpans, ScopeSpans, Span, Status, span::SpanKind, status::StatusCode},
};
use prost::Message as _;

const PICTURE: &[u8] = include_bytes!("picture.png");
const DOCUMENT: &[u8] = include_bytes!("document.pdf");

const MILLISECOND: u64 = 1_000_000;

/// A request of the demo, as an SDK would send it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct DemoCase {
    /// What the request stands for, in a few words.
    pub(super) name: &'static str,
    /// An encoded `ExportTraceServiceRequest`.
    pub(super) request: Bytes,
}

/// The requests of the demo: one trace of an agent that answers a question about a picture and a
/// document, a request for each span. Ids and times are new on every call, and so are the files,
/// if only by a comment: what is found in the store afterwards was stored by this run.
pub(super) fn cases() -> Vec<DemoCase> {
    let trace = Trace::begin();
    let root = trace.span_id(0);
    let child = |number, name: &str, kind, attributes| Span {
        parent_span_id: root.clone(),
        ..trace.span(number, name, kind, attributes)
    };
    vec![
        DemoCase {
            name: "a picture in a chat message",
            request: request(child(
                1,
                "chat gpt-4o",
                SpanKind::Client,
                chat(&trace.note()),
            )),
        },
        DemoCase {
            name: "a PDF in a bytes attribute",
            request: request(child(
                2,
                "execute_tool read_document",
                SpanKind::Internal,
                document(&trace.note()),
            )),
        },
        DemoCase {
            name: "a span without files",
            request: request(trace.span(0, "POST /ask", SpanKind::Server, http())),
        },
    ]
}

/// The picture with a comment in it: a `tEXt` chunk before the last one (PNG, 11.3.4.3).
fn picture(note: &str) -> Vec<u8> {
    const END: usize = 12;
    let chunk = format!("tEXtComment\0{note}");
    let mut crc = flate2::Crc::new();
    crc.update(chunk.as_bytes());
    let length = u32::try_from(chunk.len() - 4).unwrap_or_default();
    let (begin, end) = PICTURE.split_at(PICTURE.len() - END);
    [
        begin,
        &length.to_be_bytes(),
        chunk.as_bytes(),
        &crc.sum().to_be_bytes(),
        end,
    ]
    .concat()
}

fn chat(note: &str) -> Vec<KeyValue> {
    let picture = STANDARD.encode(picture(note));
    let question = format!(
        r#"[{{"role":"user","content":[{{"type":"image_url","image_url":{{"url":"data:image/png;base64,{picture}"}}}},{{"type":"text","text":"What does this picture show?"}}]}}]"#
    );
    let answer = r#"[{"role":"assistant","content":"A sunset over a mountain range, with a row of fir trees in front."}]"#;
    vec![
        string("openinference.span.kind", "LLM"),
        string("gen_ai.operation.name", "chat"),
        string("gen_ai.provider.name", "openai"),
        string("gen_ai.request.model", "gpt-4o"),
        string("gen_ai.input.messages", question),
        string("gen_ai.output.messages", answer),
        integer("gen_ai.usage.input_tokens", 782),
        integer("gen_ai.usage.output_tokens", 17),
    ]
}

fn document(note: &str) -> Vec<KeyValue> {
    let comment = format!("% {note}\n");
    let document = [DOCUMENT, comment.as_bytes()].concat();
    vec![
        string("openinference.span.kind", "TOOL"),
        string("gen_ai.operation.name", "execute_tool"),
        string("gen_ai.tool.name", "read_document"),
        string("document.name", "weather-report.pdf"),
        attribute("document.pdf", Value::BytesValue(document)),
    ]
}

fn http() -> Vec<KeyValue> {
    vec![
        string("http.request.method", "POST"),
        string("url.path", "/ask"),
        integer("http.response.status_code", 200),
    ]
}

/// A trace that has just ended.
struct Trace {
    id: [u8; 16],
    /// Nanoseconds since 1970.
    end: u64,
    hasher: RandomState,
}

impl Trace {
    fn begin() -> Self {
        let now = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default();
        let end = u64::try_from(now.as_nanos()).unwrap_or(u64::MAX);
        // The standard library seeds its hasher at random, which is enough to tell traces apart.
        let hasher = RandomState::new();
        let (high, low) = (hasher.hash_one(end), hasher.hash_one((end, "trace")));
        let id = (u128::from(high) << 64 | u128::from(low)).max(1);
        Self {
            id: id.to_be_bytes(),
            end,
            hasher,
        }
    }

    /// What makes a file of this trace another than that of any other.
    fn note(&self) -> String {
        format!("slimspan demo {:032x}", u128::from_be_bytes(self.id))
    }

    fn span_id(&self, number: u64) -> Vec<u8> {
        let id = self.hasher.hash_one((self.end, number)).max(1);
        id.to_be_bytes().to_vec()
    }

    /// The first span covers the whole trace, the others follow one another inside it.
    fn span(&self, number: u64, name: &str, kind: SpanKind, attributes: Vec<KeyValue>) -> Span {
        let begin = self.end.saturating_sub(2_400 * MILLISECOND);
        let (start, end) = match number {
            0 => (begin, self.end),
            _ => (
                begin.saturating_add((number - 1) * 1_200 * MILLISECOND),
                begin.saturating_add((number * 1_200 - 100) * MILLISECOND),
            ),
        };
        Span {
            trace_id: self.id.to_vec(),
            span_id: self.span_id(number),
            name: name.to_owned(),
            kind: kind.into(),
            start_time_unix_nano: start,
            end_time_unix_nano: end,
            attributes,
            status: Some(Status {
                code: StatusCode::Ok.into(),
                message: String::new(),
            }),
            ..Span::default()
        }
    }
}

fn request(span: Span) -> Bytes {
    let request = ExportTraceServiceRequest {
        resource_spans: vec![ResourceSpans {
            resource: Some(Resource {
                attributes: vec![string("service.name", "slimspan-demo")],
                ..Resource::default()
            }),
            scope_spans: vec![ScopeSpans {
                scope: Some(InstrumentationScope {
                    name: "slimspan demo".to_owned(),
                    version: env!("CARGO_PKG_VERSION").to_owned(),
                    ..InstrumentationScope::default()
                }),
                spans: vec![span],
                ..ScopeSpans::default()
            }],
            ..ResourceSpans::default()
        }],
    };
    request.encode_to_vec().into()
}

fn string(key: &str, value: impl Into<String>) -> KeyValue {
    attribute(key, Value::StringValue(value.into()))
}

fn integer(key: &str, value: i64) -> KeyValue {
    attribute(key, Value::IntValue(value))
}

fn attribute(key: &str, value: Value) -> KeyValue {
    KeyValue {
        key: key.to_owned(),
        value: Some(AnyValue { value: Some(value) }),
        ..KeyValue::default()
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]

    use super::*;

    fn spans() -> Vec<Span> {
        cases()
            .into_iter()
            .flat_map(|case| {
                ExportTraceServiceRequest::decode(case.request)
                    .unwrap()
                    .resource_spans
            })
            .flat_map(|resource| resource.scope_spans)
            .flat_map(|scope| scope.spans)
            .collect()
    }

    fn value(span: &Span, key: &str) -> Value {
        let found = span.attributes.iter().find(|entry| entry.key == key);
        found.unwrap().value.clone().unwrap().value.unwrap()
    }

    #[test]
    fn the_chat_holds_the_picture_as_a_data_uri_in_json() {
        let Value::StringValue(json) = value(spans().first().unwrap(), "gen_ai.input.messages")
        else {
            unreachable!("the messages are a string")
        };
        let messages: serde_json::Value = serde_json::from_str(&json).unwrap();
        let uri = messages.pointer("/0/content/0/image_url/url").unwrap();
        let base64 = uri
            .as_str()
            .and_then(|uri| uri.strip_prefix("data:image/png;base64,"));
        let sent = STANDARD.decode(base64.unwrap()).unwrap();
        assert!(sent.starts_with(b"\x89PNG\r\n\x1a\n"));
        assert!(sent.ends_with(b"IEND\xae\x42\x60\x82"));
    }

    #[test]
    fn a_comment_in_the_picture_is_a_sound_chunk() {
        let picture = picture("note");
        let at = PICTURE.len() - 12;
        assert_eq!(picture[..at], PICTURE[..at]);
        let chunk = &picture[at..picture.len() - 12];
        assert_eq!(chunk[..20], *b"\0\0\0\x0ctEXtComment\0note");
        // CRC-32 of "tEXtComment\0note", by another implementation.
        assert_eq!(chunk[20..], [0x40, 0xa3, 0xaf, 0xf1]);
    }

    #[test]
    fn the_document_stands_as_bytes() {
        let Value::BytesValue(sent) = value(spans().get(1).unwrap(), "document.pdf") else {
            unreachable!("the document is bytes")
        };
        assert!(sent.starts_with(DOCUMENT) && sent.len() > DOCUMENT.len());
        assert!(sent.starts_with(b"%PDF-"));
    }

    #[test]
    fn the_spans_form_one_trace_that_is_new_every_time() {
        let spans = spans();
        let [chat, document, root] = spans.as_slice() else {
            unreachable!("three spans")
        };
        assert!(root.parent_span_id.is_empty());
        for child in [chat, document] {
            assert_eq!(child.trace_id, root.trace_id);
            assert_eq!(child.parent_span_id, root.span_id);
            assert!(child.start_time_unix_nano >= root.start_time_unix_nano);
            assert!(child.end_time_unix_nano > child.start_time_unix_nano);
            assert!(child.end_time_unix_nano <= root.end_time_unix_nano);
        }
        assert_ne!(chat.span_id, document.span_id);
        assert_eq!((root.trace_id.len(), root.span_id.len()), (16, 8));
        assert_ne!(cases(), cases());
    }
}
