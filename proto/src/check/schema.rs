//! Every field of the messages in OTLP requests: how it is written, and what is in it.

use crate::wire::WireType;

/// A message of the `opentelemetry-proto` schema. A test holds the fields of each against the
/// generated types of the `opentelemetry-proto` crate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Shape {
    Resource,
    EntityRef,
    Scope,
    Span,
    Event,
    Link,
    Status,
    LogRecord,
    Metric,
    Gauge,
    Sum,
    Histogram,
    ExponentialHistogram,
    Summary,
    NumberPoint,
    HistogramPoint,
    ExponentialHistogramPoint,
    Buckets,
    SummaryPoint,
    Quantile,
    Exemplar,
    KeyValue,
    AnyValue,
    /// An AnyValue in an array.
    Element,
    ArrayValue,
    KeyValueList,
}

/// What is in a field.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Content {
    /// A number, a truth value or an enum.
    Varint,
    /// A number that stands for a text of the dictionary, which only profiles have.
    Index,
    Fixed64,
    Fixed32,
    /// Numbers, one by one or packed.
    Varints,
    Fixed64s,
    Bytes,
    String,
    /// One of any number of strings.
    Strings,
    Message(Shape),
}

impl Shape {
    /// All, in the order of their numbers.
    pub(super) const ALL: [Self; 26] = [
        Self::Resource,
        Self::EntityRef,
        Self::Scope,
        Self::Span,
        Self::Event,
        Self::Link,
        Self::Status,
        Self::LogRecord,
        Self::Metric,
        Self::Gauge,
        Self::Sum,
        Self::Histogram,
        Self::ExponentialHistogram,
        Self::Summary,
        Self::NumberPoint,
        Self::HistogramPoint,
        Self::ExponentialHistogramPoint,
        Self::Buckets,
        Self::SummaryPoint,
        Self::Quantile,
        Self::Exemplar,
        Self::KeyValue,
        Self::AnyValue,
        Self::Element,
        Self::ArrayValue,
        Self::KeyValueList,
    ];

    /// What field `number` holds, if the schema has such a field.
    #[expect(
        clippy::match_same_arms,
        reason = "a line a message reads like the schema"
    )]
    pub(super) const fn field(self, number: u32) -> Option<Content> {
        use Content::{
            Bytes, Fixed32, Fixed64, Fixed64s, Index, Message, String, Strings, Varint, Varints,
        };
        Some(match (self, number) {
            (Self::Resource, 1) => Message(Self::KeyValue),
            (Self::Resource, 2) => Varint,
            (Self::Resource, 3) => Message(Self::EntityRef),

            (Self::EntityRef, 1 | 2) => String,
            (Self::EntityRef, 3 | 4) => Strings,

            (Self::Scope, 1 | 2) => String,
            (Self::Scope, 3) => Message(Self::KeyValue),
            (Self::Scope, 4) => Varint,

            (Self::Span, 1 | 2 | 4) => Bytes,
            (Self::Span, 3 | 5) => String,
            (Self::Span, 6 | 10 | 12 | 14) => Varint,
            (Self::Span, 7 | 8) => Fixed64,
            (Self::Span, 9) => Message(Self::KeyValue),
            (Self::Span, 11) => Message(Self::Event),
            (Self::Span, 13) => Message(Self::Link),
            (Self::Span, 15) => Message(Self::Status),
            (Self::Span, 16) => Fixed32,

            (Self::Event, 1) => Fixed64,
            (Self::Event, 2) => String,
            (Self::Event, 3) => Message(Self::KeyValue),
            (Self::Event, 4) => Varint,

            (Self::Link, 1 | 2) => Bytes,
            (Self::Link, 3) => String,
            (Self::Link, 4) => Message(Self::KeyValue),
            (Self::Link, 5) => Varint,
            (Self::Link, 6) => Fixed32,

            (Self::Status, 2) => String,
            (Self::Status, 3) => Varint,

            (Self::LogRecord, 1 | 11) => Fixed64,
            (Self::LogRecord, 2 | 7) => Varint,
            (Self::LogRecord, 3 | 12) => String,
            (Self::LogRecord, 5) => Message(Self::AnyValue),
            (Self::LogRecord, 6) => Message(Self::KeyValue),
            (Self::LogRecord, 8) => Fixed32,
            (Self::LogRecord, 9 | 10) => Bytes,

            (Self::Metric, 1..=3) => String,
            (Self::Metric, 5) => Message(Self::Gauge),
            (Self::Metric, 7) => Message(Self::Sum),
            (Self::Metric, 9) => Message(Self::Histogram),
            (Self::Metric, 10) => Message(Self::ExponentialHistogram),
            (Self::Metric, 11) => Message(Self::Summary),
            (Self::Metric, 12) => Message(Self::KeyValue),

            (Self::Gauge, 1) => Message(Self::NumberPoint),
            (Self::Sum, 1) => Message(Self::NumberPoint),
            (Self::Sum, 2 | 3) => Varint,
            (Self::Histogram, 1) => Message(Self::HistogramPoint),
            (Self::Histogram, 2) => Varint,
            (Self::ExponentialHistogram, 1) => Message(Self::ExponentialHistogramPoint),
            (Self::ExponentialHistogram, 2) => Varint,
            (Self::Summary, 1) => Message(Self::SummaryPoint),

            (Self::NumberPoint, 2 | 3 | 4 | 6) => Fixed64,
            (Self::NumberPoint, 5) => Message(Self::Exemplar),
            (Self::NumberPoint, 7) => Message(Self::KeyValue),
            (Self::NumberPoint, 8) => Varint,

            (Self::HistogramPoint, 2..=5 | 11 | 12) => Fixed64,
            (Self::HistogramPoint, 6 | 7) => Fixed64s,
            (Self::HistogramPoint, 8) => Message(Self::Exemplar),
            (Self::HistogramPoint, 9) => Message(Self::KeyValue),
            (Self::HistogramPoint, 10) => Varint,

            (Self::ExponentialHistogramPoint, 1) => Message(Self::KeyValue),
            (Self::ExponentialHistogramPoint, 2..=5 | 7 | 12..=14) => Fixed64,
            (Self::ExponentialHistogramPoint, 6 | 10) => Varint,
            (Self::ExponentialHistogramPoint, 8 | 9) => Message(Self::Buckets),
            (Self::ExponentialHistogramPoint, 11) => Message(Self::Exemplar),

            (Self::Buckets, 1) => Varint,
            (Self::Buckets, 2) => Varints,

            (Self::SummaryPoint, 2..=5) => Fixed64,
            (Self::SummaryPoint, 6) => Message(Self::Quantile),
            (Self::SummaryPoint, 7) => Message(Self::KeyValue),
            (Self::SummaryPoint, 8) => Varint,

            (Self::Quantile, 1 | 2) => Fixed64,

            (Self::Exemplar, 2 | 3 | 6) => Fixed64,
            (Self::Exemplar, 4 | 5) => Bytes,
            (Self::Exemplar, 7) => Message(Self::KeyValue),

            (Self::KeyValue, 1) => String,
            (Self::KeyValue, 2) => Message(Self::AnyValue),
            (Self::KeyValue, 3) => Index,

            (Self::AnyValue | Self::Element, 1) => String,
            (Self::AnyValue | Self::Element, 2 | 3) => Varint,
            (Self::AnyValue | Self::Element, 4) => Fixed64,
            (Self::AnyValue | Self::Element, 5) => Message(Self::ArrayValue),
            (Self::AnyValue | Self::Element, 6) => Message(Self::KeyValueList),
            (Self::AnyValue | Self::Element, 7) => Bytes,
            (Self::AnyValue | Self::Element, 8) => Index,

            (Self::ArrayValue, 1) => Message(Self::Element),
            (Self::KeyValueList, 1) => Message(Self::KeyValue),

            _ => return None,
        })
    }

    /// What one more of these costs whoever decodes it, in sixteenths of a span: the memory that it
    /// takes where it is empty. What there is one of costs nothing.
    pub(super) const fn cost(self) -> usize {
        match self {
            Self::Span
            | Self::LogRecord
            | Self::Metric
            | Self::Event
            | Self::Link
            | Self::NumberPoint
            | Self::HistogramPoint
            | Self::ExponentialHistogramPoint
            | Self::SummaryPoint
            | Self::Quantile
            | Self::Exemplar
            | Self::EntityRef => super::ENTRY,
            Self::KeyValue | Self::Element => super::SMALL,
            _ => 0,
        }
    }
}

impl Content {
    /// Whether it may be written so.
    pub(super) const fn may_be(self, wire_type: WireType) -> bool {
        matches!(
            (self, wire_type),
            (Self::Varint | Self::Index | Self::Varints, WireType::Varint)
                | (Self::Fixed64 | Self::Fixed64s, WireType::Fixed64)
                | (Self::Fixed32, WireType::Fixed32)
                | (
                    Self::Varints
                        | Self::Fixed64s
                        | Self::Bytes
                        | Self::String
                        | Self::Strings
                        | Self::Message(_),
                    WireType::Len
                )
        )
    }
}
