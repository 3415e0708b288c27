//! What senders see of a store that stops and goes on.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use http::StatusCode;
use slimspan_artifact::Digest;
use slimspan_proto::Signal;
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, interval, timeout};

use crate::support::backend::Backend;
use crate::support::measured::{bound, measured, seconds};
use crate::support::s3::{Behaviour, S3};
use crate::support::sender::Sender;
use crate::support::slimspan::Slimspan;
use crate::support::{config, otlp};

/// Each sender sends a new file so often, ten in five seconds.
const EVERY: Duration = Duration::from_millis(500);

/// Whoever waits for the store waits for longer than this, and who does not for much less.
fn waits() -> Duration {
    bound(Duration::from_millis(1_500), Duration::from_secs(4))
}

/// A request that was answered.
struct Answered {
    sent: Instant,
    took: Duration,
}

/// Sends new files until it is told to end. A sender that is kept waiting sends no faster later.
async fn send(
    sender: Sender,
    numbers: Arc<AtomicU64>,
    answered: mpsc::UnboundedSender<Answered>,
    end: Arc<AtomicBool>,
) {
    let mut ticks = interval(EVERY);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    while !end.load(Ordering::Relaxed) {
        ticks.tick().await;
        let number = numbers.fetch_add(1, Ordering::Relaxed);
        let request = otlp::span_with(&otlp::photo(number, 9_000));
        let sent = Instant::now();
        sender.send(Signal::Traces, &request).await.unwrap();
        let took = sent.elapsed();
        let _ = answered.send(Answered { sent, took });
    }
}

fn drain(answered: &mut mpsc::UnboundedReceiver<Answered>) -> Vec<Answered> {
    std::iter::from_fn(|| answered.try_recv().ok()).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn senders_hardly_notice_a_store_that_stops() {
    let (stop, stopped) = watch::channel(false);
    let store = S3::start(Behaviour::StoreUnlessStopped(stopped)).await;
    let backend = Backend::start().await;
    let mut config = config::with_s3(backend.address, store.address);
    config["extensions"]["artifact_store"]["timeout"] = "10s".into();
    let mut slimspan = Slimspan::start(&config).await;
    // A file that is stored before, which others send again meanwhile.
    let known = otlp::span_with(&otlp::photo(u64::MAX, 9_000));
    let other = slimspan.sender().await;
    other.send(Signal::Traces, &known).await.unwrap();

    let many: u64 = bound(64, 16);
    let in_five_seconds = many as usize * 10;
    let (answers, mut answered) = mpsc::unbounded_channel();
    let (numbers, end) = (Arc::<AtomicU64>::default(), Arc::<AtomicBool>::default());
    let mut senders = Vec::new();
    for _ in 0..many {
        let (numbers, end) = (Arc::clone(&numbers), Arc::clone(&end));
        let sender = slimspan.sender().await;
        senders.push(tokio::spawn(send(sender, numbers, answers.clone(), end)));
    }
    let before = store.puts();
    store.begun(before + in_five_seconds / 2).await;

    stop.send_replace(true);
    let stopped = Instant::now();
    slimspan.logs("is not asked any more").await;
    let found_out = stopped.elapsed();
    assert!(
        found_out <= Duration::from_secs(bound(3, 6)),
        "{found_out:?}"
    );
    let open = Instant::now();
    // What was let through just before arrives a little later, and the next attempt comes after five seconds.
    tokio::time::sleep(Duration::from_secs(2)).await;
    let puts = store.puts();
    // What needs nothing of the store waits for nothing.
    let begun = Instant::now();
    other.send(Signal::Traces, &known).await.unwrap();
    let took = begun.elapsed();
    assert!(took < waits(), "{took:?}");
    // The first attempt to see whether it is back, and what follows until the next.
    store.begun(puts + 1).await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(store.puts(), puts + 1, "one only");
    // It is asked again and again for as long as that takes.
    let stood = seconds("SLIMSPAN_STOPPED_SECONDS", Duration::ZERO);
    tokio::time::sleep(stood.saturating_sub(stopped.elapsed())).await;
    let stood = stopped.elapsed();
    let probes = store.puts() - puts;
    assert!(
        probes <= 1 + stood.as_secs() as usize / 5,
        "{probes} in {stood:?}"
    );

    stop.send_replace(false);
    let healed = Instant::now();
    slimspan.logs("works again").await;
    let closed = Instant::now();
    let puts = store.puts();
    let back = closed - healed;
    store.begun(puts + in_five_seconds / 2).await;
    let full = closed.elapsed();
    let most = Duration::from_secs(bound(10, 25));
    assert!(back + full <= most, "{back:?}, {full:?}");
    assert!(
        full <= Duration::from_secs(bound(5, 15)),
        "less than half the rate: {full:?}"
    );
    let rest = Duration::from_secs(5).saturating_sub(full);
    let crowd = timeout(rest, store.begun(puts + 2 * in_five_seconds)).await;
    assert!(crowd.is_err(), "all come at the same moment");

    end.store(true, Ordering::Relaxed);
    for sender in senders {
        sender.await.unwrap();
    }
    slimspan.stop_well().await;
    let all = drain(&mut answered);
    let longest = Duration::from_secs(bound(13, 25));
    assert!(all.iter().all(|one| one.took <= longest));
    let meanwhile = open + Duration::from_millis(100)..healed;
    let sent_meanwhile = all.iter().filter(|one| meanwhile.contains(&one.sent));
    let mut took: Vec<Duration> = sent_meanwhile.map(|one| one.took).collect();
    took.sort_unstable();
    let half = took[took.len() / 2];
    assert!(half < waits(), "{half:?}");
    // One shows whether it works again, and a few may wait for the machine.
    let long = Duration::from_secs(bound(2, 4));
    let waited = took.iter().filter(|took| **took > long);
    assert!(waited.count() <= 1 + took.len() / 20, "{took:?}");
    measured(
        "P25",
        "program::store_recovery",
        "not asked after 3 s, then once in 5 s; half the rate and more 10 s after it works, at most twice the rate for 5 s",
        format_args!(
            "{many} senders: not asked after {found_out:.1?}, {probes} times in {stood:.0?}, half of them \
             answered within {half:.1?} meanwhile, asked again after {back:.1?}, {} files in {full:.1?} then",
            in_five_seconds / 2
        ),
    );
}

/// Answers that pass are not the sender's business; one that does not is asked for once.
#[tokio::test]
async fn an_answer_is_asked_for_again_where_that_can_help() {
    for (status, again) in [
        (StatusCode::SERVICE_UNAVAILABLE, true),
        (StatusCode::INTERNAL_SERVER_ERROR, true),
        (StatusCode::TOO_MANY_REQUESTS, true),
        (StatusCode::REQUEST_TIMEOUT, true),
        (StatusCode::BAD_REQUEST, false),
        (StatusCode::UNAUTHORIZED, false),
        (StatusCode::FORBIDDEN, false),
        (StatusCode::NOT_FOUND, false),
        (StatusCode::NOT_IMPLEMENTED, false),
    ] {
        // More than the client itself repeats.
        let store = S3::start(Behaviour::AnswerFirst(status, 2)).await;
        let backend = Backend::start().await;
        let mut config = config::with_s3(backend.address, store.address);
        config["extensions"]["artifact_store"]["timeout"] = "5s".into();
        let slimspan = Slimspan::start(&config).await;
        let sender = slimspan.sender().await;
        let request = otlp::span_with(otlp::PICTURE);
        sender.send(Signal::Traces, &request).await.unwrap();
        let stored = store.stored() == [Digest::of(otlp::PICTURE)];
        assert_eq!(stored, again, "{status}");
        assert_eq!(backend.only() != request, again, "{status}");
        slimspan.stop_well().await;
    }
}
