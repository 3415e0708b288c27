//! How a request passes through a pipeline, and from one to another.
//!
//! A connector leads from a pipeline to others of its signal. The one waits for the others as it waits for its
//! exporters, so the answer of a sender is about all that its request reached.

use std::mem;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use bytes::Bytes;
use futures::FutureExt as _;
use futures::future::BoxFuture;

use super::Pipeline;
use super::artifacts::{Processed, Recording};
use super::batch::Held;
use super::fan_out::{Outgoing, Wanted};
use super::tenancy::InFlight;
use crate::answer::Answer;
use crate::exporters::{Divided, Oversize, Terms};
use crate::refusal::{Culprit, Refusal};
use crate::sift::Sifted;
use crate::telemetry::Watch;

/// What a request has with it on its way, also where it waits for others.
#[derive(Debug, Clone, Default)]
pub(super) struct Carried {
    /// It as it came in; nothing where several are joined.
    came: Bytes,
    /// Whether some of it goes on as it came, because its artifacts could not be stored.
    is_forwarded: bool,
    /// What its tenants have under way, until it is answered.
    in_flight: Arc<[InFlight]>,
    /// What the catalog is told when it may have left.
    recording: Option<Arc<Recording>>,
}

impl Pipeline {
    /// Takes a request that comes in by a receiver.
    pub(super) async fn consume(&self, sifted: &Sifted, terms: &Terms) -> Result<Answer, Refusal> {
        let rejected = sifted.rejected.as_ref().map_or(0, |of| of.count);
        let items = sifted.count.saturating_sub(rejected);
        let entered = self.limiters.enter(self.id.signal, items);
        entered.ended(self.process(sifted, items, terms).await)
    }

    /// Takes a request that another pipeline hands over, in the forms that are [wanted](Self::wanted_forms) here.
    pub(super) fn take_over<'a>(
        &'a self,
        outgoing: Outgoing,
        isolated: &'a [Range<usize>],
        terms: &'a Terms,
        carried: &'a Carried,
    ) -> BoxFuture<'a, Result<Answer, Refusal>> {
        async move {
            let items = outgoing.count(self.id.signal);
            if self.artifacts.is_some() {
                let sifted = Sifted {
                    request: outgoing.first(),
                    count: items,
                    rejected: None,
                    isolated: isolated.to_vec(),
                    indices: 0,
                };
                let entered = self.limiters.enter(self.id.signal, items);
                return entered.ended(self.process(&sifted, items, terms).await);
            }
            let bytes = if carried.came.is_empty() {
                outgoing.len()
            } else {
                carried.came.len()
            };
            if terms.divided == Divided::Never {
                self.came(items, bytes);
                let entered = self.limiters.enter(self.id.signal, items);
                let sent = self.send(items, outgoing, isolated, terms, carried);
                return entered.ended(sent.await);
            }
            let outcome = self.send(items, outgoing, isolated, terms, carried).await;
            // What comes again in halves is counted then.
            let comes_again = outcome
                .as_ref()
                .is_err_and(|of| terms.divided.goes_again(of));
            if !comes_again {
                self.came(items, bytes);
                let entered = self.limiters.enter(self.id.signal, items);
                return entered.ended(outcome);
            }
            outcome
        }
        .boxed()
    }

    /// So many items are handed back that were not handed over.
    pub(super) fn not_taken_over(&self, items: usize) {
        self.exporters.not_sent_at_all(self.id.signal, items);
    }

    /// The forms of references that have to be written before a request comes here.
    pub(super) fn wanted_forms(&self) -> &[Wanted] {
        if self.artifacts.is_some() {
            // What it takes out itself is written here.
            &[Wanted {
                references: None,
                bytes_values: None,
            }]
        } else {
            self.exporters.forms()
        }
    }

    /// Takes a request with so many items that go on through the processors, and sends what comes out of them.
    async fn process(
        &self,
        sifted: &Sifted,
        items: usize,
        terms: &Terms,
    ) -> Result<Answer, Refusal> {
        let (counters, signal) = (&self.counters, self.id.signal);
        let bytes = sifted.request.len();
        self.came(items, bytes);
        let Some(artifacts) = &self.artifacts else {
            let outgoing = Outgoing::same(&sifted.request, self.exporters.forms().len());
            let carried = Carried {
                came: sifted.request.clone(),
                ..Carried::default()
            };
            let sent = self.send(items, outgoing, &sifted.isolated, terms, &carried);
            return sent.await;
        };
        let watch = Watch::start();
        let processed = artifacts.process(signal, sifted, terms, counters).await;
        self.processors.took(signal, watch.read());
        let processed = processed.and_then(|mut processed| {
            let recording = artifacts.recording(mem::take(&mut processed.tidings))?;
            Ok((processed, recording))
        });
        if processed.is_err() && !self.exporters.has_exporters() {
            // It reaches no pipeline that would count it.
            counters.received(bytes);
        }
        let (processed, recording) = processed?;
        let Processed {
            outgoing,
            is_forwarded,
            isolated,
            rejected,
            tenants,
            in_flight,
            tidings: _,
        } = processed;
        let not_passed = rejected.as_ref().map_or(0, |of| of.count);
        let left = items.saturating_sub(not_passed);
        self.processors.passed(signal, left as u64);
        let mut terms = terms.clone();
        terms.tenants = tenants.into();
        let watched = recording.as_deref().map(Recording::departure);
        terms.departure = watched.cloned().unwrap_or_default();
        if is_forwarded {
            // What is too large for the backend as it is may be smaller once the store is back.
            terms.oversize = Oversize::Refused;
        }
        let carried = Carried {
            came: sifted.request.clone(),
            is_forwarded,
            in_flight: in_flight.into(),
            recording: recording.clone(),
        };
        let outcome = self.send(left, outgoing, &isolated, &terms, &carried).await;
        drop(carried);
        if let Some(recording) = recording {
            // Before the sender hears of it: else a kill could leave a reference that nobody knows of, and
            // that is not sent again. What one of several backends refused has left to the others, and so
            // may what was not answered in time. Where the sender goes away meanwhile, it is let go of.
            let told = recording.ended(terms.deadline).await;
            if outcome.is_ok() {
                told?;
            }
        }
        match outcome {
            Ok(answer) => {
                if is_forwarded {
                    counters.forwarded();
                }
                Ok(match rejected {
                    None => answer,
                    Some(rejected) => answer.and(rejected.into()),
                })
            }
            Err(refusal) if is_forwarded && refusal.may_be_for_size() => {
                let quoted = refusal.quoted();
                Err(Refusal::unavailable(Culprit::Store, refusal.to_string()).quoting(quoted))
            }
            Err(refusal) => Err(refusal),
        }
    }

    /// So many items came in here, of a request that had so many bytes at first.
    fn came(&self, items: usize, bytes: usize) {
        if self.exporters.has_exporters() {
            // Elsewhere it is counted where it leaves.
            self.counters.received(bytes);
        }
        let (signal, items) = (self.id.signal, items as u64);
        self.counts.incoming.fetch_add(items, Ordering::Relaxed);
        self.processors.came(signal, items);
        if self.artifacts.is_none() {
            self.processors.passed(signal, items);
        }
    }

    /// Sends so many items on to all that this pipeline leads to, with others if it has a `batch` processor.
    async fn send(
        &self,
        items: usize,
        outgoing: Outgoing,
        isolated: &[Range<usize>],
        terms: &Terms,
        carried: &Carried,
    ) -> Result<Answer, Refusal> {
        let signal = self.id.signal;
        let bytes = outgoing.len();
        // What others may not be joined with goes as it is, and so does what there is no memory to wait
        // with.
        let batch = self.batch.as_ref();
        let batch = batch.filter(|_| isolated.is_empty() && !carried.is_forwarded);
        let batch = batch.and_then(|batch| {
            let lease = batch.lease(&outgoing, &carried.came).ok()?;
            Some((batch, lease))
        });
        let outcome = if let Some((batch, lease)) = batch {
            let held = Held::new(
                terms.tenants.to_vec(),
                Arc::clone(&carried.in_flight),
                lease,
                carried.recording.clone(),
            );
            let stage = terms.trace.stage(|| "processor/batch/wait".to_owned());
            let count = outgoing.count(signal);
            let sent = batch.send(outgoing, count, held, terms).await;
            stage.ended(sent.as_ref().err());
            sent
        } else {
            let sent = self
                .exporters
                .send(signal, &outgoing, isolated, terms, carried);
            sent.await
        };
        let answer = outcome?;
        if self.exporters.has_exporters() {
            self.counters.sent(bytes);
        }
        let items = items as u64;
        let rejected = answer.rejected().unwrap_or(0).min(items);
        let accepted = &self.counts.accepted;
        accepted.fetch_add(items - rejected, Ordering::Relaxed);
        Ok(answer)
    }
}
