//! P25: a store may hang, refuse, throttle or have another time. When it is well again everything goes as
//! fast as before, by itself and not faster, and meanwhile nothing was lost.

use std::time::{Duration, Instant};

use futures::future::join_all;
use serde_json::json;
use tokio::sync::watch;

use super::conserved::conserved;
use super::load::Load;
use crate::support::checker::{Rules, Scenario};
use crate::support::config;
use crate::support::fault_store::{Fault, FaultStore};
use crate::support::insistent::PATIENCE;
use crate::support::ledger::Ledger;
use crate::support::measured::{bound, measured, seconds, strict};
use crate::support::seed::Seed;
use crate::support::slimspan::Slimspan;
use crate::support::verifying::Verifying;

/// What goes wrong, in a thousand.
const ILLS: [(Fault, usize); 8] = [
    (Fault::Hang, 1000),
    (Fault::Error, 1000),
    (Fault::SlowDown, 500),
    (Fault::Forbidden, 1000),
    (Fault::Skewed, 1000),
    (Fault::ErrorInBody, 1000),
    (Fault::WrongEtag, 1000),
    (Fault::Reset, 500),
];

/// A put takes as long, so that the store says how fast it goes, and not the machine.
const WELL: (Fault, usize) = (Fault::Delay(Duration::from_millis(40)), 1000);

/// For so long it is looked how fast it goes.
const WINDOW: Duration = Duration::from_secs(1);

/// Within this time after the store is well nobody may make up for what was missed. Everyday any rate will do.
fn crowd_for() -> Duration {
    Duration::from_secs(bound(5, 1))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn everything_is_as_before_when_the_store_is_well_again() {
    let seed = Seed::any();
    if strict() {
        for ill in ILLS {
            heals_from(&seed, ill).await;
        }
    } else {
        join_all(ILLS.map(|ill| heals_from(&seed, ill))).await;
    }
}

/// How many requests are acknowledged in this time.
async fn acknowledged_in(ledger: &Ledger, time: Duration) -> usize {
    let before = ledger.acknowledged();
    tokio::time::sleep(time).await;
    ledger.acknowledged() - before
}

async fn heals_from(seed: &Seed, ill: (Fault, usize)) {
    let what = ill.0;
    let store = FaultStore::start(seed.number(), &[WELL]).await;
    let backend = Verifying::start(store.fetch()).await;
    let mut config = config::with_s3(backend.address, store.address);
    config["extensions"]["artifact_store"]["timeout"] = "2s".into();
    config["processors"]["artifact"]["on_store_failure"] = json!("refuse");
    let slimspan = Slimspan::start(&config).await;
    let (_here, whereabouts) = watch::channel(Some(slimspan.place()));
    let ill_for = seconds("SLIMSPAN_ILL_SECONDS", Duration::from_secs(1));
    let load = Load::small(seed.number(), 8, usize::MAX);
    let sending = load.begin_patiently(&whereabouts, PATIENCE + ill_for);
    let ledger = &sending.ledger;
    ledger
        .until("requests pass", |ledger| ledger.acknowledged() >= 50)
        .await;
    let puts = store.puts();
    let before = acknowledged_in(ledger, WINDOW).await;
    let puts_before = store.puts() - puts;

    store.set(&[ill]);
    tokio::time::sleep(ill_for).await;
    store.set(&[WELL]);
    let (healed, puts) = (Instant::now(), store.puts());
    // Everyday all of them share the machine, and any rate will do.
    let least = bound(before * 9 / 10, 1);
    let (mut crowd, mut full) = (None, None);
    while crowd.is_none() || full.is_none() {
        let from = healed.elapsed();
        assert!(
            from < Duration::from_secs(bound(13, 60)),
            "{what:?}: {from:?}"
        );
        if acknowledged_in(ledger, WINDOW).await >= least {
            full.get_or_insert(from);
        }
        if healed.elapsed() >= crowd_for() {
            let spent = healed.elapsed().as_secs_f64() / WINDOW.as_secs_f64();
            let rate = (store.puts() - puts) as f64 / spent;
            crowd.get_or_insert(rate / puts_before as f64);
        }
    }
    let (crowd, full) = (crowd.unwrap(), full.unwrap());
    assert!(
        full <= Duration::from_secs(bound(10, 60)),
        "{what:?}: {full:?}"
    );
    assert!(
        crowd <= bound(2.0, f64::MAX),
        "{what:?}: {crowd} times the rate"
    );

    let entries = sending.stop().await.entries();
    conserved(&entries, &slimspan.stop().await);
    let checked = Scenario {
        entries: &entries,
        receipts: &backend.receipts(),
        fetch: &store.fetch(),
        objects: &store.objects(),
        rules: Rules::STRICT,
    }
    .assert();
    measured(
        "P25",
        &format!("delivery::store_heals, {what:?}"),
        "0 lost, 0 early; 90 % of the rate before within 10 s, at most twice that rate for 5 s",
        format_args!(
            "ill for {ill_for:?}, as before {full:.1?} later, {crowd:.1} times the rate for 5 s: {checked}"
        ),
    );
}
