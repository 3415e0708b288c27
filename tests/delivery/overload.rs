//! P16: memory stays under `limit_mib` while senders push ten times what the store takes, or the
//! backend takes nothing at all. The store is kept busy meanwhile, whoever is refused may come back,
//! and afterwards the memory goes back to the system.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use futures::future::join_all;
use serde_json::json;
use slimspan_proto::Signal;
use tokio::sync::watch;
use tokio::time::{Interval, interval};
use tonic::Code;

use crate::support::backend::{Backend, Reply};
use crate::support::fault_store::FaultStore;
use crate::support::measured::{bound, measured, seconds, strict};
use crate::support::memory_group::MemoryGroup;
use crate::support::otlp;
use crate::support::sender::{Sender, retry_after};
use crate::support::slimspan::Slimspan;
use crate::support::{config, soon};

const MIB: u64 = 1 << 20;

/// What `memory_limiter.limit_mib` says, what the process may take, and where the kernel ends it.
const LIMIT: u64 = 256;
const MOST: u64 = LIMIT * 110 / 100;
const DEADLY: u64 = LIMIT * 125 / 100;

/// What the store takes in a second.
const RATE: u64 = 5 * MIB;

/// How many push. Everyday they have less to send than this machine has memory, and twice what fits.
fn senders() -> u64 {
    bound(64, 24)
}

/// Open files and threads that there may be more in the end, where all are idle: connections to the store, of
/// which so many puts go at a time, and threads that wait for more to do. What each request left would be more in
/// ten minutes.
const MORE: [usize; 2] = [512, 512];

/// Each request has 16 MiB: files of 768 KiB, and 1 MiB each as base64.
const KEYS: [&str; 16] = [
    "f.0", "f.1", "f.2", "f.3", "f.4", "f.5", "f.6", "f.7", "f.8", "f.9", "f.a", "f.b", "f.c",
    "f.d", "f.e", "f.f",
];
const FILE: usize = 768 << 10;

/// How long senders push when everything is full: a few seconds everyday.
fn span() -> Duration {
    seconds("SLIMSPAN_OVERLOAD_SECONDS", Duration::from_secs(6))
}

/// A request with files that no other has.
fn request(file: &[u8], sender: u64, number: u64) -> Bytes {
    otlp::span((0..).zip(KEYS).map(|(index, key)| {
        let (beginning, _) = file.split_at(file.len() - 24);
        let end = [sender, number, index].map(u64::to_be_bytes).concat();
        let file = STANDARD.encode([beginning, &end].concat());
        (key, otlp::text(format!("data:image/png;base64,{file}")))
    }))
}

/// What senders were told so far.
#[derive(Default)]
struct Told {
    accepted: AtomicU64,
    refused: AtomicU64,
    /// Some of the refusals.
    reasons: Mutex<BTreeMap<String, u64>>,
}

/// How fast all senders together begin requests.
#[derive(Clone, Copy)]
enum Offered {
    /// Ten times what the store takes.
    TenTimes,
    /// As soon as each was answered, and may come back.
    All,
}

/// Pushes as hard as it may until it is to stop.
async fn push(
    sender: Sender,
    number: u64,
    first: Bytes,
    pace: Arc<tokio::sync::Mutex<Interval>>,
    mut stop: watch::Receiver<bool>,
    told: Arc<Told>,
) {
    let file = otlp::photo(0, FILE);
    let (mut message, mut sent) = (first, 0);
    loop {
        pace.lock().await.tick().await;
        if *stop.borrow() {
            return;
        }
        let Err(status) = sender.send(Signal::Traces, &message).await else {
            told.accepted.fetch_add(1, Ordering::Relaxed);
            sent += 1;
            message = request(&file, number, sent);
            continue;
        };
        assert_eq!(status.code(), Code::Unavailable, "{status}");
        let pause = retry_after(&status);
        assert!(pause.is_some(), "{status}");
        let pause = pause.unwrap_or_default();
        told.refused.fetch_add(1, Ordering::Relaxed);
        let reason: String = status.message().chars().take(90).collect();
        *told.reasons.lock().unwrap().entry(reason).or_default() += 1;
        let _ = tokio::time::timeout(pause, stop.wait_for(|stop| *stop)).await;
    }
}

/// What became of it.
struct Pushed {
    peak: u64,
    told: Arc<Told>,
    /// What the store got in a second.
    rate: f64,
    /// How long it took until the memory was given back.
    back: Duration,
    /// Open files and threads, before and by then.
    held: [[usize; 2]; 2],
}

async fn push_at(backend: &Backend, store: &FaultStore, offered: Offered) -> Pushed {
    let mut config = config::with_s3(backend.address, store.address);
    config["processors"]["memory_limiter"]["limit_mib"] = json!(LIMIT);
    config["processors"]["artifact"]["on_store_failure"] = json!("refuse");
    config["extensions"]["artifact_store"]["timeout"] = json!("10s");
    let file = otlp::photo(0, FILE);
    let messages: Vec<_> = (0..senders())
        .map(|sender| request(&file, sender, 0))
        .collect();
    let slimspan = Slimspan::start(&config).await;
    let group = MemoryGroup::limited(DEADLY * MIB);
    if let Some(group) = &group {
        group.admit(slimspan.id());
    }
    // What it takes once everybody has connected and sent something large.
    let early = otlp::sized_span(1 << 20);
    let connections = (0..senders()).map(async |_| {
        let sender = slimspan.sender().await;
        // A backend that hangs has it all the same.
        let answer = sender.send(Signal::Traces, &early);
        let _ = tokio::time::timeout(Duration::from_secs(2), answer).await;
        sender
    });
    let connections = join_all(connections).await;
    // Until what was freed by that is given back.
    tokio::time::sleep(Duration::from_millis(2500)).await;
    let idle = slimspan.memory();
    let held = slimspan.open_files_and_threads();
    let pause = match offered {
        Offered::TenTimes => Duration::from_millis(16 * MIB * 1000 / (10 * RATE)),
        Offered::All => Duration::from_millis(1),
    };
    let pace = Arc::new(tokio::sync::Mutex::new(interval(pause)));
    let told = Arc::<Told>::default();
    let (stop, stopped) = watch::channel(false);
    let pushing: Vec<_> = (0..)
        .zip(connections.into_iter().zip(messages))
        .map(|(number, (sender, first))| {
            let (stopped, told) = (stopped.clone(), Arc::clone(&told));
            tokio::spawn(push(
                sender,
                number,
                first,
                Arc::clone(&pace),
                stopped,
                told,
            ))
        })
        .collect();
    // The first ones have to come and to be taken apart, until there is no room for more.
    let is_full = async {
        while told.refused.load(Ordering::Relaxed) == 0 {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    soon("somebody is refused", is_full).await;
    tokio::time::sleep(span() / 4).await;
    let (begun, before) = (Instant::now(), store.bytes());
    tokio::time::sleep(span() * 3 / 4).await;
    let rate = (store.bytes() - before) as f64 / begun.elapsed().as_secs_f64();
    stop.send_replace(true);
    if !strict() {
        // Nobody waits for what is on its way to be as slow as the rest was.
        store.throttle(u64::MAX);
    }
    for pushing in pushing {
        soon("what was begun is answered", pushing).await.unwrap();
    }
    let peak = match &group {
        Some(group) => {
            assert!(!group.killed(), "it took more than {DEADLY} MiB");
            group.peak()
        }
        None => slimspan.peak_memory(),
    };
    let ended = Instant::now();
    // The allocator gives what a thread has back when that thread works again, so after a few seconds of
    // work some of it may still be there.
    let kept = bound(idle * 2 / 10, LIMIT / 4 * MIB);
    let given_back = async {
        while slimspan.memory() > idle + kept {
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    };
    let given_back = tokio::time::timeout(Duration::from_mins(1), given_back).await;
    assert!(
        given_back.is_ok(),
        "{} MiB a minute later, {} before",
        slimspan.memory() >> 20,
        idle >> 20
    );
    let back = ended.elapsed();
    let held = [held, slimspan.open_files_and_threads()];
    let [before, after] = held;
    let is_within = (0..2).all(|of| after[of] <= before[of] + MORE[of]);
    assert!(is_within, "open files and threads: {before:?}, {after:?}");
    slimspan.stop_well().await;
    Pushed {
        peak,
        told,
        rate,
        back,
        held,
    }
}

fn check(what: &str, pushed: &Pushed) {
    let Pushed {
        peak,
        told,
        back,
        held,
        ..
    } = pushed;
    let [[files, threads], [files_left, threads_left]] = held;
    let [accepted, refused] =
        [&told.accepted, &told.refused].map(|told| told.load(Ordering::Relaxed));
    let reasons = told.reasons.lock().unwrap();
    assert!(refused > 0, "{accepted}");
    assert!(*peak <= MOST * MIB, "{} MiB: {reasons:?}", peak >> 20);
    measured(
        "P16",
        &format!("delivery::overload, {what}"),
        &format!(
            "at most {MOST} MiB with limit_mib: {LIMIT}, within a minute all but 20 % of what it had idle given \
             back; at most {} open files and {} threads more by then",
            MORE[0], MORE[1],
        ),
        format_args!(
            "{} MiB with {} senders of 16 MiB in {:?}: {accepted} accepted, {refused} refused \
             and all retryable; given back after {back:.1?}; {files} open files and {threads} threads before, \
             {files_left} and {threads_left} after",
            peak >> 20,
            senders(),
            span(),
        ),
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_store_that_is_too_slow_costs_no_memory_and_is_kept_busy() {
    let backend = Backend::replying_at(Backend::ANYWHERE, |_| async {
        Reply::Answer(Ok(Bytes::new()))
    })
    .await;
    let store = FaultStore::start(0, &[]).await;
    store.throttle(RATE);
    let pushed = push_at(&backend, &store, Offered::TenTimes).await;
    check("a store of 5 MiB/s", &pushed);
    let part = pushed.rate / RATE as f64;
    // In a few seconds the machine has more to say than the program, and other tests load it as much.
    let least = bound(0.9, 0.05);
    assert!(part >= least, "{part}: {:?}", pushed.told.reasons);
    measured(
        "P16",
        "delivery::overload, the work of a store of 5 MiB/s",
        ">= 90 % of what it takes",
        format_args!("{:.0} %", part * 100.0),
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_backend_that_hangs_costs_no_memory() {
    let backend = Backend::replying_at(Backend::ANYWHERE, |_| std::future::pending()).await;
    let store = FaultStore::start(0, &[]).await;
    check(
        "a backend that hangs",
        &push_at(&backend, &store, Offered::All).await,
    );
}
