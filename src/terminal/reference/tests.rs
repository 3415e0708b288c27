#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use opentelemetry_proto::tonic::{
    collector::trace::v1::ExportTraceServiceRequest,
    common::v1::{AnyValue, KeyValue, any_value::Value},
    trace::v1::{ResourceSpans, ScopeSpans, Span},
};
use prost::Message as _;
use slimspan_artifact::{Form, Location, Policy, extract};
use slimspan_proto::Signal;

use super::*;

fn reference(uri: &str) -> String {
    format!(
        r#"{{"type":"artifact","sha256":"{}","content_type":"image/png","size_bytes":19763,"uri":"{uri}","encoding":"data-uri"}}"#,
        Digest::of(b"abc")
    )
}

#[test]
fn finds_a_reference_that_is_the_whole_text() {
    let text = reference("file:///blobs/ba/ba78.png");
    let (replaced, found) = replace_references(&text);
    assert_eq!(replaced, PLACEHOLDER);
    assert_eq!(
        found.first().unwrap().summary(),
        "artifact image/png 19.3 KiB sha256 ba7816bf8f01… file:///blobs/ba/ba78.png"
    );
}

#[test]
fn finds_references_in_json_and_in_json_inside_json() {
    let mut nested = format!(
        r#"[{{"a":{}}},{{"b":{}}}]"#,
        reference("file:///1"),
        reference("file:///2")
    );
    let mut expected = format!(r#"[{{"a":{PLACEHOLDER}}},{{"b":{PLACEHOLDER}}}]"#);
    for _ in 0..4 {
        let (replaced, found) = replace_references(&nested);
        assert_eq!(replaced, expected);
        assert_eq!(found.len(), 2, "{nested}");
        nested = serde_json::to_string(&nested).unwrap();
        expected = serde_json::to_string(&expected).unwrap();
    }
}

#[test]
fn finds_a_reference_whose_uri_holds_a_brace() {
    let text = reference("file:///a}b");
    let (_, found) = replace_references(&text);
    assert_eq!(found.first().unwrap().uri.as_deref(), Some("file:///a}b"));
}

#[test]
fn leaves_what_only_looks_like_a_reference() {
    for text in [
        "{",
        "no reference",
        r#"{"type":"artifact"}"#,
        r#"{"type":"artifact","#,
        r#"{"type":"artifact","sha256":"ab","content_type":"a/b","size_bytes":1,"uri":"u"}"#,
        r#"{\"type":"artifact","sha256":1}"#,
    ] {
        let (replaced, found) = replace_references(text);
        assert_eq!(replaced, text);
        assert!(found.is_empty());
    }
}

/// What a slimspan with this policy makes of a span with a value, and what is shown of that.
fn shown(change: impl FnOnce(&mut Policy), value: Value) -> (String, Vec<String>) {
    let span = Span {
        attributes: vec![KeyValue {
            key: "key".to_owned(),
            value: Some(AnyValue { value: Some(value) }),
            ..KeyValue::default()
        }],
        ..Span::default()
    };
    let spans = ScopeSpans {
        spans: vec![span],
        ..ScopeSpans::default()
    };
    let spans = ResourceSpans {
        scope_spans: vec![spans],
        ..ResourceSpans::default()
    };
    let request = ExportTraceServiceRequest {
        resource_spans: vec![spans],
    };
    let mut policy = Policy::new(100, Location::Public("https://example.com/x".to_owned()));
    change(&mut policy);
    let request = Bytes::from(request.encode_to_vec());
    let slim = extract(Signal::Traces, &request, &policy).unwrap().request;
    let slim = ExportTraceServiceRequest::decode(slim).unwrap();
    let value = slim.resource_spans[0].scope_spans[0].spans[0].attributes[0]
        .value
        .clone();
    let Some(Value::StringValue(text)) = value.unwrap().value else {
        panic!("no string");
    };
    let (replaced, found) = replace_references(&text);
    (
        replaced.into_owned(),
        found.iter().map(Reference::summary).collect(),
    )
}

fn data_uri(file: &[u8]) -> String {
    format!("data:image/png;base64,{}", STANDARD.encode(file))
}

#[test]
fn finds_what_the_extractor_writes() {
    let file = [b"\x89PNG\r\n\x1a\n".as_slice(), &[7; 1000]].concat();
    let digest = Digest::of(&file).to_string();
    let (short, shard) = (&digest[..12], &digest[..2]);
    let store = |policy: &mut Policy| {
        policy.location = Location::Store("s3://media/default/sha256".to_owned());
    };
    let data_uri = data_uri(&file);
    let prefix = "base64&prefix=data%3Aimage%2Fpng%3Bbase64%2C";

    let text = Value::StringValue(data_uri.clone());
    let public =
        format!("artifact image/png sha256 {short}… https://example.com/x/artifacts/{digest}.png");
    assert_eq!(
        shown(|_| {}, text.clone()),
        (PLACEHOLDER.to_owned(), vec![public.clone()])
    );
    let in_store = format!(
        "artifact image/png sha256 {short}… s3://media/default/sha256/{shard}/{digest}?as={prefix}"
    );
    assert_eq!(
        shown(store, text.clone()),
        (PLACEHOLDER.to_owned(), vec![in_store])
    );
    let bytes = Value::BytesValue(file.clone());
    let in_store =
        format!("artifact sha256 {short}… s3://media/default/sha256/{shard}/{digest}?as=bytes");
    assert_eq!(
        shown(store, bytes),
        (PLACEHOLDER.to_owned(), vec![in_store])
    );

    let markdown = Value::StringValue(format!("See ![this]({data_uri}), or {data_uri}."));
    let (replaced, found) = shown(|_| {}, markdown);
    assert_eq!(replaced, "See ![this](‹artifact›), or ‹artifact›.");
    assert_eq!(found, [public.as_str(), &public]);

    let object = |form| move |policy: &mut Policy| policy.form = form;
    let size = file.len();
    let whole = format!(
        "artifact image/png {size} B sha256 {short}… https://example.com/x/artifacts/{digest}.png"
    );
    for form in [Form::Object, Form::Logfire] {
        assert_eq!(
            shown(object(form), text.clone()),
            (PLACEHOLDER.to_owned(), vec![whole.clone()])
        );
    }
    let dropped = |form| {
        let digest = Digest::of(&file);
        move |policy: &mut Policy| {
            policy.form = form;
            policy.dropped = [digest].into();
        }
    };
    let gone = format!("artifact image/png {size} B sha256 {short}… dropped");
    for form in [Form::Native, Form::Object] {
        assert_eq!(
            shown(dropped(form), text.clone()),
            (PLACEHOLDER.to_owned(), vec![gone.clone()])
        );
    }

    let long = "Once upon a time. ".repeat(100);
    let whole_text = |policy: &mut Policy| policy.text_threshold = Some(1000);
    let (replaced, found) = shown(whole_text, Value::StringValue(long));
    assert_eq!(replaced, PLACEHOLDER);
    assert!(
        found[0].contains(" text/plain 1.8 KiB sha256 "),
        "{found:?}"
    );
    assert!(found[0].contains(" “Once upon a time. Once"), "{found:?}");
}

#[test]
fn leaves_uris_that_a_sender_wrote() {
    let digest = Digest::of(b"abc").to_string();
    let shard = &digest[..2];
    for uri in [
        format!("https://example.com/artifacts/untrusted/{digest}.png"),
        format!("s3://media/default/sha256/untrusted/{shard}/{digest}"),
        format!("artifact://dropped/untrusted/{digest}.png?size=1"),
        format!("https://example.com/artifacts/{digest}"),
        format!("https://example.com/artifacts/{digest}.exe"),
        format!("https://example.com/artifacts/{digest}.png/more"),
        format!("https://example.com/{digest}.png"),
        format!("s3://media/00/{digest}"),
        format!("/artifacts/{digest}.png"),
        "a://é".to_owned(),
        "://".to_owned(),
    ] {
        let (replaced, found) = replace_references(&uri);
        assert_eq!((&*replaced, found), (&*uri, vec![]));
    }
}
