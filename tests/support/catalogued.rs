//! What a catalog has, read line by line: in the objects of a bucket, and in the journals of a machine.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use bytes::Bytes;
use slimspan::catalog::{Entry, State};
use slimspan::journal::Journal;
use slimspan_artifact::Digest;

use super::references::files;

/// How names of objects with entries end.
pub(crate) const OBJECT: &str = ".jsonl";

/// The objects with entries in a store that is this folder.
pub(crate) fn objects_in(store: &Path) -> Vec<Bytes> {
    let mut objects = files(&store.join("catalog"));
    // What a kill left half-written ends otherwise.
    objects.retain(|path| path.to_str().unwrap().ends_with(OBJECT));
    let read = objects.into_iter().map(|path| fs::read(path).unwrap());
    read.map(Bytes::from).collect()
}

/// The files to which these objects refer, and what waits for the bucket in the folder that a slimspan had for its
/// catalog. Nobody may have that open.
pub(crate) fn catalogued(objects: &[Bytes], directory: &Path) -> BTreeSet<Digest> {
    let mut found = BTreeSet::new();
    for object in objects {
        read(object, &mut found);
    }
    let of_buckets = fs::read_dir(directory).unwrap();
    for of_bucket in of_buckets.map(|folder| folder.unwrap().path()) {
        for entry in fs::read_dir(of_bucket).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_str().unwrap();
            if !name.starts_with("journal-") {
                continue;
            }
            let reader = Journal::open_read_only(&path).unwrap();
            for record in reader.entries() {
                read(&reader.read(record).unwrap(), &mut found);
            }
        }
    }
    found
}

fn read(lines: &[u8], found: &mut BTreeSet<Digest>) {
    let lines = lines.split(|byte| *byte == b'\n');
    for line in lines.filter(|line| !line.is_empty()) {
        let entry: Entry = serde_json::from_slice(line).unwrap();
        if matches!(entry.state, State::Stored | State::Spooled) {
            found.extend(entry.digest);
        }
    }
}
