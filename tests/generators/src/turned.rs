//! Requests as the Collector writes them.

use std::cmp::Reverse;

use slimspan_proto::{Signal, varint};

/// A message of OTLP, as far as there are messages in it.
#[derive(Clone, Copy)]
enum Message {
    Request,
    OfResource,
    OfScope,
    Resource,
    Scope,
    Span,
    Event,
    Link,
    LogRecord,
    KeyValue,
    AnyValue,
    Array,
    List,
    Other,
}

impl Message {
    /// What stands in a field.
    fn child(self, signal: Signal, number: u64) -> Self {
        match (self, number) {
            (Self::Request, 1) => Self::OfResource,
            (Self::OfResource, 1) => Self::Resource,
            (Self::OfResource, 2) => Self::OfScope,
            (Self::OfScope, 1) => Self::Scope,
            (Self::OfScope, 2) if signal == Signal::Traces => Self::Span,
            (Self::OfScope, 2) if signal == Signal::Logs => Self::LogRecord,
            (Self::Resource | Self::List, 1)
            | (Self::Scope | Self::Event, 3)
            | (Self::Span, 9)
            | (Self::Link, 4)
            | (Self::LogRecord, 6) => Self::KeyValue,
            (Self::Span, 11) => Self::Event,
            (Self::Span, 13) => Self::Link,
            (Self::LogRecord, 5) | (Self::KeyValue, 2) | (Self::Array, 1) => Self::AnyValue,
            (Self::AnyValue, 5) => Self::Array,
            (Self::AnyValue, 6) => Self::List,
            _ => Self::Other,
        }
    }
}

/// A sound request of spans or log records with the fields of each message from the last to the first, as the Collector
/// writes it: what is repeated keeps its order, and every length stays.
pub fn turned(signal: Signal, request: &[u8]) -> Vec<u8> {
    message(signal, Message::Request, request)
}

fn message(signal: Signal, of: Message, bytes: &[u8]) -> Vec<u8> {
    let end = bytes.len();
    let read = |at| varint(bytes, at, end).unwrap_or((0, end));
    let (mut fields, mut at) = (Vec::new(), 0);
    while at < end {
        let (tag, body) = read(at);
        let next = match tag & 7 {
            0 => read(body).1,
            1 => body + 8,
            5 => body + 4,
            _ => {
                let (len, start) = read(body);
                start + usize::try_from(len).unwrap_or(end)
            }
        };
        let next = next.min(end);
        let mut field = bytes.get(at..next).unwrap_or_default().to_vec();
        let child = of.child(signal, tag >> 3);
        if tag & 7 == 2 && !matches!(child, Message::Other) {
            let start = read(body).1;
            field.truncate(start - at);
            let inner = bytes.get(start..next).unwrap_or_default();
            field.extend(message(signal, child, inner));
        }
        fields.push((Reverse(tag >> 3), field));
        at = next;
    }
    fields.sort_by_key(|(number, _)| *number);
    fields.into_iter().flat_map(|(_, field)| field).collect()
}
