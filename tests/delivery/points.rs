//! P1, P4: slimspan ends itself, as `kill -9` would end it, at each point that it has for that, and again where
//! it makes good such an end. A kill from outside seldom comes between two writes.
//!
//! Senders go on through all of it. What they were told is held against what the backend got in the end.

use std::collections::{BTreeMap, HashSet};
use std::fs::OpenOptions;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use slimspan::crash::Point;
use slimspan::journal::Journal;
use slimspan_generators::Random;
use tokio::sync::watch;

use super::life::Subject;
use super::load::{Load, Sending};
use super::surroundings::{SENDERS, Surroundings};
use super::ways::{BACKGROUND, BACKGROUND_WITH_QUEUE, QUEUE_ON_DISK, SPOOL, SYNC, Way};
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

/// Where the queue of the exporter is, from the folder that slimspan runs in.
const QUEUE: &str = "data/file_storage/exporter_otlp_grpc";

/// So many ends in a row leave something in each journal, or there is something wrong.
const ATTEMPTS: usize = 20;

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

    /// While it starts: where there are two journals, in either of them.
    fn of_start(point: Point, way: &Way, random: &mut Random) -> Self {
        let comes_there = match point {
            Point::JournalFound | Point::JournalCut | Point::JournalOpened => journals(way).count(),
            _ => 1,
        };
        let times = 1 + random.below(comes_there);
        Self { point, times }
    }
}

/// The journals that hold what was acknowledged, from the folder that slimspan runs in.
fn journals(way: &Way) -> impl Iterator<Item = &'static str> {
    let all = [(way.spool, SPOOL), (way.queue, QUEUE)];
    all.into_iter()
        .filter_map(|(has, folder)| has.then_some(folder))
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

/// Two journals are put in order by one start.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_acknowledged_is_lost_at_any_point_of_a_spool_and_a_queue() {
    survives(&BACKGROUND_WITH_QUEUE).await;
}

/// Every point of the way, or those of its starts, in an order of its own. Behind an end that leaves something in
/// a journal come two starts that end, too.
fn round(way: &Way, is_whole: bool, random: &mut Random) -> Vec<End> {
    let (at_work, at_the_start) = points_of(way);
    let at_work = at_work.into_iter().filter(|_| is_whole);
    let mut chains: Vec<Vec<End>> = at_work.map(|point| vec![End::any(point, random)]).collect();
    for starts in shuffled(at_the_start, random).chunks(2) {
        let mut chain = vec![End::any(Point::JournalSynced, random)];
        let starts = starts.iter();
        chain.extend(starts.map(|&point| End::of_start(point, way, random)));
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
    // Everyday what is at work is left to the ways that have one journal.
    let asked = number("SLIMSPAN_POINTS", 0);
    let (rounds, is_whole) = (asked.max(1), asked > 0 || journals(way).count() < 2);
    let seed = Seed::any();
    let mut random = seed.random();
    let (at_work, at_the_start) = points_of(way);
    let at_work = if is_whole { at_work.len() } else { 0 };
    let (mut all, mut ends, mut half_written) = (Checked::default(), 0, 0);
    for _ in 0..rounds {
        let round = round(way, is_whole, &mut random);
        let survived = survives_all(way, &round, random.number()).await;
        let in_flight = way.in_flight(survived.ends);
        let checked = survived.checked;
        assert!(checked.duplicates <= in_flight, "{checked}: {round:?}");
        all += checked;
        ends += survived.ends;
        half_written += survived.half_written;
    }
    assert!(all.references > 0, "{all}");
    measured(
        "P1, P4",
        &format!("delivery::points, {}", way.name),
        "0 lost, 0 early or dangling, whatever point it ends at; twice in a row where it starts",
        format_args!(
            "0 lost, 0 early or dangling in {ends} ends, {rounds} at each of {} points, of which {} are of starts: \
             {all}; {half_written} leftovers of writes that were cut off",
            at_work + at_the_start.len(),
            at_the_start.len(),
        ),
    );
}

/// What a round came to.
struct Survived {
    checked: Checked,
    ends: usize,
    /// Files that an end left half-written.
    half_written: usize,
}

/// Lets senders send while slimspan comes to one of these ends after the other, and then lets it live.
async fn survives_all(way: &Way, ends: &[End], seed: u64) -> Survived {
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
    let (folder, mut count) = (surroundings.folder.path(), 0);
    for end in ends {
        if points_of(way).1.contains(&end.point) {
            // One of two may be empty by chance.
            while !journals(way).all(|journal| holds_something(&folder.join(journal))) {
                count += 1;
                assert!(count < ends.len() + ATTEMPTS, "a journal stays empty");
                let times = 1 + count % 8;
                let point = Point::JournalSynced;
                come_to(&surroundings, &announce, &End { point, times }).await;
            }
        }
        if end.point == Point::JournalCut {
            tear(folder);
        }
        come_to(&surroundings, &announce, end).await;
        count += 1;
    }
    let mut life = surroundings.subject.start().await;
    announce.send_replace(Some(life.ready().await));
    let ledger = finish(sending).await;
    surroundings.behind().rests(&ledger).await;
    let ended = life.stop().await.unwrap();
    let (checked, half_written) = surroundings.check(&ledger, &ended);
    Survived {
        checked,
        ends: count,
        half_written,
    }
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

/// Whether a start finds something in this journal.
fn holds_something(journal: &Path) -> bool {
    Journal::open_read_only(journal).is_ok_and(|journal| !journal.entries().is_empty())
}

/// What a kill in the middle of a write leaves at the end of the newest segment of each journal: the beginning of
/// a record.
fn tear(folder: &Path) {
    let mut segments = files(folder);
    segments.retain(|path| path.extension().is_some_and(|of| of == "segment"));
    segments.sort();
    // Of those in one folder the last stays.
    let segments = segments.into_iter();
    let newest: BTreeMap<PathBuf, PathBuf> = segments
        .map(|path| (path.parent().unwrap().to_owned(), path))
        .collect();
    assert!(!newest.is_empty(), "the end before left no record");
    for path in newest.into_values() {
        let mut newest = OpenOptions::new().append(true).open(path).unwrap();
        newest.write_all(b"rec\n\xff\0\0\0").unwrap();
    }
}
