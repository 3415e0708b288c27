//! What senders write down: each request, and what they were told about it. After a scenario it
//! is held against what arrived.

use std::time::Duration;

use bytes::Bytes;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceResponse;
use prost::Message as _;
use tokio::sync::watch;
use tonic::{Code, Status};

use super::sender::retry_after;
use super::soon;
use super::workload::{Item, Numbered};

/// The book of all senders of a scenario. Clones share it. It is in memory: the senders outlive
/// whatever is killed.
#[derive(Clone, Default)]
pub(crate) struct Ledger {
    book: watch::Sender<Book>,
}

#[derive(Default)]
struct Book {
    entries: Vec<Entry>,
    slowest: Duration,
    slowest_refusal: Duration,
    unanswered: Vec<String>,
}

/// A request of one sender.
#[derive(Debug, Clone)]
pub(crate) struct Entry {
    pub(crate) items: Vec<Item>,
    /// What came of each attempt to send it, in their order.
    pub(crate) attempts: Vec<Outcome>,
}

/// What a sender knows after an attempt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// OK; as many of its items were rejected, for good.
    Accepted { rejected: usize },
    /// Not taken, and not to be sent again.
    Refused { code: Code, message: String },
    /// Not taken: to be sent again, after the delay where one is told.
    Postponed {
        code: Code,
        delay: Option<Duration>,
        message: String,
    },
    /// The connection ended first. It may have been taken.
    Unanswered,
}

/// The page of one request.
pub(crate) struct Page {
    ledger: Ledger,
    number: usize,
}

impl Ledger {
    /// A request that is about to be sent.
    pub(crate) fn open(&self, request: &Numbered) -> Page {
        let mut number = 0;
        self.book.send_modify(|book| {
            number = book.entries.len();
            book.entries.push(Entry {
                items: request.items.clone(),
                attempts: Vec::new(),
            });
        });
        Page {
            ledger: self.clone(),
            number,
        }
    }

    pub(crate) fn entries(&self) -> Vec<Entry> {
        self.book.borrow().entries.clone()
    }

    /// The longest that a sender waited for an answer, or for the end of its connection.
    pub(crate) fn slowest(&self) -> Duration {
        self.book.borrow().slowest
    }

    /// The longest that a sender waited to be asked to come back.
    pub(crate) fn slowest_refusal(&self) -> Duration {
        self.book.borrow().slowest_refusal
    }

    /// What the requests were doing whose connections ended before they were answered.
    pub(crate) fn unanswered(&self) -> Vec<String> {
        self.book.borrow().unanswered.clone()
    }

    /// How many requests were answered with OK so far.
    pub(crate) fn acknowledged(&self) -> usize {
        let book = self.book.borrow();
        book.entries
            .iter()
            .filter(|one| one.is_acknowledged())
            .count()
    }

    /// How many attempts ended with a request to come back so far.
    pub(crate) fn postponed(&self) -> usize {
        let book = self.book.borrow();
        let attempts = book.entries.iter().flat_map(|one| &one.attempts);
        attempts
            .filter(|one| matches!(one, Outcome::Postponed { .. }))
            .count()
    }

    /// Waits until the ledger says so.
    pub(crate) async fn until(&self, what: &str, holds: impl Fn(&Self) -> bool) {
        let mut book = self.book.subscribe();
        let come = async {
            while !holds(self) {
                book.changed().await.unwrap();
            }
        };
        soon(what, come).await;
    }
}

impl Page {
    pub(crate) fn note(&self, outcome: Outcome, took: Duration) {
        self.ledger.book.send_modify(|book| {
            book.slowest = took.max(book.slowest);
            if matches!(outcome, Outcome::Postponed { .. }) {
                book.slowest_refusal = took.max(book.slowest_refusal);
            }
            book.entries[self.number].attempts.push(outcome);
        });
    }

    /// The connection ended before the answer; what the request was doing then.
    pub(crate) fn note_unanswered(&self, doing: String) {
        let note = |book: &mut Book| book.unanswered.push(doing);
        self.ledger.book.send_modify(note);
    }

    /// What the last attempt came to.
    pub(crate) fn last(&self) -> Option<Outcome> {
        let book = self.ledger.book.borrow();
        book.entries[self.number].attempts.last().cloned()
    }
}

impl Entry {
    pub(crate) fn is_acknowledged(&self) -> bool {
        matches!(self.attempts.last(), Some(Outcome::Accepted { .. }))
    }
}

impl Outcome {
    /// Reads an answer as SDKs do (OTLP specification, "Failures").
    pub(crate) fn of(answer: Result<Bytes, Status>) -> Self {
        let status = match answer {
            Ok(response) => {
                // The responses for logs have the same fields.
                let response = ExportTraceServiceResponse::decode(response).unwrap();
                let rejected = response.partial_success.map_or(0, |of| of.rejected_spans);
                let rejected = rejected.try_into().unwrap();
                return Self::Accepted { rejected };
            }
            Err(status) => status,
        };
        // What nobody told has a source: it is what tonic makes of a connection that ends.
        if std::error::Error::source(&status).is_some() {
            return Self::Unanswered;
        }
        let (code, delay) = (status.code(), retry_after(&status));
        let message = status.message().to_owned();
        match code {
            Code::Cancelled
            | Code::DeadlineExceeded
            | Code::Aborted
            | Code::OutOfRange
            | Code::Unavailable
            | Code::DataLoss => Self::Postponed {
                code,
                delay,
                message,
            },
            Code::ResourceExhausted if delay.is_some() => Self::Postponed {
                code,
                delay,
                message,
            },
            code => Self::Refused { code, message },
        }
    }
}
