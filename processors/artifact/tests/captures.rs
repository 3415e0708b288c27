//! What real SDKs send, with the digests of the files in it: `tests/captures`, and the folder of
//! the same form that the environment variable `SLIMSPAN_CAPTURES` names.

#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stdout, missing_docs)]

use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};

use bytes::Bytes;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use prost::Message as _;
use serde::Deserialize;
use slimspan_artifact::{Digest, Extraction, Form, Location, Policy, extract, restore};
use slimspan_generators::{Request, turned};
use slimspan_proto::{Carrier, Signal};

/// A threshold below every file of the captures.
const SMALLEST: usize = 4 * 1024;

#[derive(Deserialize)]
struct Capture {
    file: String,
    signal: String,
    blobs: Vec<Blob>,
    traps: Vec<Trap>,
    #[serde(skip)]
    request: Bytes,
}

/// A file in a request.
#[derive(Deserialize)]
struct Blob {
    location: String,
    attribute_key: String,
    shape: String,
    json_string_levels: usize,
    media_type_from: Option<String>,
    decoded_sha256: String,
    decoded_size: usize,
    original: String,
}

/// Values that look like files and are none.
#[derive(Deserialize)]
struct Trap {
    location: String,
    count: usize,
}

/// A place that a reference stands in: key of the attribute, digest.
type Place = (String, String);

impl Blob {
    /// Why the file stays where it is, if it has to.
    fn stays(&self) -> Option<&'static str> {
        // Random bytes, text and JSON have no magic number.
        let shows_nothing = ["bin", "txt", "json"]
            .iter()
            .any(|extension| self.original.ends_with(extension));
        match self.shape.as_str() {
            "hex" => Some("hexadecimal text is ids and digests more often than files"),
            "latin1-text" => Some("bytes that were taken for characters are text like any other"),
            "plain-text" => Some("text is moved with text_threshold only"),
            "base64" | "base64url" | "base64url-nopad" | "python-bytes-repr-unquoted"
                if shows_nothing && self.media_type_from.is_none() =>
            {
                Some("nothing tells random bytes from a key or a signature")
            }
            _ => None,
        }
    }

    fn place(&self) -> Place {
        (self.attribute_key.clone(), self.decoded_sha256.clone())
    }
}

impl Capture {
    fn signal(&self) -> Signal {
        let named = Signal::READ.iter().find(|s| s.name() == self.signal);
        *named.unwrap()
    }

    fn extract(&self, policy: &Policy) -> Extraction {
        extract(self.signal(), &self.request, policy)
            .unwrap_or_else(|error| panic!("{}: {error}", self.file))
    }
}

fn policy(threshold: usize) -> Policy {
    Policy::new(threshold, Location::Public("http://127.0.0.1:4319".into()))
}

const FORMS: [Form; 5] = [
    Form::Native,
    Form::Object,
    Form::Uri,
    Form::Semconv,
    Form::Logfire,
];

/// Every capture, each once.
fn captures() -> Vec<Capture> {
    let shipped = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/captures");
    let more = std::env::var_os("SLIMSPAN_CAPTURES").map(PathBuf::from);
    let folders = [Some(shipped), more];
    let captures = folders.iter().flatten().flat_map(|folder| read(folder));
    let by_name: BTreeMap<String, Capture> = captures
        .map(|capture| (capture.file.clone(), capture))
        .collect();
    by_name.into_values().collect()
}

fn read(folder: &Path) -> Vec<Capture> {
    let index = std::fs::read(folder.join("index.json"))
        .unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let mut captures: Vec<Capture> = serde_json::from_slice(&index).unwrap();
    for capture in &mut captures {
        let bytes = std::fs::read(folder.join(&capture.file)).unwrap();
        capture.request = if bytes.starts_with(b"{") {
            // OTLP/JSON.
            assert_eq!(capture.signal(), Signal::Traces, "{}", capture.file);
            let request: ExportTraceServiceRequest = serde_json::from_slice(&bytes).unwrap();
            request.encode_to_vec().into()
        } else {
            bytes.into()
        };
    }
    captures
}

/// The key of the attribute and the text of every value, in the order of the request.
fn values(signal: Signal, request: &[u8]) -> Vec<(String, String)> {
    let mut values = Vec::new();
    let mut request = Request::decode(signal, request).unwrap();
    request.visit(&mut |carrier, attribute, _, value| {
        let attribute = match carrier {
            Carrier::LogBody => "body",
            _ => attribute,
        };
        let text = match &value.value {
            Some(Value::StringValue(text)) => text.as_str(),
            _ => "",
        };
        values.push((attribute.to_owned(), text.to_owned()));
    });
    values
}

/// The places of the references in a slim request, and how many stand in each.
fn places(extraction: &Extraction) -> BTreeMap<Place, usize> {
    let mut places = BTreeMap::new();
    for of in &extraction.moves {
        let attribute = match of.attribute.as_str() {
            "(body)" => "body",
            attribute => attribute,
        };
        *places
            .entry((attribute.to_owned(), of.digest.to_string()))
            .or_default() += 1;
    }
    places
}

#[test]
fn every_capture_comes_back_byte_for_byte_from_every_form() {
    for capture in captures() {
        for (threshold, text_threshold) in [(1, None), (SMALLEST, Some(SMALLEST)), (8192, None)] {
            for form in FORMS {
                let mut policy = policy(threshold);
                policy.form = form;
                policy.text_threshold = text_threshold;
                let Extraction {
                    request, artifacts, ..
                } = capture.extract(&policy);
                let stored: HashMap<Digest, Bytes> = artifacts
                    .into_iter()
                    .map(|artifact| (artifact.digest, artifact.bytes))
                    .collect();
                let restored = restore(capture.signal(), &request, &policy.location, |digest| {
                    stored.get(&digest).cloned()
                });
                let restored = restored.unwrap();
                assert_eq!(restored.left, []);
                assert!(
                    restored.request == capture.request,
                    "{} at {threshold} as {form:?}",
                    capture.file
                );
            }
        }
    }
}

/// A Collector in front or behind writes all of it anew, with the fields of each message from the last to the first.
#[test]
fn what_a_collector_writes_anew_is_taken_out_and_put_back_as_well() {
    for capture in captures() {
        let (signal, file) = (capture.signal(), &capture.file);
        let anew = |request: &Bytes| Bytes::from(turned(signal, request));
        let whole = anew(&capture.request);
        for form in FORMS {
            let mut policy = policy(SMALLEST);
            policy.form = form;
            let before = capture.extract(&policy);
            let behind = extract(signal, &whole, &policy).unwrap();
            let slim = anew(&before.request);
            assert!(anew(&behind.request) == slim, "{file} as {form:?}");
            let artifacts = before.artifacts.into_iter();
            let stored: HashMap<Digest, Bytes> = artifacts
                .map(|artifact| (artifact.digest, artifact.bytes))
                .collect();
            for request in [&behind.request, &slim] {
                let of = |digest| stored.get(&digest).cloned();
                let restored = restore(signal, request, &policy.location, of).unwrap();
                assert_eq!(restored.left, [], "{file} as {form:?}");
                assert!(restored.request == whole, "{file} as {form:?}");
            }
        }
    }
}

/// Every file is found where it stands, but those that have to stay, and no place holds more than
/// it had files of that size. Prints how much of each shape is found.
#[test]
fn every_file_is_found_where_it_stands() {
    // By shape, JSON texts around it and why it stays: the files found, the files there are.
    let mut table: BTreeMap<(String, usize, &str), (usize, usize)> = BTreeMap::new();
    for capture in captures() {
        for threshold in [SMALLEST, 20_000] {
            let mut found = places(&capture.extract(&policy(threshold)));
            for blob in capture
                .blobs
                .iter()
                .filter(|blob| blob.decoded_size >= threshold)
            {
                let references = found.entry(blob.place()).or_default();
                let hit = *references > 0;
                *references -= usize::from(hit);
                let (file, location) = (&capture.file, &blob.location);
                assert_eq!(
                    hit,
                    blob.stays().is_none(),
                    "{file} at {threshold}: {location}"
                );
                if threshold == SMALLEST {
                    let why = blob.stays().unwrap_or_default();
                    let row = (blob.shape.clone(), blob.json_string_levels, why);
                    let (hits, all) = table.entry(row).or_default();
                    *hits += usize::from(hit);
                    *all += 1;
                }
            }
            for ((attribute, digest), surplus) in found {
                let file = &capture.file;
                assert_eq!(surplus, 0, "{file} at {threshold}: {digest} in {attribute}");
            }
        }
    }
    println!("{:<34}{:>12}{:>10}", "shape", "JSON levels", "found");
    for ((shape, levels, why), (hits, all)) in table {
        println!(
            "{shape:<34}{levels:>12}{:>10}  {why}",
            format!("{hits}/{all}")
        );
    }
}

/// Base64 that an SDK cut at its limit is no file any more, even where it decodes.
#[test]
fn what_was_cut_stays_and_is_counted() {
    let mut cut = 0;
    for capture in captures() {
        let truncated = capture.extract(&policy(SMALLEST)).truncated;
        assert!(
            truncated == 0 || capture.file.contains("truncated"),
            "{}",
            capture.file
        );
        cut += truncated;
    }
    assert!(cut >= 2, "{cut}");
}

#[test]
fn encrypted_values_and_signatures_stay() {
    for capture in captures() {
        if capture.traps.is_empty() {
            continue;
        }
        let before = values(capture.signal(), &capture.request);
        let after = values(capture.signal(), &capture.extract(&policy(1)).request);
        assert_eq!(before.len(), after.len());
        for trap in &capture.traps {
            let kept: usize = before
                .iter()
                .zip(&after)
                .filter(|((attribute, _), _)| trap.attribute() == attribute)
                .map(|((_, before), (_, after))| trap.kept(before, after))
                .sum();
            assert!(kept >= trap.count, "{}: {}", capture.file, trap.location);
        }
    }
}

/// An SDK that stores files itself refers to them in texts of its own, and uploads none of those that are deeper in a
/// value. The request goes on as it came.
#[test]
fn what_an_sdk_stores_itself_is_told() {
    let mut told = Vec::new();
    for capture in captures() {
        for form in FORMS {
            let mut policy = policy(SMALLEST);
            policy.form = form;
            let extraction = capture.extract(&policy);
            for claim in extraction.claims {
                assert_eq!(extraction.request, capture.request, "{}", capture.file);
                told.push((
                    claim.attribute,
                    claim.digest.to_string(),
                    claim.size,
                    claim.file_name,
                ));
            }
        }
    }
    let [chart, report] = [
        "3aaa125b3be1caefb0463b5c1b2851cd895160517a4690f745c2b9492d13845c",
        "63d956117f134ff0c5fa88f60705ec4459b4808dfceb1dfa10df5f34d527fd4c",
    ];
    let of = |attribute: &str, digest: &str, size, name: Option<&str>| {
        (
            attribute.to_owned(),
            digest.to_owned(),
            size,
            name.map(str::to_owned),
        )
    };
    let each = [
        of("chart", chart, 21_828, Some("gen_s.png")),
        of("report", report, 15_339, Some("doc_s.pdf")),
        of("img", chart, 21_828, None),
    ];
    assert_eq!(told, vec![each; FORMS.len()].concat());
}

/// Logfire's SDK says in `logfire.json_schema` what type each attribute of the span has.
#[test]
fn a_value_keeps_the_type_that_its_schema_states() {
    let mut moved = 0;
    for capture in captures() {
        if capture.signal() != Signal::Traces {
            continue;
        }
        let before = stated(&capture.request);
        for form in [Form::Logfire, Form::Native, Form::Uri] {
            let mut policy = policy(SMALLEST);
            policy.form = form;
            let after = stated(&capture.extract(&policy).request);
            assert_eq!(before.len(), after.len());
            for ((path, expected, before), (_, _, after)) in before.iter().zip(&after) {
                assert_eq!(kind(before), expected, "{}: {path}", capture.file);
                assert_eq!(kind(after), expected, "{}: {path}", capture.file);
                moved += usize::from(before.is_string() && before != after);
            }
        }
    }
    assert!(moved >= 9, "{moved}");
}

/// The places in spans that have a type by their schema, the type, and the value.
fn stated(request: &[u8]) -> Vec<(String, String, serde_json::Value)> {
    let request = ExportTraceServiceRequest::decode(request).unwrap();
    let mut stated = Vec::new();
    let scopes = request.resource_spans.iter().flat_map(|of| &of.scope_spans);
    for span in scopes.flat_map(|scope| &scope.spans) {
        let text = |key: &str| {
            let of_key = span.attributes.iter().find(|one| one.key == key)?;
            match of_key.value.as_ref()?.value.as_ref()? {
                Value::StringValue(text) => Some(text.as_str()),
                _ => None,
            }
        };
        let schema = text("logfire.json_schema").map(serde_json::from_str);
        let Some(schema) = schema.map(|schema: Result<serde_json::Value, _>| schema.unwrap())
        else {
            continue;
        };
        for (key, schema) in schema["properties"].as_object().into_iter().flatten() {
            if let Some(value) = text(key).and_then(|text| serde_json::from_str(text).ok()) {
                types(key, schema, &value, &mut stated);
            }
        }
    }
    stated
}

fn types(
    path: &str,
    schema: &serde_json::Value,
    value: &serde_json::Value,
    stated: &mut Vec<(String, String, serde_json::Value)>,
) {
    if let Some(expected @ ("string" | "object" | "array")) = schema["type"].as_str() {
        stated.push((path.to_owned(), expected.to_owned(), value.clone()));
    }
    for (key, schema) in schema["properties"].as_object().into_iter().flatten() {
        types(&format!("{path}.{key}"), schema, &value[key], stated);
    }
    for (at, value) in value.as_array().into_iter().flatten().enumerate() {
        let of_all = &schema["items"];
        let schema = schema["prefixItems"].get(at).unwrap_or(of_all);
        types(&format!("{path}[{at}]"), schema, value, stated);
    }
}

fn kind(value: &serde_json::Value) -> &'static str {
    match value {
        serde_json::Value::String(_) => "string",
        serde_json::Value::Object(_) => "object",
        serde_json::Value::Array(_) => "array",
        _ => "other",
    }
}

impl Trap {
    fn attribute(&self) -> &str {
        let (_, rest) = self.location.split_once("attributes[\"").unwrap();
        rest.split_once("\"]").unwrap().0
    }

    /// How many of the traps in the text `before` stand in the text `after` it was slimmed.
    fn kept(&self, before: &str, after: &str) -> usize {
        let Some((_, path)) = self.location.split_once("|json ") else {
            return usize::from(before == after);
        };
        let (_, member) = path.rsplit_once('.').unwrap();
        let mut traps = Vec::new();
        if let Ok(json) = serde_json::from_str(before) {
            members(&json, member, &mut traps);
        }
        let kept = |trap: &&String| after.contains(trap.as_str());
        traps.iter().filter(kept).count()
    }
}

/// The strings that are members called `name` at any depth.
fn members(json: &serde_json::Value, name: &str, found: &mut Vec<String>) {
    match json {
        serde_json::Value::Array(elements) => {
            for element in elements {
                members(element, name, found);
            }
        }
        serde_json::Value::Object(object) => {
            if let Some(serde_json::Value::String(text)) = object.get(name) {
                found.push(text.clone());
            }
            for member in object.values() {
                members(member, name, found);
            }
        }
        _ => {}
    }
}
