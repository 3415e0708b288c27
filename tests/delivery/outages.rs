//! P12 and P25 with a real S3 server: its process is stopped by a signal and goes on, or is killed and started
//! again, below the whole program. Senders are answered in time meanwhile, nothing is lost, and when the server is
//! back everything goes as before, by itself and not faster.
//!
//! The server is s3s-fs: it keeps its objects as files, so that it has them after a kill. One that forgets what it
//! said it has leaves references that lead nowhere, whoever sent to it.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use futures::future::join_all;
use serde_json::json;
use tokio::sync::watch;
use tokio::time::{MissedTickBehavior, interval, sleep};
use tonic::Code;

use super::conserved::conserved;
use crate::support::checker::{Rules, Scenario};
use crate::support::config;
use crate::support::frames::frame;
use crate::support::ledger::{Ledger, Outcome, Page};
use crate::support::measured::{bound, measured, number, seconds, strict};
use crate::support::pages::Metrics;
use crate::support::s3_server::S3Server;
use crate::support::seed::Seed;
use crate::support::sender::{Call, PatientSender};
use crate::support::slimspan::Slimspan;
use crate::support::spool::{is_empty_within, stored_or_spooled};
use crate::support::verifying::Verifying;
use crate::support::workload::{Numbered, Workload};

/// What each sender says how long it waits, in seconds.
fn deadline() -> u64 {
    bound(2, 5)
}

/// How soon the server is found out, and how often it is asked then.
const FOUND_OUT: Duration = Duration::from_secs(3);
const PROBE: Duration = Duration::from_secs(5);

/// What was on its way to the server when it was found out has ended after this.
const ENDED: Duration = Duration::from_millis(2_500);

/// So long after the server is known to be back nobody may make up for what was missed.
const CROWD: Duration = Duration::from_secs(5);

/// How soon it goes as before.
const FULL: Duration = Duration::from_secs(10);

/// A sender that is not told when to come back waits so long.
const PAUSE: Duration = Duration::from_millis(100);

/// What is not taken so long after an outage never is.
const PATIENCE: Duration = Duration::from_mins(2);

/// What happens to the server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Outage {
    /// SIGSTOP, and SIGCONT.
    Stopped,
    /// SIGKILL, and a start where it was.
    Killed,
}

/// What becomes of requests meanwhile.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Meanwhile {
    /// They go on as they came.
    Forward,
    /// Their senders are to come back.
    Refuse,
    /// Files wait in the spool, and nobody for them.
    Background,
}

const SCENARIOS: [(Outage, Meanwhile); 6] = [
    (Outage::Stopped, Meanwhile::Forward),
    (Outage::Stopped, Meanwhile::Refuse),
    (Outage::Stopped, Meanwhile::Background),
    (Outage::Killed, Meanwhile::Forward),
    (Outage::Killed, Meanwhile::Refuse),
    (Outage::Killed, Meanwhile::Background),
];

impl Outage {
    fn begin(self, server: &mut S3Server) {
        match self {
            Self::Stopped => server.signal("STOP"),
            Self::Killed => server.kill(),
        }
    }

    fn end(self, server: &mut S3Server) {
        match self {
            Self::Stopped => server.signal("CONT"),
            Self::Killed => server.restart(),
        }
    }

    /// How long it takes; everyday no longer than until it is found out.
    fn time(self) -> Duration {
        let name = match self {
            Self::Stopped => "SLIMSPAN_HUNG_SECONDS",
            Self::Killed => "SLIMSPAN_STOPPED_SECONDS",
        };
        seconds(name, Duration::ZERO)
    }
}

impl Meanwhile {
    /// Each sender has a new request so often.
    fn every(self) -> Duration {
        let every = bound(Duration::from_millis(500), Duration::from_millis(50));
        match self {
            // The backend reads through the spool for each of its files.
            Self::Background => every * 4,
            Self::Forward | Self::Refuse => every,
        }
    }

    fn rules(self) -> Rules {
        match self {
            Self::Forward => Rules::FORWARDED,
            Self::Refuse | Self::Background => Rules::STRICT,
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_real_server_may_hang_or_die_and_come_back() {
    let seed = Seed::any();
    if strict() {
        for (outage, meanwhile) in SCENARIOS {
            live_through(&seed, outage, meanwhile).await;
        }
    } else {
        // Most of the time all of them wait.
        let all = SCENARIOS.map(|(outage, meanwhile)| live_through(&seed, outage, meanwhile));
        join_all(all).await;
    }
}

/// Senders with a request at a time each, which is sent again until it is taken. Who was kept waiting sends no
/// faster later.
#[derive(Clone)]
struct Senders {
    to: SocketAddr,
    workload: Workload,
    /// How many there are.
    count: u64,
    every: Duration,
    patience: Duration,
    ledger: Ledger,
    end: watch::Receiver<bool>,
}

impl Senders {
    async fn send(self, number: u64) {
        // Its own clock would end a call at the deadline, and this is about when slimspan does.
        let sender = PatientSender::connect(self.to).await;
        // One after the other, so that some are sent at any time.
        sleep(self.every.mul_f64(number as f64 / self.count as f64)).await;
        let mut ticks = interval(self.every);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut next = 0;
        while !*self.end.borrow() {
            ticks.tick().await;
            let request = self.workload.request(number, next);
            next += request.items.len() as u64;
            let page = self.ledger.open(&request);
            let begun = Instant::now();
            while let Some(pause) = self.attempt(&sender, &request, &page).await {
                let waited = begun.elapsed();
                assert!(waited < self.patience, "not taken: {:?}", page.last());
                sleep(pause).await;
            }
        }
    }

    /// Sends a request once; how long to wait until it is sent again, if it has to be.
    async fn attempt(
        &self,
        sender: &PatientSender,
        request: &Numbered,
        page: &Page,
    ) -> Option<Duration> {
        let call = Call::whole(frame(0, &request.message)).of(request.signal);
        let call = call.header("grpc-timeout", &format!("{}S", deadline()));
        let sent = Instant::now();
        let answer = sender.call(call).await;
        let took = sent.elapsed();
        let status = answer.status();
        let outcome = if status.code() == Code::Ok {
            // The backend rejects nothing.
            Outcome::Accepted { rejected: 0 }
        } else {
            Outcome::of(Err(status.clone()))
        };
        page.note(outcome.clone(), took);
        match outcome {
            Outcome::Accepted { .. } => None,
            Outcome::Postponed { delay, .. } => Some(delay.unwrap_or(PAUSE)),
            told => panic!("{told:?}"),
        }
    }
}

/// How often a store was asked for a put, as far as that has ended.
async fn asked(slimspan: &Slimspan) -> u64 {
    let metrics = Metrics::of(slimspan.page("telemetry")).await;
    metrics.count("slimspan_store_put_duration_seconds_count", &[])
}

/// How many puts come to the server in this time, in a second.
async fn rate(server: &S3Server, time: Duration) -> f64 {
    let (before, begun) = (server.puts(), Instant::now());
    sleep(time).await;
    (server.puts() - before) as f64 / begun.elapsed().as_secs_f64()
}

/// How it went.
struct Seen {
    /// The server was away for so long.
    away: Duration,
    /// After this it was not asked any more.
    found_out: Option<Duration>,
    /// How often it was asked then, in this time.
    probes: Option<(u64, Duration)>,
    /// It goes as fast as before so long after it is back.
    full: Duration,
    /// As many times the rate before come in the first seconds after it is back, or is known to be.
    crowd: f64,
}

/// Has the server go away and come back below senders that go on.
async fn through(
    outage: Outage,
    meanwhile: Meanwhile,
    server: &mut S3Server,
    slimspan: &Slimspan,
    ledger: &Ledger,
) -> Seen {
    let what = format!("{outage:?}, {meanwhile:?}");
    let window = bound(Duration::from_secs(1), Duration::from_millis(300));
    server.begun(30).await;
    let before = rate(server, window).await.max(f64::MIN_POSITIVE);

    outage.begin(server);
    let begun = Instant::now();
    let (mut found_out, mut probes) = (None, None);
    if meanwhile == Meanwhile::Background {
        // Uploads have pauses of their own; senders do not notice.
        let passed = ledger.acknowledged();
        ledger
            .until("requests pass", |now| now.acknowledged() >= passed + 10)
            .await;
    } else {
        slimspan.has_logged("is not asked any more").await;
        found_out = Some(begun.elapsed());
    }
    let left = outage.time().saturating_sub(begun.elapsed() + ENDED);
    if found_out.is_some() && !left.is_zero() {
        sleep(ENDED).await;
        let (asked_before, open) = (asked(slimspan).await, Instant::now());
        sleep(left).await;
        probes = Some((asked(slimspan).await - asked_before, open.elapsed()));
    }
    sleep(outage.time().saturating_sub(begun.elapsed())).await;
    let (puts, away) = (server.puts(), begun.elapsed());
    outage.end(server);
    let healed = Instant::now();
    if found_out.is_some() {
        slimspan.has_logged("works again").await;
    }
    let (works, puts_by_then) = (Instant::now(), server.puts());

    // Everyday all of them share the machine, and any rate will do.
    let least = bound(before * 0.9, f64::MIN_POSITIVE);
    let most = bound(FULL, Duration::from_mins(1));
    let watched = bound(CROWD, Duration::ZERO);
    let (mut full, mut crowd) = (None, None);
    loop {
        let from = healed.elapsed();
        assert!(
            full.is_some() || from <= most,
            "{what}: slow after {from:?}"
        );
        if rate(server, window).await >= least {
            full.get_or_insert(from);
        }
        if works.elapsed() >= watched {
            let now = server.puts();
            // Also what had been given up and was still on its way.
            let since_healed = (now - puts) as f64 / healed.elapsed().as_secs_f64();
            let since_works = (now - puts_by_then) as f64 / works.elapsed().as_secs_f64();
            let most = since_healed.max(since_works) / before;
            crowd = crowd.or(Some(most));
        }
        if let (Some(full), Some(crowd)) = (full, crowd) {
            return Seen {
                away,
                found_out,
                probes,
                full,
                crowd,
            };
        }
    }
}

async fn live_through(seed: &Seed, outage: Outage, meanwhile: Meanwhile) {
    let what = format!("{outage:?}, {meanwhile:?}");
    let senders = number("SLIMSPAN_SENDERS", 6) as u64;
    let mut server = S3Server::start();
    let spool = tempfile::tempdir().unwrap();
    let fetch = stored_or_spooled(server.fetch(), spool.path().to_owned());
    let backend = Verifying::start(fetch).await;
    let mut config = config::with_s3(backend.address, server.address);
    config::tell_metrics(&mut config);
    config::expect_at_once(&mut config, senders as usize);
    // So that what ends a wait is that of the sender.
    config["extensions"]["artifact_store"]["timeout"] = json!("1m");
    let artifact = &mut config["processors"]["artifact"];
    match meanwhile {
        Meanwhile::Forward => artifact["on_store_failure"] = json!("forward"),
        Meanwhile::Refuse => artifact["on_store_failure"] = json!("refuse"),
        Meanwhile::Background => {
            artifact["delivery"] = json!("background");
            config["extensions"]["artifact_store"]["spool"] =
                json!({ "directory": spool.path(), "max_bytes": "1GiB" });
        }
    }
    let slimspan = Slimspan::start(&config).await;
    let ledger = Ledger::default();
    let (end, ended) = watch::channel(false);
    let sending = Senders {
        to: slimspan.addresses[0],
        workload: Workload {
            seed: seed.number(),
            smallest: 4 << 10,
            largest: 64 << 10,
        },
        count: senders,
        every: meanwhile.every(),
        patience: PATIENCE + outage.time(),
        ledger: ledger.clone(),
        end: ended,
    };
    let sending: Vec<_> = (0..senders)
        .map(|number| tokio::spawn(sending.clone().send(number)))
        .collect();
    let passed = through(outage, meanwhile, &mut server, &slimspan, &ledger).await;
    end.send_replace(true);
    for sender in join_all(sending).await {
        sender.unwrap();
    }
    if meanwhile == Meanwhile::Background {
        is_empty_within(spool.path(), PATIENCE).await;
    }
    let entries = ledger.entries();
    conserved(&entries, &slimspan.stop().await);
    // All is in the bucket by now, and nothing of it anywhere else.
    let checked = Scenario {
        entries: &entries,
        receipts: &backend.receipts(),
        fetch: &server.fetch(),
        objects: &server.objects(),
        rules: meanwhile.rules(),
    }
    .assert();

    let attempts = entries.iter().flat_map(|entry| &entry.attempts);
    let refusals = attempts.filter(|one| matches!(one, Outcome::Postponed { .. }));
    let refusals = refusals.count();
    if meanwhile != Meanwhile::Refuse {
        assert_eq!(refusals, 0, "{what}");
    } else if strict() {
        // Everyday it is back before those who wait for it have to be told.
        assert!(refusals > 0, "{what}");
    }
    // What a machine may add.
    let allowance = Duration::from_millis(bound(250, 5_000));
    let slowest = ledger.slowest();
    assert!(
        slowest <= Duration::from_secs(deadline()) + allowance,
        "{what}: {slowest:?}"
    );
    let Seen {
        away,
        found_out,
        probes,
        full,
        crowd,
    } = passed;
    if let Some(found_out) = found_out {
        assert!(
            found_out <= bound(FOUND_OUT, FOUND_OUT * 5),
            "{what}: {found_out:?}"
        );
    }
    if let Some((probes, time)) = probes {
        let due = time.as_secs_f64() / PROBE.as_secs_f64();
        let range = (due / 2.0).floor()..=due + 1.0;
        assert!(
            range.contains(&(probes as f64)),
            "{what}: {probes} in {time:?}"
        );
    }
    let most = bound(2.0, f64::INFINITY);
    assert!(crowd <= most, "{what}: {crowd} times the rate");

    if let Some(found_out) = found_out {
        let (times, time) = probes.unwrap_or_default();
        measured(
            "P12",
            &format!("delivery::outages, {what}"),
            "p100 <= deadline of 2 s + 250 ms, not asked after 3 s, then once in 5 s",
            format_args!(
                "{senders} senders, the server away for {away:.0?}: p100 {slowest:.1?} of {} requests, {refusals} \
                 refusals; not asked after {found_out:.1?}, then {times} times in {time:.0?}",
                entries.len()
            ),
        );
    }
    let target = match meanwhile {
        Meanwhile::Background => {
            "0 lost, 0 early, nobody refused; the rate before within 10 s, at most twice that rate for 5 s, and the \
             spool empty"
        }
        Meanwhile::Forward | Meanwhile::Refuse => {
            "0 lost, 0 early; 90 % of the rate before within 10 s, at most twice that rate for 5 s"
        }
    };
    measured(
        "P25",
        &format!("delivery::outages, {what}"),
        target,
        format_args!(
            "away for {away:.0?}, as before {full:.1?} later, {crowd:.1} times the rate for 5 s: {checked}"
        ),
    );
}
