//! The checker shouts: each test makes a scenario in which all is well, breaks one thing, and sees
//! that this, and nothing else, is complained of.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use slimspan_artifact::Digest;
use tonic::Code;

use crate::support::arrivals::{Arrived, File};
use crate::support::checker::{Complaint, Rules, Scenario};
use crate::support::ledger::{Entry, Outcome};
use crate::support::verifying::{Fetch, Receipt, Verdict};
use crate::support::workload::{Item, ItemId};

const OK: Outcome = Outcome::Accepted { rejected: 0 };

/// What a scenario leaves behind, to be broken.
struct Evidence {
    entries: Vec<Entry>,
    receipts: Vec<Receipt>,
    store: HashMap<Digest, Bytes>,
    objects: Vec<String>,
    rules: Rules,
}

fn id(number: u64) -> ItemId {
    ItemId { sender: 1, number }
}

fn file(number: u64) -> (Digest, Bytes) {
    let bytes = Bytes::from(format!("file {number}"));
    (Digest::of(&bytes), bytes)
}

/// Two requests of two items each, each item with a file of its own, all of them moved.
fn sound() -> Evidence {
    let items = (0..4).map(|number| Item {
        id: id(number),
        blobs: vec![file(number).0],
    });
    let items: Vec<_> = items.collect();
    Evidence {
        entries: items
            .chunks(2)
            .map(|items| Entry {
                items: items.to_vec(),
                attempts: vec![OK],
            })
            .collect(),
        receipts: (0..4).map(receipt).collect(),
        store: (0..4).map(file).collect(),
        objects: (0..4).map(|number| file(number).0.to_string()).collect(),
        rules: Rules::STRICT,
    }
}

fn receipt(number: u64) -> Receipt {
    Receipt {
        item: Arrived {
            id: id(number),
            files: vec![File::Moved(file(number).0)],
        },
        verdict: Verdict::Taken,
        request: number as usize,
        at: Instant::now(),
        early: Vec::new(),
    }
}

/// What the checker says of a sound scenario after `breaking` it.
fn complaints(breaking: impl FnOnce(&mut Evidence)) -> Vec<Complaint> {
    let mut evidence = sound();
    breaking(&mut evidence);
    let store = evidence.store;
    let fetch: Fetch = Arc::new(move |digest| store.get(digest).cloned());
    Scenario {
        entries: &evidence.entries,
        receipts: &evidence.receipts,
        fetch: &fetch,
        objects: &evidence.objects,
        rules: evidence.rules,
    }
    .complaints()
}

fn postponed() -> Outcome {
    Outcome::Postponed {
        code: Code::Unavailable,
        delay: None,
        message: String::new(),
    }
}

#[test]
fn a_sound_scenario_is_left_alone() {
    assert_eq!(complaints(|_| ()), []);
}

#[test]
fn a_missing_item() {
    let found = complaints(|of| {
        of.receipts.remove(2);
        of.objects.remove(2);
    });
    assert_eq!(found, [Complaint::Lost(id(2))]);
}

#[test]
fn an_item_that_only_arrived_where_it_was_refused() {
    let found = complaints(|of| of.receipts[2].verdict = Verdict::Refused);
    assert_eq!(found, [Complaint::Untold(id(2))]);
}

/// As many may be missing as the sender was told.
#[test]
fn rejected_items() {
    let reject = |of: &mut Evidence| {
        of.entries[1].attempts = vec![Outcome::Accepted { rejected: 1 }];
        of.receipts[2].verdict = Verdict::Refused;
    };
    assert_eq!(complaints(reject), []);
    let found = complaints(|of| {
        reject(of);
        of.receipts[3].verdict = Verdict::Refused;
    });
    assert_eq!(found, [Complaint::Untold(id(3))]);
}

#[test]
fn a_file_that_is_gone() {
    let found = complaints(|of| {
        of.store.remove(&file(1).0);
    });
    let (digest, _) = file(1);
    assert_eq!(
        found,
        [
            Complaint::Dangling(id(1), digest),
            Complaint::WrongObject(digest.to_string())
        ]
    );
}

#[test]
fn a_file_with_other_bytes() {
    let (digest, _) = file(1);
    let found = complaints(|of| {
        of.store.insert(digest, Bytes::from_static(b"other"));
    });
    assert_eq!(
        found,
        [
            Complaint::Dangling(id(1), digest),
            Complaint::WrongObject(digest.to_string())
        ]
    );
}

#[test]
fn a_reference_before_its_file() {
    let (digest, _) = file(1);
    let found = complaints(|of| of.receipts[1].early = vec![digest]);
    assert_eq!(found, [Complaint::Early(id(1), digest)]);
}

#[test]
fn an_item_with_a_file_of_another_one_or_without_its_own() {
    let found = complaints(|of| of.receipts[1].item.files = receipt(0).item.files);
    let (digest, _) = file(1);
    assert_eq!(
        found,
        [
            Complaint::Altered(id(1)),
            Complaint::Orphan(digest.to_string())
        ]
    );
    let found = complaints(|of| {
        of.receipts[1].item.files.clear();
        of.rules = Rules::FORWARDED;
    });
    assert_eq!(found, [Complaint::Altered(id(1))]);
}

/// A file may be given up only where a scenario allows it, and none does.
#[test]
fn a_file_that_stayed() {
    let (digest, _) = file(1);
    let stay = |size| {
        move |of: &mut Evidence| {
            of.receipts[1].item.files = vec![File::Inline { digest, size }];
            of.objects.remove(1);
        }
    };
    assert_eq!(complaints(stay(8191)), []);
    assert_eq!(complaints(stay(8192)), [Complaint::NotMoved(id(1), digest)]);
    let found = complaints(|of| {
        stay(8192)(of);
        of.rules = Rules::FORWARDED;
    });
    assert_eq!(found, []);
}

#[test]
fn one_duplicate_too_many() {
    let again = |of: &mut Evidence| of.receipts.push(receipt(3));
    let repeated = Complaint::Repeated {
        id: id(3),
        arrived: 2,
        explained: 1,
    };
    assert_eq!(complaints(again), std::slice::from_ref(&repeated));
    // An attempt without an answer explains one, a refusal none.
    let found = complaints(|of| {
        again(of);
        of.entries[1].attempts.insert(0, Outcome::Unanswered);
    });
    assert_eq!(found, []);
    let refused = |of: &mut Evidence| {
        again(of);
        of.entries[1].attempts.insert(0, postponed());
    };
    assert_eq!(complaints(refused), [repeated]);
    // So does a backend that took it and said nothing, or whose answer was lost.
    let found = complaints(|of| {
        again(of);
        of.receipts[3].verdict = Verdict::Untold;
    });
    assert_eq!(found, []);
    let found = complaints(|of| {
        refused(of);
        of.rules.lost_answers = true;
    });
    assert_eq!(found, []);
}

#[test]
fn a_request_that_was_never_answered() {
    for last in [Outcome::Unanswered, postponed()] {
        let found = complaints(|of| of.entries[0].attempts = vec![last]);
        let unanswered = [0, 1].map(|number| Complaint::Unanswered(id(number)));
        assert_eq!(found, unanswered);
    }
}

/// What a sender was refused for good need not arrive: it knows.
#[test]
fn a_request_that_was_refused() {
    let found = complaints(|of| {
        of.entries[0].attempts = vec![Outcome::Refused {
            code: Code::InvalidArgument,
            message: String::new(),
        }];
        of.receipts.drain(..2);
        of.objects.drain(..2);
    });
    assert_eq!(found, []);
}

#[test]
fn an_item_that_nobody_sent() {
    let found = complaints(|of| {
        of.entries.remove(1);
    });
    assert_eq!(found, [2, 3].map(|number| Complaint::Unknown(id(number))));
}

#[test]
fn an_object_too_many() {
    let (digest, bytes) = file(9);
    let orphan = |of: &mut Evidence| {
        of.store.insert(digest, bytes.clone());
        of.objects.push(digest.to_string());
    };
    let found = complaints(orphan);
    assert_eq!(found, [Complaint::Orphan(digest.to_string())]);
    let (first, _) = file(0);
    let found = complaints(|of| of.objects.push(first.to_string()));
    assert_eq!(found, [Complaint::Twice(first.to_string())]);
}
