//! One request on its way through the processor.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering::Relaxed;

use bytes::Bytes;
use slimspan_artifact::{Artifact, Digest, Extraction, Policy};
use slimspan_proto::Signal;
use tokio::time::{Instant, timeout_at};

use super::Keeping;
use super::extraction::{Memory, memory_of_texts, run_extract};
use super::recording::Tidings;
use crate::admission::{self, Budget};
use crate::catalog::{State, Taken as Told};
use crate::config::OnStoreFailure;
use crate::crash::{self, Point};
use crate::pipeline::fan_out::Outgoing;
use crate::refusal::{Culprit, Refusal};
use crate::storage::Store;
use crate::telemetry::Counters;
use crate::telemetry::traces::{Stage, Trace};

/// One request on its way through the processor.
pub(super) struct Process<'a> {
    pub(super) signal: Signal,
    pub(super) request: &'a Bytes,
    /// One for each form.
    pub(super) policies: Arc<[Policy]>,
    /// That of its tenant.
    pub(super) store: Store,
    pub(super) keeping: &'a Keeping,
    /// What is charged that it grows by.
    pub(super) budget: &'a Budget,
    pub(super) counters: &'a Counters,
    /// For the spans of its stages.
    pub(super) trace: &'a Trace,
    /// How many more files that senders store themselves are told of in the whole request.
    pub(super) claims: &'a AtomicUsize,
}

/// What became of it.
pub(super) struct Made {
    pub(super) outgoing: Outgoing,
    pub(super) is_forwarded: bool,
    /// How many artifacts are kept, and their bytes.
    pub(super) artifacts: (u64, u64),
    /// What is to be told of its references.
    pub(super) tidings: Tidings,
}

/// What was taken out of one request, whatever its references look like.
struct Taken {
    /// In the order of the policies; at least one.
    extractions: Vec<Extraction>,
    artifacts: Vec<Artifact>,
    recalled: Vec<Digest>,
}

impl Process<'_> {
    pub(super) async fn run(&self, deadline: Instant) -> Result<Made, Refusal> {
        let (store, delivery) = (&self.store, self.keeping.delivery);
        let stage = self.trace.stage(|| "processor/artifact/extract".to_owned());
        let mut taken = match self.take_out(Memory::Of(store.clone())).await {
            Ok(taken) => taken,
            Err(refusal) => {
                stage.ended(Some(&refusal));
                return Err(refusal);
            }
        };
        if !store.has_all(&taken.recalled, delivery) {
            // Stored so long ago that it may be gone by now, or only in the spool, and this sender
            // waits for the store: it is decoded to be stored.
            taken = self.take_out(Memory::None).await?;
        }
        let first = taken.extractions.first();
        if let Some(first) = first {
            self.counters.left_alone(first);
        }
        taken.tell(stage);
        if taken.artifacts.is_empty() {
            if let Some(first) = first {
                self.counters.extracted(first, 0, 0);
            }
            return Ok(self.safe(taken));
        }
        crash::at(Point::Hashed);
        // Half of the time that is left is the backend's.
        let now = Instant::now();
        let until = now + deadline.saturating_duration_since(now) / 2;
        // What is still being put when nobody waits any more keeps the request's share of the memory.
        for artifact in &mut taken.artifacts {
            artifact.bytes = admission::tie(std::mem::take(&mut artifact.bytes), self.request);
        }
        let mut stage = self.trace.call(|| "processor/artifact/store".to_owned());
        stage.number("slimspan.artifacts.count", taken.artifacts.len() as u64);
        let keep = store.keep_all(&taken.artifacts, delivery);
        let mut again = None;
        let failure = match timeout_at(until, keep).await {
            Ok(Ok(kept)) => {
                crash::at(Point::Kept);
                stage.number("slimspan.artifacts.stored", kept.stored as u64);
                drop(stage);
                if let Some(first) = first {
                    self.counters.extracted(first, kept.stored, kept.spooled);
                }
                for extraction in &taken.extractions {
                    store.remember(extraction);
                }
                return Ok(self.safe(taken));
            }
            Ok(Err(error)) => {
                stage.failed("the store failed");
                again = error.retry_after();
                error.to_string()
            }
            Err(_) => {
                stage.failed("the store did not end in time");
                format!(
                    "{} did not take {} artifacts in half of the time that the sender waits, {:?}",
                    store.keeper(delivery),
                    taken.artifacts.len(),
                    until - now
                )
            }
        };
        tracing::warn!("{}: {failure}", self.signal);
        match self.keeping.on_failure {
            OnStoreFailure::Forward => {
                // What its sender stores itself it refers to all the same.
                let whole = self.with_files().await?;
                Ok(Made {
                    is_forwarded: true,
                    ..self.made(whole, (0, 0))
                })
            }
            OnStoreFailure::Refuse => {
                let refusal = Refusal::unavailable(Culprit::Store, failure);
                Err(refusal.not_before(again.unwrap_or_default()))
            }
            OnStoreFailure::Drop => self.mark(taken).await,
        }
    }

    /// Takes the files out once for each form; what the first time showed of a value
    /// is not found out again.
    async fn take_out(&self, memory: Memory) -> Result<Taken, Refusal> {
        let mut taken = Taken {
            extractions: Vec::new(),
            artifacts: Vec::new(),
            recalled: Vec::new(),
        };
        let (mut stored, mut recalled) = (BTreeSet::new(), BTreeSet::new());
        let mut learned = HashMap::new();
        let is_one = self.policies.len() == 1;
        for policy in self.policies.iter() {
            let memory = match &memory {
                Memory::Of(store) if !is_one => {
                    Memory::Across(store.clone(), Arc::new(learned.clone()))
                }
                memory => memory.clone(),
            };
            let mut extraction = self.extract(policy, memory).await?;
            learned.extend(extraction.learned.iter().copied());
            let artifacts = std::mem::take(&mut extraction.artifacts).into_iter();
            taken
                .artifacts
                .extend(artifacts.filter(|artifact| stored.insert(artifact.digest)));
            recalled.extend(extraction.recalled.iter().copied());
            taken.extractions.push(extraction);
        }
        // In one form a value may stay that another one takes, so none has all of them.
        taken.recalled = recalled.difference(&stored).copied().collect();
        Ok(taken)
    }

    /// Takes the files out in one form. What the request grows by with bytes that become texts is charged
    /// before, and as long as it is there.
    async fn extract(&self, policy: &Policy, memory: Memory) -> Result<Extraction, Refusal> {
        let grows = memory_of_texts(self.signal, self.request, policy).await;
        let mut lease = None;
        if grows > 0 {
            let mut more = self.budget.lease_for_copy();
            more.charge_ahead(grows).await?;
            lease = Some(more);
        }
        let mut extraction = run_extract(self.signal, self.request, policy, memory).await?;
        if let Some(lease) = lease {
            extraction.request = lease.hold(extraction.request);
        }
        Ok(extraction)
    }

    /// The request with its files, as it came but for bytes where they have to become texts, and for marks
    /// in what a sender wrote like a reference.
    async fn with_files(&self) -> Result<Vec<Extraction>, Refusal> {
        let mut extractions = Vec::new();
        for policy in self.policies.iter() {
            let policy = policy.leaving_files();
            extractions.push(self.extract(&policy, Memory::None).await?);
        }
        Ok(extractions)
    }

    /// The request with a mark in place of every file.
    async fn mark(&self, taken: Taken) -> Result<Made, Refusal> {
        let digests = taken.artifacts.iter().map(|artifact| artifact.digest);
        let dropped: BTreeSet<_> = digests.chain(taken.recalled).collect();
        let mut marks = Vec::new();
        for (number, policy) in self.policies.iter().enumerate() {
            let policy = Policy {
                dropped: dropped.clone(),
                ..policy.clone()
            };
            let memory = Memory::Of(self.store.clone());
            let marked = self.extract(&policy, memory).await?;
            if number == 0 {
                self.counters.extracted(&marked, 0, 0);
            }
            marks.push(marked);
        }
        Ok(self.made(marks, (0, 0)))
    }

    /// It may leave.
    fn safe(&self, taken: Taken) -> Made {
        let bytes = taken.artifacts.iter().map(|artifact| artifact.bytes.len());
        let bytes = bytes.sum::<usize>() as u64;
        let artifacts = (taken.artifacts.len() + taken.recalled.len()) as u64;
        self.made(taken.extractions, (artifacts, bytes))
    }

    fn made(&self, extractions: Vec<Extraction>, artifacts: (u64, u64)) -> Made {
        let tidings = self.tidings(&extractions);
        let requests = extractions.into_iter();
        let requests = requests.map(|extraction| extraction.request);
        Made {
            outgoing: Outgoing::in_forms(requests.collect()),
            is_forwarded: false,
            artifacts,
            tidings,
        }
    }

    /// What is to be told of the references.
    fn tidings(&self, extractions: &[Extraction]) -> Tidings {
        let Some(recorder) = &self.keeping.recorder else {
            return Tidings::default();
        };
        let claims = extractions.first().map_or(0, |first| first.claims.len());
        let fewer = |left: usize| Some(left.saturating_sub(claims));
        let left = self.claims.fetch_update(Relaxed, Relaxed, fewer);
        let told = Told {
            signal: self.signal,
            request: self.request,
            tenant: self.store.tenant(),
            extractions,
            most_claims: left.unwrap_or_default(),
        };
        let entries = told.entries(|digest| {
            if self.store.is_spooled(digest) {
                State::Spooled
            } else {
                State::Stored
            }
        });
        Tidings::of(entries, recorder)
    }
}

impl Taken {
    /// Ends the stage in which it was taken out.
    fn tell(&self, mut stage: Stage) {
        let Some(first) = self.extractions.first() else {
            return;
        };
        let bytes = self.artifacts.iter().map(|artifact| artifact.bytes.len());
        stage.number("slimspan.artifacts.replaced", first.moves.len() as u64);
        stage.number("slimspan.artifacts.bytes", bytes.sum::<usize>() as u64);
    }
}
