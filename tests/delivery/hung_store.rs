//! P12: a reply comes within the sender's deadline, whatever the store does.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures::future::join_all;
use serde_json::json;
use slimspan_proto::Signal;
use tokio::sync::Notify;
use tonic::{Code, Status};

use crate::support::backend::{Backend, Reply};
use crate::support::fault_store::{Fault, FaultStore};
use crate::support::frames::frame;
use crate::support::measured::{bound, measured, number, seconds};
use crate::support::sender::{Call, PatientSender};
use crate::support::slimspan::Slimspan;
use crate::support::{config, otlp};

const DEADLINE: Duration = Duration::from_secs(2);

/// What holds for senders that say nothing of a deadline, as most SDKs.
const UNSAID: Duration = Duration::from_secs(10);

/// How long each waits until it sends again, whatever it was told.
const PAUSE: Duration = Duration::from_millis(250);
const SHORT_PAUSE: Duration = Duration::from_millis(20);

/// So many requests without files there are at least.
const WITHOUT_FILES: usize = 50;

/// How soon the store is found out, and how often it is asked then.
const FOUND_OUT: Duration = Duration::from_secs(3);
const PROBE: Duration = Duration::from_secs(5);

/// How many were answered, and how long one of them took at most.
#[derive(Clone, Copy, Default)]
struct Answered {
    count: usize,
    slowest: Duration,
}

impl Answered {
    fn add(&mut self, took: Duration) {
        self.count += 1;
        self.slowest = self.slowest.max(took);
    }

    fn of(all: &[Self]) -> Self {
        let slowest = all.iter().map(|one| one.slowest).max();
        Self {
            count: all.iter().map(|one| one.count).sum(),
            slowest: slowest.unwrap_or_default(),
        }
    }
}

/// Senders with files get their answer in time, the one that is configured, and senders without
/// files do not notice. So it is for as long as they go on.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hung_store_holds_nobody_beyond_the_deadline() {
    // Most of the time both wait.
    tokio::join!(with("forward", Code::Ok), with("refuse", Code::Unavailable));
}

async fn with(policy: &str, expected: Code) {
    // What a machine may add.
    let allowance = Duration::from_millis(bound(250, 2_000));
    let senders = number("SLIMSPAN_SENDERS", 6);
    let hung = seconds("SLIMSPAN_HUNG_SECONDS", Duration::ZERO);
    let store = FaultStore::start(0, &[(Fault::Hang, 1000)]).await;
    // What goes on as it came is large.
    let backend = Backend::replying_at(Backend::ANYWHERE, |_| async {
        Reply::Answer(Ok(Bytes::new()))
    })
    .await;
    let mut config = config::with_s3(backend.address, store.address);
    config["extensions"]["artifact_store"]["timeout"] = "1m".into();
    config["processors"]["artifact"]["on_store_failure"] = json!(policy);
    // And the one without files, and the one without a deadline.
    config::expect_at_once(&mut config, senders + 2);
    config["receivers"]["otlp"]["protocols"]["http"] = json!({ "endpoint": "127.0.0.1:0" });
    let mut slimspan = Slimspan::start(&config).await;
    let other = slimspan.sender().await;
    // Their own clock would end a call at the deadline, and this is about when slimspan does.
    let address = slimspan.addresses[0];
    let connections = join_all((0..senders).map(|_| PatientSender::connect(address))).await;
    let (end, files) = (Instant::now() + hung, AtomicU64::new(0));
    let (unsaid, unsaid_over_http) = (
        PatientSender::connect(address).await,
        slimspan.http_sender().await,
    );
    let is_found_out = Notify::new();

    let with_files = connections.iter().map(async |sender| {
        let mut answered = Answered::default();
        loop {
            let file = otlp::photo(files.fetch_add(1, Ordering::Relaxed), 20_000);
            let call = Call::whole(frame(0, &otlp::span_with(&file)));
            let call = call.header("grpc-timeout", "2S");
            let begun = Instant::now();
            let answer = sender.call(call).await;
            answered.add(begun.elapsed());
            assert_eq!(answer.status().code(), expected, "{answer:?}");
            if Instant::now() >= end {
                return answered;
            }
            tokio::time::sleep(PAUSE).await;
        }
    });
    let without_deadline = async {
        // Those that come before wait for half of the time that they have, which is long for everyday.
        if hung.is_zero() {
            is_found_out.notified().await;
        }
        let mut answered = Answered::default();
        loop {
            let file = || otlp::photo(files.fetch_add(1, Ordering::Relaxed), 20_000);
            let [one, other] = [file(), file()].map(|file| otlp::span_with(&file));
            let begun = Instant::now();
            let grpc = async {
                let answer = unsaid.call(Call::whole(frame(0, &one))).await;
                (answer.status().code(), begun.elapsed())
            };
            let http = async {
                let answer = unsaid_over_http.send(Signal::Traces, &other).await;
                let code = answer.as_ref().map_or_else(Status::code, |_| Code::Ok);
                (code, begun.elapsed())
            };
            for (code, took) in <[_; 2]>::from(futures::join!(grpc, http)) {
                assert_eq!(code, expected, "without a deadline");
                answered.add(took);
            }
            if Instant::now() >= end {
                return answered;
            }
            tokio::time::sleep(PAUSE).await;
        }
    };
    let without_files = async {
        store.begun(1).await;
        let mut answered = Answered::default();
        while answered.count < WITHOUT_FILES || Instant::now() < end {
            let plain = otlp::plain_span(1);
            let begun = Instant::now();
            other.send(Signal::Traces, &plain).await.unwrap();
            answered.add(begun.elapsed());
            tokio::time::sleep(SHORT_PAUSE.min(hung)).await;
        }
        answered
    };
    let found_out = async {
        store.begun(1).await;
        let begun = Instant::now();
        slimspan.logs("is not asked any more").await;
        is_found_out.notify_one();
        (begun.elapsed(), Instant::now(), store.puts())
    };
    let (with_files, unsaid, without, (found_out, open, puts)) = futures::join!(
        join_all(with_files),
        without_deadline,
        without_files,
        found_out
    );
    let slowest_unsaid = unsaid.slowest;
    assert!(
        slowest_unsaid <= UNSAID + allowance,
        "{policy}: {slowest_unsaid:?} without a deadline"
    );
    let with_files = Answered::of(&with_files);
    let (slowest, beside) = (with_files.slowest, without.slowest);
    assert!(slowest <= DEADLINE + allowance, "{policy}: {slowest:?}");
    assert!(beside <= allowance, "{policy}: {beside:?}");
    let soon = FOUND_OUT + bound(Duration::ZERO, FOUND_OUT);
    assert!(found_out <= soon, "{policy}: {found_out:?}");
    let (asked, whole) = (store.puts() - puts, open.elapsed());
    let probes = whole.as_secs_f64() / PROBE.as_secs_f64();
    // The two without a deadline wait longer than until it is found out, and have it asked again meanwhile.
    let waiting = bound(4.0, 0.0);
    assert!(
        asked as f64 <= probes + 1.0 + waiting,
        "{policy}: {asked} in {whole:?}"
    );
    let ended = slimspan.stop().await;
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    measured(
        "P12",
        &format!("delivery::hung_store, {policy}"),
        "p100 <= deadline of 2 s + 250 ms, not asked after 3 s, then once in 5 s",
        format_args!(
            "p100 {slowest:.1?} of {} requests of {senders} senders in {whole:.0?}, {slowest_unsaid:.1?} of {} without \
             a deadline (of 10 s); p100 {beside:.1?} of {} requests without files beside them; not asked after \
             {found_out:.1?}, then {asked} times",
            with_files.count, unsaid.count, without.count
        ),
    );
}
