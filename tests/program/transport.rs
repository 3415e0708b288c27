//! What comes in the place of a sound call, row by row of the inputs that must not hurt: rows 1 to 17
//! and 35 to 37, as far as they are about gRPC. Rows 26 to 32 and 31 are in `floods`.
//!
//! Row 17 is here twice: once with the others, and once with all that a message may have, and the time that takes.
//! Rows that need more than one call are somewhere else: 3 in `grpc::message` (a stall), 4 in
//! `limits::the_limit_is_exact`, 11 in `limits` (bombs), 33 in `connections::tests` and
//! `inflow::watched` (replies that are not read), 34 in `connections::tests` (silence).

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use bytes::Bytes;
use slimspan_proto::Signal;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tonic::Code;

use super::floods::floods;
use super::http::bodies;
use crate::promises::exists;
use crate::support::backend::Backend;
use crate::support::canaries;
use crate::support::frames::{announcement, compress, frame};
use crate::support::http2::{
    self, CONTINUATION, DATA, END_HEADERS, END_STREAM, GOAWAY, HEADERS, Peer, Protocol,
};
use crate::support::measured::{bound, measured};
use crate::support::sender::{Call, PatientSender, open_body, retry_after};
use crate::support::slimspan::Slimspan;
use crate::support::{config, otlp, soon};

const MIB: usize = 1 << 20;

/// What becomes of a call.
#[derive(Debug)]
enum Expected {
    /// The backend gets these bytes.
    Forwarded(Bytes),
    /// A success that leads nowhere.
    Nothing,
    /// Not to be repeated; the message says why.
    Refused(Code, &'static str),
}

/// Each row is followed by good requests on its connection and on another one: they succeed, and the
/// row has cost no more than it may.
#[tokio::test]
async fn every_call_has_the_answer_that_its_row_says() {
    let backend = Backend::start().await;
    let slimspan = Slimspan::start(&config::standard(backend.address)).await;
    let same = slimspan.sender().await;
    let other = slimspan.sender().await;
    let good = otlp::plain_span(1);
    let mut forwarded = 0;
    let rows = rows();
    assert_none_is_left_out(rows.iter().map(|row| row.0));
    for (row, what, call, expected) in rows {
        let before = slimspan.peak_memory();
        let answer = same.call(call).await;
        let status = answer.status();
        let shown = || format!("{row} {what}: {answer:?}");
        match &expected {
            Expected::Forwarded(message) => {
                assert_eq!(status.code(), Code::Ok, "{}", shown());
                assert!(
                    backend.received()[forwarded].message == message,
                    "{row} {what}"
                );
                forwarded += 1;
            }
            Expected::Nothing => assert_eq!(status.code(), Code::Ok, "{}", shown()),
            Expected::Refused(code, says) => {
                assert_eq!(status.code(), *code, "{}", shown());
                assert!(status.message().contains(says), "{}", shown());
                assert_eq!(retry_after(status), None, "{}", shown());
            }
        }
        if status.code() == Code::Unimplemented {
            let accepted = &answer.headers["grpc-accept-encoding"];
            assert_eq!(accepted, "gzip,zstd,snappy,identity");
        }
        // The largest of them has 16 MiB.
        let grown = slimspan.peak_memory().saturating_sub(before);
        assert!(grown < 64 * MIB as u64, "{row} {what}: {} MiB", grown >> 20);
        for sender in [&same, &other] {
            let sent = sender.send(Signal::Traces, &good).await;
            sent.unwrap_or_else(|status| panic!("after {row} {what}: {status}"));
            forwarded += 1;
        }
        assert_eq!(backend.received().len(), forwarded, "{row} {what}");
    }
    let ended = slimspan.stop().await;
    assert!(!ended.stderr.contains(SECRET), "{}", ended.stderr);
}

/// Rows that need more than one call, or other connections than those of gRPC.
const ELSEWHERE: [(u32, &str); 14] = [
    (3, "grpc::message::tests::a_call_that_stalls_ends"),
    (4, "program::limits::the_limit_is_exact"),
    (
        11,
        "program::limits::a_bomb_is_refused_within_bounded_memory",
    ),
    (
        11,
        "program::http::bodies::a_bomb_is_refused_within_bounded_memory",
    ),
    (
        20,
        "program::http::connections::a_body_that_ends_early_is_not_acknowledged",
    ),
    (
        21,
        "program::http::connections::a_request_with_two_ends_is_none",
    ),
    (
        22,
        "program::http::connections::heads_extensions_and_trailers_have_an_end",
    ),
    (
        31,
        "program::floods::too_many_headers_cost_their_request_only",
    ),
    (
        33,
        "receivers::connections::tests::who_does_not_take_its_answers_is_cut",
    ),
    (
        33,
        "receivers::inflow::watched::tests::who_does_not_read_is_not_written_to_for_ever",
    ),
    (
        34,
        "receivers::connections::tests::who_says_nothing_is_closed",
    ),
    (
        34,
        "program::http::connections::a_head_that_does_not_become_whole_is_cut",
    ),
    (
        37,
        "program::transport::what_speaks_something_else_is_closed_at_once",
    ),
    (
        37,
        "program::http::connections::what_speaks_something_else_is_closed_at_once",
    ),
];

/// Each row of transport and framing has a test: one of these, one of HTTP, a flood, or one that is named.
fn assert_none_is_left_out(here: impl Iterator<Item = u32>) {
    let mut covered: BTreeSet<u32> = here.chain(bodies::ROWS).collect();
    for (what, ..) in floods(Protocol::Grpc) {
        let (number, _) = what.split_once(' ').unwrap();
        covered.insert(number.parse().unwrap());
    }
    for (number, test) in ELSEWHERE {
        assert!(exists(test), "row {number}: there is no {test}");
        covered.insert(number);
    }
    assert!(covered.into_iter().eq(1..=37), "rows are left out");
}

/// No base64, and nothing that anybody should read in a log.
const SECRET: &str = "hunter2!";

fn rows() -> Vec<(u32, &'static str, Call, Expected)> {
    use Code::{InvalidArgument, ResourceExhausted, Unimplemented};
    use Expected::{Forwarded, Nothing, Refused};

    let span = otlp::plain_span(1);
    let whole = |body: &[u8]| Call::whole(Bytes::copy_from_slice(body));
    let encoded =
        |name: &str, message: &[u8]| Call::whole(frame(1, message)).header("grpc-encoding", name);
    let claimed = |bytes: usize| [&announcement(0, bytes)[..], &[1, 2, 3]].concat();
    let malformed = |says| Refused(InvalidArgument, says);
    let gzip = compress("gzip", &span);
    let mut wrong_sum = gzip.clone();
    let sum = gzip.len() - 8;
    wrong_sum[sum] ^= 1;
    let mut wrong_size = gzip.clone();
    wrong_size[sum + 4] ^= 1;
    let (block, stream) = (
        compress("snappy", &span),
        compress("x-snappy-framed", &span),
    );
    let (first, second) = span.split_at(span.len() / 2);
    let members = |name| [compress(name, first), compress(name, second)].concat();
    let nested = compress("gzip", &compress("gzip", &vec![0; 16 * MIB]));
    // Magic number, a header without a size, the window as exponent and mantissa, an empty block.
    let window = |log: u8| [0x28, 0xb5, 0x2f, 0xfd, 0, (log - 10) << 3, 1, 0, 0];
    let good = || Call::whole(frame(0, &span));
    vec![
        (
            1,
            "2 GiB claimed",
            whole(&claimed(2 << 30)),
            Refused(ResourceExhausted, "max_recv_msg"),
        ),
        (
            2,
            "100 claimed, 3 sent",
            whole(&claimed(100)),
            malformed("ends before"),
        ),
        (
            2,
            "a byte less",
            Call::whole(frame(0, &span).slice(..span.len())),
            malformed("ends before"),
        ),
        (5, "flag 2", Call::whole(frame(2, &span)), malformed("flag")),
        (
            6,
            "compressed, but how?",
            Call::whole(frame(1, &span)),
            malformed("grpc-encoding"),
        ),
        (
            7,
            "br",
            encoded("br", b"?"),
            Refused(Unimplemented, "grpc-encoding"),
        ),
        (
            7,
            "GZIP",
            encoded("GZIP", &gzip),
            Refused(Unimplemented, "grpc-encoding"),
        ),
        (
            8,
            "two messages",
            whole(&[frame(0, &span), frame(0, &span)].concat()),
            malformed("more than one"),
        ),
        (9, "nothing", whole(&[]), malformed("ends before")),
        (9, "a byte", whole(&[0]), malformed("ends before")),
        (
            9,
            "a head",
            whole(&announcement(0, 7)),
            malformed("ends before"),
        ),
        (
            10,
            "a message of nothing",
            Call::whole(frame(0, b"")),
            Nothing,
        ),
        (
            10,
            "compressed nothing",
            encoded("gzip", &compress("gzip", b"")),
            Nothing,
        ),
        (
            12,
            "gzip in gzip",
            encoded("gzip", &nested),
            malformed("at byte"),
        ),
        (
            13,
            "half a gzip",
            encoded("gzip", &gzip[..gzip.len() / 2]),
            malformed("gzip"),
        ),
        (
            13,
            "a gzip without its end",
            encoded("gzip", &gzip[..sum]),
            malformed("gzip"),
        ),
        (
            13,
            "a wrong sum",
            encoded("gzip", &wrong_sum),
            malformed("gzip"),
        ),
        (
            13,
            "a wrong size",
            encoded("gzip", &wrong_size),
            malformed("gzip"),
        ),
        (
            13,
            "no gzip",
            encoded("gzip", b"garbage"),
            malformed("gzip"),
        ),
        (
            13,
            "no zstd",
            encoded("zstd", b"garbage"),
            malformed("zstd"),
        ),
        (
            13,
            "half a zstd",
            encoded("zstd", &compress("zstd", &span)[..20]),
            malformed("zstd"),
        ),
        (
            13,
            "half a snappy",
            encoded("snappy", &stream[..stream.len() / 2]),
            malformed("snappy"),
        ),
        (
            13,
            "no snappy",
            encoded("snappy", b"garbage"),
            malformed("snappy"),
        ),
        (
            13,
            "a block of snappy that would be 4 GiB",
            encoded("snappy", b"\xff\xff\xff\xff\x0f\x00a"),
            malformed("snappy"),
        ),
        (
            14,
            "two streams of snappy",
            encoded("snappy", &members("x-snappy-framed")),
            Forwarded(span.clone()),
        ),
        (
            14,
            "a block of snappy",
            encoded("snappy", &block),
            Forwarded(span.clone()),
        ),
        (
            14,
            "two gzip members",
            encoded("gzip", &members("gzip")),
            Forwarded(span.clone()),
        ),
        (
            14,
            "two zstd frames",
            encoded("zstd", &members("zstd")),
            Forwarded(span.clone()),
        ),
        (
            15,
            "garbage after gzip",
            encoded("gzip", &[&gzip[..], b"garbage"].concat()),
            malformed("gzip"),
        ),
        (
            15,
            "zeros after gzip",
            encoded("gzip", &[&gzip[..], &[0; 8]].concat()),
            malformed("gzip"),
        ),
        (
            15,
            "garbage after snappy",
            encoded("snappy", &[&stream[..], b"garbage"].concat()),
            malformed("snappy"),
        ),
        (
            15,
            "garbage after a block of snappy",
            encoded("snappy", &[&block[..], b"garbage"].concat()),
            malformed("snappy"),
        ),
        (
            16,
            "a window of 2 GiB",
            encoded("zstd", &window(31)),
            Refused(ResourceExhausted, "window"),
        ),
        (
            16,
            "a window of 16 MiB",
            encoded("zstd", &window(24)),
            Refused(ResourceExhausted, "window"),
        ),
        (
            16,
            "a window of 8 MiB",
            encoded("zstd", &window(23)),
            Nothing,
        ),
        (
            17,
            "a frame to skip",
            encoded("zstd", &skipped(16 * MIB)),
            malformed("zstd"),
        ),
        (
            17,
            "frames to skip",
            encoded("zstd", &skipped(0).repeat(MIB)),
            malformed("zstd"),
        ),
        (
            35,
            "99999999H",
            good().header("grpc-timeout", "99999999H"),
            Forwarded(span.clone()),
        ),
        (
            35,
            "abc",
            good().header("grpc-timeout", "abc"),
            malformed("grpc-timeout"),
        ),
        (
            35,
            "-1",
            good().header("grpc-timeout", "-1"),
            malformed("grpc-timeout"),
        ),
        (
            36,
            "bad base64",
            good().header("x-secret-bin", SECRET),
            malformed("x-secret-bin"),
        ),
        (
            36,
            "good base64",
            good().header("x-trace-bin", "AAEC"),
            Forwarded(span.clone()),
        ),
        (
            36,
            "eight bits",
            good().header("x-name", "caf\u{e9}"),
            malformed("x-name"),
        ),
    ]
}

/// So many bytes that are to be skipped.
type OfSize = fn(usize) -> Vec<u8>;

/// A frame of zstd that is to be skipped, with so many bytes in it.
fn skipped(size: usize) -> Vec<u8> {
    let mut skipped = vec![0x50, 0x2a, 0x4d, 0x18];
    skipped.extend_from_slice(&u32::try_from(size).unwrap().to_le_bytes());
    skipped.resize(8 + size, 0);
    skipped
}

/// Row 17 in full: with twice as many bytes of what is to be skipped it takes twice as long, however many frames
/// they are.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_to_be_skipped_takes_as_long_as_there_is_of_it() {
    /// The machine has other things to do, but not each time; and not so often.
    const TIMES: usize = 5;
    const MOST: usize = 30;
    let backend = Backend::start().await;
    let slimspan = Slimspan::start(&config::standard(backend.address)).await;
    let sender = slimspan.sender().await;
    // The largest that a message may be.
    let mib = bound(64, 4);
    let (mut worst, mut slowest) = (0.0_f64, Duration::ZERO);
    let kinds: [(&str, OfSize); 2] = [
        ("one frame", |size| skipped(size - 8)),
        ("frames of nothing", |size| skipped(0).repeat(size / 8)),
    ];
    for (what, of_size) in kinds {
        let messages = [mib / 2, mib].map(|mib| frame(1, &of_size(mib * MIB)));
        let mut least = [Duration::MAX; 2];
        let mut ratio = f64::INFINITY;
        // What goes over everything once more for each frame would take four times as long.
        let most = bound(2.3, 3.3);
        for times in 1..=MOST {
            for (message, least) in messages.iter().zip(&mut least) {
                let call = Call::whole(message.clone()).header("grpc-encoding", "zstd");
                let begun = Instant::now();
                let answer = sender.call(call).await;
                *least = begun.elapsed().min(*least);
                let status = answer.status();
                assert_eq!(status.code(), Code::InvalidArgument, "{what}: {status}");
            }
            ratio = least[1].as_secs_f64() / least[0].as_secs_f64();
            if times >= TIMES && ratio < most {
                break;
            }
        }
        let [half, whole] = least;
        assert!(ratio < most, "{what}: {whole:?}, {half:?} for half of it");
        (worst, slowest) = (worst.max(ratio), slowest.max(whole));
    }
    measured(
        "P20",
        "program::transport, zstd that is to be skipped",
        "doubling the input < 2.3x the time, up to 64 MiB",
        format_args!("{mib} MiB, as one frame and as many: at most {worst:.2}x, {slowest:.1?}"),
    );
    slimspan.stop_well().await;
}

/// Row 35: a deadline that is over before the request has come ends it before anything is done. The
/// usual client would not even tell.
#[tokio::test]
async fn a_deadline_that_is_over_ends_a_request_before_it_begins() {
    let backend = Backend::start().await;
    let slimspan = Slimspan::start(&config::standard(backend.address)).await;
    let sender = PatientSender::connect(slimspan.addresses[0]).await;
    let picture = frame(0, &otlp::span_with(otlp::PICTURE));
    let (half, never_whole) = open_body(picture.slice(..100));
    for (timeout, call, code) in [
        ("1n", Call::whole(picture.clone()), Code::DeadlineExceeded),
        ("50m", Call::traces(never_whole), Code::DeadlineExceeded),
        ("20S", Call::whole(picture), Code::Ok),
    ] {
        let call = call.header("grpc-timeout", timeout);
        let answer = sender.call(call).await;
        let status = answer.status();
        assert_eq!(status.code(), code, "{timeout}: {status}");
        let stored = slimspan.artifacts().join("default").exists();
        assert_eq!(stored, code == Code::Ok, "{timeout}");
    }
    assert_eq!(backend.received().len(), 1);
    drop((half, sender));
    slimspan.stop_well().await;
}

/// Row 36, where HTTP itself has no such values: nobody gets the call, and nobody reads the value in a log. Over HTTP/2
/// it ends its connection, which is told why, for what is compressed behind it cannot be read any more.
#[tokio::test]
async fn a_value_that_is_none_ends_its_call() {
    /// RFC 9113, section 7.
    const PROTOCOL_ERROR: u32 = 1;
    let backend = Backend::start().await;
    // It logs all that it can.
    let slimspan = canaries::start(config::with_http(backend.address)).await;
    let good = slimspan.sender().await;
    let span = otlp::plain_span(1);
    for odd in [b'\0', b'\n', b'\r'] {
        let value = [&b"a"[..], &[odd], SECRET.as_bytes()].concat();
        let shown = value.escape_ascii().to_string();
        for (protocol, message) in [
            (Protocol::Grpc, frame(0, &span)),
            (Protocol::Http, span.clone()),
        ] {
            let mut peer = Peer::connect(slimspan.listener(protocol)).await.unwrap();
            let block = protocol.headers(&[(b"x-secret", &value[..])]);
            let mut call = http2::frame(HEADERS, END_HEADERS, 1, &block);
            call.extend(http2::frame(DATA, END_STREAM, 1, &message));
            peer.send(&call).await.unwrap();
            let told = loop {
                match peer.next().await {
                    Some((GOAWAY, _, told)) => break told,
                    Some((HEADERS, ..)) => panic!("{protocol:?}, {shown}: it is answered"),
                    Some(_) => {}
                    None => panic!("{protocol:?}, {shown}: nothing is told"),
                }
            };
            assert_eq!(
                told[4..8],
                PROTOCOL_ERROR.to_be_bytes(),
                "{protocol:?}, {shown}"
            );
            while peer.next().await.is_some() {}
        }
        let request = [
            &b"POST /v1/traces HTTP/1.1\r\nhost: x\r\ncontent-length: 0\r\nx-secret: "[..],
            &value[..],
            b"\r\n\r\n",
        ];
        let address = slimspan.listener(Protocol::Http);
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.write_all(&request.concat()).await.unwrap();
        let mut told = Vec::new();
        let _ = soon("the connection ends", stream.read_to_end(&mut told)).await;
        let told = String::from_utf8_lossy(&told);
        assert!(told.starts_with("HTTP/1.1 400"), "{shown}: {told}");
        assert!(!told.contains(SECRET), "{shown}: {told}");
    }
    assert!(backend.received().is_empty());
    let span = otlp::plain_span(2);
    good.send(Signal::Traces, &span).await.unwrap();
    assert_eq!(backend.only(), span);
    let ended = slimspan.stop().await;
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    assert!(ended.stderr.contains("DEBUG"), "{}", ended.stderr);
    for said in [&ended.stderr, &ended.stdout] {
        assert!(!said.contains(SECRET), "{said}");
    }
}

/// The metadata of a call may have 16 KiB, as the headers of any request; whose has more is told so with the status of
/// HTTP for that, and its connection goes on.
#[tokio::test]
async fn metadata_of_more_than_16_kib_is_refused() {
    let backend = Backend::start().await;
    let slimspan = Slimspan::start(&config::standard(backend.address)).await;
    let span = otlp::plain_span(1);
    for (kib, expected) in [(15, 200), (17, 431)] {
        let long = vec![b'x'; kib << 10];
        let block = Protocol::Grpc.headers(&[(b"x-long", &long[..])]);
        let mut peer = Peer::connect(slimspan.addresses[0]).await.unwrap();
        // In frames as large as each side takes unless it is told otherwise.
        let (first, rest) = block.split_at(block.len().min(16 << 10));
        let mut call = http2::frame(HEADERS, 0, 1, first);
        call.extend(http2::frame(CONTINUATION, END_HEADERS, 1, rest));
        call.extend(http2::frame(DATA, END_STREAM, 1, &frame(0, &span)));
        peer.send(&call).await.unwrap();
        assert_eq!(peer.status().await, Some(expected), "{kib} KiB");
        assert!(peer.ask().await, "{kib} KiB");
    }
    assert_eq!(backend.only(), span);
    slimspan.stop_well().await;
}

/// Row 37: what is not HTTP/2 is told by its first bytes and closed, without waiting for more.
#[tokio::test]
async fn what_speaks_something_else_is_closed_at_once() {
    let backend = Backend::start().await;
    let slimspan = Slimspan::start(&config::standard(backend.address)).await;
    let good = slimspan.sender().await;
    let tls = [&[0x16, 3, 1, 2, 0, 1, 0, 1, 0xfc, 3, 3][..], &[7; 500]].concat();
    for (number, (what, bytes)) in [
        (
            "the proxy protocol",
            &b"PROXY TCP4 192.0.2.1 192.0.2.2 5000 4317\r\n"[..],
        ),
        (
            "its second version",
            b"\r\n\r\n\0\r\nQUIT\n\x21\x11\x00\x0c",
        ),
        ("HTTP/0.9", b"GET /\r\n"),
        (
            "HTTP/1.1",
            b"POST /v1/traces HTTP/1.1\r\nhost: x\r\ncontent-length: 0\r\n\r\n",
        ),
        ("TLS", &tls),
        ("nearly HTTP/2", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\x0b"),
        (
            "no frame of settings",
            b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\nPOST /v1/traces HTTP/1.1",
        ),
    ]
    .into_iter()
    .enumerate()
    {
        let mut stream = TcpStream::connect(slimspan.addresses[0]).await.unwrap();
        stream.write_all(bytes).await.unwrap();
        let begun = tokio::time::Instant::now();
        // An error where the rest of it was never read.
        let _ = soon(what, stream.read_to_end(&mut Vec::new())).await;
        // Not only because nothing more came.
        assert!(begun.elapsed().as_secs() < 5, "{what}");
        let span = otlp::plain_span(number as u64);
        good.send(Signal::Traces, &span).await.unwrap();
        assert_eq!(backend.received().len(), number + 1, "{what}");
    }
    slimspan.stop_well().await;
}
