//! What is counted of requests for artifacts.

use http::Method;
use serde_json::json;
use slimspan_artifact::Digest;

use super::{Served, with_tenants};
use crate::support::pages::Metrics;
use crate::support::{otlp, soon};

#[tokio::test]
async fn what_is_asked_for_is_counted() {
    let mut config = with_tenants();
    config["service"]["telemetry"]["metrics"] = json!({
        "level": "detailed",
        "readers": [{ "pull": { "exporter": { "prometheus": { "port": 0 } } } }],
    });
    let served = Served::start(&config).await;
    let photo = otlp::photo(1, otlp::PHOTO);
    let digest = Digest::of(&photo);
    let path = served.put_for("acme", photo.clone()).await;
    let damaged = served.put_for("acme", vec![b'a'; 12 << 20]).await;
    let file = damaged.rsplit('/').next().unwrap();
    let folder = served.slimspan.artifacts().join("acme/sha256");
    let stored = folder.join(&file[..2]).join(file);
    let mut bytes = std::fs::read(&stored).unwrap();
    bytes[11 << 20] = b'b';
    std::fs::write(stored, bytes).unwrap();

    let acme = served.artifacts.bearer("token-of-acme");
    acme.get(&path).await;
    acme.get(&path).await;
    acme.with("range", "bytes=0-9").get(&path).await;
    acme.ask(Method::HEAD, &path, "").await;
    acme.ask(Method::from_bytes(b"INVENTED").unwrap(), &path, "")
        .await;
    assert!(acme.try_get(&damaged).await.is_none());
    served.artifacts.get(&path).await;
    let pages = served.pages.bearer("token-of-acme");
    pages.get(&path).await;
    pages.get("/v1/nowhere/secret-word").await;
    let blob = format!("/v1/artifacts/{digest}/blob");
    pages.ask(Method::PUT, &blob, photo.clone()).await;
    let restoring = pages.with("content-type", "application/x-protobuf");
    restoring
        .ask(Method::POST, "/v1/restore/traces", otlp::plain_span(1))
        .await;

    let address = served.slimspan.page("telemetry");
    let metrics = Metrics::of(address).await;
    let requests = |labels: &[&str]| {
        let all = [&[r#"server="artifact_server""#], labels].concat();
        metrics.count("slimspan_artifact_server_requests_total", &all)
    };
    let of_bytes = r#"route="/artifacts/{sha256}""#;
    for (method, status, count) in [
        ("GET", 200, 3),
        ("GET", 206, 1),
        ("GET", 401, 1),
        ("HEAD", 200, 1),
        ("_OTHER", 405, 1),
    ] {
        let method = format!("method=\"{method}\"");
        let status = format!("status=\"{status}\"");
        assert_eq!(
            requests(&[of_bytes, &method, &status]),
            count,
            "{method} {status}"
        );
    }
    assert_eq!(requests(&[r#"route="/artifacts/{sha256} (page)""#]), 1);
    assert_eq!(
        requests(&[r#"route="/v1/artifacts/{sha256}/blob""#, r#"status="201""#]),
        1
    );
    assert_eq!(requests(&[r#"route="(other)""#, r#"status="404""#]), 1);
    assert!(!metrics.0.contains("secret-word") && !metrics.0.contains(&digest.to_string()));
    let count = |name: &str| metrics.count(&format!("slimspan_artifact_server_{name}_total"), &[]);
    assert_eq!(count("received_bytes"), photo.len() as u64);
    let sent = count("sent_bytes");
    assert!(sent >= (2 * photo.len() + 10 + (11 << 20)) as u64, "{sent}");
    assert_eq!(
        (count("references_restored"), count("references_left")),
        (0, 0)
    );
    assert_eq!(count("damaged"), 1);
    soon("what was cut is counted", async {
        while Metrics::of(address)
            .await
            .count("slimspan_artifact_server_answers_cut_total", &[])
            != 1
        {
            tokio::task::yield_now().await;
        }
    })
    .await;
}
