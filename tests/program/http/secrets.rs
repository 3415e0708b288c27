//! What nobody may read in a log or an answer, where everything goes over HTTP: to receivers, to the backend
//! and to the store.

use std::sync::Arc;

use http::{HeaderValue, StatusCode};
use serde_json::json;
use slimspan_proto::Signal;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::program::secrets::{CANARY, add_credentials, quoting, untold};
use crate::support::http::{Form, HttpSender, post};
use crate::support::s3::{Behaviour, S3};
use crate::support::slimspan::Slimspan;
use crate::support::{config, otlp, soon};

const DEBUG: [(&str, &str); 1] = [("SLIMSPAN_LOG", "debug")];

/// Credentials of senders, and what becomes of a request with them.
const CREDENTIALS: &[(&[(&str, &str)], u16)] = &[
    (&[("authorization", "Bearer c4n4ry-token")], 200),
    (
        &[
            ("authorization", "Bearer c4n4ry-token"),
            ("x-secret", CANARY),
        ],
        200,
    ),
    (
        &[
            ("authorization", "Bearer c4n4ry-token"),
            ("x-tenant", "refused"),
            ("x-secret", CANARY),
        ],
        403,
    ),
    (
        &[
            ("authorization", "Bearer c4n4ry-token"),
            ("x-tenant", "later"),
        ],
        503,
    ),
    (
        &[
            ("authorization", "Bearer c4n4ry-token"),
            ("x-tenant", "partly"),
        ],
        200,
    ),
    (&[], 401),
    (&[("authorization", CANARY)], 401),
    (&[("authorization", "Basic YzRuNHJ5OmM0bjRyeQ==")], 401),
    (&[("authorization", "Bearer c4n4ry-other")], 401),
    (
        &[
            ("authorization", "Bearer c4n4ry-token"),
            ("authorization", CANARY),
        ],
        401,
    ),
    (
        &[
            ("authorization", "Bearer c4n4ry-token"),
            ("x-secret", CANARY),
            ("x-secret", CANARY),
        ],
        400,
    ),
    (
        &[
            ("authorization", "Bearer c4n4ry-token"),
            ("content-encoding", CANARY),
        ],
        415,
    ),
];

/// JSON that is wrong in ways that have words of their own.
const WRONG: &[&str] = &[
    CANARY,
    r#""c4n4ry"#,
    r#"{"c4n4ry":1}"#,
    r#"{"resourceSpans":"c4n4ry"}"#,
    r#"{"resourceSpans":[{"\qc4n4ry":1}]}"#,
    r#"{"resourceSpans":[{"resource":{"attributes":[{"key":1,"c4n4ry":2}]}}]}"#,
    r#"{"resourceSpans":[{"scopeSpans":[{"spans":[{"traceId":"c4n4ry"}]}]}]}"#,
    r#"{"resourceSpans":[{"scopeSpans":[{"spans":[{"kind":"c4n4ry"}]}]}]}"#,
    r#"{"resourceSpans":[{"scopeSpans":[{"spans":[{"startTimeUnixNano":"c4n4ry"}]}]}]}"#,
    r#"{"resourceSpans":[{"scopeSpans":[{"spans":[{"attributes":[{"key":"c4n4ry","value":{"bytesValue":"c4n4ry!"}}]}]}]}]}"#,
    r#"{"resourceSpans":[{"scopeSpans":[{"spans":[{"name":"c4n4ry","name":"c4n4ry"}]}]}]} c4n4ry"#,
];

#[tokio::test]
async fn no_secret_is_told_over_http() {
    let backend = quoting().await;
    // It takes nothing, and it knows the key.
    let store = S3::start(Behaviour::Answer(StatusCode::FORBIDDEN)).await;
    let mut config = config::over_http(backend.address);
    config["extensions"] = config::with_s3(backend.address, store.address)["extensions"].clone();
    let options = &mut config["extensions"]["artifact_store"]["options"];
    options["aws_access_key_id"] = json!(CANARY);
    options["aws_secret_access_key"] = json!(CANARY);
    let tokens = json!({ "token": "c4n4ry-token" });
    add_credentials(&mut config, &tokens);
    let listener = |authenticator: &str| {
        json!({ "protocols": { "http": {
            "endpoint": "127.0.0.1:0",
            "auth": { "authenticator": authenticator },
            "include_metadata": true,
        } } })
    };
    config["receivers"] = json!({
        "otlp": listener("bearertokenauth"),
        "otlp/2": listener("basicauth"),
    });
    let exporter = &mut config["exporters"]["otlp_http"];
    exporter["auth"] = json!({ "authenticator": "headers_setter" });
    exporter["headers"] = json!({ "x-static": CANARY });
    for pipeline in ["traces", "logs", "metrics"] {
        config["service"]["pipelines"][pipeline]["receivers"] = json!(["otlp", "otlp/2"]);
    }
    let folder = Arc::new(tempfile::tempdir().unwrap());
    let mut slimspan = Slimspan::spawn_with(folder, &config.to_string(), &DEBUG);
    assert!(slimspan.ready().await, "{}", slimspan.stderr());

    let mut answers = Vec::new();
    let sender = slimspan.http_sender().await;
    let span = otlp::span([
        ("secret", otlp::text(CANARY)),
        ("picture", otlp::data_uri(otlp::PICTURE)),
    ]);
    for form in Form::ALL {
        for (headers, status) in CREDENTIALS {
            let mut request = post(Signal::Traces, form, form.write(Signal::Traces, &span));
            for (name, value) in *headers {
                let value = HeaderValue::from_static(value);
                request.headers_mut().append(*name, value);
            }
            *request.uri_mut() = "/v1/traces?key=c4n4ry".parse().unwrap();
            let answer = sender.request(request).await;
            assert_eq!(answer.status, *status, "{headers:?}: {answer:?}");
            answers.push(told(&answer.headers, &answer.body));
        }
    }
    let wrong = WRONG.iter().map(|text| (Form::Json, text.as_bytes()));
    for (form, body) in wrong.chain([(Form::Protobuf, &b"\x02c4n4ry"[..])]) {
        let mut request = post(Signal::Traces, form, body.to_vec());
        let token = HeaderValue::from_static("Bearer c4n4ry-token");
        request.headers_mut().insert("authorization", token);
        let answer = sender.request(request).await;
        assert!(matches!(answer.status.as_u16(), 200 | 400), "{answer:?}");
        answers.push(told(&answer.headers, &answer.body));
    }
    let by_password = HttpSender::connect(slimspan.http_addresses[1]).await;
    for (credential, status) in [
        ("Basic YWRhOmM0bjRyeQ==", 200),
        ("Basic YWRhOmM0bjRyeXg=", 401),
        ("Basic c4n4ry", 401),
    ] {
        let mut request = post(Signal::Traces, Form::Protobuf, span.clone());
        let value = HeaderValue::from_static(credential);
        request.headers_mut().insert("authorization", value);
        let answer = by_password.request(request).await;
        assert_eq!(answer.status, status, "{credential}: {answer:?}");
        answers.push(told(&answer.headers, &answer.body));
    }
    // What is hardly HTTP.
    for garbage in [
        "c4n4ry\r\n\r\n",
        "POST /v1/traces HTTP/1.1\r\nhost: x\r\nx-c4n4ry: c4n4ry\u{1}\r\n\r\n",
        "POST /v1/traces HTTP/1.1\r\nhost: x\r\nauthorization: Bearer c4n4ry-token\r\n\
         transfer-encoding: chunked\r\n\r\nc4n4ry\r\n",
    ] {
        let mut stream = TcpStream::connect(slimspan.http_addresses[0])
            .await
            .unwrap();
        stream.write_all(garbage.as_bytes()).await.unwrap();
        stream.shutdown().await.unwrap();
        let mut answer = Vec::new();
        let _ = soon("it is cut", stream.read_to_end(&mut answer)).await;
        answers.push(String::from_utf8_lossy(&answer).into_owned());
    }
    let ended = slimspan.stop().await;
    untold(&ended, &answers.concat(), &[CANARY]);
    // It did get to where it was to go.
    assert!(store.puts() > 0, "the store was asked");
    let arrived = backend.received();
    let first = &arrived[0].headers;
    assert_eq!(first["x-from"], CANARY);
    assert_eq!(first["x-static"], CANARY);
    assert_eq!(first["authorization"], "Basic YWRhOmM0bjRyeQ==");
}

/// All of an answer that its sender sees.
fn told(headers: &http::HeaderMap, body: &[u8]) -> String {
    format!("{headers:?}\n{}\n", String::from_utf8_lossy(body))
}

/// The password of a proxy is in no word of what went wrong with it.
#[tokio::test]
async fn the_password_of_a_proxy_is_not_told() {
    let nobody = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let proxy = nobody.local_addr().unwrap();
    drop(nobody);
    let mut config = config::over_http(([192, 0, 2, 1], 4318).into());
    config::http_only(&mut config);
    config["exporters"]["otlp_http"]["proxy_url"] = json!(format!("http://ada:{CANARY}@{proxy}"));
    let folder = Arc::new(tempfile::tempdir().unwrap());
    let mut slimspan = Slimspan::spawn_with(folder, &config.to_string(), &DEBUG);
    assert!(slimspan.ready().await, "{}", slimspan.stderr());
    let sender = slimspan.http_sender().await;
    let answer = sender
        .post(
            Signal::Traces,
            Form::Json,
            Form::Json.write(Signal::Traces, &otlp::plain_span(1)),
        )
        .await;
    assert_eq!(answer.status, 503, "{answer:?}");
    let ended = slimspan.stop().await;
    untold(&ended, &told(&answer.headers, &answer.body), &[CANARY]);
}
