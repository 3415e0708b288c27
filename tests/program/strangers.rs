//! P17: a stranger keeps something up beside good senders: as often as its connection is cut, it comes back
//! and goes on. Good senders get their answers about as fast as without it.

use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures::future::join_all;
use slimspan_proto::Signal;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio_util::sync::CancellationToken;
use tonic::Code;

use super::floods::{Flood, floods};
use crate::support::backend::{Backend, Reply};
use crate::support::frames::announcement;
use crate::support::http2::{self, Peer, Protocol};
use crate::support::measured::{bound, measured, seconds};
use crate::support::sender::{Answer, Call, Sender, open_body};
use crate::support::slimspan::Slimspan;
use crate::support::{config, otlp};

const MIB: u64 = 1 << 20;

/// What requests in flight may take, and here the whole process.
const LIMIT: u64 = 256;

/// Good senders, and how long each pauses.
const GOOD: usize = 8;
const PAUSE: Duration = Duration::from_millis(5);

/// So many connections a stranger holds that says little.
const HELD: usize = 16;

/// Who says nothing, or not enough, is let go after ten seconds, and what it takes to notice.
const LET_GO: Duration = Duration::from_secs(15);

/// That others wait for longer is no accident of the machine where it is so as often.
const ATTEMPTS: usize = 3;

/// How long good senders are looked at without him: as long as an attack, but no longer than that.
const ALONE: Duration = Duration::from_secs(10);

/// What is below this is the machine's, whose few cores senders, strangers, slimspan and backend share.
const UNNOTICED: Duration = Duration::from_millis(10);

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
        let Some(mut peer) = Peer::connect(address).await else {
            continue;
        };
        if peer.send(&begin).await.is_ok() {
            peer.flood(&go_on).await;
        }
        told.cut();
    }
}

/// Silence, half of what opens a connection, and bodies that stop or trickle, all at a time. Each has to
/// be let go.
async fn say_little(address: SocketAddr, told: Told) {
    let told = &told;
    let let_go = async |what: &str, end: Pin<Box<dyn Future<Output = ()>>>| {
        let begun = Instant::now();
        let ended = tokio::time::timeout(2 * LET_GO, end).await;
        let took = begun.elapsed();
        assert!(ended.is_ok() && took < LET_GO, "{what}: {took:?}");
        told.cut();
    };
    let half = async |hello: &'static str| {
        while told.goes_on() {
            let mut stream = TcpStream::connect(address).await.unwrap();
            stream.write_all(hello.as_bytes()).await.unwrap();
            let end = Box::pin(async move {
                let _ = stream.read_to_end(&mut Vec::new()).await;
            });
            let_go(hello, end).await;
        }
    };
    let body = async |trickle: usize| {
        while told.goes_on() {
            let sender = Sender::connect(address).await;
            let (more, body) = open_body(announcement(0, 1 << 20).freeze());
            let end = Box::pin(async move {
                let trickling = async {
                    loop {
                        let _ = more.unbounded_send(vec![0; trickle].into());
                        tokio::time::sleep(Duration::from_secs(1)).await;
                    }
                };
                tokio::select! {
                    answer = sender.try_call(Call::traces(body)) => {
                        let is_ok = |answer: &Answer| answer.status().code() == Code::Ok;
                        assert!(!answer.is_ok_and(|answer| is_ok(&answer)));
                    }
                    () = trickling => {}
                }
            });
            let_go("a body", end).await;
        }
    };
    tokio::join!(
        join_all((0..HELD).map(|_| half(""))),
        join_all((0..HELD).map(|_| half("PRI * HTTP/2.0\r\n"))),
        join_all((0..HELD / 4).map(|_| body(0))),
        join_all((0..HELD / 4).map(|_| body(100))),
    );
}

/// Silence, half of what opens a connection, and bodies that stop, for less time than it takes to be let go.
async fn say_nothing(address: SocketAddr, told: Told) {
    let (mut held, mut begun) = (Vec::new(), Vec::new());
    for hello in ["", "PRI * HTTP/2.0\r\n"] {
        for _ in 0..HELD {
            let mut stream = TcpStream::connect(address).await.unwrap();
            stream.write_all(hello.as_bytes()).await.unwrap();
            held.push(stream);
        }
    }
    for _ in 0..HELD / 2 {
        let mut peer = Peer::connect(address).await.unwrap();
        let announced = http2::data(1, &announcement(0, 1 << 20));
        let body = [http2::request(1), announced].concat();
        peer.send(&body).await.unwrap();
        begun.push(peer);
    }
    told.end.cancelled().await;
}

/// How long good senders wait for their answers meanwhile, all but one in a hundred of them.
async fn p99(senders: &[Sender], time: Duration) -> Duration {
    let end = Instant::now() + time;
    let sending = senders.iter().map(|sender| {
        let sender = sender.clone();
        tokio::spawn(async move {
            let span = otlp::plain_span(1);
            let mut times = Vec::new();
            loop {
                let begun = Instant::now();
                sender.send(Signal::Traces, &span).await.unwrap();
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
    begin: Box<dyn Fn() -> Stranger>,
    time: Duration,
    /// Whether it goes on for long enough to be cut.
    is_cut: bool,
}

impl Attack {
    /// The flood of that place in the table.
    fn flood(index: usize, protocol: Protocol, address: SocketAddr, time: Duration) -> Self {
        let what = floods(protocol).swap_remove(index).0;
        let begin = move || {
            let flooding = floods(protocol).swap_remove(index);
            Stranger::begin(move |told| flood(address, flooding, told))
        };
        Self {
            what,
            begin: Box::new(begin),
            time,
            is_cut: true,
        }
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
    count: usize,
    cuts: usize,
    /// The longest wait beside one of them.
    beside: Duration,
    alone: Duration,
    what: &'static str,
}

/// One attack after the other, beside good senders, none of which may notice.
#[expect(clippy::print_stderr, reason = "says what came of each attack")]
async fn keep_up(
    senders: &[Sender],
    attacks: Vec<Attack>,
    alone_for: Duration,
    noticed: &Noticed,
) -> Kept {
    let mut kept = Kept::default();
    for attack in attacks {
        let what = attack.what;
        // Where it is no accident, it is there as often.
        for attempt in 1..=ATTEMPTS {
            let alone = p99(senders, alone_for).await;
            let stranger = (attack.begin)();
            let beside = p99(senders, attack.time).await;
            let cut = stranger.end().await;
            assert!(cut > 0 || !attack.is_cut, "{what} goes on");
            kept.cuts += cut;
            let ratio = beside.as_secs_f64() / alone.as_secs_f64();
            eprintln!("{what}: cut {cut} times, p99 {beside:.1?}, {alone:.1?} alone: {ratio:.2}");
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
        kept.count += 1;
    }
    kept
}

/// A slimspan that is to be attacked, and good senders beside the stranger.
async fn attacked() -> (Backend, Slimspan, Vec<Sender>) {
    let backend = Backend::replying_at(Backend::ANYWHERE, |_| async {
        Reply::Answer(Ok(Bytes::new()))
    })
    .await;
    let mut config = config::with_http(backend.address);
    config["processors"]["memory_limiter"]["limit_mib"] = LIMIT.into();
    let slimspan = Slimspan::start(&config).await;
    let senders = join_all((0..GOOD).map(|_| slimspan.sender())).await;
    (backend, slimspan, senders)
}

/// Everyday, beside all other tests: a few floods and a silence of a second each, with bounds that only what
/// holds up everybody goes beyond. A flood that is not cut is noticed by itself.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stranger_who_soon_tires_slows_nobody() {
    const EACH: Duration = Duration::from_millis(800);
    let (_backend, slimspan, senders) = attacked().await;
    let mut attacks = Vec::new();
    for (protocol, what) in [
        (Protocol::Grpc, "27 rapid reset"),
        (Protocol::Grpc, "32 ping"),
        (Protocol::Http, "29 continuation"),
    ] {
        let all = floods(protocol);
        let index = all.iter().position(|flood| flood.0 == what).unwrap();
        let address = slimspan.listener(protocol);
        attacks.push(Attack::flood(index, protocol, address, EACH));
    }
    let address = slimspan.addresses[0];
    attacks.push(Attack {
        what: "nothing said",
        begin: Box::new(move || Stranger::begin(move |told| say_nothing(address, told))),
        time: EACH,
        is_cut: false,
    });
    let noticed = Noticed {
        times: 20.0,
        and: Duration::from_secs(5),
    };
    let kept = keep_up(&senders, attacks, EACH / 4, &noticed).await;
    assert_eq!(kept.count, 4);
    let peak = slimspan.peak_memory() / MIB;
    assert!(peak <= LIMIT, "{peak} MiB");
    slimspan.stop_well().await;
}

/// Everything, for as long as it is said.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "takes a minute: make soak"]
async fn a_stranger_slows_nobody() {
    let (_backend, slimspan, senders) = attacked().await;
    let address = slimspan.addresses[0];
    let each = seconds("SLIMSPAN_STRANGER_SECONDS", Duration::from_secs(2));
    // What is only slow at first.
    p99(&senders, Duration::from_secs(1)).await;

    let of_floods = 0..floods(Protocol::Grpc).len();
    let mut attacks: Vec<_> = of_floods
        .map(|index| Attack::flood(index, Protocol::Grpc, address, each))
        .collect();
    attacks.push(Attack {
        what: "little said",
        begin: Box::new(move || Stranger::begin(move |told| say_little(address, told))),
        time: each.max(LET_GO),
        is_cut: true,
    });
    let noticed = Noticed {
        times: bound(2.0, 20.0),
        and: UNNOTICED,
    };
    let kept = keep_up(&senders, attacks, (each / 2).min(ALONE), &noticed).await;
    let peak = slimspan.peak_memory() / MIB;
    assert!(peak <= LIMIT, "{peak} MiB");
    slimspan.stop_well().await;
    let Kept {
        count,
        cuts,
        beside,
        alone,
        what,
    } = kept;
    let ratio = beside.as_secs_f64() / alone.as_secs_f64();
    measured(
        "P17",
        "program::strangers",
        "p99 of 8 good senders < 2 times what it is alone, or 10 ms; at most 256 MiB, cut again and again",
        format_args!(
            "{count} attacks, kept up for {each:?} each and cut {cuts} times: p99 {beside:.1?} at most ({what}; \
             {ratio:.2} times the {alone:.1?} before it), {peak} MiB"
        ),
    );
}
