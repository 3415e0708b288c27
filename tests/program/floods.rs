//! What a peer may do to HTTP/2, and what becomes of it: its connection ends, it has cost little, and
//! nobody else has noticed.
//!
//! Rows 26 to 32 of the inputs that must not hurt, but for what needs time. That is tested where time
//! can be turned: `connections::tests` (silence, answers that are never taken), `inflow::watched`
//! (headers and frames that stop in the middle, replies that are never read), `inflow::http2` (what
//! comes back with time) and `grpc::message` (bodies that trickle or stop). What becomes of others when
//! somebody keeps that up is in `strangers`.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bytes::Bytes;
use serde_json::json;
use slimspan_proto::Signal;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tonic::Status;

use super::strangers::OF_FRAMES;
use crate::support::backend::Backend;
use crate::support::frames::{self, announcement};
use crate::support::http::HttpSender;
use crate::support::http2::{
    CONTINUATION, DATA, END_HEADERS, END_STREAM, End, GOAWAY, HEADERS, PING, PRIORITY, Peer,
    Protocol, RST_STREAM, SETTINGS, WINDOW_UPDATE, data, frame,
};
use crate::support::measured::{bound, measured};
use crate::support::pages::Metrics;
use crate::support::sender::Sender;
use crate::support::slimspan::Slimspan;
use crate::support::{config, otlp, soon};

const MIB: u64 = 1 << 20;

/// What one flood may cost everyday: far more than it does, and far less than a flood that goes on.
pub(super) const CPU: Duration = Duration::from_secs(2);
const MEMORY: u64 = 24 * MIB;

/// Error codes (RFC 9113, section 7).
const REFUSED_STREAM: u32 = 7;
const ENHANCE_YOUR_CALM: u32 = 11;

/// What is told at the beginning is what is configured, to the byte.
#[tokio::test]
async fn the_limits_of_http2_are_told_in_the_first_frame() {
    let backend = Backend::start().await;
    let slimspan = Slimspan::start(&config::with_http(backend.address)).await;
    for (protocol, streams) in [(Protocol::Grpc, 100), (Protocol::Http, 32)] {
        let peer = Peer::connect(slimspan.listener(protocol)).await.unwrap();
        let told: Vec<(u16, u32)> = peer.settings.into_iter().collect();
        let (window, frame_size, header_list) = (256 << 10, 64 << 10, 16 << 10);
        let expected = [(3, streams), (4, window), (5, frame_size), (6, header_list)];
        assert_eq!(told, expected, "{protocol:?}");
        assert_eq!(peer.connection_window, 256 << 10, "{protocol:?}");
    }

    let mut config = config::standard(backend.address);
    config["receivers"]["otlp"]["protocols"]["grpc"]["max_concurrent_streams"] = 7.into();
    slimspan.stop_well().await;
    let slimspan = Slimspan::start(&config).await;
    let peer = Peer::connect(slimspan.addresses[0]).await.unwrap();
    assert_eq!(peer.settings.get(&3), Some(&7));
    slimspan.stop_well().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_flood_over_grpc_ends_its_own_connection_and_nothing_else() {
    each_flood_ends_its_own_connection(Protocol::Grpc, "gRPC").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_flood_over_http_ends_its_own_connection_and_nothing_else() {
    each_flood_ends_its_own_connection(Protocol::Http, "HTTP").await;
}

/// Each flood comes over a connection of its own, while a good sender sends over another.
async fn each_flood_ends_its_own_connection(protocol: Protocol, name: &str) {
    let backend = Backend::start().await;
    let slimspan = Slimspan::start(&config::with_http(backend.address)).await;
    let address = slimspan.listener(protocol);
    let good = Neighbour::of(&slimspan, protocol).await;
    let (mut count, mut most_cpu, mut most_memory) = (0, Duration::ZERO, 0);
    for (what, begin, go_on) in floods(protocol) {
        let answered = good.answered().await;
        let (cpu, memory) = (slimspan.cpu_time(), slimspan.peak_memory());
        let mut peer = Peer::connect(address).await.unwrap();
        peer.send(&begin).await.unwrap();
        let end = peer.flood(go_on).await;
        // Those on their way in buffers count, too.
        assert!(end.sent < 50_000, "{what}: {}", end.sent);
        let cpu = slimspan.cpu_time().saturating_sub(cpu);
        assert!(cpu < bound(OF_FRAMES, CPU), "{what}: {cpu:?}");
        let grown = slimspan.peak_memory().saturating_sub(memory);
        assert!(grown < MEMORY, "{what}: {} KiB", grown >> 10);
        expect(what, &end);
        assert!(good.answered().await > answered, "{what}");
        (most_cpu, most_memory) = (most_cpu.max(cpu), most_memory.max(grown));
        count += 1;
    }
    let sent = good.end().await;
    assert_eq!(backend.received().len(), sent);
    measured(
        "P17",
        &format!("program::floods, over {name}"),
        "its connection ends, below 50 ms of CPU and 24 MiB each, no error for others",
        format_args!(
            "{count} floods cut, at most {most_cpu:.2?} of CPU and {} KiB each; {sent} of {sent} \
             requests of a neighbour answered",
            most_memory >> 10
        ),
    );
    slimspan.stop_well().await;
}

/// What the peer is told, where HTTP/2 has words for it.
fn expect(what: &str, end: &End) {
    let goaways = end.of(GOAWAY);
    let told = |code: u32| goaways.iter().any(|one| one[4..8] == code.to_be_bytes());
    let resets = end.of(RST_STREAM);
    let refused = resets
        .iter()
        .filter(|one| **one == REFUSED_STREAM.to_be_bytes());
    match what {
        "26 streams" => {
            // All but those that may be open.
            assert!(refused.count() > 100, "{what}: {end:?}");
        }
        "28 made you reset" => assert!(resets.len() > 100, "{what}: {end:?}"),
        "31 hpack bomb" | "29 continuation" => {
            assert!(told(ENHANCE_YOUR_CALM), "{what}: {end:?}");
        }
        _ => {}
    }
}

pub(super) type Flood = (&'static str, Vec<u8>, Box<dyn Fn(u32) -> Vec<u8> + Send>);

/// What is sent once, and what is sent over and over.
pub(super) fn floods(to: Protocol) -> Vec<Flood> {
    fn flood(
        what: &'static str,
        begin: Vec<u8>,
        go_on: impl Fn(u32) -> Vec<u8> + Send + 'static,
    ) -> Flood {
        (what, begin, Box::new(go_on))
    }
    let same = |what, begin: Vec<u8>, frame: Vec<u8>| {
        // Many at a time: it is not this side that is to be slow.
        let frames = frame.repeat(100);
        flood(what, begin, move |_| frames.clone())
    };
    // A request that waits for the rest of its body.
    let open = || [to.request(1), data(1, &announcement(0, 1 << 20))].concat();
    let stream = |number: u32| 2 * number + 1;
    let window = |stream, more: u32| frame(WINDOW_UPDATE, 0, stream, &more.to_be_bytes());
    // A value of 3 KiB that is put into the table, and then named by a byte each time.
    let mut bomb = to.headers(&[]);
    bomb.extend_from_slice(&[0x40, 1, b'x', 0x7f, 0x81, 0x17]);
    bomb.extend_from_slice(&[b'y'; 3072]);
    bomb.extend_from_slice(&[0xbe; 12_000]);
    vec![
        flood("26 streams", vec![], move |n| to.request(stream(n))),
        flood("27 rapid reset", vec![], move |n| {
            let reset = frame(RST_STREAM, 0, stream(n), &8_u32.to_be_bytes());
            [to.request(stream(n)), reset].concat()
        }),
        flood("28 made you reset", vec![], move |n| {
            [to.request(stream(n)), window(stream(n), 0x7fff_ffff)].concat()
        }),
        same("28 made you reset, by data for what has ended", vec![], {
            let ended = frame(HEADERS, END_HEADERS | 1, 1, &to.headers(&[]));
            [ended, data(1, b"late")].concat()
        }),
        same(
            "29 continuation",
            frame(HEADERS, 0, 1, &to.headers(&[])),
            frame(CONTINUATION, 0, 1, &[]),
        ),
        same("30 empty data", open(), frame(DATA, 0, 1, &[])),
        same("30 one byte of data", open(), data(1, &[7])),
        flood("31 hpack bomb", vec![], move |n| {
            frame(HEADERS, END_HEADERS, stream(n), &bomb)
        }),
        same("32 settings", vec![], frame(SETTINGS, 0, 0, &[])),
        same("32 settings that change", vec![], {
            let window = |bytes: u32| [&[0, 4][..], &bytes.to_be_bytes()].concat();
            [
                frame(SETTINGS, 0, 0, &window(1)),
                frame(SETTINGS, 0, 0, &window(70_000)),
            ]
            .concat()
        }),
        same("32 ping", vec![], frame(PING, 0, 0, &[0; 8])),
        same(
            "32 priority",
            vec![],
            frame(PRIORITY, 0, 1, &[0, 0, 0, 3, 7]),
        ),
        same("32 window update of nothing", open(), window(0, 0)),
        same("32 window update", open(), window(1, 1)),
        same("32 what nobody knows", vec![], frame(0xfa, 0, 0, &[7; 64])),
    ]
}

/// Row 26 where it is no flood: requests beyond those that may be open are told that they were not begun, and the
/// others, and their connection, go on.
#[tokio::test]
async fn requests_beyond_those_that_may_be_open_are_refused() {
    const SENT: u32 = 150;
    const ASKED: [u8; 8] = [7; 8];
    let backend = Backend::start().await;
    let slimspan = Slimspan::start(&config::with_http(backend.address)).await;
    let span = otlp::plain_span(1);
    for (protocol, most, message) in [
        (Protocol::Grpc, 100, frames::frame(0, &span)),
        (Protocol::Http, 32, span.clone()),
    ] {
        let arrived = backend.count();
        let mut peer = Peer::connect(slimspan.listener(protocol)).await.unwrap();
        let streams: Vec<u32> = (0..SENT).map(|number| 2 * number + 1).collect();
        let mut requests: Vec<u8> = Vec::new();
        for stream in &streams {
            requests.extend(protocol.request(*stream));
        }
        // It is answered when all before it has been.
        requests.extend(frame(PING, 0, 0, &ASKED));
        peer.send(&requests).await.unwrap();
        let mut refused = Vec::new();
        loop {
            match peer.next_of_stream().await.unwrap() {
                (PING, _, _, asked) if asked == ASKED => break,
                (RST_STREAM, _, stream, why) => {
                    assert_eq!(why, REFUSED_STREAM.to_be_bytes(), "{protocol:?}: {stream}");
                    refused.push(stream);
                }
                (kind @ (HEADERS | GOAWAY), ..) => panic!("{protocol:?}: {kind}"),
                _ => {}
            }
        }
        assert_eq!(refused, streams[most..], "{protocol:?}");
        // The first of them becomes whole.
        let rest = frame(DATA, END_STREAM, 1, &message);
        peer.send(&rest).await.unwrap();
        assert_eq!(peer.status().await, Some(200), "{protocol:?}");
        assert!(peer.ask().await, "{protocol:?}");
        assert_eq!(backend.count(), arrived + 1, "{protocol:?}");
    }
    assert!(backend.received().iter().all(|one| one.message == span));
    slimspan.stop_well().await;
}

/// What is cut is counted by what its peer did; who goes away is not.
#[tokio::test]
async fn what_is_cut_is_counted() {
    let backend = Backend::start().await;
    let mut config = config::standard(backend.address);
    let exporter = json!({ "prometheus": { "port": 0 } });
    let readers = json!([{ "pull": { "exporter": exporter } }]);
    config["service"]["telemetry"]["metrics"] = json!({ "level": "basic", "readers": readers });
    let slimspan = Slimspan::start(&config).await;
    let address = slimspan.addresses[0];

    drop(Peer::connect(address).await.unwrap());
    drop(slimspan.sender().await);
    let mut half = TcpStream::connect(address).await.unwrap();
    half.write_all(b"PRI * HTTP/2.0\r\n").await.unwrap();
    drop(half);
    let pings = frame(PING, 0, 0, &[0; 8]).repeat(100);
    let idle = Peer::connect(address).await.unwrap();
    idle.flood(move |_| pings.clone()).await;
    let mut calm = Peer::connect(address).await.unwrap();
    let open = frame(HEADERS, 0, 1, &Protocol::Grpc.headers(&[]));
    calm.send(&open).await.unwrap();
    let go_on = frame(CONTINUATION, 0, 1, &[]).repeat(100);
    calm.flood(move |_| go_on.clone()).await;
    let mut other = TcpStream::connect(address).await.unwrap();
    other
        .write_all(&b"GET / HTTP/1.1\r\n\r\n".repeat(3))
        .await
        .unwrap();
    let _ = other.read_to_end(&mut Vec::new()).await;

    let metrics = async {
        loop {
            let metrics = Metrics::of(slimspan.page("telemetry")).await;
            if metrics.count("slimspan_connections_open", &[]) == 0 {
                return metrics;
            }
        }
    };
    let metrics = soon("all have ended", metrics).await;
    let cut = |fault: &str| {
        let fault = format!("fault=\"{fault}\"");
        metrics.count("slimspan_connections_cut_total", &[&fault])
    };
    assert_eq!((cut("idle_frames"), cut("protocol")), (1, 2));
    assert_eq!(metrics.count("slimspan_connections_cut_total", &[]), 3);
    slimspan.stop_well().await;
}

/// Requests that are taken back one by one, each when it has been taken up: nothing is left pending
/// that could be counted. The thousand that a peer may take back are enough for every good sender.
#[tokio::test]
async fn who_takes_back_everything_is_cut() {
    let backend = Backend::start().await;
    let slimspan = Slimspan::start(&config::with_http(backend.address)).await;
    let mut cut_after = Vec::new();
    for protocol in Protocol::ALL {
        let mut peer = Peer::connect(slimspan.listener(protocol)).await.unwrap();
        let mut taken_back = 0;
        for stream in (1..20_000).step_by(2) {
            let reset = frame(RST_STREAM, 0, stream, &8_u32.to_be_bytes());
            let is_open = peer.send(&protocol.request(stream)).await.is_ok()
                && peer.ask().await
                && peer.send(&reset).await.is_ok();
            if !is_open {
                break;
            }
            taken_back += 1;
        }
        // Some come back while the test runs, however slow it is.
        assert!(
            (1000..5000).contains(&taken_back),
            "{protocol:?}: {taken_back}"
        );
        cut_after.push(taken_back);
    }
    measured(
        "P17",
        "program::floods, requests taken back one by one",
        "cut after 1,000 and what time gives back",
        format_args!(
            "cut after {} over gRPC, {} over HTTP",
            cut_after[0], cut_after[1]
        ),
    );
    let sender = slimspan.sender().await;
    let span = otlp::plain_span(1);
    sender.send(Signal::Traces, &span).await.unwrap();
    slimspan.stop_well().await;
}

/// Row 31: headers that are too large, but no bomb, cost their request only, which is told why.
#[tokio::test]
async fn too_many_headers_cost_their_request_only() {
    let backend = Backend::start().await;
    let slimspan = Slimspan::start(&config::with_http(backend.address)).await;
    for (what, more, survives) in [
        (
            "17 KiB in one",
            vec![(&b"x"[..], vec![b'y'; 17 << 10])],
            true,
        ),
        ("600 of them", vec![(&b"x"[..], vec![]); 600], true),
        ("10,000 of them", vec![(&b"x"[..], vec![]); 10_000], false),
        (
            "a mebibyte",
            vec![(&b"x"[..], vec![b'y'; 200 << 10])],
            false,
        ),
    ] {
        let more: Vec<_> = more
            .iter()
            .map(|(name, value)| (*name, &value[..]))
            .collect();
        for protocol in Protocol::ALL {
            let mut peer = Peer::connect(slimspan.listener(protocol)).await.unwrap();
            let block = protocol.headers(&more);
            let (first, rest) = block.split_at(block.len().min(16 << 10));
            let mut frames = frame(HEADERS, 1, 1, first);
            for part in rest.chunks(16 << 10) {
                frames.extend(frame(CONTINUATION, 0, 1, part));
            }
            frames.extend(frame(CONTINUATION, END_HEADERS, 1, &[]));
            // Where they are far too many, the rest comes too late.
            let _ = peer.send(&frames).await;
            let told = peer.status().await;
            assert_eq!(told, survives.then_some(431), "{protocol:?}: {what}");
            assert_eq!(peer.ask().await, survives, "{protocol:?}: {what}");
        }
    }
    assert!(backend.received().is_empty());
    slimspan.stop_well().await;
}

/// A sender that sends one request after the other, each of which has to succeed.
struct Neighbour {
    stop: Arc<AtomicBool>,
    sending: tokio::task::JoinHandle<usize>,
    answered: tokio::sync::watch::Receiver<usize>,
}

impl Neighbour {
    async fn of(slimspan: &Slimspan, protocol: Protocol) -> Self {
        let way = Way::open(slimspan, protocol).await.unwrap();
        let stop = Arc::new(AtomicBool::new(false));
        let (tell, answered) = tokio::sync::watch::channel(0);
        let sending = tokio::spawn({
            let stop = Arc::clone(&stop);
            async move {
                let span = otlp::plain_span(1);
                let mut sent = 0;
                while !stop.load(Ordering::Relaxed) {
                    way.send(&span).await;
                    sent += 1;
                    tell.send_replace(sent);
                }
                sent
            }
        });
        Self {
            stop,
            sending,
            answered,
        }
    }

    /// How many requests have succeeded, one of them after this was asked.
    async fn answered(&self) -> usize {
        let mut answered = self.answered.clone();
        answered.mark_unchanged();
        soon("another request succeeds", answered.changed())
            .await
            .unwrap();
        *answered.borrow()
    }

    async fn end(self) -> usize {
        self.stop.store(true, Ordering::Relaxed);
        self.sending.await.unwrap()
    }
}

/// By which way a good sender sends, over a connection of its own. Clones share it.
#[derive(Clone)]
pub(super) enum Way {
    Grpc(Sender),
    Http(HttpSender),
}

impl Way {
    /// Connects; `None` where the connection is closed at once.
    pub(super) async fn open(slimspan: &Slimspan, protocol: Protocol) -> Option<Self> {
        let address = slimspan.listener(protocol);
        match protocol {
            Protocol::Grpc => Sender::try_connect(address).await.ok().map(Self::Grpc),
            Protocol::Http => HttpSender::try_connect(address).await.ok().map(Self::Http),
        }
    }

    pub(super) async fn send(&self, span: &Bytes) {
        self.try_send(span).await.unwrap();
    }

    pub(super) async fn try_send(&self, span: &Bytes) -> Result<Bytes, Status> {
        match self {
            Self::Grpc(sender) => sender.send(Signal::Traces, span).await,
            Self::Http(sender) => sender.send(Signal::Traces, span).await,
        }
    }
}
