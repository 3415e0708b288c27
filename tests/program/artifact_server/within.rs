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
use crate::support::http::Form;
use crate::support::measured::measured;
use crate::support::slimspan::Slimspan;
use crate::support::unrouted::Again;
use crate::support::{config, otlp};

/// Stands in every word of a stranger here, and in nothing that slimspan makes: neither a tenant nor a digest has a
/// dot.
const STRAY: &str = "zz.stray";

/// What slimspan is told that it may change, below its folder.
const ITS_OWN: [&str; 4] = ["artifacts", "catalog", "spool", "audit.jsonl"];

/// What it may read besides: what it is made of, what the system has for it, names, certificates and the time.
const OF_THE_SYSTEM: [&str; 20] = [
    "/lib",
    "/lib64",
    "/usr/lib",
    "/usr/lib64",
    "/etc/ld.so.cache",
    "/etc/ld.so.preload",
    "/proc",
    "/sys",
    "/dev/null",
    "/dev/urandom",
    "/etc/hosts",
    "/etc/host.conf",
    "/etc/nsswitch.conf",
    "/etc/resolv.conf",
    "/etc/gai.conf",
    "/etc/ssl",
    "/etc/pki",
    "/usr/share/ca-certificates",
    "/etc/localtime",
    "/usr/share/zoneinfo",
];

/// What it is started with, in its folder.
const CONFIGURATION: &str = "collector.yaml";

/// Where the test writes what went on, when it is run again without a route.
const SLIM: &str = "SLIMSPAN_UNROUTED";

/// A picture that asks a parser for files and peers.
fn picture() -> String {
    let here = "http://127.0.0.1:9";
    format!(
        r#"<?xml version="1.0"?><?xml-stylesheet href="{here}/{STRAY}.css"?><!DOCTYPE svg [<!ENTITY a SYSTEM "file:///tmp/{STRAY}"><!ENTITY b SYSTEM "{here}/{STRAY}"><!ENTITY % c SYSTEM "{here}/{STRAY}.dtd"> %c;]><svg xmlns="http://www.w3.org/2000/svg"><image href="{here}/{STRAY}.png"/><text>&a;&b;</text></svg>"#
    )
}

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
        forged(&format!("gs://{STRAY}/sha256/{digest}")),
        format!("gs://{STRAY}/{STRAY}"),
        picture(),
        // Somebody who would follow it was led to a file, and to a peer.
        format!("http://127.0.0.1:9/{STRAY}/redirect?to=file:///tmp/{STRAY}"),
        forged(&format!(
            "http://127.0.0.1:9/redirect?to=http://169.254.169.254/{STRAY}"
        )),
        format!("artifact://dropped/../../{STRAY}/{digest}.png?size=9"),
        format!("$(touch /tmp/{STRAY})"),
        format!("${{env:{STRAY}}} ${{file:/tmp/{STRAY}}}"),
    ]
}

/// The same, so large that it becomes a file.
fn large_picture() -> String {
    let padding = " ".repeat(20_000);
    picture().replace("<text>", &format!("<text>{padding}"))
}

/// A span of somebody with files that are called by such words, and words alone.
fn span(tenant: Option<&str>, photo: &[u8]) -> Bytes {
    let data = STANDARD.encode(otlp::photo(3, 20_000));
    let mut attributes = vec![
        ("../../zz.stray", otlp::bytes(photo)),
        ("image.b64", otlp::data_uri(&otlp::photo(2, 20_000))),
        (
            "page.svg",
            otlp::text(format!(
                "data:image/svg+xml;base64,{}",
                STANDARD.encode(large_picture())
            )),
        ),
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
    config["receivers"]["otlp"]["protocols"]["http"] = json!({ "endpoint": "127.0.0.1:0" });
    let server = &mut config["extensions"]["artifact_server"];
    server["audit_log"] = json!("./audit.jsonl");
    server["public_url"] = json!("https://files.example.com");
    server["open_to_everybody"] = json!(true);
    config
}

/// Every file that is opened, made, moved or removed is below what the configuration names, or is read and of the
/// system; every connection leads to the backend that it names, nothing else is run, and no path has a stranger's word
/// in it. Where there is no way to anybody, the same arrives.
#[tokio::test]
async fn words_of_strangers_lead_to_no_file_and_no_peer() {
    if !calls::are_seen() {
        return;
    }
    if let Some(file) = std::env::var_os(SLIM) {
        std::fs::write(file, slim_of_strangers().await).unwrap();
        return;
    }
    let (_, module) = module_path!().split_once("::").unwrap();
    let test = format!("{module}::words_of_strangers_lead_to_no_file_and_no_peer");
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("slim");
    let again = Again::start(&test, SLIM, &file);
    let slim = slim_of_strangers().await;
    if let Some(again) = again {
        assert!(again.end(&file).await == slim, "another without a route");
        measured(
            "P29",
            "program::artifact_server::within, without a route",
            "0 bytes differ from what is sent on with one",
            format_args!("0 of {}", slim.len()),
        );
    }
}

/// What the backend gets when strangers have sent their words, by gRPC and by HTTP.
async fn slim_of_strangers() -> Vec<u8> {
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
    let json = Form::Json.write(Signal::Traces, &request);
    let over_http = slimspan.http_sender().await;
    let answer = over_http.post(Signal::Traces, Form::Json, json).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    let of_json = backend.arrived(2).await.remove(1).message;
    assert!(of_json.len() < request.len() / 2);
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
        .ask(Method::POST, "/v1/restore/traces", slim.clone())
        .await;
    assert!(restored.body == request, "{}", restored.status);
    let svg = large_picture().into_bytes();
    for file in [&photo, &svg] {
        let path = format!("/artifacts/{}", Digest::of(file));
        let read = artifacts.get(&path).await;
        assert!(read.body == *file, "{}", read.status);
        let known = pages.get(&format!("/v1{path}")).await;
        assert!(!known.status.is_server_error(), "{known:?}");
    }
    let ended = slimspan.stop().await;
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);

    let calls = calls::read(&told);
    judge(&calls, &home, &backend);
    measured(
        "P29",
        "program::artifact_server::within",
        "0 files and peers but those of the configuration and the system",
        format_args!("0 in {} calls", calls.len()),
    );
    [slim, of_json].concat()
}

/// Whether something is what a program reads that runs here. Cargo's libraries are where the environment says.
fn is_of_the_system(path: &Path) -> bool {
    let libraries = std::env::var_os("LD_LIBRARY_PATH").unwrap_or_default();
    let is_library = path
        .file_name()
        .is_some_and(|name| name.to_string_lossy().contains(".so"));
    OF_THE_SYSTEM.iter().any(|root| path.starts_with(root))
        || is_library
            && std::env::split_paths(&libraries)
                .any(|folder| !folder.as_os_str().is_empty() && path.starts_with(folder))
}

fn judge(calls: &[Call], home: &Path, backend: &Backend) {
    let its_own = ITS_OWN.map(|name| home.join(name));
    let (mut used, mut connected) = (BTreeSet::<&PathBuf>::new(), 0);
    for call in calls {
        for path in call.files(home) {
            let told = path.display().to_string();
            assert!(!told.contains(STRAY), "{told} was asked for: {call:?}");
            let own = its_own.iter().find(|own| path.starts_with(own));
            if !call.changes_files() {
                let is_named = own.is_some() || path == home || path == home.join(CONFIGURATION);
                assert!(
                    !call.opens_files() || is_named || is_of_the_system(&path),
                    "{told} is read: {call:?}"
                );
                continue;
            }
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
