//! P1: after an OK, `kill -9` at any instant loses neither span nor file. P4: repeating what had no
//! answer makes no second file, and no more duplicates than requests were in flight.
//!
//! Senders keep a ledger and give nothing up; slimspan is killed and started again, over and over,
//! also while it starts. When it may live at last and everything is answered, the ledger is held
//! against what the backend got.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use slimspan_generators::Random;
use tokio::sync::watch;

use super::life::Subject;
use super::load::Load;
use crate::support::checker::{Complaint, Rules, Scenario};
use crate::support::config;
use crate::support::ledger::Ledger;
use crate::support::measured::{measured, number};
use crate::support::references::files;
use crate::support::seed::Seed;
use crate::support::slimspan::Ended;
use crate::support::verifying::{Fetch, Verifying, in_folder};
use crate::support::workload::Workload;

const SENDERS: u64 = 8;

/// How long lives are and how often there is one.
#[derive(Debug, Clone, Copy)]
struct Plan {
    lives: usize,
    shortest: Duration,
    longest: Duration,
    workload: Workload,
}

impl Plan {
    /// Forty short lives, or as many as `SLIMSPAN_LIVES` says with all that senders may send.
    fn from_environment(seed: &Seed) -> Self {
        let lives = number("SLIMSPAN_LIVES", 0);
        let (lives, longest, largest) = match lives {
            0 => (40, Duration::from_millis(600), 128 << 10),
            lives => (lives, Duration::from_secs(2), 8 << 20),
        };
        Self {
            lives,
            shortest: Duration::from_millis(5),
            longest,
            workload: Workload {
                seed: seed.number(),
                smallest: 1 << 10,
                largest,
            },
        }
    }

    /// When the next life ends, counted from its beginning.
    fn span(&self, random: &mut Random) -> Duration {
        let range = self.longest.saturating_sub(self.shortest).as_micros() as usize;
        self.shortest + Duration::from_micros(random.below(range + 1) as u64)
    }
}

/// What is left when everything has come to rest.
struct Rest {
    ledger: Ledger,
    /// Lives that were long enough to accept a request.
    used: usize,
    ended: Option<Ended>,
}

/// Lets senders send while their collector dies again and again.
async fn lives(subject: &Subject, plan: &Plan, random: &mut Random) -> Rest {
    let (announce, whereabouts) = watch::channel(None);
    let load = Load {
        senders: SENDERS,
        requests: usize::MAX,
        workload: plan.workload,
    };
    let sending = load.begin(&whereabouts);
    let mut used = 0;
    for _ in 0..plan.lives {
        let end = Instant::now() + plan.span(random);
        let mut life = subject.start().await;
        let before = sending.ledger.acknowledged();
        tokio::select! {
            address = life.ready() => {
                announce.send_replace(Some(address));
                tokio::time::sleep_until(end.into()).await;
            }
            () = tokio::time::sleep_until(end.into()) => {}
        }
        life.kill().await;
        announce.send_replace(None);
        used += usize::from(sending.ledger.acknowledged() > before);
    }
    let mut life = subject.start().await;
    announce.send_replace(Some(life.ready().await));
    Rest {
        ledger: sending.stop().await,
        used,
        ended: life.stop().await,
    }
}

/// The configuration of one way to deliver; every way has its line in [`ways`].
fn ways(backend: std::net::SocketAddr) -> Vec<(&'static str, serde_json::Value)> {
    vec![("sync", config::standard(backend))]
}

/// OK means done, whatever happens to the process afterwards.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_acknowledged_is_lost_by_kill_9() {
    let seed = Seed::any();
    let plan = Plan::from_environment(&seed);
    let mut random = seed.random();
    let names: Vec<_> = ways(([0; 4], 0).into())
        .into_iter()
        .map(|(name, _)| name)
        .collect();
    for (number, name) in names.into_iter().enumerate() {
        let folder = Arc::new(tempfile::tempdir().unwrap());
        let artifacts = folder.path().join("artifacts");
        let fetch = in_folder(artifacts.clone());
        let backend = Verifying::start(Arc::clone(&fetch)).await;
        let (_, config) = ways(backend.address).swap_remove(number);
        let subject = Subject::slimspan(&folder, &config);
        let rest = lives(&subject, &plan, &mut random).await;
        assert_eq!(
            rest.ended.as_ref().unwrap().code,
            Some(0),
            "{:?}",
            rest.ended
        );

        let entries = rest.ledger.entries();
        let (objects, half_written) = objects(&artifacts);
        let checked = Scenario {
            entries: &entries,
            receipts: &backend.receipts(),
            fetch: &fetch,
            objects: &objects,
            rules: Rules::STRICT,
        }
        .assert();
        let in_flight = plan.lives * SENDERS as usize;
        assert!(checked.duplicates <= in_flight, "{checked}");
        assert!(checked.references > 0 && rest.used > 0, "{checked}");
        measured(
            "P1, P4",
            &format!("delivery::kill, {name}"),
            "0 lost, 0 dangling, duplicates <= in flight, 1 object a file",
            format_args!(
                "0 lost in {} lives ({} that acknowledged): {checked}, at most {in_flight} in \
                 flight; {half_written} files left half-written beside the store's own",
                plan.lives, rest.used
            ),
        );
    }
}

/// The same loop around a collector that says OK before anything is safe: it has to shout.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_loop_sees_loss() {
    let seed = Seed::any();
    let backend = Verifying::start(Arc::new(|_| None)).await;
    let plan = Plan {
        lives: 5,
        shortest: Duration::from_millis(100),
        longest: Duration::from_millis(200),
        workload: Workload {
            seed: seed.number(),
            smallest: 1 << 10,
            largest: 8 << 10,
        },
    };
    let subject = Subject::Hasty {
        backend: backend.address,
    };
    let rest = lives(&subject, &plan, &mut seed.random()).await;
    let complaints = Scenario {
        entries: &rest.ledger.entries(),
        receipts: &backend.receipts(),
        fetch: &(Arc::new(|_: &_| None) as Fetch),
        objects: &[],
        rules: Rules::FORWARDED,
    }
    .complaints();
    let lost = complaints
        .iter()
        .filter(|one| matches!(one, Complaint::Lost(_)));
    assert!(lost.count() > 0, "five kills, and nothing was missed");
    let other = complaints
        .iter()
        .find(|one| !matches!(one, Complaint::Lost(_)));
    assert_eq!(other, None);
}

/// The names of the objects in a folder, and how many files there are beside them that a kill
/// left half-written.
fn objects(folder: &Path) -> (Vec<String>, usize) {
    let names = files(folder).into_iter();
    let names = names.map(|path| path.file_name().unwrap().to_str().unwrap().to_owned());
    let (half, whole): (Vec<_>, Vec<_>) = names.partition(|name| name.contains('#'));
    (whole, half.len())
}
