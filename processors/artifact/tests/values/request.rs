//! Requests written by hand, and the answer to one checked from all sides.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use slimspan_artifact::{
    Action, Digest, Extraction, Form, Location, Pattern, Policy, Rule, extract, restore,
};
pub use slimspan_generators::wire::{field, nested};
use slimspan_generators::{Random, fake_file};
use slimspan_proto::Signal::{self, Traces};

/// Bytes from which files are moved, in most tests. No multiple of three, so that padding shows.
pub const THRESHOLD: usize = 1_000;

/// Where references point to.
pub const PUBLIC: &str = "http://127.0.0.1:4319";

/// The attribute of [`text`].
pub const KEY: &str = "input.value";

pub const FORMS: [Form; 5] = [
    Form::Native,
    Form::Object,
    Form::Uri,
    Form::Semconv,
    Form::Logfire,
];

/// Field numbers from a request down to an AnyValue.
pub type Path = &'static [u8];

pub const STRING: u8 = 1;
pub const BYTES: u8 = 7;

/// An AnyValue that is a string.
pub fn string(text: impl AsRef<[u8]>) -> Vec<u8> {
    field(STRING, text)
}

/// An AnyValue that is bytes.
pub fn bytes(bytes: impl AsRef<[u8]>) -> Vec<u8> {
    field(BYTES, bytes)
}

/// An AnyValue that is a whole number.
pub fn number(value: u16) -> Vec<u8> {
    vec![3 << 3, value as u8 | 0x80, (value >> 7) as u8]
}

/// An AnyValue that is an array.
pub fn array(values: &[Vec<u8>]) -> Vec<u8> {
    let values: Vec<_> = values.iter().map(|value| field(1, value)).collect();
    field(5, values.concat())
}

/// An AnyValue that is a kvlist.
pub fn list(members: &[(&str, Vec<u8>)]) -> Vec<u8> {
    let members: Vec<_> = members
        .iter()
        .map(|(key, value)| field(1, entry(key, value)))
        .collect();
    field(6, members.concat())
}

/// A KeyValue.
fn entry(key: &str, value: &[u8]) -> Vec<u8> {
    [field(1, key), field(2, value)].concat()
}

/// A request of one span with these attributes.
pub fn span(attributes: &[(&str, Vec<u8>)]) -> Bytes {
    let attributes: Vec<_> = attributes
        .iter()
        .map(|(key, value)| field(9, entry(key, value)))
        .collect();
    nested(&[1, 2, 2], attributes.concat()).into()
}

/// A request of one span with one attribute, which is a string.
pub fn text(content: impl AsRef<[u8]>) -> Bytes {
    span(&[(KEY, string(content))])
}

/// A request of one log record with this body.
pub fn log_body(value: &[u8]) -> Bytes {
    nested(&[1, 2, 2, 5], value).into()
}

pub fn policy() -> Policy {
    Policy::new(THRESHOLD, Location::Public(PUBLIC.into()))
}

pub fn form(form: Form) -> Policy {
    Policy { form, ..policy() }
}

pub fn rule(attribute: &str, action: Action) -> Rule {
    Rule {
        attributes: vec![Pattern::new(attribute)],
        action,
        threshold: None,
        text_threshold: None,
    }
}

/// A file that is told by its first bytes.
pub fn png(len: usize) -> Vec<u8> {
    fake_file(&mut Random::new(len as u64), len)
}

/// A file that also ends like a picture: header, data and end (ISO 15948, 5), without checksums.
pub fn whole_png(len: usize) -> Vec<u8> {
    let chunk = |kind: &[u8; 4], data: &[u8]| {
        [&(data.len() as u32).to_be_bytes()[..], kind, data, &[0; 4]].concat()
    };
    let [header, end] = [chunk(b"IHDR", &[1; 13]), chunk(b"IEND", b"")];
    let data = noise(len - 8 - header.len() - 12 - end.len());
    [
        b"\x89PNG\r\n\x1a\n",
        &header[..],
        &chunk(b"IDAT", &data),
        &end,
    ]
    .concat()
}

/// Bytes that are text and begin like no file.
pub fn prose(len: usize) -> Vec<u8> {
    b"words, and more words. "
        .iter()
        .copied()
        .cycle()
        .take(len)
        .collect()
}

/// Bytes that nothing tells what they are, no character among them.
pub fn noise(len: usize) -> Vec<u8> {
    let bytes = Random::new(!(len as u64)).bytes(len);
    bytes.into_iter().map(|byte| byte | 0x80).collect()
}

pub fn base64(bytes: &[u8]) -> String {
    STANDARD.encode(bytes)
}

/// Where the file is to be found.
pub fn address(file: &[u8], extension: &str) -> String {
    format!("{PUBLIC}/artifacts/{}.{extension}", Digest::of(file))
}

/// `text` as the content of a JSON string.
pub fn escaped(text: &str) -> String {
    let quoted = serde_json::to_string(text).unwrap();
    quoted[1..quoted.len() - 1].to_owned()
}

/// What `extract` makes of the request, which comes back byte for byte, with nothing in it that was
/// not promised: digests and sizes are true, and artifacts are those that are referred to.
pub fn slim(signal: Signal, request: &Bytes, policy: &Policy) -> Extraction {
    let extraction = extract(signal, request, policy).unwrap();
    for artifact in &extraction.artifacts {
        assert_eq!(artifact.digest, Digest::of(&artifact.bytes));
    }
    for of in &extraction.moves {
        assert!(of.after < of.before, "{of:?}");
        let mut stored = extraction.artifacts.iter();
        let stored =
            stored.any(|artifact| artifact.digest == of.digest && artifact.bytes.len() == of.size);
        assert_eq!(stored, of.stored, "{of:?}");
    }
    assert!(extraction.request.len() <= request.len() || extraction.moves.is_empty());
    let restored = restore(signal, &extraction.request, &policy.location, |digest| {
        let mut stored = extraction.artifacts.iter();
        let artifact = stored.find(|artifact| artifact.digest == digest);
        Some(artifact.unwrap().bytes.clone())
    });
    let restored = restored.unwrap();
    let dropped = extraction.moves.iter().filter(|of| !of.stored).count();
    assert_eq!(restored.left.len(), dropped);
    if dropped == 0 {
        assert_eq!(restored.restored, extraction.moves.len());
        assert!(restored.request == request, "it comes back as it was");
    }
    extraction
}

/// The text that is left of a text, and everything checked.
pub fn slim_text(content: impl AsRef<[u8]>, policy: &Policy) -> String {
    let request = text(content);
    let slim = slim(Traces, &request, policy).request;
    only_text(&slim)
}

/// The string in a request of one string.
pub fn only_text(request: &Bytes) -> String {
    let mut texts = Vec::new();
    let mut request = slimspan_generators::Request::decode(Traces, request).unwrap();
    request.visit(&mut |_, _, _, value| {
        if let Some(opentelemetry_proto::tonic::common::v1::any_value::Value::StringValue(text)) =
            &value.value
        {
            texts.push(text.clone());
        }
    });
    assert_eq!(texts.len(), 1);
    texts.remove(0)
}

/// The digests that are referred to, in order.
pub fn digests(extraction: &Extraction) -> Vec<Digest> {
    extraction.moves.iter().map(|of| of.digest).collect()
}

/// The request leaves as the very bytes it came as, in every form.
pub fn assert_untouched(signal: Signal, request: &Bytes, why: &str) {
    for one in FORMS {
        assert_untouched_by(signal, request, &form(one), why);
    }
}

pub fn assert_untouched_by(signal: Signal, request: &Bytes, policy: &Policy, why: &str) {
    let extraction = extract(signal, request, policy).unwrap();
    let same = extraction.request.as_ptr() == request.as_ptr();
    let form = policy.form;
    assert!(
        same && extraction.request.len() == request.len(),
        "{why} as {form:?}: {}",
        extraction.request.escape_ascii()
    );
    assert_eq!((extraction.artifacts, extraction.moves), (vec![], vec![]));
}
