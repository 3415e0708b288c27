use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::common::v1::{
    AnyValue, ArrayValue, InstrumentationScope, KeyValue, KeyValueList,
};
use opentelemetry_proto::tonic::logs::v1::{LogRecord, ResourceLogs, ScopeLogs};
use opentelemetry_proto::tonic::metrics::v1::metric::Data;
use opentelemetry_proto::tonic::metrics::v1::{
    Exemplar, ExponentialHistogram, ExponentialHistogramDataPoint, Gauge, Histogram,
    HistogramDataPoint, Metric, NumberDataPoint, ResourceMetrics, ScopeMetrics, Sum, Summary,
    SummaryDataPoint, exemplar, number_data_point,
};
use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_proto::tonic::trace::v1::span::{Event, Link};
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span};
use slimspan_proto::Signal;

use crate::{Random, Request};

/// Makes a value that is worth a test, in place of an ordinary one.
pub type Payload = fn(&mut Random) -> Value;

/// Generates requests with every message of the schema that leads to values.
#[derive(Debug)]
pub struct Generator<'r> {
    random: &'r mut Random,
    /// The most elements that a list has.
    size: usize,
    payload: Payload,
}

impl<'r> Generator<'r> {
    /// Lists have up to `size` elements; one value in eight is made by `payload`.
    pub fn new(random: &'r mut Random, size: usize, payload: Payload) -> Self {
        Self {
            random,
            size,
            payload,
        }
    }

    /// A random request.
    pub fn request(&mut self, signal: Signal) -> Request {
        match signal {
            Signal::Traces => Request::Traces(ExportTraceServiceRequest {
                resource_spans: self.list(Self::resource_spans),
            }),
            Signal::Logs => Request::Logs(ExportLogsServiceRequest {
                resource_logs: self.list(Self::resource_logs),
            }),
            Signal::Metrics => Request::Metrics(ExportMetricsServiceRequest {
                resource_metrics: self.list(Self::resource_metrics),
            }),
            Signal::Profiles => unimplemented!("there are no types of profiles"),
        }
    }

    fn list<T>(&mut self, item: fn(&mut Self) -> T) -> Vec<T> {
        let len = self.random.below(self.size + 1);
        (0..len).map(|_| item(self)).collect()
    }

    fn maybe<T>(&mut self, item: fn(&mut Self) -> T) -> Option<T> {
        (!self.random.one_in(4)).then(|| item(self))
    }

    fn text(&mut self) -> String {
        self.random
            .pick(&[
                "",
                "a",
                "http.request.body",
                "gen_ai.input.messages",
                "näme",
                "input.value",
            ])
            .to_owned()
    }

    fn resource_spans(&mut self) -> ResourceSpans {
        ResourceSpans {
            resource: self.maybe(Self::resource),
            scope_spans: self.list(|this| ScopeSpans {
                scope: this.maybe(Self::scope),
                spans: this.list(Self::span),
                schema_url: this.text(),
            }),
            schema_url: self.text(),
        }
    }

    fn resource_logs(&mut self) -> ResourceLogs {
        ResourceLogs {
            resource: self.maybe(Self::resource),
            scope_logs: self.list(|this| ScopeLogs {
                scope: this.maybe(Self::scope),
                log_records: this.list(Self::log_record),
                schema_url: this.text(),
            }),
            schema_url: self.text(),
        }
    }

    fn resource_metrics(&mut self) -> ResourceMetrics {
        ResourceMetrics {
            resource: self.maybe(Self::resource),
            scope_metrics: self.list(|this| ScopeMetrics {
                scope: this.maybe(Self::scope),
                metrics: this.list(Self::metric),
                schema_url: this.text(),
            }),
            schema_url: self.text(),
        }
    }

    fn resource(&mut self) -> Resource {
        Resource {
            attributes: self.list(Self::attribute),
            dropped_attributes_count: self.random.below(3) as u32,
            ..Resource::default()
        }
    }

    fn scope(&mut self) -> InstrumentationScope {
        InstrumentationScope {
            name: self.text(),
            version: self.text(),
            attributes: self.list(Self::attribute),
            dropped_attributes_count: 0,
        }
    }

    fn span(&mut self) -> Span {
        Span {
            trace_id: self.random.bytes(16),
            span_id: self.random.bytes(8),
            name: self.text(),
            kind: self.random.pick(&[0, 1, 2, 3, 4, 5]),
            start_time_unix_nano: self.random.number(),
            end_time_unix_nano: self.random.number(),
            attributes: self.list(Self::attribute),
            events: self.list(|this| Event {
                time_unix_nano: this.random.number(),
                name: this.text(),
                attributes: this.list(Self::attribute),
                dropped_attributes_count: 0,
            }),
            links: self.list(|this| Link {
                trace_id: this.random.bytes(16),
                span_id: this.random.bytes(8),
                attributes: this.list(Self::attribute),
                ..Link::default()
            }),
            ..Span::default()
        }
    }

    fn log_record(&mut self) -> LogRecord {
        LogRecord {
            time_unix_nano: self.random.number(),
            severity_text: self.text(),
            body: self.maybe(|this| this.value(4)),
            attributes: self.list(Self::attribute),
            ..LogRecord::default()
        }
    }

    fn metric(&mut self) -> Metric {
        let data = match self.random.below(6) {
            0 => Data::Gauge(Gauge {
                data_points: self.list(Self::number_point),
            }),
            1 => Data::Sum(Sum {
                data_points: self.list(Self::number_point),
                ..Sum::default()
            }),
            2 => Data::Histogram(Histogram {
                data_points: self.list(|this| HistogramDataPoint {
                    attributes: this.list(Self::attribute),
                    exemplars: this.list(Self::exemplar),
                    bucket_counts: vec![1, 2, 3],
                    ..HistogramDataPoint::default()
                }),
                ..Histogram::default()
            }),
            3 => Data::ExponentialHistogram(ExponentialHistogram {
                data_points: self.list(|this| ExponentialHistogramDataPoint {
                    attributes: this.list(Self::attribute),
                    exemplars: this.list(Self::exemplar),
                    ..ExponentialHistogramDataPoint::default()
                }),
                ..ExponentialHistogram::default()
            }),
            4 => Data::Summary(Summary {
                data_points: self.list(|this| SummaryDataPoint {
                    attributes: this.list(Self::attribute),
                    ..SummaryDataPoint::default()
                }),
            }),
            _ => {
                return Metric {
                    name: self.text(),
                    ..Metric::default()
                };
            }
        };
        Metric {
            name: self.text(),
            metadata: self.list(Self::attribute),
            data: Some(data),
            ..Metric::default()
        }
    }

    fn number_point(&mut self) -> NumberDataPoint {
        NumberDataPoint {
            attributes: self.list(Self::attribute),
            exemplars: self.list(Self::exemplar),
            value: Some(number_data_point::Value::AsInt(7)),
            ..NumberDataPoint::default()
        }
    }

    fn exemplar(&mut self) -> Exemplar {
        Exemplar {
            filtered_attributes: self.list(Self::attribute),
            value: Some(exemplar::Value::AsDouble(0.5)),
            ..Exemplar::default()
        }
    }

    fn attribute(&mut self) -> KeyValue {
        KeyValue {
            key: self.text(),
            value: self.maybe(|this| this.value(4)),
            ..KeyValue::default()
        }
    }

    fn value(&mut self, depth: usize) -> AnyValue {
        if self.random.one_in(8) {
            return AnyValue {
                value: Some((self.payload)(self.random)),
            };
        }
        let containers = if depth == 0 { 0 } else { 2 };
        let value = match self.random.below(6 + containers) {
            0 => None,
            1 => Some(Value::BoolValue(self.random.one_in(2))),
            2 => Some(Value::IntValue(self.random.number().cast_signed())),
            3 => Some(Value::DoubleValue(0.25)),
            4 => Some(Value::StringValue(self.text())),
            5 => Some(Value::BytesValue(self.random.bytes(5))),
            6 => Some(Value::ArrayValue(ArrayValue {
                values: (0..self.random.below(4))
                    .map(|_| self.value(depth - 1))
                    .collect(),
            })),
            _ => Some(Value::KvlistValue(KeyValueList {
                values: (0..self.random.below(4))
                    .map(|_| KeyValue {
                        key: self.text(),
                        value: Some(self.value(depth - 1)),
                        ..KeyValue::default()
                    })
                    .collect(),
            })),
        };
        AnyValue { value }
    }
}
