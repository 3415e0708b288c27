use std::collections::{BTreeMap, HashMap, HashSet};
use std::panic::AssertUnwindSafe;
use std::time::Duration;

use futures::FutureExt as _;
use slimspan_artifact::Digest;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, sleep_until};
use tokio_util::sync::CancellationToken;

use super::super::Store;
use super::record::{self, Key};
use super::tries::Tries;
use super::usual::Usual;
use super::{Fate, Spool};
use crate::admission::Budget;
use crate::backoff::Backoff;
use crate::crash::{self, Point};
use crate::journal::{Entry, ReadError};
use crate::telemetry::{Counters, Seldom};
use crate::tenant::TenantId;

/// The bytes of artifacts that are read again to be uploaded, at a time; or one artifact.
const IN_MEMORY: u64 = 64 << 20;

/// Those of one tenant, or one artifact: where the store hangs for it, others have the rest.
const IN_MEMORY_OF_ONE: u64 = IN_MEMORY / 2;

/// Failures in a row after which the store counts as failing: then one upload at a time shows
/// whether it still does.
const FAILURES: u32 = 3;

/// The pauses of a failing store.
const PAUSE: Backoff = Backoff::doubling(Duration::from_millis(250), Duration::from_secs(2));

/// How long uploads wait at most for who finds out what was deleted meanwhile.
const HELD: Duration = Duration::from_secs(10);

/// Puts what waits in a spool into the store for as long as it takes: by turns for the tenants, and of
/// each the oldest that is not refused again and again.
struct Uploader<'s> {
    spool: &'s Spool,
    store: &'s Store,
    budget: &'s Budget,
    counters: &'s Counters,
    uploads: JoinSet<(Key, Entry, Result<(), Failure>)>,
    in_flight: HashSet<Entry>,
    bytes_in_flight: u64,
    /// Artifacts that were not taken.
    delayed: HashMap<Entry, Tries>,
    /// Of the tenants that have something under way, or for whom the store fails.
    lanes: HashMap<TenantId, Lane>,
    /// Counts the tenants' turns.
    turns: u64,
    usual: Usual,
    failing: Seldom,
}

/// The uploads of one tenant.
#[derive(Default)]
struct Lane {
    under_way: usize,
    bytes: u64,
    /// Failures since the store took something of it.
    failures: u32,
    paused_until: Option<Instant>,
    /// Its last turn.
    turn: u64,
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
    /// What is read back for it is charged to the `budget`.
    pub async fn upload(
        &self,
        store: &Store,
        budget: &Budget,
        counters: &Counters,
        drain: CancellationToken,
    ) {
        let mut uploader = Uploader {
            spool: self,
            store,
            budget,
            counters,
            uploads: JoinSet::new(),
            in_flight: HashSet::new(),
            bytes_in_flight: 0,
            delayed: HashMap::new(),
            lanes: HashMap::new(),
            turns: 0,
            usual: Usual::new(Instant::now()),
            failing: Seldom::default(),
        };
        self.free(&drain).await;
        uploader.run(drain).await;
    }

    /// Ends when uploads may begin.
    async fn free(&self, drain: &CancellationToken) {
        let mut held = self.shared.held.subscribe();
        tokio::select! {
            _ = held.wait_for(|held| !held) => {}
            () = sleep(HELD) => {}
            () = drain.cancelled() => {}
        }
    }
}

impl Uploader<'_> {
    async fn run(&mut self, drain: CancellationToken) {
        let mut draining = false;
        loop {
            // Who ends does not wait for a store that fails.
            let giving_up = draining && self.lanes.values().any(|lane| lane.failures > 0);
            let wake = if giving_up {
                None
            } else {
                self.begin(draining)
            };
            if draining && self.uploads.is_empty() && wake.is_none() {
                return;
            }
            let wake_at = wake.unwrap_or_else(Instant::now);
            tokio::select! {
                Some(ended) = self.uploads.join_next() => match ended {
                    Ok((key, entry, outcome)) => self.ended(&key, &entry, outcome),
                    Err(error) => tracing::error!("{}: an upload broke off: {error}", self.spool),
                },
                () = self.spool.shared.arrived.notified() => {}
                () = sleep_until(wake_at), if wake.is_some() => {}
                () = drain.cancelled(), if !draining => draining = true,
            }
        }
    }

    /// Begins all uploads that may begin; returns when the next one may, if that is a matter of time. Who is
    /// `draining` has no time to ease a store that works again.
    fn begin(&mut self, draining: bool) -> Option<Instant> {
        let now = Instant::now();
        loop {
            let (key, entry) = match self.next(now) {
                Ok(next) => next,
                Err(due) => return due,
            };
            let len = entry.len() as u64;
            if self.bytes_in_flight > 0 && self.bytes_in_flight + len > IN_MEMORY {
                // Its turn is kept for it: an upload that ends makes room.
                return None;
            }
            if !draining && let Some(due) = self.usual.due(now) {
                return Some(due);
            }
            self.usual.began(now);
            self.in_flight.insert(entry);
            self.spool.shared.waiting().uploads(&key, &entry);
            self.bytes_in_flight += len;
            self.turns += 1;
            let lane = self.lanes.entry(key.0.clone()).or_default();
            lane.under_way += 1;
            lane.bytes += len;
            lane.turn = self.turns;
            let (spool, store) = (self.spool.clone(), self.store.of_tenant(&key.0));
            let budget = self.budget.clone();
            self.uploads.spawn(async move {
                // Else nobody would know which one is not under way any more.
                let upload =
                    AssertUnwindSafe(upload(&spool, &store, &budget, &entry)).catch_unwind();
                let outcome = upload.await.unwrap_or(Err(Failure::BrokeOff));
                (key, entry, outcome)
            });
        }
    }

    /// The next artifact of the tenant whose turn it is; or when a time will come.
    fn next(&self, now: Instant) -> Result<(Key, Entry), Option<Instant>> {
        let mut due: Option<Instant> = None;
        let mut first: Option<(u64, (Key, Entry))> = None;
        let waiting = self.spool.shared.waiting();
        for (tenant, of_tenant) in &waiting.by_tenant {
            let lane = self.lanes.get(tenant);
            let turn = lane.map_or(0, |lane| lane.turn);
            if first.as_ref().is_some_and(|(first, _)| *first <= turn) {
                continue;
            }
            match self.next_of(lane, &of_tenant.in_order, now) {
                Ok((digest, entry)) => first = Some((turn, ((tenant.clone(), digest), entry))),
                Err(Some(until)) => due = Some(due.map_or(until, |due| due.min(until))),
                Err(None) => {}
            }
        }
        first.map(|(_, next)| next).ok_or(due)
    }

    /// The artifact whose turn it is: of those whose time has come the oldest, but for those that were refused too
    /// often; or when a time will come.
    ///
    /// The oldest alone would be one that the store never takes, as soon as there are enough of
    /// those.
    fn next_of(
        &self,
        lane: Option<&Lane>,
        in_order: &BTreeMap<Entry, Digest>,
        now: Instant,
    ) -> Result<(Digest, Entry), Option<Instant>> {
        let idle = Lane::default();
        let lane = lane.unwrap_or(&idle);
        if let Some(until) = lane.paused_until.filter(|until| *until > now) {
            return Err(Some(until));
        }
        let is_failing = lane.failures >= FAILURES;
        let most = if is_failing {
            1
        } else {
            self.store.max_concurrent_puts()
        };
        if lane.under_way >= most {
            return Err(None);
        }
        let mut due: Option<Instant> = None;
        let mut first: Option<(usize, (Digest, Entry))> = None;
        for (place, (entry, digest)) in in_order.iter().enumerate() {
            // None of the rest has less.
            let least_of_rest = if is_failing { place } else { 0 };
            if first.is_some_and(|(least, _)| least <= least_of_rest) {
                break;
            }
            if self.in_flight.contains(entry) {
                continue;
            }
            let tries = self.delayed.get(entry);
            if let Some(tries) = tries.filter(|tries| tries.due > now) {
                due = Some(due.map_or(tries.due, |due| due.min(tries.due)));
                continue;
            }
            let rank = if is_failing {
                Tries::rank_of_probe(tries, place)
            } else {
                tries.map_or(0, Tries::rank) as usize
            };
            if first.is_none_or(|(least, _)| rank < least) {
                first = Some((rank, (*digest, *entry)));
            }
        }
        let (_, next) = first.ok_or(due)?;
        // Where the store hangs for one tenant, others have room.
        let share = lane.bytes + next.1.len() as u64;
        if share <= IN_MEMORY_OF_ONE || lane.under_way == 0 {
            Ok(next)
        } else {
            Err(None)
        }
    }

    fn ended(&mut self, key: &Key, entry: &Entry, outcome: Result<(), Failure>) {
        let len = entry.len() as u64;
        self.in_flight.remove(entry);
        self.bytes_in_flight -= len;
        let lane = self.lanes.entry(key.0.clone()).or_default();
        lane.under_way -= 1;
        lane.bytes -= len;
        let fate = match &outcome {
            Ok(()) => Some(Fate::Stored),
            Err(Failure::Store(_) | Failure::BrokeOff) => None,
            Err(Failure::Spool(_) | Failure::NoArtifact) => Some(Fate::GivenUp),
        };
        let was_failing = lane.failures >= FAILURES;
        self.usual
            .ended(outcome.is_ok(), was_failing, Instant::now());
        let waited = self.spool.shared.waiting().uploaded(key, entry, fate);
        match outcome {
            Ok(()) => {
                self.delayed.remove(entry);
                if waited {
                    crash::at(Point::Uploaded);
                    self.spool.shared.journal.remove(entry);
                    self.counters.uploaded();
                }
                if was_failing {
                    let left = self.spool.left();
                    tracing::info!(
                        "{}: {} works again, {left} are left",
                        self.spool,
                        self.store
                    );
                    self.failing = Seldom::default();
                }
                lane.failures = 0;
                lane.paused_until = None;
                if was_failing {
                    self.works_again(&key.0);
                }
            }
            // It was deleted, and with it what there was to read.
            Err(_) if !waited => {
                self.delayed.remove(entry);
            }
            Err(Failure::Store(error)) => self.failed(key, entry, &error),
            Err(Failure::BrokeOff) => {
                self.failed(key, entry, &format!("the upload of {} broke off", key.1));
            }
            Err(Failure::Spool(error)) => self.give_up(key, entry, &error.to_string()),
            Err(Failure::NoArtifact) => {
                self.give_up(key, entry, "the record is no artifact");
            }
        }
        // Strangers' names are not kept for longer than they are needed.
        let waits = self.spool.shared.waiting().by_tenant.contains_key(&key.0);
        let is_needed = |lane: &Lane| lane.under_way > 0 || lane.failures > 0 && waits;
        if !self.lanes.get(&key.0).is_some_and(is_needed) {
            self.lanes.remove(&key.0);
        }
    }

    /// What was tried while the store took nothing is in its turn again, so that the oldest goes first.
    fn works_again(&mut self, tenant: &TenantId) {
        let waiting = self.spool.shared.waiting();
        let Some(of_tenant) = waiting.by_tenant.get(tenant) else {
            return;
        };
        let now = Instant::now();
        for (entry, tries) in &mut self.delayed {
            if of_tenant.in_order.contains_key(entry) {
                tries.works_again(now);
            }
        }
    }

    fn failed(&mut self, key: &Key, entry: &Entry, error: &str) {
        self.counters.upload_failed();
        let now = Instant::now();
        let lane = self.lanes.entry(key.0.clone()).or_default();
        let tries = (self.delayed.entry(*entry)).or_insert_with(|| Tries::none(now));
        tries.failed(lane.failures >= FAILURES, now);
        lane.failures = lane.failures.saturating_add(1);
        if let Some(over) = lane.failures.checked_sub(FAILURES) {
            lane.paused_until = Some(now + PAUSE.wait(over));
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
    fn give_up(&mut self, key: &Key, entry: &Entry, error: &str) {
        self.delayed.remove(entry);
        self.counters.damaged();
        tracing::error!(
            "{}: artifact {} is lost, references to it lead nowhere: {error}",
            self.spool,
            key.1
        );
    }
}

async fn upload(
    spool: &Spool,
    store: &Store,
    budget: &Budget,
    entry: &Entry,
) -> Result<(), Failure> {
    // What is read takes memory like what comes in, until the last byte of it is put.
    let lease = budget.lease_to_upload(entry.len()).await;
    let record = spool.shared.journal.read(entry).await;
    let record = record.map_err(|error| match error {
        // It may be read the next time.
        ReadError::Io { .. } => Failure::Store(error.to_string()),
        error => Failure::Spool(error),
    })?;
    let record = lease.hold(record);
    let (_, artifact) = record::artifact(&record).ok_or(Failure::NoArtifact)?;
    let put = store.put_all(std::slice::from_ref(&artifact)).await;
    put.map(drop)
        .map_err(|error| Failure::Store(error.to_string()))
}
