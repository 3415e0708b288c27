//! Nothing is lost unsaid: what slimspan says at its end of the items that came in.

use std::collections::BTreeMap;
use std::fs::OpenOptions;
use std::io::Write as _;

use slimspan_proto::Signal;

/// What became of the items of one signal.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Items {
    pub(crate) received: u64,
    pub(crate) delivered: u64,
    /// In answers of partial success.
    pub(crate) rejected: u64,
    /// With their whole request, for good or to be sent again.
    pub(crate) refused: u64,
    pub(crate) queued: u64,
}

/// What the log of an ended slimspan says of each signal's items, in the order of [`Signal::ALL`].
/// Fails unless every item that was received has exactly one end, and each of a tenant one of its own.
pub(crate) fn conserved(stderr: &str) -> [Items; Signal::ALL.len()] {
    Signal::ALL.map(|signal| {
        let all = read(stderr, signal);
        assert_eq!(all.received, all.ends(), "{signal}: {all:?}\n{stderr}");
        let mut of_tenants = Items::default();
        for (tenant, items) in tenants(stderr, signal) {
            let is_even = items.received == items.ends();
            assert!(is_even, "{signal} of {tenant}: {items:?}\n{stderr}");
            of_tenants.add(items);
        }
        // What is nobody's has its ends, too.
        let (parts, wholes) = (of_tenants.fields(), all.fields());
        let is_part = parts.iter().zip(wholes).all(|(part, whole)| *part <= whole);
        assert!(is_part, "{signal}: {of_tenants:?} of {all:?}\n{stderr}");
        all
    })
}

/// The same for one signal.
pub(crate) fn conserved_of(signal: Signal, stderr: &str) -> Items {
    let all = conserved(stderr);
    let index = Signal::ALL.iter().position(|one| *one == signal).unwrap();
    all[index]
}

/// The same of each tenant's items of one signal.
pub(crate) fn conserved_by_tenant(signal: Signal, stderr: &str) -> BTreeMap<String, Items> {
    conserved(stderr);
    tenants(stderr, signal)
}

/// The same of any slimspan that was stopped, as a line of the file that `SLIMSPAN_CONSERVED` names: how
/// many items it received.
pub(super) fn noted(stderr: &str) {
    let items = conserved(stderr);
    let received: u64 = items.iter().map(|of| of.received).sum();
    let Some(path) = std::env::var_os("SLIMSPAN_CONSERVED") else {
        return;
    };
    let file = OpenOptions::new().create(true).append(true).open(path);
    let line = format!("{received}\n");
    file.unwrap().write_all(line.as_bytes()).unwrap();
}

impl Items {
    /// Those that have an end.
    fn ends(&self) -> u64 {
        self.delivered + self.rejected + self.refused + self.queued
    }

    fn fields(&self) -> [u64; 5] {
        [
            self.received,
            self.delivered,
            self.rejected,
            self.refused,
            self.queued,
        ]
    }

    fn add(&mut self, other: Self) {
        self.received += other.received;
        self.delivered += other.delivered;
        self.rejected += other.rejected;
        self.refused += other.refused;
        self.queued += other.queued;
    }
}

fn read(stderr: &str, signal: Signal) -> Items {
    let start = format!("{signal}: received ");
    let mut lines = stderr.lines().filter_map(|line| line.split_once(&start));
    let Some((_, counts)) = lines.next() else {
        panic!("nothing is said of {signal}:\n{stderr}");
    };
    assert!(lines.next().is_none(), "{signal} twice:\n{stderr}");
    counted(signal, counts)
}

/// What is said of each tenant of whom something came.
fn tenants(stderr: &str, signal: Signal) -> BTreeMap<String, Items> {
    let start = format!("{signal} of ");
    let mut tenants = BTreeMap::new();
    for line in stderr.lines() {
        let told = line.split_once(&start);
        let told = told.and_then(|(_, told)| told.split_once(": received "));
        let Some((tenant, counts)) = told else {
            continue;
        };
        let before = tenants.insert(tenant.to_owned(), counted(signal, counts));
        assert!(before.is_none(), "{signal} of {tenant} twice:\n{stderr}");
    }
    tenants
}

/// What stands behind `received`.
fn counted(signal: Signal, counts: &str) -> Items {
    let numbers = counts.split([' ', '=', '+']);
    let numbers: Vec<u64> = numbers.filter_map(|word| word.parse().ok()).collect();
    let [received, delivered, rejected, refused, queued] = numbers[..] else {
        panic!("{signal}: five numbers in {counts:?}");
    };
    let items = Items {
        received,
        delivered,
        rejected,
        refused,
        queued,
    };
    let expected = format!(
        "{received} = delivered {delivered} + rejected {rejected} + refused {refused} + queued {queued}"
    );
    assert_eq!(counts, expected);
    items
}
