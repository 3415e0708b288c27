//! What stands in slim requests in place of files.

use std::path::{Path, PathBuf};

use bytes::Bytes;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use serde::Deserialize;
use slimspan_artifact::{Digest, Location, restore};
use slimspan_generators::Request;
use slimspan_proto::Signal;

/// A reference, read without the help of the code that wrote it.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub(crate) struct Reference {
    pub(crate) sha256: String,
    /// URIs have none.
    pub(crate) content_type: Option<String>,
    /// URIs have it only where the file is dropped.
    pub(crate) size_bytes: Option<usize>,
    pub(crate) preview: Option<String>,
    pub(crate) uri: Option<String>,
    #[serde(default)]
    pub(crate) dropped: bool,
}

/// The references of a request that are a value or stand in its text, in their order.
pub(crate) fn references(signal: Signal, request: &[u8]) -> Vec<Reference> {
    let texts = strings(signal, request);
    texts.iter().flat_map(|text| references_in(text)).collect()
}

/// The references that a text is or has in it.
pub(crate) fn references_in(text: &str) -> Vec<Reference> {
    let mut found = Vec::new();
    search_text(text, &mut found);
    // An object has its URI in it.
    if found.is_empty() {
        search_uris(text, &mut found);
    }
    found
}

/// The texts of a request's values, in their order.
pub(crate) fn strings(signal: Signal, request: &[u8]) -> Vec<String> {
    let mut strings = Vec::new();
    let mut request = Request::decode(signal, request).unwrap();
    request.visit(&mut |_, _, _, value| {
        if let Some(Value::StringValue(text)) = &value.value {
            strings.push(text.clone());
        }
    });
    strings
}

/// A digest at the end of a URI's path, whatever stands before it.
fn search_uris(text: &str, found: &mut Vec<Reference>) {
    let ends = |c: char| c.is_whitespace() || "\"\\~<>)".contains(c);
    for word in text.split(ends) {
        let Some((_, uri)) = word
            .split_once("://")
            .filter(|_| !word.contains("/untrusted/"))
        else {
            continue;
        };
        let (path, query) = uri.split_once('?').unwrap_or((uri, ""));
        let name = path.rsplit('/').next().unwrap_or_default();
        let (digest, _) = name.split_once('.').unwrap_or((name, ""));
        if digest.parse::<Digest>().is_err() {
            continue;
        }
        let size = query.strip_prefix("size=").map(|rest| {
            let digits = rest.split('&').next().unwrap();
            digits.parse().unwrap()
        });
        let dropped = path.starts_with("dropped/");
        found.push(Reference {
            sha256: digest.to_owned(),
            content_type: None,
            size_bytes: size,
            preview: None,
            uri: (!dropped).then(|| word.to_owned()),
            dropped,
        });
    }
}

fn search_text(text: &str, found: &mut Vec<Reference>) {
    if let Ok(json) = serde_json::from_str::<serde_json::Value>(text) {
        search(&json, found);
    }
}

fn search(json: &serde_json::Value, found: &mut Vec<Reference>) {
    match json {
        serde_json::Value::Object(members) => {
            if members.get("type").is_some_and(|kind| kind == "artifact") {
                found.push(Reference::deserialize(json).unwrap());
            }
            for value in members.values() {
                search(value, found);
            }
        }
        serde_json::Value::Array(elements) => {
            for value in elements {
                search(value, found);
            }
        }
        // A string of JSON stays a string, so a reference in its place is JSON in JSON.
        serde_json::Value::String(text) => search_text(text, found),
        _ => {}
    }
}

/// Where a folder keeps the file with this digest.
pub(crate) fn path_in(artifacts: &Path, digest: &str) -> PathBuf {
    let shard = artifacts.join("default/sha256").join(&digest[..2]);
    shard.join(digest)
}

/// The request that was sent, from what is at the backend and in the folder: nothing is missing
/// there if that works.
pub(crate) fn restored(signal: Signal, slim: &Bytes, artifacts: &Path) -> Bytes {
    let base = format!("file://{}/default/sha256", artifacts.display());
    restored_from(&Location::Store(base), signal, slim, artifacts)
}

/// The same where references lead to `location`.
pub(crate) fn restored_from(
    location: &Location,
    signal: Signal,
    slim: &Bytes,
    artifacts: &Path,
) -> Bytes {
    let fetch = |digest: Digest| {
        let path = path_in(artifacts, &digest.to_string());
        std::fs::read(path).ok().map(Bytes::from)
    };
    let restored = restore(signal, slim, location, fetch).unwrap();
    assert_eq!(restored.left, []);
    restored.request
}

/// The files of a folder, at any depth.
pub(crate) fn files(folder: &Path) -> Vec<PathBuf> {
    let Ok(entries) = std::fs::read_dir(folder) else {
        return Vec::new();
    };
    let paths = entries.map(|entry| entry.unwrap().path());
    paths
        .flat_map(|path| {
            if path.is_dir() {
                files(&path)
            } else {
                vec![path]
            }
        })
        .collect()
}
