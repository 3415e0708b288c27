//! What a browser is told with every answer: that nothing in it may do anything.

use std::collections::BTreeMap;
use std::fs;
use std::time::Duration;

use http::{HeaderMap, Method};
use serde_json::json;
use slimspan_artifact::Digest;
use tokio::time::sleep;

use super::{Served, with_catalog, with_server, with_tenants};
use crate::support::http::HttpAnswer;
use crate::support::references::path_in;
use crate::support::{otlp, soon};

pub(super) const ALWAYS: [(&str, &str); 8] = [
    (
        "content-security-policy",
        "default-src 'none'; style-src 'unsafe-inline'; img-src 'self' data:; media-src 'self'; sandbox; \
         frame-ancestors 'none'",
    ),
    ("x-content-type-options", "nosniff"),
    ("cross-origin-resource-policy", "cross-origin"),
    ("cross-origin-opener-policy", "same-origin"),
    ("referrer-policy", "no-referrer"),
    ("vary", "Accept, Authorization, Origin, Sec-Fetch-Dest"),
    ("x-frame-options", "DENY"),
    ("cache-control", "no-store"),
];

/// All headers but the date.
pub(super) fn table(headers: &HeaderMap) -> BTreeMap<String, String> {
    let headers = headers.iter();
    let mut table: BTreeMap<String, String> = headers
        .map(|(name, value)| (name.to_string(), value.to_str().unwrap().to_owned()))
        .collect();
    table.remove("date").unwrap();
    table
}

pub(super) fn expected(others: &[(&str, &str)]) -> BTreeMap<String, String> {
    let pairs = ALWAYS.iter().chain(others);
    pairs
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
        .collect()
}

#[tokio::test]
async fn every_answer_has_exactly_these() {
    const TEXT: (&str, &str) = ("content-type", "text/plain; charset=utf-8");
    const KEPT: (&str, &str) = ("cache-control", "private, max-age=300");
    let served = Served::start(&with_server()).await;
    let path = served.put("0123456789").await;
    let digest = Digest::of(b"0123456789").to_string();
    let damaged = served.put("to be damaged").await;
    let file = Digest::of(b"to be damaged").to_string();
    fs::write(path_in(&served.slimspan.artifacts(), &file), "damaged").unwrap();
    let tag = format!("\"sha256-{digest}\"");
    let weak = format!("W/{tag}");
    let inline = format!("inline; filename=\"sha256-{}.txt\"", &digest[..12]);
    let nowhere = format!("/artifacts/{}", Digest::of(b"nothing"));
    let page = format!("http://{}{path}", served.pages.address);
    // 20,000 pixels in each direction.
    let mut many = otlp::photo(1, 20_000);
    many[8..24].copy_from_slice(b"\0\0\0\x0dIHDR\0\0\x4e\x20\0\0\x4e\x20");
    let on_card = served.put(many).await + "?card";
    let of_artifact = [
        TEXT,
        KEPT,
        ("etag", tag.as_str()),
        ("content-disposition", inline.as_str()),
        ("accept-ranges", "bytes"),
    ];
    let with = |others: &[(&'static str, &'static str)]| {
        let mut all: Vec<(&str, &str)> = of_artifact.to_vec();
        all.extend(others);
        expected(&all)
    };
    let cases = [
        (
            Method::GET,
            path.as_str(),
            vec![],
            200,
            with(&[("content-length", "10")]),
        ),
        (
            Method::HEAD,
            &path,
            vec![],
            200,
            with(&[("content-length", "10")]),
        ),
        (
            Method::GET,
            &path,
            vec![("range", "bytes=1-3")],
            206,
            with(&[("content-length", "3"), ("content-range", "bytes 1-3/10")]),
        ),
        // Of a part only GET can be asked.
        (
            Method::HEAD,
            &path,
            vec![("range", "bytes=1-3")],
            200,
            with(&[("content-length", "10")]),
        ),
        (
            Method::HEAD,
            &path,
            vec![("range", "bytes=10-")],
            200,
            with(&[("content-length", "10")]),
        ),
        (
            Method::GET,
            &path,
            vec![("if-none-match", tag.as_str())],
            304,
            expected(&[KEPT, ("etag", &tag), ("accept-ranges", "bytes")]),
        ),
        (
            Method::GET,
            &path,
            vec![("range", "bytes=10-")],
            416,
            expected(&[
                TEXT,
                ("accept-ranges", "bytes"),
                ("content-range", "bytes */10"),
            ]),
        ),
        (
            Method::GET,
            &path,
            vec![("if-match", "\"other\"")],
            412,
            expected(&[TEXT, ("accept-ranges", "bytes")]),
        ),
        (
            Method::GET,
            &path,
            vec![("if-match", weak.as_str())],
            412,
            expected(&[TEXT, ("accept-ranges", "bytes")]),
        ),
        (
            Method::GET,
            &path,
            vec![("sec-fetch-dest", "document")],
            302,
            expected(&[("location", &page), ("content-length", "0")]),
        ),
        (
            Method::GET,
            &path,
            vec![("accept", "text/html,application/xhtml+xml,*/*;q=0.8")],
            302,
            expected(&[("location", &page), ("content-length", "0")]),
        ),
        // What a card shows instead of a picture is no artifact: it has no tag, no parts, and no name.
        (
            Method::GET,
            &on_card,
            vec![],
            200,
            expected(&[KEPT, ("content-type", "image/svg+xml")]),
        ),
        (Method::GET, &nowhere, vec![], 404, expected(&[TEXT])),
        (
            Method::POST,
            &path,
            vec![],
            405,
            expected(&[TEXT, ("allow", "GET, HEAD")]),
        ),
        (
            Method::GET,
            &path,
            vec![("host", "evil.example.com")],
            421,
            expected(&[TEXT]),
        ),
        (Method::GET, &damaged, vec![], 500, expected(&[TEXT])),
    ];
    for (method, path, headers, status, expected) in cases {
        let client = headers
            .into_iter()
            .fold(served.artifacts.clone(), |client, (name, value)| {
                client.with(name, value)
            });
        let answer = client.ask(method, path, "").await;
        assert_eq!(answer.status, status, "{path}");
        let mut expected = expected;
        // What is told of a failure is for people.
        let len = answer.body.len().to_string();
        expected.entry("content-length".to_owned()).or_insert(len);
        if status == 304 {
            expected.remove("content-length");
        }
        assert_eq!(table(&answer.headers), expected, "{status} {path}");
    }
    what_is_downloaded().await;
    what_is_not_given(&nowhere).await;
}

/// A download has the name that its sender gave it, beside the one by its digest.
async fn what_is_downloaded() {
    let served = Served::start(&with_catalog()).await;
    let digest = Digest::of(b"some text").to_string();
    let blob = format!("/v1/artifacts/{digest}/blob?filename=r%C3%A9sum%C3%A9.txt");
    let stored = served.pages.ask(Method::PUT, &blob, "some text").await;
    assert_eq!(stored.status, 201, "{stored:?}");
    let path = format!("/artifacts/{digest}?download");
    let known = soon("the catalog comes by", async {
        loop {
            let answer = served.artifacts.get(&path).await;
            let disposition = answer.headers["content-disposition"].to_str().unwrap();
            if disposition.contains("filename*") {
                return answer;
            }
            sleep(Duration::from_millis(20)).await;
        }
    });
    let known = known.await;
    let head = served.artifacts.ask(Method::HEAD, &path, "").await;
    let (tag, short) = (format!("\"sha256-{digest}\""), &digest[..12]);
    let disposition = format!(
        "attachment; filename=\"sha256-{short}.txt\"; filename*=UTF-8''r%C3%A9sum%C3%A9.txt"
    );
    let expected = expected(&[
        ("content-type", "text/plain; charset=utf-8"),
        ("cache-control", "private, max-age=300"),
        ("etag", &tag),
        ("content-disposition", &disposition),
        ("accept-ranges", "bytes"),
        ("content-length", "9"),
    ]);
    for answer in [known, head] {
        assert_eq!(answer.status, 200);
        assert_eq!(table(&answer.headers), expected);
    }
}

/// The rest of the table: who may not, what is gone, too much, and not now.
async fn what_is_not_given(nowhere: &str) {
    const TEXT: (&str, &str) = ("content-type", "text/plain; charset=utf-8");
    const LATER: (&str, &str) = ("retry-after", "1");
    let told = |answer: &HttpAnswer, others: &[(&'static str, &'static str)]| {
        let len = answer.body.len().to_string();
        let mut all = vec![TEXT, ("content-length", len.as_str())];
        all.extend(others);
        let expected = expected(&all);
        assert_eq!(table(&answer.headers), expected, "{}", answer.status);
    };
    let served = Served::start(&with_catalog()).await;
    let path = served.put("to be deleted").await;
    let delete = format!("/v1{path}");
    served.pages.ask(Method::DELETE, &delete, "").await;
    for method in [Method::GET, Method::HEAD] {
        let answer = served.artifacts.ask(method.clone(), &path, "").await;
        assert_eq!(answer.status, 410);
        if method == Method::GET {
            told(&answer, &[]);
        }
    }
    let mut config = with_server();
    config["extensions"]["artifact_server"]["max_requests_per_second"] = json!(1);
    let served = Served::start(&config).await;
    let path = served.put("some text").await;
    let refused = soon("too many", async {
        loop {
            let answer = served.artifacts.get(&path).await;
            if answer.status != 200 {
                return answer;
            }
        }
    });
    let refused = refused.await;
    assert_eq!(refused.status, 429);
    told(&refused, &[LATER]);
    let mut config = with_server();
    config["extensions"]["artifact_server"]["audit_log"] = json!("./artifacts");
    let served = Served::start(&config).await;
    let path = served.put("some text").await;
    let answer = served.artifacts.get(&path).await;
    assert_eq!(answer.status, 503);
    told(&answer, &[LATER]);

    let served = Served::start(&with_tenants()).await;
    let answer = served.artifacts.get(nowhere).await;
    assert_eq!(answer.status, 401);
    let challenge = ("www-authenticate", "Bearer realm=\"slimspan\"");
    let len = answer.body.len().to_string();
    let of_401 = expected(&[TEXT, challenge, ("content-length", &len)]);
    assert_eq!(table(&answer.headers), of_401);
}

#[tokio::test]
async fn what_is_configured_is_said() {
    let mut config = with_server();
    let settings = &mut config["extensions"]["artifact_server"];
    settings["frame_ancestors"] = json!(["https://a.example.com", "http://b.example.com:8080"]);
    settings["allowed_origins"] = json!(["https://a.example.com"]);
    settings["cross_origin_resource_policy"] = json!("same-site");
    let served = Served::start(&config).await;
    let path = served.put("some text").await;
    for (origin, may_read) in [
        ("https://a.example.com", true),
        ("https://a.example.com.evil.example.com", false),
        ("null", false),
    ] {
        let answer = served.artifacts.with("origin", origin).get(&path).await;
        let headers = &answer.headers;
        let policy = headers["content-security-policy"].to_str().unwrap();
        let frames = "frame-ancestors https://a.example.com http://b.example.com:8080";
        assert!(policy.ends_with(frames), "{policy}");
        assert!(!headers.contains_key("x-frame-options"));
        assert_eq!(headers["cross-origin-resource-policy"], "same-site");
        let allowed = headers.get("access-control-allow-origin");
        assert_eq!(allowed.is_some(), may_read, "{origin}");
        assert!(allowed.is_none_or(|allowed| allowed == origin));
    }
}
