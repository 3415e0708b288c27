//! Who is told that an artifact is here has it as safely as if it had just been stored.

use std::fs::File;
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use http::Method;
use jiff::{Timestamp, tz::TimeZone};
use serde_json::{Value, json};
use slimspan_artifact::Digest;

use super::{Served, with_catalog, with_server};
use crate::support::references::path_in;
use crate::support::{otlp, soon};

const TRACE: &str = "01010101010101010101010101010101";

/// What is asked of the API, and the status of the answer.
pub(super) async fn ask(
    served: &Served,
    method: Method,
    path: &str,
    body: impl Into<Bytes>,
) -> (u16, Value) {
    let client = served.pages.with("content-type", "application/json");
    let answer = client.ask(method, path, body).await;
    (answer.status.as_u16(), answer.json())
}

async fn register(served: &Served, photo: &[u8]) -> u16 {
    let claim = json!({ "sha256": Digest::of(photo).to_string(), "size_bytes": photo.len() });
    let (status, told) = ask(served, Method::POST, "/v1/artifacts", claim.to_string()).await;
    let expected = if status == 200 { "exists" } else { "upload" };
    assert_eq!(told["status"], expected, "{told}");
    status
}

async fn finalize(served: &Served, digest: &Digest) -> (u16, Value) {
    let path = format!("/v1/artifacts/{digest}/finalize");
    ask(served, Method::POST, &path, "").await
}

async fn upload(served: &Served, photo: &[u8]) -> u16 {
    let path = format!("/v1/artifacts/{}/blob", Digest::of(photo));
    let photo = Bytes::copy_from_slice(photo);
    ask(served, Method::PUT, &path, photo).await.0
}

/// Waits until so many places are listed.
pub(super) async fn listed(served: &Served, digest: &Digest, count: usize) -> Vec<Value> {
    soon("it is listed", async {
        loop {
            let path = format!("/v1/artifacts?sha256={digest}");
            let (status, told) = ask(served, Method::GET, &path, "").await;
            assert_eq!(status, 200, "{told}");
            let places = told["references"].as_array().unwrap();
            if places.len() == count {
                return places.clone();
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    })
    .await
}

fn stored_at(served: &Served, digest: &Digest) -> SystemTime {
    let path = path_in(&served.slimspan.artifacts(), &digest.to_string());
    path.metadata().unwrap().modified().unwrap()
}

/// The store says that it got an artifact then.
pub(super) fn is_stored_at(served: &Served, digest: &Digest, time: SystemTime) {
    let path = path_in(&served.slimspan.artifacts(), &digest.to_string());
    let file = File::options().write(true).open(path).unwrap();
    file.set_modified(time).unwrap();
}

/// Another replica has put a reference to an artifact into the catalog, of which there is one with this number.
pub(super) async fn refer(served: &Served, digest: &Digest, trace: &str, number: u8) {
    let now = Timestamp::now();
    let entry = json!({
        "id": format!("{number:032x}"),
        "recorded": now.to_string(),
        "time": now.to_string(),
        "tenant": "default",
        "signal": "traces",
        "service": "chat",
        "trace_id": trace,
        "span_id": null,
        "span_name": "",
        "carrier": "span",
        "attribute": "input",
        "shape": "bytes",
        "sha256": digest.to_string(),
        "content_type": "image/png",
        "size_bytes": otlp::PHOTO,
        "filename": null,
        "state": "stored",
    });
    let key = now.to_zoned(TimeZone::UTC);
    let key = key.strftime("catalog/%Y-%m-%d/%H/%Y%m%dT%H%M%S%.6fZ");
    let key = format!("{key}-00000001-{number:08x}.jsonl");
    let line = Bytes::from(format!("{entry}\n"));
    served.store.bucket().put(&key, line).await.unwrap();
}

/// It may be marked to be removed, or go with a trace at this moment.
#[tokio::test]
async fn what_is_old_is_sent_again_before_it_counts() {
    let served = Served::start(&with_server()).await;
    for size in [10_000, 3 << 20, 7 << 20] {
        let photo = otlp::photo(1, size);
        let digest = Digest::of(&photo);
        served.put(photo.clone()).await;
        assert_eq!(finalize(&served, &digest).await.0, 200);
        let now = SystemTime::now();
        is_stored_at(&served, &digest, now - Duration::from_hours(49));
        let (status, told) = finalize(&served, &digest).await;
        assert_eq!(status, 409, "{told}");
        let told = told["error"].as_str().unwrap();
        assert!(told.contains("POST /v1/artifacts"), "{told}");
        assert_eq!(register(&served, &photo).await, 201);
        assert_eq!(upload(&served, &photo).await, 201);
        let stored = stored_at(&served, &digest);
        assert!(stored > now - Duration::from_mins(1), "it is renewed");
        assert_eq!(finalize(&served, &digest).await.0, 200);
        assert_eq!(register(&served, &photo).await, 200);
    }
}

/// Another replica has deleted what this one has stored.
#[tokio::test]
async fn what_is_sent_is_stored_also_where_it_counts_as_that() {
    let served = Served::start(&with_server()).await;
    for size in [10_000, 7 << 20] {
        let photo = otlp::photo(1, size);
        let digest = Digest::of(&photo);
        assert_eq!(upload(&served, &photo).await, 201);
        let path = path_in(&served.slimspan.artifacts(), &digest.to_string());
        std::fs::remove_file(&path).unwrap();
        assert_eq!(register(&served, &photo).await, 201);
        assert_eq!(upload(&served, &photo).await, 201);
        assert!(path.is_file(), "{size}");
    }
}

/// What a deletion has named counts when it was stored after that; and what says so then is written down anew,
/// because the deletion has hidden what was written down before.
#[tokio::test]
async fn what_was_deleted_since_does_not_count() {
    let served = Served::start(&with_catalog()).await;
    let photo = otlp::photo(1, otlp::PHOTO);
    let digest = Digest::of(&photo);
    served.put(photo.clone()).await;
    assert_eq!(register(&served, &photo).await, 200);
    listed(&served, &digest, 1).await;
    let path = format!("/v1/artifacts/{digest}");
    let earlier = SystemTime::now() - Duration::from_mins(1);
    let (status, told) = ask(&served, Method::DELETE, &path, "").await;
    assert_eq!(status, 200, "{told}");
    listed(&served, &digest, 0).await;
    // A deletion of all that a tenant has takes minutes, and has not come to it yet.
    served.put(photo.clone()).await;
    is_stored_at(&served, &digest, earlier);
    assert_eq!(register(&served, &photo).await, 201);
    assert_eq!(finalize(&served, &digest).await.0, 409);
    let later = SystemTime::now() + Duration::from_mins(1);
    is_stored_at(&served, &digest, later);
    assert_eq!(register(&served, &photo).await, 200);
    listed(&served, &digest, 1).await;
}

/// Whoever finalizes an artifact has it for itself: it does not go with a trace that refers to it, too.
#[tokio::test]
async fn what_is_finalized_does_not_go_with_a_trace() {
    let served = Served::start(&with_catalog()).await;
    let photo = otlp::photo(1, otlp::PHOTO);
    let digest = Digest::of(&photo);
    served.put(photo.clone()).await;
    refer(&served, &digest, TRACE, 1).await;
    listed(&served, &digest, 1).await;
    assert_eq!(finalize(&served, &digest).await.0, 200);
    listed(&served, &digest, 2).await;
    // Once more is the same once more.
    assert_eq!(finalize(&served, &digest).await.0, 200);
    let path = format!("/v1/traces/{TRACE}");
    let (status, told) = ask(&served, Method::DELETE, &path, "").await;
    assert_eq!((status, &told["waiting"]), (200, &json!(0)), "{told}");
    let places = listed(&served, &digest, 1).await;
    assert!(places[0]["signal"].is_null(), "{places:?}");
}
