//! The API is what its description says, and nothing else.

mod failing;

use std::collections::BTreeSet;
use std::fs;
use std::time::{Duration, SystemTime};

use http::{Method, StatusCode};
use serde_json::{Value, json};
use slimspan_artifact::Digest;

use super::{Served, client::Client, with_catalog, with_server, with_tenants};
use crate::support::http::HttpAnswer;
use crate::support::otlp;
use crate::support::references::path_in;

const METHODS: [Method; 6] = [
    Method::GET,
    Method::HEAD,
    Method::PUT,
    Method::POST,
    Method::DELETE,
    Method::PATCH,
];

/// The routes of files, which are on a listener of their own.
const FILES: [&str; 2] = ["/artifacts/{sha256}", "/{tenant}/artifacts/{sha256}"];

/// What a server says of itself.
pub(super) async fn described(served: &Served) -> Value {
    let answer = served.pages.get("/openapi.json").await;
    assert_eq!(answer.headers["content-type"], "application/json");
    answer.json()
}

/// Every operation, and where it is asked for an artifact that is nowhere.
fn operations(document: &Value) -> Vec<(Method, &str, String)> {
    let mut operations = Vec::new();
    for (path, item) in document["paths"].as_object().unwrap() {
        let nowhere = Digest::of(b"nothing").to_string();
        let mut asked = path.clone();
        for (name, value) in [
            ("{sha256}", nowhere.as_str()),
            ("{signal}", "traces"),
            ("{trace_id}", "0af7651916cd43dd8448eb211c80319c"),
            ("{tenant}", "acme"),
        ] {
            asked = asked.replace(name, value);
        }
        for method in item.as_object().unwrap().keys() {
            let method = method.to_uppercase().parse().unwrap();
            operations.push((method, path.as_str(), asked.clone()));
        }
    }
    operations
}

fn listener<'s>(served: &'s Served, path: &str) -> &'s Client {
    if FILES.contains(&path) {
        &served.artifacts
    } else {
        &served.pages
    }
}

#[tokio::test]
async fn the_api_describes_itself() {
    let served = Served::start(&with_server()).await;
    let document = described(&served).await;
    let version = document["openapi"].as_str().unwrap();
    assert_eq!(version.split('.').next(), Some("3"));
    let operations = operations(&document);
    let ids: BTreeSet<_> = operations
        .iter()
        .map(|(method, path, _)| {
            let method = method.as_str().to_lowercase();
            document["paths"][path][method]["operationId"].as_str()
        })
        .collect();
    assert_eq!(ids.len(), operations.len(), "{ids:?}");
    let is_described = |method: &Method, path: &str| {
        let mut described = operations.iter();
        described.any(|(one, of, _)| one == method && *of == path)
    };
    // Every path that is described is answered, by what is described of it and by nothing else.
    for (_, path, asked) in &operations {
        let path = *path;
        for method in METHODS {
            let client = listener(&served, path);
            let answer = client.ask(method.clone(), asked, "").await;
            let is_nowhere = answer.body == "there is nothing here\n";
            let is_answered = answer.status != StatusCode::METHOD_NOT_ALLOWED && !is_nowhere;
            // Of what can be got everybody may ask for the head.
            let as_described = if method == Method::HEAD && !FILES.contains(&path) {
                Method::GET
            } else {
                method.clone()
            };
            let expected = is_described(&as_described, path);
            assert_eq!(is_answered, expected, "{method} {path}: {answer:?}");
        }
    }
    // What SDKs send is taken elsewhere, and here it is told to be nowhere.
    for signal in ["traces", "logs", "metrics"] {
        let path = format!("/v1/{signal}");
        let answer = served.pages.ask(Method::POST, &path, "").await;
        assert_eq!(answer.status, StatusCode::NOT_FOUND, "{path}");
    }
}

/// Somebody who has no credential, comes by a wrong name, or from a page of another origin.
#[tokio::test]
async fn who_is_turned_away_is_so_as_described() {
    let served = Served::start(&with_tenants()).await;
    let document = described(&served).await;
    for (method, path, asked) in operations(&document) {
        let client = listener(&served, path);
        let is_read = matches!(method, Method::GET | Method::HEAD);
        let is_open = path == "/openapi.json";
        let told = [
            ("421", Some(client.with("host", "evil.example.com"))),
            ("401", (!is_open).then(|| client.clone())),
            (
                "403",
                (!is_read).then(|| client.with("sec-fetch-site", "cross-site")),
            ),
        ];
        let described = &document["paths"][path][method.as_str().to_lowercase()]["responses"];
        for (status, client) in told {
            let Some(client) = client else {
                assert!(described[status].is_null(), "{method} {path}: {status}");
                continue;
            };
            let answer = client.ask(method.clone(), &asked, "").await;
            assert_eq!(answer.status.as_str(), status, "{method} {path}");
            assert!(described[status].is_object(), "{method} {path}: {status}");
        }
    }
}

/// A request, and the status of its answer.
struct Case {
    method: Method,
    /// As it is described.
    path: &'static str,
    asked: String,
    header: Option<(&'static str, String)>,
    body: Vec<u8>,
    status: u16,
}

impl Case {
    fn new(method: Method, path: &'static str, asked: impl Into<String>, status: u16) -> Self {
        Self {
            method,
            path,
            asked: asked.into(),
            header: None,
            body: Vec::new(),
            status,
        }
    }

    fn with(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.header = Some((name, value.into()));
        self
    }

    fn body(mut self, body: impl Into<Vec<u8>>) -> Self {
        self.body = body.into();
        self
    }

    /// Whether it is answered as it should be, and as is described.
    async fn check(self, served: &Served, document: &Value) {
        let Self {
            method,
            path,
            asked,
            header,
            body,
            status,
        } = self;
        let mut client = listener(served, path).clone();
        if let Some((name, value)) = header {
            client = client.with(name, value);
        }
        let answer = client.ask(method.clone(), &asked, body).await;
        assert_eq!(answer.status, status, "{method} {asked}: {answer:?}");
        is_described(document, &method, path, &answer);
    }
}

/// Fails unless this is one of the answers that are described, and is written as it is described.
pub(super) fn is_described(document: &Value, method: &Method, path: &str, answer: &HttpAnswer) {
    let status = answer.status.as_u16();
    let operation = &document["paths"][path][method.as_str().to_lowercase()];
    let described = &operation["responses"][answer.status.as_str()];
    assert!(described.is_object(), "{method} {path}: {status}");
    // Of files the type is whatever they are.
    let content_type = answer.headers.get("content-type");
    if let (Some(content_type), Some(content)) = (content_type, described["content"].as_object()) {
        let content_type = content_type.to_str().unwrap().split(';').next().unwrap();
        let is_told = content.contains_key(content_type) || content.contains_key("*/*");
        assert!(is_told, "{method} {path}: {status} {content_type}");
    }
    if let Some(headers) = described["headers"].as_object() {
        for name in headers.keys() {
            assert!(answer.headers.contains_key(name), "{method} {path}: {name}");
        }
    }
    if described.to_string().contains("Retry-After") {
        let is_told = answer.headers.contains_key("retry-after");
        assert!(is_told, "{method} {path}: {status}: when to come back");
    }
}

const LIST: &str = "/v1/artifacts";
const ONE: &str = "/v1/artifacts/{sha256}";
const BLOB: &str = "/v1/artifacts/{sha256}/blob";
const FINALIZE: &str = "/v1/artifacts/{sha256}/finalize";
const LINK: &str = "/v1/artifacts/{sha256}/link";
const TRACE: &str = "/v1/traces/{trace_id}";
const TENANT: &str = "/v1/tenants/{tenant}";
const RESTORE: &str = "/v1/restore/{signal}";

fn claim(bytes: &[u8], size: u64) -> String {
    let digest = Digest::of(bytes).to_string();
    json!({ "sha256": digest, "size_bytes": size }).to_string()
}

#[tokio::test]
async fn every_answer_that_can_be_had_is_described() {
    use Method as M;

    let mut config = with_catalog();
    config["extensions"]["artifact_server"]["max_upload_size"] = json!("1KiB");
    let served = Served::start(&config).await;
    let document = described(&served).await;
    served.put("is here").await;
    served.put("is deleted").await;
    served.put("is damaged").await;
    served.put("is old").await;
    let [here, deleted, damaged, old, new, nothing] = [
        "is here",
        "is deleted",
        "is damaged",
        "is old",
        "is new",
        "nothing",
    ]
    .map(|text| Digest::of(text.as_bytes()).to_string());
    let file = path_in(&served.slimspan.artifacts(), &old);
    let file = fs::File::options().write(true).open(file).unwrap();
    let days_ago = SystemTime::now() - Duration::from_hours(72);
    file.set_modified(days_ago).unwrap();
    fs::write(
        path_in(&served.slimspan.artifacts(), &damaged),
        "is changed",
    )
    .unwrap();
    let of = |digest: &str, rest: &str| format!("/v1/artifacts/{digest}{rest}");
    let form = ("content-type", "application/x-protobuf");
    // Until all of the catalog is read, nothing is deleted of everybody.
    let of_everybody = of(&nothing, "?all_tenants=true");
    for _ in 0..100 {
        let answer = served.pages.ask(M::DELETE, &of_everybody, "").await;
        if answer.status != StatusCode::SERVICE_UNAVAILABLE {
            break;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    for case in [
        Case::new(M::GET, LIST, "/v1/artifacts", 200),
        Case::new(M::GET, LIST, "/v1/artifacts?limit=x", 400),
        Case::new(M::GET, LIST, "/v1/artifacts?tenant=No", 404),
        Case::new(M::DELETE, ONE, of(&deleted, ""), 200),
        Case::new(M::DELETE, ONE, of(&deleted, "?reason=a%0Ab"), 400),
        Case::new(M::DELETE, ONE, of(&deleted, "?all_tenants=true"), 200),
        Case::new(M::DELETE, ONE, of(&deleted, "?all_tenants=all"), 400),
        Case::new(M::DELETE, ONE, of("abc", ""), 404),
        Case::new(M::GET, ONE, of(&here, ""), 200),
        Case::new(M::GET, ONE, of(&nothing, ""), 404),
        // What is no text is no digest either.
        Case::new(M::GET, ONE, of("%ff", ""), 404),
        Case::new(M::DELETE, TRACE, "/v1/traces/%ff", 404),
        Case::new(M::GET, ONE, of(&deleted, ""), 410),
        Case::new(M::GET, ONE, of(&damaged, ""), 500),
        Case::new(M::POST, LIST, LIST, 201).body(claim(b"is new", 6)),
        Case::new(M::POST, LIST, LIST, 200).body(claim(b"is here", 7)),
        Case::new(M::POST, LIST, LIST, 400).body("{}"),
        Case::new(M::POST, LIST, "/v1/artifacts?tenant=No", 404).body(claim(b"is new", 6)),
        Case::new(M::POST, LIST, LIST, 409).body(claim(b"is here", 8)),
        Case::new(M::POST, LIST, LIST, 413).body(claim(b"is new", 2_000)),
        Case::new(M::POST, FINALIZE, of(&new, "/finalize"), 404),
        Case::new(M::PUT, BLOB, of(&new, "/blob"), 201).body("is new"),
        Case::new(M::PUT, BLOB, of(&new, "/blob?size_bytes=x"), 400).body("is new"),
        Case::new(M::PUT, BLOB, of("abc", "/blob"), 404).body("is new"),
        Case::new(M::PUT, BLOB, of(&new, "/blob"), 413).body(vec![0; 2_000]),
        Case::new(M::PUT, BLOB, of(&new, "/blob"), 422).body("is old"),
        Case::new(M::POST, FINALIZE, of(&new, "/finalize"), 200),
        Case::new(M::POST, FINALIZE, of(&old, "/finalize"), 409),
        Case::new(M::POST, FINALIZE, of(&damaged, "/finalize"), 500),
        Case::new(M::POST, LINK, of(&new, "/link"), 201),
        Case::new(M::POST, LINK, of("abc", "/link"), 404),
        Case::new(M::POST, RESTORE, "/v1/restore/traces", 200)
            .with(form.0, form.1)
            .body(otlp::plain_span(1)),
        Case::new(M::POST, RESTORE, "/v1/restore/traces", 400)
            .with("content-type", "application/json")
            .body("{"),
        Case::new(M::POST, RESTORE, "/v1/restore/metrics", 404).with(form.0, form.1),
        Case::new(M::POST, RESTORE, "/v1/restore/traces", 415).with("content-type", "text/html"),
        Case::new(M::DELETE, TRACE, "/v1/traces/x", 400),
        Case::new(
            M::DELETE,
            TRACE,
            format!("/v1/traces/{}?tenant=No", "ab".repeat(16)),
            404,
        ),
        Case::new(
            M::DELETE,
            TRACE,
            format!("/v1/traces/{}", "ab".repeat(16)),
            200,
        ),
        Case::new(M::DELETE, TENANT, "/v1/tenants/No", 404),
        Case::new(M::DELETE, TENANT, "/v1/tenants/acme?reason=a%0Ab", 400),
        Case::new(M::DELETE, TENANT, "/v1/tenants/acme", 200),
    ] {
        case.check(&served, &document).await;
    }
    let at = |digest: &str| format!("/artifacts/{digest}");
    let tag = format!("\"sha256-{here}\"");
    for method in [M::GET, M::HEAD] {
        let case =
            |digest: &str, status: u16| Case::new(method.clone(), FILES[0], at(digest), status);
        for case in [
            case(&here, 200),
            case(&here, if method == M::GET { 206 } else { 200 }).with("range", "bytes=1-2"),
            case(&here, 302).with("sec-fetch-dest", "document"),
            case(&here, 304).with("if-none-match", &*tag),
            case(&nothing, 404),
            case(&deleted, 410),
            case(&here, 412).with("if-match", "\"other\""),
            case(&here, if method == M::GET { 416 } else { 200 }).with("range", "bytes=9-"),
            case(&damaged, 500),
        ] {
            case.check(&served, &document).await;
        }
        // All of that tenant was deleted above.
        let path = format!("/acme/artifacts/{nothing}");
        let of_acme = Case::new(method.clone(), FILES[1], path, 410);
        of_acme.check(&served, &document).await;
    }
}

/// What a server without a catalog says, too.
#[tokio::test]
async fn what_needs_the_catalog_says_so_as_described() {
    let served = Served::start(&with_server()).await;
    let document = described(&served).await;
    let digest = Digest::of(b"nothing");
    for case in [
        Case::new(Method::GET, LIST, LIST, 501),
        Case::new(Method::DELETE, ONE, format!("/v1/artifacts/{digest}"), 501),
        Case::new(Method::DELETE, TENANT, "/v1/tenants/acme", 501),
    ] {
        case.check(&served, &document).await;
    }
}

/// Whoever follows what it is told to do does nothing that is not described.
#[tokio::test]
async fn where_bytes_are_sent_is_described() {
    let served = Served::start(&with_server()).await;
    let document = described(&served).await;
    let parameters = document["paths"][BLOB]["put"]["parameters"].as_array();
    let parameters = parameters.unwrap().iter();
    let described: BTreeSet<_> = parameters
        .map(|parameter| parameter["name"].as_str().unwrap().to_owned())
        .collect();
    let claim = json!({
        "sha256": Digest::of(b"some text").to_string(),
        "size_bytes": 9,
        "content_type": "text/html",
        "filename": "a b.txt",
    });
    let path = "/v1/artifacts?tenant=acme";
    let answer = served.pages.ask(Method::POST, path, claim.to_string());
    let told = answer.await.json();
    let url = url::Url::parse(told["upload"]["url"].as_str().unwrap()).unwrap();
    let given: BTreeSet<_> = url
        .query_pairs()
        .map(|(name, _)| name.into_owned())
        .collect();
    assert!(given.contains("filename"), "{given:?}");
    assert!(given.is_subset(&described), "{given:?}");
}
