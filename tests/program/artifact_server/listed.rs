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

/// What a command calls a file is what the server does: also what has no magic number.
#[tokio::test]
async fn a_command_calls_a_file_what_the_server_does() {
    let mut config = with_catalog();
    config["extensions"]["artifact_server"]["public_url"] = json!("https://files.example.com");
    config["extensions"]["artifact_server"]["open_to_everybody"] = json!(true);
    let served = Served::start(&config).await;
    let folder = served.slimspan.folder();
    let ask = async |arguments: &[&str]| {
        let (name, others) = arguments.split_first().unwrap();
        let before = [*name, "--config", "collector.yaml", "--json"];
        let ended = run(folder, &[&before[..], others].concat()).await;
        assert_eq!(ended.code, Some(0), "{ended:?}");
        serde_json::from_str::<Value>(&ended.stdout).unwrap()
    };
    for (bytes, content_type, extension) in [
        (&b"{\"a\": [1]}"[..], "application/json", "json"),
        (b"a text\n", "text/plain", "txt"),
        (b"<svg xmlns=''/>", "image/svg+xml", "svg"),
        (b"<!doctype html><p>", "text/html", "html"),
        (b"%PDF-1.7", "application/pdf", "pdf"),
        (b"\0\x01\x02", "application/octet-stream", "bin"),
    ] {
        let digest = Digest::of(bytes);
        let name = format!("{digest}.{extension}");
        fs::write(folder.join("file"), bytes).unwrap();
        let put = ask(&["put", "file"]).await;
        let got = ask(&["get", &digest.to_string()]).await;
        let known = served.pages.get(&format!("/v1/artifacts/{digest}")).await;
        let listed = listed(&served, &digest).await;
        for told in [&put, &got, &known.json(), &listed[0]] {
            assert_eq!(told["content_type"], content_type, "{told}");
        }
        assert!(put["uri"].as_str().unwrap().ends_with(&name), "{put}");
        assert!(got["file"].as_str().unwrap().ends_with(&name), "{got}");
    }
}

/// A command of another version reads all of the catalog for once, and leaves the index of a slimspan that runs.
#[tokio::test]
async fn a_command_throws_no_index_away_that_is_used() {
    let served = Served::start(&with_catalog()).await;
    let folder = served.slimspan.folder();
    fs::write(folder.join("a.txt"), "a text").unwrap();
    let put = run(folder, &["put", "--config", "collector.yaml", "a.txt"]).await;
    assert_eq!(put.code, Some(0), "{put:?}");
    let digest = Digest::of(b"a text");
    listed(&served, &digest).await;
    // What runs looks at that only when it opens it. Nobody else may have it open then.
    let about = |change: &str| {
        let index = served.index();
        let change = format!("UPDATE about SET format = format {change} RETURNING format");
        index
            .query_row(&change, [], |row| row.get::<_, i64>(0))
            .unwrap()
    };
    let other = about("+ 1000");
    let ls = run(folder, &["ls", "--config", "collector.yaml", "--json"]).await;
    assert_eq!(ls.code, Some(0), "{ls:?}");
    assert!(ls.stdout.contains(&digest.to_string()), "{ls:?}");
    let told = "has it open: all of the catalog is read for this once";
    assert!(ls.stderr.contains(told), "{ls:?}");
    assert_eq!(about("+ 0"), other, "it was made anew");
    assert_eq!(listed(&served, &digest).await.len(), 1);
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
