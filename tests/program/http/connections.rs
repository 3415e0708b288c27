//! HTTP/1 by hand: rows 20 to 22, 31, 34 and 37 of the inputs that must not hurt, and what a connection may
//! cost. Row 33, replies that are not read, is in `inflow::watched`, slow bodies are in `arriving`.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use slimspan_proto::Signal;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::sync::Semaphore;
use tokio::time::{Instant, sleep};

use crate::support::backend::Backend;
use crate::support::http::{Form, HttpSender, post};
use crate::support::otlp;
use crate::support::slimspan::Slimspan;
use crate::support::{config, soon};

const MIB: usize = 1 << 20;

async fn start(change: impl FnOnce(&mut Value)) -> (Backend, Slimspan) {
    let backend = Backend::start().await;
    let mut config = config::with_http(backend.address);
    change(&mut config["receivers"]["otlp"]["protocols"]["http"]);
    let slimspan = Slimspan::start(&config).await;
    (backend, slimspan)
}

/// Sends these bytes; all that comes back before the connection ends.
async fn told(address: SocketAddr, bytes: &[u8]) -> String {
    let mut stream = TcpStream::connect(address).await.unwrap();
    // Where it is cut, the rest is never read.
    let _ = stream.write_all(bytes).await;
    heard(&mut stream).await
}

/// All that comes until the connection ends, which may be an error.
async fn heard(stream: &mut TcpStream) -> String {
    let mut heard = Vec::new();
    let _ = soon("the connection ends", stream.read_to_end(&mut heard)).await;
    String::from_utf8_lossy(&heard).into_owned()
}

/// The head of a request with these headers.
fn head(headers: &str) -> Vec<u8> {
    format!(
        "POST /v1/traces HTTP/1.1\r\nhost: x\r\ncontent-type: application/x-protobuf\r\n{headers}\r\n"
    )
    .into_bytes()
}

/// Row 20: a body that ends early is not taken.
#[tokio::test]
async fn a_body_that_ends_early_is_not_acknowledged() {
    let (backend, slimspan) = start(|_| ()).await;
    let span = otlp::plain_span(1);
    let whole = format!("content-length: {}\r\n", span.len());
    let mut stream = TcpStream::connect(slimspan.http_addresses[0])
        .await
        .unwrap();
    let half = [&head(&whole)[..], &span[..span.len() / 2]].concat();
    stream.write_all(&half).await.unwrap();
    stream.shutdown().await.unwrap();
    let heard = heard(&mut stream).await;
    assert!(!heard.contains("200"), "{heard}");
    assert!(backend.received().is_empty());
    let chunked = [
        &head("transfer-encoding: chunked\r\n")[..],
        b"5\r\nhello\r\n",
    ]
    .concat();
    let mut stream = TcpStream::connect(slimspan.http_addresses[0])
        .await
        .unwrap();
    stream.write_all(&chunked).await.unwrap();
    stream.shutdown().await.unwrap();
    let heard = self::heard(&mut stream).await;
    assert!(!heard.contains("200"), "{heard}");
    assert!(backend.received().is_empty());
    slimspan.stop_well().await;
}

/// Row 21: where two readers could see two ends of a request, it is refused, and nothing after it is read.
#[tokio::test]
async fn a_request_with_two_ends_is_none() {
    let (backend, slimspan) = start(|_| ()).await;
    let address = slimspan.http_addresses[0];
    let hidden = [
        &head(&format!(
            "content-length: {}\r\n",
            otlp::plain_span(1).len()
        ))[..],
        &otlp::plain_span(1),
    ]
    .concat();
    for (what, headers, body) in [
        (
            "two lengths",
            "content-length: 0\r\ncontent-length: 1\r\n",
            "",
        ),
        ("a length with a sign", "content-length: +5\r\n", "hello"),
        ("no length", "content-length: 0x5\r\n", "hello"),
        (
            "a chunk of 2^64",
            "transfer-encoding: chunked\r\n",
            "10000000000000000\r\n",
        ),
        (
            "a chunk of nothing known",
            "transfer-encoding: chunked\r\n",
            "five\r\nhello\r\n",
        ),
        (
            "a chunk without an end",
            "transfer-encoding: chunked\r\n",
            "5\r\nhelloo\r\n",
        ),
        (
            "chunks in something",
            "transfer-encoding: chunked, gzip\r\n",
            "0\r\n\r\n",
        ),
    ] {
        let bytes = [&head(headers)[..], body.as_bytes(), &hidden].concat();
        let told = told(address, &bytes).await;
        assert!(told.starts_with("HTTP/1.1 400"), "{what}: {told}");
        assert_eq!(told.matches("HTTP/1.1").count(), 1, "{what}: {told}");
    }
    // A length beside chunks does not count for some (RFC 9112, section 6.3), and for others the chunks do
    // not. Also where they come in pieces, and behind a request that is sound.
    for headers in [
        "content-length: 500\r\ntransfer-encoding: chunked\r\n",
        "Transfer-Encoding: chunked\r\nx: y\r\ncontent-length: 0\r\n",
    ] {
        let bytes = [&head(headers)[..], b"0\r\n\r\n", &hidden].concat();
        let told = told(address, &bytes).await;
        assert!(told.starts_with("HTTP/1.1 400"), "{told}");
        assert_eq!(told.matches("HTTP/1.1").count(), 1, "{told}");

        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.set_nodelay(true).unwrap();
        let first = b"GET /nowhere HTTP/1.1\r\nhost: x\r\n\r\n";
        for part in [&first[..], &bytes].concat().chunks(7) {
            // Where it is cut, the rest is never read.
            let _ = stream.write_all(part).await;
            tokio::task::yield_now().await;
        }
        let heard = heard(&mut stream).await;
        assert!(heard.starts_with("HTTP/1.1 404"), "{heard}");
        assert_eq!(heard.matches("HTTP/1.1").count(), 2, "{heard}");
        assert!(heard.contains("HTTP/1.1 400"), "{heard}");
    }
    assert!(backend.received().is_empty());
    slimspan.stop_well().await;
}

/// A request that does not come in time may come again.
#[tokio::test]
async fn a_request_has_its_read_timeout() {
    let (backend, slimspan) = start(|http| http["read_timeout"] = json!("300ms")).await;
    let span = otlp::plain_span(1);
    let whole = format!("content-length: {}\r\nconnection: close\r\n", span.len());
    let mut stream = TcpStream::connect(slimspan.http_addresses[0])
        .await
        .unwrap();
    let half = [&head(&whole)[..], &span[..span.len() / 2]].concat();
    stream.write_all(&half).await.unwrap();
    let mut beginning = vec![0; 12];
    let answered = stream.read_exact(&mut beginning);
    soon("slimspan answers", answered).await.unwrap();
    assert_eq!(beginning, b"HTTP/1.1 503");
    assert!(backend.received().is_empty());
    drop(stream);
    slimspan.stop_well().await;
}

/// Rows 22 and 31: what stands around a body has an end, too.
#[tokio::test]
async fn heads_extensions_and_trailers_have_an_end() {
    let (backend, slimspan) = start(|_| ()).await;
    let address = slimspan.http_addresses[0];
    let chunked = head("transfer-encoding: chunked\r\n");
    let extension = format!("1;{}\r\nx\r\n0\r\n\r\n", "x".repeat(20 << 10));
    let extensions = "1;xxxxxxxxxxxxxxxx\r\nx\r\n".repeat(2_000);
    let trailer = format!("0\r\nx: {}\r\n\r\n", "x".repeat(20 << 10));
    let trailers = format!("0\r\n{}\r\n", "x: y\r\n".repeat(100_000));
    for body in [extension, extensions, trailer, trailers] {
        let told = told(address, &[&chunked[..], body.as_bytes()].concat()).await;
        assert!(!told.contains("200 OK"), "{told}");
    }
    for headers in [
        format!("x: {}\r\n", "x".repeat(MIB)),
        "x: y\r\n".repeat(10_000),
        "x: y\r\n".repeat(200),
    ] {
        let told = told(address, &head(&headers)).await;
        assert!(
            told.starts_with("HTTP/1.1 431") || told.is_empty(),
            "{told}"
        );
    }
    assert!(backend.received().is_empty());
    let sender = slimspan.http_sender().await;
    sender
        .send(Signal::Traces, &otlp::plain_span(1))
        .await
        .unwrap();
    drop(sender);
    slimspan.stop_well().await;
}

/// A head may be as large as over HTTP/2, so that a long token has room; whose is larger is told so, also while it
/// sends its body.
#[tokio::test]
async fn a_head_of_more_than_16_kib_is_refused() {
    let (backend, slimspan) = start(|_| ()).await;
    let span = otlp::plain_span(1);
    let whole = format!("content-length: {}\r\nconnection: close\r\n", span.len());
    for (kib, expected) in [(15, "HTTP/1.1 200"), (17, "HTTP/1.1 431")] {
        let long = format!("{whole}authorization: {}\r\n", "x".repeat(kib << 10));
        let request = [&head(&long)[..], &span[..]].concat();
        let told = told(slimspan.http_addresses[0], &request).await;
        assert!(told.starts_with(expected), "{kib} KiB: {told}");
        let is_explained = told.contains("the headers are too large");
        assert_eq!(is_explained, kib > 16, "{told}");
    }
    assert_eq!(backend.received().len(), 1);
    slimspan.stop_well().await;
}

/// Row 37: what is no HTTP is closed without waiting for more.
#[tokio::test]
async fn what_speaks_something_else_is_closed_at_once() {
    let (backend, slimspan) = start(|_| ()).await;
    let tls = [&[0x16, 3, 1, 2, 0, 1, 0, 1, 0xfc, 3, 3][..], &[7; 500]].concat();
    for bytes in [
        &b"PROXY TCP4 192.0.2.1 192.0.2.2 5000 4318\r\n"[..],
        b"\r\n\r\n\0\r\nQUIT\n\x21\x11\x00\x0c",
        b"GET /v1/traces\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\nPOST /v1/traces HTTP/1.1",
        b"PRI * HTTP/2.0\r\n\r\nPOST /v1/traces HTTP/1.1\r\n\r\n",
        &tls,
    ] {
        let begun = Instant::now();
        let told = told(slimspan.http_addresses[0], bytes).await;
        assert!(!told.contains("200"), "{}: {told}", bytes.escape_ascii());
        assert!(
            begun.elapsed() < Duration::from_secs(5),
            "{}",
            bytes.escape_ascii()
        );
    }
    assert!(backend.received().is_empty());
    slimspan.stop_well().await;
}

/// Row 34: a head has its time from its first byte, byte by byte too, also after a good request; what comes
/// in time is served.
#[tokio::test]
async fn a_head_that_does_not_become_whole_is_cut() {
    let (_backend, slimspan) = start(|http| http["read_header_timeout"] = json!("300ms")).await;
    let address = slimspan.http_addresses[0];
    let good = [&head("content-length: 0\r\n")[..]].concat();
    for beginning in [&b""[..], &good] {
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.write_all(beginning).await.unwrap();
        if !beginning.is_empty() {
            stream.read_exact(&mut [0; 12]).await.unwrap();
            // A pause between two requests is no head.
            sleep(Duration::from_millis(500)).await;
        }
        let begun = Instant::now();
        let (mut from, mut to) = stream.split();
        let trickle = async {
            for byte in head("x: y\r\n").iter().cycle() {
                if to.write_u8(*byte).await.is_err() {
                    break;
                }
                sleep(Duration::from_millis(20)).await;
            }
        };
        let mut heard = Vec::new();
        tokio::select! {
            () = trickle => {}
            _ = from.read_to_end(&mut heard) => {}
            () = sleep(Duration::from_secs(20)) => panic!("it may go on for ever"),
        }
        assert!(
            begun.elapsed() >= Duration::from_millis(250),
            "{:?}",
            begun.elapsed()
        );
    }
    slimspan.stop_well().await;
}

/// Half a head that comes behind a request has its time when that request has been answered: before, nobody
/// reads it, and after, nobody waits for it longer than for any other.
#[tokio::test]
async fn half_a_head_behind_a_request_is_cut_after_its_answer() {
    const HEAD: Duration = Duration::from_millis(300);
    let gate = Arc::new(Semaphore::new(0));
    let backend = Backend::gated(&gate).await;
    let mut config = config::with_http(backend.address);
    config["receivers"]["otlp"]["protocols"]["http"]["read_header_timeout"] = json!("300ms");
    let slimspan = Slimspan::start(&config).await;
    for in_pieces in [false, true] {
        let span = otlp::plain_span(1);
        let whole = [
            &head(&format!("content-length: {}\r\n", span.len()))[..],
            &span,
        ]
        .concat();
        let half = &head("content-length: 0\r\n")[..20];
        let mut stream = TcpStream::connect(slimspan.http_addresses[0])
            .await
            .unwrap();
        stream.set_nodelay(true).unwrap();
        let before = backend.received().len();
        if in_pieces {
            stream.write_all(&whole).await.unwrap();
            backend.arrived(before + 1).await;
            stream.write_all(half).await.unwrap();
        } else {
            stream.write_all(&[&whole, half].concat()).await.unwrap();
            backend.arrived(before + 1).await;
        }
        // Longer than a head may take.
        sleep(HEAD * 3).await;
        let begun = Instant::now();
        gate.add_permits(1);
        let mut answer = [0; 12];
        let answered = soon("an answer", stream.read_exact(&mut answer)).await;
        answered.unwrap();
        assert_eq!(&answer, b"HTTP/1.1 200", "in pieces: {in_pieces}");
        heard(&mut stream).await;
        let took = begun.elapsed();
        assert!(took >= HEAD * 3 / 4, "in pieces: {in_pieces}: {took:?}");
    }
    slimspan.stop_well().await;
}

/// Who has nothing more to say is closed, and a connection may be of one request alone.
#[tokio::test]
async fn connections_end_as_they_are_told() {
    let (_backend, slimspan) = start(|http| http["idle_timeout"] = json!("200ms")).await;
    let mut stream = TcpStream::connect(slimspan.http_addresses[0])
        .await
        .unwrap();
    stream
        .write_all(&head("content-length: 0\r\n"))
        .await
        .unwrap();
    let begun = Instant::now();
    let heard = heard(&mut stream).await;
    assert!(heard.starts_with("HTTP/1.1 200"), "{heard}");
    assert!(
        begun.elapsed() < Duration::from_secs(9),
        "{:?}",
        begun.elapsed()
    );
    slimspan.stop_well().await;

    let (_backend, slimspan) = start(|http| {
        http["keep_alives_enabled"] = json!(false);
        http["response_headers"] = json!({ "X-Served-By": "slimspan", "content-type": "no" });
    })
    .await;
    let told = told(slimspan.http_addresses[0], &head("content-length: 0\r\n")).await;
    let told = told.to_lowercase();
    assert!(told.contains("connection: close"), "{told}");
    assert!(told.contains("x-served-by: slimspan"), "{told}");
    assert!(
        told.contains("content-type: application/x-protobuf"),
        "{told}"
    );
    slimspan.stop_well().await;
}

/// One more is closed rather than left waiting, as with gRPC.
#[tokio::test]
async fn connections_are_limited() {
    let two = |http: &mut Value| {
        http["max_connections"] = json!(2);
        http["max_connections_per_address"] = json!(2);
    };
    let (_backend, mut slimspan) = start(two).await;
    let address = slimspan.http_addresses[0];
    let first = slimspan.http_sender().await;
    let second = slimspan.http_sender().await;
    for sender in [&first, &second] {
        sender
            .send(Signal::Traces, &otlp::plain_span(1))
            .await
            .unwrap();
    }
    assert_eq!(told(address, &head("content-length: 0\r\n")).await, "");
    slimspan.logs("max_connections allows no more").await;
    drop(second);
    let gets_in = async {
        loop {
            let sender = HttpSender::connect(address).await;
            let request = post(Signal::Traces, Form::Protobuf, otlp::plain_span(2));
            if sender.try_request(request).await.is_ok() {
                break;
            }
        }
    };
    soon("a place is free", gets_in).await;
    drop(first);
    slimspan.stop_well().await;
}

/// Who asks before it sends is told before it has sent what is too large, and told to go on with the rest.
#[tokio::test]
async fn who_asks_first_sends_nothing_in_vain() {
    let (backend, slimspan) = start(|http| http["max_request_body_size"] = json!("1MiB")).await;
    let address = slimspan.http_addresses[0];
    let asking = |len| {
        head(&format!(
            "content-length: {len}\r\nexpect: 100-continue\r\n"
        ))
    };
    let told = told(address, &asking(MIB + 1)).await;
    assert!(told.starts_with("HTTP/1.1 413"), "{told}");

    let span = otlp::plain_span(1);
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(&asking(span.len())).await.unwrap();
    let mut go_on = [0; 25];
    soon("an answer", stream.read_exact(&mut go_on))
        .await
        .unwrap();
    assert_eq!(&go_on, b"HTTP/1.1 100 Continue\r\n\r\n");
    stream.write_all(&span).await.unwrap();
    let mut answer = [0; 12];
    soon("an answer", stream.read_exact(&mut answer))
        .await
        .unwrap();
    assert_eq!(&answer, b"HTTP/1.1 200");
    assert_eq!(backend.only(), span);
    drop(stream);
    slimspan.stop_well().await;
}

/// A sender that is not done sending when it is refused reads its answer all the same, instead of a broken
/// connection after which it would send everything again.
#[tokio::test]
async fn who_sends_too_much_can_read_that_it_was() {
    let (backend, slimspan) = start(|http| http["max_request_body_size"] = json!("8MiB")).await;
    for headers in [
        "content-length: 12582912\r\n",
        "transfer-encoding: chunked\r\n",
    ] {
        let mut stream = TcpStream::connect(slimspan.http_addresses[0])
            .await
            .unwrap();
        stream.write_all(&head(headers)).await.unwrap();
        if headers.starts_with('t') {
            stream.write_all(b"c00000\r\n").await.unwrap();
        }
        stream.write_all(&vec![7; 12 * MIB]).await.unwrap();
        if headers.starts_with('t') {
            stream.write_all(b"\r\n0\r\n\r\n").await.unwrap();
        }
        let mut answer = [0; 12];
        soon("an answer", stream.read_exact(&mut answer))
            .await
            .unwrap();
        assert_eq!(&answer, b"HTTP/1.1 413");
    }
    assert!(backend.received().is_empty());
    slimspan.stop_well().await;
}
