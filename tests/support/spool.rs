//! Reads what waits in a spool by another way than slimspan's: its segments from front to back, as
//! docs/journal.md says they are.

use std::fs::File;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use slimspan::journal::Journal;
use slimspan_artifact::Digest;

use super::references::files;
use super::soon;
use super::verifying::Fetch;

const SEGMENT_HEADER: u64 = 40;
const RECORD_HEADER: usize = 32;

/// What an artifact's record begins with: a version, the digest in hex, the length of the tenant, a time, and
/// the length of the media type; then these two follow.
const HEAD: usize = 1 + 64 + 1 + 8 + 2;

/// From the store, or from the spool in this folder as long as the store does not have it.
pub(crate) fn stored_or_spooled(store: Fetch, spool: PathBuf) -> Fetch {
    Arc::new(move |digest| {
        let spooled = || in_spool(&spool, digest);
        // It may have been uploaded, and removed there, between the two looks.
        store(digest).or_else(spooled).or_else(|| store(digest))
    })
}

/// Waits until nothing is left in the spool in this folder, beside the process that uploads it. Nobody
/// tells, so it is looked at again and again.
pub(crate) async fn is_empty(spool: &Path) {
    soon("the spool is empty", empty(spool)).await;
}

/// The same for one of which it is known that it takes so long at most.
pub(crate) async fn is_empty_within(spool: &Path, most: Duration) {
    let in_time = tokio::time::timeout(most, empty(spool)).await;
    assert!(in_time.is_ok(), "the spool is not empty after {most:?}");
}

async fn empty(spool: &Path) {
    loop {
        // A segment may be deleted while it is looked at.
        let left = Journal::open_read_only(spool).map(|journal| journal.entries().len());
        if left.is_ok_and(|left| left == 0) {
            return;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// The segments of the spool in this folder, oldest first.
fn segments(spool: &Path) -> Vec<PathBuf> {
    let mut segments = files(spool);
    segments.retain(|path| path.extension().is_some_and(|of| of == "segment"));
    segments.sort();
    segments
}

fn in_spool(spool: &Path, digest: &Digest) -> Option<Bytes> {
    let name = digest.to_string();
    let segments = segments(spool).into_iter();
    segments.rev().find_map(|path| in_segment(&path, &name))
}

fn in_segment(path: &Path, digest: &str) -> Option<Bytes> {
    // One that is gone was uploaded meanwhile.
    let segment = File::open(path).ok()?;
    let mut at = SEGMENT_HEADER;
    loop {
        let mut head = [0; RECORD_HEADER + HEAD];
        segment.read_exact_at(&mut head, at).ok()?;
        let (record, body) = head.split_at(RECORD_HEADER);
        if !record.starts_with(b"rec\n") {
            return None;
        }
        let len = u32::from_le_bytes(record[4..8].try_into().unwrap()) as usize;
        at += RECORD_HEADER as u64;
        if &body[1..65] == digest.as_bytes() {
            let media_type = u16::from_le_bytes(body[74..].try_into().unwrap());
            let before = HEAD + usize::from(body[65]) + usize::from(media_type);
            let mut bytes = vec![0; len.checked_sub(before)?];
            segment.read_exact_at(&mut bytes, at + before as u64).ok()?;
            return Some(bytes.into());
        }
        at += len as u64;
    }
}
