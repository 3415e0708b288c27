//! What is no HTTP is answered before anything here sees it: with nothing that a browser could do anything with.

use http::StatusCode;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use super::{Served, with_server};
use crate::support::soon;

#[tokio::test]
async fn what_is_no_http_has_an_answer_without_content_and_no_other() {
    let served = Served::start(&with_server()).await;
    let path = served.put("<script>alert(1)</script>").await;
    let many = "a: b\r\n".repeat(101);
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
    ] {
        for listener in [&served.artifacts, &served.pages] {
            let mut stream = TcpStream::connect(listener.address).await.unwrap();
            stream.write_all(request.as_bytes()).await.unwrap();
            let mut told = Vec::new();
            let closed = stream.read_to_end(&mut told);
            soon("the connection is closed", closed).await.unwrap();
            let told = String::from_utf8(told).unwrap();
            let (head, content) = told.split_once("\r\n\r\n").unwrap();
            assert_eq!(content, "", "{request}");
            let mut lines = head.lines();
            let first = lines.next().unwrap();
            let expected = format!("HTTP/1.1 {status} ");
            assert!(first.starts_with(&expected), "{request}: {told}");
            for line in lines {
                let (name, value) = line.split_once(": ").unwrap();
                let is_known = match name {
                    "content-length" => value == "0",
                    "connection" => value == "close",
                    name => name == "date",
                };
                assert!(is_known, "{request}: {line}");
            }
        }
    }
    // It is as if nothing had been.
    assert_eq!(served.artifacts.get(&path).await.status, StatusCode::OK);
}
