use std::collections::{HashMap, HashSet};
use std::panic::AssertUnwindSafe;
use std::time::Duration;

use futures::FutureExt as _;
use slimspan_artifact::Digest;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;

use super::super::Store;
use super::{Spool, record};
use crate::backoff::Backoff;
use crate::journal::{Entry, ReadError};
use crate::telemetry::{Counters, Seldom};

/// The bytes of artifacts that are read again to be uploaded, at a time; or one artifact.
const IN_MEMORY: u64 = 64 << 20;

/// Failures in a row after which the store counts as failing: then one upload at a time shows
/// whether it still does.
const FAILURES: u32 = 3;

/// The pauses of a failing store.
const PAUSE: Backoff = Backoff::doubling(Duration::from_millis(250), Duration::from_secs(2));

/// The pauses of an artifact that was not taken.
const DELAY: Backoff = Backoff::doubling(Duration::from_millis(500), Duration::from_secs(5));

/// Puts what waits in a spool into the store for as long as it takes: what was tried least, and of
/// that the oldest.
struct Uploader<'s> {
    spool: &'s Spool,
    store: &'s Store,
    counters: &'s Counters,
    uploads: JoinSet<(Digest, Entry, Result<(), Failure>)>,
    in_flight: HashSet<u64>,
    bytes_in_flight: u64,
    /// Artifacts that were not taken: how often, and when they are tried again.
    delayed: HashMap<u64, (u32, Instant)>,
    failures: u32,
    paused_until: Option<Instant>,
    failing: Seldom,
}

/// Why an artifact was not uploaded.
enum Failure {
    /// Another time may be better.
    Store(String),
    /// It panicked. Another time may be better.
    BrokeOff,
    /// It is damaged.
    Spool(ReadError),
    NoArtifact,
}

impl Spool {
    /// Uploads until `drain` is cancelled; then what is left, unless the store fails.
    ///
    /// An artifact is forgotten here after the store has it. When this is dropped, or the process
    /// ends, what is not uploaded stays for the next time.
    pub async fn upload(&self, store: &Store, counters: &Counters, drain: CancellationToken) {
        let mut uploader = Uploader {
            spool: self,
            store,
            counters,
            uploads: JoinSet::new(),
            in_flight: HashSet::new(),
            bytes_in_flight: 0,
            delayed: HashMap::new(),
            failures: 0,
            paused_until: None,
            failing: Seldom::default(),
        };
        uploader.run(drain).await;
    }
}

impl Uploader<'_> {
    async fn run(&mut self, drain: CancellationToken) {
        let mut draining = false;
        loop {
            // Who ends does not wait for a store that fails.
            let giving_up = draining && self.failures > 0;
            let wake = if giving_up { None } else { self.begin() };
            if draining && self.uploads.is_empty() && wake.is_none() {
                return;
            }
            let wake_at = wake.unwrap_or_else(Instant::now);
            tokio::select! {
                Some(ended) = self.uploads.join_next() => match ended {
                    Ok((digest, entry, outcome)) => self.ended(&digest, &entry, outcome),
                    Err(error) => tracing::error!("{}: an upload broke off: {error}", self.spool),
                },
                () = self.spool.shared.arrived.notified() => {}
                () = sleep_until(wake_at), if wake.is_some() => {}
                () = drain.cancelled(), if !draining => draining = true,
            }
        }
    }

    /// Begins all uploads that may begin; returns when the next one may, if that is a matter of time.
    fn begin(&mut self) -> Option<Instant> {
        let now = Instant::now();
        loop {
            let (digest, entry) = match self.next(now) {
                Ok(next) => next,
                Err(due) => return due,
            };
            let len = entry.len() as u64;
            let most = if self.failures < FAILURES {
                self.store.max_concurrent_puts()
            } else {
                1
            };
            let fits = self.uploads.len() < most && self.bytes_in_flight + len <= IN_MEMORY;
            if !fits && !self.uploads.is_empty() {
                return None;
            }
            self.in_flight.insert(entry.sequence());
            self.bytes_in_flight += len;
            let (spool, store) = (self.spool.clone(), self.store.clone());
            self.uploads.spawn(async move {
                // Else nobody would know which one is not under way any more.
                let upload = AssertUnwindSafe(upload(&spool, &store, &entry)).catch_unwind();
                let outcome = upload.await.unwrap_or(Err(Failure::BrokeOff));
                (digest, entry, outcome)
            });
        }
    }

    /// The artifact that was tried least of those whose time has come, and of these the oldest; or
    /// when a time will come.
    ///
    /// The oldest alone would be one that the store never takes, as soon as there are enough of
    /// those.
    fn next(&self, now: Instant) -> Result<(Digest, Entry), Option<Instant>> {
        if let Some(until) = self.paused_until.filter(|until| *until > now) {
            return Err(Some(until));
        }
        let mut due: Option<Instant> = None;
        let mut tried: Option<(u32, (Digest, Entry))> = None;
        let waiting = self.spool.shared.waiting();
        for (sequence, next) in &waiting.in_order {
            if self.in_flight.contains(sequence) {
                continue;
            }
            match self.delayed.get(sequence) {
                None => return Ok(*next),
                Some((_, until)) if *until > now => {
                    due = Some(due.map_or(*until, |due| due.min(*until)));
                }
                Some((times, _)) if tried.is_none_or(|(fewest, _)| *times < fewest) => {
                    tried = Some((*times, *next));
                }
                Some(_) => {}
            }
        }
        tried.map(|(_, next)| next).ok_or(due)
    }

    fn ended(&mut self, digest: &Digest, entry: &Entry, outcome: Result<(), Failure>) {
        let sequence = entry.sequence();
        self.in_flight.remove(&sequence);
        self.bytes_in_flight -= entry.len() as u64;
        match outcome {
            Ok(()) => {
                self.delayed.remove(&sequence);
                self.spool.shared.waiting().forget(digest, entry);
                self.spool.shared.journal.remove(entry);
                self.counters.uploaded();
                if self.failures >= FAILURES {
                    let left = self.spool.left();
                    tracing::info!(
                        "{}: {} works again, {left} are left",
                        self.spool,
                        self.store
                    );
                    self.failing = Seldom::default();
                }
                self.failures = 0;
                self.paused_until = None;
            }
            Err(Failure::Store(error)) => self.failed(sequence, &error),
            Err(Failure::BrokeOff) => {
                self.failed(sequence, &format!("the upload of {digest} broke off"));
            }
            Err(Failure::Spool(error)) => self.give_up(digest, entry, &error.to_string()),
            Err(Failure::NoArtifact) => {
                self.give_up(digest, entry, "the record is no artifact");
            }
        }
    }

    fn failed(&mut self, sequence: u64, error: &str) {
        self.counters.upload_failed();
        self.failures = self.failures.saturating_add(1);
        let now = Instant::now();
        let (times, until) = self.delayed.entry(sequence).or_insert((0, now));
        *until = now + DELAY.wait(*times);
        *times = times.saturating_add(1);
        if let Some(over) = self.failures.checked_sub(FAILURES) {
            self.paused_until = Some(now + PAUSE.wait(over));
        }
        if let Some(times) = self.failing.occurred() {
            let left = self.spool.left();
            tracing::warn!(
                "{}: {left} wait, {times} uploads failed: {error}",
                self.spool
            );
        }
    }

    /// What cannot be read cannot be uploaded. It stays on disk: the next start puts it into
    /// quarantine.
    fn give_up(&mut self, digest: &Digest, entry: &Entry, error: &str) {
        self.delayed.remove(&entry.sequence());
        self.spool.shared.waiting().forget(digest, entry);
        self.counters.damaged();
        tracing::error!(
            "{}: artifact {digest} is lost, references to it lead nowhere: {error}",
            self.spool
        );
    }
}

async fn upload(spool: &Spool, store: &Store, entry: &Entry) -> Result<(), Failure> {
    let record = spool.shared.journal.read(entry).await;
    let record = record.map_err(|error| match error {
        // It may be read the next time.
        ReadError::Io { .. } => Failure::Store(error.to_string()),
        error => Failure::Spool(error),
    })?;
    let artifact = record::artifact(&record).ok_or(Failure::NoArtifact)?;
    let put = store.put_all(std::slice::from_ref(&artifact)).await;
    put.map(drop)
        .map_err(|error| Failure::Store(error.to_string()))
}
