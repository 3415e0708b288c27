//! Where the requests of a pipeline go, and with which references.

use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;
use futures::future::join_all;
use slimspan_artifact::Form;
use slimspan_proto::{Malformed, Signal, count};

use crate::admission::Budget;
use crate::answer::Answer;
use crate::exporters::{Exporter, Terms};
use crate::isolation::{Apart, send_apart};
use crate::joining::{Pieces, join};
use crate::panics::Panics;
use crate::refusal::Refusal;

/// An exporter, and how references look that go there, if not as the processor has them.
pub type Destination = (Arc<Exporter>, Option<Form>);

/// The exporters of a pipeline, and the forms of references that they want.
#[derive(Debug)]
pub(super) struct FanOut {
    /// Each with the index of its form.
    exporters: Vec<(Arc<Exporter>, usize)>,
    /// Each once.
    forms: Vec<Form>,
    /// What copies are charged to.
    budget: Budget,
    panics: Arc<Panics>,
}

/// One request as the exporters get it: once for each form of references.
#[derive(Debug, Clone)]
pub(super) struct Outgoing(Vec<Bytes>);

impl FanOut {
    /// To all of these; references have the form `usual` unless an exporter has another one.
    pub(super) fn new(
        destinations: Vec<Destination>,
        usual: Form,
        budget: Budget,
        panics: Arc<Panics>,
    ) -> Self {
        let mut forms = Vec::new();
        let exporters = destinations.into_iter().map(|(exporter, form)| {
            let form = form.unwrap_or(usual);
            let known = forms.iter().position(|known| *known == form);
            let index = known.unwrap_or_else(|| {
                forms.push(form);
                forms.len() - 1
            });
            (exporter, index)
        });
        Self {
            exporters: exporters.collect(),
            forms,
            budget,
            panics,
        }
    }

    /// The forms of references that are wanted, each once.
    pub(super) fn forms(&self) -> &[Form] {
        &self.forms
    }

    /// How many exporters there are.
    pub(super) fn len(&self) -> usize {
        self.exporters.len()
    }

    /// Sends a request to every exporter, with the `isolated` items of it apart.
    pub(super) async fn send(
        &self,
        signal: Signal,
        outgoing: &Outgoing,
        isolated: &[Range<usize>],
        terms: &Terms,
    ) -> Result<Answer, Refusal> {
        let send = |index| self.send_to(index, signal, outgoing, isolated, terms);
        if self.exporters.len() == 1 {
            return send(0).await;
        }
        Answer::worst(join_all((0..self.exporters.len()).map(send)).await)
    }

    /// Sends a request to one of the exporters.
    pub(super) async fn send_to(
        &self,
        index: usize,
        signal: Signal,
        outgoing: &Outgoing,
        isolated: &[Range<usize>],
        terms: &Terms,
    ) -> Result<Answer, Refusal> {
        let Some((exporter, form)) = self.exporters.get(index) else {
            return Ok(Answer::success());
        };
        let request = outgoing.0.get(*form).cloned().unwrap_or_default();
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

    /// So many items are handed back that one of the exporters was not given.
    pub(super) fn not_sent(&self, index: usize, signal: Signal, items: usize) {
        if let Some((exporter, _)) = self.exporters.get(index) {
            exporter.not_sent(signal, items);
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
