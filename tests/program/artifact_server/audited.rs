//! What the audit log says of deletions.

use http::{Method, StatusCode};
use serde_json::{Value, json};
use slimspan_artifact::Digest;

use super::{Served, with_catalog};

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
