//! The `artifact` processor: what it takes out, and what becomes of that.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;
use futures::future::BoxFuture;
use futures::{FutureExt as _, StreamExt as _, stream};
use slimspan_artifact::{
    Artifact, Digest, Extraction, Facts, Fingerprint, Form, Policy, Recall, extract,
    extract_recalling,
};
use slimspan_proto::{OnMalformed, Signal, ValueKind, Walk, walk};
use tokio::time::{Instant, timeout_at};

use super::fan_out::Outgoing;
use super::tenancy::{InFlight, Tenancy};
use crate::admission;
use crate::client::Client;
use crate::compute;
use crate::config::{Delivery, OnStoreFailure};
use crate::dry_run::DryRun;
use crate::refusal::{Culprit, Refusal};
use crate::sift::{Rejected, Sifted};
use crate::storage::Store;
use crate::telemetry::Counters;
use crate::tenant::TenantId;

/// More than this is decoded and hashed on threads for such work: a mebibyte takes most of a
/// millisecond, in which other requests would wait.
const INLINE: usize = 128 * 1024;

/// Larger requests are not even walked elsewhere than on such a thread.
const WALKED: usize = 256 * 1024;

/// The parts of one request, of several tenants, that are taken through at a time.
const RUNS: usize = 8;

/// The `artifact` processor: what it takes out, and what becomes of that.
#[derive(Debug)]
pub(super) struct Artifacts {
    /// What is taken out: the same with every form of references that some exporter wants.
    policies: Arc<[Policy]>,
    fate: Fate,
}

/// What becomes of the files in a request.
#[derive(Debug)]
pub enum Fate {
    /// They are taken out and kept.
    Kept(Keeping),
    /// They stay, and are counted.
    Counted(Arc<DryRun>),
}

/// How files are kept.
#[derive(Debug)]
pub struct Keeping {
    /// Where they are kept.
    pub store: Store,
    /// Whether the answer waits until the store has them.
    pub delivery: Delivery,
    /// What becomes of a request whose artifacts cannot be kept.
    pub on_failure: OnStoreFailure,
    /// Whose they are, if not all are one tenant's.
    pub tenancy: Option<Tenancy>,
}

/// What the artifact processor makes of a request.
pub(super) struct Processed {
    /// It may leave: whatever it refers to is stored, or marked as given up.
    pub(super) outgoing: Outgoing,
    /// Whether some of it goes on as it came, because its artifacts could not be stored.
    pub(super) is_forwarded: bool,
    /// Which items of it go on apart from the others.
    pub(super) isolated: Vec<Range<usize>>,
    /// What does not go on.
    pub(super) rejected: Option<Rejected>,
    /// Whose it is, where there are tenants.
    pub(super) tenants: Vec<TenantId>,
    /// What these have under way, until it is answered.
    pub(super) in_flight: Vec<InFlight>,
}

impl Processed {
    /// It goes on as it came.
    pub(super) fn untouched(sifted: &Sifted, forms: usize) -> Self {
        Self {
            outgoing: Outgoing::same(&sifted.request, forms),
            is_forwarded: false,
            isolated: sifted.isolated.clone(),
            rejected: None,
            tenants: Vec::new(),
            in_flight: Vec::new(),
        }
    }
}

impl Artifacts {
    /// Takes out what `policy` says, with references in all of these `forms`.
    pub(super) fn new(policy: &Policy, forms: &[Form], fate: Fate) -> Self {
        let in_form = |form: &Form| Policy {
            form: *form,
            ..policy.clone()
        };
        Self {
            policies: forms.iter().map(in_form).collect(),
            fate,
        }
    }

    /// Takes the files out of a request.
    pub(super) async fn process(
        &self,
        signal: Signal,
        sifted: &Sifted,
        client: &Client,
        deadline: Instant,
        counters: &Counters,
    ) -> Result<Processed, Refusal> {
        let untouched = || Processed::untouched(sifted, self.policies.len());
        let keeping = match &self.fate {
            Fate::Kept(keeping) => keeping,
            Fate::Counted(dry_run) => {
                let request = &sifted.request;
                if let Some(policy) = self.policies.first() {
                    match run_extract(signal, request, policy, Memory::None).await {
                        Ok(extraction) => dry_run.add(&extraction, request.len()),
                        Err(refusal) => tracing::warn!("not in a dry run, refused: {refusal}"),
                    }
                }
                return Ok(untouched());
            }
        };
        let process = |request, policies, store| Process {
            signal,
            request,
            policies,
            store,
            keeping,
            counters,
        };
        let Some(tenancy) = &keeping.tenancy else {
            let (policies, store) = (Arc::clone(&self.policies), keeping.store.clone());
            let all = process(&sifted.request, policies, store);
            let made = all.run(deadline).await?;
            return Ok(Processed {
                outgoing: made.outgoing,
                is_forwarded: made.is_forwarded,
                ..untouched()
            });
        };
        let divided = tenancy.divide(signal, client, sifted)?;
        let mut bytes: BTreeMap<&TenantId, usize> = BTreeMap::new();
        for run in &divided.runs {
            *bytes.entry(&run.tenant).or_default() += run.request.len();
        }
        let mut in_flight = Vec::new();
        let mut places = BTreeMap::new();
        for (tenant, bytes) in bytes {
            in_flight.push(tenancy.admit(tenant, bytes)?);
            let store = keeping.store.of_tenant(tenant);
            places.insert(tenant, (self.policies_at(&store), store));
        }
        let tenants = places.keys().map(|tenant| (*tenant).clone()).collect();
        let mut runs: Vec<BoxFuture<'_, Result<Made, Refusal>>> = Vec::new();
        for run in &divided.runs {
            if let Some((policies, store)) = places.get(&run.tenant).cloned() {
                let run = process(&run.request, policies, store);
                runs.push(async move { run.run(deadline).await }.boxed());
            }
        }
        let made: Vec<_> = stream::iter(runs).buffered(RUNS).collect().await;
        let made = made.into_iter();
        let made = made.collect::<Result<Vec<Made>, Refusal>>()?;
        Ok(Processed {
            is_forwarded: made.iter().any(|made| made.is_forwarded),
            outgoing: Outgoing::joined(made.into_iter().map(|made| made.outgoing)),
            isolated: divided.isolated,
            rejected: divided.rejected,
            tenants,
            in_flight,
        })
    }

    /// What is taken out where references lead to `store`.
    fn policies_at(&self, store: &Store) -> Arc<[Policy]> {
        let location = store.location();
        if self
            .policies
            .first()
            .is_some_and(|policy| policy.location == location)
        {
            return Arc::clone(&self.policies);
        }
        let there = |policy: &Policy| Policy {
            location: location.clone(),
            ..policy.clone()
        };
        self.policies.iter().map(there).collect()
    }
}

/// One request on its way through the processor.
struct Process<'a> {
    signal: Signal,
    request: &'a Bytes,
    /// One for each form of references.
    policies: Arc<[Policy]>,
    /// That of its tenant.
    store: Store,
    keeping: &'a Keeping,
    counters: &'a Counters,
}

/// What became of it.
struct Made {
    outgoing: Outgoing,
    is_forwarded: bool,
}

/// What was taken out of one request, whatever its references look like.
struct Taken {
    /// In the order of the policies; at least one.
    extractions: Vec<Extraction>,
    artifacts: Vec<Artifact>,
    recalled: Vec<Digest>,
}

impl Process<'_> {
    async fn run(&self, deadline: Instant) -> Result<Made, Refusal> {
        let (store, delivery) = (&self.store, self.keeping.delivery);
        let mut taken = self.take_out(Memory::Of(store.clone())).await?;
        if !store.has_all(&taken.recalled, delivery) {
            // Stored so long ago that it may be gone by now, or only in the spool, and this sender
            // waits for the store: it is decoded to be stored.
            taken = self.take_out(Memory::None).await?;
        }
        let first = taken.extractions.first();
        if let Some(first) = first {
            self.counters.left_alone(first);
        }
        if taken.artifacts.is_empty() {
            if let Some(first) = first {
                self.counters.extracted(first, 0, 0);
            }
            return Ok(taken.safe());
        }
        // Half of the time that is left is the backend's.
        let now = Instant::now();
        let until = now + deadline.saturating_duration_since(now) / 2;
        // What is still being put when nobody waits any more keeps the request's share of the memory.
        for artifact in &mut taken.artifacts {
            artifact.bytes = admission::tie(std::mem::take(&mut artifact.bytes), self.request);
        }
        let keep = store.keep_all(&taken.artifacts, delivery);
        let mut again = None;
        let failure = match timeout_at(until, keep).await {
            Ok(Ok(kept)) => {
                if let Some(first) = first {
                    self.counters.extracted(first, kept.stored, kept.spooled);
                }
                for extraction in &taken.extractions {
                    store.remember(extraction);
                }
                return Ok(taken.safe());
            }
            Ok(Err(error)) => {
                again = error.retry_after();
                error.to_string()
            }
            Err(_) => format!(
                "{} did not take {} artifacts in half of the time that the sender waits, {:?}",
                store.keeper(delivery),
                taken.artifacts.len(),
                until - now
            ),
        };
        tracing::warn!("{}: {failure}", self.signal);
        match self.keeping.on_failure {
            OnStoreFailure::Forward => Ok(Made {
                outgoing: Outgoing::same(self.request, self.policies.len()),
                is_forwarded: true,
            }),
            OnStoreFailure::Refuse => {
                let refusal = Refusal::unavailable(Culprit::Store, failure);
                Err(refusal.not_before(again.unwrap_or_default()))
            }
            OnStoreFailure::Drop => self.mark(taken).await,
        }
    }

    /// Takes the files out once for each form of references; what the first time showed of a value
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
            let mut extraction = run_extract(self.signal, self.request, policy, memory).await?;
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

    /// The request with a mark in place of every file.
    async fn mark(&self, taken: Taken) -> Result<Made, Refusal> {
        let digests = taken.artifacts.iter().map(|artifact| artifact.digest);
        let dropped: BTreeSet<_> = digests.chain(taken.recalled).collect();
        let mut requests = Vec::new();
        for (number, policy) in self.policies.iter().enumerate() {
            let policy = Policy {
                dropped: dropped.clone(),
                ..policy.clone()
            };
            let memory = Memory::Of(self.store.clone());
            let marked = run_extract(self.signal, self.request, &policy, memory).await?;
            if number == 0 {
                self.counters.extracted(&marked, 0, 0);
            }
            requests.push(marked.request);
        }
        Ok(Made {
            outgoing: Outgoing::in_forms(requests),
            is_forwarded: false,
        })
    }
}

impl Taken {
    /// It may leave.
    fn safe(self) -> Made {
        let extractions = self.extractions.into_iter();
        let requests = extractions.map(|extraction| extraction.request);
        Made {
            outgoing: Outgoing::in_forms(requests.collect()),
            is_forwarded: false,
        }
    }
}

/// What is known of values before they are decoded.
#[derive(Clone)]
enum Memory {
    /// Nothing.
    None,
    /// What a store remembers.
    Of(Store),
    /// What a store remembers, and what was learned of the same request in another form.
    Across(Store, Arc<HashMap<Fingerprint, Facts>>),
}

/// What is known of the values of a request that is taken through in several forms.
struct Across<'a> {
    store: &'a dyn Recall,
    learned: &'a HashMap<Fingerprint, Facts>,
}

impl Recall for Across<'_> {
    fn key(&self) -> &[u8; 32] {
        self.store.key()
    }

    fn shortest(&self) -> usize {
        self.store.shortest()
    }

    fn met(&self, sketch: u64) -> bool {
        // It comes again at once, in the next form.
        self.store.met(sketch);
        true
    }

    fn recall(&self, fingerprint: &Fingerprint) -> Option<Facts> {
        let learned = self.learned.get(fingerprint).copied();
        learned.or_else(|| self.store.recall(fingerprint))
    }
}

impl Memory {
    fn extract(
        &self,
        signal: Signal,
        request: &Bytes,
        policy: &Policy,
    ) -> Result<Extraction, slimspan_proto::Malformed> {
        match self {
            Self::None => extract(signal, request, policy),
            Self::Of(store) => extract_recalling(signal, request, policy, store.recall()),
            Self::Across(store, learned) => {
                let store = store.recall();
                extract_recalling(signal, request, policy, &Across { store, learned })
            }
        }
    }
}

/// Extracts where it does no harm to other requests, and decodes no values that are known.
async fn run_extract(
    signal: Signal,
    request: &Bytes,
    policy: &Policy,
    memory: Memory,
) -> Result<Extraction, Refusal> {
    // A request cannot hold more than it has, so a small one need not be asked.
    if request.len() <= INLINE
        || request.len() <= WALKED && large_values(signal, request, policy.smallest()) <= INLINE
    {
        return Ok(memory.extract(signal, request, policy)?);
    }
    let (request, policy) = (request.clone(), policy.clone());
    let work = move || memory.extract(signal, &request, &policy);
    let extraction = compute::run(work).await.map_err(|error| {
        tracing::error!("the extractor failed: {error}");
        Refusal::unavailable(Culprit::Slimspan, "the extractor failed")
    })?;
    Ok(extraction?)
}

/// The bytes that extraction may have to decode and hash. To look costs next to nothing.
fn large_values(signal: Signal, request: &[u8], threshold: usize) -> usize {
    let mut bytes = 0;
    let large = Walk {
        min_len: threshold,
        on_malformed: OnMalformed::StepOver,
    };
    // A request that is too odd to be walked is told so by the extractor.
    let _ = walk(signal, request, large, |value, _| {
        if matches!(value.kind, ValueKind::String | ValueKind::Bytes) {
            bytes += value.content.len();
        }
    });
    bytes
}
