//! What real SDKs send, with the digests of the files in it: `tests/captures`, and the folder of
//! the same form that the environment variable `SLIMSPAN_CAPTURES` names.

#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stdout, missing_docs)]

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::{Path, PathBuf};

use bytes::Bytes;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use serde::Deserialize;
use slimspan_artifact::{Digest, Extraction, Policy, extract, restore};
use slimspan_generators::Request;
use slimspan_proto::{Carrier, Signal};

/// A threshold below every file of the captures.
const SMALLEST: usize = 4 * 1024;

#[derive(Deserialize)]
struct Capture {
    file: String,
    signal: String,
    blobs: Vec<Blob>,
    traps: Vec<Trap>,
    partial: Vec<Partial>,
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
    media_type: Option<String>,
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

/// A text that the SDK cut short.
#[derive(Deserialize)]
struct Partial {
    string_len: usize,
}

impl Partial {
    /// Whether the text can be base64 of `len` bytes with at most the prefix of a data URI.
    fn decodes_to(&self, len: usize) -> bool {
        let digits = (len * 4).div_ceil(3);
        (digits..digits + 40).contains(&self.string_len)
    }
}

/// A place that a reference stands in: key of the attribute, digest.
type Place = (String, String);

impl Blob {
    /// Whether the extractor knows the shape. What it does not know yet stays as it is.
    fn is_recognised(&self) -> bool {
        // Base64 without a label is told by magic number, and these have none.
        let magic = ["bin", "txt", "json"]
            .iter()
            .all(|extension| !self.original.ends_with(extension));
        let escaped = self.attribute_key.ends_with("_escaped");
        // A JSON text that is nothing but one string.
        let lone = self.location.ends_with('$');
        match (self.shape.as_str(), self.json_string_levels) {
            (
                "bytes_value"
                | "data-uri"
                | "data-uri:base64url"
                | "data-uri:base64-nopad"
                | "python-bytes-repr",
                0,
            )
            | ("uint8array-index-object" | "node-buffer-json", 1) => true,
            ("python-bytes-repr-unquoted", 1) => magic && !lone,
            ("base64" | "base64url" | "base64url-nopad", 0) => magic,
            ("data-uri", 1) => !escaped && !lone,
            ("base64" | "base64url", 1) => {
                (magic || self.media_type.is_some()) && !escaped && !lone
            }
            _ => false,
        }
    }

    fn place(&self) -> Place {
        (self.attribute_key.clone(), self.decoded_sha256.clone())
    }
}

impl Capture {
    fn signal(&self) -> Signal {
        let named = Signal::ALL.iter().find(|s| s.name() == self.signal);
        *named.unwrap()
    }

    fn extract(&self, threshold: usize) -> Extraction {
        let policy = Policy {
            threshold,
            uri_base: "memory:/default/sha256".into(),
            dropped: BTreeSet::new(),
        };
        extract(self.signal(), &self.request, &policy)
            .unwrap_or_else(|error| panic!("{}: {error}", self.file))
    }
}

/// Every capture that is protobuf, each once.
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
    captures.retain(|capture| Path::new(&capture.file).extension() == Some("pb".as_ref()));
    for capture in &mut captures {
        capture.request = std::fs::read(folder.join(&capture.file)).unwrap().into();
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
fn places(signal: Signal, request: &[u8]) -> BTreeMap<Place, usize> {
    let mut places = BTreeMap::new();
    for (attribute, text) in values(signal, request) {
        for rest in text.split(r#"{"type":"artifact","sha256":""#).skip(1) {
            *places
                .entry((attribute.clone(), rest[..64].to_owned()))
                .or_default() += 1;
        }
    }
    places
}

#[test]
fn every_capture_comes_back_byte_for_byte() {
    for capture in captures() {
        for threshold in [1, SMALLEST, 8 * 1024] {
            let Extraction {
                request, artifacts, ..
            } = capture.extract(threshold);
            let stored: HashMap<Digest, Bytes> = artifacts
                .into_iter()
                .map(|artifact| (artifact.digest, artifact.bytes))
                .collect();
            let restored = restore(capture.signal(), &request, |digest| {
                stored.get(&digest).cloned()
            });
            assert!(
                restored.unwrap() == capture.request,
                "{} at {threshold}",
                capture.file
            );
        }
    }
}

/// Every place of a known shape holds a reference, and no place holds more than it had files of
/// that size. Prints how much of each shape is found.
#[test]
fn every_file_of_a_known_shape_is_found_where_it_stands() {
    // By shape and JSON texts around it: the files found, the files there are.
    let mut table: BTreeMap<(String, usize), (usize, usize)> = BTreeMap::new();
    for capture in captures() {
        for threshold in [SMALLEST, 20_000] {
            let slim = capture.extract(threshold).request;
            let mut found = places(capture.signal(), &slim);
            // Where the same file stands twice in a place, the known shape is the one found.
            let (known, unknown): (Vec<_>, Vec<_>) = capture
                .blobs
                .iter()
                .filter(|blob| blob.decoded_size >= threshold)
                .partition(|blob| blob.is_recognised());
            for blob in known.into_iter().chain(unknown) {
                let references = found.entry(blob.place()).or_default();
                let hit = *references > 0;
                *references -= usize::from(hit);
                let (file, location) = (&capture.file, &blob.location);
                assert!(
                    hit || !blob.is_recognised(),
                    "{file} at {threshold}: still there: {location}"
                );
                if threshold == SMALLEST {
                    let row = (blob.shape.clone(), blob.json_string_levels);
                    let (hits, all) = table.entry(row).or_default();
                    *hits += usize::from(hit);
                    *all += 1;
                }
            }
            for blob in &capture.blobs {
                let surplus = found.get(&blob.place()).copied();
                let (file, location) = (&capture.file, &blob.location);
                assert_eq!(surplus.unwrap_or(0), 0, "{file} at {threshold}: {location}");
            }
        }
    }
    println!("{:<32}{:>12}{:>10}", "shape", "JSON levels", "found");
    for ((shape, levels), (hits, all)) in table {
        println!("{shape:<32}{levels:>12}{:>10}", format!("{hits}/{all}"));
    }
}

/// Nothing is an artifact but the files that the index lists, texts that an SDK cut short, and
/// one look-alike that is a file after all: base64 of gzip.
#[test]
fn nothing_but_files_is_taken() {
    for capture in captures() {
        for threshold in [SMALLEST, 8 * 1024] {
            for artifact in capture.extract(threshold).artifacts {
                let len = artifact.bytes.len();
                let digest = artifact.digest.to_string();
                let listed = capture.blobs.iter().any(|b| b.decoded_sha256 == digest);
                let cut = capture.partial.iter().any(|text| text.decodes_to(len));
                let gzip = artifact.media_type == "application/gzip";
                assert_eq!(artifact.digest, Digest::of(&artifact.bytes));
                assert!(len >= threshold);
                assert!(
                    listed || cut || gzip,
                    "{} at {threshold}: {len} bytes of {} are no file",
                    capture.file,
                    artifact.media_type
                );
            }
        }
    }
}

#[test]
fn encrypted_values_and_signatures_stay() {
    for capture in captures() {
        if capture.traps.is_empty() {
            continue;
        }
        let before = values(capture.signal(), &capture.request);
        let after = values(capture.signal(), &capture.extract(1).request);
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
