//! What is answered where something goes wrong outside the request: it is had, and it is described.

use std::fs;
use std::os::unix::fs::symlink;

use futures::future::join_all;
use http::{Method, StatusCode};
use serde_json::{Value, json};
use slimspan_artifact::Digest;
use slimspan_proto::Signal;

use super::super::{Served, with_catalog, with_server};
use super::{
    BLOB, Case, FILES, FINALIZE, LINK, LIST, ONE, RESTORE, TENANT, TRACE, claim, described,
    is_described, listener, operations,
};
use crate::support::backend::Backend;
use crate::support::fault_store::{Fault, FaultStore};
use crate::support::references::path_in;
use crate::support::{config, otlp, soon};

/// As many requests as come within a second, of which one is answered.
const AT_ONCE: usize = 8;

#[tokio::test]
async fn who_asks_too_often_is_told_so_as_described() {
    let mut config = with_server();
    config["extensions"]["artifact_server"]["max_requests_per_second"] = json!(1);
    let served = Served::start(&config).await;
    let document = described(&served).await;
    for (method, path, asked) in operations(&document) {
        let operation = &document["paths"][path][method.as_str().to_lowercase()];
        // What the API is anybody may ask at any time.
        let is_limited = path != "/openapi.json";
        let described = &operation["responses"]["429"];
        assert_eq!(described.is_object(), is_limited, "{method} {path}");
        if !is_limited {
            continue;
        }
        let client = listener(&served, path);
        let asking = (0..AT_ONCE).map(|_| client.ask(method.clone(), &asked, ""));
        let answers = join_all(asking).await;
        let refused = |status| status == StatusCode::TOO_MANY_REQUESTS;
        let refused = answers.iter().find(|answer| refused(answer.status));
        let refused = refused.unwrap_or_else(|| panic!("{method} {path}: {answers:?}"));
        is_described(&document, &method, path, refused);
    }
}

/// Those that wait for bytes, each for as long as it does: at most half a minute.
#[tokio::test]
async fn who_stops_sending_is_told_so_as_described() {
    let served = Served::start(&with_server()).await;
    let document = described(&served).await;
    let digest = Digest::of(b"some text");
    let client = served.pages.with("content-type", "application/x-protobuf");
    let blob = format!("/v1/artifacts/{digest}/blob");
    let asking = [
        (Method::POST, LIST, LIST),
        (Method::PUT, BLOB, &blob),
        (Method::POST, RESTORE, "/v1/restore/traces"),
    ];
    let asking = asking.map(|(method, path, asked)| {
        let (client, document) = (&client, &document);
        async move {
            let answer = client.begin_and_stop(method.clone(), asked, "{").await;
            let status = answer.status;
            assert_eq!(status, StatusCode::REQUEST_TIMEOUT, "{path}: {answer:?}");
            is_described(document, &method, path, &answer);
        }
    });
    join_all(asking).await;
    // Nothing of that is kept.
    let path = path_in(&served.slimspan.artifacts(), &digest.to_string());
    assert!(!path.exists(), "{path:?}");
}

#[tokio::test]
async fn what_the_store_does_not_do_is_told_as_described() {
    let store = FaultStore::start(1, &[]).await;
    let mut config = with_server();
    let with_s3 = config::with_s3(store.address, store.address);
    config["extensions"]["artifact_store"] = with_s3["extensions"]["artifact_store"].clone();
    config["extensions"]["artifact_store"]["public_url"] = json!("https://files.example.com");
    let served = Served::start(&config).await;
    let document = described(&served).await;
    store.set(&[(Fault::Forbidden, 1000)]);
    let digest = Digest::of(b"some text");
    let of = |rest: &str| format!("/v1/artifacts/{digest}{rest}");
    for case in [
        Case::new(Method::POST, LIST, LIST, 503).body(claim(b"some text", 9)),
        Case::new(Method::PUT, BLOB, of("/blob"), 503).body("some text"),
        Case::new(Method::POST, FINALIZE, of("/finalize"), 503),
        Case::new(Method::GET, ONE, of(""), 503),
        Case::new(Method::GET, FILES[0], format!("/artifacts/{digest}"), 503),
    ] {
        case.check(&served, &document).await;
    }
    // It was the store, and passes with what the store has.
    store.heal();
    for case in [
        Case::new(Method::POST, LIST, LIST, 201).body(claim(b"some text", 9)),
        Case::new(Method::PUT, BLOB, of("/blob"), 201).body("some text"),
        Case::new(Method::POST, FINALIZE, of("/finalize"), 200),
    ] {
        case.check(&served, &document).await;
    }
}

/// What cannot be written down is not done.
#[tokio::test]
async fn what_cannot_be_audited_is_told_as_described() {
    let mut config = with_catalog();
    config["extensions"]["artifact_server"]["audit_log"] = json!("./audit.jsonl");
    let served = Served::start(&config).await;
    let document = described(&served).await;
    let file = served.put("some text").await;
    let audit = served.slimspan.folder().join("audit.jsonl");
    let _ = fs::remove_file(&audit);
    fs::create_dir(&audit).unwrap();
    let [here, new] = [&b"some text"[..], b"is new"].map(|bytes| Digest::of(bytes).to_string());
    let of = |digest: &str, rest: &str| format!("/v1/artifacts/{digest}{rest}");
    let trace = format!("/v1/traces/{}", "ab".repeat(16));
    for case in [
        Case::new(Method::GET, FILES[0], &file, 503),
        Case::new(Method::PUT, BLOB, of(&new, "/blob"), 503).body("is new"),
        Case::new(Method::POST, LINK, of(&here, "/link"), 503),
        Case::new(Method::DELETE, ONE, of(&here, ""), 503),
        Case::new(Method::DELETE, TRACE, trace, 503),
        Case::new(Method::DELETE, TENANT, "/v1/tenants/default", 503),
    ] {
        case.check(&served, &document).await;
    }
    fs::remove_dir(&audit).unwrap();
    let there = Case::new(Method::GET, FILES[0], &file, 200);
    there.check(&served, &document).await;
    let none = Case::new(Method::GET, ONE, of(&new, ""), 404);
    none.check(&served, &document).await;
}

/// Of whom something refers to a file is not known before: it would be deleted of some, and stay of others.
#[tokio::test]
async fn nothing_goes_of_everybody_before_the_catalog_is_read_as_described() {
    let folder = tempfile::tempdir().unwrap();
    // What leads to itself cannot be listed, and nobody has looked at days that are so long over.
    let day = folder.path().join("artifacts/catalog/2026-01-01");
    fs::create_dir_all(&day).unwrap();
    symlink(".", day.join("00")).unwrap();
    let served = Served::start_in(folder, &with_catalog()).await;
    let document = described(&served).await;
    let of_acme = served.put_for("acme", "some text").await;
    let digest = Digest::of(b"some text");
    let of_everybody = format!("/v1/artifacts/{digest}?all_tenants=true");
    let answer = served.pages.ask(Method::DELETE, &of_everybody, "").await;
    let status = answer.status;
    assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE, "{answer:?}");
    is_described(&document, &Method::DELETE, ONE, &answer);
    let told = answer.json()["error"].to_string();
    assert!(told.contains("all of the catalog is read"), "{told}");
    let there = served.artifacts.get(&of_acme).await;
    assert_eq!(there.status, StatusCode::OK, "{there:?}");
}

/// A later version may have written of files what this one cannot read, and nobody knows what that refers to.
#[tokio::test]
async fn a_trace_beside_what_cannot_be_read_is_hidden_and_its_files_stay_as_described() {
    let backend = Backend::start().await;
    let mut config = with_catalog();
    config["exporters"]["otlp_grpc"] = config::exporter(backend.address);
    let served = Served::start(&config).await;
    let document = described(&served).await;
    let sender = served.slimspan.sender().await;
    let request = otlp::span_with(otlp::PICTURE);
    sender.send(Signal::Traces, &request).await.unwrap();
    let references = async || -> Vec<Value> {
        let answer = served.pages.get(LIST).await;
        assert_eq!(answer.status, StatusCode::OK, "{answer:?}");
        answer.json()["references"].as_array().unwrap().clone()
    };
    let listed = soon("it is listed", async {
        loop {
            if let Some(listed) = references().await.pop() {
                return listed;
            }
            tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        }
    });
    let trace = listed.await["trace_id"].as_str().unwrap().to_owned();

    let name = "20261121T194305.000120Z-000000ab-00000001.jsonl";
    let hour = served.slimspan.artifacts().join("catalog/2026-11-21/19");
    fs::create_dir_all(&hour).unwrap();
    fs::write(hour.join(name), "what a later version writes\n").unwrap();
    let asked = format!("/v1/traces/{trace}");
    let answer = served.pages.ask(Method::DELETE, &asked, "").await;
    assert_eq!(answer.status, StatusCode::CONFLICT, "{answer:?}");
    is_described(&document, &Method::DELETE, TRACE, &answer);
    let told = answer.json()["error"].to_string();
    for part in [
        name,
        "1 lines",
        "the references of the trace are hidden, and its files stay",
    ] {
        assert!(told.contains(part), "{part}: {told}");
    }
    assert_eq!(references().await, Vec::<Value>::new());
    let digest = Digest::of(otlp::PICTURE).to_string();
    let path = path_in(&served.slimspan.artifacts(), &digest);
    assert_eq!(fs::read(path).unwrap(), otlp::PICTURE);
    // By its digest it can be deleted all the same, as the answer says.
    let one = Case::new(Method::DELETE, ONE, format!("/v1/artifacts/{digest}"), 200);
    one.check(&served, &document).await;
}
