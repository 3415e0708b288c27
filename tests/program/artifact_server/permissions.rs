//! Who may delete: not whoever may read.

use std::time::Duration;

use http::{Method, StatusCode};
use serde_json::{Value, json};
use slimspan_artifact::Digest;
use tokio::time::sleep;

use super::{Served, client::Client, with_catalog, with_tenants};

/// Tokens of two tenants, and for one of them a token that deletes.
fn with_deleters() -> Value {
    let mut config = with_tenants();
    let catalog = with_catalog()["extensions"]["artifact_store"]["catalog"].clone();
    let extensions = &mut config["extensions"];
    extensions["artifact_store"]["catalog"] = catalog;
    extensions["bearertokenauth/deletion"] = json!({ "tenants": { "acme": "deletes-of-acme" } });
    extensions["artifact_server"]["deletion"] =
        json!({ "auth": { "authenticator": "bearertokenauth/deletion" } });
    let running = config["service"]["extensions"].as_array_mut().unwrap();
    running.push(json!("bearertokenauth/deletion"));
    config
}

async fn delete(client: &Client, path: &str) -> (StatusCode, String) {
    let answer = client.ask(Method::DELETE, path, "").await;
    (
        answer.status,
        String::from_utf8_lossy(&answer.body).into_owned(),
    )
}

#[tokio::test]
async fn a_token_that_reads_deletes_nothing() {
    let served = Served::start(&with_deleters()).await;
    let of_acme = served.put_for("acme", "what acme has").await;
    let of_beta = served.put_for("beta", "what beta has").await;
    let digest = Digest::of(b"what acme has");
    let of_trace = format!("/v1/traces/{}", "ab".repeat(16));
    let own = [
        format!("/v1/artifacts/{digest}"),
        of_trace,
        "/v1/tenants/acme".to_owned(),
    ];
    let [acme, beta, deletes, nobody] = ["token-of-acme", "token-of-beta", "deletes-of-acme", "x"]
        .map(|token| served.pages.bearer(token));
    for path in &own {
        for reader in [&acme, &beta] {
            let (status, told) = delete(reader, path).await;
            assert_eq!(status, StatusCode::FORBIDDEN, "{path}");
            assert!(
                told.contains("deletion.auth of extensions.artifact_server"),
                "{told}"
            );
        }
        for stranger in [&nobody, &served.pages] {
            let answer = stranger.ask(Method::DELETE, path, "").await;
            assert_eq!(answer.status, StatusCode::UNAUTHORIZED, "{path}");
            assert!(answer.headers.contains_key("www-authenticate"));
        }
    }
    // It deletes what is its tenant's, and learns nothing of others.
    let of_another = format!("/v1/artifacts/{}?tenant=beta", Digest::of(b"what beta has"));
    for path in [of_another.as_str(), "/v1/tenants/beta"] {
        assert_eq!(delete(&deletes, path).await.0, StatusCode::NOT_FOUND);
    }
    // To read is another thing.
    let read = served
        .artifacts
        .bearer("deletes-of-acme")
        .get(&of_acme)
        .await;
    assert_eq!(read.status, StatusCode::UNAUTHORIZED);
    for path in &own {
        let (status, told) = delete(&deletes, path).await;
        assert_eq!(status, StatusCode::OK, "{told}");
    }
    let reads = |name: &str| served.artifacts.bearer(&format!("token-of-{name}"));
    assert_eq!(reads("acme").get(&of_acme).await.status, StatusCode::GONE);
    assert_eq!(reads("beta").get(&of_beta).await.status, StatusCode::OK);
}

/// A file goes whoever has it, for one who is no tenant. A tenant is told the same whether or not others have it, and
/// nothing goes.
#[tokio::test]
async fn only_who_is_no_tenant_deletes_what_every_tenant_has() {
    let served = Served::start(&with_deleters()).await;
    let of_beta = served.put_for("beta", "what beta has").await;
    let deletes = served.pages.bearer("deletes-of-acme");
    let mut refused = Vec::new();
    for bytes in [&b"what beta has"[..], b"what nobody has"] {
        let path = format!("/v1/artifacts/{}?all_tenants=true", Digest::of(bytes));
        refused.push(delete(&deletes, &path).await);
    }
    assert_eq!(refused[0].0, StatusCode::NOT_FOUND, "{refused:?}");
    assert_eq!(refused[0], refused[1]);
    let beta = served.artifacts.bearer("token-of-beta");
    assert_eq!(beta.get(&of_beta).await.status, StatusCode::OK);

    let mut config = with_deleters();
    config["extensions"]["bearertokenauth/deletion"] = json!({ "token": "deletes" });
    config["extensions"]["artifact_server"]["audit_log"] = json!("./audit.jsonl");
    let served = Served::start(&config).await;
    let digest = Digest::of(b"what both have");
    let mut paths = Vec::new();
    for tenant in ["acme", "beta"] {
        let path = served.put_for(tenant, "what both have").await;
        paths.push((tenant, path));
    }
    let other = served.put_for("beta", "what beta has").await;
    let deletes = served.pages.bearer("deletes");
    let of = |rest: &str| format!("/v1/artifacts/{digest}?all_tenants=true{rest}");
    let (status, told) = delete(&deletes, &of("&tenant=acme")).await;
    assert_eq!(status, StatusCode::BAD_REQUEST, "{told}");
    let mut answer = delete(&deletes, &of("&reason=asked%20for")).await;
    // All of the catalog is read first.
    for _ in 0..100 {
        if answer.0 != StatusCode::SERVICE_UNAVAILABLE {
            break;
        }
        sleep(Duration::from_millis(100)).await;
        answer = delete(&deletes, &of("&reason=asked%20for")).await;
    }
    let (status, told) = answer;
    assert_eq!(status, StatusCode::OK, "{told}");
    let told: Value = serde_json::from_str(&told).unwrap();
    assert_eq!(told["tenants"], json!(["acme", "beta"]));
    assert_eq!(
        (&told["artifacts"], &told["absent"]),
        (&json!(2), &json!(0))
    );
    let log = std::fs::read_to_string(served.slimspan.folder().join("audit.jsonl")).unwrap();
    for (tenant, path) in paths {
        let reads = served.artifacts.bearer(&format!("token-of-{tenant}"));
        let gone = reads.get(&path).await;
        assert_eq!(gone.status, StatusCode::GONE, "{gone:?}");
        assert!(
            String::from_utf8_lossy(&gone.body).contains("asked for"),
            "{gone:?}"
        );
        let line = format!("\"tenant\":\"{tenant}\"");
        assert!(log.contains(&line), "{log}");
    }
    let beta = served.artifacts.bearer("token-of-beta");
    assert_eq!(beta.get(&other).await.status, StatusCode::OK);
}

/// Without a word about it, to delete is for this machine alone.
#[tokio::test]
async fn nobody_elsewhere_deletes_unless_it_is_said_who() {
    let mut with_tokens = with_deleters();
    with_tokens["extensions"]["artifact_server"]["deletion"] = json!({});
    let mut to_everybody = with_catalog();
    to_everybody["extensions"]["artifact_server"]["allowed_hosts"] = json!(["files.example.com"]);
    to_everybody["extensions"]["artifact_server"]["open_to_everybody"] = json!(true);
    let mut local = with_catalog();
    local["extensions"]["artifact_server"]["open_to_everybody"] = json!(true);
    for (config, token, status) in [
        (with_tokens, "token-of-acme", StatusCode::FORBIDDEN),
        (to_everybody, "", StatusCode::FORBIDDEN),
        (local, "", StatusCode::OK),
    ] {
        let served = Served::start(&config).await;
        let client = if token.is_empty() {
            served.pages.clone()
        } else {
            served.pages.bearer(token)
        };
        let path = format!("/v1/artifacts/{}", Digest::of(b"a"));
        assert_eq!(delete(&client, &path).await.0, status, "{config}");
    }
}

/// Where everybody may read, who deletes shows who it is.
#[tokio::test]
async fn what_is_open_to_readers_is_deleted_with_a_token() {
    let mut config = with_deleters();
    let settings = &mut config["extensions"]["artifact_server"];
    settings.as_object_mut().unwrap().remove("auth");
    let settings = &mut config["extensions"]["artifact_server"];
    settings["audit_log"] = json!("./audit.jsonl");
    config["extensions"]["bearertokenauth/deletion"] = json!({ "tokens": ["other", "deletes"] });
    let served = Served::start(&config).await;
    let path = served.put("some text").await;
    assert_eq!(served.artifacts.get(&path).await.status, StatusCode::OK);
    let api = format!("/v1{path}");
    let answer = served.pages.ask(Method::DELETE, &api, "").await;
    assert_eq!(answer.status, StatusCode::UNAUTHORIZED);
    assert_eq!(
        answer.headers["www-authenticate"],
        "Bearer realm=\"slimspan\""
    );
    let deletes = served.pages.bearer("deletes");
    assert_eq!(delete(&deletes, &api).await.0, StatusCode::OK);
    assert_eq!(served.artifacts.get(&path).await.status, StatusCode::GONE);
    // And it is written down who that was.
    let log = std::fs::read_to_string(served.slimspan.folder().join("audit.jsonl")).unwrap();
    let lines = log.lines().map(|line| serde_json::from_str(line).unwrap());
    let lines: Vec<Value> = lines.collect();
    let who = lines.iter().map(|line| (&line["action"], &line["who"]));
    let who: Vec<_> = who.collect();
    let read = (&json!("read"), &json!("anybody"));
    let deletion = (&json!("delete"), &json!("token 2"));
    assert_eq!(who, [read, deletion, read], "{log}");
    assert!(!log.contains("deletes"), "{log}");
}
