//! What comes in the place of a sound request, row by row of the inputs that must not hurt: rows 10 to
//! 19 and 23 to 25.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use bytes::Bytes;
use flate2::{Compress, Compression, FlushCompress};
use http::{Method, Request};
use http_body_util::Full;
use slimspan_proto::Signal;

use crate::program::limits::soon_refused;
use crate::support::backend::Backend;
use crate::support::canaries;
use crate::support::conservation::conserved_of;
use crate::support::frames::compress;
use crate::support::http::{Form, HttpSender, json, post};
use crate::support::otlp;
use crate::support::slimspan::Slimspan;
use crate::support::{config, measured::measured};

const MIB: usize = 1 << 20;

/// The rows that are here.
pub(in crate::program) const ROWS: [u32; 12] = [10, 12, 13, 14, 15, 16, 17, 18, 19, 23, 24, 25];

type Sent = Request<Full<Bytes>>;

/// What becomes of a request.
#[derive(Debug)]
enum Expected {
    /// The backend gets these bytes.
    Forwarded(Bytes),
    /// A success that leads nowhere.
    Nothing,
    /// A status that is not to be repeated, and what the message says.
    Refused(u16, &'static str),
}

/// Each row is followed by good requests on its connection and on another one: they succeed, and the
/// row has cost no more than it may.
#[tokio::test]
async fn every_request_has_the_answer_that_its_row_says() {
    let backend = Backend::start().await;
    let slimspan = canaries::start(config::with_http(backend.address)).await;
    let good = canaries::span();
    let (mut forwarded, mut answers) = (0, canaries::Answers::default());
    let other = slimspan.http_sender().await;
    let mut covered = BTreeSet::new();
    for same in [
        slimspan.http_sender().await,
        HttpSender::http2(slimspan.http_addresses[0]).await,
    ] {
        for (row, what, request, expected) in rows() {
            covered.insert(row);
            let before = slimspan.peak_memory();
            let form = match request.headers().get("content-type") {
                Some(value) if value == Form::Protobuf.media_type() => Form::Protobuf,
                _ => Form::Json,
            };
            let answer = same.request(request).await;
            answers.add(&answer);
            let status = answer.status.as_u16();
            match &expected {
                Expected::Forwarded(message) => {
                    assert_eq!(status, 200, "{row} {what}: {answer:?}");
                    assert!(backend.message(forwarded) == message, "{row} {what}");
                    forwarded += 1;
                }
                Expected::Nothing => assert_eq!(status, 200, "{row} {what}: {answer:?}"),
                Expected::Refused(code, says) => {
                    assert_eq!(status, *code, "{row} {what}: {answer:?}");
                    let told = answer.refusal(form);
                    assert!(told.message().contains(says), "{row} {what}: {told}");
                    assert_eq!(answer.retry_after(), None, "{row} {what}");
                }
            }
            if status == 405 {
                assert_eq!(answer.headers["allow"], "POST");
            }
            // The largest of them has 16 MiB.
            let grown = slimspan.peak_memory().saturating_sub(before);
            assert!(grown < 64 * MIB as u64, "{row} {what}: {} MiB", grown >> 20);
            for sender in [&same, &other] {
                let sent = sender.send(Signal::Traces, &good).await;
                sent.unwrap_or_else(|status| panic!("after {row} {what}: {status}"));
                forwarded += 1;
            }
            assert_eq!(backend.count(), forwarded, "{row} {what}");
        }
    }
    assert!(covered.into_iter().eq(ROWS), "rows are left out");
    let ended = answers.end(slimspan, "program::http::bodies").await;
    let traces = conserved_of(Signal::Traces, &ended.stderr);
    assert_eq!(traces.delivered, forwarded as u64);
}

fn encoded(name: &str, body: impl Into<Bytes>) -> Sent {
    with_header(
        post(Signal::Traces, Form::Protobuf, body),
        "content-encoding",
        name,
    )
}

fn with_header(mut request: Sent, name: &'static str, value: &str) -> Sent {
    request.headers_mut().insert(name, value.parse().unwrap());
    request
}

/// As Rust and browsers write deflate.
fn zlib(message: &[u8]) -> Vec<u8> {
    use std::io::Read as _;
    let mut zlib = Vec::new();
    let mut encoder = flate2::read::ZlibEncoder::new(message, Compression::fast());
    encoder.read_to_end(&mut zlib).unwrap();
    zlib
}

fn rows() -> Vec<(u32, &'static str, Sent, Expected)> {
    use Expected::{Forwarded, Nothing, Refused};

    let span = canaries::span();
    let good = || post(Signal::Traces, Form::Protobuf, span.clone());
    let forwarded = || Forwarded(span.clone());
    let malformed = |says| Refused(400, says);
    let gzip = compress("gzip", &span);
    let cut = |bytes: &[u8], from_the_end: usize| bytes[..bytes.len() - from_the_end].to_vec();
    let flipped = |bytes: &[u8], from_the_end: usize| {
        let mut flipped = bytes.to_vec();
        flipped[bytes.len() - from_the_end] ^= 1;
        flipped
    };
    let (first, second) = span.split_at(span.len() / 2);
    let members = |name| [compress(name, first), compress(name, second)].concat();
    let nested = compress("gzip", &compress("gzip", &vec![0; 16 * MIB]));
    let raw_deflate = zlib(&span)[2..].to_vec();
    let window = |log: u8| vec![0x28, 0xb5, 0x2f, 0xfd, 0, (log - 10) << 3, 1, 0, 0];
    let skipped = [0x50, 0x2a, 0x4d, 0x18, 0, 0, 0, 0].repeat(MIB);
    let typed = |value: &str| with_header(good(), "content-type", value);
    let at = |path: &str| {
        let mut request = good();
        *request.uri_mut() = path.parse().unwrap();
        request
    };
    let by = |method: Method| {
        let mut request = good();
        *request.method_mut() = method;
        request
    };
    let without_type = || {
        let mut request = good();
        request.headers_mut().remove("content-type");
        request
    };
    let json_of_span = json(Signal::Traces, &span);
    let unsupported = |says| Refused(415, says);
    vec![
        (
            10,
            "nothing",
            post(Signal::Traces, Form::Protobuf, ""),
            Nothing,
        ),
        (
            10,
            "compressed nothing",
            encoded("gzip", compress("gzip", b"")),
            Nothing,
        ),
        (
            12,
            "gzip in gzip",
            encoded("gzip", nested),
            malformed("at byte"),
        ),
        (
            13,
            "half a gzip",
            encoded("gzip", cut(&gzip, gzip.len() / 2)),
            malformed("gzip"),
        ),
        (
            13,
            "a gzip without its end",
            encoded("gzip", cut(&gzip, 8)),
            malformed("gzip"),
        ),
        (
            13,
            "a wrong sum",
            encoded("gzip", flipped(&gzip, 8)),
            malformed("gzip"),
        ),
        (
            13,
            "a wrong size",
            encoded("gzip", flipped(&gzip, 4)),
            malformed("gzip"),
        ),
        (13, "no gzip", encoded("gzip", "garbage"), malformed("gzip")),
        (
            13,
            "gzip of nothing at all",
            encoded("gzip", ""),
            malformed("gzip"),
        ),
        (13, "no zstd", encoded("zstd", "garbage"), malformed("zstd")),
        (
            13,
            "half a zlib",
            encoded("deflate", cut(&zlib(&span), 9)),
            malformed("deflate"),
        ),
        (
            13,
            "half a block of snappy",
            encoded("snappy", cut(&compress("snappy", &span), 9)),
            malformed("snappy"),
        ),
        (
            13,
            "half a stream of snappy",
            encoded(
                "x-snappy-framed",
                cut(&compress("x-snappy-framed", &span), 9),
            ),
            malformed("x-snappy-framed"),
        ),
        (
            13,
            "a block where a stream is told",
            encoded("x-snappy-framed", compress("snappy", &span)),
            malformed("x-snappy-framed"),
        ),
        (
            13,
            "half a frame of lz4",
            encoded("lz4", cut(&compress("lz4", &span), 9)),
            malformed("lz4"),
        ),
        (
            13,
            "a frame of lz4 without its end",
            encoded("lz4", cut(&compress("lz4", &span), 4)),
            malformed("lz4"),
        ),
        (13, "no lz4", encoded("lz4", "garbage"), malformed("lz4")),
        (
            14,
            "two frames of lz4",
            encoded("lz4", members("lz4")),
            forwarded(),
        ),
        (
            15,
            "garbage after lz4",
            encoded("lz4", [&compress("lz4", &span)[..], b"garbage"].concat()),
            malformed("lz4"),
        ),
        (
            13,
            "a block of snappy that would be 4 GiB",
            encoded("snappy", b"\xff\xff\xff\xff\x0f\x00a".to_vec()),
            malformed("snappy"),
        ),
        (
            14,
            "two streams of snappy",
            encoded("x-snappy-framed", members("x-snappy-framed")),
            forwarded(),
        ),
        (
            14,
            "two gzip members",
            encoded("gzip", members("gzip")),
            forwarded(),
        ),
        (
            14,
            "two zstd frames",
            encoded("zstd", members("zstd")),
            forwarded(),
        ),
        (
            15,
            "garbage after gzip",
            encoded("gzip", [&gzip[..], b"garbage"].concat()),
            malformed("gzip"),
        ),
        (
            15,
            "garbage after zlib",
            encoded("deflate", [zlib(&span), vec![0; 8]].concat()),
            malformed("deflate"),
        ),
        (
            16,
            "a window of 2 GiB",
            encoded("zstd", window(31)),
            Refused(413, "window"),
        ),
        (
            16,
            "a window of 8 MiB",
            encoded("zstd", window(23)),
            Nothing,
        ),
        (
            17,
            "frames to skip",
            encoded("zstd", skipped),
            malformed("zstd"),
        ),
        (
            18,
            "gzip twice",
            encoded("gzip, gzip", gzip.clone()),
            unsupported("compression_algorithms"),
        ),
        (
            18,
            "br",
            encoded("br", "?"),
            unsupported("compression_algorithms"),
        ),
        (
            18,
            "an empty name",
            encoded("", span.clone()),
            unsupported("compression_algorithms"),
        ),
        (18, "GZIP", encoded("GZIP", gzip.clone()), forwarded()),
        (
            18,
            "identity",
            encoded("identity", span.clone()),
            forwarded(),
        ),
        (19, "deflate", encoded("deflate", zlib(&span)), forwarded()),
        (19, "zlib", encoded("zlib", zlib(&span)), forwarded()),
        (
            19,
            "snappy",
            encoded("snappy", compress("snappy", &span)),
            forwarded(),
        ),
        (
            19,
            "snappy of older Collectors",
            encoded("snappy", compress("x-snappy-framed", &span)),
            forwarded(),
        ),
        (
            19,
            "x-snappy-framed",
            encoded("x-snappy-framed", compress("x-snappy-framed", &span)),
            forwarded(),
        ),
        (
            19,
            "lz4",
            encoded("lz4", compress("lz4", &span)),
            forwarded(),
        ),
        (
            19,
            "raw deflate",
            encoded("deflate", raw_deflate),
            malformed("deflate"),
        ),
        (
            23,
            "no content type",
            without_type(),
            unsupported("content type"),
        ),
        (23, "text", typed("text/plain"), unsupported("content type")),
        (
            23,
            "multipart",
            typed("multipart/form-data; boundary=x"),
            unsupported("content type"),
        ),
        (
            23,
            "UTF-16",
            typed("application/json; charset=utf-16"),
            unsupported("UTF-8"),
        ),
        (
            24,
            "protobuf as JSON",
            post(Signal::Traces, Form::Json, span.clone()),
            malformed("JSON"),
        ),
        (
            24,
            "JSON as protobuf",
            post(Signal::Traces, Form::Protobuf, json_of_span),
            malformed("at byte"),
        ),
        (
            24,
            "an empty object as protobuf",
            post(Signal::Traces, Form::Protobuf, "{}"),
            malformed("at byte"),
        ),
        (25, "GET", by(Method::GET), Refused(405, "POST")),
        (25, "PUT", by(Method::PUT), Refused(405, "POST")),
        (
            25,
            "OPTIONS without CORS",
            by(Method::OPTIONS),
            Refused(405, "POST"),
        ),
        (
            25,
            "a slash more",
            at("/v1/traces/"),
            Refused(404, "/v1/traces"),
        ),
        (
            25,
            "a slash more before",
            at("//v1/traces"),
            Refused(404, "/v1/traces"),
        ),
        (
            25,
            "a way around",
            at("/v1/../v1/traces"),
            Refused(404, "/v1/traces"),
        ),
        (
            25,
            "an escaped letter",
            at("/v1/%74races"),
            Refused(404, "/v1/traces"),
        ),
        (
            25,
            "upper case",
            at("/V1/traces"),
            Refused(404, "/v1/traces"),
        ),
        (25, "nothing", at("/"), Refused(404, "/v1/traces")),
        (25, "a question", at("/v1/traces?x=y"), forwarded()),
    ]
}

/// Rows 4 and 11: a byte more than the limit is refused for good, before and after decompression, and the
/// answer names the key. Who sends all of it first can read that.
#[tokio::test]
async fn the_limit_is_exact_and_told() {
    let backend = Backend::start().await;
    let mut config = config::with_http(backend.address);
    config::limit_requests(&mut config, 1);
    let slimspan = Slimspan::start(&config).await;
    let sender = slimspan.http_sender().await;
    let (largest, too_large) = (otlp::sized_span(MIB), otlp::sized_span(MIB + 1));
    let encodings = [
        "identity",
        "gzip",
        "zstd",
        "deflate",
        "snappy",
        "x-snappy-framed",
        "lz4",
    ];
    for encoding in encodings {
        let compressed = |message: &Bytes| match encoding {
            "identity" => message.to_vec(),
            "deflate" => zlib(message),
            name => compress(name, message),
        };
        let answer = sender
            .request(encoded(encoding, compressed(&largest)))
            .await;
        assert_eq!(answer.status, 200, "{answer:?}");
        let answer = sender
            .request(encoded(encoding, compressed(&too_large)))
            .await;
        assert_eq!(answer.status, 413, "{answer:?}");
        let told = answer.refusal(Form::Protobuf);
        assert!(told.message().contains("max_request_body_size"), "{told}");
    }
    let received = backend.received();
    assert_eq!(received.len(), encodings.len());
    assert!(received.iter().all(|one| one.message == largest));
    drop(sender);
    slimspan.stop_well().await;
}

/// So many times these zeros in one stream. There is nothing behind them, which nobody gets to see.
fn zlib_of_zeros(times: usize, zeros: &[u8]) -> Vec<u8> {
    let mut zlib = Compress::new(Compression::best(), true);
    let mut all = Vec::with_capacity(4 * MIB);
    // What follows such a flush needs nothing of what stands before it.
    zlib.compress_vec(zeros, &mut all, FlushCompress::Full)
        .unwrap();
    assert_eq!(zlib.total_in(), zeros.len() as u64);
    let first = all.len();
    zlib.compress_vec(zeros, &mut all, FlushCompress::Full)
        .unwrap();
    assert_eq!(zlib.total_in(), 2 * zeros.len() as u64);
    let again = all.split_off(first);
    all.extend(again.repeat(times - 1));
    all
}

/// Row 11: a gibibyte in a mebibyte or less is refused where it passes the limit, soon and in the memory of
/// the limit and half as much.
#[tokio::test]
async fn a_bomb_is_refused_within_bounded_memory() {
    let backend = Backend::start().await;
    let zeros = vec![0; 128 * MIB];
    let (mut most, mut slowest) = (0, Duration::ZERO);
    for encoding in ["gzip", "zstd", "deflate"] {
        let bomb = match encoding {
            "deflate" => zlib_of_zeros(8, &zeros),
            name => compress(name, &zeros).repeat(8),
        };
        let slimspan = Slimspan::start(&config::with_http(backend.address)).await;
        let sender = slimspan.http_sender().await;
        let before = slimspan.peak_memory();
        for _ in 0..3 {
            let begun = Instant::now();
            let answer = sender.request(encoded(encoding, bomb.clone())).await;
            let took = begun.elapsed();
            assert_eq!(answer.status, 413, "{answer:?}");
            assert!(took < soon_refused(), "{encoding}: {took:?}");
            slowest = slowest.max(took);
        }
        let grown = slimspan.peak_memory().saturating_sub(before);
        assert!(grown < 96 * MIB as u64, "{encoding}: {} MiB", grown >> 20);
        most = most.max(grown);
        drop(sender);
        slimspan.stop_well().await;
    }
    measured(
        "P18",
        "program::http, a bomb of 1 GiB",
        "refused within 200 ms and below 96 MiB: one and a half times the limit",
        format_args!(
            "{slowest:.0?} and {} MiB at most: gzip, zstd and deflate",
            most >> 20
        ),
    );
    assert!(backend.received().is_empty());
}

/// The same of snappy, of which few bytes become twenty times as many at most: twice the limit in 6 MiB, as a
/// block, which tells it, and as a stream; and of lz4, of which they become 255 times as many.
#[tokio::test]
async fn a_bomb_of_snappy_or_lz4_is_refused_within_bounded_memory() {
    let backend = Backend::start().await;
    let zeros = vec![0; 128 * MIB];
    for encoding in ["snappy", "x-snappy-framed", "lz4"] {
        let bomb = compress(encoding, &zeros);
        let slimspan = Slimspan::start(&config::with_http(backend.address)).await;
        let sender = slimspan.http_sender().await;
        let before = slimspan.peak_memory();
        for _ in 0..3 {
            let answer = sender.request(encoded(encoding, bomb.clone())).await;
            assert_eq!(answer.status, 413, "{answer:?}");
        }
        let grown = slimspan.peak_memory().saturating_sub(before);
        assert!(grown < 64 * MIB as u64, "{encoding}: {} MiB", grown >> 20);
        drop(sender);
        slimspan.stop_well().await;
    }
    assert!(backend.received().is_empty());
}
