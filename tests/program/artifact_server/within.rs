//! Words of strangers, wherever they stand, lead to no file and to no peer: as the system sees it.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::Method;
use serde_json::json;
use slimspan_artifact::Digest;
use slimspan_proto::Signal;

use super::client::Client;
use super::{addresses, with_catalog};
use crate::support::backend::Backend;
use crate::support::calls::{self, Call};
use crate::support::slimspan::Slimspan;
use crate::support::{config, otlp};

/// Stands in every word of a stranger here, and in nothing that slimspan makes: neither a tenant nor a digest has a
/// dot.
const STRAY: &str = "zz.stray";

/// What slimspan is told that it may change, below its folder.
const ITS_OWN: [&str; 4] = ["artifacts", "catalog", "spool", "audit.jsonl"];

/// Paths, URLs and references as somebody writes them who would like slimspan to follow them.
fn words() -> Vec<String> {
    let digest = Digest::of(STRAY.as_bytes());
    let forged = |uri: &str| {
        format!(
            r#"{{"type":"artifact","sha256":"{digest}","content_type":"image/png","size_bytes":9,"uri":"{uri}"}}"#
        )
    };
    let long = "a".repeat(20_000);
    vec![
        format!("../../../{STRAY}"),
        format!("/tmp/{STRAY}"),
        format!("~/{STRAY}"),
        format!("file:///tmp/{STRAY}"),
        format!("http://127.0.0.1:9/{STRAY}"),
        format!("http://169.254.169.254/{STRAY}/{long}"),
        format!("gopher://127.0.0.1:9/_{STRAY}{long}"),
        format!(r"\\127.0.0.1\{STRAY}"),
        format!(
            r#"[{{"type":"image_url","image_url":{{"url":"http://127.0.0.1:9/{STRAY}.png"}}}}]"#
        ),
        forged(&format!("file:///tmp/{STRAY}")),
        forged(&format!(
            "http://127.0.0.1:9/{STRAY}/artifacts/{digest}.png"
        )),
        forged(&format!("s3://{STRAY}/sha256/{digest}")),
        format!("artifact://dropped/../../{STRAY}/{digest}.png?size=9"),
        format!("$(touch /tmp/{STRAY})"),
        format!("${{env:{STRAY}}} ${{file:/tmp/{STRAY}}}"),
    ]
}

/// A span of somebody with files that are called by such words, and words alone.
fn span(tenant: Option<&str>, photo: &[u8]) -> Bytes {
    let data = STANDARD.encode(otlp::photo(3, 20_000));
    let mut attributes = vec![
        ("../../zz.stray", otlp::bytes(photo)),
        ("image.b64", otlp::data_uri(&otlp::photo(2, 20_000))),
    ];
    for word in words() {
        let file = json!([{
            "type": "file", "filename": word, "mime_type": word, "media_type": word,
            "data": data,
        }]);
        attributes.push(("zz.stray", otlp::text(word)));
        attributes.push(("gen_ai.input.messages", otlp::text(file.to_string())));
    }
    otlp::span_of(tenant, attributes)
}

/// Puts a file as the API has it, by the worst of names.
async fn put(pages: &Client, file: &[u8]) {
    let digest = Digest::of(file);
    let claim = json!({
        "sha256": digest.to_string(), "size_bytes": file.len(),
        "content_type": format!("../../{STRAY}"), "filename": format!("../../{STRAY}"),
    });
    let posting = pages.with("content-type", "application/json");
    let answer = posting
        .ask(Method::POST, "/v1/artifacts", claim.to_string())
        .await;
    assert_eq!(answer.json()["status"], "upload", "{answer:?}");
    let blob = format!("/v1/artifacts/{digest}/blob?filename=../../{STRAY}&path=/tmp/{STRAY}");
    let disposition = format!("attachment; filename=\"../../{STRAY}\"");
    let putting = pages.with("content-disposition", disposition);
    let answer = putting.ask(Method::PUT, &blob, file.to_vec()).await;
    assert!(answer.status.is_success(), "{answer:?}");
    let finalize = format!("/v1/artifacts/{digest}/finalize?filename=../../{STRAY}");
    let answer = pages.ask(Method::POST, &finalize, "").await;
    assert!(answer.status.is_success(), "{answer:?}");
    // A digest that is none.
    for path in [
        format!("/v1/artifacts/../../{STRAY}/blob"),
        format!("/v1/artifacts/..%2f..%2f{STRAY}/blob"),
        format!("/v1/artifacts/{digest}%2f..%2f{STRAY}/blob"),
    ] {
        let answer = pages.ask(Method::PUT, &path, "x").await;
        assert!(answer.status.is_client_error(), "{path}: {answer:?}");
    }
}

/// Asks for what is nowhere, in every way that there is to ask.
async fn ask(artifacts: &Client, pages: &Client, digest: Digest) {
    let ways = [
        format!("/artifacts/../../{STRAY}"),
        format!("/artifacts/..%2f..%2f{STRAY}"),
        format!("/artifacts/%2e%2e/{STRAY}"),
        format!("/../artifacts/{STRAY}/{digest}"),
        format!("/..%2f{STRAY}/artifacts/{digest}"),
        format!("/{STRAY}/artifacts/{digest}"),
        format!("/artifacts/{digest}.png%00{STRAY}"),
        format!("/artifacts/{digest}/../../../{STRAY}"),
        format!("//{STRAY}//artifacts//{digest}"),
    ];
    for path in &ways {
        for listener in [artifacts, pages] {
            let answer = listener.get(path).await;
            assert!(!answer.status.is_success(), "{path}: {answer:?}");
        }
    }
    for path in [
        format!("/?name=../../{STRAY}&service=/tmp/{STRAY}"),
        format!("/find?q=file:///tmp/{STRAY}"),
        format!("/find?q=../../{STRAY}"),
        format!("/traces/..%2f..%2f{STRAY}"),
        format!("/v1/artifacts?name=../../{STRAY}&service=%00{STRAY}"),
        format!("/v1/artifacts?tenant=../{STRAY}"),
        format!("/v1/artifacts?cursor=../{STRAY}"),
        format!("/v1/restore/..%2f{STRAY}"),
    ] {
        let answer = pages.get(&path).await;
        assert!(!answer.status.is_server_error(), "{path}: {answer:?}");
    }
}

fn configured(backend: &Backend) -> serde_json::Value {
    let mut config = with_catalog();
    config["exporters"]["otlp_grpc"] = config::exporter(backend.address);
    config["processors"]["artifact"]["delivery"] = json!("background");
    config["processors"]["artifact"]["tenant"] =
        json!({ "from_attribute": "tenant.id", "default": "default" });
    config["extensions"]["artifact_store"]["spool"] = json!({ "directory": "./spool" });
    let server = &mut config["extensions"]["artifact_server"];
    server["audit_log"] = json!("./audit.jsonl");
    server["public_url"] = json!("https://files.example.com");
    server["open_to_everybody"] = json!(true);
    config
}

/// Every file that is opened to be written, made, moved or removed is below what the configuration names, every
/// connection leads to the backend that it names, nothing else is run, and no path has a stranger's word in it.
#[tokio::test]
async fn words_of_strangers_lead_to_no_file_and_no_peer() {
    if !calls::are_seen() {
        return;
    }
    let backend = Backend::start().await;
    let folder = Arc::new(tempfile::tempdir().unwrap());
    let home = folder.path().canonicalize().unwrap();
    let told = tempfile::tempdir().unwrap();
    let told = told.path().join("calls");
    let config = configured(&backend).to_string();
    let traced = calls::traced(&told);
    let mut slimspan = Slimspan::spawn_by(traced, Arc::clone(&folder), &config);
    assert!(slimspan.ready().await, "{}", slimspan.stderr());
    let [artifacts, pages] = addresses(&slimspan).map(Client::of);

    let photo = otlp::photo(1, otlp::PHOTO);
    let sender = slimspan.sender().await;
    let request = span(None, &photo);
    sender.send(Signal::Traces, &request).await.unwrap();
    let slim = backend.only();
    assert!(slim.len() < request.len() / 2);
    for tenant in ["../../zz.stray", "/tmp/zz.stray", "zz.stray"] {
        let of_nobody = span(Some(tenant), &photo);
        let answer = sender.send(Signal::Traces, &of_nobody).await;
        let is_taken = answer.is_ok_and(|message| message.is_empty());
        assert!(!is_taken, "{tenant}");
    }
    put(&pages, &otlp::photo(4, otlp::PHOTO)).await;
    ask(&artifacts, &pages, Digest::of(&photo)).await;
    // What is real in it comes back, and what is forged is looked for nowhere.
    let restoring = pages.with("content-type", "application/x-protobuf");
    let restored = restoring
        .ask(Method::POST, "/v1/restore/traces", slim)
        .await;
    assert!(restored.body == request, "{}", restored.status);
    let path = format!("/artifacts/{}", Digest::of(&photo));
    let read = artifacts.get(&path).await;
    assert!(read.body == photo, "{}", read.status);
    let ended = slimspan.stop().await;
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);

    judge(&calls::read(&told), &home, &backend);
}

fn judge(calls: &[Call], home: &Path, backend: &Backend) {
    let its_own = ITS_OWN.map(|name| home.join(name));
    let (mut used, mut connected) = (BTreeSet::<&PathBuf>::new(), 0);
    for call in calls {
        for path in call.files(home) {
            let told = path.display().to_string();
            assert!(!told.contains(STRAY), "{told} was asked for: {call:?}");
            if !call.changes_files() {
                continue;
            }
            let own = its_own.iter().find(|own| path.starts_with(own));
            used.extend(own);
            // What its own are in is made, too, if it is not there.
            let is_above = its_own.iter().any(|own| own.starts_with(&path));
            let is_made = call.name.starts_with("mkdir") && is_above;
            assert!(
                own.is_some() || is_made,
                "{told} is none of its own: {call:?}"
            );
        }
        if call.name == "connect" {
            assert!(call.leads_to(backend.address), "{call:?}");
            connected += 1;
        }
        // It begins anew with settings for its memory, and runs nothing else.
        if call.name.starts_with("execve") {
            let program = call.files(home);
            let itself = [env!("CARGO_BIN_EXE_slimspan"), "/proc/self/exe"].map(PathBuf::from);
            let is_itself = program.iter().all(|program| itself.contains(program));
            assert!(is_itself && program.len() == 1, "{call:?}");
        }
    }
    // It was looked at while it worked.
    assert_eq!(used, its_own.iter().collect::<BTreeSet<_>>());
    assert!(connected > 0);
}
