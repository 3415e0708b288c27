//! What a journal does when the disk, or the end of the process, comes between.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod appends;
mod crashes;
mod damage;
pub(crate) mod faulty_disk;
mod marks;
mod moving;
mod quarantine;
mod unreadable;

use std::io::Write as _;
use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;

use super::{Entry, Journal, Options, Recovered};
use faulty_disk::FaultyDisk;

/// Segments of four kilobytes.
const SMALL: Options = Options {
    segment_bytes: 4096,
    max_bytes: 1 << 30,
    fsync: true,
    max_damaged_bytes: 1 << 30,
};

/// A record that no other is like, of about `len` bytes.
fn body(number: u64, len: usize) -> Bytes {
    let mut body = format!("record {number} ").into_bytes();
    let mut state = number.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    while body.len() < len {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        body.extend(state.to_le_bytes());
    }
    body.into()
}

/// A row of the table in docs/reliability.md, where `SLIMSPAN_MEASURED` says that one is made.
fn measured(test: &str, reached: &str) {
    let Some(path) = std::env::var_os("SLIMSPAN_MEASURED") else {
        return;
    };
    let target = "starts < 5 s, every intact record before and behind it is there, damage is counted and kept";
    let row = format!("P7\tjournal::tests::{test}\t{target}\t{reached}\n");
    let file = std::fs::OpenOptions::new()
        .create(true)
        .append(true)
        .open(path);
    file.unwrap().write_all(row.as_bytes()).unwrap();
}

/// A journal on a disk that can be broken.
fn on_faulty_disk(options: Options) -> (tempfile::TempDir, FaultyDisk, Journal) {
    let folder = tempfile::tempdir().unwrap();
    let disk = FaultyDisk::default();
    let (journal, _) = open_on(&disk, folder.path(), options);
    (folder, disk, journal)
}

fn open_on(disk: &FaultyDisk, folder: &Path, options: Options) -> (Journal, Recovered) {
    Journal::open_on(Arc::new(disk.clone()), folder, options).unwrap()
}

fn open(folder: &Path, options: Options) -> (Journal, Recovered) {
    Journal::open(folder, options).unwrap()
}

/// What the entries hold, in their order.
fn bodies(journal: &Journal, entries: &[Entry]) -> Vec<Bytes> {
    let read = entries.iter().map(|entry| journal.read_blocking(entry));
    read.collect::<Result<_, _>>().unwrap()
}

/// The segments of a journal, oldest first.
fn segments(folder: &Path) -> Vec<std::path::PathBuf> {
    let files = std::fs::read_dir(folder).unwrap();
    let mut files: Vec<_> = files
        .map(|file| file.unwrap().path())
        .filter(|path| {
            path.extension()
                .is_some_and(|of| of == super::format::EXTENSION)
        })
        .collect();
    files.sort();
    files
}

/// All that a folder holds, under another name.
fn copy(folder: &Path) -> tempfile::TempDir {
    let copy = tempfile::tempdir().unwrap();
    copy_into(folder, copy.path());
    copy
}

fn copy_into(from: &Path, to: &Path) {
    for file in std::fs::read_dir(from).unwrap() {
        let path = file.unwrap().path();
        let target = to.join(path.file_name().unwrap());
        if path.is_dir() {
            std::fs::create_dir(&target).unwrap();
            copy_into(&path, &target);
        } else {
            std::fs::copy(&path, &target).unwrap();
        }
    }
}
