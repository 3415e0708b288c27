//! Programs that put artifacts: register, upload, finalize.

use std::path::Path;

use bytes::Bytes;
use http::{Method, StatusCode};
use serde_json::{Value, json};
use slimspan_artifact::Digest;

use super::{Served, addresses, client::Client, with_server, with_tenants};
use crate::support::fault_store::FaultStore;
use crate::support::http::HttpAnswer;
use crate::support::pages::get;
use crate::support::references::{files, path_in};
use crate::support::slimspan::Slimspan;
use crate::support::{config, otlp};

/// A client that does what the SDK does whose requests were captured: it registers, follows what it is told,
/// and finalizes. Every answer that it gets is returned.
pub(super) async fn put(client: &Client, claim: &Value, bytes: &Bytes) -> Vec<HttpAnswer> {
    let posting = client.with("content-type", "application/json");
    let registered = posting
        .ask(Method::POST, "/v1/artifacts", claim.to_string())
        .await;
    let mut answers = vec![registered];
    if !answers[0].status.is_success() {
        return answers;
    }
    let told = answers[0].json();
    assert_eq!(told["sha256"], claim["sha256"]);
    if told["status"] == "exists" {
        assert!(told["upload"].is_null());
        return answers;
    }
    assert_eq!(told["status"], "upload");
    let upload = &told["upload"];
    assert_eq!(upload["requires_auth"], true);
    let url = upload["url"].as_str().unwrap();
    let path = url
        .strip_prefix(&format!("http://{}", client.address))
        .unwrap();
    let method: Method = upload["method"].as_str().unwrap().parse().unwrap();
    answers.push(client.ask(method, path, bytes.clone()).await);
    let sha256 = claim["sha256"].as_str().unwrap();
    let path = format!("/v1/artifacts/{sha256}/finalize");
    answers.push(client.ask(Method::POST, &path, "").await);
    answers
}

pub(super) fn claim(bytes: &[u8]) -> Value {
    json!({
        "sha256": Digest::of(bytes).to_string(),
        "size_bytes": bytes.len(),
        "content_type": "text/html",
        "filename": "a b/\u{e9}\"<script>.html",
    })
}

pub(super) fn statuses(answers: &[HttpAnswer]) -> Vec<u16> {
    answers
        .iter()
        .map(|answer| answer.status.as_u16())
        .collect()
}

#[tokio::test]
async fn what_an_sdk_sends_is_stored_once() {
    let served = Served::start(&with_server()).await;
    put_as_captured(&served, &served.pages).await;
}

/// Sends there what was captured, and looks at what comes of it: in a store that has nothing else.
pub(super) async fn put_as_captured(served: &Served, address: &Client) {
    put_captured(served, address).await;
    assert_eq!(files(&served.slimspan.artifacts()).len(), 1);
}

/// The same wherever there is something else.
pub(super) async fn put_captured(served: &Served, address: &Client) {
    let captures = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/captures/rest");
    let read = |name: &str| -> Value {
        let text = std::fs::read(captures.join(name)).unwrap();
        serde_json::from_slice(&text).unwrap()
    };
    let [register, upload, finalize] = ["register.json", "upload.json", "finalize.json"].map(read);
    let blob = Bytes::from(std::fs::read(captures.join("blob.png")).unwrap());
    // The requests as they were captured, word for word.
    let as_captured = |capture: &Value| {
        let headers = capture["headers"].as_object().unwrap();
        let client = headers
            .iter()
            .fold(address.clone(), |client, (name, value)| {
                match name.to_ascii_lowercase().as_str() {
                    "host" | "content-length" | "connection" => client,
                    name => client.with(name, value.as_str().unwrap()),
                }
            });
        let method: Method = capture["method"].as_str().unwrap().parse().unwrap();
        (client, method, capture["path"].as_str().unwrap().to_owned())
    };
    let registered = async || {
        let (client, method, path) = as_captured(&register);
        let answer = client
            .ask(method, &path, register["body"].to_string())
            .await;
        assert!(answer.status.is_success(), "{answer:?}");
        answer.json()["status"].as_str().unwrap().to_owned()
    };
    assert_eq!(registered().await, "upload");
    // The place that the captured server gave is the one that this one has.
    let (client, method, path) = as_captured(&upload);
    let answer = client.ask(method, &path, blob.clone()).await;
    assert!(answer.status.is_success(), "{answer:?}");
    let (client, method, path) = as_captured(&finalize);
    let answer = client.ask(method, &path, "").await;
    assert!(answer.status.is_success(), "{answer:?}");
    let told = answer.json();
    assert_eq!(told["size_bytes"], blob.len());
    assert_eq!(told["content_type"], "image/png");
    let (_, path) = told["uri"]
        .as_str()
        .unwrap()
        .split_once("/artifacts/")
        .unwrap();
    let read = served.artifacts.get(&format!("/artifacts/{path}")).await;
    assert_eq!(read.body, blob);
    assert_eq!(registered().await, "exists");
}

#[tokio::test]
async fn the_same_bytes_are_uploaded_once() {
    let served = Served::start(&with_server()).await;
    let photo = Bytes::from(otlp::photo(1, otlp::PHOTO));
    let answers = put(&served.pages, &claim(&photo), &photo).await;
    assert_eq!(statuses(&answers), [201, 201, 200]);
    let answers = put(&served.pages, &claim(&photo), &photo).await;
    assert_eq!(statuses(&answers), [200]);
    // Another who says the same has the same bytes, or says what is not true.
    let mut lie = claim(&photo);
    lie["size_bytes"] = json!(photo.len() + 1);
    let answers = put(&served.pages, &lie, &photo).await;
    assert_eq!(statuses(&answers), [409]);
}

/// Programs write what they do not know as `null`, or leave it out.
#[tokio::test]
async fn a_name_and_a_type_may_be_null_or_missing() {
    let served = Served::start(&with_server()).await;
    for (seed, is_missing) in [(1, false), (2, true)] {
        let photo = Bytes::from(otlp::photo(seed, 20_000));
        let mut claim = claim(&photo);
        let members = claim.as_object_mut().unwrap();
        for key in ["content_type", "filename"] {
            assert!(members.remove(key).is_some(), "{key}");
            if !is_missing {
                members.insert(key.to_owned(), Value::Null);
            }
        }
        let answers = put(&served.pages, &claim, &photo).await;
        assert_eq!(statuses(&answers), [201, 201, 200], "{claim}");
        // Nor is it called `null` by what it is told to do.
        let told = answers[0].json();
        let url = told["upload"]["url"].as_str().unwrap();
        assert!(!url.contains("filename"), "{url}");
    }
}

/// Although this process knows that it has stored it.
#[tokio::test]
async fn what_lies_there_damaged_is_asked_for_again() {
    let served = Served::start(&with_server()).await;
    for size in [otlp::PHOTO, 3 << 20, 7 << 20] {
        let photo = Bytes::from(otlp::photo(1, size));
        let answers = put(&served.pages, &claim(&photo), &photo).await;
        assert_eq!(statuses(&answers), [201, 201, 200]);
        let digest = Digest::of(&photo).to_string();
        let file = path_in(&served.slimspan.artifacts(), &digest);
        let cut = photo[..photo.len() - 1].to_vec();
        let longer = [&photo[..], b"x"].concat();
        let other = vec![7; photo.len()];
        for damaged in [cut, longer, Vec::new(), other] {
            std::fs::write(&file, &damaged).unwrap();
            let answers = put(&served.pages, &claim(&photo), &photo).await;
            assert_eq!(statuses(&answers), [201, 201, 200], "{}", damaged.len());
            assert!(std::fs::read(&file).unwrap() == photo, "{}", damaged.len());
        }
        let answers = put(&served.pages, &claim(&photo), &photo).await;
        assert_eq!(statuses(&answers), [200]);
    }
}

/// 40 MB in pieces, which is more than is ever kept of it.
#[tokio::test]
async fn what_is_long_is_stored_while_it_arrives() {
    let served = Served::start(&with_server()).await;
    let long: Vec<u8> = (0..40_000_000_u32).map(|at| (at / 7 % 253) as u8).collect();
    let long = Bytes::from(long);
    let before = served.slimspan.memory();
    let answers = put(&served.pages, &claim(&long), &long).await;
    assert_eq!(statuses(&answers), [201, 201, 200]);
    let grown = served.slimspan.peak_memory().saturating_sub(before) >> 20;
    assert!(grown < 36, "{grown} MiB");
    let path = format!("/artifacts/{}", Digest::of(&long));
    assert_eq!(served.artifacts.get(&path).await.body, long);
}

#[tokio::test]
async fn a_lie_is_refused_and_leaves_nothing() {
    let served = Served::start(&with_server()).await;
    for size in [1000, 6 << 20] {
        let said = Bytes::from(vec![1; size]);
        let digest = Digest::of(&said);
        let mut other = vec![1; size];
        other[size - 1] = 2;
        for sent in [other, vec![1; size - 1], vec![1; size + 1], Vec::new()] {
            let answers = put(&served.pages, &claim(&said), &sent.into()).await;
            assert_eq!(statuses(&answers), [201, 422, 404], "{size}");
            let read = served.artifacts.get(&format!("/artifacts/{digest}")).await;
            assert_eq!(read.status, StatusCode::NOT_FOUND);
        }
        // Of the bytes that were meant another number was said.
        for wrong in [size - 1, size + 1] {
            let path = format!("/v1/artifacts/{digest}/blob?size_bytes={wrong}");
            let answer = served.pages.ask(Method::PUT, &path, said.clone()).await;
            assert_eq!(answer.status, StatusCode::UNPROCESSABLE_ENTITY, "{wrong}");
        }
        // Without what was said before, the digest is what counts.
        let path = format!("/v1/artifacts/{digest}/blob");
        let answer = served.pages.ask(Method::PUT, &path, vec![3; size]).await;
        assert_eq!(answer.status, StatusCode::UNPROCESSABLE_ENTITY);
    }
    // What was given up is cleared away beside the answer.
    let artifacts = served.slimspan.artifacts();
    crate::support::soon("nothing is left", async {
        while !files(&artifacts).is_empty() {
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
    })
    .await;
}

#[tokio::test]
async fn what_makes_no_sense_or_is_too_large_is_refused() {
    let mut config = with_server();
    config["extensions"]["artifact_server"]["max_upload_size"] = json!("1KiB");
    let served = Served::start(&config).await;
    let large = Bytes::from(vec![0; 1025]);
    let answers = put(&served.pages, &claim(&large), &large).await;
    assert_eq!(statuses(&answers), [413]);
    assert!(
        answers[0].json()["error"]
            .as_str()
            .unwrap()
            .contains("max_upload_size")
    );
    let path = format!("/v1/artifacts/{}/blob", Digest::of(&large));
    let answer = served.pages.ask(Method::PUT, &path, large).await;
    assert_eq!(answer.status, StatusCode::PAYLOAD_TOO_LARGE);
    let mut upper = claim(b"a");
    upper["sha256"] = json!(Digest::of(b"a").to_string().to_uppercase());
    let mut negative = claim(b"a");
    negative["size_bytes"] = json!(-1);
    for body in [
        String::new(),
        "[]".to_owned(),
        "{}".to_owned(),
        upper.to_string(),
        negative.to_string(),
        format!("{}{}", claim(b"a"), " ".repeat(20 << 10)),
    ] {
        let answer = served
            .pages
            .ask(Method::POST, "/v1/artifacts", body.clone())
            .await;
        assert_eq!(answer.status, StatusCode::BAD_REQUEST, "{body}");
    }
    for path in [
        "/v1/artifacts/abc/blob",
        "/v1/artifacts/../blob",
        "/v1/artifacts/%2e%2e/finalize",
    ] {
        let answer = served.pages.ask(Method::PUT, path, "").await;
        assert!(answer.status.is_client_error(), "{path}");
    }
}

#[tokio::test]
async fn a_tenant_puts_into_its_own_folder_and_learns_nothing_of_others() {
    let served = Served::start(&with_tenants()).await;
    let photo = Bytes::from(otlp::photo(1, otlp::PHOTO));
    let [acme, beta] =
        ["acme", "beta"].map(|name| served.pages.bearer(&format!("token-of-{name}")));
    let answers = put(&acme, &claim(&photo), &photo).await;
    assert_eq!(statuses(&answers), [201, 201, 200]);
    // The same bytes of another are not there: nobody learns that somebody has them.
    let answers = put(&beta, &claim(&photo), &photo).await;
    assert_eq!(statuses(&answers), [201, 201, 200]);
    let digest = Digest::of(&photo);
    for tenant in ["acme", "beta"] {
        let uri = format!("/{tenant}/artifacts/{digest}");
        let reader = served.artifacts.bearer(&format!("token-of-{tenant}"));
        assert_eq!(reader.get(&uri).await.body, photo);
    }
    let answers = put(&served.pages, &claim(&photo), &photo).await;
    assert_eq!(statuses(&answers), [401]);
    let path = format!("/v1/artifacts/{digest}/blob?tenant=beta");
    let answer = acme.ask(Method::PUT, &path, photo).await;
    assert_eq!(answer.status, StatusCode::NOT_FOUND);
}

/// A page of a stranger can have a browser send something.
#[tokio::test]
async fn a_page_of_a_stranger_changes_nothing() {
    let served = Served::start(&with_server()).await;
    let photo = Bytes::from(otlp::photo(1, otlp::PHOTO));
    let own = format!("http://{}", served.pages.address);
    let by_name = format!("localhost:{}", served.pages.address.port());
    let named = served.pages.with("host", by_name.clone());
    let named = named.with("origin", format!("http://{by_name}"));
    let answer = named
        .ask(Method::POST, "/v1/artifacts", claim(&photo).to_string())
        .await;
    assert_eq!(answer.status, StatusCode::CREATED);
    for (name, value, may) in [
        ("origin", "https://evil.example.com", false),
        ("origin", "null", false),
        ("sec-fetch-site", "cross-site", false),
        ("sec-fetch-site", "same-site", false),
        ("origin", own.as_str(), true),
        ("sec-fetch-site", "same-origin", true),
    ] {
        let client = served.pages.with(name, value);
        let claim = claim(&photo).to_string();
        let answer = client.ask(Method::POST, "/v1/artifacts", claim).await;
        let status = if may {
            StatusCode::CREATED
        } else {
            StatusCode::FORBIDDEN
        };
        assert_eq!(answer.status, status, "{name}: {value}");
    }
}

/// Parts that stay behind at the store, because slimspan may not delete there, are told and counted.
#[tokio::test]
async fn an_upload_that_cannot_be_given_up_is_counted() {
    let store = FaultStore::start(1, &[]).await;
    let mut config = with_server();
    let nowhere = ([127, 0, 0, 1], 9).into();
    let of_bucket = config::with_s3(nowhere, store.address);
    config["extensions"]["artifact_store"] = of_bucket["extensions"]["artifact_store"].clone();
    config["extensions"]["artifact_store"]["timeout"] = json!("20s");
    config["service"]["telemetry"]["metrics"] = json!({
        "readers": [{ "pull": { "exporter": { "prometheus": { "port": 0 } } } }],
    });
    let mut slimspan = Slimspan::start(&config).await;
    let [_, pages] = addresses(&slimspan);
    let client = Client::of(pages);
    let (said, sent) = (Digest::of(b"something else"), otlp::photo(1, 6 << 20));
    let path = format!("/v1/artifacts/{said}/blob");
    let answer = client.ask(Method::PUT, &path, sent).await;
    assert_eq!(
        answer.status,
        StatusCode::UNPROCESSABLE_ENTITY,
        "{answer:?}"
    );
    slimspan
        .logs("parts of an upload that was given up may be left behind")
        .await;
    let page = get(slimspan.page("telemetry"), "/metrics").await;
    let line = r#"action="abort",reason="denied"} 1"#;
    assert!(page.body.contains(line), "{}", page.body);
    assert_eq!(store.objects(), [] as [String; 0]);
}
