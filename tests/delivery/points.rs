//! P1, P4: slimspan ends itself, as `kill -9` would end it, at each point that it has for that, and again where
//! it makes good such an end. A kill from outside seldom comes between two writes.
//!
//! Senders go on through all of it. What they were told is held against what the backend got in the end.

use std::collections::HashSet;
use std::fs::OpenOptions;
use std::io::Write as _;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use slimspan::crash::Point;
use slimspan_generators::Random;
use tokio::sync::watch;

use super::life::Subject;
use super::load::{Load, Sending};
use super::surroundings::{SENDERS, Surroundings};
use super::ways::{BACKGROUND, QUEUE_ON_DISK, SYNC, Way};
use crate::support::checker::Checked;
use crate::support::config;
use crate::support::insistent::Place;
use crate::support::ledger::Ledger;
use crate::support::measured::{measured, number};
use crate::support::references::files;
use crate::support::seed::Seed;
use crate::support::slimspan::{Slimspan, has_points};
use crate::support::workload::Workload;

/// What every request comes to.
const OF_REQUESTS: [Point; 8] = [
    Point::Received,
    Point::Hashed,
    Point::Storing,
    Point::Stored,
    Point::Kept,
    Point::Exporting,
    Point::Exported,
    Point::Answering,
];

/// What a journal comes to while it is filled and emptied.
const OF_JOURNALS: [Point; 6] = [
    Point::JournalWritten,
    Point::JournalSynced,
    Point::JournalRotating,
    Point::JournalBegun,
    Point::JournalMarked,
    Point::JournalDeleting,
];

/// What a journal comes to when it is opened.
const OF_STARTS: [Point; 4] = [
    Point::JournalFound,
    Point::JournalCut,
    Point::JournalReplacing,
    Point::JournalOpened,
];

/// A request that is not taken by then never is: one life after the other ends before it has its turn.
const PATIENCE: Duration = Duration::from_mins(5);

/// How a life ends: when it comes to the point as often.
#[derive(Debug, Clone, Copy)]
struct End {
    point: Point,
    times: usize,
}

impl End {
    /// At any of the first times.
    fn any(point: Point, random: &mut Random) -> Self {
        let most = match point {
            // It takes many requests to come there.
            Point::JournalRotating | Point::JournalBegun | Point::JournalDeleting => 2,
            _ => 8,
        };
        let times = 1 + random.below(most);
        Self { point, times }
    }
}

/// The points that slimspan comes to in one way to deliver: at work, and when it starts behind an end.
fn points_of(way: &Way) -> (Vec<Point>, Vec<Point>) {
    let (mut at_work, mut at_the_start) = (OF_REQUESTS.to_vec(), Vec::new());
    if way.spool || way.queue {
        at_work.extend(OF_JOURNALS);
        at_the_start.extend(OF_STARTS);
    }
    if way.spool {
        at_work.push(Point::Uploaded);
        at_the_start.push(Point::SpoolTakingUp);
    }
    if way.queue {
        at_work.push(Point::Delivered);
        at_the_start.push(Point::QueueTakingUp);
    }
    (at_work, at_the_start)
}

#[test]
fn every_point_is_come_to_in_some_way() {
    let ways = [&SYNC, &BACKGROUND, &QUEUE_ON_DISK].map(points_of);
    let tried: HashSet<Point> = ways
        .into_iter()
        .flat_map(|(one, other)| [one, other].concat())
        .collect();
    let all: HashSet<Point> = Point::ALL.iter().copied().collect();
    assert_eq!(tried, all);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_acknowledged_is_lost_at_any_point() {
    survives(&SYNC).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_acknowledged_is_lost_at_any_point_of_a_spool() {
    survives(&BACKGROUND).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_acknowledged_is_lost_at_any_point_of_a_queue() {
    survives(&QUEUE_ON_DISK).await;
}

/// Every point of the way in an order of its own. Behind an end that leaves something in a journal come two
/// starts that end, too.
fn round(way: &Way, random: &mut Random) -> Vec<End> {
    let (at_work, at_the_start) = points_of(way);
    let at_work = at_work.into_iter();
    let mut chains: Vec<Vec<End>> = at_work.map(|point| vec![End::any(point, random)]).collect();
    for starts in shuffled(at_the_start, random).chunks(2) {
        let mut chain = vec![End::any(Point::JournalSynced, random)];
        chain.extend(starts.iter().map(|&point| End { point, times: 1 }));
        chains.push(chain);
    }
    shuffled(chains, random).concat()
}

fn shuffled<T>(mut items: Vec<T>, random: &mut Random) -> Vec<T> {
    items.sort_by_cached_key(|_| random.number());
    items
}

async fn survives(way: &Way) {
    if !has_points() {
        return;
    }
    let rounds = number("SLIMSPAN_POINTS", 1);
    let seed = Seed::any();
    let mut random = seed.random();
    let (at_work, at_the_start) = points_of(way);
    let (mut all, mut ends, mut half_written) = (Checked::default(), 0, 0);
    for _ in 0..rounds {
        let round = round(way, &mut random);
        let (checked, left) = survives_all(way, &round, random.number()).await;
        let in_flight = way.in_flight(round.len());
        assert!(checked.duplicates <= in_flight, "{checked}: {round:?}");
        all += checked;
        ends += round.len();
        half_written += left;
    }
    assert!(all.references > 0, "{all}");
    measured(
        "P1, P4",
        &format!("delivery::points, {}", way.name),
        "0 lost, 0 early or dangling, whatever point it ends at; twice in a row where it starts",
        format_args!(
            "0 lost, 0 early or dangling in {ends} ends, {rounds} at each of {} points, of which {} are of starts: \
             {all}; {half_written} leftovers of writes that were cut off",
            at_work.len() + at_the_start.len(),
            at_the_start.len(),
        ),
    );
}

/// Lets senders send while slimspan comes to one of these ends after the other, and then lets it live.
async fn survives_all(way: &Way, ends: &[End], seed: u64) -> (Checked, usize) {
    let surroundings = Surroundings::changed(way, seed, |config| keep_small(way, config)).await;
    let (announce, whereabouts) = watch::channel(None);
    let load = Load {
        senders: SENDERS,
        requests: usize::MAX,
        workload: Workload {
            seed,
            smallest: 1 << 10,
            largest: 32 << 10,
        },
    };
    let sending = load.begin_patiently(&whereabouts, PATIENCE);
    for end in ends {
        if end.point == Point::JournalCut {
            tear(surroundings.folder.path());
        }
        come_to(&surroundings, &announce, end).await;
    }
    let mut life = surroundings.subject.start().await;
    announce.send_replace(Some(life.ready().await));
    let ledger = finish(sending).await;
    surroundings.behind().rests(&ledger).await;
    let ended = life.stop().await.unwrap();
    surroundings.check(&ledger, &ended)
}

/// Sends until some more requests are acknowledged.
async fn finish(sending: Sending) -> Ledger {
    let enough = sending.ledger.acknowledged() + 3 * SENDERS as usize;
    let is_enough = |ledger: &Ledger| ledger.acknowledged() >= enough;
    sending.ledger.until("some requests pass", is_enough).await;
    sending.stop().await
}

/// Journals that are soon full, and so are their segments, of which each has an eighth.
fn keep_small(way: &Way, config: &mut Value) {
    config::limit_requests(config, 1);
    if way.spool {
        config["extensions"]["artifact_store"]["spool"]["max_bytes"] = json!("4MiB");
    }
    if way.queue {
        config["extensions"]["file_storage"]["max_bytes"] = json!("4MiB");
    }
}

/// One life, which ends there by itself.
async fn come_to(
    surroundings: &Surroundings<'_>,
    announce: &watch::Sender<Option<Place>>,
    end: &End,
) {
    let Subject::Slimspan { folder, yaml } = &surroundings.subject else {
        unreachable!("it is slimspan that has points");
    };
    let told = format!("{}:{}", end.point, end.times);
    let env = [("SLIMSPAN_CRASH", told.as_str())];
    let mut life = Slimspan::spawn_with(Arc::clone(folder), yaml, &env);
    life.dump_no_core();
    // At a point of its start it is never ready.
    if life.ready().await {
        announce.send_replace(Some(life.place()));
    }
    let ended = life.gone(&format!("slimspan comes to {told}")).await;
    announce.send_replace(None);
    // A signal ended it, and it was its own.
    assert_eq!(ended.code, None, "{told}: {}", ended.stderr);
    let said = format!("ends at {told}");
    assert!(ended.stderr.contains(&said), "{told}: {}", ended.stderr);
}

/// What a kill in the middle of a write leaves at the end of the newest segment: the beginning of a record.
fn tear(folder: &Path) {
    let segments = files(folder).into_iter();
    let segments = segments.filter(|path| path.extension().is_some_and(|of| of == "segment"));
    let newest = segments.max_by_key(|path| path.file_name().unwrap().to_owned());
    let newest = newest.unwrap_or_else(|| panic!("the end before left no record"));
    let mut newest = OpenOptions::new().append(true).open(newest).unwrap();
    newest.write_all(b"rec\n\xff\0\0\0").unwrap();
}
