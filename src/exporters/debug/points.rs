//! The data points of the five kinds of metric, as one.

use std::fmt::Write as _;

use opentelemetry_proto::tonic::common::v1::KeyValue;
use opentelemetry_proto::tonic::metrics::v1::{
    AggregationTemporality, Exemplar, ExponentialHistogramDataPoint, HistogramDataPoint, Metric,
    NumberDataPoint, SummaryDataPoint, exponential_histogram_data_point::Buckets, metric::Data,
    number_data_point,
};

/// A data point of whatever kind.
pub(super) struct Point<'a> {
    pub(super) attributes: &'a [KeyValue],
    /// Nanoseconds since 1970.
    pub(super) start: u64,
    /// Nanoseconds since 1970.
    pub(super) time: u64,
    pub(super) flags: u32,
    pub(super) exemplars: &'a [Exemplar],
    /// What was measured, on one line.
    pub(super) value: String,
    /// How it is distributed, a line each.
    pub(super) distribution: Vec<String>,
}

/// The data points of `metric`.
pub(super) fn of(metric: &Metric) -> Vec<Point<'_>> {
    match &metric.data {
        None => Vec::new(),
        Some(Data::Gauge(gauge)) => gauge.data_points.iter().map(number).collect(),
        Some(Data::Sum(sum)) => sum.data_points.iter().map(number).collect(),
        Some(Data::Histogram(data)) => data.data_points.iter().map(histogram).collect(),
        Some(Data::ExponentialHistogram(data)) => {
            data.data_points.iter().map(exponential).collect()
        }
        Some(Data::Summary(data)) => data.data_points.iter().map(summary).collect(),
    }
}

/// The kind of `metric`, with what its values mean.
pub(super) fn kind(metric: &Metric) -> String {
    match &metric.data {
        None => "empty".to_owned(),
        Some(Data::Gauge(_)) => "gauge".to_owned(),
        Some(Data::Sum(sum)) => {
            let monotonic = if sum.is_monotonic { "monotonic " } else { "" };
            format!(
                "{monotonic}{} sum",
                temporality(sum.aggregation_temporality)
            )
        }
        Some(Data::Histogram(data)) => {
            format!("{} histogram", temporality(data.aggregation_temporality))
        }
        Some(Data::ExponentialHistogram(data)) => format!(
            "{} exponential histogram",
            temporality(data.aggregation_temporality)
        ),
        Some(Data::Summary(_)) => "summary".to_owned(),
    }
}

fn temporality(number: i32) -> String {
    match AggregationTemporality::try_from(number) {
        Ok(AggregationTemporality::Delta) => "delta".to_owned(),
        Ok(AggregationTemporality::Cumulative) => "cumulative".to_owned(),
        Ok(AggregationTemporality::Unspecified) => "unspecified".to_owned(),
        Err(_) => format!("unknown ({number})"),
    }
}

fn number(point: &NumberDataPoint) -> Point<'_> {
    Point {
        attributes: &point.attributes,
        start: point.start_time_unix_nano,
        time: point.time_unix_nano,
        flags: point.flags,
        exemplars: &point.exemplars,
        value: match point.value {
            None => "no value".to_owned(),
            Some(number_data_point::Value::AsInt(value)) => value.to_string(),
            Some(number_data_point::Value::AsDouble(value)) => format!("{value:?}"),
        },
        distribution: Vec::new(),
    }
}

fn histogram(point: &HistogramDataPoint) -> Point<'_> {
    Point {
        attributes: &point.attributes,
        start: point.start_time_unix_nano,
        time: point.time_unix_nano,
        flags: point.flags,
        exemplars: &point.exemplars,
        value: totals(point.count, point.sum, point.min, point.max),
        distribution: point
            .bucket_counts
            .iter()
            .enumerate()
            .map(|(index, count)| match point.explicit_bounds.get(index) {
                Some(bound) => format!("up to {bound:?}: {count}"),
                None => format!("above: {count}"),
            })
            .collect(),
    }
}

fn exponential(point: &ExponentialHistogramDataPoint) -> Point<'_> {
    let mut distribution = vec![format!(
        "scale {}, zero count {}, zero threshold {:?}",
        point.scale, point.zero_count, point.zero_threshold
    )];
    distribution.extend(point.positive.as_ref().map(|b| buckets("positive", b)));
    distribution.extend(point.negative.as_ref().map(|b| buckets("negative", b)));
    Point {
        attributes: &point.attributes,
        start: point.start_time_unix_nano,
        time: point.time_unix_nano,
        flags: point.flags,
        exemplars: &point.exemplars,
        value: totals(point.count, point.sum, point.min, point.max),
        distribution,
    }
}

fn buckets(sign: &str, buckets: &Buckets) -> String {
    format!(
        "{sign} buckets from {}: {:?}",
        buckets.offset, buckets.bucket_counts
    )
}

fn summary(point: &SummaryDataPoint) -> Point<'_> {
    Point {
        attributes: &point.attributes,
        start: point.start_time_unix_nano,
        time: point.time_unix_nano,
        flags: point.flags,
        exemplars: &[],
        value: totals(point.count, Some(point.sum), None, None),
        distribution: point
            .quantile_values
            .iter()
            .map(|at| format!("quantile {:?}: {:?}", at.quantile, at.value))
            .collect(),
    }
}

fn totals(count: u64, sum: Option<f64>, min: Option<f64>, max: Option<f64>) -> String {
    let mut text = format!("count {count}");
    for (name, value) in [("sum", sum), ("min", min), ("max", max)] {
        if let Some(value) = value {
            // Writing to a String cannot fail.
            let _ = write!(text, ", {name} {value:?}");
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use opentelemetry_proto::tonic::metrics::v1::{
        ExponentialHistogram, Sum, Summary, summary_data_point::ValueAtQuantile,
    };

    use super::*;

    /// The kind of a metric, then the value and the distribution of each of its points.
    fn lines(data: Data) -> Vec<String> {
        let metric = Metric {
            data: Some(data),
            ..Metric::default()
        };
        let points = of(&metric).into_iter();
        std::iter::once(kind(&metric))
            .chain(points.flat_map(|point| std::iter::once(point.value).chain(point.distribution)))
            .collect()
    }

    #[test]
    fn a_sum_tells_its_temporality() {
        let sum = Sum {
            data_points: vec![NumberDataPoint::default()],
            aggregation_temporality: 1,
            is_monotonic: true,
        };
        assert_eq!(lines(Data::Sum(sum)), ["monotonic delta sum", "no value"]);
    }

    #[test]
    fn a_summary_lists_its_quantiles() {
        let point = SummaryDataPoint {
            count: 2,
            sum: 3.0,
            quantile_values: vec![ValueAtQuantile {
                quantile: 0.5,
                value: 1.5,
            }],
            ..SummaryDataPoint::default()
        };
        let data_points = vec![point];
        assert_eq!(
            lines(Data::Summary(Summary { data_points })),
            ["summary", "count 2, sum 3.0", "quantile 0.5: 1.5"]
        );
    }

    #[test]
    fn an_exponential_histogram_lists_the_buckets_it_has() {
        let point = ExponentialHistogramDataPoint {
            count: 3,
            scale: -1,
            zero_count: 1,
            max: Some(4.0),
            positive: Some(Buckets {
                offset: 2,
                bucket_counts: vec![1, 1],
            }),
            ..ExponentialHistogramDataPoint::default()
        };
        let histogram = ExponentialHistogram {
            data_points: vec![point],
            aggregation_temporality: 9,
        };
        assert_eq!(
            lines(Data::ExponentialHistogram(histogram)),
            [
                "unknown (9) exponential histogram",
                "count 3, max 4.0",
                "scale -1, zero count 1, zero threshold 0.0",
                "positive buckets from 2: [1, 1]",
            ]
        );
    }
}
