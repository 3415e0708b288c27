//! What nobody may read in the log, the metrics and the answers of a server: credentials, the secrets of links, what a
//! file is, and what somebody asked for in vain.

use std::fmt::Write as _;
use std::fs;
use std::sync::Arc;

use http::{HeaderMap, Method};
use serde_json::{Value, json};
use slimspan_artifact::Digest;
use slimspan_proto::Signal;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use super::client::Client;
use super::with_catalog;
use crate::program::secrets::{CANARY, untold};
use crate::support::http::Form;
use crate::support::pages::get;
use crate::support::references::path_in;
use crate::support::slimspan::Slimspan;
use crate::support::{config, otlp, soon};

/// Stands in the names of files, which those are told who may see them, and nobody else.
const NAME: &str = "n4m3d";

const READS: &str = "c4n4ry-token";
const DELETES: &str = "c4n4ry-deletes";
const SIGNS: &str = "c4n4ry-c4n4ry-c4n4ry-c4n4ry-c4n4ry-c4n4ry";

const RESTORE: &str = "/v1/restore/traces";

/// Descriptions of an artifact that are none, in ways that have words of their own.
const CLAIMS: &[&str] = &[
    CANARY,
    r#""c4n4ry""#,
    r#"["c4n4ry"]"#,
    r#"{"c4n4ry":1}"#,
    r#"{"sha256":"c4n4ry","size_bytes":1}"#,
    r#"{"sha256":{"c4n4ry":1},"size_bytes":1}"#,
    r#"{"sha256":"c4n4ry","size_bytes":"c4n4ry"}"#,
    r#"{"sha256":"c4n4ry","size_bytes":1,"filename":["c4n4ry"]}"#,
    r#"{"sha256":"c4n4ry","sha256":"c4n4ry"}"#,
    r#"{"sha256":"c4n4ry","size_bytes":1} c4n4ry"#,
];

/// Requests to restore that are none.
const REQUESTS: &[&str] = &[
    CANARY,
    r#"{"resourceSpans":"c4n4ry"}"#,
    r#"{"resourceSpans":[{"scopeSpans":[{"spans":[{"traceId":"c4n4ry"}]}]}]}"#,
    r#"{"resourceSpans":[{"scopeSpans":[{"spans":[{"startTimeUnixNano":"c4n4ry"}]}]}]}"#,
];

/// Paths of the listener for pages that are asked for in vain, and by which method.
const QUESTIONS: &[(&str, &str, u16)] = &[
    ("GET", "/v1/artifacts?since=c4n4ry", 400),
    ("GET", "/v1/artifacts?until=c4n4ry", 400),
    ("GET", "/v1/artifacts?cursor=c4n4ry", 400),
    ("GET", "/v1/artifacts?limit=c4n4ry", 400),
    ("GET", "/v1/artifacts?min_size=c4n4ry", 400),
    ("GET", "/v1/artifacts?sha256=c4n4ry", 400),
    ("GET", "/v1/artifacts?trace_id=c4n4ry", 400),
    ("GET", "/v1/artifacts?state=c4n4ry", 400),
    ("GET", "/v1/artifacts?tenant=c4n4ry!", 404),
    (
        "GET",
        "/v1/artifacts?name=c4n4ry&service=c4n4ry&sig=c4n4ry",
        200,
    ),
    ("GET", "/v1/artifacts/c4n4ry", 404),
    ("POST", "/v1/artifacts/c4n4ry/link?sig=c4n4ry", 404),
    ("POST", "/v1/artifacts/c4n4ry/finalize", 404),
    ("PUT", "/v1/artifacts/c4n4ry/blob?filename=n4m3d", 404),
    ("POST", "/v1/restore/c4n4ry", 404),
    ("GET", "/c4n4ry", 404),
    ("GET", "/find?q=c4n4ry", 400),
    ("GET", "/traces/c4n4ry", 400),
];

/// A server for those who have a token, and one for those who have a password.
fn with_secrets() -> Value {
    let users = format!("ada:{}\n", bcrypt::hash(CANARY, 4).unwrap());
    let mut config = with_catalog();
    let by_token = &mut config["extensions"]["artifact_server"];
    let mut by_password = by_token.clone();
    by_token["auth"] = json!({ "authenticator": "bearertokenauth" });
    by_token["deletion"] = json!({ "auth": { "authenticator": "bearertokenauth/deletion" } });
    by_token["links"] = json!({ "keys": [{ "id": "2026-11", "secret": SIGNS }] });
    by_password["auth"] = json!({ "authenticator": "basicauth" });
    let extensions = &mut config["extensions"];
    extensions["artifact_server/passwords"] = by_password;
    extensions["bearertokenauth"] = json!({ "token": READS });
    extensions["bearertokenauth/deletion"] = json!({ "token": DELETES });
    extensions["basicauth"] = json!({ "htpasswd": { "inline": users } });
    config["service"]["extensions"] = json!([
        "artifact_store",
        "artifact_server",
        "artifact_server/passwords",
        "bearertokenauth",
        "bearertokenauth/deletion",
        "basicauth",
    ]);
    config::tell_metrics(&mut config);
    config
}

/// What was answered, all of which its reader sees.
#[derive(Default)]
struct Told(String);

impl Told {
    fn add(&mut self, headers: &HeaderMap, body: &[u8]) {
        let body = String::from_utf8_lossy(body);
        writeln!(self.0, "{headers:?}\n{body}").unwrap();
    }

    /// Asks for something, and notes what is answered, which has this status.
    async fn ask(&mut self, client: &Client, method: Method, path: &str, body: &str, status: u16) {
        let answer = client.ask(method.clone(), path, body.to_owned()).await;
        assert_eq!(answer.status, status, "{method} {path} {body}: {answer:?}");
        self.add(&answer.headers, &answer.body);
    }
}

#[tokio::test]
async fn no_secret_of_a_server_is_told() {
    let folder = Arc::new(tempfile::tempdir().unwrap());
    let env = [("SLIMSPAN_LOG", "debug")];
    let mut slimspan = Slimspan::spawn_with(folder, &with_secrets().to_string(), &env);
    assert!(slimspan.ready().await, "{}", slimspan.stderr());
    let places = slimspan.places("artifact_server ");
    let [artifacts, pages] = [places[0], places[1]].map(Client::of);
    let places = slimspan.places("artifact_server/passwords");
    let [artifacts_for_users, pages_for_users] = [places[0], places[1]].map(Client::of);
    let mut told = Told::default();
    let digest = Digest::of(CANARY.as_bytes());
    let other = Digest::of(b"other");
    let file = format!("/artifacts/{digest}");

    // Credentials, good ones and others.
    for (name, value, status) in [
        ("authorization", "Bearer c4n4ry-token", 404),
        ("authorization", "Bearer c4n4ry-other", 401),
        ("authorization", "Bearer c4n4ry-deletes", 401),
        ("authorization", "Basic YzRuNHJ5OmM0bjRyeQ==", 401),
        ("authorization", CANARY, 401),
        ("cookie", CANARY, 401),
    ] {
        for (listener, path) in [(&artifacts, file.clone()), (&pages, format!("/v1{file}"))] {
            let client = listener.with(name, value);
            told.ask(&client, Method::GET, &path, "", status).await;
        }
    }
    for (credential, status) in [
        ("Basic YWRhOmM0bjRyeQ==", 404),
        ("Basic YWRhOmM0bjRyeXg=", 401),
        ("Basic c4n4ry", 401),
    ] {
        for (listener, path) in [
            (&artifacts_for_users, file.clone()),
            (&pages_for_users, format!("/v1{file}")),
        ] {
            let client = listener.with("authorization", credential);
            told.ask(&client, Method::GET, &path, "", status).await;
        }
    }
    let (reads, programs) = (artifacts.bearer(READS), pages.bearer(READS));
    let deletes = pages.bearer(DELETES);
    let twice = programs.with("authorization", CANARY);
    told.ask(&twice, Method::GET, "/v1/artifacts", "", 401)
        .await;

    // What is said of a file, and its bytes.
    for claim in CLAIMS {
        told.ask(&programs, Method::POST, "/v1/artifacts", claim, 400)
            .await;
    }
    let blob = |digest: Digest, more: &str| format!("/v1/artifacts/{digest}/blob?{more}");
    for (path, status) in [
        (blob(digest, "size_bytes=c4n4ry"), 400),
        (blob(digest, "size_bytes=1&filename=n4m3d"), 422),
        (blob(other, "filename=n4m3d"), 422),
        (blob(digest, "filename=n4m3d.txt"), 201),
    ] {
        told.ask(&programs, Method::PUT, &path, CANARY, status)
            .await;
    }
    let finalize = format!("/v1/artifacts/{digest}/finalize");
    told.ask(&programs, Method::POST, &finalize, "", 200).await;

    // Signatures: one that is good, which only its owner has, and others.
    let link = format!("/v1/artifacts/{digest}/link");
    let link = programs.ask(Method::POST, &link, "").await.json();
    let link = link["url"].as_str().unwrap().to_owned();
    let (_, query) = link.split_once('?').unwrap();
    let (_, signature) = query.split_once("sig=").unwrap();
    // What it leads to is read, and is what it is.
    let read = artifacts.get(&format!("{file}?{query}")).await;
    assert_eq!(
        (read.status.as_u16(), &read.body[..]),
        (200, CANARY.as_bytes())
    );
    for query in [
        "exp=c4n4ry&kid=c4n4ry&sig=c4n4ry",
        "sig=c4n4ry",
        "exp=4102444800&kid=2026-11&sig=c4n4ry",
    ] {
        let path = format!("{file}?{query}");
        told.ask(&artifacts, Method::GET, &path, "", 404).await;
    }

    // What is asked for in vain, in paths, queries and headers.
    for (method, path, status) in QUESTIONS {
        let method = Method::from_bytes(method.as_bytes()).unwrap();
        told.ask(&programs, method, path, "", *status).await;
    }
    for path in [
        "/c4n4ry",
        "/artifacts/c4n4ry",
        "/c4n4ry/artifacts/",
        "/?c4n4ry",
    ] {
        told.ask(&reads, Method::GET, path, "", 404).await;
    }
    for (name, value, status) in [
        ("host", "c4n4ry.example.com", 421),
        ("range", "bytes=c4n4ry", 404),
        ("if-none-match", "\"c4n4ry\"", 404),
        ("origin", "https://c4n4ry.example.com", 404),
    ] {
        let client = reads.with(name, value);
        let path = format!("/artifacts/{other}");
        told.ask(&client, Method::GET, &path, "", status).await;
    }
    let invented = Method::from_bytes(CANARY.as_bytes()).unwrap();
    told.ask(&reads, invented, &file, "", 405).await;
    for (name, value) in [
        ("origin", "https://c4n4ry.example.com"),
        ("sec-fetch-site", CANARY),
    ] {
        let client = programs.with(name, value);
        told.ask(&client, Method::POST, "/v1/artifacts", CANARY, 403)
            .await;
    }

    // What is to become whole again, and cannot.
    let json = programs.with("content-type", "application/json");
    for request in REQUESTS {
        told.ask(&json, Method::POST, RESTORE, request, 400).await;
    }
    for (client, name) in [(&programs, "content-type"), (&json, "content-encoding")] {
        let client = client.with(name, CANARY);
        told.ask(&client, Method::POST, RESTORE, CANARY, 415).await;
    }
    let gzip = json.with("content-encoding", "gzip");
    told.ask(&gzip, Method::POST, RESTORE, CANARY, 400).await;
    // What can has all that its sender has sent.
    let span = otlp::span([("secret", otlp::text(CANARY))]);
    let body = Form::Json.write(Signal::Traces, &span);
    let whole = json.ask(Method::POST, RESTORE, body).await;
    assert_eq!(whole.status, 200, "{whole:?}");

    // What lies damaged in the store, and what was deleted.
    let stored = path_in(&slimspan.artifacts(), &digest.to_string());
    fs::write(&stored, "other c4n4ry").unwrap();
    for (client, path) in [(&reads, file.clone()), (&programs, format!("/v1{file}"))] {
        told.ask(client, Method::GET, &path, "", 500).await;
    }
    let known = format!("/v1/artifacts/{digest}");
    let delete = format!("{known}?reason=asked+for");
    told.ask(&programs, Method::DELETE, &delete, "", 403).await;
    told.ask(&deletes, Method::DELETE, "/v1/traces/c4n4ry", "", 400)
        .await;
    told.ask(&deletes, Method::DELETE, "/v1/tenants/c4n4ry!", "", 404)
        .await;
    told.ask(&deletes, Method::DELETE, &delete, "", 200).await;

    // What is hardly HTTP.
    for garbage in [
        "c4n4ry\r\n\r\n",
        "GET /c4n4ry HTTP/9.9\r\nauthorization: Bearer c4n4ry\r\n\r\n",
        "GET /c4n4ry HTTP/1.1\r\nc4n4ry\r\n\r\n",
        "PUT /c4n4ry HTTP/1.1\r\ncontent-length: c4n4ry\r\n\r\n",
    ] {
        for listener in [&artifacts, &pages] {
            let mut stream = TcpStream::connect(listener.address).await.unwrap();
            stream.write_all(garbage.as_bytes()).await.unwrap();
            let _ = stream.shutdown().await;
            let mut answer = Vec::new();
            let _ = soon("it is cut", stream.read_to_end(&mut answer)).await;
            told.add(&HeaderMap::new(), &answer);
        }
    }
    let metrics = get(slimspan.page("telemetry"), "/metrics").await.body;
    assert!(
        metrics.contains("slimspan_artifact_server_requests"),
        "{metrics}"
    );
    told.0 += &metrics;

    let ended = slimspan.stop().await;
    untold(&ended, &told.0, &[CANARY]);
    for (secret, text) in [
        (NAME, ended.stderr.as_str()),
        (NAME, &metrics),
        (signature, &ended.stderr),
        (signature, &told.0),
    ] {
        let told = text.lines().find(|line| line.contains(secret));
        assert_eq!(told, None, "{secret}");
    }
}
