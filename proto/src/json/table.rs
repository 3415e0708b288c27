//! The messages of OTLP by the names that they have in JSON. Both directions read this table.

use self::Content::{
    Base64, Bool, Double, Enum, Fixed32, Fixed64, Hex, Int32, Int64, Sfixed64, Sint32, Text,
    Uint32, Uint64,
};
use self::Presence::{Explicit, Implicit, OneOf, Repeated};
use crate::Signal;
use crate::wire::WireType;

/// A message of the schema.
#[derive(Debug)]
pub(super) struct Message {
    pub(super) role: Role,
    /// What one more of these costs whoever decodes it, in sixteenths of a span.
    pub(super) cost: usize,
    /// What is written where the first field is not there: some readers do not do without.
    pub(super) absent: &'static str,
    /// By number, which is the order they are written in.
    pub(super) fields: &'static [Field],
}

/// What a message is where items are told apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Role {
    Request,
    /// Holds items, and goes when it is not sound.
    Envelope,
    /// A span, a log record, a metric.
    Item,
    /// A data point of a metric.
    Point,
    /// The one message in which a member may stand twice.
    AnyValue,
    Part,
}

/// A field of a message.
#[derive(Debug)]
pub(super) struct Field {
    pub(super) name: &'static str,
    pub(super) number: u32,
    pub(super) content: Content,
    pub(super) presence: Presence,
}

/// What is in a field.
#[derive(Debug, Clone, Copy)]
pub(super) enum Content {
    Text,
    /// An id: bytes that OTLP writes in hex.
    Hex,
    Base64,
    Bool,
    Enum,
    Int32,
    Sint32,
    Uint32,
    Int64,
    Uint64,
    Fixed32,
    Fixed64,
    Sfixed64,
    Double,
    Message(&'static Message),
}

/// When a field is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Presence {
    /// When its value is not the default.
    Implicit,
    /// When it is written; so are messages.
    Explicit,
    /// When it is the one that was chosen; no message has more than one group of these.
    OneOf,
    Repeated,
}

impl Content {
    /// The wire type of one value.
    pub(super) fn wire_type(self) -> WireType {
        match self {
            Text | Hex | Base64 | Self::Message(_) => WireType::Len,
            Bool | Enum | Int32 | Sint32 | Uint32 | Int64 | Uint64 => WireType::Varint,
            Fixed64 | Sfixed64 | Double => WireType::Fixed64,
            Fixed32 => WireType::Fixed32,
        }
    }
}

impl Message {
    /// The request of a signal, of those that are read and written.
    pub(super) fn request(signal: Signal) -> Option<&'static Self> {
        match signal {
            Signal::Traces => Some(&TRACES),
            Signal::Logs => Some(&LOGS),
            Signal::Metrics => Some(&METRICS),
            Signal::Profiles => None,
        }
    }
}

const ENTRY: usize = crate::check::ENTRY;
const SMALL: usize = crate::check::SMALL;

const fn field(name: &'static str, number: u32, content: Content, presence: Presence) -> Field {
    Field {
        name,
        number,
        content,
        presence,
    }
}

const fn one(name: &'static str, number: u32, message: &'static Message) -> Field {
    field(name, number, Content::Message(message), Explicit)
}

const fn many(name: &'static str, number: u32, message: &'static Message) -> Field {
    field(name, number, Content::Message(message), Repeated)
}

const fn chosen(name: &'static str, number: u32, message: &'static Message) -> Field {
    field(name, number, Content::Message(message), OneOf)
}

const fn message(role: Role, cost: usize, fields: &'static [Field]) -> Message {
    Message {
        role,
        cost,
        absent: "",
        fields,
    }
}

const fn with_first(absent: &'static str, message: &Message) -> Message {
    Message { absent, ..*message }
}

static TRACES: Message = message(
    Role::Request,
    0,
    &[many("resourceSpans", 1, &RESOURCE_SPANS)],
);
static LOGS: Message = message(Role::Request, 0, &[many("resourceLogs", 1, &RESOURCE_LOGS)]);
static METRICS: Message = message(
    Role::Request,
    0,
    &[many("resourceMetrics", 1, &RESOURCE_METRICS)],
);

static RESOURCE_SPANS: Message = message(
    Role::Envelope,
    ENTRY,
    &[
        one("resource", 1, &RESOURCE),
        many("scopeSpans", 2, &SCOPE_SPANS),
        field("schemaUrl", 3, Text, Implicit),
    ],
);
static RESOURCE_LOGS: Message = message(
    Role::Envelope,
    ENTRY,
    &[
        one("resource", 1, &RESOURCE),
        many("scopeLogs", 2, &SCOPE_LOGS),
        field("schemaUrl", 3, Text, Implicit),
    ],
);
static RESOURCE_METRICS: Message = message(
    Role::Envelope,
    ENTRY,
    &[
        one("resource", 1, &RESOURCE),
        many("scopeMetrics", 2, &SCOPE_METRICS),
        field("schemaUrl", 3, Text, Implicit),
    ],
);

static SCOPE_SPANS: Message = message(
    Role::Envelope,
    ENTRY,
    &[
        one("scope", 1, &SCOPE),
        many("spans", 2, &SPAN),
        field("schemaUrl", 3, Text, Implicit),
    ],
);
static SCOPE_LOGS: Message = message(
    Role::Envelope,
    ENTRY,
    &[
        one("scope", 1, &SCOPE),
        many("logRecords", 2, &LOG_RECORD),
        field("schemaUrl", 3, Text, Implicit),
    ],
);
static SCOPE_METRICS: Message = message(
    Role::Envelope,
    ENTRY,
    &[
        one("scope", 1, &SCOPE),
        many("metrics", 2, &METRIC),
        field("schemaUrl", 3, Text, Implicit),
    ],
);

static RESOURCE: Message = message(
    Role::Part,
    0,
    &[
        many("attributes", 1, &KEY_VALUE),
        field("droppedAttributesCount", 2, Uint32, Implicit),
        many("entityRefs", 3, &ENTITY_REF),
    ],
);

static ENTITY_REF: Message = message(
    Role::Part,
    ENTRY,
    &[
        field("schemaUrl", 1, Text, Implicit),
        field("type", 2, Text, Implicit),
        field("idKeys", 3, Text, Repeated),
        field("descriptionKeys", 4, Text, Repeated),
    ],
);

static SCOPE: Message = message(
    Role::Part,
    0,
    &[
        field("name", 1, Text, Implicit),
        field("version", 2, Text, Implicit),
        many("attributes", 3, &KEY_VALUE),
        field("droppedAttributesCount", 4, Uint32, Implicit),
    ],
);

static SPAN: Message = message(
    Role::Item,
    ENTRY,
    &[
        field("traceId", 1, Hex, Implicit),
        field("spanId", 2, Hex, Implicit),
        field("traceState", 3, Text, Implicit),
        field("parentSpanId", 4, Hex, Implicit),
        field("name", 5, Text, Implicit),
        field("kind", 6, Enum, Implicit),
        field("startTimeUnixNano", 7, Fixed64, Implicit),
        field("endTimeUnixNano", 8, Fixed64, Implicit),
        many("attributes", 9, &KEY_VALUE),
        field("droppedAttributesCount", 10, Uint32, Implicit),
        many("events", 11, &EVENT),
        field("droppedEventsCount", 12, Uint32, Implicit),
        many("links", 13, &LINK),
        field("droppedLinksCount", 14, Uint32, Implicit),
        one("status", 15, &STATUS),
        field("flags", 16, Fixed32, Implicit),
    ],
);

static EVENT: Message = message(
    Role::Part,
    ENTRY,
    &[
        field("timeUnixNano", 1, Fixed64, Implicit),
        field("name", 2, Text, Implicit),
        many("attributes", 3, &KEY_VALUE),
        field("droppedAttributesCount", 4, Uint32, Implicit),
    ],
);

static LINK: Message = message(
    Role::Part,
    ENTRY,
    &[
        field("traceId", 1, Hex, Implicit),
        field("spanId", 2, Hex, Implicit),
        field("traceState", 3, Text, Implicit),
        many("attributes", 4, &KEY_VALUE),
        field("droppedAttributesCount", 5, Uint32, Implicit),
        field("flags", 6, Fixed32, Implicit),
    ],
);

static STATUS: Message = message(
    Role::Part,
    0,
    &[
        field("message", 2, Text, Implicit),
        field("code", 3, Enum, Implicit),
    ],
);

static LOG_RECORD: Message = message(
    Role::Item,
    ENTRY,
    &[
        field("timeUnixNano", 1, Fixed64, Implicit),
        field("severityNumber", 2, Enum, Implicit),
        field("severityText", 3, Text, Implicit),
        one("body", 5, &ANY_VALUE),
        many("attributes", 6, &KEY_VALUE),
        field("droppedAttributesCount", 7, Uint32, Implicit),
        field("flags", 8, Fixed32, Implicit),
        field("traceId", 9, Hex, Implicit),
        field("spanId", 10, Hex, Implicit),
        field("observedTimeUnixNano", 11, Fixed64, Implicit),
        field("eventName", 12, Text, Implicit),
    ],
);

static METRIC: Message = message(
    Role::Item,
    ENTRY,
    &[
        field("name", 1, Text, Implicit),
        field("description", 2, Text, Implicit),
        field("unit", 3, Text, Implicit),
        chosen("gauge", 5, &GAUGE),
        chosen("sum", 7, &SUM),
        chosen("histogram", 9, &HISTOGRAM),
        chosen("exponentialHistogram", 10, &EXPONENTIAL_HISTOGRAM),
        chosen("summary", 11, &SUMMARY),
        many("metadata", 12, &KEY_VALUE),
    ],
);

static GAUGE: Message = message(Role::Part, 0, &[many("dataPoints", 1, &NUMBER_POINT)]);

static SUM: Message = message(
    Role::Part,
    0,
    &[
        many("dataPoints", 1, &NUMBER_POINT),
        field("aggregationTemporality", 2, Enum, Implicit),
        field("isMonotonic", 3, Bool, Implicit),
    ],
);

static HISTOGRAM: Message = message(
    Role::Part,
    0,
    &[
        many("dataPoints", 1, &HISTOGRAM_POINT),
        field("aggregationTemporality", 2, Enum, Implicit),
    ],
);

static EXPONENTIAL_HISTOGRAM: Message = message(
    Role::Part,
    0,
    &[
        many("dataPoints", 1, &EXPONENTIAL_HISTOGRAM_POINT),
        field("aggregationTemporality", 2, Enum, Implicit),
    ],
);

static SUMMARY: Message = message(Role::Part, 0, &[many("dataPoints", 1, &SUMMARY_POINT)]);

static NUMBER_POINT: Message = message(
    Role::Point,
    ENTRY,
    &[
        field("startTimeUnixNano", 2, Fixed64, Implicit),
        field("timeUnixNano", 3, Fixed64, Implicit),
        field("asDouble", 4, Double, OneOf),
        many("exemplars", 5, &EXEMPLAR),
        field("asInt", 6, Sfixed64, OneOf),
        many("attributes", 7, &KEY_VALUE),
        field("flags", 8, Uint32, Implicit),
    ],
);

static HISTOGRAM_POINT: Message = message(
    Role::Point,
    ENTRY,
    &[
        field("startTimeUnixNano", 2, Fixed64, Implicit),
        field("timeUnixNano", 3, Fixed64, Implicit),
        field("count", 4, Fixed64, Implicit),
        field("sum", 5, Double, Explicit),
        field("bucketCounts", 6, Fixed64, Repeated),
        field("explicitBounds", 7, Double, Repeated),
        many("exemplars", 8, &EXEMPLAR),
        many("attributes", 9, &KEY_VALUE),
        field("flags", 10, Uint32, Implicit),
        field("min", 11, Double, Explicit),
        field("max", 12, Double, Explicit),
    ],
);

static EXPONENTIAL_HISTOGRAM_POINT: Message = message(
    Role::Point,
    ENTRY,
    &[
        many("attributes", 1, &KEY_VALUE),
        field("startTimeUnixNano", 2, Fixed64, Implicit),
        field("timeUnixNano", 3, Fixed64, Implicit),
        field("count", 4, Fixed64, Implicit),
        field("sum", 5, Double, Explicit),
        field("scale", 6, Sint32, Implicit),
        field("zeroCount", 7, Fixed64, Implicit),
        one("positive", 8, &BUCKETS),
        one("negative", 9, &BUCKETS),
        field("flags", 10, Uint32, Implicit),
        many("exemplars", 11, &EXEMPLAR),
        field("min", 12, Double, Explicit),
        field("max", 13, Double, Explicit),
        field("zeroThreshold", 14, Double, Implicit),
    ],
);

static BUCKETS: Message = message(
    Role::Part,
    0,
    &[
        field("offset", 1, Sint32, Implicit),
        field("bucketCounts", 2, Uint64, Repeated),
    ],
);

static SUMMARY_POINT: Message = message(
    Role::Point,
    ENTRY,
    &[
        field("startTimeUnixNano", 2, Fixed64, Implicit),
        field("timeUnixNano", 3, Fixed64, Implicit),
        field("count", 4, Fixed64, Implicit),
        field("sum", 5, Double, Implicit),
        many("quantileValues", 6, &QUANTILE),
        many("attributes", 7, &KEY_VALUE),
        field("flags", 8, Uint32, Implicit),
    ],
);

static QUANTILE: Message = message(
    Role::Part,
    ENTRY,
    &[
        field("quantile", 1, Double, Implicit),
        field("value", 2, Double, Implicit),
    ],
);

static EXEMPLAR: Message = message(
    Role::Part,
    ENTRY,
    &[
        field("timeUnixNano", 2, Fixed64, Implicit),
        field("asDouble", 3, Double, OneOf),
        field("spanId", 4, Hex, Implicit),
        field("traceId", 5, Hex, Implicit),
        field("asInt", 6, Sfixed64, OneOf),
        many("filteredAttributes", 7, &KEY_VALUE),
    ],
);

static KEY_VALUE: Message = with_first(
    "\"key\":\"\"",
    &message(
        Role::Part,
        SMALL,
        &[
            field("key", 1, Text, Implicit),
            one("value", 2, &ANY_VALUE),
            field("keyStrindex", 3, Int32, Implicit),
        ],
    ),
);

/// What the values of arrays cost is counted where they stand.
static ANY_VALUE: Message = message(Role::AnyValue, 0, &ANY_VALUE_FIELDS);
static ELEMENT: Message = message(Role::AnyValue, SMALL, &ANY_VALUE_FIELDS);
static ANY_VALUE_FIELDS: [Field; 8] = [
    field("stringValue", 1, Text, OneOf),
    field("boolValue", 2, Bool, OneOf),
    field("intValue", 3, Int64, OneOf),
    field("doubleValue", 4, Double, OneOf),
    chosen("arrayValue", 5, &ARRAY_VALUE),
    chosen("kvlistValue", 6, &KEY_VALUE_LIST),
    field("bytesValue", 7, Base64, OneOf),
    field("stringValueStrindex", 8, Int32, OneOf),
];

const NO_VALUES: &str = "\"values\":[]";
static ARRAY_VALUE: Message = with_first(
    NO_VALUES,
    &message(Role::Part, 0, &[many("values", 1, &ELEMENT)]),
);
static KEY_VALUE_LIST: Message = with_first(
    NO_VALUES,
    &message(Role::Part, 0, &[many("values", 1, &KEY_VALUE)]),
);
