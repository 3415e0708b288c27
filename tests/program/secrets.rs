//! What nobody may read in a log or an answer: credentials, keys, and what telemetry says.

use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderMap, HeaderValue};
use serde_json::{Value, json};
use slimspan_proto::Signal;
use tonic::{Code, Status};

use crate::support::backend::Backend;
use crate::support::certificates::Authority;
use crate::support::sender::{Call, Sender};
use crate::support::slimspan::{Ended, Slimspan, run};
use crate::support::{config, frames, otlp};

/// Stands in everything that is secret here.
pub(super) use crate::support::canaries::CANARY;

/// What some backends say of a credential that they do not like.
fn disliking(headers: &HeaderMap) -> String {
    let names = ["authorization", "x-from", "x-value", "x-static"];
    let values = names.map(|name| String::from_utf8_lossy(headers[name].as_bytes()).into_owned());
    format!("not with {}", values.join(" or "))
}

/// A backend that says so: it takes one request and refuses the next, as their tenants have it.
pub(super) async fn quoting() -> Backend {
    Backend::answering(|received| {
        let tenant = received.headers.get("x-tenant");
        match tenant.map(HeaderValue::as_bytes) {
            Some(b"refused") => Err(Status::permission_denied(disliking(&received.headers))),
            Some(b"later") => Err(Status::unavailable(disliking(&received.headers))),
            Some(b"partly") => Ok(otlp::partial_success(1, &disliking(&received.headers))),
            _ => Ok(Bytes::new()),
        }
    })
    .await
}

/// Adds what lets senders in by a token and by a password, and what passes secrets of theirs and of its own on to
/// the backend.
pub(super) fn add_credentials(config: &mut Value, tokens: &Value) {
    let users = format!("ada:{}\n", bcrypt::hash(CANARY, 4).unwrap());
    let extensions = json!({
        "bearertokenauth": tokens,
        "basicauth": { "htpasswd": { "inline": users } },
        "basicauth/out": { "client_auth": { "username": "ada", "password": CANARY } },
        "headers_setter": {
            "additional_auth": "basicauth/out",
            "headers": [
                { "key": "x-from", "from_context": "x-secret", "default_value": CANARY },
                { "key": "x-tenant", "from_context": "x-tenant" },
                { "key": "x-value", "value": CANARY },
            ],
        },
    });
    let mut ids = vec!["artifact_store".to_owned()];
    for (id, extension) in extensions.as_object().unwrap() {
        config["extensions"][id] = extension.clone();
        ids.push(id.clone());
    }
    config["service"]["extensions"] = json!(ids);
}

/// Neither the log nor the answers have one of the `secrets`, or the canary as credentials have it.
pub(super) fn untold(ended: &Ended, answers: &str, secrets: &[&str]) {
    assert!(
        ended.stderr.contains("DEBUG"),
        "the level is what it is to be"
    );
    let encoded = ["YWRhOmM0bjRyeQ", "YzRuNHJ5OmM0bjRyeQ"];
    for secret in secrets.iter().copied().chain(encoded) {
        for (place, text) in [
            ("log", ended.stderr.as_str()),
            ("output", &ended.stdout),
            ("answers", answers),
        ] {
            let line = text.lines().find(|line| line.contains(secret));
            assert_eq!(line, None, "{secret} in the {place}");
        }
    }
}

/// Every path on which a secret comes near a message, at debug level.
#[tokio::test]
async fn no_secret_is_ever_logged_or_answered() {
    let backend = quoting().await;
    let authority = Authority::new();
    let issued = authority.issue("127.0.0.1");
    let folder = tempfile::tempdir().unwrap();
    let token = format!("{CANARY}-token");
    std::fs::write(folder.path().join("tokens"), &token).unwrap();

    let mut config = config::standard(backend.address);
    let tokens = json!({ "filename": "tokens" });
    add_credentials(&mut config, &tokens);
    let mut receiver = config["receivers"]["otlp"].clone();
    receiver["protocols"]["grpc"]["auth"] = json!({ "authenticator": "bearertokenauth" });
    receiver["protocols"]["grpc"]["include_metadata"] = json!(true);
    let mut by_password = receiver.clone();
    by_password["protocols"]["grpc"]["auth"]["authenticator"] = json!("basicauth");
    by_password["protocols"]["grpc"]["tls"] =
        json!({ "cert_pem": issued.certificate, "key_pem": issued.key });
    config["receivers"] = json!({ "otlp": receiver, "otlp/2": by_password });
    let exporter = &mut config["exporters"]["otlp_grpc"];
    exporter["auth"] = json!({ "authenticator": "headers_setter" });
    exporter["headers"] = json!({ "x-static": CANARY });
    for pipeline in ["traces", "logs", "metrics"] {
        config["service"]["pipelines"][pipeline]["receivers"] = json!(["otlp", "otlp/2"]);
    }
    let yaml = config.to_string();
    let env = [("SLIMSPAN_LOG", "debug")];
    let mut slimspan = Slimspan::spawn_with(Arc::new(folder), &yaml, &env);
    assert!(slimspan.ready().await, "{}", slimspan.stderr());

    let mut answers = Vec::new();
    let sender = slimspan.sender().await;
    let good = format!("Bearer {token}");
    for (headers, code) in [
        (vec![("authorization", good.as_str())], Code::Ok),
        (
            vec![("authorization", &good), ("x-secret", CANARY)],
            Code::Ok,
        ),
        (
            vec![
                ("authorization", &good),
                ("x-tenant", "refused"),
                ("x-secret", CANARY),
            ],
            Code::PermissionDenied,
        ),
        (
            vec![
                ("authorization", &good),
                ("x-tenant", "later"),
                ("x-secret", CANARY),
            ],
            Code::Unavailable,
        ),
        (
            vec![
                ("authorization", &good),
                ("x-tenant", "partly"),
                ("x-secret", CANARY),
            ],
            Code::Ok,
        ),
        (vec![], Code::Unauthenticated),
        (vec![("authorization", CANARY)], Code::Unauthenticated),
        (
            vec![("authorization", "Basic YzRuNHJ5OmM0bjRyeQ==")],
            Code::Unauthenticated,
        ),
        (
            vec![("authorization", "Bearer c4n4ry-other")],
            Code::Unauthenticated,
        ),
        (
            vec![("authorization", &good), ("authorization", CANARY)],
            Code::Unauthenticated,
        ),
        (
            vec![
                ("authorization", &good),
                ("x-secret", CANARY),
                ("x-secret", CANARY),
            ],
            Code::InvalidArgument,
        ),
        (
            vec![("authorization", &good), ("x-odd", "c4n4ry\u{e9}")],
            Code::InvalidArgument,
        ),
        (
            vec![("authorization", &good), ("x-bin-bin", "c4n4ry!")],
            Code::InvalidArgument,
        ),
        (
            vec![("authorization", &good), ("grpc-timeout", CANARY)],
            Code::InvalidArgument,
        ),
        (
            vec![("authorization", &good), ("grpc-encoding", CANARY)],
            Code::Unimplemented,
        ),
    ] {
        let mut call = Call::whole(frames::frame(
            0,
            &otlp::span([("secret", otlp::text(CANARY))]),
        ));
        for (name, value) in &headers {
            let value = HeaderValue::from_bytes(value.as_bytes()).unwrap();
            call.headers.append(*name, value);
        }
        let answer = sender.call(call).await;
        assert_eq!(answer.status().code(), code, "{headers:?}: {answer:?}");
        answers.push(format!("{answer:?}"));
    }
    // What is no OTLP is refused without a word of it.
    let garbage = Call::whole(frames::frame(0, format!("\u{2}{CANARY}").as_bytes()));
    let answer = sender.call(garbage.header("authorization", &good)).await;
    assert_eq!(answer.status().code(), Code::InvalidArgument);
    answers.push(format!("{answer:?}"));

    let tls = tonic::transport::ClientTlsConfig::new()
        .ca_certificate(tonic::transport::Certificate::from_pem(authority.pem()));
    let sender = Sender::try_connect_tls(slimspan.addresses[1], tls)
        .await
        .unwrap();
    for (credential, code) in [
        ("Basic YWRhOmM0bjRyeQ==", Code::Ok),
        ("Basic YWRhOmM0bjRyeXg=", Code::Unauthenticated),
        ("Basic c4n4ry", Code::Unauthenticated),
    ] {
        let call = Call::whole(frames::frame(
            0,
            &otlp::span([("secret", otlp::text(CANARY))]),
        ));
        let answer = sender.call(call.header("authorization", credential)).await;
        assert_eq!(answer.status().code(), code, "{credential}: {answer:?}");
        answers.push(format!("{answer:?}"));
    }
    // A bad file that has a secret in it.
    let bad = format!("{CANARY}\n{CANARY}\u{1}\n");
    std::fs::write(slimspan.folder().join("tokens"), bad).unwrap();
    slimspan
        .logs("extensions.bearertokenauth.filename: is no token")
        .await;

    let (ended, answers) = (slimspan.stop().await, answers.concat());
    let (key, _) = issued
        .key
        .split_once("-----\n")
        .unwrap()
        .1
        .split_once('\n')
        .unwrap();
    untold(&ended, &answers, &[CANARY, key]);
    // It did get to where it was to go.
    let arrived = backend.received();
    let first = &arrived[0].headers;
    assert_eq!(first["x-from"], CANARY);
    assert_eq!(first["x-value"], CANARY);
    assert_eq!(first["authorization"], "Basic YWRhOmM0bjRyeQ==");
    assert_eq!(arrived[0].signal, Signal::Traces);
}

/// Mistakes in a configuration that stand beside secrets.
#[tokio::test]
async fn no_secret_is_told_with_a_mistake() {
    let backend = Backend::start().await;
    let folder = tempfile::tempdir().unwrap();
    for (key, value) in [
        ("headers", json!(CANARY)),
        ("headers", json!({ "a b": CANARY })),
        ("headers", json!({ "a": format!("{CANARY}\n") })),
        ("endpoint", json!(format!("https://user:{CANARY}@host:1"))),
        ("tls", json!({ "key_pem": CANARY })),
        ("tls", json!({ "key_pem": CANARY, "cert_pem": CANARY })),
        (
            "tls",
            json!({ "ca_pem": format!("-----BEGIN CERTIFICATE-----\n{CANARY}!") }),
        ),
        ("tls", json!(CANARY)),
        ("auth", json!(CANARY)),
    ] {
        let mut config = config::standard(backend.address);
        config["exporters"]["otlp_grpc"][key] = value.clone();
        std::fs::write(folder.path().join("collector.yaml"), config.to_string()).unwrap();
        let ended = run(folder.path(), &["--config", "collector.yaml"]).await;
        assert_ne!(ended.code, Some(0), "{key}: {value}: {ended:?}");
        assert!(
            ended.stderr.contains(&format!("exporters.otlp_grpc.{key}")),
            "{ended:?}"
        );
        let told = format!("{}{}", ended.stderr, ended.stdout);
        assert!(!told.contains(CANARY), "{key}: {told}");
    }
}
