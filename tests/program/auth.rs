//! Who may send.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use tonic::Code;

use crate::support::backend::Backend;
use crate::support::http2::Peer;
use crate::support::sender::{Answer, Call, Sender, open_body};
use crate::support::slimspan::{Slimspan, run};
use crate::support::{config, frames, otlp, soon};

/// A receiver that asks `extension` about its senders.
fn config_with(backend: &Backend, extension: &str, what: Value) -> Value {
    let mut config = config::standard(backend.address);
    config["extensions"][extension] = what;
    config["service"]["extensions"] = json!(["artifact_store", extension]);
    let grpc = &mut config["receivers"]["otlp"]["protocols"]["grpc"];
    grpc["auth"] = json!({ "authenticator": extension });
    config
}

fn call(headers: &[(&'static str, &str)]) -> Call {
    let call = Call::whole(frames::frame(0, &otlp::plain_span(1)));
    let mut headers = headers.iter();
    headers
        .try_fold(call, |call, (name, value)| Some(call.header(name, value)))
        .unwrap()
}

async fn send(sender: &Sender, headers: &[(&'static str, &str)]) -> Answer {
    sender.call(call(headers)).await
}

fn basic(credential: &str) -> String {
    format!("Basic {}", STANDARD.encode(credential))
}

/// A request that is not let in makes nobody known, so that tokens cannot be tried on all places of an address.
#[tokio::test]
async fn who_is_not_let_in_stays_a_stranger() {
    let backend = Backend::start().await;
    let mut config = config_with(&backend, "bearertokenauth", json!({ "token": "s3cret" }));
    config["receivers"]["otlp"]["protocols"]["grpc"]["max_strangers_per_address"] = json!(1);
    let slimspan = Slimspan::start(&config).await;
    let (sender, address) = (slimspan.sender().await, slimspan.addresses[0]);
    for (token, is_let_in) in [("Bearer other", false), ("Bearer s3cret", true)] {
        let answer = send(&sender, &[("authorization", token)]).await;
        assert_eq!(answer.status().code() == Code::Ok, is_let_in, "{answer:?}");
        assert_eq!(Peer::connect(address).await.is_some(), is_let_in, "{token}");
    }
}

/// Only who has the token; nobody is told how much of another was right.
#[tokio::test]
async fn a_sender_must_have_a_token() {
    let backend = Backend::start().await;
    let config = config_with(&backend, "bearertokenauth", json!({ "token": "s3cret" }));
    let mut slimspan = Slimspan::start(&config).await;
    let sender = slimspan.sender().await;
    for (value, is_good) in [
        (Some("Bearer s3cret"), true),
        (Some("bearer s3cret"), true),
        (None, false),
        (Some("Bearer s3cret2"), false),
        (Some("Bearer s3cre"), false),
        (Some("Bearer S3cret"), false),
        (Some("Bearer"), false),
        (Some("Bearer "), false),
        (Some("s3cret"), false),
        (Some("Basic s3cret"), false),
        (Some("Barrel s3cret"), false),
        (Some("Bearers3cret"), false),
    ] {
        let headers: Vec<_> = value
            .iter()
            .map(|value| ("authorization", *value))
            .collect();
        let answer = send(&sender, &headers).await;
        let status = answer.status();
        if is_good {
            assert_eq!(status.code(), Code::Ok, "{value:?}: {status}");
            continue;
        }
        assert_eq!(status.code(), Code::Unauthenticated, "{value:?}: {status}");
        assert_eq!(
            answer.headers["www-authenticate"],
            "Bearer realm=\"slimspan\""
        );
        assert!(!status.message().contains("s3cre"), "{status}");
    }
    let mut twice = call(&[("authorization", "Bearer s3cret")]);
    twice
        .headers
        .append("authorization", "Bearer s3cret".parse().unwrap());
    let answer = sender.call(twice).await;
    assert_eq!(answer.status().code(), Code::Unauthenticated);
    assert_eq!(backend.received().len(), 2);
    slimspan
        .logs("receivers.otlp.protocols.grpc: 1 requests were not let in")
        .await;
    assert!(
        !slimspan.stderr().contains("s3cre"),
        "{}",
        slimspan.stderr()
    );
}

/// Who is not let in is told before anything else of its request has come.
#[tokio::test]
async fn nothing_is_read_of_who_is_not_let_in() {
    let backend = Backend::start().await;
    let config = config_with(&backend, "bearertokenauth", json!({ "token": "s3cret" }));
    let slimspan = Slimspan::start(&config).await;
    let sender = slimspan.sender().await;
    let (more, body) = open_body(bytes::Bytes::new());
    let answer = soon("the answer", sender.try_call(Call::traces(body))).await;
    assert_eq!(answer.unwrap().status().code(), Code::Unauthenticated);
    drop(more);
}

/// Any of several tokens, in another header, and from a file that changes.
#[tokio::test]
async fn tokens_may_be_many_and_change() {
    let backend = Backend::start().await;
    let extension = json!({ "header": "x-api-key", "scheme": "", "tokens": ["one", "two"] });
    let config = config_with(&backend, "bearertokenauth", extension);
    let slimspan = Slimspan::start(&config).await;
    let sender = slimspan.sender().await;
    for (token, code) in [
        ("one", Code::Ok),
        ("two", Code::Ok),
        ("three", Code::Unauthenticated),
    ] {
        let answer = send(&sender, &[("x-api-key", token)]).await;
        assert_eq!(answer.status().code(), code, "{token}");
    }

    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("tokens");
    std::fs::write(&file, "old\nother\n").unwrap();
    let config = config_with(&backend, "bearertokenauth", json!({ "filename": "tokens" }));
    let mut slimspan = Slimspan::start_in(folder, &config).await;
    let sender = slimspan.sender().await;
    let code = async |token| {
        let answer = send(&sender, &[("authorization", token)]).await;
        answer.status().code()
    };
    assert_eq!(code("Bearer old").await, Code::Ok);
    assert_eq!(code("Bearer other").await, Code::Ok);
    std::fs::write(&file, "\n").unwrap();
    slimspan
        .logs("extensions.bearertokenauth.filename: has no token")
        .await;
    assert_eq!(code("Bearer old").await, Code::Ok);
    std::fs::write(&file, "new").unwrap();
    slimspan
        .logs("extensions.bearertokenauth: its files have changed")
        .await;
    assert_eq!(code("Bearer new").await, Code::Ok);
    assert_eq!(code("Bearer old").await, Code::Unauthenticated);
}

/// Users with passwords, and a password that changes counts at once although it was remembered.
#[tokio::test]
async fn a_sender_may_be_a_user() {
    let backend = Backend::start().await;
    let hash = |password| bcrypt::hash(password, 4).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("users");
    std::fs::write(&file, format!("ada:{}\n", hash("first"))).unwrap();
    let inline = format!("bob:{}", hash("builder"));
    let extension = json!({ "htpasswd": { "file": "users", "inline": inline } });
    let config = config_with(&backend, "basicauth", extension);
    let mut slimspan = Slimspan::start_in(folder, &config).await;
    let sender = slimspan.sender().await;
    let send = async |credential| send(&sender, &[("authorization", &basic(credential))]).await;
    for (credential, code) in [
        ("ada:first", Code::Ok),
        ("ada:first", Code::Ok),
        ("bob:builder", Code::Ok),
        ("ada:builder", Code::Unauthenticated),
        ("eve:first", Code::Unauthenticated),
        ("ada", Code::Unauthenticated),
    ] {
        assert_eq!(send(credential).await.status().code(), code, "{credential}");
    }
    let challenge = &send("eve:x").await.headers["www-authenticate"];
    assert_eq!(challenge, "Basic realm=\"slimspan\", charset=\"UTF-8\"");
    std::fs::write(&file, format!("ada:{}\n", hash("second"))).unwrap();
    slimspan
        .logs("extensions.basicauth: its files have changed")
        .await;
    assert_eq!(
        send("ada:first").await.status().code(),
        Code::Unauthenticated
    );
    assert_eq!(send("ada:second").await.status().code(), Code::Ok);
    assert_eq!(send("bob:builder").await.status().code(), Code::Ok);
}

/// A mistake in a file is told at the start.
#[tokio::test]
async fn files_that_are_no_good_end_the_start() {
    let backend = Backend::start().await;
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("apr1"), "ada:$apr1$canary$x\n").unwrap();
    std::fs::write(folder.path().join("empty"), "").unwrap();
    for (extension, what, says) in [
        (
            "bearertokenauth",
            json!({ "filename": "missing" }),
            "extensions.bearertokenauth.filename: cannot read missing: No such file",
        ),
        (
            "bearertokenauth",
            json!({ "filename": "empty" }),
            "extensions.bearertokenauth.filename: has no token",
        ),
        (
            "bearertokenauth",
            json!({ "token": "" }),
            "extensions.bearertokenauth.token: is no token: it is empty",
        ),
        (
            "bearertokenauth",
            json!({ "tenants": { "acme": "canary", "beta": "canary" } }),
            "extensions.bearertokenauth.tenants: has one token for two tenants",
        ),
        (
            "basicauth",
            json!({ "htpasswd": { "file": "apr1" } }),
            "extensions.basicauth.htpasswd.file: line 1: the password is hashed in a way that is not \
             supported: only bcrypt is; use `htpasswd -B`",
        ),
    ] {
        let config = config_with(&backend, extension, what);
        std::fs::write(folder.path().join("collector.yaml"), config.to_string()).unwrap();
        let ended = run(folder.path(), &["--config", "collector.yaml"]).await;
        assert_eq!(ended.code, Some(1), "{ended:?}");
        assert!(ended.stderr.contains(says), "{says}: {ended:?}");
        assert!(!ended.stderr.contains("canary"), "{ended:?}");
    }
}
