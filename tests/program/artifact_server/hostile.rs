//! Files that would do something if a browser let them: they come as files, and as nothing else.

use http::Method;
use serde_json::json;
use slimspan_artifact::Digest;

use super::headers::{expected, table};
use super::{Served, with_server};

const DOWNLOAD: &str = "application/octet-stream";
const TEXT: &str = "text/plain; charset=utf-8";

/// Sixty of them: what they are, as what they come, with which extension.
const FILES: [(&[u8], &str, &str); 60] = [
    // SVG
    (b"<svg xmlns='http://www.w3.org/2000/svg' onload='alert(1)'/>", DOWNLOAD, "svg"),
    (b"<svg><script>alert(1)</script></svg>", DOWNLOAD, "svg"),
    (b"<svg><script href='data:,alert(1)'/></svg>", DOWNLOAD, "svg"),
    (b"<SVG ONLOAD=alert(1)>", DOWNLOAD, "svg"),
    (b"<svg><foreignObject><script>alert(1)</script></foreignObject></svg>", DOWNLOAD, "svg"),
    (b"<svg><use href='http://evil.example.com/u.svg#a'/></svg>", DOWNLOAD, "svg"),
    (b"<svg><style>@import url(http://evil.example.com/c.css)</style></svg>", DOWNLOAD, "svg"),
    (b"<svg><animate onbegin=alert(1) attributeName=x dur=1s></svg>", DOWNLOAD, "svg"),
    (b"<!-- a --><svg onload=alert(1)/>", DOWNLOAD, "svg"),
    (b"<?xml version='1.0'?><svg onload='alert(1)'/>", DOWNLOAD, "svg"),
    (b"<?xml version='1.0'?><?xml-stylesheet href='x.xsl'?><svg/>", DOWNLOAD, "svg"),
    (b"<!DOCTYPE svg [<!ENTITY a SYSTEM 'file:///etc/passwd'>]><svg>&a;</svg>", DOWNLOAD, "svg"),
    (b"\xef\xbb\xbf<svg onload=alert(1)>", DOWNLOAD, "svg"),
    (b"\n\n\t <svg onload=alert(1)>", DOWNLOAD, "svg"),
    // HTML
    (b"<!doctype html><script>alert(1)</script>", DOWNLOAD, "html"),
    (b"<!DOCTYPE HTML PUBLIC '-//W3C//DTD HTML 4.01//EN'><script>alert(1)</script>", DOWNLOAD, "html"),
    (b"<html><script>alert(1)</script></html>", DOWNLOAD, "html"),
    (b"<HTML><BODY ONLOAD=alert(1)>", DOWNLOAD, "html"),
    (b"<html xmlns='http://www.w3.org/1999/xhtml'><script/></html>", DOWNLOAD, "html"),
    (b"<!-- a --><html><svg><script>alert(1)</script></svg></html>", DOWNLOAD, "html"),
    (b"\xef\xbb\xbf<!doctype html><script>alert(1)</script>", DOWNLOAD, "html"),
    (b"<head><meta http-equiv=refresh content='0;url=http://evil.example.com/'></head><html>", DOWNLOAD, "html"),
    (b"<script>alert(1)</script>", DOWNLOAD, "bin"),
    (b"\n\t <script>alert(1)</script>", DOWNLOAD, "bin"),
    (b"\xef\xbb\xbf<script>alert(1)</script>", DOWNLOAD, "bin"),
    (b"<img src=x onerror=alert(1)>", DOWNLOAD, "bin"),
    (b"<iframe srcdoc='<script>alert(1)</script>'></iframe>", DOWNLOAD, "bin"),
    (b"<body onload=alert(1)>", DOWNLOAD, "bin"),
    (b"<object data='http://evil.example.com/o'></object>", DOWNLOAD, "bin"),
    (b"<a href='javascript:alert(1)'>a</a>", DOWNLOAD, "bin"),
    (b"<base href='http://evil.example.com/'><script src=s.js></script>", DOWNLOAD, "bin"),
    (b"<math><maction actiontype='statusline' href='javascript:alert(1)'>a</maction></math>", DOWNLOAD, "bin"),
    // XML
    (b"<?xml version='1.0'?><a/>", DOWNLOAD, "xml"),
    (b"<?xml version='1.0'?><?xml-stylesheet type='text/xsl' href='#s'?><s id='s'/>", DOWNLOAD, "xml"),
    (b"<?xml version='1.0'?><!DOCTYPE a [<!ENTITY b SYSTEM 'file:///etc/passwd'>]><a>&b;</a>", DOWNLOAD, "xml"),
    (b"<?xml version='1.0'?><b xmlns='http://www.w3.org/1999/xhtml'><script>alert(1)</script></b>", DOWNLOAD, "xml"),
    (b"<rss version='2.0'><channel><link>javascript:alert(1)</link></channel></rss>", DOWNLOAD, "bin"),
    // Encodings that hide it
    (b"\xff\xfe<\0s\0c\0r\0i\0p\0t\0>\0", DOWNLOAD, "bin"),
    (b"\xfe\xff\0<\0s\0c\0r\0i\0p\0t\0>", DOWNLOAD, "bin"),
    (b"\0<script>alert(1)</script>", DOWNLOAD, "bin"),
    (b"a\x01<script>alert(1)</script>", DOWNLOAD, "bin"),
    (b"\xc3\x28<script>alert(1)</script>", DOWNLOAD, "bin"),
    // Mails and archives that browsers have opened
    (b"MIME-Version: 1.0\r\nContent-Type: multipart/related\r\n\r\n<html>", DOWNLOAD, "bin"),
    (b"From: a\r\nmime-version: 1.0\r\nContent-Type: text/html\r\n\r\n<script>", DOWNLOAD, "bin"),
    (b"PK\x03\x04xl/vbaProject.bin", DOWNLOAD, "zip"),
    (b"PK\x03\x04META-INF/MANIFEST.MF", DOWNLOAD, "zip"),
    (b"\x1f\x8b\x08\0svgz", DOWNLOAD, "gz"),
    // Documents and programs
    (b"%PDF-1.7\n/OpenAction << /JS (app.alert(1)) >>", DOWNLOAD, "pdf"),
    (b"%PDF-1.4\n<html><script>alert(1)</script>", DOWNLOAD, "pdf"),
    (b"\0asm\x01\0\0\0", DOWNLOAD, "wasm"),
    (b"", DOWNLOAD, "bin"),
    // Two things at a time
    (b"GIF89a=0//<script>alert(1)</script>", "image/gif", "gif"),
    (b"GIF89a/*<svg/onload=alert(1)>*/=1;", "image/gif", "gif"),
    (b"\x89PNG\r\n\x1a\n<html><script>alert(1)</script>", "image/png", "png"),
    (b"\xff\xd8\xff\xe0\0\x10JFIF<script>alert(1)</script>", "image/jpeg", "jpg"),
    // Texts that others would run
    (b"+ADw-script+AD4-alert(1)+ADw-/script+AD4-", TEXT, "txt"),
    (b"alert(1)//", TEXT, "txt"),
    (b"{\"a\":\"</script><script>alert(1)</script>\"}", TEXT, "json"),
    (b"# a\n\n<script>alert(1)</script> [a](javascript:alert(1))", TEXT, "txt"),
    (b"=HYPERLINK(\"http://evil.example.com\",\"<script>alert(1)</script>\")", TEXT, "txt"),
];

/// Exactly these headers, whoever asks and whatever the answer is.
#[tokio::test]
async fn hostile_files_are_nothing_but_files() {
    let mut config = with_server();
    config["extensions"]["artifact_server"]["max_requests_per_second"] = json!(1_000_000);
    let served = Served::start(&config).await;
    for (file, content_type, extension) in FILES {
        let path = served.put(file.to_vec()).await;
        let digest = Digest::of(file).to_string();
        let size = file.len().to_string();
        let tag = format!("\"sha256-{digest}\"");
        let use_as = if content_type == DOWNLOAD {
            "attachment"
        } else {
            "inline"
        };
        let name = format!("filename=\"sha256-{}.{extension}\"", &digest[..12]);
        let disposition = format!("{use_as}; {name}");
        let kept = ("cache-control", "private, max-age=300");
        let whole = expected(&[
            ("content-type", content_type),
            ("content-disposition", &disposition),
            ("etag", &tag),
            ("accept-ranges", "bytes"),
            kept,
            ("content-length", &size),
        ]);
        // What it is called, and what a page says it wants, change nothing.
        for extension in ["", ".html", ".svg", ".js", ".pdf", ".xml"] {
            let answer = served.artifacts.get(&format!("{path}{extension}")).await;
            assert_eq!(answer.status, 200);
            assert_eq!(table(&answer.headers), whole, "{file:?}");
            assert_eq!(answer.body, file);
        }
        for destination in [
            "iframe", "script", "style", "empty", "object", "embed", "worker",
        ] {
            let client = served.artifacts.with("sec-fetch-dest", destination);
            let answer = client.get(&path).await;
            assert_eq!(table(&answer.headers), whole, "{destination} {file:?}");
            // Also where it accepts what a picture or a page would.
            for accept in ["image/svg+xml,image/*,*/*;q=0.8", "text/html"] {
                let answer = client.with("accept", accept).get(&path).await;
                assert_eq!(table(&answer.headers), whole, "{accept} {file:?}");
            }
        }
        // Who says only what it accepts gets no more than the picture that an SVG is, and that to keep.
        let picture = served.artifacts.with("accept", "image/svg+xml,image/*");
        let answer = picture.get(&path).await;
        let mut of_picture = whole.clone();
        if extension == "svg" {
            of_picture.insert("content-type".to_owned(), "image/svg+xml".to_owned());
        }
        assert_eq!(table(&answer.headers), of_picture, "{file:?}");
        let head = served.artifacts.ask(Method::HEAD, &path, "").await;
        assert_eq!(table(&head.headers), whole, "{file:?}");
        let known = served
            .artifacts
            .with("if-none-match", &*tag)
            .get(&path)
            .await;
        assert_eq!(known.status, 304);
        let not_modified = expected(&[kept, ("etag", &tag), ("accept-ranges", "bytes")]);
        assert_eq!(table(&known.headers), not_modified, "{file:?}");
        if file.is_empty() {
            continue;
        }
        // A part is what the whole is, also where it begins with something else.
        let last = file.len() - 1;
        let range = format!("bytes={last}-{last}");
        let part = served.artifacts.with("range", &*range).get(&path).await;
        assert_eq!(part.status, 206);
        let told = format!("bytes {last}-{last}/{size}");
        let mut of_part = whole.clone();
        of_part.insert("content-range".to_owned(), told);
        of_part.insert("content-length".to_owned(), "1".to_owned());
        assert_eq!(table(&part.headers), of_part, "{file:?}");
    }
}

/// Whatever a sender says of it: in the header of its upload, in what it registers, and by a name.
///
/// The viewer's tests open each of these files in Chromium, where spans have declared it to be one of these types,
/// each file another one, and look for dialogs, frames and requests.
#[tokio::test]
async fn what_a_sender_declares_changes_nothing() {
    const DECLARED: [(&str, &str); 6] = [
        ("text/html", "html"),
        ("image/svg+xml", "svg"),
        ("image/png", "png"),
        ("application/xhtml+xml", "xhtml"),
        ("text/plain", "txt"),
        ("application/pdf", "pdf"),
    ];
    let mut config = with_server();
    config["extensions"]["artifact_server"]["max_requests_per_second"] = json!(1_000_000);
    let served = Served::start(&config).await;
    for (file, content_type, extension) in FILES {
        let digest = Digest::of(file).to_string();
        let path = format!("/artifacts/{digest}");
        let mut shown = None;
        for (declared, ending) in DECLARED {
            let claim = json!({
                "sha256": digest,
                "size_bytes": file.len(),
                "content_type": declared,
                "filename": format!("a.{ending}"),
            });
            let client = served.pages.with("content-type", declared);
            let register = client.ask(Method::POST, "/v1/artifacts", claim.to_string());
            assert!(register.await.status.is_success(), "{declared} {file:?}");
            let blob = format!("/v1{path}/blob?filename=a.{ending}");
            let stored = client.ask(Method::PUT, &blob, file).await;
            assert_eq!(stored.status, 201, "{declared} {file:?}");
            let stored = stored.json();
            let uri = stored["uri"].as_str().unwrap();
            assert!(uri.ends_with(&format!(".{extension}")), "{declared} {uri}");
            let shown = shown.get_or_insert_with(|| stored["content_type"].clone());
            assert_eq!(stored["content_type"], *shown, "{declared} {file:?}");
            let answer = served.artifacts.get(&format!("{path}.{ending}")).await;
            assert_eq!(answer.status, 200);
            assert_eq!(answer.headers["content-type"], content_type);
            let disposition = answer.headers["content-disposition"].to_str().unwrap();
            let is_download = disposition.starts_with("attachment; ");
            assert_eq!(is_download, content_type == DOWNLOAD, "{declared} {file:?}");
            assert!(
                disposition.ends_with(&format!(".{extension}\"")),
                "{disposition}"
            );
            assert_eq!(answer.body, file);
        }
    }
}

/// As a picture an SVG is one, and still nothing else.
#[tokio::test]
async fn an_svg_is_a_picture_where_a_page_wants_one() {
    let served = Served::start(&with_server()).await;
    let svg = served.put("<svg onload='alert(1)'/>").await;
    for (name, value) in [
        ("sec-fetch-dest", "image"),
        // Over plain http to another machine.
        ("accept", "image/avif,image/webp,*/*"),
    ] {
        let picture = served.artifacts.with(name, value);
        let answer = picture.get(&svg).await;
        assert_eq!(answer.headers["content-type"], "image/svg+xml", "{name}");
        let disposition = answer.headers["content-disposition"].to_str().unwrap();
        assert!(disposition.starts_with("attachment;"), "{disposition}");
        let policy = answer.headers["content-security-policy"].to_str().unwrap();
        assert!(policy.contains("sandbox;"), "{policy}");
    }
}
