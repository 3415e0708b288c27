//! P12: a reply comes within the sender's deadline, whatever the store does.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures::future::join_all;
use serde_json::json;
use slimspan_proto::Signal;
use tonic::Code;

use crate::support::backend::{Backend, Reply};
use crate::support::fault_store::{Fault, FaultStore};
use crate::support::frames::frame;
use crate::support::measured::{bound, measured, number, seconds};
use crate::support::sender::{Call, PatientSender};
use crate::support::slimspan::Slimspan;
use crate::support::{config, otlp};

const DEADLINE: Duration = Duration::from_secs(2);

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
    // And the one without files.
    config::expect_at_once(&mut config, senders + 1);
    let mut slimspan = Slimspan::start(&config).await;
    let other = slimspan.sender().await;
    // Their own clock would end a call at the deadline, and this is about when slimspan does.
    let address = slimspan.addresses[0];
    let connections = join_all((0..senders).map(|_| PatientSender::connect(address))).await;
    let (end, files) = (Instant::now() + hung, AtomicU64::new(0));

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
        (begun.elapsed(), Instant::now(), store.puts())
    };
    let (with_files, without, (found_out, open, puts)) =
        futures::join!(join_all(with_files), without_files, found_out);
    let with_files = Answered::of(&with_files);
    let (slowest, beside) = (with_files.slowest, without.slowest);
    assert!(slowest <= DEADLINE + allowance, "{policy}: {slowest:?}");
    assert!(beside <= allowance, "{policy}: {beside:?}");
    let soon = FOUND_OUT + bound(Duration::ZERO, FOUND_OUT);
    assert!(found_out <= soon, "{policy}: {found_out:?}");
    let (asked, whole) = (store.puts() - puts, open.elapsed());
    let probes = whole.as_secs_f64() / PROBE.as_secs_f64();
    assert!(
        asked as f64 <= probes + 1.0,
        "{policy}: {asked} in {whole:?}"
    );
    let ended = slimspan.stop().await;
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    measured(
        "P12",
        &format!("delivery::hung_store, {policy}"),
        "p100 <= deadline of 2 s + 250 ms, not asked after 3 s, then once in 5 s",
        format_args!(
            "p100 {slowest:.1?} of {} requests of {senders} senders in {whole:.0?}; p100 {beside:.1?} of \
             {} requests without files beside them; not asked after {found_out:.1?}, then {asked} times",
            with_files.count, without.count
        ),
    );
}
