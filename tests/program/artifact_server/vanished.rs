//! What is sent to the store by itself is written there, whatever was there lately.

use bytes::Bytes;
use http::{Method, StatusCode};
use serde_json::json;
use slimspan_artifact::Digest;

use super::{Served, with_server};
use crate::support::otlp;
use crate::support::references::path_in;

/// A rule of the bucket, or somebody with other tools, takes a file or breaks it, and tells nobody.
#[tokio::test]
async fn what_vanished_or_broke_is_written_when_it_is_sent_again() {
    let served = Served::start(&with_server()).await;
    // In one piece, and in parts.
    for size in [1000, 6 << 20] {
        let photo = Bytes::from(otlp::photo(1, size));
        let digest = Digest::of(&photo).to_string();
        let file = path_in(&served.slimspan.artifacts(), &digest);
        let artifact = format!("/v1/artifacts/{digest}");
        let put = async || {
            let blob = format!("{artifact}/blob");
            let answer = served.pages.ask(Method::PUT, &blob, photo.clone()).await;
            assert_eq!(answer.status, StatusCode::CREATED, "{size}: {answer:?}");
            assert!(std::fs::read(&file).unwrap() == photo, "{size}");
            let finalize = format!("{artifact}/finalize");
            let answer = served.pages.ask(Method::POST, &finalize, "").await;
            assert_eq!(answer.status, StatusCode::OK, "{size}: {answer:?}");
        };
        put().await;

        std::fs::remove_file(&file).unwrap();
        let claim = json!({ "sha256": digest, "size_bytes": photo.len() }).to_string();
        let answer = served.pages.ask(Method::POST, "/v1/artifacts", claim).await;
        assert_eq!(answer.json()["status"], "upload", "{size}");
        put().await;

        std::fs::write(&file, vec![7; photo.len()]).unwrap();
        put().await;
    }
}
