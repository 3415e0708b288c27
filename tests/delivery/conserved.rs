//! P31: everything is counted. What slimspan says of its items in the end adds up, and is what
//! their senders were told.

use slimspan_proto::Signal;
use tonic::Code;

use crate::support::conservation;
use crate::support::ledger::{Entry, Outcome};
use crate::support::slimspan::Ended;
use crate::support::workload::{Item, ItemId};

/// Items, by what became of them.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
struct Items {
    delivered: u64,
    rejected: u64,
    refused: u64,
}

/// Holds the log of an ended slimspan, the only one that these requests were sent to, against the
/// ledger. Of attempts that nobody answered it may have counted anything.
pub(super) fn conserved(entries: &[Entry], ended: &Ended) {
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    let mut said = Items::default();
    for signal in conservation::conserved(&ended.stderr) {
        said.delivered += signal.delivered;
        said.rejected += signal.rejected;
        said.refused += signal.refused;
        assert_eq!(signal.queued, 0, "{signal:?}");
    }
    let (mut told, mut unclear) = (Items::default(), 0);
    for entry in entries {
        let items = entry.items.len() as u64;
        for attempt in &entry.attempts {
            match attempt {
                Outcome::Accepted { rejected } => {
                    told.rejected += *rejected as u64;
                    told.delivered += items - *rejected as u64;
                }
                Outcome::Refused { .. } | Outcome::Postponed { .. } => told.refused += items,
                Outcome::Unanswered => unclear += items,
            }
        }
    }
    for (said, told) in [
        (said.delivered, told.delivered),
        (said.rejected, told.rejected),
        (said.refused, told.refused),
    ] {
        assert!(
            (told..=told + unclear).contains(&said),
            "{said} said, {told} told, {unclear} unclear: {}",
            ended.stderr
        );
    }
}

/// One item that was delivered after it had been refused once.
fn ledger() -> Vec<Entry> {
    let id = ItemId {
        sender: 0,
        number: 0,
    };
    let refused = Outcome::Postponed {
        code: Code::Unavailable,
        delay: None,
        message: String::new(),
    };
    vec![Entry {
        items: vec![Item {
            id,
            blobs: Vec::new(),
        }],
        attempts: vec![refused, Outcome::Accepted { rejected: 0 }],
    }]
}

/// A slimspan that says this of its traces in the end.
fn saying(traces: &str) -> Ended {
    let nothing = "received 0 = delivered 0 + rejected 0 + refused 0 + queued 0";
    Ended {
        code: Some(0),
        stdout: String::new(),
        stderr: format!(
            "traces: {traces}\nmetrics: {nothing}\nlogs: {nothing}\nprofiles: {nothing}\n"
        ),
    }
}

#[test]
fn counts_that_senders_agree_with() {
    let said = saying("received 2 = delivered 1 + rejected 0 + refused 1 + queued 0");
    conserved(&ledger(), &said);
}

#[test]
#[should_panic(expected = "Items {")]
fn counts_that_do_not_add_up() {
    let said = saying("received 3 = delivered 1 + rejected 0 + refused 1 + queued 0");
    conserved(&ledger(), &said);
}

#[test]
#[should_panic(expected = "2 said, 1 told, 0 unclear")]
fn counts_that_senders_do_not_agree_with() {
    let said = saying("received 2 = delivered 2 + rejected 0 + refused 0 + queued 0");
    conserved(&ledger(), &said);
}

/// A slimspan that says this of its traces in the end, and of those of one tenant.
fn saying_of_acme(traces: &str, acme: &str) -> String {
    format!("{}traces of acme: {acme}\n", saying(traces).stderr)
}

const ALL: &str = "received 5 = delivered 2 + rejected 0 + refused 3 + queued 0";

#[test]
fn counts_of_a_tenant_that_add_up() {
    let acme = "received 3 = delivered 2 + rejected 0 + refused 1 + queued 0";
    let said = saying_of_acme(ALL, acme);
    let by_tenant = conservation::conserved_by_tenant(Signal::Traces, &said);
    assert_eq!(by_tenant["acme"].refused, 1);
    assert!(conservation::conserved_by_tenant(Signal::Logs, &said).is_empty());
}

#[test]
#[should_panic(expected = "traces of acme: Items {")]
fn counts_of_a_tenant_that_do_not_add_up() {
    let acme = "received 4 = delivered 2 + rejected 0 + refused 1 + queued 0";
    conservation::conserved(&saying_of_acme(ALL, acme));
}

#[test]
#[should_panic(expected = "} of Items {")]
fn more_of_a_tenant_than_there_was() {
    let acme = "received 3 = delivered 3 + rejected 0 + refused 0 + queued 0";
    conservation::conserved(&saying_of_acme(ALL, acme));
}
