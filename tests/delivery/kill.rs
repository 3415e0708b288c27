//! P1: after an OK, `kill -9` at any instant loses neither span nor file, and neither does a second SIGTERM, at which
//! slimspan waits for nothing. P4: repeating what had no answer makes no second file, and no more duplicates than
//! requests were in flight.
//!
//! Senders keep a ledger and give nothing up; slimspan is killed and started again, over and over,
//! also while it starts. When it may live at last and everything is answered, the ledger is held
//! against what the backend got, and so is the catalog: every file to which something refers that the backend got
//! is in it.

use std::io::Write as _;
use std::ops::AddAssign;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures::{StreamExt as _, stream};
use serde_json::json;
use slimspan_generators::Random;
use tokio::sync::watch;

use super::life::Subject;
use super::load::Load;
use super::surroundings::{Behind, DOWN, SENDERS, Spool, Surroundings, objects};
use super::ways::{
    BACKGROUND, BACKGROUND_WITH_QUEUE, HTTP, QUEUE_IN_BATCHES, QUEUE_ON_DISK, QUEUE_THAT_WAITS,
    SYNC, SYNC_WITH_FAULTS, Way,
};
use crate::support::checker::{Checked, Complaint, Rules, Scenario};
use crate::support::config;
use crate::support::ledger::Ledger;
use crate::support::measured::{measured, number, strict};
use crate::support::seed::Seed;
use crate::support::slimspan::Ended;
use crate::support::verifying::{Fetch, Reaction, Verifying, in_folder};
use crate::support::workload::Workload;

/// In the long form so many disks have their lives at a time: most of a life is waiting.
const DISKS: usize = 2;

/// A life that ends within this is mostly one that makes good what the one before it left.
const RECOVERY: Duration = Duration::from_millis(120);

/// A life that is long enough for any acknowledges so many requests on the average, or it tells little.
const ACKNOWLEDGED: usize = 50;

/// Of so many lives some end before they are ready.
const MANY: usize = 90;

/// After so many lives everything is checked and thrown away: senders send faster than disks grow.
const LIVES_OF_A_DISK: usize = 25;

/// How long lives are and how often there is one.
#[derive(Debug, Clone, Copy)]
struct Plan {
    lives: usize,
    shortest: Duration,
    longest: Duration,
    workload: Workload,
}

impl Plan {
    /// Few short lives, or the same share of `SLIMSPAN_LIVES` with all that senders may send.
    fn from_environment(seed: &Seed, everyday: usize) -> Self {
        let lives = number("SLIMSPAN_LIVES", 0);
        let (lives, longest, largest) = match lives {
            0 => (everyday, Duration::from_millis(600), 128 << 10),
            lives => (
                (lives * everyday).div_ceil(EVERYDAY),
                Duration::from_secs(2),
                8 << 20,
            ),
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

    /// When the next life ends, counted from its beginning. One in six ends while it begins.
    fn span(&self, random: &mut Random) -> Duration {
        let longest = if random.one_in(6) {
            RECOVERY
        } else {
            self.longest
        };
        let range = longest.saturating_sub(self.shortest).as_micros() as usize;
        self.shortest + Duration::from_micros(random.below(range + 1) as u64)
    }
}

/// What is left when everything has come to rest.
struct Rest {
    ledger: Ledger,
    /// Lives that were long enough to accept a request.
    used: usize,
    /// Lives that were to be longer than what makes good an earlier one.
    long: usize,
    /// Those of them that acknowledged fewer requests than they do on the average.
    few: usize,
    /// Lives that ended before they were ready.
    unready: usize,
    /// Lives that ended by a second signal.
    hurried: usize,
    /// Lives in which entries of the catalog were in memory when their request was answered, because neither the disk
    /// nor the store took them in time: that a kill loses these they say themselves.
    in_memory: usize,
    ended: Option<Ended>,
}

/// What a slimspan logs whose entries are in memory alone, before it answers anybody whose they are.
const IN_MEMORY: &str = "entries of the catalog wait in memory";

/// Lets senders send while their collector dies again and again.
async fn lives(subject: &Subject, plan: &Plan, random: &mut Random, behind: &Behind<'_>) -> Rest {
    let (announce, whereabouts) = watch::channel(None);
    let load = Load {
        senders: SENDERS,
        requests: usize::MAX,
        workload: plan.workload,
    };
    let sending = load.begin(&whereabouts);
    let (mut used, mut unready, mut hurried, mut in_memory) = (0, 0, 0, 0);
    let (mut long, mut few) = (0, 0);
    for number in 1..=plan.lives {
        if let Some(Spool { bucket, faults, .. }) = behind.spool {
            // A spool that is full by the last one would have to wait.
            let is_down = random.one_in(2) && number < plan.lives;
            bucket.set(if is_down { DOWN } else { faults });
        }
        let in_a_hurry = random.one_in(4);
        let span = plan.span(random);
        let end = Instant::now() + span;
        let mut life = subject.start().await;
        let before = sending.ledger.acknowledged();
        let is_ready = tokio::select! {
            address = life.ready() => {
                announce.send_replace(Some(address));
                tokio::time::sleep_until(end.into()).await;
                true
            }
            () = tokio::time::sleep_until(end.into()) => false,
        };
        unready += usize::from(!is_ready);
        if number == plan.lives {
            // However slow the machine is, one of them is long enough.
            if !is_ready {
                announce.send_replace(Some(life.ready().await));
            }
            let enough = before + 3 * SENDERS as usize;
            let is_used = |ledger: &Ledger| ledger.acknowledged() >= enough;
            sending.ledger.until("some requests pass", is_used).await;
        }
        // Before it is ready, the first signal may end it.
        let said = if in_a_hurry && is_ready {
            hurried += 1;
            life.hurry().await
        } else {
            life.kill().await
        };
        in_memory += usize::from(said.contains(IN_MEMORY));
        announce.send_replace(None);
        let acknowledged = sending.ledger.acknowledged() - before;
        used += usize::from(acknowledged > 0);
        if span > RECOVERY {
            long += 1;
            few += usize::from(acknowledged < ACKNOWLEDGED);
        }
    }
    let mut life = subject.start().await;
    announce.send_replace(Some(life.ready().await));
    let ledger = sending.stop().await;
    behind.rests(&ledger).await;
    Rest {
        ledger,
        used,
        long,
        few,
        unready,
        hurried,
        in_memory,
        ended: life.stop().await,
    }
}

/// OK means done, whatever happens to the process afterwards.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_acknowledged_is_lost_by_kill_9() {
    survives(&SYNC, 8).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_acknowledged_is_lost_by_kill_9_over_http() {
    survives(&HTTP, 4).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_acknowledged_is_lost_by_kill_9_while_the_store_fails() {
    survives(&SYNC_WITH_FAULTS, 7).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_acknowledged_is_lost_by_kill_9_while_it_waits_in_a_queue() {
    survives(&QUEUE_ON_DISK, 7).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_acknowledged_is_lost_by_kill_9_while_it_waits_in_a_queue_for_a_batch() {
    survives(&QUEUE_IN_BATCHES, 4).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_acknowledged_is_lost_by_kill_9_where_a_queue_waits_for_the_result() {
    survives(&QUEUE_THAT_WAITS, 4).await;
}

/// Files may wait in the spool through many lives, and are in the store in the end.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_acknowledged_is_lost_by_kill_9_while_it_waits_in_a_spool() {
    survives(&BACKGROUND, 7).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_acknowledged_is_lost_by_kill_9_while_it_waits_in_a_spool_and_in_a_queue() {
    survives(&BACKGROUND_WITH_QUEUE, 7).await;
}

/// What a number of lives came to.
#[derive(Default)]
struct Survived {
    checked: Checked,
    lives: usize,
    /// Those that were long enough to acknowledge something.
    used: usize,
    /// Those that were to be longer than what makes good an earlier one.
    long: usize,
    /// And those of them that acknowledged fewer requests than they do on the average.
    few: usize,
    /// Those that ended before they were ready.
    unready: usize,
    /// Those that ended by a second signal.
    hurried: usize,
    /// Requests that were acknowledged.
    acknowledged: usize,
    /// Requests that were in flight at a kill, at most.
    in_flight: usize,
    /// Files that a kill left half-written.
    half_written: usize,
    /// Files to which something that arrived refers, and that the catalog has.
    catalogued: usize,
    /// Lives in which its entries were in memory alone.
    in_memory: usize,
}

/// All ways together have so many lives everyday; `SLIMSPAN_LIVES` is shared out like these.
const EVERYDAY: usize = 48;

async fn survives(way: &Way, everyday: usize) {
    let seed = Seed::any();
    let mut plan = Plan::from_environment(&seed, everyday);
    let mut random = seed.random();
    let mut plans = Vec::new();
    let mut left = plan.lives;
    while left > 0 {
        plan.lives = left.min(LIVES_OF_A_DISK);
        plan.workload.seed = random.number();
        plans.push((plan, Random::new(random.number())));
        left -= plan.lives;
    }
    let begun = Instant::now();
    let disks = plans
        .into_iter()
        .map(|(plan, random)| survives_for(way, plan, random));
    let all = stream::iter(disks)
        .buffer_unordered(DISKS)
        .fold(Survived::default(), |mut all, one| async move {
            all += one;
            all
        })
        .await;
    let checked = all.checked;
    assert!(checked.references > 0 && all.used > 0, "{checked}");
    let each = all.acknowledged / all.used;
    if strict() {
        assert!(
            each >= ACKNOWLEDGED,
            "{each} requests acknowledged in a life"
        );
        // One in six is to end while it begins, and not all of them do.
        assert!(all.unready > 0 || all.lives < MANY, "{} lives", all.lives);
    }
    measured(
        "P1, P3, P4",
        &format!("delivery::kill, {}", way.name),
        "0 lost, 0 early or dangling, 1 object a file, none missing in the catalog, repeated <= in flight, \
         >= 50 requests acknowledged a life on the average",
        format_args!(
            "0 lost, 0 early or dangling in {} lives, of which {} acknowledged, {} requests each on the average; of {} \
             that were to be longer than a start {} acknowledged fewer than {ACKNOWLEDGED}; \
             {} ended while they began, {} by a second signal: {checked} of at most {} in flight; 0 of {} files \
             missing in the catalog, {} lives whose entries were in memory alone left out; {} leftovers of writes that \
             were cut off; {:.1?} a life",
            all.lives,
            all.used,
            each,
            all.long,
            all.few,
            all.unready,
            all.hurried,
            all.in_flight,
            all.catalogued,
            all.in_memory,
            all.half_written,
            begun.elapsed() / u32::try_from(all.lives).unwrap(),
        ),
    );
}

async fn survives_for(way: &Way, plan: Plan, mut random: Random) -> Survived {
    let surroundings = Surroundings::of(way, plan.workload.seed).await;
    let behind = surroundings.behind();
    let rest = lives(&surroundings.subject, &plan, &mut random, &behind).await;
    let ended = rest.ended.as_ref().unwrap();
    let (checked, half_written) = surroundings.check(&rest.ledger, ended);
    let in_memory = rest.in_memory + usize::from(ended.stderr.contains(IN_MEMORY));
    let (catalogued, missing) = surroundings.catalogued();
    if in_memory == 0 {
        assert!(missing.is_empty(), "not in the catalog: {missing:?}");
    } else {
        let say = std::io::stderr();
        let _ = writeln!(
            &say,
            "{in_memory} lives had entries in memory, {missing:?} are missing"
        );
    }
    let in_flight = way.in_flight(plan.lives);
    assert!(checked.duplicates <= in_flight, "{checked}");
    Survived {
        checked,
        lives: plan.lives,
        used: rest.used,
        long: rest.long,
        few: rest.few,
        unready: rest.unready,
        hurried: rest.hurried,
        acknowledged: rest.ledger.acknowledged(),
        in_flight,
        half_written,
        catalogued,
        in_memory,
    }
}

impl AddAssign for Survived {
    fn add_assign(&mut self, other: Self) {
        self.checked += other.checked;
        self.lives += other.lives;
        self.used += other.used;
        self.long += other.long;
        self.few += other.few;
        self.unready += other.unready;
        self.hurried += other.hurried;
        self.acknowledged += other.acknowledged;
        self.in_flight += other.in_flight;
        self.half_written += other.half_written;
        self.catalogued += other.catalogued;
        self.in_memory += other.in_memory;
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
    let rest = lives(&subject, &plan, &mut seed.random(), &Behind::default()).await;
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

/// The same loop around slimspan with a queue in memory, which is lost with its process: the loop sees
/// that this is so, and that nothing else is wrong.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_loop_sees_what_a_queue_in_memory_loses() {
    let seed = Seed::any();
    let folder = Arc::new(tempfile::tempdir().unwrap());
    let fetch = in_folder(folder.path().join("artifacts"));
    // A backend that takes less than senders send.
    let slow = Reaction::Slow(Duration::from_millis(50));
    let backend = Verifying::reacting(Arc::clone(&fetch), move |_| slow).await;
    let plan = Plan {
        lives: 5,
        shortest: Duration::from_millis(300),
        longest: Duration::from_millis(600),
        workload: Workload {
            seed: seed.number(),
            smallest: 1 << 10,
            largest: 16 << 10,
        },
    };
    let mut config = config::standard(backend.address);
    config["exporters"]["otlp_grpc"]["sending_queue"] = json!({ "num_consumers": 1 });
    let subject = Subject::slimspan(&folder, &config);
    let rest = lives(&subject, &plan, &mut seed.random(), &Behind::default()).await;
    let entries = rest.ledger.entries();
    let complaints = Scenario {
        entries: &entries,
        receipts: &backend.receipts(),
        fetch: &fetch,
        objects: &objects(&folder.path().join("artifacts")).0,
        rules: Rules {
            // Of what was lost.
            orphans: true,
            ..Rules::STRICT
        },
    }
    .complaints();
    let is_loss = |one: &&Complaint| matches!(one, Complaint::Lost(_));
    let lost = complaints.iter().filter(is_loss).count();
    assert!(lost > 0, "five kills, and nothing was missed");
    assert_eq!(complaints.iter().find(|one| !is_loss(one)), None);
    measured(
        "P1",
        "delivery::kill, the control: sending_queue in memory",
        "a queue in memory is lost with its process",
        format_args!(
            "{lost} acknowledged items lost by 5 kills, of {} requests",
            entries.len()
        ),
    );
}
