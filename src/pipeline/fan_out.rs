//! Where the requests of a pipeline go, and with which references.

use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;
use futures::future::join_all;
use slimspan_artifact::{BytesValues, Form, Policy};
use slimspan_proto::{Malformed, Signal, count};

use super::Pipeline;
use super::passing::Carried;
use crate::admission::Budget;
use crate::answer::Answer;
use crate::exporters::{Exporter, Terms};
use crate::isolation::{Apart, send_apart};
use crate::joining::{Pieces, join};
use crate::panics::Panics;
use crate::refusal::Refusal;

/// What a pipeline leads to.
#[derive(Debug)]
pub enum Destination {
    /// An exporter, and how requests look that go there.
    Exporter(Arc<Exporter>, Wanted),
    /// Another pipeline of the same signal.
    Pipeline(Arc<Pipeline>),
}

/// How requests look that go to an exporter; as the processor makes them where nothing is said.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Wanted {
    /// References.
    pub references: Option<Form>,
    /// Bytes values that stay.
    pub bytes_values: Option<BytesValues>,
}

impl Wanted {
    /// What an `artifact` processor makes of requests by `policy`.
    pub(super) fn of(policy: &Policy) -> Self {
        Self {
            references: Some(policy.form),
            bytes_values: Some(policy.bytes_values),
        }
    }

    /// The same policy with this outcome.
    pub(super) fn policy(self, policy: &Policy) -> Policy {
        Policy {
            form: self.references.unwrap_or(policy.form),
            bytes_values: self.bytes_values.unwrap_or(policy.bytes_values),
            ..policy.clone()
        }
    }

    fn or(self, usual: Self) -> Self {
        Self {
            references: self.references.or(usual.references),
            bytes_values: self.bytes_values.or(usual.bytes_values),
        }
    }
}

/// The exporters of a pipeline and the pipelines that it leads to, and the forms of requests that they want.
#[derive(Debug)]
pub(super) struct FanOut {
    ways: Vec<Way>,
    /// Each once; what is not said in one is as an `artifact` processor before this pipeline has it.
    forms: Vec<Wanted>,
    /// What copies are charged to.
    budget: Budget,
    panics: Arc<Panics>,
}

/// Where a request goes.
#[derive(Debug)]
enum Way {
    /// With the index of its form.
    Exporter(Arc<Exporter>, usize),
    /// With the indices of the forms that it wants, in its order.
    Pipeline(Arc<Pipeline>, Vec<usize>),
}

/// One request as its destinations get it: once for each form.
#[derive(Debug, Clone)]
pub(super) struct Outgoing(Vec<Bytes>);

impl FanOut {
    /// To all of these; requests look as the `artifact` processor of this pipeline makes them, which is `usual`,
    /// unless an exporter wants something else.
    pub(super) fn new(
        destinations: Vec<Destination>,
        usual: Wanted,
        budget: Budget,
        panics: Arc<Panics>,
    ) -> Self {
        let mut forms: Vec<Wanted> = Vec::new();
        let mut index_of = |wanted: Wanted| {
            let form = wanted.or(usual);
            let known = forms.iter().position(|known| *known == form);
            known.unwrap_or_else(|| {
                forms.push(form);
                forms.len() - 1
            })
        };
        let ways = destinations.into_iter().map(|to| match to {
            Destination::Exporter(exporter, form) => Way::Exporter(exporter, index_of(form)),
            Destination::Pipeline(pipeline) => {
                let wanted = pipeline.wanted_forms().iter();
                let wanted = wanted.map(|form| index_of(*form)).collect();
                Way::Pipeline(pipeline, wanted)
            }
        });
        let ways = ways.collect();
        Self {
            ways,
            forms,
            budget,
            panics,
        }
    }

    /// The forms that are wanted, each once.
    pub(super) fn forms(&self) -> &[Wanted] {
        &self.forms
    }

    /// How many destinations there are.
    pub(super) fn len(&self) -> usize {
        self.ways.len()
    }

    /// Whether requests leave slimspan from here, and not only from pipelines behind this one.
    pub(super) fn has_exporters(&self) -> bool {
        let mut ways = self.ways.iter();
        ways.any(|way| matches!(way, Way::Exporter(..)))
    }

    /// Sends a request everywhere, with the `isolated` items of it apart.
    pub(super) async fn send(
        &self,
        signal: Signal,
        outgoing: &Outgoing,
        isolated: &[Range<usize>],
        terms: &Terms,
        carried: &Carried,
    ) -> Result<Answer, Refusal> {
        let send = |index| self.send_to(index, signal, outgoing, isolated, terms, carried);
        if self.ways.len() == 1 {
            return send(0).await;
        }
        Answer::worst(join_all((0..self.ways.len()).map(send)).await)
    }

    /// Sends a request to one of the destinations.
    pub(super) async fn send_to(
        &self,
        index: usize,
        signal: Signal,
        outgoing: &Outgoing,
        isolated: &[Range<usize>],
        terms: &Terms,
        carried: &Carried,
    ) -> Result<Answer, Refusal> {
        match self.ways.get(index) {
            None => Ok(Answer::success()),
            Some(Way::Exporter(exporter, form)) => {
                let request = outgoing.in_form(*form);
                self.export(exporter, signal, request, isolated, terms)
                    .await
            }
            Some(Way::Pipeline(pipeline, forms)) => {
                let wanted = forms.iter().map(|form| outgoing.in_form(*form));
                let wanted = Outgoing(wanted.collect());
                pipeline.take_over(wanted, isolated, terms, carried).await
            }
        }
    }

    async fn export(
        &self,
        exporter: &Arc<Exporter>,
        signal: Signal,
        request: Bytes,
        isolated: &[Range<usize>],
        terms: &Terms,
    ) -> Result<Answer, Refusal> {
        let mut stage = terms
            .trace
            .call(|| format!("exporter/{}/{signal}", exporter.id()));
        stage.number("slimspan.request.bytes", request.len() as u64);
        let (onward, alone) = (stage.onward(), terms.alone || !isolated.is_empty());
        let send = |part, divided| {
            let exporter = Arc::clone(exporter);
            let terms = Terms {
                onward: onward.clone(),
                alone,
                divided,
                ..terms.clone()
            };
            async move {
                let outcome = exporter.export(signal, part, &terms).await;
                if outcome.is_ok() {
                    terms.departure.note();
                }
                outcome
            }
        };
        let apart = Apart {
            isolated,
            divided: terms.divided,
            deadline: terms.deadline,
            budget: &self.budget,
        };
        let not_sent = |items| exporter.not_sent(signal, items);
        let delivery = send_apart(signal, request.clone(), apart, send, not_sent);
        let what = || format!("the exporter {} ({signal})", exporter.id());
        let failed = terms.tickets.failed();
        let delivery = self
            .panics
            .guard_once(what, Some(&request), failed, delivery);
        let outcome = delivery.await;
        stage.ended(outcome.as_ref().err());
        outcome
    }

    /// So many items are handed back that one of the destinations was not given.
    pub(super) fn not_sent(&self, index: usize, signal: Signal, items: usize) {
        match self.ways.get(index) {
            Some(Way::Exporter(exporter, _)) => exporter.not_sent(signal, items),
            Some(Way::Pipeline(pipeline, _)) => pipeline.not_taken_over(items),
            None => {}
        }
    }

    /// The same of all of them.
    pub(super) fn not_sent_at_all(&self, signal: Signal, items: usize) {
        for index in 0..self.ways.len() {
            self.not_sent(index, signal, items);
        }
    }
}

impl Outgoing {
    /// A request in each of the forms of a [`FanOut`], in that order.
    pub(super) fn in_forms(requests: Vec<Bytes>) -> Self {
        Self(requests)
    }

    /// A request that is the same in all of so many forms.
    pub(super) fn same(request: &Bytes, forms: usize) -> Self {
        Self(vec![request.clone(); forms])
    }

    /// The request in one of its forms.
    fn in_form(&self, form: usize) -> Bytes {
        self.0.get(form).cloned().unwrap_or_default()
    }

    /// The request in the first of its forms, which is the only one where references are not written yet.
    pub(super) fn first(&self) -> Bytes {
        self.in_form(0)
    }

    /// One request of several: all that OTLP requests have is repeated.
    pub(super) fn joined(parts: impl IntoIterator<Item = Self>) -> Self {
        let mut forms: Vec<Vec<Bytes>> = Vec::new();
        for Self(part) in parts {
            forms.resize_with(forms.len().max(part.len()), Vec::new);
            for (form, request) in forms.iter_mut().zip(part) {
                form.push(request);
            }
        }
        Self(forms.into_iter().map(join).collect())
    }

    /// The request in pieces of at most so many items, if each item counts as fewer.
    pub(super) fn pieces(
        &self,
        signal: Signal,
        most: usize,
    ) -> Result<impl Iterator<Item = Self>, Malformed> {
        let forms = self.0.iter();
        let forms = forms.map(|request| Pieces::of(signal, request, most));
        let forms: Vec<_> = forms.collect::<Result<_, _>>()?;
        // The items are the same in every form.
        let count = forms.first().map_or(0, Pieces::count);
        let piece = move |index| forms.iter().map(|of| of.piece(index)).collect();
        Ok((0..count).map(piece).map(Self))
    }

    /// Whether these are the very bytes of `request`.
    pub(super) fn is(&self, request: &Bytes) -> bool {
        let is_it = |form: &Bytes| form.as_ptr() == request.as_ptr() && form.len() == request.len();
        self.0.iter().all(is_it)
    }

    /// The bytes of all of its forms.
    pub(super) fn len_of_all(&self) -> usize {
        self.0.iter().map(Bytes::len).sum()
    }

    /// How many items it has.
    pub(super) fn count(&self, signal: Signal) -> usize {
        self.0.first().map_or(0, |request| count(signal, request))
    }

    /// The size of the request in bytes, in the first of its forms.
    pub(super) fn len(&self) -> usize {
        self.0.first().map_or(0, Bytes::len)
    }
}
