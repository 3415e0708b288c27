use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use http::HeaderMap;
use opentelemetry_proto::tonic::trace::v1::Span;
use slimspan_proto::Signal;
use tokio::sync::mpsc;

use super::super::{ReceiverCounts, add};
use super::config::{Propagator, TracesConfig};
use super::context::{Context, random};
use super::recording::RequestSpan;
use super::sampling::Sampling;

/// What makes spans about requests; clones are of the same. The default makes none.
#[derive(Debug, Clone, Default)]
pub struct Tracer(Option<Arc<Making>>);

/// What became of slimspan's own spans.
#[derive(Debug, Default)]
pub struct SpanCounts {
    /// Those that a backend took.
    pub(crate) sent: AtomicU64,
    /// Those that there was no room for, or that no backend took.
    pub(crate) dropped: AtomicU64,
}

#[derive(Debug)]
pub(super) struct Making {
    sampling: Sampling,
    is_propagated: bool,
    outlets: Vec<mpsc::Sender<Span>>,
    counts: Arc<SpanCounts>,
}

impl SpanCounts {
    /// A backend took as many.
    pub fn sent(&self, spans: usize) {
        add(&self.sent, spans);
    }

    /// As many are given up.
    pub fn dropped(&self, spans: usize) {
        add(&self.dropped, spans);
    }
}

impl Tracer {
    /// Makes spans as `config` says, and hands them to every one of `outlets`.
    pub fn new(
        config: &TracesConfig,
        outlets: Vec<mpsc::Sender<Span>>,
        counts: Arc<SpanCounts>,
    ) -> Self {
        if outlets.is_empty() {
            return Self::default();
        }
        Self(Some(Arc::new(Making {
            sampling: Sampling::new(config.sampler.as_ref()),
            is_propagated: config.propagators.contains(&Propagator::TraceContext),
            outlets,
            counts,
        })))
    }

    /// A span about a request that comes in now, with these headers.
    pub fn begin(&self, headers: &HeaderMap, by: &ReceiverCounts, signal: Signal) -> RequestSpan {
        let mut context = Context::of(headers);
        let is_propagated = self.0.as_ref().is_some_and(|making| making.is_propagated);
        // That nobody makes spans about own spans has to be known wherever they come by.
        if !is_propagated && !context.is_own {
            context = Context::default();
        }
        let trace = context.parent.map_or_else(random, |parent| parent.trace);
        match &self.0 {
            Some(making) if making.sampling.takes(trace, &context) => {
                RequestSpan::begin(Arc::clone(making), trace, context, by, signal)
            }
            _ if is_propagated || context.is_own => {
                RequestSpan::unrecorded(context.unrecorded(trace))
            }
            _ => RequestSpan::default(),
        }
    }
}

impl Making {
    /// Whether requests say where they belong.
    pub(super) fn is_propagated(&self) -> bool {
        self.is_propagated
    }

    /// Hands spans over that belong together, the one around the others last: all of them or none, but for
    /// those that a small queue never has room for.
    pub(super) fn hand_over(&self, spans: &[Span]) {
        for outlet in &self.outlets {
            let untold = spans.len().saturating_sub(outlet.max_capacity());
            let told = spans.get(untold..).unwrap_or_default();
            let count = told.len();
            self.counts.dropped(untold);
            match outlet.try_reserve_many(count) {
                Ok(permits) => {
                    for (permit, span) in permits.zip(told) {
                        permit.send(span.clone());
                    }
                }
                Err(_) => self.counts.dropped(count),
            }
        }
    }
}
