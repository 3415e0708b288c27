use std::ops::Range;

use crate::Signal;
use crate::member::Members;
use crate::value::ValueKind;
use crate::wire::{Field, Fields, WireType};

/// What a value of a request belongs to, as it stands there.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Origin<'a> {
    /// The resource's `service.name`; empty where it has none.
    pub service: &'a [u8],
    /// The id of the trace; empty where the value is a resource's or a scope's.
    pub trace: &'a [u8],
    /// The id of the span.
    pub span: &'a [u8],
    /// The name of the span; log records have none.
    pub name: &'a [u8],
    /// When the span began, or the time of the log record, or when that was observed: nanoseconds since
    /// 1970, 0 where nobody says.
    pub time: u64,
}

/// What the values at these offsets of a request belong to, one by one; `offsets` ascend.
///
/// Only what stands around them is read, so a request costs what its envelopes and these items cost. What
/// is not sound has no origin: it is left as far as it was read.
pub fn origins<'a>(signal: Signal, request: &'a [u8], offsets: &[usize]) -> Vec<Origin<'a>> {
    let mut origins = vec![Origin::default(); offsets.len()];
    let mut found = Finding {
        signal,
        request,
        offsets,
        origins: &mut origins,
    };
    for resource in messages(request, 0..request.len(), 1) {
        let within = found.within(&resource);
        if !within.is_empty() {
            found.of_resource(&resource, within);
        }
    }
    origins
}

struct Finding<'a, 'o> {
    signal: Signal,
    request: &'a [u8],
    offsets: &'o [usize],
    origins: &'o mut [Origin<'a>],
}

impl<'a> Finding<'a, '_> {
    /// Which of the values are in `message`.
    fn within(&self, message: &Range<usize>) -> Range<usize> {
        let start = self.offsets.partition_point(|at| *at < message.start);
        let end = self.offsets.partition_point(|at| *at < message.end);
        start..end
    }

    fn set(&mut self, within: Range<usize>, origin: Origin<'a>) {
        for one in self.origins.get_mut(within).unwrap_or_default() {
            *one = origin;
        }
    }

    fn of_resource(&mut self, body: &Range<usize>, within: Range<usize>) {
        let mut resource = Origin::default();
        for attributes in messages(self.request, body.clone(), 1) {
            let list = self.request.get(attributes).unwrap_or_default();
            let mut members = Members::of_list(list).iter();
            let service = members.find(|member| member.key == b"service.name");
            if let Some(service) = service.filter(|of| of.kind == ValueKind::String) {
                resource.service = service.content;
            }
        }
        self.set(within, resource);
        for scope in messages(self.request, body.clone(), 2) {
            if self.within(&scope).is_empty() {
                continue;
            }
            for item in messages(self.request, scope, 2) {
                let within = self.within(&item);
                if !within.is_empty() {
                    let origin = self.of_item(item, resource);
                    self.set(within, origin);
                }
            }
        }
    }

    fn of_item(&self, item: Range<usize>, resource: Origin<'a>) -> Origin<'a> {
        let mut origin = resource;
        let mut observed = 0;
        for field in Fields::new(self.request, item).map_while(Result::ok) {
            let content = self.request.get(field.body.clone()).unwrap_or_default();
            match (self.signal, field.number, field.wire_type) {
                (Signal::Traces, 1, WireType::Len) | (Signal::Logs, 9, WireType::Len) => {
                    origin.trace = content;
                }
                (Signal::Traces, 2, WireType::Len) | (Signal::Logs, 10, WireType::Len) => {
                    origin.span = content;
                }
                (Signal::Traces, 5, WireType::Len) => origin.name = content,
                (Signal::Traces, 7, WireType::Fixed64) | (Signal::Logs, 1, WireType::Fixed64) => {
                    origin.time = fixed64(content);
                }
                (Signal::Logs, 11, WireType::Fixed64) => observed = fixed64(content),
                _ => {}
            }
        }
        if origin.time == 0 {
            origin.time = observed;
        }
        origin
    }
}

fn fixed64(content: &[u8]) -> u64 {
    content
        .try_into()
        .map(u64::from_le_bytes)
        .unwrap_or_default()
}

/// The bodies of the messages in the fields `number` of a message.
fn messages(
    request: &[u8],
    message: Range<usize>,
    number: u32,
) -> impl Iterator<Item = Range<usize>> + '_ {
    Fields::new(request, message)
        .map_while(Result::ok)
        .filter(move |field| field.number == number && field.wire_type == WireType::Len)
        .map(|Field { body, .. }| body)
}
