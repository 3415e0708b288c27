//! What is no HTTP is answered before anything here sees it: with the headers of every other answer, and no content.

use std::collections::BTreeMap;

use http::StatusCode;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use super::headers::expected;
use super::{Served, with_server};
use crate::support::soon;

/// Of a connection that is closed behind it, and of an answer without content.
const LAST: [(&str, &str); 2] = [("connection", "close"), ("content-length", "0")];

/// What the listener for pages and the API says with every answer that is no page.
const OF_PAGES: [(&str, &str); 7] = [
    (
        "content-security-policy",
        "default-src 'none'; frame-ancestors 'none'",
    ),
    ("x-content-type-options", "nosniff"),
    ("cross-origin-resource-policy", "same-origin"),
    ("cross-origin-opener-policy", "same-origin"),
    ("referrer-policy", "no-referrer"),
    ("x-frame-options", "DENY"),
    ("cache-control", "no-store"),
];

/// The headers of an answer but for the date, each of which is there once.
fn table(head: &str) -> BTreeMap<String, String> {
    let mut table = BTreeMap::new();
    for line in head.lines().skip(1) {
        let (name, value) = line.split_once(": ").unwrap();
        let before = table.insert(name.to_owned(), value.to_owned());
        assert_eq!(before, None, "{head}");
    }
    table.remove("date").unwrap();
    table
}

#[tokio::test]
async fn what_is_no_http_has_the_headers_of_every_answer_and_no_content() {
    let served = Served::start(&with_server()).await;
    let path = served.put("<script>alert(1)</script>").await;
    let of_pages = OF_PAGES.iter().chain(&LAST);
    let of_pages: BTreeMap<String, String> = of_pages
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
        .collect();
    let listeners = [
        (&served.artifacts, expected(&LAST)),
        (&served.pages, of_pages),
    ];
    let many = "a: b\r\n".repeat(101);
    // As much as is read before it has an end, and no more: what nobody reads could take the answer along.
    let mut long = format!("GET {path} HTTP/1.1\r\na: ");
    long.push_str(&"b".repeat((64 << 10) - long.len()));
    for (request, status) in [
        ("what is this\r\n\r\n".to_owned(), 400),
        (format!("G<T {path} HTTP/1.1\r\n\r\n"), 400),
        (format!("GET {path} HTTP/9.9\r\n\r\n"), 400),
        (format!("GET {path} HTTP/1.1\r\na b: c\r\n\r\n"), 400),
        (
            format!("GET {path} HTTP/1.1\r\ncontent-length: x\r\n\r\n"),
            400,
        ),
        (format!("GET {path} HTTP/1.1\r\n{many}\r\n"), 431),
        (long, 431),
    ] {
        // At once, and behind a request that was answered.
        let asked = format!("HEAD {path}?raw HTTP/1.1\r\nhost: localhost\r\n\r\n");
        for before in ["", asked.as_str()] {
            for (listener, expected) in &listeners {
                let mut stream = TcpStream::connect(listener.address).await.unwrap();
                if !before.is_empty() {
                    stream.write_all(before.as_bytes()).await.unwrap();
                    soon("the first answer", answered(&mut stream)).await;
                }
                stream.write_all(request.as_bytes()).await.unwrap();
                let mut told = Vec::new();
                let closed = stream.read_to_end(&mut told);
                soon("the connection is closed", closed).await.unwrap();
                let told = String::from_utf8(told).unwrap();
                let shown: String = request.chars().take(200).collect();
                let (head, content) = told.split_once("\r\n\r\n").unwrap();
                assert_eq!(content, "", "{shown}");
                let first = format!("HTTP/1.1 {status} ");
                assert!(head.starts_with(&first), "{shown}: {told}");
                assert_eq!(table(head), *expected, "{shown}");
            }
        }
    }
    // It is as if nothing had been.
    assert_eq!(served.artifacts.get(&path).await.status, StatusCode::OK);
}

/// Reads an answer without content to its end.
async fn answered(stream: &mut TcpStream) {
    let mut told = Vec::new();
    while !told.ends_with(b"\r\n\r\n") {
        told.push(stream.read_u8().await.unwrap());
    }
}
