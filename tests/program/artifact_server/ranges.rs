//! Parts of artifacts.

use std::path::PathBuf;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::{Method, StatusCode};
use http_body_util::BodyExt as _;
use serde_json::json;
use sha2::{Digest as _, Sha256};
use slimspan_artifact::Digest;

use super::{Served, deleting::s3_server, with_server};
use crate::support::measured::{bound, measured};
use crate::support::references::path_in;
use crate::support::{config, soon};

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

/// A long artifact.
struct Long {
    /// Its length, but for some bytes: more than the memory that reading it may take, or nothing would be found out.
    mib: u64,
    /// What is said of where it lies.
    place: &'static str,
    /// The folder with the artifacts of all tenants.
    artifacts: PathBuf,
}

/// 300 MiB, in whole and in parts, while the process stays as small as it was.
#[tokio::test]
async fn a_long_artifact_is_read_in_little_memory() {
    let served = Served::start(&with_server()).await;
    let long = Long {
        mib: 300,
        place: "",
        artifacts: served.slimspan.artifacts(),
    };
    is_read_in_little_memory(&served, &long, |_| ()).await;
}

/// The same where each mebibyte of it is a request to a store.
#[tokio::test]
async fn a_long_artifact_on_s3_is_read_in_little_memory() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir(folder.path().join("media")).unwrap();
    let address = s3_server(folder.path()).await;
    let of_s3 = config::with_s3(([127, 0, 0, 1], 9).into(), address);
    let mut config = with_server();
    config["extensions"]["artifact_store"] = of_s3["extensions"]["artifact_store"].clone();
    config["extensions"]["artifact_store"]["timeout"] = json!("30s");
    let served = Served::start(&config).await;
    let long = Long {
        mib: bound(300, 32),
        place: " on S3",
        artifacts: folder.path().join("media/x"),
    };
    // As this server notes the tag of what comes by a request. Without that it hashes all of an object each time that a
    // part of it is asked for.
    let note = |digest: &Digest| {
        let digest = digest.to_string();
        let key = format!("x/default/sha256/{}/{digest}", &digest[..2]);
        let [bucket, object] = ["media", key.as_str()].map(|name| URL_SAFE_NO_PAD.encode(name));
        let file = format!(".bucket-{bucket}.object-{object}.internal.json");
        let tag = json!({ "e_tag": &digest[..32] }).to_string();
        std::fs::write(folder.path().join(file), tag).unwrap();
    };
    is_read_in_little_memory(&served, &long, note).await;
}

async fn is_read_in_little_memory(served: &Served, long: &Long, stored: impl FnOnce(&Digest)) {
    const STEP: usize = 1 << 20;
    /// What it may grow by, in MiB.
    const MOST: u64 = 24;
    let Long { mib, place, .. } = *long;
    let size = (mib << 20) + 12_345;
    let folder = served.slimspan.folder().to_owned();
    // Written without ever being in memory, here or there.
    let writing = tokio::task::spawn_blocking(move || {
        use std::io::Write as _;
        let mut file = tempfile::NamedTempFile::new_in(folder).unwrap();
        let mut hasher = Sha256::new();
        let mut at = 0;
        while at < size {
            let piece = piece(at, STEP.min((size - at) as usize));
            hasher.update(&piece);
            file.write_all(&piece).unwrap();
            at += piece.len() as u64;
        }
        (file, Digest::from(<[u8; 32]>::from(hasher.finalize())))
    });
    let (file, digest) = writing.await.unwrap();
    let object = path_in(&long.artifacts, &digest.to_string());
    std::fs::create_dir_all(object.parent().unwrap()).unwrap();
    file.persist(&object).unwrap();
    stored(&digest);
    let path = format!("/artifacts/{digest}");
    let before = served.slimspan.memory();

    // A part that does not begin at the beginning, before all of it was ever looked at.
    for (from, to) in [
        (size - 3, size),
        ((1 << 20) - 1, (1 << 20) + 1),
        (size / 5 * 2 + 789, size / 5 * 2 + 789 + 3_000_000),
        (0, 1),
    ] {
        let range = format!("bytes={from}-{}", to - 1);
        let client = served.artifacts.with("range", range);
        let answer = client.begin(Method::GET, &path, "").await;
        assert_eq!(answer.status(), StatusCode::PARTIAL_CONTENT);
        let told = format!("bytes {from}-{}/{size}", to - 1);
        assert_eq!(answer.headers()["content-range"], told);
        let got = soon("a part", answer.into_body().collect()).await;
        let got = got.unwrap().to_bytes();
        assert!(got == piece(from, (to - from) as usize), "{from}-{to}");
    }
    let answer = served.artifacts.begin(Method::GET, &path, "").await;
    assert_eq!(answer.headers()["content-length"], size.to_string());
    let (mut body, mut hasher, mut len) = (answer.into_body(), Sha256::new(), 0);
    while let Some(frame) = soon("more of it", body.frame()).await {
        let data = frame.unwrap().into_data().unwrap();
        len += data.len() as u64;
        hasher.update(&data);
    }
    assert_eq!(len, size);
    assert_eq!(Digest::from(<[u8; 32]>::from(hasher.finalize())), digest);
    let grown = served.slimspan.peak_memory().saturating_sub(before) >> 20;
    measured(
        "P23",
        &format!("a {mib} MiB artifact{place}, in whole and in parts"),
        &format!("memory grows by at most {MOST} MiB"),
        format_args!("{grown} MiB"),
    );
    assert!(grown <= MOST, "{grown} MiB");
}
