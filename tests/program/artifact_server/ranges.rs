//! Parts of artifacts.

use http::{Method, StatusCode};
use http_body_util::BodyExt as _;
use sha2::{Digest as _, Sha256};
use slimspan_artifact::Digest;

use super::{Served, with_server};
use crate::support::measured::measured;
use crate::support::references::path_in;
use crate::support::soon;

/// A long artifact of which each byte tells where it stands.
fn piece(start: u64, len: usize) -> Vec<u8> {
    let words = start / 8..(start + len as u64).div_ceil(8);
    let mut bytes = Vec::with_capacity(len + 16);
    // Eight at a time: byte by byte it takes seconds in a build that is not optimized.
    for word in words {
        let mixed = word.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let mixed = (mixed ^ (mixed >> 32)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        bytes.extend_from_slice(&(mixed ^ (mixed >> 29)).to_le_bytes());
    }
    let before = (start % 8) as usize;
    bytes.truncate(before + len);
    bytes.drain(..before);
    bytes
}

#[tokio::test]
async fn any_part_of_a_short_artifact_is_what_stands_there() {
    let served = Served::start(&with_server()).await;
    let text = "0123456789";
    let path = served.put(text).await;
    for (range, status, part, told) in [
        ("bytes=0-3", 206, "0123", "bytes 0-3/10"),
        ("bytes=4-", 206, "456789", "bytes 4-9/10"),
        ("bytes=-3", 206, "789", "bytes 7-9/10"),
        ("bytes=9-100", 206, "9", "bytes 9-9/10"),
        (
            "bytes=10-",
            416,
            "the artifact has no such bytes\n",
            "bytes */10",
        ),
        ("bytes=0-1,3-4", 200, text, ""),
        ("lines=0-1", 200, text, ""),
    ] {
        let answer = served.artifacts.with("range", range).get(&path).await;
        assert_eq!(answer.status.as_u16(), status, "{range}");
        assert_eq!(answer.body, part, "{range}");
        let found = answer.headers.get("content-range");
        let found = found.map(|found| found.to_str().unwrap());
        assert_eq!(found.unwrap_or_default(), told, "{range}");
        assert_eq!(answer.headers["accept-ranges"], "bytes");
    }
    let tag = format!("\"sha256-{}\"", Digest::of(text.as_bytes()));
    for (condition, status) in [(tag.as_str(), 206), ("\"other\"", 200)] {
        let client = served.artifacts.with("range", "bytes=0-3");
        let answer = client.with("if-range", condition).get(&path).await;
        assert_eq!(answer.status.as_u16(), status, "{condition}");
    }
}

/// 300 MiB, in whole and in parts, while the process stays as small as it was.
#[tokio::test]
async fn a_long_artifact_is_read_in_little_memory() {
    const SIZE: u64 = (300 << 20) + 12_345;
    const STEP: usize = 1 << 20;
    let served = Served::start(&with_server()).await;
    let folder = served.slimspan.folder().to_owned();
    // Written without ever being in memory, here or there.
    let writing = tokio::task::spawn_blocking(move || {
        use std::io::Write as _;
        let mut file = tempfile::NamedTempFile::new_in(folder).unwrap();
        let mut hasher = Sha256::new();
        let mut at = 0;
        while at < SIZE {
            let piece = piece(at, STEP.min((SIZE - at) as usize));
            hasher.update(&piece);
            file.write_all(&piece).unwrap();
            at += piece.len() as u64;
        }
        (file, Digest::from(<[u8; 32]>::from(hasher.finalize())))
    });
    let (file, digest) = writing.await.unwrap();
    let stored = path_in(&served.slimspan.artifacts(), &digest.to_string());
    std::fs::create_dir_all(stored.parent().unwrap()).unwrap();
    file.persist(&stored).unwrap();
    let path = format!("/artifacts/{digest}");
    let before = served.slimspan.memory();

    // A part that does not begin at the beginning, before all of it was ever looked at.
    for (from, to) in [
        (SIZE - 3, SIZE),
        ((1 << 20) - 1, (1 << 20) + 1),
        (123_456_789, 123_456_789 + 3_000_000),
        (0, 1),
    ] {
        let range = format!("bytes={from}-{}", to - 1);
        let client = served.artifacts.with("range", range);
        let answer = client.begin(Method::GET, &path, "").await;
        assert_eq!(answer.status(), StatusCode::PARTIAL_CONTENT);
        let told = format!("bytes {from}-{}/{SIZE}", to - 1);
        assert_eq!(answer.headers()["content-range"], told);
        let got = soon("a part", answer.into_body().collect()).await;
        let got = got.unwrap().to_bytes();
        assert!(got == piece(from, (to - from) as usize), "{from}-{to}");
    }
    let answer = served.artifacts.begin(Method::GET, &path, "").await;
    assert_eq!(answer.headers()["content-length"], SIZE.to_string());
    let (mut body, mut hasher, mut len) = (answer.into_body(), Sha256::new(), 0);
    while let Some(frame) = soon("more of it", body.frame()).await {
        let data = frame.unwrap().into_data().unwrap();
        len += data.len() as u64;
        hasher.update(&data);
    }
    assert_eq!(len, SIZE);
    assert_eq!(Digest::from(<[u8; 32]>::from(hasher.finalize())), digest);
    let grown = served.slimspan.peak_memory().saturating_sub(before) >> 20;
    measured(
        "P23",
        "a 300 MiB artifact, in whole and in parts",
        "memory grows by at most 48 MiB",
        format_args!("{grown} MiB"),
    );
    assert!(grown <= 48, "{grown} MiB");
}
