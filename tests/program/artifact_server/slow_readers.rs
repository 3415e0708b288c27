//! P19: slow readers hold up no sender, and senders who send more than can be taken hold up no reader.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use http::StatusCode;
use serde_json::json;
use slimspan_proto::Signal;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpSocket;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

use super::{Served, with_server};
use crate::support::backend::Backend;
use crate::support::measured::{bound, measured, number};
use crate::support::slimspan::Slimspan;
use crate::support::{config, otlp, soon};

/// What is below this is the machine's, whose few cores readers, senders, slimspan and backend share.
const UNNOTICED: Duration = Duration::from_millis(10);

/// That senders wait for longer is no accident of the machine where it is so as often.
const ATTEMPTS: u64 = 3;

/// How many requests are timed.
fn timed() -> u64 {
    bound(300, 100)
}

async fn served() -> (Served, Backend) {
    let backend = Backend::start().await;
    let mut config = with_server();
    config["exporters"]["otlp_grpc"] = config::exporter(backend.address);
    config["extensions"]["artifact_server"]["max_concurrent_requests"] = json!(1000);
    (Served::start(&config).await, backend)
}

fn p99(mut times: Vec<Duration>) -> Duration {
    times.sort();
    times[times.len() * 99 / 100]
}

/// What requests take that come one after the other, each with a new file.
async fn sending(slimspan: &Slimspan, seed: u64) -> Duration {
    let sender = slimspan.sender().await;
    let mut times = Vec::new();
    for seed in seed..seed + timed() {
        let request = otlp::span_with(&otlp::photo(seed, 20_000));
        let begun = Instant::now();
        sender.send(Signal::Traces, &request).await.unwrap();
        times.push(begun.elapsed());
    }
    p99(times)
}

/// Reads a KiB in a second, and tells when the first has come.
async fn read_slowly(server: SocketAddr, path: String, begun: Arc<Semaphore>) {
    let socket = TcpSocket::new_v4().unwrap();
    // Else the system would take all of it.
    socket.set_recv_buffer_size(4 << 10).unwrap();
    let mut stream = socket.connect(server).await.unwrap();
    let request = format!("GET {path} HTTP/1.1\r\nhost: {server}\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut piece = [0; 1 << 10];
    stream.read_exact(&mut piece).await.unwrap();
    assert!(piece.starts_with(b"HTTP/1.1 200"));
    begun.add_permits(1);
    // Until it is cut for being slow, or the test ends.
    while stream.read_exact(&mut piece).await.is_ok() {
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
}

/// Readers who stand for other machines, and have no more of this one than others leave. Everyday there are other
/// tests beside them, which leave too little.
struct Readers {
    reading: std::thread::JoinHandle<usize>,
    end: CancellationToken,
}

impl Readers {
    /// Lets so many read, and waits until all of them do.
    async fn begin(server: SocketAddr, path: &str, count: usize) -> Self {
        let begun = Arc::new(Semaphore::new(0));
        let end = CancellationToken::new();
        let (path, they_begin, told) = (path.to_owned(), Arc::clone(&begun), end.clone());
        let reading = std::thread::spawn(move || {
            let _ = rustix::process::nice(bound(19, 0));
            let mut runtime = tokio::runtime::Builder::new_current_thread();
            let runtime = runtime.enable_all().build().unwrap();
            runtime.block_on(async {
                let all: Vec<_> = (0..count)
                    .map(|_| read_slowly(server, path.clone(), Arc::clone(&they_begin)))
                    .map(tokio::spawn)
                    .collect();
                told.cancelled().await;
                all.iter().filter(|reader| !reader.is_finished()).count()
            })
        });
        let all = begun.acquire_many(count.try_into().unwrap());
        soon("all read", all).await.unwrap().forget();
        Self { reading, end }
    }

    /// Ends them; how many read still.
    async fn end(self) -> usize {
        self.end.cancel();
        let joined = tokio::task::spawn_blocking(|| self.reading.join());
        joined.await.unwrap().unwrap()
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn readers_that_read_slowly_hold_up_no_sender() {
    let readers = number("SLIMSPAN_READERS", 50);
    let (served, _backend) = served().await;
    let path = served.put(otlp::photo(1, 8 << 20)).await;
    for attempt in 1..=ATTEMPTS {
        let seed = attempt * 10_000;
        let alone = sending(&served.slimspan, seed).await;
        let reading = Readers::begin(served.artifacts.address, &path, readers).await;
        let beside = sending(&served.slimspan, seed + 5_000).await;
        assert!(reading.end().await > 0, "nobody read to the end of it");
        let promised = (alone * 3 / 2).max(UNNOTICED);
        let is_noticed = beside >= bound(promised, Duration::from_secs(5));
        if is_noticed && attempt < ATTEMPTS {
            continue;
        }
        assert!(!is_noticed, "{beside:?}, alone {alone:?}");
        measured(
            "P19",
            "program::artifact_server, slow readers",
            "others' p99 below 1.5 times what it is alone, or 10 ms",
            format_args!(
                "p99 {alone:.1?} alone, {beside:.1?} beside {readers} readers at 1 KiB/s, the time number {attempt}"
            ),
        );
        break;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn senders_that_send_too_much_hold_up_no_reader() {
    let (served, backend) = served().await;
    let photo = otlp::photo(1, 20_000);
    let path = served.put(photo.clone()).await;
    let ends = Arc::new(AtomicBool::new(false));
    let mut senders = Vec::new();
    for number in 0..16 {
        let (sender, ends) = (served.slimspan.sender().await, Arc::clone(&ends));
        senders.push(tokio::spawn(async move {
            let (mut seed, mut taken) = (number << 32, 0);
            while !ends.load(Ordering::Relaxed) {
                seed += 1;
                let request = otlp::span_with(&otlp::photo(seed, 256 << 10));
                // Whoever is asked to come back does not wait.
                taken += usize::from(sender.send(Signal::Traces, &request).await.is_ok());
            }
            taken
        }));
    }
    backend.arrived(32).await;
    let mut times = Vec::new();
    for _ in 0..timed() {
        let begun = Instant::now();
        let answer = served.artifacts.get(&path).await;
        times.push(begun.elapsed());
        assert_eq!(answer.status, StatusCode::OK);
        assert_eq!(answer.body, photo);
    }
    ends.store(true, Ordering::Relaxed);
    let mut taken = 0;
    for sender in senders {
        taken += sender.await.unwrap();
    }
    let p99 = p99(times);
    assert!(
        p99 < bound(Duration::from_secs(1), Duration::from_secs(10)),
        "{p99:?}"
    );
    measured(
        "P19",
        "program::artifact_server, reads beside too many senders",
        "p99 of a read below 1 s",
        format_args!("p99 {p99:.1?} beside 16 senders, of whom {taken} requests were taken"),
    );
}
