//! Pages that send from browsers.

use bytes::Bytes;
use http::{HeaderMap, Request};
use http_body_util::Full;
use serde_json::{Value, json};
use slimspan_proto::Signal;

use crate::support::backend::Backend;
use crate::support::http::{Form, HttpAnswer, post};
use crate::support::slimspan::Slimspan;
use crate::support::{config, otlp};

/// What a browser asks before it lets a page send; and the answer to what it sends then.
async fn asked_and_sent(cors: Value, origin: &str, headers: &str) -> [HttpAnswer; 2] {
    let backend = Backend::start().await;
    let mut config = config::with_http(backend.address);
    config["receivers"]["otlp"]["protocols"]["http"]["cors"] = cors;
    let slimspan = Slimspan::start(&config).await;
    let sender = slimspan.http_sender().await;
    let question = Request::options("/v1/traces")
        .header("origin", origin)
        .header("access-control-request-method", "POST")
        .header("access-control-request-headers", headers)
        .body(Full::new(Bytes::new()))
        .unwrap();
    let asked = sender.request(question).await;
    let mut request = post(Signal::Traces, Form::Protobuf, otlp::plain_span(1));
    request
        .headers_mut()
        .insert("origin", origin.parse().unwrap());
    let sent = sender.request(request).await;
    assert_eq!(sent.status, 200, "{sent:?}");
    [asked, sent]
}

fn said<'h>(headers: &'h HeaderMap, name: &str) -> Option<&'h str> {
    let value = headers.get(format!("access-control-{name}"))?;
    Some(value.to_str().unwrap())
}

#[tokio::test]
async fn a_page_of_an_allowed_origin_may_send() {
    let cors = json!({
        "allowed_origins": ["https://*.example.com", "http://localhost:*"],
        "allowed_headers": ["x-tenant"],
        "exposed_headers": ["retry-after"],
        "max_age": 7200,
    });
    for origin in ["https://shop.example.com", "http://localhost:5173"] {
        let [asked, sent] = asked_and_sent(cors.clone(), origin, "content-type,x-tenant").await;
        assert_eq!(asked.status, 200);
        for answer in [&asked, &sent] {
            assert_eq!(said(&answer.headers, "allow-origin"), Some(origin));
            assert_eq!(said(&answer.headers, "allow-credentials"), Some("true"));
        }
        assert_eq!(said(&asked.headers, "allow-methods"), Some("POST"));
        let allowed = said(&asked.headers, "allow-headers").unwrap();
        assert!(allowed.contains("content-type") && allowed.contains("x-tenant"));
        assert_eq!(said(&asked.headers, "max-age"), Some("7200"));
        assert_eq!(said(&sent.headers, "expose-headers"), Some("retry-after"));
    }
    for origin in [
        "https://example.com.evil.org",
        "https://example.org",
        "null",
    ] {
        for answer in asked_and_sent(cors.clone(), origin, "content-type").await {
            assert_eq!(said(&answer.headers, "allow-origin"), None, "{origin}");
        }
    }
}

/// Where any page may send, none may bring the cookies of its user.
#[tokio::test]
async fn any_page_may_send_without_credentials() {
    let cors = json!({ "allowed_origins": ["*"], "allowed_headers": ["*"] });
    let [asked, sent] = asked_and_sent(cors, "https://anybody.org", "x-one,x-two").await;
    for answer in [&asked, &sent] {
        assert_eq!(said(&answer.headers, "allow-origin"), Some("*"));
        assert_eq!(said(&answer.headers, "allow-credentials"), None);
    }
    assert_eq!(said(&asked.headers, "allow-headers"), Some("x-one,x-two"));
}

#[tokio::test]
async fn no_page_may_send_unless_it_is_told() {
    for cors in [Value::Null, json!({}), json!({ "allowed_origins": [] })] {
        let [asked, sent] = asked_and_sent(cors, "https://anybody.org", "content-type").await;
        assert_eq!(asked.status, 405);
        for answer in [&asked, &sent] {
            assert_eq!(said(&answer.headers, "allow-origin"), None);
        }
    }
}
