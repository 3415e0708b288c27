//! Artifacts that are put where telemetry is sent to: programs that know one address.

use bytes::Bytes;
use http::{Method, Request, StatusCode};
use http_body_util::Full;
use serde_json::{Value, json};
use slimspan_artifact::Digest;
use slimspan_proto::Signal;

use super::client::Client;
use super::handshake::{claim, put, put_as_captured, statuses};
use super::{Served, with_server, with_tenants};
use crate::support::backend::Backend;
use crate::support::config;
use crate::support::http::{Form, HttpSender, path};
use crate::support::http2::{Peer, Protocol};
use crate::support::otlp;
use crate::support::references::path_in;

/// Has a receiver over HTTP take artifacts.
fn taking(mut config: Value) -> Value {
    config["receivers"]["otlp"]["protocols"]["http"] =
        json!({ "endpoint": "127.0.0.1:0", "artifact_server": "artifact_server" });
    config
}

/// Who sends telemetry.
fn at_receiver(served: &Served) -> Client {
    Client::of(served.slimspan.listener(Protocol::Http))
}

#[tokio::test]
async fn one_address_takes_telemetry_and_artifacts() {
    let backend = Backend::start().await;
    let mut config = taking(with_server());
    config["exporters"]["otlp_grpc"] = config::exporter(backend.address);
    let http = &mut config["receivers"]["otlp"]["protocols"]["http"];
    http["response_headers"] = json!({ "x-of-receiver": "yes" });
    // Where people go, and programs need not get.
    let extension = &mut config["extensions"]["artifact_server"];
    extension["open_to_everybody"] = json!(true);
    extension["pages"]["public_url"] = json!("https://files.example.com");
    let served = Served::start(&config).await;
    let sender = at_receiver(&served);
    put_as_captured(&served, &sender).await;
    let photo = Bytes::from(otlp::photo(1, otlp::PHOTO));
    let answers = put(&sender, &claim(&photo), &photo).await;
    assert_eq!(statuses(&answers), [201, 201, 200]);
    for answer in &answers {
        assert_eq!(answer.headers["x-of-receiver"], "yes");
        assert_eq!(answer.headers["x-content-type-options"], "nosniff");
    }
    let span = otlp::span_with(&photo);
    let sent = sender
        .with("content-type", Form::Protobuf.media_type())
        .ask(Method::POST, path(Signal::Traces), span)
        .await;
    assert_eq!(sent.status, StatusCode::OK);
    backend.arrived(1).await;
    // Behind a proxy that ends TLS, and over HTTP/2.
    let (other, address) = (claim(b"another"), sender.address);
    let forwarded = sender.with("x-forwarded-proto", "https");
    let registering = forwarded.ask(Method::POST, "/v1/artifacts", other.to_string());
    let told = registering.await.json();
    let url = told["upload"]["url"].as_str().unwrap();
    assert!(url.starts_with(&format!("https://{address}/v1/")), "{url}");
    let http2 = HttpSender::http2(address).await;
    let registering = Request::post("/v1/artifacts").body(Full::from(other.to_string()));
    let told = http2.request(registering.unwrap()).await.json();
    let url = told["upload"]["url"].as_str().unwrap();
    assert!(url.starts_with(&format!("http://{address}/v1/")), "{url}");
}

#[tokio::test]
async fn nothing_but_putting_is_answered_at_a_receiver() {
    let served = Served::start(&taking(with_server())).await;
    let sender = at_receiver(&served);
    let photo = Bytes::from(otlp::photo(1, otlp::PHOTO));
    let answers = put(&sender, &claim(&photo), &photo).await;
    assert_eq!(statuses(&answers), [201, 201, 200]);
    let digest = Digest::of(&photo);
    let of_artifact = format!("/v1/artifacts/{digest}");
    let link = format!("{of_artifact}/link");
    for (method, path) in [
        (Method::GET, "/v1/artifacts"),
        (Method::GET, of_artifact.as_str()),
        (Method::DELETE, of_artifact.as_str()),
        (Method::POST, link.as_str()),
        (Method::GET, "/openapi.json"),
        (Method::GET, "/"),
        (Method::DELETE, "/v1/tenants/default"),
    ] {
        let answer = sender.ask(method.clone(), path, "").await;
        assert_eq!(answer.status, StatusCode::NOT_FOUND, "{method} {path}");
    }
    assert!(path_in(&served.slimspan.artifacts(), &digest.to_string()).exists());
    // A page of a stranger that had its name lead here.
    let stranger = sender.with("host", "evil.example.com");
    let answers = put(&stranger, &claim(b"x"), &Bytes::from_static(b"x")).await;
    assert_eq!(statuses(&answers), [421]);
}

/// That of the server, and not that of the receiver.
#[tokio::test]
async fn at_a_receiver_a_credential_says_who_puts() {
    let served = Served::start(&taking(with_tenants())).await;
    let sender = at_receiver(&served);
    let photo = Bytes::from(otlp::photo(1, otlp::PHOTO));
    let answers = put(&sender, &claim(&photo), &photo).await;
    assert_eq!(statuses(&answers), [401]);
    let acme = sender.bearer("token-of-acme");
    let answers = put(&acme, &claim(&photo), &photo).await;
    assert_eq!(statuses(&answers), [201, 201, 200]);
    let uri = format!("/acme/artifacts/{}", Digest::of(&photo));
    let reader = served.artifacts.bearer("token-of-acme");
    assert_eq!(reader.get(&uri).await.body, photo);
}

/// As who sends telemetry: only who is let in makes nobody wait for the place of a stranger.
#[tokio::test]
async fn who_puts_artifacts_is_no_stranger_and_who_may_not_stays_one() {
    let mut config = taking(with_tenants());
    let http = &mut config["receivers"]["otlp"]["protocols"]["http"];
    http["max_strangers_per_address"] = json!(1);
    let served = Served::start(&config).await;
    let address = served.slimspan.listener(Protocol::Http);
    let sender = HttpSender::http2(address).await;
    for (method, token, status) in [
        (Method::POST, "another", 401),
        (Method::GET, "token-of-acme", 404),
        (Method::POST, "token-of-acme", 201),
    ] {
        let request = Request::builder()
            .method(method)
            .uri("/v1/artifacts")
            .header("authorization", format!("Bearer {token}"))
            .body(Full::from(claim(b"x").to_string()));
        let answer = sender.request(request.unwrap()).await;
        assert_eq!(answer.status, status);
        let gets_in = Peer::connect(address).await.is_some();
        assert_eq!(gets_in, status == 201, "{status}");
    }
}

#[tokio::test]
async fn a_receiver_takes_no_artifacts_unless_it_is_told_to() {
    let mut config = taking(with_server());
    config["receivers"]["otlp"]["protocols"]["http"]["artifact_server"] = Value::Null;
    let served = Served::start(&config).await;
    let sender = at_receiver(&served);
    let answers = put(&sender, &claim(b"x"), &Bytes::from_static(b"x")).await;
    assert_eq!(statuses(&answers), [404]);
}
