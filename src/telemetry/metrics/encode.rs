use std::fmt;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, MetricEncoder, NoLabelSet, text};
use prometheus_client::metrics::MetricType;
use prometheus_client::registry::{Registry, Unit};

use super::super::config::Level;
use super::read::{Reading, Value};
use super::table::{Kind, METRICS, Metric};

/// What [`encode`] writes.
pub const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// The text of all metrics that there are at this `level`.
pub fn encode(reading: Reading, level: Level) -> Result<String, fmt::Error> {
    let mut registry = Registry::default();
    registry.register_collector(Box::new(Told { reading, level }));
    let mut told = String::new();
    text::encode(&mut told, &registry)?;
    Ok(told)
}

#[derive(Debug)]
struct Told {
    reading: Reading,
    level: Level,
}

impl Collector for Told {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        for metric in METRICS.iter().filter(|of| of.level <= self.level) {
            let unit = metric.unit.map(unit);
            let mut encoder = encoder.encode_descriptor(
                metric.name,
                metric.help,
                unit.as_ref(),
                match metric.kind {
                    Kind::Counter => MetricType::Counter,
                    Kind::Gauge => MetricType::Gauge,
                    Kind::Histogram => MetricType::Histogram,
                    Kind::Info => MetricType::Info,
                },
            )?;
            for sample in self.reading.of(metric) {
                if sample.labels.is_empty() || metric.kind == Kind::Info {
                    write(metric, &sample.value, &sample.labels, &mut encoder)?;
                } else {
                    let mut encoder = encoder.encode_family(&sample.labels)?;
                    write(metric, &sample.value, &sample.labels, &mut encoder)?;
                }
            }
        }
        Ok(())
    }
}

fn write(
    metric: &Metric,
    value: &Value,
    labels: &Vec<(String, String)>,
    encoder: &mut MetricEncoder<'_>,
) -> fmt::Result {
    match (metric.kind, value) {
        (Kind::Counter, Value::Count(count)) => {
            encoder.encode_counter::<NoLabelSet, _, u64>(count, None)
        }
        (Kind::Counter, Value::Amount(amount)) => {
            encoder.encode_counter::<NoLabelSet, _, u64>(amount, None)
        }
        (Kind::Gauge, Value::Count(count)) => encoder.encode_gauge(count),
        (Kind::Gauge, Value::Amount(amount)) => encoder.encode_gauge(amount),
        (Kind::Histogram, Value::Spread(spread)) => {
            encoder.encode_histogram::<NoLabelSet>(spread.sum, spread.count, &spread.buckets, None)
        }
        (Kind::Info, _) => encoder.encode_info(labels),
        // The reading gives each metric what it is.
        _ => Err(fmt::Error),
    }
}

fn unit(name: &str) -> Unit {
    match name {
        "seconds" => Unit::Seconds,
        "bytes" => Unit::Bytes,
        other => Unit::Other(other.to_owned()),
    }
}
