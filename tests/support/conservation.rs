//! Nothing is lost unsaid: what slimspan says at its end of the items that came in.

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
/// Fails unless every item that was received has exactly one end.
pub(crate) fn conserved(stderr: &str) -> [Items; Signal::ALL.len()] {
    Signal::ALL.map(|signal| {
        let items = read(stderr, signal);
        let ends = items.delivered + items.rejected + items.refused + items.queued;
        assert_eq!(items.received, ends, "{signal}: {items:?}\n{stderr}");
        items
    })
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

/// The same for one signal.
pub(crate) fn conserved_of(signal: Signal, stderr: &str) -> Items {
    let all = conserved(stderr);
    let index = Signal::ALL.iter().position(|one| *one == signal).unwrap();
    all[index]
}

fn read(stderr: &str, signal: Signal) -> Items {
    let start = format!("{signal}: received ");
    let mut lines = stderr.lines().filter_map(|line| line.split_once(&start));
    let Some((_, counts)) = lines.next() else {
        panic!("nothing is said of {signal}:\n{stderr}");
    };
    assert!(lines.next().is_none(), "{signal} twice:\n{stderr}");
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
