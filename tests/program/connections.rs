//! How many connections there may be, and what one may cost.

use std::net::Ipv4Addr;

use bytes::Bytes;
use futures::future::join_all;
use serde_json::{Value, json};
use slimspan_proto::Signal;
use tokio::task::JoinSet;

use super::floods::Way;
use crate::support::backend::Backend;
use crate::support::frames::announcement;
use crate::support::http2::{self, Peer, Protocol};
use crate::support::measured::measured;
use crate::support::pages::Metrics;
use crate::support::sender::{Call, open_body};
use crate::support::slimspan::Slimspan;
use crate::support::{config, otlp, soon};

const MIB: usize = 1 << 20;

fn limit(config: &mut Value, key: &str, connections: u32) {
    let listeners = &mut config["receivers"]["otlp"]["protocols"];
    for listener in listeners.as_object_mut().unwrap().values_mut() {
        listener[key] = connections.into();
    }
}

/// One more is closed rather than left waiting, and gets in when another has gone.
#[tokio::test]
async fn one_connection_more_than_allowed_is_closed_at_once() {
    let backend = Backend::start().await;
    let mut config = config::standard(backend.address);
    limit(&mut config, "max_connections", 2);
    limit(&mut config, "max_connections_per_address", 2);
    let mut slimspan = Slimspan::start(&config).await;
    let address = slimspan.addresses[0];
    let sender = slimspan.sender().await;
    let other = Peer::connect(address).await.unwrap();
    sender
        .send(Signal::Traces, &otlp::plain_span(1))
        .await
        .unwrap();

    for _ in 0..10 {
        assert!(Peer::connect(address).await.is_none());
    }
    slimspan.logs("max_connections allows no more").await;
    // Those that are there notice nothing.
    sender
        .send(Signal::Traces, &otlp::plain_span(2))
        .await
        .unwrap();
    drop(other);
    let gets_in = async { while Peer::connect(address).await.is_none() {} };
    soon("a place is free", gets_in).await;

    let ended = slimspan.stop().await;
    let told = ended.stderr.matches("max_connections").count();
    assert_eq!(told, 1, "a flood is not told one by one: {}", ended.stderr);
    let (_, refused) = ended.stderr.rsplit_once("connections refused ").unwrap();
    let refused = refused.split(',').next().unwrap_or_default();
    assert!(
        refused.trim().parse::<u32>().unwrap() >= 10,
        "{}",
        ended.stderr
    );
}

/// One address that takes all it can get leaves the rest to others, over each protocol: a quarter is its own,
/// or what is configured.
#[tokio::test]
async fn who_takes_all_that_an_address_may_leaves_the_rest_to_others() {
    const GREEDY: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 2);
    let backend = Backend::start().await;
    for (given, its_own) in [(None, 3), (Some(5), 5)] {
        let mut config = config::with_http(backend.address);
        limit(&mut config, "max_connections", 12);
        if let Some(given) = given {
            limit(&mut config, "max_connections_per_address", given);
        }
        let mut slimspan = Slimspan::start(&config).await;
        let mut taken = Vec::new();
        for address in [slimspan.addresses[0], slimspan.http_addresses[0]] {
            for _ in 0..its_own {
                let mut peer = Peer::connect_from(GREEDY, address).await.unwrap();
                // Who has asked for something is not let go for its silence.
                peer.send(&http2::request(1)).await.unwrap();
                taken.push(peer);
            }
            for _ in 0..20 {
                assert!(Peer::connect_from(GREEDY, address).await.is_none());
            }
        }
        let told = "max_connections_per_address allows no more";
        slimspan.logs_times(told, 2).await;
        let span = otlp::plain_span(1);
        let grpc = slimspan.sender().await;
        grpc.send(Signal::Traces, &span).await.unwrap();
        let http = slimspan.http_sender().await;
        http.send(Signal::Traces, &span).await.unwrap();
        // Who goes away leaves a place to whoever comes next from there.
        taken.truncate(2 * its_own - 1);
        let address = slimspan.http_addresses[0];
        let gets_in = async { while Peer::connect_from(GREEDY, address).await.is_none() {} };
        soon("a place is free", gets_in).await;
        drop((taken, http));
        slimspan.stop_well().await;
    }
}

/// Who only connects takes few of the places of its address: those who have sent something go on, and whoever sends
/// something leaves its place to the next. So it is over each protocol.
#[tokio::test]
async fn an_address_has_few_places_for_strangers() {
    const STRANGERS: usize = 64;
    let backend = Backend::start().await;
    let mut slimspan = Slimspan::start(&config::with_http(backend.address)).await;
    let span = otlp::plain_span(1);
    for protocol in Protocol::ALL {
        let address = slimspan.listener(protocol);
        let known = Way::open(&slimspan, protocol).await.unwrap();
        known.send(&span).await;
        let mut strangers = Vec::new();
        for _ in 0..STRANGERS {
            let mut peer = Peer::connect(address).await.unwrap();
            // Who has begun a request is not let go for its silence.
            peer.send(&protocol.request(1)).await.unwrap();
            strangers.push(peer);
        }
        for _ in 0..10 {
            assert!(Peer::connect(address).await.is_none(), "{protocol:?}");
        }
        known.send(&span).await;
        let elsewhere = Ipv4Addr::new(127, 0, 0, 3);
        assert!(Peer::connect_from(elsewhere, address).await.is_some());

        // Somebody who goes away leaves a place, and no more than one.
        strangers.pop();
        let gets_in = async {
            loop {
                if let Some(peer) = Peer::connect(address).await {
                    return peer;
                }
            }
        };
        strangers.push(soon("a place is free", gets_in).await);
        assert!(Peer::connect(address).await.is_none(), "{protocol:?}");

        // So does somebody whose request becomes whole, and then those who only come to send get in one by one.
        let nothing_in_it = match protocol {
            Protocol::Grpc => announcement(0, 0).freeze(),
            Protocol::Http => Bytes::new(),
        };
        let end = http2::frame(http2::DATA, http2::END_STREAM, 1, &nothing_in_it);
        strangers[0].send(&end).await.unwrap();
        assert!(strangers[0].answered().await, "{protocol:?}");
        let mut senders = Vec::new();
        for _ in 0..3 {
            let sender = Way::open(&slimspan, protocol).await.unwrap();
            sender.send(&span).await;
            senders.push(sender);
        }
    }
    slimspan
        .logs_times("max_strangers_per_address allows no more", 2)
        .await;
    slimspan.stop_well().await;
}

/// A peer that has begun a request, at a listener with these parameters.
async fn asking(parameters: Value) -> (Slimspan, Peer) {
    let backend = Backend::start().await;
    let mut config = config::standard(backend.address);
    let grpc = &mut config["receivers"]["otlp"]["protocols"]["grpc"];
    grpc["keepalive"]["server_parameters"] = parameters;
    let slimspan = Slimspan::start(&config).await;
    let mut peer = Peer::connect(slimspan.addresses[0]).await.unwrap();
    peer.send(&http2::request(1)).await.unwrap();
    (slimspan, peer)
}

/// As with `keepalive` of the Collector, though what holds without it is another age, and another silence.
#[tokio::test]
async fn how_long_connections_live_may_be_said() {
    let told_to_go = async |peer: &mut Peer| {
        let told = async {
            while let Some((kind, ..)) = peer.next().await {
                if kind == http2::GOAWAY {
                    return true;
                }
            }
            false
        };
        soon("it is told to connect again", told).await
    };
    let old = async {
        let (slimspan, mut peer) = asking(json!({ "max_connection_age": "3s" })).await;
        assert!(told_to_go(&mut peer).await);
        drop(peer);
        slimspan.stop_well().await;
    };
    let idle = async {
        let (slimspan, mut peer) = asking(json!({ "max_connection_idle": "200ms" })).await;
        let taken_back = http2::frame(http2::RST_STREAM, 0, 1, &[0, 0, 0, 8]);
        peer.send(&taken_back).await.unwrap();
        assert!(told_to_go(&mut peer).await);
        drop(peer);
        slimspan.stop_well().await;
    };
    // It hears the question, and does not answer.
    let silent = async {
        let (slimspan, mut peer) = asking(json!({ "time": "2s", "timeout": "2s" })).await;
        let cut = async { while peer.next().await.is_some() {} };
        soon("it is cut", cut).await;
        slimspan.stop_well().await;
    };
    tokio::join!(old, idle, silent);
}

/// Whose request stops arriving has its answer, and is told to connect again; what had come of it takes no memory any
/// more.
#[tokio::test]
async fn who_lets_a_request_stall_is_told_to_go() {
    // Less than what has to come in ten seconds, and a frame has room for it.
    const CAME: usize = 48 << 10;
    const TAKEN: &str = "slimspan_memory_in_flight_bytes";
    let backend = Backend::start().await;
    let mut config = config::with_http(backend.address);
    let exporter = json!({ "prometheus": { "port": 0 } });
    let readers = json!([{ "pull": { "exporter": exporter } }]);
    config["service"]["telemetry"]["metrics"] = json!({ "level": "basic", "readers": readers });
    let slimspan = Slimspan::start(&config).await;
    let stalling = Protocol::ALL.map(async |protocol| {
        let mut peer = Peer::connect(slimspan.listener(protocol)).await.unwrap();
        let begun = [&announcement(0, MIB)[..], &vec![7; CAME]].concat();
        let request = [protocol.request(1), http2::data(1, &begun)].concat();
        peer.send(&request).await.unwrap();
        let (mut is_answered, mut is_told) = (false, false);
        while let Some((kind, ..)) = peer.next().await {
            is_answered |= kind == http2::HEADERS;
            is_told |= kind == http2::GOAWAY;
        }
        assert!(is_answered && is_told, "{protocol:?}");
    });
    let least = (CAME * Protocol::ALL.len()) as u64;
    let charged = async {
        let metrics = async || Metrics::of(slimspan.page("telemetry")).await;
        while metrics().await.count(TAKEN, &[]) < least {}
    };
    tokio::join!(join_all(stalling), soon("both are in memory", charged));
    // And for no other reason, of which there are some later on.
    let metrics = async {
        loop {
            let metrics = Metrics::of(slimspan.page("telemetry")).await;
            if metrics.count("slimspan_connections_cut_total", &[]) == Protocol::ALL.len() as u64 {
                return metrics;
            }
        }
    };
    let metrics = soon("both are counted", metrics).await;
    let stalled = metrics.count("slimspan_connections_cut_total", &["fault=\"stalled\""]);
    assert_eq!(stalled, Protocol::ALL.len() as u64);
    assert_eq!(metrics.count(TAKEN, &[]), 0);
    slimspan.stop_well().await;
}

/// Who comes while the system can open nothing more waits, and is served when it can again.
#[tokio::test]
async fn running_out_of_files_is_told_and_survived() {
    let backend = Backend::start().await;
    let mut slimspan = Slimspan::start(&config::standard(backend.address)).await;
    let early = slimspan.sender().await;
    let span = otlp::plain_span(1);
    early.send(Signal::Traces, &span).await.unwrap();

    let before = slimspan.limit_open_files(Some(3));
    let address = slimspan.addresses[0];
    let late = tokio::spawn(async move { Peer::connect(address).await });
    slimspan.logs("cannot accept connections").await;
    early.send(Signal::Traces, &span).await.unwrap();
    assert!(!late.is_finished());
    slimspan.limit_open_files(before);
    assert!(late.await.unwrap().is_some());
    slimspan.stop_well().await;
}

/// What connections pin when nobody reads what they send: as much as they are allowed, in frames
/// that cost the most for their size, and a frame that is never whole.
#[tokio::test]
async fn what_connections_pin_beside_requests_is_bounded() {
    const PEERS: usize = 40;
    let backend = Backend::start().await;
    let mut config = config::standard(backend.address);
    config::limit_requests(&mut config, 4);
    config["processors"]["memory_limiter"]["limit_mib"] = 20.into();
    config["processors"]["memory_limiter"]["spike_limit_mib"] = 1.into();
    let slimspan = Slimspan::start(&config).await;
    let address = slimspan.addresses[0];

    // Two requests that never end take the whole budget, so that nothing else is read. Where one is
    // given up for that, it comes again.
    let mut greedy: JoinSet<()> = JoinSet::new();
    for _ in 0..2 {
        let request = otlp::sized_span(7 * MIB / 2);
        let mut beginning = announcement(0, request.len());
        beginning.extend_from_slice(&request[..request.len() - 1]);
        let beginning = beginning.freeze();
        let sender = slimspan.sender().await;
        greedy.spawn(async move {
            loop {
                let (_more, body) = open_body(beginning.clone());
                let _ = sender.try_call(Call::traces(body)).await;
            }
        });
    }
    let sender = slimspan.sender().await;
    let full = async {
        while sender
            .send(Signal::Traces, &otlp::sized_span(MIB))
            .await
            .is_ok()
        {}
    };
    soon("the budget is taken", full).await;
    let before = slimspan.peak_memory();
    let mut peers = Vec::new();
    for _ in 0..PEERS {
        peers.push(Peer::connect(address).await.unwrap());
    }
    assert_eq!(peers[0].connection_window, MIB / 4);
    assert_eq!(peers[0].frame_size, MIB / 16);
    let most = 2 * (peers[0].connection_window + peers[0].frame_size);
    let all = all_that_is_allowed(&peers[0]);
    let frame = http2::data(1, &vec![0; peers[0].frame_size]);
    let never_whole = &frame[..frame.len() - 1];
    let sending = peers.iter_mut().map(async |peer| {
        peer.send(&all).await.unwrap();
        assert!(peer.ask().await);
        peer.send(never_whole).await.unwrap();
    });
    join_all(sending).await;
    let grown = slimspan.peak_memory().saturating_sub(before);
    assert!(grown < (PEERS * most) as u64, "{} MiB", grown >> 20);
    // They would be waited for.
    greedy.shutdown().await;
    drop(peers);
    slimspan.stop_well().await;
    measured(
        "P17",
        "program::connections, what connections pin",
        &format!(
            "below {} MiB for {PEERS}, as documented",
            (PEERS * most) >> 20
        ),
        format_args!("{} MiB", grown >> 20),
    );
}

/// Requests that take the whole window of a connection, in the frames that cost the most for their
/// size without being counted as a flood.
fn all_that_is_allowed(peer: &Peer) -> Vec<u8> {
    let mut all = Vec::new();
    let mut left = peer.connection_window;
    for stream in (1..).step_by(2) {
        if left == 0 {
            break;
        }
        let window = peer.stream_window.min(left);
        left -= window;
        let mut body = announcement(0, 4 * MIB);
        body.resize(window, 0);
        all.extend_from_slice(&http2::request(stream));
        for part in body.chunks(256) {
            all.extend_from_slice(&http2::data(stream, part));
        }
    }
    all
}

/// Requests whose heads are as large as they may be, in as many headers, and whose bodies do not come, pin no more
/// than is documented. Of more headers than that, each of which is a byte where it comes, none stays.
#[tokio::test]
async fn the_heads_of_requests_pin_no_more_than_is_said() {
    const PEERS: usize = 8;
    const STREAMS: u32 = 100;
    const REQUESTS: usize = PEERS * STREAMS as usize;
    // A head, and what serves its request.
    const HEAD: usize = 40 << 10;
    let backend = Backend::start().await;
    let slimspan = Slimspan::start(&config::standard(backend.address)).await;
    let address = slimspan.addresses[0];
    let sender = slimspan.sender().await;
    let span = otlp::plain_span(1);
    sender.send(Signal::Traces, &span).await.unwrap();
    let before = slimspan.memory();
    let mut peers = Vec::new();
    for _ in 0..PEERS {
        peers.push(Peer::connect(address).await.unwrap());
    }

    // One header is put into the table, and then named by a byte each time.
    let mut many = Protocol::Grpc.headers(&[]);
    many.extend_from_slice(&[0x40, 1, b'a', 0]);
    many.extend_from_slice(&[0xbe; 480]);
    let refused = peers.iter_mut().map(async |peer| {
        for number in 0..STREAMS {
            let flags = http2::END_HEADERS | http2::END_STREAM;
            let request = http2::frame(http2::HEADERS, flags, 2 * number + 1, &many);
            peer.send(&request).await.unwrap();
        }
        for _ in 0..STREAMS {
            assert!(peer.answered().await);
        }
    });
    join_all(refused).await;

    let names: Vec<String> = (0..90).map(|number| format!("x{number:03}")).collect();
    let value = [b'v'; 130];
    let large = names.iter().map(|name| (name.as_bytes(), &value[..]));
    let large = Protocol::Grpc.headers(&large.collect::<Vec<_>>());
    let waiting = peers.iter_mut().map(async |peer| {
        for number in STREAMS..2 * STREAMS {
            let stream = 2 * number + 1;
            let head = http2::frame(http2::HEADERS, http2::END_HEADERS, stream, &large);
            peer.send(&head).await.unwrap();
            let begun = http2::data(stream, &announcement(0, MIB));
            peer.send(&begun).await.unwrap();
        }
        assert!(peer.ask().await);
    });
    join_all(waiting).await;
    let most = slimspan.peak_memory().saturating_sub(before);
    let bound = PEERS * (640 << 10) + REQUESTS * HEAD;
    assert!(most < bound as u64, "{} MiB", most >> 20);
    // Nobody who keeps to the rules notices.
    sender.send(Signal::Traces, &span).await.unwrap();
    assert_eq!(backend.received().len(), 2);
    measured(
        "P17",
        "program::connections, the heads of requests",
        &format!(
            "below {} MiB for {REQUESTS} at once, as documented",
            bound >> 20
        ),
        format_args!("{} MiB", most >> 20),
    );
    // They would be waited for.
    drop(peers);
    slimspan.stop_well().await;
}
