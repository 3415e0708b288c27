//! What is put without a span is listed, however it came.

use std::fs;

use http::{Method, StatusCode};
use serde_json::{Value, json};
use slimspan_artifact::Digest;

use super::{Served, with_catalog};
use crate::support::references::path_in;
use crate::support::slimspan::run;
use crate::support::{otlp, soon};

/// What the catalog has of an artifact, when it has anything.
async fn listed(served: &Served, digest: &Digest) -> Vec<Value> {
    soon("it is listed", async {
        loop {
            let asked = format!("/v1/artifacts?sha256={digest}");
            let answer = served.pages.get(&asked).await;
            assert_eq!(answer.status, StatusCode::OK, "{answer:?}");
            let references = answer.json()["references"].as_array().unwrap().clone();
            if !references.is_empty() {
                return references;
            }
            tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        }
    })
    .await
}

async fn post(served: &Served, path: &str, body: &Value) -> (u16, Value) {
    let client = served.pages.with("content-type", "application/json");
    let answer = client.ask(Method::POST, path, body.to_string()).await;
    (answer.status.as_u16(), answer.json())
}

#[tokio::test]
async fn what_a_command_puts_is_listed_with_its_name() {
    let served = Served::start(&with_catalog()).await;
    let photo = otlp::photo(1, otlp::PHOTO);
    let digest = Digest::of(&photo);
    fs::write(served.slimspan.folder().join("a b.png"), &photo).unwrap();
    // Twice the same is once.
    for _ in 0..2 {
        let put = ["put", "--config", "collector.yaml", "a b.png"];
        let put = run(served.slimspan.folder(), &put).await;
        assert_eq!(put.code, Some(0), "{put:?}");
    }
    let [reference] = <[_; 1]>::try_from(listed(&served, &digest).await).unwrap();
    assert_eq!(reference["filename"], "a b.png");
    assert_eq!(reference["size_bytes"], photo.len());
    assert_eq!(reference["state"], "stored");
    assert!(reference["signal"].is_null(), "{reference}");
}

#[tokio::test]
async fn what_somebody_has_that_is_here_is_listed() {
    let served = Served::start(&with_catalog()).await;
    let photo = otlp::photo(2, otlp::PHOTO);
    let digest = Digest::of(&photo);
    served.put(photo.clone()).await;
    let claim = json!({
        "sha256": digest.to_string(),
        "size_bytes": photo.len(),
        "filename": "c.png",
    });
    for _ in 0..2 {
        let (status, told) = post(&served, "/v1/artifacts", &claim).await;
        assert_eq!((status, &told["status"]), (200, &json!("exists")));
        let finalize = format!("/v1/artifacts/{digest}/finalize");
        let (status, told) = post(&served, &finalize, &json!({})).await;
        assert_eq!((status, &told["size_bytes"]), (200, &json!(photo.len())));
        let references = listed(&served, &digest).await;
        assert!(references.iter().any(|one| one["filename"] == "c.png"));
        assert!(references.iter().all(|one| one["signal"].is_null()));
    }
}

/// Of what is long, too, not a byte is taken on trust.
#[tokio::test]
async fn what_is_finalized_is_what_its_digest_says() {
    let served = Served::start(&with_catalog()).await;
    for size in [10_000, 3 << 20, 12 << 20] {
        let photo = otlp::photo(3, size);
        let digest = Digest::of(&photo);
        served.put(photo.clone()).await;
        let file = path_in(&served.slimspan.artifacts(), &digest.to_string());
        let mut damaged = photo.clone();
        damaged[size - 1] ^= 1;
        fs::write(&file, damaged).unwrap();
        let finalize = format!("/v1/artifacts/{digest}/finalize");
        let (status, told) = post(&served, &finalize, &json!({})).await;
        assert_eq!(status, 500, "{size}: {told}");
        assert!(
            told["error"].as_str().unwrap().contains("damaged"),
            "{told}"
        );
        fs::write(&file, photo).unwrap();
        let (status, told) = post(&served, &finalize, &json!({})).await;
        assert_eq!((status, &told["size_bytes"]), (200, &json!(size)));
        let [reference] = <[_; 1]>::try_from(listed(&served, &digest).await).unwrap();
        assert_eq!(reference["size_bytes"], size);
    }
}
