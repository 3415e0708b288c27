use crate::Signal;

/// The OTLP messages on the way from a request to an attribute value.
///
/// The numbers are those of the `opentelemetry-proto` schema files; a test holds the table against
/// the generated types of the `opentelemetry-proto` crate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Message {
    /// `ExportTraceServiceRequest`, `ExportLogsServiceRequest`, `ExportMetricsServiceRequest`; of an
    /// `ExportProfilesServiceRequest` nothing leads to values that are looked at.
    Request(Signal),
    /// `ResourceSpans`, `ResourceLogs`, `ResourceMetrics`.
    ResourceRecords(Signal),
    /// `ScopeSpans`, `ScopeLogs`, `ScopeMetrics`.
    ScopeRecords(Signal),
    /// `Resource`.
    Resource,
    /// `InstrumentationScope`.
    Scope,
    /// `Span`.
    Span,
    /// `Span.Event`.
    Event,
    /// `Span.Link`.
    Link,
    /// `LogRecord`.
    LogRecord,
    /// `Metric`.
    Metric,
    /// `Gauge`, `Sum`, `Histogram`, `ExponentialHistogram` or `Summary`.
    MetricData(PointKind),
    /// `NumberDataPoint`, `HistogramDataPoint`, `ExponentialHistogramDataPoint` or `SummaryDataPoint`.
    DataPoint(PointKind),
    /// `Exemplar`.
    Exemplar,
    /// `KeyValue`.
    KeyValue,
    /// `AnyValue`.
    AnyValue,
    /// `ArrayValue`.
    ArrayValue,
    /// `KeyValueList`.
    KeyValueList,
}

/// The shapes of a metric's data points.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PointKind {
    /// Of `Gauge` and `Sum`.
    Number,
    /// Of `Histogram`.
    Histogram,
    /// Of `ExponentialHistogram`.
    ExponentialHistogram,
    /// Of `Summary`.
    Summary,
}

impl Message {
    /// The message in field `number`, if that field leads to values.
    #[expect(
        clippy::match_same_arms,
        clippy::unnested_or_patterns,
        reason = "a line a field reads like the schema"
    )]
    pub fn child(self, number: u32) -> Option<Self> {
        Some(match (self, number) {
            (Self::Request(Signal::Profiles), _) => return None,
            (Self::Request(signal), 1) => Self::ResourceRecords(signal),
            (Self::ResourceRecords(_), 1) => Self::Resource,
            (Self::ResourceRecords(signal), 2) => Self::ScopeRecords(signal),
            (Self::ScopeRecords(_), 1) => Self::Scope,
            (Self::ScopeRecords(Signal::Traces), 2) => Self::Span,
            (Self::ScopeRecords(Signal::Logs), 2) => Self::LogRecord,
            (Self::ScopeRecords(Signal::Metrics), 2) => Self::Metric,
            (Self::Span, 11) => Self::Event,
            (Self::Span, 13) => Self::Link,
            (Self::LogRecord, 5) => Self::AnyValue,
            (Self::Metric, 5 | 7) => Self::MetricData(PointKind::Number),
            (Self::Metric, 9) => Self::MetricData(PointKind::Histogram),
            (Self::Metric, 10) => Self::MetricData(PointKind::ExponentialHistogram),
            (Self::Metric, 11) => Self::MetricData(PointKind::Summary),
            (Self::MetricData(kind), 1) => Self::DataPoint(kind),
            (Self::DataPoint(PointKind::Number), 5)
            | (Self::DataPoint(PointKind::Histogram), 8)
            | (Self::DataPoint(PointKind::ExponentialHistogram), 11) => Self::Exemplar,
            (Self::Resource, 1)
            | (Self::Scope | Self::Event, 3)
            | (Self::Span, 9)
            | (Self::Link, 4)
            | (Self::LogRecord, 6)
            | (Self::Metric, 12)
            | (Self::DataPoint(PointKind::Number | PointKind::Summary) | Self::Exemplar, 7)
            | (Self::DataPoint(PointKind::Histogram), 9)
            | (Self::DataPoint(PointKind::ExponentialHistogram), 1)
            | (Self::KeyValueList, 1) => Self::KeyValue,
            (Self::KeyValue, 2) | (Self::ArrayValue, 1) => Self::AnyValue,
            (Self::AnyValue, 5) => Self::ArrayValue,
            (Self::AnyValue, 6) => Self::KeyValueList,
            _ => return None,
        })
    }
}

/// What an attribute or body belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Carrier {
    /// An attribute of a resource.
    Resource,
    /// An attribute of an instrumentation scope.
    Scope,
    /// An attribute of a span.
    Span,
    /// An attribute of a span's event.
    Event,
    /// An attribute of a span's link.
    Link,
    /// The body of a log record.
    LogBody,
    /// An attribute of a log record.
    LogAttribute,
    /// Metadata of a metric, an attribute of a data point or of an exemplar.
    Metric,
}

impl Carrier {
    /// The carrier of the values that stand directly under `message`.
    pub(crate) fn of(message: Message, number: u32) -> Option<Self> {
        Some(match message {
            Message::Resource => Self::Resource,
            Message::Scope => Self::Scope,
            Message::Span => Self::Span,
            Message::Event => Self::Event,
            Message::Link => Self::Link,
            Message::LogRecord if number == 5 => Self::LogBody,
            Message::LogRecord => Self::LogAttribute,
            Message::Metric | Message::DataPoint(_) | Message::Exemplar => Self::Metric,
            _ => return None,
        })
    }
}
