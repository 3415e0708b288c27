//! Hours at half of what slimspan can do, and a fault every few minutes: nothing grows, nothing becomes
//! slower, nothing is lost, and each reference leads to its bytes when it arrives.
//!
//! What has arrived is forgotten here as well, or the test would grow instead of slimspan.

use std::collections::{HashMap, VecDeque};
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures::future::join_all;
use serde_json::json;
use slimspan_artifact::Digest;
use tokio::time::MissedTickBehavior;
use tonic::Status;
use tonic_types::{ErrorDetails, StatusExt as _};

use crate::support::arrivals::{File, arrived};
use crate::support::backend::{Backend, Received, Reply};
use crate::support::conservation;
use crate::support::fault_store::{Fault, FaultStore};
use crate::support::ledger::Outcome;
use crate::support::measured::{bound, measured, seconds};
use crate::support::seed::Seed;
use crate::support::sender::Sender;
use crate::support::slimspan::Slimspan;
use crate::support::verifying::{Fetch, dangling};
use crate::support::workload::Workload;
use crate::support::{config, soon};

const SENDERS: u64 = 8;
const HOUR: f64 = 3600.0;

/// Of a request.
const MOST_ITEMS: u64 = 3;

/// Between two faults, at most, and the part of it that one lasts and its traces stay.
const APART: Duration = Duration::from_mins(5);
const ILL: f64 = 0.2;
const RECOVERS: f64 = 0.2;

/// What slimspan may know of at a time, so that it knows all it may soon.
const KNOWN: usize = 2_000;

/// A digest that was not referred to among so many others never is again.
const REMEMBERED: usize = 8_192;

/// Between two faults.
fn apart() -> Duration {
    (asked_for() / 8).min(APART)
}

/// As often as that fits, so that nothing is wrong in the end.
fn span() -> Duration {
    let times = asked_for().as_nanos() / apart().as_nanos();
    apart() * u32::try_from(times).unwrap()
}

/// Everyday a few seconds.
fn asked_for() -> Duration {
    seconds("SLIMSPAN_STEADY_SECONDS", Duration::from_secs(8))
}

/// What is wrong at the moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
enum Ill {
    Nothing,
    /// The store answers every second put with 500.
    Store,
    /// The backend takes nothing.
    Backend,
    /// A put takes a while.
    SlowStore,
    /// The configuration is read again.
    Reload,
}

const FAULTS: [Ill; 4] = [Ill::Store, Ill::Backend, Ill::SlowStore, Ill::Reload];

/// What the backend has had.
struct Arrivals {
    /// Of each sender: the number of the item that comes next. Each waits for its answers, so that theirs come
    /// in their order.
    next: HashMap<u64, u64>,
    /// What was referred to of late, the newest last, and how often.
    recent: VecDeque<Digest>,
    counts: HashMap<Digest, usize>,
    /// Items that had come before.
    twice: u64,
    /// References that led nowhere when they came, of so many.
    early: u64,
    references: u64,
}

impl Arrivals {
    fn take(&mut self, received: &Received, fetch: &Fetch, store: &FaultStore) {
        for item in arrived(received.signal, &received.message) {
            self.early += dangling(&item, fetch).len() as u64;
            let next = self.next.entry(item.id.sender).or_default();
            if item.id.number < *next {
                // It came when its sender had been told to come back.
                self.twice += 1;
                continue;
            }
            assert_eq!(item.id.number, *next, "of sender {}", item.id.sender);
            *next += 1;
            for file in &item.files {
                let File::Moved(digest) = file else {
                    // Smaller than the threshold.
                    continue;
                };
                self.references += 1;
                *self.counts.entry(*digest).or_default() += 1;
                self.recent.push_back(*digest);
            }
        }
        while self.recent.len() > REMEMBERED
            && let Some(oldest) = self.recent.pop_front()
        {
            let count = self.counts.entry(oldest).or_default();
            *count -= 1;
            if *count == 0 {
                self.counts.remove(&oldest);
                store.forget(&oldest);
            }
        }
    }
}

/// What all senders, the backend and who breaks things know of each other.
struct Shared {
    ill: AtomicU8,
    stop: AtomicBool,
    accepted: AtomicU64,
    postponed: AtomicU64,
    /// When requests began that had nothing to do with a fault, and how long their answers took, in seconds.
    times: Mutex<Vec<[f32; 2]>>,
    begun: Instant,
    arrivals: Mutex<Arrivals>,
}

impl Shared {
    fn is(&self, ill: Ill) -> bool {
        self.ill.load(Ordering::Relaxed) == ill as u8
    }
}

/// Sends one request after the other, no faster than `pace`, until it is to stop; returns how many items were
/// taken.
async fn send(
    sender: Sender,
    number: u64,
    first: u64,
    workload: Workload,
    pace: Duration,
    shared: &Shared,
) -> u64 {
    let mut next = first;
    let mut pace = tokio::time::interval(pace.max(Duration::from_micros(1)));
    pace.set_missed_tick_behavior(MissedTickBehavior::Skip);
    while !shared.stop.load(Ordering::Relaxed) {
        let request = workload.request(number, next);
        pace.tick().await;
        loop {
            let (begun, was_well) = (Instant::now(), shared.is(Ill::Nothing));
            let answer = sender.send(request.signal, &request.message).await;
            match Outcome::of(answer) {
                Outcome::Accepted { rejected: 0 } => {
                    if was_well && shared.is(Ill::Nothing) {
                        let mut times = shared.times.lock().unwrap();
                        let [at, took] = [begun - shared.begun, begun.elapsed()];
                        times.push([at.as_secs_f32(), took.as_secs_f32()]);
                    }
                    break;
                }
                Outcome::Postponed { delay, .. } => {
                    shared.postponed.fetch_add(1, Ordering::Relaxed);
                    let delay = delay.unwrap_or(Duration::from_millis(50));
                    tokio::time::sleep(delay.min(Duration::from_secs(1))).await;
                }
                other => panic!("sender {number}, item {next}: {other:?}"),
            }
        }
        next += request.items.len() as u64;
        shared.accepted.fetch_add(1, Ordering::Relaxed);
    }
    next
}

/// All senders at once for as long as that.
async fn load(
    senders: &[Sender],
    first: &[u64],
    workload: Workload,
    pace: Duration,
    span: Duration,
    shared: &Arc<Shared>,
) -> Vec<u64> {
    shared.stop.store(false, Ordering::Relaxed);
    let sending = (0..)
        .zip(senders)
        .zip(first)
        .map(|((number, sender), &first)| {
            let (sender, shared) = (sender.clone(), Arc::clone(shared));
            tokio::spawn(async move { send(sender, number, first, workload, pace, &shared).await })
        });
    let sending: Vec<_> = sending.collect();
    tokio::time::sleep(span).await;
    shared.stop.store(true, Ordering::Relaxed);
    let ended = soon("what was begun is answered", join_all(sending)).await;
    ended.into_iter().map(Result::unwrap).collect()
}

/// Breaks one thing after the other, and mends it.
async fn break_now_and_then(shared: &Shared, store: &FaultStore, slimspan: &Slimspan) -> usize {
    let mut faults = 0;
    for ill in FAULTS.iter().cycle() {
        tokio::time::sleep(apart().mul_f64(1.0 - ILL - RECOVERS)).await;
        shared.ill.store(*ill as u8, Ordering::Relaxed);
        match ill {
            Ill::Nothing | Ill::Backend => {}
            Ill::Store => store.set(&[(Fault::Error, 500)]),
            Ill::SlowStore => store.set(&[(Fault::Delay(Duration::from_millis(200)), 1000)]),
            Ill::Reload => slimspan.signal("HUP"),
        }
        faults += 1;
        tokio::time::sleep(apart().mul_f64(ILL)).await;
        store.heal();
        // It goes through at once, and is not measured yet: a store is asked carefully after it has failed.
        shared.ill.store(RECOVERING, Ordering::Relaxed);
        tokio::time::sleep(apart().mul_f64(RECOVERS)).await;
        shared.ill.store(Ill::Nothing as u8, Ordering::Relaxed);
        if shared.stop.load(Ordering::Relaxed) {
            break;
        }
    }
    faults
}

/// Nothing is wrong any more, and what was shows yet.
const RECOVERING: u8 = u8::MAX;

/// What slimspan holds at a moment when nothing is wrong.
#[derive(Debug, Clone, Copy)]
struct Sample {
    at: Duration,
    mib: f64,
    files: usize,
    threads: usize,
}

/// The line through these that is closest to all of them: how much it rises in an hour.
fn slope(samples: &[Sample]) -> f64 {
    let count = samples.len() as f64;
    let hours = |sample: &Sample| sample.at.as_secs_f64() / HOUR;
    let (x, y) = samples.iter().fold((0.0, 0.0), |(x, y), sample| {
        (x + hours(sample) / count, y + sample.mib / count)
    });
    let (together, alone) = samples
        .iter()
        .fold((0.0, 0.0), |(together, alone), sample| {
            let away = hours(sample) - x;
            (together + away * (sample.mib - y), alone + away * away)
        });
    together / alone
}

/// The time within which 99 of 100 are answered.
fn p99(times: &[[f32; 2]]) -> Duration {
    let mut times: Vec<_> = times.iter().map(|[_, took]| *took).collect();
    times.sort_unstable_by(f32::total_cmp);
    Duration::from_secs_f32(times[times.len() * 99 / 100])
}

/// The most of something in each half.
fn halves(samples: &[Sample], of: impl Fn(&Sample) -> usize) -> [usize; 2] {
    let (early, late) = samples.split_at(samples.len() / 2);
    [early, late].map(|half| half.iter().map(&of).max().unwrap())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn hours_of_the_same_cost_no_more_in_the_end() {
    let seed = Seed::any();
    let store = Arc::new(FaultStore::start(seed.number(), &[]).await);
    let shared = Arc::new(Shared {
        ill: AtomicU8::new(Ill::Nothing as u8),
        stop: AtomicBool::new(false),
        accepted: AtomicU64::new(0),
        postponed: AtomicU64::new(0),
        times: Mutex::default(),
        begun: Instant::now(),
        arrivals: Mutex::new(Arrivals {
            next: HashMap::new(),
            recent: VecDeque::new(),
            counts: HashMap::new(),
            twice: 0,
            early: 0,
            references: 0,
        }),
    });
    let (known_of, stored, fetch) = (Arc::clone(&shared), Arc::clone(&store), store.fetch());
    let backend = Backend::replying_at(Backend::ANYWHERE, move |received: Received| {
        let answer = if known_of.is(Ill::Backend) {
            let details = ErrorDetails::with_retry_info(Some(Duration::from_millis(100)));
            let code = tonic::Code::Unavailable;
            Err(Status::with_error_details(code, "away", details))
        } else {
            let mut arrivals = known_of.arrivals.lock().unwrap();
            arrivals.take(&received, &fetch, &stored);
            Ok(Bytes::new())
        };
        std::future::ready(Reply::Answer(answer))
    })
    .await;
    let mut config = config::with_s3(backend.address, store.address);
    config["processors"]["artifact"]["on_store_failure"] = json!("refuse");
    config["extensions"]["artifact_store"]["timeout"] = json!("5s");
    config["extensions"]["artifact_store"]["known_digests"] = json!(KNOWN);
    config["extensions"]["artifact_store"]["known_values"] = json!(KNOWN);
    let slimspan = Slimspan::start(&config).await;
    let senders = join_all((0..SENDERS).map(|_| slimspan.sender())).await;
    let workload = Workload {
        seed: seed.number(),
        smallest: 4 << 10,
        largest: 64 << 10,
    };

    // What it can do, with these senders and this backend beside it.
    let trial = (span() / 16).min(Duration::from_secs(30));
    let none = vec![0; senders.len()];
    let begun = Instant::now();
    let first = load(&senders, &none, workload, Duration::ZERO, trial, &shared).await;
    let peak = shared.accepted.swap(0, Ordering::Relaxed) as f64 / begun.elapsed().as_secs_f64();
    shared.times.lock().unwrap().clear();

    let begun = Instant::now();
    let pace = Duration::from_secs_f64(2.0 * SENDERS as f64 / peak);
    let sampling = async {
        let mut samples = Vec::new();
        loop {
            tokio::time::sleep(span() / 1000).await;
            if shared.is(Ill::Nothing) {
                let [files, threads] = slimspan.open_files_and_threads();
                samples.push(Sample {
                    at: begun.elapsed(),
                    mib: slimspan.memory() as f64 / f64::from(1 << 20),
                    files,
                    threads,
                });
            }
            if shared.stop.load(Ordering::Relaxed) {
                return samples;
            }
        }
    };
    let (sent, faults, samples) = tokio::join!(
        load(&senders, &first, workload, pace, span(), &shared),
        break_now_and_then(&shared, &store, &slimspan),
        sampling,
    );
    let rate = shared.accepted.load(Ordering::Relaxed) as f64 / begun.elapsed().as_secs_f64();

    let ended = slimspan.stop().await;
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    let delivered: u64 = conservation::conserved(&ended.stderr)
        .iter()
        .map(|signal| signal.delivered)
        .sum();
    assert_eq!(delivered, sent.iter().sum::<u64>());
    let arrivals = shared.arrivals.lock().unwrap();
    for (number, sent) in (0..).zip(&sent) {
        assert_eq!(arrivals.next[&number], *sent, "of sender {number}");
    }
    assert_eq!(arrivals.early, 0);
    // An answer may be lost to a deadline while the backend is away.
    let most = MOST_ITEMS * SENDERS * faults as u64;
    assert!(arrivals.twice <= most, "{}", arrivals.twice);

    // Until then it fills what it may fill.
    let warm = (span() / 4).min(Duration::from_hours(1));
    let samples: Vec<_> = samples
        .into_iter()
        .filter(|sample| sample.at > warm)
        .collect();
    let (grows, hours) = (
        slope(&samples),
        span().saturating_sub(warm).as_secs_f64() / HOUR,
    );
    let most = if hours >= 1.0 {
        1.0
    } else {
        bound(8.0, 64.0) / hours
    };
    assert!(
        grows < most,
        "{grows} MiB an hour, in {hours} h: {samples:?}"
    );
    let [files, threads] = [
        halves(&samples, |sample| sample.files),
        halves(&samples, |sample| sample.threads),
    ];
    // Connections to the store and threads that wait come and go with the load.
    let more = bound(8, 64);
    for [early, late] in [files, threads] {
        assert!(late <= early + more, "{early} and {late}: {samples:?}");
    }
    let mut times = shared.times.lock().unwrap();
    let since = (begun + warm - shared.begun).as_secs_f32();
    times.retain(|[at, _]| *at > since);
    let quarter = times.len() / 4;
    let [early, late] = [&times[..quarter], &times[times.len() - quarter..]].map(p99);
    let latest =
        early.mul_f64(bound(1.1, 10.0)) + bound(Duration::from_millis(2), Duration::from_secs(1));
    assert!(late <= latest, "{early:?} and {late:?}");
    measured(
        "P16, P31",
        "delivery::steady",
        "after an hour < 1 MiB more an hour (in less: after a quarter of it < 8 MiB more), files and threads flat, \
         p99 < 10 % and 2 ms longer in the last quarter than in the first, 0 lost, 0 early",
        format_args!(
            "{:.0} s at {rate:.0} of {peak:.0} requests a second with {faults} faults: {grows:+.2} MiB an hour, or \
             {:+.2} MiB in all, at {:.0} MiB; at most {files:?} files, {threads:?} threads in each half; p99 \
             {early:.1?}, then {late:.1?}; {} postponed; 0 lost of {delivered}, 0 early of {} references",
            span().as_secs_f64(),
            grows * hours,
            samples.last().map_or(0.0, |sample| sample.mib),
            shared.postponed.load(Ordering::Relaxed),
            arrivals.references,
        ),
    );
}

#[test]
fn the_slope_of_a_line_is_found() {
    let samples: Vec<_> = (0..10)
        .map(|number| Sample {
            at: Duration::from_secs(360 * number),
            mib: 100.0 + 3.0 * number as f64,
            files: 0,
            threads: 0,
        })
        .collect();
    assert!((slope(&samples) - 30.0).abs() < 1e-9);
}
