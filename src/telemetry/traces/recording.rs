//! The spans of one request, as they come to be.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use http::HeaderValue;
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue, any_value::Value};
use opentelemetry_proto::tonic::trace::v1::span::SpanKind;
use opentelemetry_proto::tonic::trace::v1::status::StatusCode;
use opentelemetry_proto::tonic::trace::v1::{Span, Status};
use slimspan_proto::Signal;

use super::super::ReceiverCounts;
use super::context::{Context, Onward, Parent, random};
use super::tracer::Making;
use crate::refusal::{CODES, Refusal};

/// The most stages of one request that are told; one for many tenants has more.
const STAGES: usize = 64;

/// The span of a request. It ends when this is dropped: without an outcome, its sender went away.
#[derive(Debug, Default)]
pub struct RequestSpan(Trace);

/// The spans of a request, for its stages. Clones are of the same; the default is of none.
#[derive(Debug, Clone, Default)]
pub struct Trace(Of);

#[derive(Debug, Clone, Default)]
enum Of {
    #[default]
    Nothing,
    /// A request that has no spans, and says so to the next.
    Unrecorded(Arc<Onward>),
    Spans(Arc<Recording>),
}

/// The span of a stage, which ends when this is dropped.
#[derive(Debug)]
#[must_use = "it lasts as long as this is held"]
pub struct Stage {
    trace: Trace,
    span: Option<Span>,
}

#[derive(Debug)]
struct Recording {
    making: Arc<Making>,
    /// The `tracestate` that it came with.
    state: Option<HeaderValue>,
    /// When it began, by both clocks: what is measured from there cannot jump.
    began: (SystemTime, Instant),
    spans: Mutex<Spans>,
}

#[derive(Debug, Default)]
struct Spans {
    root: Span,
    stages: Vec<Span>,
    /// Stages that are not told.
    dropped: u32,
    has_outcome: bool,
    /// What comes later belongs to nobody any more.
    is_over: bool,
}

impl RequestSpan {
    pub(super) fn begin(
        making: Arc<Making>,
        trace: [u8; 16],
        context: Context,
        by: &ReceiverCounts,
        signal: Signal,
    ) -> Self {
        let Context { parent, state, .. } = context;
        // As the Collector calls it.
        let what = match signal {
            Signal::Traces => "TraceDataReceived",
            Signal::Metrics => "MetricsReceived",
            Signal::Logs => "LogsReceived",
            Signal::Profiles => "ProfilesReceived",
        };
        let recording = Recording {
            making,
            state,
            began: (SystemTime::now(), Instant::now()),
            spans: Mutex::default(),
        };
        let root = Span {
            trace_id: trace.to_vec(),
            span_id: random::<8>().to_vec(),
            parent_span_id: parent.map_or_else(Vec::new, |parent| parent.span.to_vec()),
            name: format!("receiver/{}/{what}", by.receiver),
            kind: SpanKind::Server.into(),
            start_time_unix_nano: recording.now(),
            attributes: vec![
                text("receiver", &by.receiver),
                text("transport", by.transport),
                text("otel.signal", signal.name()),
            ],
            // Sampled; and it is known whether the parent is elsewhere, which it is.
            flags: 1 | 0x100 | u32::from(parent.is_some()) << 9,
            ..Span::default()
        };
        recording.spans().root = root;
        Self(Trace(Of::Spans(Arc::new(recording))))
    }

    /// Of a request that has no spans: this goes on with it.
    pub(super) fn unrecorded(onward: Onward) -> Self {
        Self(Trace(Of::Unrecorded(Arc::new(onward))))
    }

    /// For the stages of the request.
    pub fn trace(&self) -> Trace {
        self.0.clone()
    }

    /// It was answered, with OK unless it was `refused`.
    pub fn ended(self, refused: Option<&Refusal>) {
        let Some(recording) = self.0.recording() else {
            return;
        };
        let mut spans = recording.spans();
        spans.has_outcome = true;
        if let Some(refusal) = refused {
            let code = CODES[refusal.code_number()];
            // Why, in words, may quote what was sent.
            spans.root.status = Some(error(format!("{code} ({})", refusal.culprit())));
            let attributes = [
                text("error.type", code),
                text("slimspan.culprit", refusal.culprit().name()),
            ];
            spans.root.attributes.extend(attributes);
        }
    }
}

impl Drop for RequestSpan {
    fn drop(&mut self) {
        let Of::Spans(recording) = std::mem::take(&mut self.0.0) else {
            return;
        };
        let now = recording.now();
        let mut spans = recording.spans();
        spans.is_over = true;
        let mut root = std::mem::take(&mut spans.root);
        root.end_time_unix_nano = now;
        if !spans.has_outcome {
            root.status = Some(error("the sender went away".to_owned()));
            root.attributes.push(text("error.type", "cancelled"));
        }
        if spans.dropped > 0 {
            let dropped = u64::from(spans.dropped);
            root.attributes
                .push(number("slimspan.stages.untold", dropped));
        }
        let mut all = std::mem::take(&mut spans.stages);
        drop(spans);
        all.push(root);
        recording.making.hand_over(&all);
    }
}

impl Trace {
    /// A stage begins, of the name that it has with the Collector where it has one.
    pub fn stage(&self, name: impl FnOnce() -> String) -> Stage {
        self.begin(name, SpanKind::Internal)
    }

    /// The same of one that calls another process.
    pub fn call(&self, name: impl FnOnce() -> String) -> Stage {
        self.begin(name, SpanKind::Client)
    }

    fn recording(&self) -> Option<&Recording> {
        match &self.0 {
            Of::Spans(recording) => Some(recording),
            Of::Unrecorded(_) | Of::Nothing => None,
        }
    }

    fn begin(&self, name: impl FnOnce() -> String, kind: SpanKind) -> Stage {
        let span = self.recording().map(|recording| {
            let spans = recording.spans();
            Span {
                trace_id: spans.root.trace_id.clone(),
                parent_span_id: spans.root.span_id.clone(),
                span_id: random::<8>().to_vec(),
                name: name(),
                kind: kind.into(),
                start_time_unix_nano: recording.now(),
                flags: 1 | 0x100,
                ..Span::default()
            }
        });
        Stage {
            trace: self.clone(),
            span,
        }
    }

    /// Adds a number to the span of the request.
    pub fn number(&self, key: &str, value: u64) {
        if let Some(recording) = self.recording() {
            let mut spans = recording.spans();
            if !spans.is_over {
                spans.root.attributes.push(number(key, value));
            }
        }
    }
}

impl Stage {
    /// Adds a number to it.
    pub fn number(&mut self, key: &str, value: u64) {
        if let Some(span) = &mut self.span {
            span.attributes.push(number(key, value));
        }
    }

    /// What a request says that is made in it: what comes of it is below this.
    pub fn onward(&self) -> Onward {
        let id = |id: &[u8]| <[u8; 8]>::try_from(id).ok();
        match (&self.trace.0, &self.span) {
            (Of::Unrecorded(onward), _) => Onward::clone(onward),
            (Of::Spans(recording), Some(span)) => {
                let ids = id(&span.span_id).zip(<[u8; 16]>::try_from(&*span.trace_id).ok());
                let below = |(span, trace)| {
                    let parent = Parent {
                        trace,
                        span,
                        is_sampled: true,
                    };
                    Onward::below(parent, recording.state.clone())
                };
                ids.filter(|_| recording.making.is_propagated())
                    .map(below)
                    .unwrap_or_default()
            }
            _ => Onward::default(),
        }
    }

    /// It ends, badly where it was `refused`.
    pub fn ended(mut self, refused: Option<&Refusal>) {
        if let (Some(span), Some(refusal)) = (&mut self.span, refused) {
            let code = CODES[refusal.code_number()];
            span.status = Some(error(format!("{code} ({})", refusal.culprit())));
            span.attributes.push(text("error.type", code));
        }
    }

    /// It ends badly, for a reason out of a fixed list.
    pub fn failed(mut self, reason: &'static str) {
        if let Some(span) = &mut self.span {
            span.status = Some(error(reason.to_owned()));
            span.attributes.push(text("error.type", reason));
        }
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        let (Some(mut span), Some(recording)) = (self.span.take(), self.trace.recording()) else {
            return;
        };
        span.end_time_unix_nano = recording.now();
        let mut spans = recording.spans();
        if spans.is_over || spans.stages.len() >= STAGES {
            spans.dropped += 1;
        } else {
            spans.stages.push(span);
        }
    }
}

impl Recording {
    fn now(&self) -> u64 {
        let (at, instant) = self.began;
        let now = at + instant.elapsed();
        let since = now.duration_since(UNIX_EPOCH).unwrap_or_default();
        u64::try_from(since.as_nanos()).unwrap_or(u64::MAX)
    }

    fn spans(&self) -> MutexGuard<'_, Spans> {
        // Nothing under the lock panics half-way.
        self.spans.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn text(key: &str, value: &str) -> KeyValue {
    attribute(key, Value::StringValue(value.to_owned()))
}

fn number(key: &str, value: u64) -> KeyValue {
    attribute(
        key,
        Value::IntValue(i64::try_from(value).unwrap_or(i64::MAX)),
    )
}

fn attribute(key: &str, value: Value) -> KeyValue {
    KeyValue {
        key: key.to_owned(),
        value: Some(AnyValue { value: Some(value) }),
        ..KeyValue::default()
    }
}

fn error(message: String) -> Status {
    Status {
        message,
        code: StatusCode::Error.into(),
    }
}
