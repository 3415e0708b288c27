//! What the store does not have yet is read from the spool.

use std::path::Path;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::{Method, StatusCode};
use http_body_util::BodyExt as _;
use serde_json::json;
use slimspan_artifact::Digest;
use slimspan_proto::Signal;
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio::time::timeout;

use super::{Served, deleting::serve_s3, with_server};
use crate::support::backend::Backend;
use crate::support::references::files;
use crate::support::{config, otlp, soon};

/// A server of a store that is away: it can be connected to, and does not answer.
struct Waiting {
    served: Served,
    bucket: TempDir,
    store: Option<TcpListener>,
    backend: Backend,
}

impl Waiting {
    async fn start() -> Self {
        let backend = Backend::start().await;
        let bucket = tempfile::tempdir().unwrap();
        std::fs::create_dir(bucket.path().join("media")).unwrap();
        let store = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let of_s3 = config::with_s3(backend.address, store.local_addr().unwrap());
        let mut config = with_server();
        config["exporters"] = of_s3["exporters"].clone();
        config["processors"]["artifact"]["delivery"] = json!("background");
        config["extensions"]["artifact_store"] = of_s3["extensions"]["artifact_store"].clone();
        config["extensions"]["artifact_store"]["spool"] = json!({ "directory": "./spool" });
        // Large ones have to be uploaded.
        config["extensions"]["artifact_store"]["timeout"] = json!("20s");
        Self {
            served: Served::start(&config).await,
            bucket,
            store: Some(store),
            backend,
        }
    }

    async fn send(&self, file: &[u8]) -> String {
        let sender = self.served.slimspan.sender().await;
        let request = otlp::span([("file", otlp::bytes(file))]);
        sender.send(Signal::Traces, &request).await.unwrap();
        format!("/artifacts/{}", Digest::of(file))
    }

    /// From now on the store answers; waits until it has so many artifacts.
    async fn heal(&mut self, count: usize) {
        serve_s3(self.store.take().unwrap(), self.bucket.path());
        let stored = self.bucket.path().join("media/x/default");
        soon("what waits is uploaded", async {
            while artifacts(&stored) < count {
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        })
        .await;
    }
}

fn artifacts(folder: &Path) -> usize {
    if folder.is_dir() {
        files(folder).len()
    } else {
        0
    }
}

#[tokio::test]
async fn what_is_only_in_the_spool_is_served() {
    let mut waiting = Waiting::start().await;
    let photos = [20_000, (1 << 20) + 1, 3 << 20, 9 << 20].map(|size| otlp::photo(1, size));
    let mut paths = Vec::new();
    for photo in &photos {
        paths.push(waiting.send(photo).await);
    }
    for is_away in [true, false] {
        if !is_away {
            waiting.heal(photos.len()).await;
        }
        for (photo, path) in photos.iter().zip(&paths) {
            let served = &waiting.served;
            let answer = served.artifacts.get(path).await;
            assert_eq!(answer.status, StatusCode::OK, "{path}");
            assert!(answer.body == *photo, "{path}");
            let middle = photo.len() / 2;
            let range = format!("bytes={middle}-{}", middle + 99);
            let answer = served.artifacts.with("range", range).get(path).await;
            assert_eq!(answer.status, StatusCode::PARTIAL_CONTENT);
            assert_eq!(answer.body, photo[middle..middle + 100]);
            let head = served.artifacts.ask(Method::HEAD, path, "").await;
            assert_eq!(head.headers["content-length"], photo.len().to_string());
            let info = served.pages.get(&format!("/v1{path}")).await;
            assert_eq!(info.json()["size_bytes"], photo.len());
            assert_eq!(served.pages.get(path).await.status, StatusCode::OK);
        }
    }
}

/// It is uploaded, and leaves the spool, while somebody reads it.
#[tokio::test]
async fn what_leaves_the_spool_is_read_to_its_end() {
    const SIZE: usize = 30 << 20;
    let mut waiting = Waiting::start().await;
    let photo = otlp::photo(2, SIZE);
    let path = waiting.send(&photo).await;
    let answer = waiting.served.artifacts.begin(Method::GET, &path, "").await;
    assert_eq!(answer.status(), StatusCode::OK);
    let mut body = answer.into_body();
    let mut read = BytesMut::new();
    let first = soon("its beginning", body.frame()).await.unwrap().unwrap();
    read.extend_from_slice(&first.into_data().unwrap());
    waiting.heal(1).await;
    let rest = soon("its end", body.collect()).await.unwrap();
    read.extend_from_slice(&rest.to_bytes());
    assert!(read == photo[..]);
}

/// Who takes nothing of what waits there keeps nobody else from it.
#[tokio::test]
async fn slow_readers_of_the_spool_hold_up_nobody() {
    let waiting = Waiting::start().await;
    let path = waiting.send(&otlp::photo(3, 20 << 20)).await;
    let of_another = waiting.send(&otlp::photo(4, 20_000)).await;
    let mut slow = Vec::new();
    for _ in 0..8 {
        slow.push(waiting.served.artifacts.begin(Method::GET, &path, "").await);
    }
    for path in [&of_another, &path] {
        let reading = waiting.served.artifacts.get(path);
        let answer = timeout(Duration::from_secs(15), reading).await;
        assert_eq!(answer.unwrap().status, StatusCode::OK, "{path}");
    }
    drop(slow);
}

/// Files that wait take part in what a request becomes, and count.
#[tokio::test]
async fn what_is_only_in_the_spool_is_put_back() {
    let waiting = Waiting::start().await;
    let photo = otlp::photo(5, 2 << 20);
    let original = otlp::span([("file", otlp::bytes(&photo))]);
    let sender = waiting.served.slimspan.sender().await;
    sender.send(Signal::Traces, &original).await.unwrap();
    let slim: Bytes = waiting.backend.received()[0].message.clone();
    let client = waiting
        .served
        .pages
        .with("content-type", "application/x-protobuf");
    let answer = client.ask(Method::POST, "/v1/restore/traces", slim).await;
    assert_eq!(answer.status, StatusCode::OK, "{answer:?}");
    assert!(answer.body == original);
}
