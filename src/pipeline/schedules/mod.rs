//! P3 in many orders: no reference leaves before its file, whichever of all that waits goes on first.
//!
//! A few requests that share files go through the path itself, from sifting to the exporter, to a store and to a
//! backend that answer when a schedule says so, and what it says. A schedule also says when a request comes, when its
//! sender goes away and when time passes. There is one thread and a clock of its own, so what happens follows from
//! a seed alone. The journal of a spool has a thread, which waits until a schedule lets its disk sync.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stderr,
    reason = "a test fails by panicking and says how to have it again"
)]

mod backend;
mod path;
mod plan;
mod run;
mod spooled;

#[expect(dead_code, reason = "what the tests of the whole program use of it")]
#[path = "../../../tests/support/measured.rs"]
mod measured;
#[expect(dead_code, reason = "what the tests of the whole program use of it")]
#[path = "../../../tests/support/seed.rs"]
mod seed;

use std::collections::HashSet;

use measured::{measured, number};
use plan::{Place, Surroundings};
use run::{Sum, Told, Wrong, schedule};
use seed::Seed;
use slimspan_artifact::Digest;

/// In so many there is a bit of everything.
const MANY: usize = 200;

/// What happened in one, for people.
fn story(seed: u64, told: &Told) -> String {
    let log = told.log.join("\n  ");
    let complaints = told.complaints.join("; ");
    format!(
        "{complaints}:\n  {log}\nto have it alone: SLIMSPAN_SEED={seed} SLIMSPAN_SCHEDULES=1 cargo test --lib schedules"
    )
}

/// Goes through so many schedules, one in so many of them twice, and returns what happened in all of them, and how
/// many differ in that.
fn go_through(place: Place, schedules: usize, twice: u64) -> (Sum, usize) {
    let (seed, surroundings) = (Seed::any(), Surroundings::new());
    let (mut orders, mut sum) = (HashSet::new(), Sum::default());
    for number in 0..schedules as u64 {
        let seed = seed.number().wrapping_add(number);
        let told = schedule(&surroundings, seed, place, Wrong::Nothing);
        assert!(told.complaints.is_empty(), "{}", story(seed, &told));
        if number.is_multiple_of(twice) {
            let again = schedule(&surroundings, seed, place, Wrong::Nothing);
            assert!(
                told == again,
                "{}\n{}",
                story(seed, &told),
                story(seed, &again)
            );
        }
        sum += told.sum;
        orders.insert(Digest::of(told.log.join("\n").as_bytes()));
    }
    assert_eq!(sum.early, 0);
    if schedules >= MANY {
        assert!(orders.len() > schedules / 2, "{}", orders.len());
    }
    (sum, orders.len())
}

/// A row for the table.
fn tell(test: &str, schedules: usize, (sum, orders): (Sum, usize)) {
    let Sum {
        sent,
        gone,
        asked,
        faults,
        exports,
        references,
        early,
        ..
    } = sum;
    measured(
        "P3",
        test,
        "0 early references in any schedule",
        format_args!(
            "{early} early in {schedules} schedules, {orders} of which differ in what happened: {sent} requests, of \
             which {gone} were left by their senders; {asked} puts, of which {faults} met a fault; {exports} exports, \
             references in these: {references}"
        ),
    );
}

#[test]
fn no_reference_leaves_before_its_file_in_any_schedule() {
    let schedules = number("SLIMSPAN_SCHEDULES", 500);
    let (sum, orders) = go_through(Place::Store, schedules, 50);
    if schedules >= MANY {
        let parts = [
            sum.accepted,
            sum.gone,
            sum.faults,
            sum.expired,
            sum.joined,
            sum.references,
            sum.inline,
            sum.dropped,
        ];
        assert!(parts.iter().all(|part| *part > schedules / 100), "{sum:?}");
    }
    tell("pipeline::schedules", schedules, (sum, orders));
}

/// Where files wait in a spool, a reference may leave before the store has its file, and not before the disk has it.
#[test]
fn no_reference_leaves_before_the_spool_has_its_file_in_any_schedule() {
    let schedules = number("SLIMSPAN_SCHEDULES", 500).div_ceil(10);
    let (sum, orders) = go_through(Place::Spool, schedules, 10);
    tell("pipeline::schedules, the spool", schedules, (sum, orders));
}

/// Of a hundred schedules many have an early reference.
fn is_seen(place: Place, wrong: Wrong) {
    let (seed, surroundings) = (Seed::any(), Surroundings::new());
    let seeds = (0..100).map(|number| seed.number().wrapping_add(number));
    let told = seeds.map(|seed| schedule(&surroundings, seed, place, wrong));
    let early = told.filter(|told| told.sum.early > 0).count();
    assert!(early > 20, "{early}");
}

#[test]
fn a_store_that_lies_is_seen() {
    is_seen(Place::Store, Wrong::Lies);
}

/// As where an SDK uploads in the background, and its exporter does not wait for that.
#[test]
fn puts_for_which_nobody_waits_are_seen() {
    is_seen(Place::Store, Wrong::NobodyWaits);
}

#[test]
fn a_disk_that_lies_is_seen() {
    is_seen(Place::Spool, Wrong::DiskLies);
}
