//! As whom requests leave.

use std::sync::Arc;

use serde_json::{Value, json};
use tonic::{Code, Status};

use crate::support::backend::Backend;
use crate::support::refusing::Refusing;
use crate::support::sender::{Answer, Call};
use crate::support::slimspan::Slimspan;
use crate::support::{config, frames, otlp, soon};

/// An exporter that asks the last of `extensions` what to send.
fn config_with(backend: &Backend, extensions: &[(&str, Value)]) -> Value {
    asking(config::standard(backend.address), "otlp_grpc", extensions)
}

/// The same over HTTP.
fn http_config_with(backend: &Backend, extensions: &[(&str, Value)]) -> Value {
    asking(config::over_http(backend.address), "otlp_http", extensions)
}

fn asking(mut config: Value, exporter: &str, extensions: &[(&str, Value)]) -> Value {
    let mut ids = vec!["artifact_store"];
    for (id, what) in extensions {
        config["extensions"][*id] = what.clone();
        ids.push(*id);
        config["exporters"][exporter]["auth"] = json!({ "authenticator": id });
    }
    config["service"]["extensions"] = json!(ids);
    config["receivers"]["otlp"]["protocols"]["grpc"]["include_metadata"] = json!(true);
    config
}

fn setter(headers: &Value) -> (&'static str, Value) {
    ("headers_setter", json!({ "headers": headers }))
}

async fn send(slimspan: &Slimspan, headers: &[(&'static str, &str)]) -> Answer {
    let mut call = Call::whole(frames::frame(0, &otlp::plain_span(1)));
    for (name, value) in headers {
        call.headers.append(*name, value.parse().unwrap());
    }
    slimspan.sender().await.call(call).await
}

/// What the backend saw of a header in the last request.
fn seen(backend: &Backend, name: &str) -> Vec<String> {
    let received = backend.received();
    let headers = &received.last().unwrap().headers;
    let values = headers.get_all(name).iter();
    values
        .map(|value| value.to_str().unwrap().to_owned())
        .collect()
}

#[tokio::test]
async fn an_exporter_has_a_credential_of_its_own() {
    for (extension, expected) in [
        (
            ("bearertokenauth", json!({ "token": "t0ken" })),
            "Bearer t0ken",
        ),
        (
            ("bearertokenauth", json!({ "tokens": ["a", "b"] })),
            "Bearer a",
        ),
        (
            (
                "basicauth",
                json!({ "client_auth": { "username": "ada", "password": "p:w" } }),
            ),
            "Basic YWRhOnA6dw==",
        ),
    ] {
        let backend = Backend::start().await;
        let slimspan = Slimspan::start(&config_with(&backend, &[extension])).await;
        // The sender's own does not get through by itself.
        let answer = send(&slimspan, &[("authorization", "Bearer of-the-sender")]).await;
        assert_eq!(answer.status().code(), Code::Ok);
        assert_eq!(seen(&backend, "authorization"), [expected]);
    }
}

/// A new token in the file goes with the next request.
#[tokio::test]
async fn a_token_from_a_file_may_change() {
    let backend = Backend::start().await;
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("token"), "old\n").unwrap();
    let extension = ("bearertokenauth", json!({ "filename": "token" }));
    let config = config_with(&backend, &[extension]);
    let mut slimspan = Slimspan::start_in(folder, &config).await;
    send(&slimspan, &[]).await;
    assert_eq!(seen(&backend, "authorization"), ["Bearer old"]);
    std::fs::write(slimspan.folder().join("token"), "new\n").unwrap();
    slimspan
        .logs("extensions.bearertokenauth: its files have changed")
        .await;
    send(&slimspan, &[]).await;
    assert_eq!(seen(&backend, "authorization"), ["Bearer new"]);
}

/// Zero code: each sender's own credential reaches the backend, which has the last word on it.
#[tokio::test]
async fn the_senders_own_credential_is_passed_on() {
    let backend = Backend::answering(|received| match received.headers.get("authorization") {
        Some(value) if value == "Bearer good" => Ok(bytes::Bytes::new()),
        _ => Err(Status::unauthenticated("who are you?")),
    })
    .await;
    let headers = json!([
        { "key": "authorization", "from_context": "authorization" },
        { "key": "x-scope-orgid", "from_context": "x-tenant", "default_value": "nobody" },
    ]);
    let setter = setter(&headers);
    for config in [
        config_with(&backend, std::slice::from_ref(&setter)),
        http_config_with(&backend, std::slice::from_ref(&setter)),
    ] {
        assert_passes_on(&backend, &Slimspan::start(&config).await).await;
    }
}

async fn assert_passes_on(backend: &Backend, slimspan: &Slimspan) {
    let answer = send(
        slimspan,
        &[
            ("authorization", "Bearer good"),
            ("x-tenant", "a"),
            ("x-other", "b"),
        ],
    )
    .await;
    assert_eq!(answer.status().code(), Code::Ok);
    assert_eq!(seen(backend, "authorization"), ["Bearer good"]);
    assert_eq!(seen(backend, "x-scope-orgid"), ["a"]);
    assert!(seen(backend, "x-tenant").is_empty() && seen(backend, "x-other").is_empty());

    let answer = send(slimspan, &[("authorization", "Bearer bad")]).await;
    assert_eq!(answer.status().code(), Code::Unauthenticated);
    assert!(answer.status().message().contains("who are you?"));
    assert!(!answer.headers.contains_key("www-authenticate"));
    assert_eq!(seen(backend, "x-scope-orgid"), ["nobody"]);
    send(slimspan, &[]).await;
    assert!(seen(backend, "authorization").is_empty(), "none is made up");

    let twice = [
        ("authorization", "Bearer good"),
        ("authorization", "Bearer canary"),
    ];
    let answer = send(slimspan, &twice).await;
    assert_eq!(answer.status().code(), Code::InvalidArgument);
    assert!(!answer.status().message().contains("canary"));
}

/// One extension after another, over the headers that the exporter has anyway.
#[tokio::test]
async fn several_add_to_each_other() {
    let backend = Backend::start().await;
    let token = ("bearertokenauth", json!({ "token": "t0ken" }));
    let (id, mut headers) = setter(&json!([
        { "key": "x-set", "value": "new", "action": "update" },
        { "key": "x-gone", "action": "delete" },
        { "key": "x-more", "value": "more", "action": "insert" },
        { "key": "authorization", "value": "never", "action": "insert" },
    ]));
    headers["additional_auth"] = json!("bearertokenauth");
    let mut config = config_with(&backend, &[token, (id, headers)]);
    config["exporters"]["otlp_grpc"]["headers"] = json!({ "x-set": "old", "x-gone": "x" });
    let slimspan = Slimspan::start(&config).await;
    send(&slimspan, &[]).await;
    assert_eq!(seen(&backend, "authorization"), ["Bearer t0ken"]);
    assert_eq!(seen(&backend, "x-set"), ["new"]);
    assert_eq!(seen(&backend, "x-more"), ["more"]);
    assert!(seen(&backend, "x-gone").is_empty());
}

/// In memory, whatever it is; on disk, what is no credential, and over the end of the process.
/// Behind a queue it could only become a dead letter, of a sender who heard OK.
#[tokio::test]
async fn what_cannot_be_passed_on_is_refused_before_a_queue_takes_it() {
    let backend = Backend::start().await;
    let setting = setter(&json!([{ "key": "x-tenant", "from_context": "x-tenant" }]));
    let mut config = config_with(&backend, &[setting]);
    config["exporters"]["otlp_grpc"]["sending_queue"] = json!({ "enabled": true });
    let slimspan = Slimspan::start(&config).await;
    let answer = send(&slimspan, &[("x-tenant", "a"), ("x-tenant", "b")]).await;
    let status = answer.status();
    assert_eq!(status.code(), Code::InvalidArgument, "{status:?}");
    assert!(status.message().contains("x-tenant"), "{status:?}");
    let answer = send(&slimspan, &[("x-tenant", "a")]).await;
    assert_eq!(answer.status().code(), Code::Ok);
    backend.arrived(1).await;
    assert_eq!(seen(&backend, "x-tenant"), ["a"]);
}

#[tokio::test]
async fn a_queue_remembers_what_is_passed_on() {
    let backend = Backend::start().await;
    let headers = json!([{ "key": "authorization", "from_context": "authorization" }]);
    let mut config = config_with(&backend, &[setter(&headers)]);
    config["exporters"]["otlp_grpc"]["sending_queue"] = json!({});
    let slimspan = Slimspan::start(&config).await;
    send(&slimspan, &[("authorization", "Bearer mine")]).await;
    soon("it is delivered", backend.arrived(1)).await;
    assert_eq!(seen(&backend, "authorization"), ["Bearer mine"]);

    let nobody = Refusing::start();
    let address = nobody.address;
    let headers = json!([{ "key": "x-scope-orgid", "from_context": "x-tenant" }]);
    let mut config = config_with(&backend, &[setter(&headers)]);
    config["exporters"]["otlp_grpc"]["endpoint"] = json!(address.to_string());
    config["exporters"]["otlp_grpc"]["sending_queue"] = json!({ "storage": "file_storage" });
    config["extensions"]["file_storage"] = json!({ "directory": "./queue" });
    config["service"]["extensions"] = json!(["artifact_store", "headers_setter", "file_storage"]);
    let folder = Arc::new(tempfile::tempdir().unwrap());
    let yaml = config.to_string();
    let mut slimspan = Slimspan::spawn(Arc::clone(&folder), &yaml);
    assert!(slimspan.ready().await, "{}", slimspan.stderr());
    let answer = send(&slimspan, &[("x-tenant", "a"), ("x-canary", "canary")]).await;
    assert_eq!(answer.status().code(), Code::Ok);
    slimspan.kill().await;
    let on_disk = walk(&folder.path().join("queue"));
    assert!(on_disk.windows(8).any(|bytes| bytes == b"x-tenant"));
    assert!(
        !on_disk.windows(6).any(|bytes| bytes == b"canary"),
        "only what is needed"
    );
    drop(nobody);
    let backend = Backend::start_at(address).await;
    let mut slimspan = Slimspan::spawn(folder, &yaml);
    assert!(slimspan.ready().await, "{}", slimspan.stderr());
    soon("it is delivered", backend.arrived(1)).await;
    assert_eq!(seen(&backend, "x-scope-orgid"), ["a"]);
}

/// All bytes of all files below a folder.
fn walk(folder: &std::path::Path) -> Vec<u8> {
    let mut all = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        all.extend(if path.is_dir() {
            walk(&path)
        } else {
            std::fs::read(&path).unwrap()
        });
    }
    all
}
