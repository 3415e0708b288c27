use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue};
use opentelemetry_proto::tonic::metrics::v1::metric::Data;
use opentelemetry_proto::tonic::metrics::v1::{Exemplar, Metric};
use prost::Message as _;
use slimspan_proto::{Carrier, Signal};

/// A decoded request of a signal that is read, of [`Signal::READ`].
#[derive(Debug, Clone, PartialEq)]
pub enum Request {
    /// Of traces.
    Traces(ExportTraceServiceRequest),
    /// Of logs.
    Logs(ExportLogsServiceRequest),
    /// Of metrics.
    Metrics(ExportMetricsServiceRequest),
}

impl Request {
    /// Decodes with prost.
    pub fn decode(signal: Signal, bytes: &[u8]) -> Result<Self, prost::DecodeError> {
        Ok(match signal {
            Signal::Traces => Self::Traces(ExportTraceServiceRequest::decode(bytes)?),
            Signal::Logs => Self::Logs(ExportLogsServiceRequest::decode(bytes)?),
            Signal::Metrics => Self::Metrics(ExportMetricsServiceRequest::decode(bytes)?),
            Signal::Profiles => unimplemented!("there are no types of profiles"),
        })
    }

    /// Encodes with prost.
    pub fn encode(&self) -> Vec<u8> {
        match self {
            Self::Traces(request) => request.encode_to_vec(),
            Self::Logs(request) => request.encode_to_vec(),
            Self::Metrics(request) => request.encode_to_vec(),
        }
    }

    /// Visits every value of the request, containers before what they hold, in the order of the
    /// schema: carrier, key of the attribute, key beside the value, the value.
    pub fn visit(&mut self, visit: &mut dyn FnMut(Carrier, &str, &str, &mut AnyValue)) {
        let mut attributes = |carrier, list: &mut [KeyValue]| {
            for item in list {
                let key = item.key.clone();
                if let Some(value) = &mut item.value {
                    descend(carrier, Some(&key), &key, value, visit);
                }
            }
        };
        match self {
            Self::Traces(request) => {
                for resource in &mut request.resource_spans {
                    if let Some(of) = &mut resource.resource {
                        attributes(Carrier::Resource, &mut of.attributes);
                    }
                    for scope in &mut resource.scope_spans {
                        if let Some(of) = &mut scope.scope {
                            attributes(Carrier::Scope, &mut of.attributes);
                        }
                        for span in &mut scope.spans {
                            attributes(Carrier::Span, &mut span.attributes);
                            for event in &mut span.events {
                                attributes(Carrier::Event, &mut event.attributes);
                            }
                            for link in &mut span.links {
                                attributes(Carrier::Link, &mut link.attributes);
                            }
                        }
                    }
                }
            }
            Self::Logs(request) => {
                for resource in &mut request.resource_logs {
                    if let Some(of) = &mut resource.resource {
                        attributes(Carrier::Resource, &mut of.attributes);
                    }
                    for scope in &mut resource.scope_logs {
                        if let Some(of) = &mut scope.scope {
                            attributes(Carrier::Scope, &mut of.attributes);
                        }
                        for record in &mut scope.log_records {
                            attributes(Carrier::LogAttribute, &mut record.attributes);
                        }
                    }
                }
                for record in request
                    .resource_logs
                    .iter_mut()
                    .flat_map(|resource| &mut resource.scope_logs)
                    .flat_map(|scope| &mut scope.log_records)
                {
                    if let Some(body) = &mut record.body {
                        descend(Carrier::LogBody, None, "", body, visit);
                    }
                }
            }
            Self::Metrics(request) => {
                for resource in &mut request.resource_metrics {
                    if let Some(of) = &mut resource.resource {
                        attributes(Carrier::Resource, &mut of.attributes);
                    }
                    for scope in &mut resource.scope_metrics {
                        if let Some(of) = &mut scope.scope {
                            attributes(Carrier::Scope, &mut of.attributes);
                        }
                        for metric in &mut scope.metrics {
                            for list in metric_attributes(metric) {
                                attributes(Carrier::Metric, list);
                            }
                        }
                    }
                }
            }
        }
    }
}

/// Every list of attributes of a metric.
fn metric_attributes(metric: &mut Metric) -> Vec<&mut Vec<KeyValue>> {
    fn exemplars(list: &mut [Exemplar]) -> impl Iterator<Item = &mut Vec<KeyValue>> {
        list.iter_mut()
            .map(|exemplar| &mut exemplar.filtered_attributes)
    }
    let mut lists = vec![&mut metric.metadata];
    let numbers = match &mut metric.data {
        Some(Data::Gauge(gauge)) => &mut gauge.data_points,
        Some(Data::Sum(sum)) => &mut sum.data_points,
        Some(Data::Histogram(histogram)) => {
            for point in &mut histogram.data_points {
                lists.push(&mut point.attributes);
                lists.extend(exemplars(&mut point.exemplars));
            }
            return lists;
        }
        Some(Data::ExponentialHistogram(histogram)) => {
            for point in &mut histogram.data_points {
                lists.push(&mut point.attributes);
                lists.extend(exemplars(&mut point.exemplars));
            }
            return lists;
        }
        Some(Data::Summary(summary)) => {
            let points = summary.data_points.iter_mut();
            lists.extend(points.map(|point| &mut point.attributes));
            return lists;
        }
        None => return lists,
    };
    for point in numbers {
        lists.push(&mut point.attributes);
        lists.extend(exemplars(&mut point.exemplars));
    }
    lists
}

fn descend(
    carrier: Carrier,
    attribute: Option<&str>,
    key: &str,
    value: &mut AnyValue,
    visit: &mut dyn FnMut(Carrier, &str, &str, &mut AnyValue),
) {
    visit(carrier, attribute.unwrap_or_default(), key, value);
    match &mut value.value {
        Some(Value::ArrayValue(array)) => {
            for element in &mut array.values {
                descend(carrier, attribute, key, element, visit);
            }
        }
        Some(Value::KvlistValue(list)) => {
            for item in &mut list.values {
                let key = item.key.clone();
                let attribute = attribute.unwrap_or(&key);
                if let Some(value) = &mut item.value {
                    descend(carrier, Some(attribute), &key, value, visit);
                }
            }
        }
        _ => {}
    }
}
