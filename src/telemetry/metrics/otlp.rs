//! The same metrics as OTLP has them.

use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue, any_value};
use opentelemetry_proto::tonic::metrics::v1::metric::Data;
use opentelemetry_proto::tonic::metrics::v1::{
    AggregationTemporality, Gauge, Histogram, HistogramDataPoint, Metric as Family,
    NumberDataPoint, Sum, number_data_point,
};

use super::super::config::Naming;
use super::super::views::Selection;
use super::read::{Reading, Sample, Value};
use super::table::{Kind, METRICS, Metric};

/// From when to when things are counted, in nanoseconds since 1970.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Period {
    /// When the process began to count.
    pub began: u64,
    /// When it was read.
    pub now: u64,
}

const CUMULATIVE: i32 = AggregationTemporality::Cumulative as i32;

/// All metrics that are told and that say something.
pub fn families(reading: &Reading, selection: &Selection, period: Period) -> Vec<Family> {
    let metrics = METRICS.iter().filter(|metric| selection.has(metric));
    let families = metrics.filter_map(|metric| {
        let unit = match metric.unit {
            Some("seconds") => "s",
            Some("bytes") => "By",
            _ => "",
        };
        Some(Family {
            name: metric.full_name(Naming::otlp()),
            description: metric.help.to_owned(),
            unit: unit.to_owned(),
            data: Some(data(metric, reading, period)?),
            ..Family::default()
        })
    });
    families.collect()
}

/// What a metric says; nothing where there is nothing that it could be about.
fn data(metric: &Metric, reading: &Reading, period: Period) -> Option<Data> {
    let samples = || reading.of(metric);
    match metric.kind {
        Kind::Counter => {
            let points = samples().filter_map(|sample| number(sample, period.began, period.now));
            let data_points: Vec<_> = points.collect();
            (!data_points.is_empty()).then_some(Data::Sum(Sum {
                data_points,
                aggregation_temporality: CUMULATIVE,
                is_monotonic: true,
            }))
        }
        Kind::Gauge => {
            let points = samples().filter_map(|sample| number(sample, 0, period.now));
            let data_points: Vec<_> = points.collect();
            (!data_points.is_empty()).then_some(Data::Gauge(Gauge { data_points }))
        }
        Kind::Histogram => {
            let points = samples().filter_map(|sample| buckets(sample, period));
            let data_points: Vec<_> = points.collect();
            (!data_points.is_empty()).then_some(Data::Histogram(Histogram {
                data_points,
                aggregation_temporality: CUMULATIVE,
            }))
        }
        // The resource says that.
        Kind::Info => None,
    }
}

fn number(sample: &Sample, began: u64, now: u64) -> Option<NumberDataPoint> {
    let value = match &sample.value {
        Value::Count(count) => {
            number_data_point::Value::AsInt(i64::try_from(*count).unwrap_or(i64::MAX))
        }
        Value::Amount(amount) => number_data_point::Value::AsDouble(*amount),
        Value::Spread(_) => return None,
    };
    Some(NumberDataPoint {
        attributes: attributes(sample),
        start_time_unix_nano: began,
        time_unix_nano: now,
        value: Some(value),
        ..NumberDataPoint::default()
    })
}

fn buckets(sample: &Sample, period: Period) -> Option<HistogramDataPoint> {
    let Value::Spread(spread) = &sample.value else {
        return None;
    };
    let bounds = spread.buckets.iter().map(|(bound, _)| *bound);
    Some(HistogramDataPoint {
        attributes: attributes(sample),
        start_time_unix_nano: period.began,
        time_unix_nano: period.now,
        count: spread.count,
        sum: Some(spread.sum),
        bucket_counts: spread.buckets.iter().map(|(_, count)| *count).collect(),
        // The last bucket has no bound.
        explicit_bounds: bounds.filter(|bound| bound.is_finite()).collect(),
        ..HistogramDataPoint::default()
    })
}

fn attributes(sample: &Sample) -> Vec<KeyValue> {
    let attribute = |(key, value): &(String, String)| KeyValue {
        key: match key.as_str() {
            // Prometheus has no dots in names of labels.
            "otel_signal" => "otel.signal".to_owned(),
            other => other.to_owned(),
        },
        value: Some(AnyValue {
            value: Some(any_value::Value::StringValue(value.clone())),
        }),
        ..KeyValue::default()
    };
    sample.labels.iter().map(attribute).collect()
}

#[cfg(test)]
#[expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]
mod tests {
    use std::time::Duration;

    use slimspan_proto::Signal;

    use super::super::super::Counters;
    use super::super::super::config::{Level, Resource};
    use super::super::super::views::{Aggregation, Dropped, Selector, Stream, View};
    use super::*;

    const PERIOD: Period = Period { began: 5, now: 9 };

    fn told(level: Level, views: &[View]) -> Vec<Family> {
        let counters = Counters::default();
        let receiver = counters.receiver("otlp", "grpc");
        receiver.accepted.add(Signal::Traces, 7);
        receiver.latency.took(Duration::from_millis(3));
        let processor = counters.processor("batch");
        processor.incoming.add(Signal::Logs, 2);
        let reading = Reading::of_all(&counters, &Resource::default());
        families(&reading, &Selection::new(level, views), PERIOD)
    }

    fn family<'f>(families: &'f [Family], name: &str) -> &'f Family {
        let found = families.iter().find(|family| family.name == name);
        found.unwrap_or_else(|| panic!("no {name} in {families:?}"))
    }

    fn text(point: &[KeyValue]) -> Vec<String> {
        let shown = point.iter().map(|one| {
            let value = one.value.as_ref().unwrap().value.as_ref().unwrap();
            let any_value::Value::StringValue(value) = value else {
                panic!("{value:?}");
            };
            format!("{}={value}", one.key)
        });
        shown.collect()
    }

    #[test]
    fn each_kind_is_what_otlp_calls_it() {
        let families = told(Level::Detailed, &[]);
        let accepted = family(&families, "otelcol_receiver_accepted_spans");
        let Some(Data::Sum(sum)) = &accepted.data else {
            panic!("{accepted:?}");
        };
        assert!(sum.is_monotonic && sum.aggregation_temporality == CUMULATIVE);
        let [point] = sum.data_points.as_slice() else {
            panic!("{sum:?}");
        };
        assert_eq!(point.value, Some(number_data_point::Value::AsInt(7)));
        assert_eq!(
            (point.start_time_unix_nano, point.time_unix_nano),
            (PERIOD.began, PERIOD.now)
        );
        assert_eq!(text(&point.attributes), ["receiver=otlp", "transport=grpc"]);

        let duration = family(&families, "slimspan_receiver_request_duration_seconds");
        assert_eq!(duration.unit, "s");
        let Some(Data::Histogram(histogram)) = &duration.data else {
            panic!("{duration:?}");
        };
        assert_eq!(histogram.aggregation_temporality, CUMULATIVE);
        let point = &histogram.data_points[0];
        assert_eq!(point.bucket_counts.len(), point.explicit_bounds.len() + 1);
        // More than two milliseconds, and no more than five.
        assert_eq!(point.bucket_counts[..4], [0, 0, 1, 0]);
        assert!((point.explicit_bounds[2] - 0.005).abs() < 1e-9);
        assert_eq!((point.count, point.sum), (1, Some(0.003)));

        let memory = family(&families, "slimspan_memory_in_flight_bytes");
        assert!(matches!(memory.data, Some(Data::Gauge(_))), "{memory:?}");
        let incoming = family(&families, "otelcol_processor_incoming_items");
        assert!(format!("{incoming:?}").contains("otel.signal"));
        assert!(
            !families
                .iter()
                .any(|family| family.name.starts_with("target"))
        );
    }

    #[test]
    fn what_a_view_drops_and_what_is_above_the_level_is_not_told() {
        let view = |glob: &str| View {
            selector: Selector {
                instrument_name: glob.to_owned().try_into().unwrap(),
            },
            stream: Stream {
                aggregation: Aggregation { drop: Dropped {} },
            },
        };
        let has =
            |families: &[Family], name: &str| families.iter().any(|family| family.name == name);
        let (spans, logs) = (
            "otelcol_receiver_accepted_spans",
            "otelcol_receiver_accepted_log_records",
        );
        let some = told(Level::Normal, &[view("otelcol_*_spans"), view("nothing")]);
        assert!(!has(&some, spans) && has(&some, logs), "{some:?}");
        assert!(!has(&some, "slimspan_receiver_request_duration_seconds"));
        assert!(has(&told(Level::Normal, &[]), spans));
        assert_eq!(told(Level::Normal, &[view("*")]), []);
    }
}
