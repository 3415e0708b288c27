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
    pub(crate) content_type: String,
    pub(crate) size_bytes: usize,
    pub(crate) uri: Option<String>,
    #[serde(default)]
    pub(crate) dropped: bool,
}

/// The references of a request that are a value or stand in its JSON text, in their order.
pub(crate) fn references(signal: Signal, request: &[u8]) -> Vec<Reference> {
    let mut found = Vec::new();
    let mut request = Request::decode(signal, request).unwrap();
    request.visit(&mut |_, _, _, value| {
        if let Some(Value::StringValue(text)) = &value.value {
            search_text(text, &mut found);
        }
    });
    found
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
    let fetch = |digest: Digest| {
        let path = path_in(artifacts, &digest.to_string());
        std::fs::read(path).ok().map(Bytes::from)
    };
    let base = format!("file://{}/default/sha256", artifacts.display());
    let restored = restore(signal, slim, &Location::Store(base), fetch).unwrap();
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
