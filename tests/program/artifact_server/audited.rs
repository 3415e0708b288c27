//! What the audit log says of deletions and uploads.

use http::{Method, StatusCode};
use serde_json::{Value, json};
use slimspan_artifact::Digest;

use super::{Served, with_catalog, with_server};

/// Of what is deleted at once there is no digest: what it was, whose, and why is what is left to be told.
#[tokio::test]
async fn what_was_deleted_and_why_is_written_down() {
    let mut config = with_catalog();
    config["extensions"]["artifact_server"]["audit_log"] = json!("./audit.jsonl");
    let served = Served::start(&config).await;
    let digest = Digest::of(b"some text").to_string();
    let trace = "0af7651916cd43dd8448eb211c80319c";
    let expected = [
        (
            format!("/v1/artifacts/{digest}?reason=asked%20for"),
            json!({ "action": "delete", "tenant": "default", "sha256": digest, "reason": "asked for" }),
        ),
        (
            format!("/v1/traces/{trace}?reason=the%20wrong%20%22prompt%22"),
            json!({
                "action": "delete trace", "tenant": "default", "sha256": null, "trace_id": trace,
                "reason": "the wrong \"prompt\"",
            }),
        ),
        (
            "/v1/tenants/acme".to_owned(),
            json!({
                "action": "delete tenant", "tenant": "acme", "sha256": null, "reason": "deleted on request",
            }),
        ),
    ];
    for (path, _) in &expected {
        let answer = served.pages.ask(Method::DELETE, path, "").await;
        assert_eq!(answer.status, StatusCode::OK, "{path}: {answer:?}");
    }
    let log = served.slimspan.folder().join("audit.jsonl");
    let text = std::fs::read_to_string(log).unwrap();
    assert_eq!(text.lines().count(), expected.len(), "{text}");
    for (line, (path, mut expected)) in text.lines().zip(expected) {
        let mut line: Value = serde_json::from_str(line).unwrap();
        let line = line.as_object_mut().unwrap();
        assert!(line.remove("time").is_some());
        for (name, value) in [("who", "anybody"), ("peer", "127.0.0.1")] {
            expected[name] = json!(value);
        }
        expected["status"] = json!(200);
        assert_eq!(Some(&*line), expected.as_object(), "{path}");
    }
}

/// What did not come, or was something else, was not stored by anybody.
#[tokio::test]
async fn what_became_of_an_upload_is_written_down() {
    let mut config = with_server();
    config["extensions"]["artifact_server"]["audit_log"] = json!("./audit.jsonl");
    config["extensions"]["artifact_server"]["max_upload_size"] = json!("1KiB");
    let served = Served::start(&config).await;
    let digest = Digest::of(b"some text");
    let path = format!("/v1/artifacts/{digest}/blob");
    // What is too long is refused before anything of it has come, and is no upload.
    for (bytes, status) in [
        (vec![7; 9], 422),
        (vec![7; 2000], 413),
        (b"some text".to_vec(), 201),
    ] {
        let answer = served.pages.ask(Method::PUT, &path, bytes).await;
        assert_eq!(answer.status.as_u16(), status, "{answer:?}");
    }
    let log = served.slimspan.folder().join("audit.jsonl");
    let text = std::fs::read_to_string(log).unwrap();
    let lines = text.lines().map(|line| serde_json::from_str(line).unwrap());
    let lines: Vec<Value> = lines.collect();
    let told = lines.iter().map(|line| {
        assert_eq!(line["action"], "store", "{line}");
        assert_eq!(line["sha256"], digest.to_string(), "{line}");
        line["status"].as_u64().unwrap()
    });
    assert_eq!(told.collect::<Vec<_>>(), [422, 201], "{text}");
}

/// Nothing is stored of which nobody would know who did it.
#[tokio::test]
async fn what_cannot_be_written_down_is_not_stored() {
    let mut config = with_server();
    config["extensions"]["artifact_server"]["audit_log"] = json!("./artifacts");
    let served = Served::start(&config).await;
    // So that there is a folder, which is no file.
    served.put("other text").await;
    let digest = Digest::of(b"some text");
    let path = format!("/v1/artifacts/{digest}/blob");
    let answer = served.pages.ask(Method::PUT, &path, "some text").await;
    assert_eq!(answer.status, StatusCode::SERVICE_UNAVAILABLE);
    assert!(!served.store.has(&digest).await.unwrap());
}
