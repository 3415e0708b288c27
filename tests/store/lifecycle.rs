//! What is referred to stays as long as it should where a bucket's rules delete what is old.

use std::collections::HashMap;
use std::time::Duration;

use object_store::ObjectStoreExt as _;
use slimspan::storage::{LifecycleRules, StoreConfig, lifecycle_rules};
use slimspan_generators::Random;
use tokio::time::{Instant, advance};

use super::backend::{artifact, key, open};
use super::gcs_stub;
use crate::support::measured::{measured, number};

const DAY: Duration = Duration::from_hours(24);

/// How long a reference has to lead to its artifact.
const RETENTION: Duration = Duration::from_hours(30 * 24);

/// What the bucket's rule is set to: retention + refresh + 1 day.
const EXPIRY: Duration = Duration::from_hours(32 * 24);

/// How many references there are everyday.
const REFERENCES: usize = 80_000;

#[derive(Debug, Default)]
struct Outcome {
    references: usize,
    dangling: usize,
    deleted: usize,
    puts: usize,
}

/// Ninety days of references to artifacts at random: some are met all the time, some once in weeks.
async fn ninety_days(refresh: Duration) -> Outcome {
    let opened = open(&StoreConfig {
        refresh,
        ..StoreConfig::new("memory://")
    });
    let mut random = Random::new(1);
    let wanted = number("SLIMSPAN_REFERENCES", REFERENCES);
    // As many as are rare enough to expire in between, however many references there are.
    let rare = u32::try_from(wanted * 3 / 130).unwrap();
    let artifacts: Vec<_> = (0..rare).map(|seed| artifact(seed, 40)).collect();
    let begun = Instant::now();
    // Twice the pause between two of them, and a hundredth more of them than are wanted.
    let longest = 2 * 90 * DAY.as_millis() as usize / (wanted + wanted / 100);
    // When each artifact was referred to, in order.
    let mut references: HashMap<usize, Vec<Instant>> = HashMap::new();
    let keys: HashMap<_, _> = artifacts
        .iter()
        .enumerate()
        .map(|(number, artifact)| (key(artifact), number))
        .collect();
    let mut outcome = Outcome::default();
    let mut next_sweep = begun + DAY;
    while begun.elapsed() < 90 * DAY {
        advance(Duration::from_millis(random.below(longest) as u64)).await;
        // The square makes the first ones frequent and the last ones rare.
        let (one, other) = (random.below(artifacts.len()), random.below(artifacts.len()));
        let which = one * other / artifacts.len();
        let one = std::slice::from_ref(&artifacts[which]);
        opened.store.put_all(one).await.unwrap();
        references.entry(which).or_default().push(Instant::now());
        outcome.references += 1;
        if Instant::now() < next_sweep {
            continue;
        }
        next_sweep += DAY;
        for gone in opened.faults.older_than(EXPIRY) {
            opened.client.delete(&gone).await.unwrap();
            outcome.deleted += 1;
            let of_it = references.get_mut(&keys[&gone]).unwrap();
            of_it.retain(|issued| issued.elapsed() < RETENTION);
            outcome.dangling += of_it.len();
        }
    }
    outcome.puts = opened.faults.begun();
    outcome
}

#[tokio::test(start_paused = true)]
async fn no_reference_dangles_in_ninety_days() {
    let outcome = ninety_days(DAY).await;
    assert!(
        outcome.references >= number("SLIMSPAN_REFERENCES", REFERENCES),
        "{outcome:?}"
    );
    assert_eq!(outcome.dangling, 0, "{outcome:?}");
    // Neither is everything put every time, nor does nothing ever expire.
    assert!(outcome.puts < outcome.references * 9 / 10, "{outcome:?}");
    assert!(outcome.deleted > 100, "{outcome:?}");
    // One that trusts what it once stored leaves references without artifacts.
    let trusting = ninety_days(Duration::from_hours(365 * 24)).await;
    assert!(trusting.dangling > 1_000, "{trusting:?}");
    measured(
        "P22",
        "store::lifecycle, 90 days with a rule of 32 days",
        "0 dangling within 30 days",
        format_args!(
            "{} of {} references dangle; {} puts, {} objects deleted. Without refresh: {} dangle",
            outcome.dangling, outcome.references, outcome.puts, outcome.deleted, trusting.dangling
        ),
    );
}

/// The bucket's clock starts when a put comes in, not when it has been answered.
#[tokio::test(start_paused = true)]
async fn an_artifact_is_known_from_the_beginning_of_its_put() {
    let refresh = Duration::from_secs(10);
    let opened = open(&StoreConfig {
        refresh,
        ..StoreConfig::new("memory://")
    });
    opened.faults.slow(Duration::from_secs(2));
    let begun = Instant::now();
    let one = [artifact(1, 100)];
    assert_eq!(opened.store.put_all(&one).await.unwrap().written, 1);
    assert!(begun.elapsed() >= Duration::from_secs(2));
    let almost = Duration::from_millis(9_999).saturating_sub(begun.elapsed());
    advance(almost).await;
    assert_eq!(opened.store.put_all(&one).await.unwrap().known, 1);
    advance(Duration::from_millis(1)).await;
    assert_eq!(opened.store.put_all(&one).await.unwrap().written, 1);
}

/// Google is asked by another of its interfaces, with what the client is configured to be let in by.
#[tokio::test]
async fn rules_of_a_bucket_on_google_are_read() {
    let google = gcs_stub::start().await;
    let (rules, prefix) = lifecycle_rules(&google.config("kept")).await;
    assert_eq!(prefix, "kept/");
    let LifecycleRules::Told(rules) = rules else {
        panic!("{rules:?}");
    };
    let early = rules
        .iter()
        .filter_map(|rule| rule.deletes_too_early(3, &prefix));
    assert_eq!(early.collect::<Vec<_>>(), [2]);
    assert!(
        rules.iter().any(|rule| rule.aborts_after == Some(1)),
        "{rules:?}"
    );
    let elsewhere = lifecycle_rules(&google.config("other")).await;
    let LifecycleRules::Told(rules) = elsewhere.0 else {
        panic!("{elsewhere:?}");
    };
    let early = rules
        .iter()
        .filter_map(|rule| rule.deletes_too_early(3, "other/"));
    assert_eq!(early.count(), 0);
}
