//! What was deleted with a trace is given to nobody, also while its bytes have to stay.

use std::time::{Duration, SystemTime};

use http::{Method, StatusCode};
use serde_json::json;
use slimspan_artifact::Digest;
use slimspan_proto::Signal;

use super::kept::{ask, is_stored_at, listed, refer};
use super::{Served, with_catalog};
use crate::support::backend::Backend;
use crate::support::references::path_in;
use crate::support::slimspan::{Ended, run};
use crate::support::{config, otlp, soon};

/// Of what telemetry refers to here, and of what else.
const TRACE: &str = "07070707070707070707070707070707";
const OTHER: &str = "01010101010101010101010101010101";

/// How a file is answered on each way to it.
async fn is(served: &Served, digest: &Digest, status: StatusCode, words: &str) {
    let path = format!("/artifacts/{digest}");
    let of_api = format!("/v1/artifacts/{digest}");
    let head = served.artifacts.ask(Method::HEAD, &path, "").await;
    assert_eq!(head.status, status, "{digest}");
    for (client, path) in [
        (&served.artifacts, &path),
        (&served.pages, &path),
        (&served.pages, &of_api),
    ] {
        let answer = client.get(path).await;
        assert_eq!(answer.status, status, "{path}: {answer:?}");
        if status == StatusCode::GONE {
            let told = String::from_utf8(answer.body.to_vec()).unwrap();
            assert!(told.contains(words), "{path}: {told}");
        }
    }
}

/// Reads it out of the store.
async fn get(served: &Served, digest: &Digest) -> Ended {
    let digest = digest.to_string();
    let arguments = ["get", "--config", "collector.yaml", "-o", "got", &digest];
    run(served.slimspan.folder(), &arguments).await
}

/// Puts the files back into what was captured.
async fn restore(served: &Served, more: &[&str]) -> Ended {
    let files = ["--signal", "traces", "-o", "whole.pb", "slim.pb"];
    let arguments = ["restore", "--config", "collector.yaml"];
    let arguments = [&arguments[..], more, &files[..]].concat();
    run(served.slimspan.folder(), &arguments).await
}

/// Which of these files are in it then.
fn come_back(served: &Served, files: &[Vec<u8>; 2]) -> [bool; 2] {
    let whole = std::fs::read(served.slimspan.folder().join("whole.pb")).unwrap();
    let has = |file: &Vec<u8>| whole.windows(file.len()).any(|some| some == file);
    files.each_ref().map(has)
}

/// Deletes a trace; how many of its files wait.
async fn delete(served: &Served, trace: &str, reason: &str) -> u64 {
    let path = format!("/v1/traces/{trace}?reason={reason}");
    let (status, told) = ask(served, Method::DELETE, &path, "").await;
    assert_eq!(status, 200, "{told}");
    assert_eq!(told["artifacts"], json!(0), "{told}");
    told["waiting"].as_u64().unwrap()
}

#[tokio::test]
async fn what_waits_to_go_is_told_to_be_deleted_at_once() {
    let backend = Backend::start().await;
    let mut config = with_catalog();
    config["exporters"]["otlp_grpc"] = config::exporter(backend.address);
    let served = Served::start(&config).await;
    let photos = [1, 2].map(|seed| otlp::photo(seed, otlp::PHOTO));
    let request = otlp::span([
        ("own", otlp::bytes(&photos[0])),
        ("shared", otlp::bytes(&photos[1])),
    ]);
    let sender = served.slimspan.sender().await;
    sender.send(Signal::Traces, &request).await.unwrap();
    let slim = backend.received()[0].message.clone();
    let [own, shared] = photos.each_ref().map(|photo| Digest::of(photo));
    refer(&served, &shared, OTHER, 1).await;
    listed(&served, &own, 1).await;
    listed(&served, &shared, 2).await;
    let now = SystemTime::now();
    for digest in [&own, &shared] {
        // So long ago that it is before the deletion, and not so long that it could go.
        is_stored_at(&served, digest, now - Duration::from_hours(1));
        is(&served, digest, StatusCode::OK, "").await;
    }

    assert_eq!(delete(&served, TRACE, "a-person-asked").await, 1);
    is(&served, &own, StatusCode::GONE, "a-person-asked").await;
    is(&served, &shared, StatusCode::OK, "").await;
    let stored = path_in(&served.slimspan.artifacts(), &own.to_string());
    assert!(stored.is_file(), "another trace may refer to it");
    // Nor is it put back.
    let client = served.pages.with("content-type", "application/x-protobuf");
    let restoring = client.ask(Method::POST, "/v1/restore/traces", slim.clone());
    let restored = restoring.await;
    assert_eq!(restored.status, StatusCode::OK, "{restored:?}");
    assert_eq!(restored.headers["slimspan-references-left"], "1");
    // Nor does who has the store itself read it by mistake.
    let got = get(&served, &own).await;
    assert_eq!(got.code, Some(1), "{got:?}");
    assert!(got.stderr.contains("a-person-asked"), "{got:?}");
    assert!(!served.slimspan.folder().join("got").exists());
    let got = get(&served, &shared).await;
    assert_eq!(got.code, Some(0), "{got:?}");
    // Nor does it come back into what was captured.
    let folder = served.slimspan.folder();
    std::fs::write(folder.join("slim.pb"), slim).unwrap();
    let restored = restore(&served, &[]).await;
    assert_eq!(restored.code, Some(1), "{restored:?}");
    assert!(restored.stderr.contains("a-person-asked"), "{restored:?}");
    assert!(!folder.join("whole.pb").exists());
    let restored = restore(&served, &["--keep-going"]).await;
    assert_eq!(restored.code, Some(1), "{restored:?}");
    assert_eq!(come_back(&served, &photos), [false, true]);

    // Another trace does refer to it.
    refer(&served, &own, OTHER, 2).await;
    listed(&served, &own, 1).await;
    is(&served, &own, StatusCode::OK, "").await;
    let got = get(&served, &own).await;
    assert_eq!(got.code, Some(0), "{got:?}");
    let restored = restore(&served, &[]).await;
    assert_eq!(restored.code, Some(0), "{restored:?}");
    assert_eq!(come_back(&served, &photos), [true, true]);

    // What came again is there, also before it is known what refers to it.
    assert_eq!(delete(&served, OTHER, "so-did-another").await, 2);
    for digest in [&own, &shared] {
        is(&served, digest, StatusCode::GONE, "so-did-another").await;
    }
    is_stored_at(&served, &own, now + Duration::from_mins(10));
    is(&served, &own, StatusCode::OK, "").await;
    is(&served, &shared, StatusCode::GONE, "so-did-another").await;
}

/// Nor is it given out of the spool, or when it has come from there to the store at last.
#[tokio::test]
async fn what_waits_for_the_store_is_told_to_be_deleted_too() {
    let backend = Backend::start().await;
    let mut config = with_catalog();
    config["exporters"]["otlp_grpc"] = config::exporter(backend.address);
    config["processors"]["artifact"]["delivery"] = json!("background");
    config["extensions"]["artifact_store"]["spool"] = json!({ "directory": "./spool" });
    let served = Served::start(&config).await;
    let photo = otlp::photo(1, otlp::PHOTO);
    let digest = Digest::of(&photo);
    // The store does not take it: a folder has its name.
    let stored = path_in(&served.slimspan.artifacts(), &digest.to_string());
    std::fs::create_dir_all(&stored).unwrap();
    let request = otlp::span([("own", otlp::bytes(&photo))]);
    let sender = served.slimspan.sender().await;
    sender.send(Signal::Traces, &request).await.unwrap();
    listed(&served, &digest, 1).await;
    is(&served, &digest, StatusCode::OK, "").await;

    let path = format!("/artifacts/{digest}");
    let status = async || served.artifacts.get(&path).await.status;
    // Of the second in which it was deleted nobody knows.
    soon("it is told to be deleted", async {
        while status().await != StatusCode::GONE {
            delete(&served, TRACE, "a-person-asked").await;
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    })
    .await;
    is(&served, &digest, StatusCode::GONE, "a-person-asked").await;

    std::fs::remove_dir(&stored).unwrap();
    soon("it is stored, and that is told", async {
        while !stored.is_file() || status().await != StatusCode::GONE {
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    })
    .await;
    // It is not as if it came again.
    is(&served, &digest, StatusCode::GONE, "a-person-asked").await;
}

/// Its bytes are there, and whether it was deleted is not known: it is given to nobody, and everybody is asked to come
/// back.
#[tokio::test]
async fn what_the_index_cannot_be_asked_about_is_given_to_nobody() {
    let backend = Backend::start().await;
    let mut config = with_catalog();
    config["exporters"]["otlp_grpc"] = config::exporter(backend.address);
    let served = Served::start(&config).await;
    let photo = otlp::photo(1, otlp::PHOTO);
    let digest = Digest::of(&photo);
    let request = otlp::span([("own", otlp::bytes(&photo))]);
    let sender = served.slimspan.sender().await;
    sender.send(Signal::Traces, &request).await.unwrap();
    let slim = backend.received()[0].message.clone();
    listed(&served, &digest, 1).await;
    is_stored_at(
        &served,
        &digest,
        SystemTime::now() - Duration::from_hours(1),
    );
    assert_eq!(delete(&served, TRACE, "a-person-asked").await, 1);
    is(&served, &digest, StatusCode::GONE, "a-person-asked").await;

    let index = served.index();
    let rename = |from: &str, to: &str| {
        let rename = format!("ALTER TABLE {from} RENAME TO {to}");
        index.execute_batch(&rename).unwrap();
    };
    rename("hidden", "away");
    is(&served, &digest, StatusCode::SERVICE_UNAVAILABLE, "").await;
    let client = served.pages.with("content-type", "application/x-protobuf");
    let restored = client.ask(Method::POST, "/v1/restore/traces", slim).await;
    let status = restored.status;
    assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE, "{restored:?}");
    rename("away", "hidden");
    is(&served, &digest, StatusCode::GONE, "a-person-asked").await;
}
