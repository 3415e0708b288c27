//! Points on the way of a request, and in what makes good an earlier end, where the process can be told to
//! end as `kill -9` ends it: `SLIMSPAN_CRASH=stored:3` at the third time that it comes to that one.
//!
//! Tests go through all of them. Only builds with debug assertions have them; in all others nothing is left
//! of them, and nobody reads the environment.

use std::fmt;

macro_rules! points {
    ($($(#[$doc:meta])* $point:ident = $name:literal,)+) => {
        /// Where the process can be told to end.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum Point {
            $($(#[$doc])* $point,)+
        }

        impl Point {
            /// All of them.
            pub const ALL: &'static [Self] = &[$(Self::$point,)+];

            /// Its name in `SLIMSPAN_CRASH`.
            pub fn name(self) -> &'static str {
                match self {
                    $(Self::$point => $name,)+
                }
            }
        }
    };
}

points! {
    /// A request is there whole.
    Received = "received",
    /// Its artifacts are taken out, and nobody has them yet.
    Hashed = "hashed",
    /// An artifact is on its way to the store. It comes here each time that it has to wait.
    Storing = "storing",
    /// The store has an artifact, and nobody was told yet.
    Stored = "stored",
    /// All artifacts of a request are stored, or spooled.
    Kept = "kept",
    /// The slim request is to go to the backend.
    Exporting = "exporting",
    /// The backend has it, and nobody was told yet.
    Exported = "exported",
    /// The sender is to be told OK.
    Answering = "answering",
    /// A journal has written a record that is not synced.
    JournalWritten = "journal-written",
    /// The record is synced, and nobody was told yet.
    JournalSynced = "journal-synced",
    /// A segment is full, and the next one is not begun.
    JournalRotating = "journal-rotating",
    /// A segment has its name and its header, and nothing in it.
    JournalBegun = "journal-begun",
    /// It is written down which records are done.
    JournalMarked = "journal-marked",
    /// A segment counts as deleted, and its file is there.
    JournalDeleting = "journal-deleting",
    /// It is known what an earlier process left in a journal, and nothing is put in order.
    JournalFound = "journal-found",
    /// What that process had half written is cut off.
    JournalCut = "journal-cut",
    /// New marks are written, and the old ones are in their place.
    JournalReplacing = "journal-replacing",
    /// A journal is in order, and nobody has seen yet what is in it.
    JournalOpened = "journal-opened",
    /// A spool takes up an artifact of an earlier process.
    SpoolTakingUp = "spool-taking-up",
    /// The store has an artifact that the spool has, too.
    Uploaded = "uploaded",
    /// A queue takes up a request of an earlier process.
    QueueTakingUp = "queue-taking-up",
    /// The backend has a request that the queue has, too.
    Delivered = "delivered",
}

impl fmt::Display for Point {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Whether this build has the points.
pub const HAS_POINTS: bool = cfg!(debug_assertions);

/// The process comes to `point`, and may have been told to end there.
#[cfg(debug_assertions)]
pub(crate) fn at(point: Point) {
    told::come_to(point);
}

/// There are no points in this build.
#[cfg(not(debug_assertions))]
#[inline]
pub(crate) fn at(_: Point) {}

/// Comes to `point` each time that `work` has begun and has to wait.
#[cfg(debug_assertions)]
pub(crate) async fn while_waiting<T>(point: Point, work: impl Future<Output = T>) -> T {
    let mut work = std::pin::pin!(work);
    std::future::poll_fn(|context| {
        let polled = work.as_mut().poll(context);
        if polled.is_pending() {
            at(point);
        }
        polled
    })
    .await
}

/// There are no points in this build.
#[cfg(not(debug_assertions))]
#[inline]
pub(crate) fn while_waiting<F: Future>(_: Point, work: F) -> F {
    work
}

/// What the environment says.
#[cfg(debug_assertions)]
mod told {
    use std::env;
    use std::io::{self, Write as _};
    use std::process;
    use std::str::FromStr;
    use std::sync::LazyLock;
    use std::sync::atomic::{AtomicU64, Ordering};

    use super::Point;

    const VARIABLE: &str = "SLIMSPAN_CRASH";

    /// Where this process ends, if anywhere.
    static END: LazyLock<Option<End>> = LazyLock::new(|| {
        let text = env::var(VARIABLE).ok()?;
        let end = text.parse::<End>();
        // Who has misspelt it would wait for an end that never comes.
        Some(end.unwrap_or_else(|error| {
            let _ = writeln!(io::stderr(), "{VARIABLE}={text}: {error}");
            process::exit(2);
        }))
    });

    /// The `number`th time that it comes to this point is the last one.
    #[derive(Debug)]
    struct End {
        point: Point,
        number: u64,
        times: AtomicU64,
    }

    #[derive(Debug, thiserror::Error)]
    #[error("no point and number as in stored:3; the points are {}", names())]
    struct NoEnd;

    fn names() -> String {
        let names: Vec<_> = Point::ALL.iter().map(|point| point.name()).collect();
        names.join(", ")
    }

    impl FromStr for End {
        type Err = NoEnd;

        fn from_str(text: &str) -> Result<Self, NoEnd> {
            let (name, number) = text.split_once(':').ok_or(NoEnd)?;
            let point = Point::ALL.iter().find(|point| point.name() == name);
            let number = number.parse::<u64>().ok().filter(|number| *number > 0);
            Ok(Self {
                point: *point.ok_or(NoEnd)?,
                number: number.ok_or(NoEnd)?,
                times: AtomicU64::new(0),
            })
        }
    }

    impl End {
        /// Whether this time is the last one.
        fn is_due(&self, point: Point) -> bool {
            point == self.point && self.times.fetch_add(1, Ordering::Relaxed) + 1 == self.number
        }
    }

    pub(super) fn come_to(point: Point) {
        if let Some(end) = &*END
            && end.is_due(point)
        {
            let number = end.number;
            let _ = writeln!(io::stderr(), "{VARIABLE}: ends at {point}:{number}");
            // Nothing is closed, flushed or dropped.
            process::abort();
        }
    }

    #[cfg(test)]
    #[expect(clippy::unwrap_used, reason = "a test fails by panicking")]
    mod tests {
        use super::*;

        #[test]
        fn it_ends_at_the_nth_time() {
            for point in Point::ALL {
                let end: End = format!("{point}:3").parse().unwrap();
                let others = Point::ALL.iter().filter(|other| *other != point);
                assert_eq!(others.filter(|other| end.is_due(**other)).count(), 0);
                let due: Vec<_> = (1..=5).map(|_| end.is_due(*point)).collect();
                assert_eq!(due, [false, false, true, false, false], "{point}");
            }
        }

        #[test]
        fn what_is_misspelt_is_told() {
            for text in ["", "stored", "stored:", "stored:0", "stored:x", "put:1"] {
                let error = text.parse::<End>().unwrap_err().to_string();
                assert!(error.contains("received, hashed, "), "{text}: {error}");
            }
        }
    }
}
