//! What backends take and show, so that nobody has to look it up.
//!
//! A preset gives keys their values where nobody wrote any. It is applied to the tree of nodes, before
//! that is read: what it sets is read, checked and shown like what people write.

mod apply;

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub(super) use self::apply::apply;

/// `preset`: the name of a backend.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[expect(missing_docs, reason = "they are the names of backends")]
pub enum Preset {
    Otlp,
    Tempo,
    Jaeger,
    Datadog,
    Newrelic,
    Honeycomb,
    Phoenix,
    Langfuse,
    Opik,
    Logfire,
}

/// What a preset sets. `None` leaves the default.
#[derive(Debug, PartialEq, Eq)]
pub struct Values {
    /// Of its exporter.
    pub max_request_bytes: Option<&'static str>,
    /// Of its exporter and of the `artifact` processor.
    pub reference: Option<&'static str>,
    /// The same.
    pub bytes_values: Option<&'static str>,
    /// Of the `artifact` processor.
    pub threshold: Option<&'static str>,
    /// Of the `artifact` processor.
    pub text_threshold: Option<&'static str>,
    /// Why, for the documentation.
    pub because: &'static str,
    /// Where that is written, for the documentation.
    pub source: &'static str,
    /// What is only believed, for the documentation.
    pub unconfirmed: Option<&'static str>,
}

/// Nothing set.
const DEFAULTS: Values = Values {
    max_request_bytes: None,
    reference: None,
    bytes_values: None,
    threshold: None,
    text_threshold: None,
    because: "",
    source: "",
    unconfirmed: None,
};

/// A backend that has a table of attributes beside its traces, where a link is of use.
const SEMCONV: Option<&str> = Some("semconv");

/// A backend that shows links in message parts.
const NATIVE: Option<&str> = Some("native");

impl Preset {
    /// All there are, in the order of the documentation.
    pub const ALL: [Self; 10] = [
        Self::Otlp,
        Self::Tempo,
        Self::Jaeger,
        Self::Datadog,
        Self::Newrelic,
        Self::Honeycomb,
        Self::Phoenix,
        Self::Langfuse,
        Self::Opik,
        Self::Logfire,
    ];

    /// What it sets.
    pub const fn values(self) -> Values {
        match self {
            Self::Otlp => Values {
                because: "the defaults are the limits that OTLP recommends",
                source: "[specification](https://opentelemetry.io/docs/specs/otlp/)",
                ..DEFAULTS
            },
            Self::Tempo => Values {
                reference: SEMCONV,
                threshold: Some("1KiB"),
                text_threshold: Some("2KiB"),
                because: "attributes are cut after 2,048 bytes (`max_attribute_bytes`); base64 of 1 KiB \
                          fits",
                source: "[documentation](https://grafana.com/docs/tempo/latest/troubleshooting/out-of-memory-errors/)",
                ..DEFAULTS
            },
            Self::Jaeger => Values {
                reference: SEMCONV,
                text_threshold: Some("32000"),
                because: "in Elasticsearch a value has 32,766 bytes at most, or its span is refused",
                source: "Lucene's `MAX_TERM_LENGTH`, in the words of \
                         [elasticsearch#99802](https://github.com/elastic/elasticsearch/issues/99802); how Jaeger \
                         maps values: [jaeger#1761](https://github.com/jaegertracing/jaeger/issues/1761)",
                unconfirmed: Some(
                    "that Jaeger's own mapping refuses it: values of more than 256 characters are not indexed \
                     there",
                ),
                ..DEFAULTS
            },
            Self::Datadog => Values {
                reference: SEMCONV,
                text_threshold: Some("24000"),
                because: "the agent cuts values after 25,000 characters",
                source: "code of the agent: `MaxMetaValLen`",
                ..DEFAULTS
            },
            Self::Newrelic => Values {
                max_request_bytes: Some("1000000"),
                reference: SEMCONV,
                threshold: Some("2KiB"),
                text_threshold: Some("4000"),
                because: "a request has 1 MB at most; values are cut after 4,095 characters, and base64 \
                          of 2 KiB fits",
                source: "documentation: \
                         [endpoint](https://docs.newrelic.com/docs/opentelemetry/best-practices/opentelemetry-otlp/), \
                         [attributes](https://docs.newrelic.com/docs/opentelemetry/best-practices/opentelemetry-best-practices-attributes/)",
                unconfirmed: Some("whether the 1 MB are counted before compression; here they are"),
                ..DEFAULTS
            },
            Self::Honeycomb => Values {
                reference: SEMCONV,
                text_threshold: Some("60000"),
                because: "values of more than 64 KB are refused",
                source: "none",
                unconfirmed: Some(
                    "the 64 KB: no documentation of it was at hand, nor of the size of events",
                ),
                ..DEFAULTS
            },
            Self::Phoenix => Values {
                reference: NATIVE,
                bytes_values: Some("text"),
                because: "pictures show by their links in message parts; a span with a bytes value is lost, \
                          though the answer is OK; over gRPC a request has 4 MiB at most, the default",
                source: "its code: `SpanImage.tsx`, and a gRPC server that is given no limit; tried with 5 bytes",
                ..DEFAULTS
            },
            Self::Langfuse => Values {
                reference: NATIVE,
                because: "links that end in a media extension show, if there is a `public_url`; audio shows \
                          where Langfuse's own SDK uploads it, neither as base64 nor by a link",
                source: "its code: `mediaUtils.ts`, `ChatMlSchema.ts`",
                ..DEFAULTS
            },
            Self::Opik => Values {
                reference: NATIVE,
                because: "links that end in the extension of a picture show, if there is a `public_url`; \
                          a request may have 50 MB, compressed, and so far more than the default",
                source: "its code: `lib/images.ts`; \
                         [opik#7468](https://github.com/comet-ml/opik/issues/7468)",
                ..DEFAULTS
            },
            Self::Logfire => Values {
                reference: NATIVE,
                because: "links in message parts show; a request may have 100 MB, far more than the \
                          default, and a record 10 MB",
                source: "documentation in the repository of its SDK: `docs/reference/limits.md`, \
                         `docs/guides/web-ui/llm-panels.md`",
                unconfirmed: Some(
                    "whether it shows form `logfire`, which its SDK has on a branch: then write \
                     `reference: logfire`",
                ),
                ..DEFAULTS
            },
        }
    }

    fn named(name: &str) -> Option<Self> {
        Self::ALL
            .into_iter()
            .find(|preset| preset.to_string() == name)
    }
}

impl fmt::Display for Preset {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Otlp => "otlp",
            Self::Tempo => "tempo",
            Self::Jaeger => "jaeger",
            Self::Datadog => "datadog",
            Self::Newrelic => "newrelic",
            Self::Honeycomb => "honeycomb",
            Self::Phoenix => "phoenix",
            Self::Langfuse => "langfuse",
            Self::Opik => "opik",
            Self::Logfire => "logfire",
        })
    }
}

/// A key that has its value from a preset.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PresetValue {
    /// The key, from the top.
    pub path: String,
    /// What it is set to.
    pub value: &'static str,
    /// By which preset.
    pub preset: Preset,
}

/// As a person would write it.
impl fmt::Display for PresetValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            path,
            value,
            preset,
        } = self;
        write!(f, "{path}: {value} (preset {preset})")
    }
}
