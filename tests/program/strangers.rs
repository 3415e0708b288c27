//! P17: a stranger keeps something up beside good senders: as often as its connection is cut, it comes back
//! and goes on. Good senders get their answers about as fast as without it, and who comes meanwhile gets in.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures::future::join_all;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

use super::floods::{CPU as FLOOD, Flood, Way, floods};
use crate::support::backend::{Backend, Reply};
use crate::support::frames::announcement;
use crate::support::http2::{Peer, Protocol, data, hello, open_from};
use crate::support::measured::{bound, measured, seconds};
use crate::support::slimspan::Slimspan;
use crate::support::{config, otlp, soon};

const MIB: u64 = 1 << 20;

/// What requests in flight may take, and here the whole process.
const LIMIT: u64 = 256;

/// Good senders, and how long each pauses.
const GOOD: usize = 8;
const PAUSE: Duration = Duration::from_millis(5);

/// Where the stranger comes from. Good senders come from another address.
const HIS: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 2);

/// The connections that a listener may have, of which an address may have a quarter, and 64 for who says nothing.
const CONNECTIONS: u32 = 400;

/// So many connections a stranger holds that says little.
const HELD: usize = 16;

/// Who says nothing, or not enough, is let go after ten seconds, and what it takes to notice.
const LET_GO: Duration = Duration::from_secs(15);

/// So much longer the rest of a request of HTTP/1 is read that is refused already.
const READ_ON: Duration = Duration::from_secs(10);

/// A connection that is closed earlier was refused, and not let go for its silence.
const REFUSED: Duration = Duration::from_secs(5);

/// That others wait for longer is no accident of the machine where it is so as often.
const ATTEMPTS: usize = 3;

/// How long good senders are looked at without him: as long as an attack, but no longer than that.
const ALONE: Duration = Duration::from_secs(10);

/// What is below this is the machine's, whose few cores senders, strangers, slimspan and backend share.
const UNNOTICED: Duration = Duration::from_millis(10);

/// What a flood of the frames of row 32 may cost before it is cut: 5 % of a core, for who comes back every second.
pub(super) const OF_FRAMES: Duration = Duration::from_millis(50);

/// Somebody who attacks until he is told to end.
struct Stranger {
    attack: std::thread::JoinHandle<()>,
    told: Told,
}

#[derive(Clone, Default)]
struct Told {
    end: CancellationToken,
    /// How often a connection of his was cut.
    cuts: Arc<AtomicUsize>,
}

impl Told {
    fn goes_on(&self) -> bool {
        !self.end.is_cancelled()
    }

    fn cut(&self) {
        self.cuts.fetch_add(1, Ordering::Relaxed);
    }
}

impl Stranger {
    /// He stands for another machine, and has no more of this one than others leave. Everyday there are other
    /// tests beside him, which leave too little.
    fn begin<F: Future<Output = ()>>(attack: impl FnOnce(Told) -> F + Send + 'static) -> Self {
        let told = Told::default();
        let his = told.clone();
        let attack = std::thread::spawn(move || {
            let _ = rustix::process::nice(bound(19, 0));
            let mut runtime = tokio::runtime::Builder::new_current_thread();
            let runtime = runtime.enable_all().build().unwrap();
            runtime.block_on(attack(his));
        });
        Self { attack, told }
    }

    /// Ends it after the attack that is under way; how often he was cut.
    async fn end(self) -> usize {
        self.told.end.cancel();
        let joined = tokio::task::spawn_blocking(|| self.attack.join());
        assert!(joined.await.unwrap().is_ok(), "the attack failed");
        self.told.cuts.load(Ordering::Relaxed)
    }
}

/// Floods, is cut, and comes back.
async fn flood(address: SocketAddr, (_, begin, go_on): Flood, told: Told) {
    while told.goes_on() {
        let Some(mut peer) = Peer::connect_from(HIS, address).await else {
            continue;
        };
        if peer.send(&begin).await.is_ok() {
            peer.flood(&go_on).await;
        }
        told.cut();
    }
}

/// What comes over a connection until it is cut.
#[derive(Clone)]
struct Stream {
    what: &'static str,
    begin: Vec<u8>,
    /// What comes over and over behind that.
    more: Vec<u8>,
    /// How long there is nothing between two of these.
    pause: Duration,
    /// How long the other side may take to cut it.
    longest: Duration,
}

impl Stream {
    /// What begins so, and then stops.
    fn stops(what: &'static str, begin: impl Into<Vec<u8>>) -> Self {
        Self::drops(what, begin, "")
    }

    /// What begins so, and then goes on once in a second.
    fn drops(what: &'static str, begin: impl Into<Vec<u8>>, more: impl Into<Vec<u8>>) -> Self {
        Self {
            what,
            begin: begin.into(),
            more: more.into(),
            pause: Duration::from_secs(1),
            longest: LET_GO,
        }
    }

    /// The same as fast as it is read.
    fn floods(self) -> Self {
        Self {
            pause: Duration::ZERO,
            ..self
        }
    }

    /// The same in the body of a request of HTTP/1, whose answer comes in time, and its end later.
    fn in_body(self) -> Self {
        Self {
            longest: LET_GO + READ_ON,
            ..self
        }
    }

    /// A body that arrives just too slowly: 15 KiB in a second, where 16 are asked for.
    fn just_too_slow(begin: impl Into<Vec<u8>>, more: Vec<u8>) -> Self {
        Self {
            pause: Duration::from_millis(100),
            ..Self::drops("a body of 15 KiB/s", begin, more)
        }
    }

    /// Sends it over a connection of its own until that is cut.
    async fn pour(&self, address: SocketAddr) {
        let mut stream = open_from(HIS, address).await.unwrap();
        let (mut from, mut to) = stream.split();
        let mut heard = Vec::new();
        let pouring = async {
            let mut sent = to.write_all(&self.begin).await;
            while sent.is_ok() {
                if !self.pause.is_zero() {
                    tokio::time::sleep(self.pause).await;
                }
                sent = to.write_all(&self.more).await;
            }
            // What there is to hear is heard first.
            std::future::pending::<()>().await;
        };
        let begun = Instant::now();
        let end = async {
            tokio::select! {
                _ = from.read_to_end(&mut heard) => {}
                () = pouring => {}
            }
        };
        let ended = tokio::time::timeout(2 * self.longest, end).await;
        let (what, took) = (self.what, begun.elapsed());
        assert!(ended.is_ok() && took < self.longest, "{what}: {took:?}");
        let heard = String::from_utf8_lossy(&heard);
        assert!(!heard.contains("200 OK"), "{what}: {heard}");
    }
}

/// Each of them over some connections at a time. All have to be cut, again and again.
async fn keep_pouring(address: SocketAddr, streams: Vec<(usize, Stream)>, told: Told) {
    let told = &told;
    let each = streams.iter().flat_map(|(count, stream)| {
        (0..*count).map(move |_| async move {
            while told.goes_on() {
                stream.pour(address).await;
                told.cut();
            }
        })
    });
    join_all(each).await;
}

/// The beginning of a connection of HTTP/2 with a request whose body has begun.
fn open_body(protocol: Protocol) -> Vec<u8> {
    let begun = data(1, &announcement(0, 1 << 20));
    [hello(), protocol.request(1), begun].concat()
}

/// The beginning of a request of HTTP/1 with these lines.
fn head(more: &str) -> String {
    format!("POST /v1/traces HTTP/1.1\r\nhost: x\r\ncontent-type: application/x-protobuf\r\n{more}")
}

/// The beginning of a request of HTTP/1 whose body comes in chunks.
fn chunked(more: &str) -> String {
    head("transfer-encoding: chunked\r\n\r\n") + more
}

/// Silence, half of what opens a connection, and bodies that stop or trickle.
fn little(protocol: Protocol) -> Vec<(usize, Stream)> {
    let body = open_body(protocol);
    vec![
        (HELD, Stream::stops("nothing", "")),
        (
            HELD,
            Stream::stops("half of what opens a connection", "PRI * HTTP/2.0\r\n"),
        ),
        (HELD / 4, Stream::stops("a body that stops", body.clone())),
        (
            HELD / 4,
            Stream::drops("a body that trickles", body, data(1, &[0; 100])),
        ),
    ]
}

/// Bodies that are a little slower than they may be.
fn too_slow(protocol: Protocol) -> Vec<(usize, Stream)> {
    let part = vec![0; 1536];
    let over_http2 = Stream::just_too_slow(open_body(protocol), data(1, &part));
    let mut all = vec![(HELD, over_http2)];
    if protocol == Protocol::Http {
        let head = head("content-length: 1048576\r\n\r\n");
        all.push((HELD, Stream::just_too_slow(head, part).in_body()));
    }
    all
}

/// Requests of HTTP/1 that come in drops, each in another part of it.
fn in_drops() -> Vec<(usize, Stream)> {
    let each = [
        Stream::stops("half a head", head("x: ")),
        Stream::drops("a head byte by byte", head("x: "), "y"),
        Stream::drops("an extension byte by byte", chunked("1;"), "x").in_body(),
        Stream::drops("trailers line by line", chunked("0\r\n"), "x: y\r\n").in_body(),
    ];
    each.map(|stream| (HELD / 2, stream)).into()
}

/// Requests of HTTP/1 of which a part has no end.
fn without_end() -> [Stream; 3] {
    [
        Stream::drops("a head without end", head(""), "x: y\r\n".repeat(100)),
        Stream::drops("an extension without end", chunked("1;"), "x".repeat(4096)),
        Stream::drops(
            "trailers without end",
            chunked("0\r\n"),
            "x: y\r\n".repeat(100),
        ),
    ]
    .map(Stream::floods)
}

/// Opens connections as fast as it can, from so many addresses in turn, and says nothing: more than these may
/// have, so that some of them are always refused.
async fn connect(address: SocketAddr, addresses: u8, at_a_time: usize, told: Told) {
    let places = Arc::new(Semaphore::new(at_a_time));
    for turn in (0..addresses).cycle() {
        let place = tokio::select! {
            place = Arc::clone(&places).acquire_owned() => place,
            () = told.end.cancelled() => return,
        };
        let [a, b, c, d] = HIS.octets();
        let from = Ipv4Addr::new(a, b, c, d + turn);
        let Ok(mut stream) = open_from(from, address).await else {
            continue;
        };
        let (opened, told) = (Instant::now(), told.clone());
        tokio::spawn(async move {
            let _ = stream.read_to_end(&mut Vec::new()).await;
            if opened.elapsed() < REFUSED {
                told.cut();
            }
            drop(place);
        });
    }
}

/// Silence, half of what opens a connection, and bodies that stop, for less time than it takes to be let go.
async fn say_nothing(address: SocketAddr, told: Told) {
    let mut held = Vec::new();
    for (count, stream) in little(Protocol::Grpc) {
        for _ in 0..count {
            let mut connection = open_from(HIS, address).await.unwrap();
            connection.write_all(&stream.begin).await.unwrap();
            held.push(connection);
        }
    }
    told.end.cancelled().await;
}

/// A good sender, which gets in: also where the places of a stranger that has just gone are still taken.
async fn good(slimspan: &Slimspan, protocol: Protocol) -> Way {
    let span = otlp::plain_span(1);
    let gets_in = async {
        loop {
            if let Some(way) = Way::open(slimspan, protocol).await
                && way.try_send(&span).await.is_ok()
            {
                return way;
            }
        }
    };
    soon("a good sender gets in", gets_in).await
}

/// How long good senders wait for their answers meanwhile, all but one in a hundred of them.
async fn p99(senders: &[Way], time: Duration) -> Duration {
    let end = Instant::now() + time;
    let sending = senders.iter().map(|sender| {
        let sender = sender.clone();
        tokio::spawn(async move {
            let span = otlp::plain_span(1);
            let mut times = Vec::new();
            loop {
                let begun = Instant::now();
                sender.send(&span).await;
                times.push(begun.elapsed());
                if Instant::now() >= end {
                    return times;
                }
                tokio::time::sleep(PAUSE).await;
            }
        })
    });
    let mut times = Vec::new();
    for some in join_all(sending).await {
        times.extend(some.unwrap());
    }
    times.sort_unstable();
    times[times.len() * 99 / 100]
}

/// Something that a stranger keeps up.
struct Attack {
    what: &'static str,
    /// What it is kept up against, by which good senders send, too.
    protocol: Protocol,
    begin: Box<dyn Fn(SocketAddr) -> Stranger>,
    time: Duration,
    /// Whether it goes on for long enough to be cut.
    is_cut: bool,
    /// Whether nobody else can get in.
    takes_all: bool,
}

impl Attack {
    fn new<F: Future<Output = ()> + 'static>(
        what: &'static str,
        protocol: Protocol,
        time: Duration,
        attack: impl Fn(SocketAddr, Told) -> F + Clone + Send + 'static,
    ) -> Self {
        let begin = move |address| {
            let attack = attack.clone();
            Stranger::begin(move |told| attack(address, told))
        };
        Self {
            what,
            protocol,
            begin: Box::new(begin),
            time,
            is_cut: true,
            takes_all: false,
        }
    }

    /// The flood of that place in the table.
    fn flood(index: usize, protocol: Protocol, time: Duration) -> Self {
        let what = floods(protocol).swap_remove(index).0;
        Self::new(what, protocol, time, move |address, told| {
            flood(address, floods(protocol).swap_remove(index), told)
        })
    }

    /// All connections that a stranger may have from one address, and more, also than anybody may have there.
    fn connections_of_one(protocol: Protocol, time: Duration) -> Self {
        let attack = |address, told| connect(address, 1, CONNECTIONS as usize / 4 + 50, told);
        Self::new("connections of one address", protocol, time, attack)
    }

    /// All connections that there may be, and more.
    fn connections_of_all(protocol: Protocol, time: Duration) -> Self {
        // From so many addresses that those of strangers are all that there may be.
        let attack = |address, told| connect(address, 7, CONNECTIONS as usize + 50, told);
        Self {
            takes_all: true,
            ..Self::new("all connections", protocol, time, attack)
        }
    }

    /// These, each over some connections at a time.
    fn pouring(
        what: &'static str,
        protocol: Protocol,
        time: Duration,
        streams: Vec<(usize, Stream)>,
    ) -> Self {
        Self::new(what, protocol, time, move |address, told| {
            keep_pouring(address, streams.clone(), told)
        })
    }

    /// All that there is against one protocol.
    fn all(protocol: Protocol, each: Duration) -> Vec<Self> {
        let mut all: Vec<_> = (0..floods(protocol).len())
            .map(|index| Self::flood(index, protocol, each))
            .collect();
        let slow = each.max(LET_GO);
        let pouring = |what, time, streams| Self::pouring(what, protocol, time, streams);
        if protocol == Protocol::Http {
            for stream in without_end() {
                all.push(pouring(stream.what, each, vec![(1, stream)]));
            }
            all.push(pouring("requests in drops", slow, in_drops()));
        }
        all.push(pouring("little said", slow, little(protocol)));
        all.push(pouring("bodies of 15 KiB/s", slow, too_slow(protocol)));
        all.push(Self::connections_of_one(protocol, each));
        all.push(Self::connections_of_all(protocol, each));
        all
    }
}

/// From when on a wait is longer than alone, and no accident of the machine.
struct Noticed {
    times: f64,
    and: Duration,
}

/// What came of all attacks.
#[derive(Default)]
struct Kept {
    /// Each, and how often it was cut.
    cuts: Vec<String>,
    /// The longest wait beside one of them.
    beside: Duration,
    alone: Duration,
    what: &'static str,
    /// The largest part of a core that slimspan had meanwhile, in percent, good senders and all, and beside what.
    busy: (u128, &'static str),
    /// The most that a flood of frames took of that until it was cut.
    of_frames: Duration,
}

/// One attack after the other, beside good senders, none of which may notice.
#[expect(clippy::print_stderr, reason = "says what came of each attack")]
async fn keep_up(
    slimspan: &Slimspan,
    attacks: Vec<Attack>,
    alone_for: Duration,
    noticed: &Noticed,
) -> Kept {
    let mut kept = Kept::default();
    for attack in attacks {
        let Attack { what, protocol, .. } = attack;
        let address = slimspan.listener(protocol);
        let mut cuts = 0;
        // Where it is no accident, it is there as often.
        for attempt in 1..=ATTEMPTS {
            // A connection that lasted for all attacks would come of age.
            let senders = join_all((0..GOOD).map(|_| good(slimspan, protocol))).await;
            let alone = p99(&senders, alone_for).await;
            let (begun, busy) = (Instant::now(), slimspan.cpu_time());
            let stranger = (attack.begin)(address);
            let beside = p99(&senders, attack.time).await;
            if !attack.takes_all {
                good(slimspan, protocol).await;
            }
            let cut = stranger.end().await;
            assert!(cut > 0 || !attack.is_cut, "{what} goes on");
            cuts += cut;
            let busy = slimspan.cpu_time().saturating_sub(busy);
            let percent = 100 * busy.as_micros() / begun.elapsed().as_micros();
            kept.busy = kept.busy.max((percent, what));
            if what.starts_with("32 ") {
                let each = busy / u32::try_from(cut).unwrap();
                assert!(each < bound(OF_FRAMES, FLOOD), "{what}: {each:?} each");
                kept.of_frames = kept.of_frames.max(each);
            }
            let ratio = beside.as_secs_f64() / alone.as_secs_f64();
            eprintln!(
                "{what}: cut {cut} times, p99 {beside:.1?}, {alone:.1?} alone: {ratio:.2}, {percent} % of a core"
            );
            let is_noticed = ratio >= noticed.times && beside >= noticed.and;
            if is_noticed && attempt < ATTEMPTS {
                continue;
            }
            assert!(!is_noticed, "{what}: {beside:?}, {alone:?} alone");
            if beside > kept.beside {
                (kept.beside, kept.alone, kept.what) = (beside, alone, what);
            }
            break;
        }
        kept.cuts.push(format!("{what} {cuts}"));
    }
    kept
}

/// A slimspan that is to be attacked.
async fn attacked() -> (Backend, Slimspan) {
    let backend = Backend::replying_at(Backend::ANYWHERE, |_| async {
        Reply::Answer(Ok(Bytes::new()))
    })
    .await;
    let mut config = config::with_http(backend.address);
    config["processors"]["memory_limiter"]["limit_mib"] = LIMIT.into();
    let listeners = &mut config["receivers"]["otlp"]["protocols"];
    for listener in listeners.as_object_mut().unwrap().values_mut() {
        listener["max_connections"] = CONNECTIONS.into();
    }
    let slimspan = Slimspan::start(&config).await;
    (backend, slimspan)
}

/// Everyday, beside all other tests: a few attacks of a second each, with bounds that only what holds up
/// everybody goes beyond. A flood that is not cut is noticed by itself.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stranger_who_soon_tires_slows_nobody() {
    const EACH: Duration = Duration::from_millis(800);
    let (_backend, slimspan) = attacked().await;
    let flood = |protocol, what| {
        let all = floods(protocol);
        let index = all.iter().position(|flood| flood.0 == what).unwrap();
        Attack::flood(index, protocol, EACH)
    };
    let [_, extension, _] = without_end();
    let attacks = vec![
        flood(Protocol::Grpc, "27 rapid reset"),
        flood(Protocol::Http, "29 continuation"),
        Attack::pouring(extension.what, Protocol::Http, EACH, vec![(1, extension)]),
        Attack::connections_of_one(Protocol::Http, EACH),
        Attack {
            is_cut: false,
            ..Attack::new("nothing said", Protocol::Grpc, EACH, say_nothing)
        },
    ];
    let count = attacks.len();
    let noticed = Noticed {
        times: 20.0,
        and: Duration::from_secs(5),
    };
    let kept = keep_up(&slimspan, attacks, EACH / 4, &noticed).await;
    assert_eq!(kept.cuts.len(), count);
    let peak = slimspan.peak_memory() / MIB;
    assert!(peak <= LIMIT, "{peak} MiB");
    slimspan.stop_well().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "takes minutes: make soak"]
async fn a_stranger_slows_nobody_over_grpc() {
    a_stranger_slows_nobody(Protocol::Grpc, "gRPC").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "takes minutes: make soak"]
async fn a_stranger_slows_nobody_over_http() {
    a_stranger_slows_nobody(Protocol::Http, "HTTP").await;
}

/// Everything, for as long as it is said.
async fn a_stranger_slows_nobody(protocol: Protocol, name: &str) {
    let (_backend, slimspan) = attacked().await;
    let each = seconds("SLIMSPAN_STRANGER_SECONDS", Duration::from_secs(2));
    // What is only slow at first.
    let first = good(&slimspan, protocol).await;
    p99(&[first], Duration::from_secs(1)).await;

    let attacks = Attack::all(protocol, each);
    let noticed = Noticed {
        times: bound(2.0, 20.0),
        and: UNNOTICED,
    };
    let kept = keep_up(&slimspan, attacks, (each / 2).min(ALONE), &noticed).await;
    let peak = slimspan.peak_memory() / MIB;
    assert!(peak <= LIMIT, "{peak} MiB");
    slimspan.stop_well().await;
    let Kept {
        cuts,
        beside,
        alone,
        what,
        busy: (percent, busiest),
        of_frames,
    } = kept;
    let (count, cuts) = (cuts.len(), cuts.join(", "));
    let ratio = beside.as_secs_f64() / alone.as_secs_f64();
    measured(
        "P17",
        &format!("program::strangers, over {name}"),
        "p99 of 8 good senders < 2 times what it is alone, or 10 ms; at most 256 MiB, cut again and again; a flood of \
         frames costs < 50 ms of CPU, 5 % of a core for who comes back every second",
        format_args!(
            "{count} attacks, kept up for {each:?} each: p99 {beside:.1?} at most ({what}; {ratio:.2} times the \
             {alone:.1?} before it), {peak} MiB, {percent} % of a core at most ({busiest}), good senders and all, and \
             {of_frames:.2?} for a flood of frames; each was cut so often: {cuts}"
        ),
    );
}
