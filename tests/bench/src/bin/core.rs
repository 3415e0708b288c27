//! What extraction costs, in turns with the naive way to do the same; fails where a target is
//! missed.

use std::collections::HashMap;
use std::error::Error;
use std::process::ExitCode;

use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use prost::Message as _;
use slimspan_artifact::{Facts, Fingerprint, Location, Policy, Recall, extract, extract_recalling};
use slimspan_bench::race::{race, rate};
use slimspan_bench::{naive, workload};
use slimspan_proto::json::{Limits, read, write};
use slimspan_proto::{Signal, check};

/// The allocator of the collector, for both sides.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Remembers what it was given.
struct Memory {
    facts: HashMap<Fingerprint, Facts>,
    /// Whether all values came before.
    has_met: bool,
}

impl Memory {
    fn new(has_met: bool) -> Self {
        Self {
            facts: HashMap::new(),
            has_met,
        }
    }
}

impl Recall for Memory {
    fn key(&self) -> &[u8; 32] {
        &[7; 32]
    }

    fn shortest(&self) -> usize {
        16 * 1024
    }

    fn met(&self, _: u64) -> bool {
        self.has_met
    }

    fn recall(&self, fingerprint: &Fingerprint) -> Option<Facts> {
        self.facts.get(fingerprint).copied()
    }
}

/// Repeated files have to cost at most 0.6 of new ones.
const REPEATED: f64 = 1.0 / 0.6;

/// New files may cost 1.15 of what they cost where nothing is remembered.
const REMEMBERED: f64 = 1.0 / 1.15;

/// How much faster JSON is read and written than by way of decoded requests.
const READ_SPANS: f64 = 1.2;
const READ_PICTURES: f64 = 2.4;
const WRITTEN_SPANS: f64 = 1.2;
const WRITTEN_PICTURES: f64 = 4.0;

fn policy(threshold: usize) -> Policy {
    Policy::new(
        threshold,
        Location::Store("s3://artifacts/default/sha256".into()),
    )
}

fn main() -> Result<ExitCode, Box<dyn Error>> {
    let ordinary = workload::ordinary(512);
    let pictures = workload::pictures(10, 300_000);
    let conversations = workload::conversations(10, 300_000);
    let usual = policy(8 * 1024);
    // No span is passed over as a whole, and every long text is judged.
    let tiny = policy(64);

    // A race against one who does not do the work is not won.
    let files = extract(Signal::Traces, &pictures, &usual)?.artifacts.len();
    let (_, theirs) = naive::extract(&pictures, usual.threshold)?;
    let talked = extract(Signal::Traces, &conversations, &usual)?
        .artifacts
        .len();
    let none = extract(Signal::Traces, &ordinary, &tiny)?.artifacts.len();
    let mut memory = Memory::new(true);
    let nothing = Memory::new(false);
    let small = workload::pictures(100, 12_500);
    for request in [&pictures, &small] {
        let learned = extract_recalling(Signal::Traces, request, &usual, &memory)?.learned;
        memory.facts.extend(learned);
    }
    let recalled = |request| extract_recalling(Signal::Traces, request, &usual, &memory);
    let new = |request| extract_recalling(Signal::Traces, request, &usual, &nothing);
    let known = recalled(&pictures)?.recalled.len() + recalled(&small)?.recalled.len();
    let unknown = new(&pictures)?.artifacts.len() + new(&small)?.artifacts.len();
    // What JSON says of a request is the same in both ways.
    let [ordinary_json, pictures_json] = [&ordinary, &pictures].map(|request| json(request));
    let (ordinary_json, pictures_json) = (ordinary_json?, pictures_json?);
    let is_same = |text: &[u8], request: &[u8]| {
        let ours = read(Signal::Traces, text, Limits::default()).map(|read| read.request);
        let theirs = naive::from_json(text);
        ours.is_ok_and(|ours| ours == request) && theirs.is_ok_and(|theirs| theirs == request)
    };
    if (files, theirs.len(), talked, none, known, unknown) != (10, 10, 10, 0, 110, 110)
        || !checked(&ordinary)
        || !is_same(&ordinary_json, &ordinary)
        || !is_same(&pictures_json, &pictures)
    {
        return Err("the requests do not hold what they should".into());
    }

    let passed = [
        race(
            "512 ordinary spans, checked and walked, against prost decode and encode",
            6.0,
            || {
                (
                    checked(&ordinary),
                    extract(Signal::Traces, &ordinary, &usual),
                )
            },
            || naive::pass(&ordinary),
        ),
        race(
            "512 ordinary spans, checked only, against prost decode",
            6.0,
            || checked(&ordinary),
            || ExportTraceServiceRequest::decode(&ordinary[..]),
        ),
        race(
            "the same with a threshold of 64 bytes",
            1.6,
            || extract(Signal::Traces, &ordinary, &tiny),
            || naive::pass(&ordinary),
        ),
        race(
            "10 pictures of 300 KB in JSON, against prost, serde_json, base64 and sha2",
            1.8,
            || extract(Signal::Traces, &pictures, &usual),
            || naive::extract(&pictures, usual.threshold),
        ),
        race(
            "10 conversations of 20 KB, each with a data URI of 400 KB, against the same",
            1.8,
            || extract(Signal::Traces, &conversations, &usual),
            || naive::extract(&conversations, usual.threshold),
        ),
        race(
            "10 repeated pictures of 300 KB, against new ones",
            REPEATED,
            || recalled(&pictures),
            || new(&pictures),
        ),
        race(
            "100 repeated pictures of 12.5 KB, the smallest that are remembered, against new ones",
            1.0,
            || recalled(&small),
            || new(&small),
        ),
        race(
            "10 new pictures of 300 KB, against where nothing is remembered",
            REMEMBERED,
            || new(&pictures),
            || extract(Signal::Traces, &pictures, &usual),
        ),
        race(
            "100 new pictures of 12.5 KB, against where nothing is remembered",
            REMEMBERED,
            || new(&small),
            || extract(Signal::Traces, &small, &usual),
        ),
        race(
            "512 ordinary spans, read from JSON, against serde_json and prost encode",
            READ_SPANS,
            || read(Signal::Traces, &ordinary_json, Limits::default()),
            || naive::from_json(&ordinary_json),
        ),
        race(
            "10 pictures of 300 KB, read from JSON, against the same",
            READ_PICTURES,
            || read(Signal::Traces, &pictures_json, Limits::default()),
            || naive::from_json(&pictures_json),
        ),
        race(
            "512 ordinary spans, written as JSON, against prost decode and serde_json",
            WRITTEN_SPANS,
            || write(Signal::Traces, &ordinary),
            || naive::to_json(&ordinary),
        ),
        race(
            "10 pictures of 300 KB, written as JSON, against the same",
            WRITTEN_PICTURES,
            || write(Signal::Traces, &pictures),
            || naive::to_json(&pictures),
        ),
    ];
    rate("the check of ordinary spans", 512, ordinary.len(), || {
        checked(&ordinary)
    });
    rate(
        "the check of conversations",
        10,
        conversations.len(),
        || checked(&conversations),
    );
    rate("JSON with pictures, read", 10, pictures_json.len(), || {
        read(Signal::Traces, &pictures_json, Limits::default())
    });
    rate(
        "JSON with pictures, written",
        10,
        pictures_json.len(),
        || write(Signal::Traces, &pictures),
    );
    Ok(ExitCode::from(u8::from(passed.contains(&false))))
}

/// A request of traces in JSON.
fn json(request: &[u8]) -> Result<Vec<u8>, Box<dyn Error>> {
    Ok(write(Signal::Traces, request)?.text)
}

/// Whether every item is sound; nothing is limited.
fn checked(request: &[u8]) -> bool {
    check(Signal::Traces, request, usize::MAX).is_ok_and(|checked| checked.faults.is_empty())
}
