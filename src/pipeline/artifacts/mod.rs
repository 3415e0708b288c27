//! The `artifact` processor: what it takes out, and what becomes of that.

mod extraction;
mod process;
mod recording;

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use futures::future::BoxFuture;
use futures::{FutureExt as _, StreamExt as _, stream};
use slimspan_artifact::{BytesValues, MOST_CLAIMS, Policy};
use slimspan_proto::Signal;

use self::extraction::{Memory, run_extract};
use self::process::{Made, Process};
pub(super) use self::recording::{Recording, Tidings};
use super::fan_out::{Outgoing, Wanted};
use super::tenancy::{InFlight, Tenancy};
use crate::admission::Budget;
use crate::catalog::Recorder;
use crate::config::{Delivery, OnStoreFailure};
use crate::dry_run::DryRun;
use crate::exporters::Terms;
use crate::refusal::Refusal;
use crate::sift::{Rejected, Sifted};
use crate::storage::Store;
use crate::tally::Share;
use crate::telemetry::Counters;
use crate::tenant::TenantId;

/// The parts of one request, of several tenants, that are taken through at a time.
const RUNS: usize = 8;

/// The `artifact` processor: what it takes out, and what becomes of that.
#[derive(Debug)]
pub(super) struct Artifacts {
    /// What is taken out: the same in every form that some exporter wants.
    policies: Arc<[Policy]>,
    fate: Fate,
    /// What is charged that requests grow by.
    budget: Budget,
}

/// What becomes of the files in a request.
#[derive(Debug)]
pub enum Fate {
    /// They are taken out and kept.
    Kept(Box<Keeping>),
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
    pub tenancy: Option<Arc<Tenancy>>,
    /// Who writes down what refers to them, if anybody does.
    pub recorder: Option<Recorder>,
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
    /// What the catalog is told when it may have left.
    pub(super) tidings: Tidings,
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
            tidings: Tidings::default(),
        }
    }
}

impl Artifacts {
    /// Takes out what `policy` says, and leaves requests in all of these `forms`. What they grow by is
    /// charged to the `budget`.
    pub(super) fn new(policy: &Policy, forms: &[Wanted], fate: Fate, budget: Budget) -> Self {
        Self {
            policies: forms.iter().map(|form| form.policy(policy)).collect(),
            fate,
            budget,
        }
    }

    /// Takes the files out of a request.
    pub(super) async fn process(
        &self,
        signal: Signal,
        sifted: &Sifted,
        terms: &Terms,
        counters: &Counters,
    ) -> Result<Processed, Refusal> {
        let untouched = || Processed::untouched(sifted, self.policies.len());
        let keeping = match &self.fate {
            Fate::Kept(keeping) => keeping,
            Fate::Counted(dry_run) => {
                let request = &sifted.request;
                if let Some(policy) = self.policies.first() {
                    // What nobody gets need not be written.
                    let policy = Policy {
                        bytes_values: BytesValues::Keep,
                        ..policy.clone()
                    };
                    match run_extract(signal, request, &policy, Memory::None).await {
                        Ok(extraction) => dry_run.add(&extraction, request.len()),
                        Err(refusal) => tracing::warn!("not in a dry run, refused: {refusal}"),
                    }
                }
                return Ok(untouched());
            }
        };
        let deadline = terms.deadline;
        let claims = AtomicUsize::new(MOST_CLAIMS);
        let process = |request, policies, store| Process {
            signal,
            request,
            policies,
            store,
            keeping,
            budget: &self.budget,
            counters,
            trace: &terms.trace,
            claims: &claims,
        };
        let Some(tenancy) = &keeping.tenancy else {
            let (policies, store) = (Arc::clone(&self.policies), keeping.store.clone());
            let all = process(&sifted.request, policies, store);
            let made = all.run(deadline).await?;
            return Ok(Processed {
                outgoing: made.outgoing,
                is_forwarded: made.is_forwarded,
                tidings: made.tidings,
                ..untouched()
            });
        };
        let divided = tenancy.divided(signal, &terms.client, sifted).await?;
        let mut parts: BTreeMap<&TenantId, (usize, usize)> = BTreeMap::new();
        for run in &divided.runs {
            let (bytes, items) = parts.entry(&run.tenant).or_default();
            *bytes += run.request.len();
            *items += run.items;
        }
        let shares = parts.iter().map(|(tenant, (_, items))| {
            Share::of(counters.tenant(tenant.as_str()), signal, *items)
        });
        terms.tickets.belong_to(shares.collect());
        let mut in_flight = Vec::new();
        let mut places = BTreeMap::new();
        for (tenant, (bytes, _)) in parts {
            let counts = counters.tenant(tenant.as_str());
            let admitted = tenancy.admit(tenant, bytes);
            if admitted.is_err() {
                counts.refused.fetch_add(1, Ordering::Relaxed);
            }
            in_flight.push(admitted?);
            counts.requests.fetch_add(1, Ordering::Relaxed);
            counts.bytes.fetch_add(bytes as u64, Ordering::Relaxed);
            let store = keeping.store.of_tenant(tenant);
            places.insert(tenant, (self.policies_at(&store), store));
        }
        let tenants = places.keys().map(|tenant| (*tenant).clone()).collect();
        let mut runs: Vec<BoxFuture<'_, Result<Made, Refusal>>> = Vec::new();
        for of in &divided.runs {
            if let Some((policies, store)) = places.get(&of.tenant).cloned() {
                let run = process(&of.request, policies, store);
                let counts = counters.tenant(of.tenant.as_str());
                runs.push(
                    async move {
                        let made = run.run(deadline).await?;
                        let (artifacts, bytes) = made.artifacts;
                        counts.artifacts.fetch_add(artifacts, Ordering::Relaxed);
                        counts.artifact_bytes.fetch_add(bytes, Ordering::Relaxed);
                        Ok(made)
                    }
                    .boxed(),
                );
            }
        }
        let made: Vec<_> = stream::iter(runs).buffered(RUNS).collect().await;
        let made = made.into_iter();
        let made = made.collect::<Result<Vec<Made>, Refusal>>()?;
        let mut tidings = Tidings::default();
        let is_forwarded = made.iter().any(|made| made.is_forwarded);
        let outgoing = made.into_iter().map(|made| {
            tidings.append(made.tidings);
            made.outgoing
        });
        Ok(Processed {
            is_forwarded,
            outgoing: Outgoing::joined(outgoing),
            isolated: divided.isolated,
            rejected: divided.rejected,
            tenants,
            in_flight,
            tidings,
        })
    }

    /// What tells the catalog of a request if it leaves; none where there is nothing to tell, and an error where it is
    /// not to leave because nobody could be told.
    pub(super) fn recording(&self, tidings: Tidings) -> Result<Option<Arc<Recording>>, Refusal> {
        let recorder = match &self.fate {
            Fate::Kept(keeping) if !tidings.is_empty() => keeping.recorder.clone(),
            _ => None,
        };
        let recording = recorder.map(|recorder| Recording::new(tidings, recorder));
        if let Some(recording) = &recording {
            recording.may_leave()?;
        }
        Ok(recording.map(Arc::new))
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

#[cfg(test)]
mod tests;
