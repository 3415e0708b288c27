use std::fmt;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, MetricEncoder, NoLabelSet, text};
use prometheus_client::metrics::MetricType;
use prometheus_client::registry::{Registry, Unit};

use super::super::config::Naming;
use super::super::views::Selection;
use super::read::{Reading, Sample, Value};
use super::table::{Kind, METRICS, Metric};

/// What [`encode`] writes.
pub const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// The text of all metrics that are told.
pub fn encode(
    reading: Reading,
    selection: &Selection,
    naming: Naming,
) -> Result<String, fmt::Error> {
    let mut registry = Registry::default();
    registry.register_collector(Box::new(Told {
        reading,
        selection: selection.clone(),
        naming,
    }));
    let mut told = String::new();
    text::encode(&mut told, &registry)?;
    Ok(told)
}

#[derive(Debug)]
struct Told {
    reading: Reading,
    selection: Selection,
    naming: Naming,
}

impl Collector for Told {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        for metric in METRICS.iter().filter(|of| self.selection.has(of)) {
            let unit = metric.unit_in(self.naming).map(unit);
            let mut encoder = encoder.encode_descriptor(
                metric.name,
                metric.help,
                unit.as_ref(),
                match metric.kind {
                    // OpenMetrics has no counter without its suffix.
                    Kind::Counter if !self.naming.type_suffix => MetricType::Unknown,
                    Kind::Counter => MetricType::Counter,
                    Kind::Gauge => MetricType::Gauge,
                    Kind::Histogram => MetricType::Histogram,
                    Kind::Info => MetricType::Info,
                },
            )?;
            for sample in self.reading.of(metric) {
                if sample.labels.is_empty() || metric.kind == Kind::Info {
                    write(metric, self.naming, sample, &mut encoder)?;
                } else {
                    let mut encoder = encoder.encode_family(&sample.labels)?;
                    write(metric, self.naming, sample, &mut encoder)?;
                }
            }
        }
        Ok(())
    }
}

fn write(
    metric: &Metric,
    naming: Naming,
    Sample { labels, value, .. }: &Sample,
    encoder: &mut MetricEncoder<'_>,
) -> fmt::Result {
    match (metric.kind, value) {
        (Kind::Gauge, value) => write_bare(value, encoder),
        (Kind::Counter, value) if !naming.type_suffix => write_bare(value, encoder),
        (Kind::Counter, Value::Count(count)) => {
            encoder.encode_counter::<NoLabelSet, _, u64>(count, None)
        }
        (Kind::Counter, Value::Amount(amount)) => {
            encoder.encode_counter::<NoLabelSet, _, u64>(amount, None)
        }
        (Kind::Histogram, Value::Spread(spread)) => {
            encoder.encode_histogram::<NoLabelSet>(spread.sum, spread.count, &spread.buckets, None)
        }
        (Kind::Info, _) => encoder.encode_info(labels),
        // The reading gives each metric what it is.
        _ => Err(fmt::Error),
    }
}

/// A number whose name has no end of its own.
fn write_bare(value: &Value, encoder: &mut MetricEncoder<'_>) -> fmt::Result {
    match value {
        Value::Count(count) => encoder.encode_gauge(count),
        Value::Amount(amount) => encoder.encode_gauge(amount),
        Value::Spread(_) => Err(fmt::Error),
    }
}

fn unit(name: &str) -> Unit {
    match name {
        "seconds" => Unit::Seconds,
        "bytes" => Unit::Bytes,
        other => Unit::Other(other.to_owned()),
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]
mod tests {
    use slimspan_proto::Signal;

    use super::super::super::Counters;
    use super::super::super::config::{Level, Resource};
    use super::*;

    /// Dashboards and alerts of Collectors before and after they renamed it find the same numbers.
    #[test]
    fn a_limiter_goes_by_both_of_its_names() {
        let counters = Counters::default();
        let limiter = counters.limiter("memory_limiter/a");
        for (signal, items) in Signal::READ.into_iter().zip(1..) {
            limiter.accepted.add(signal, items);
            limiter.refused.add(signal, items + 3);
        }
        let reading = Reading::of_all(&counters, &Resource::default());
        let naming = Naming {
            type_suffix: true,
            units: true,
        };
        let told = encode(reading, &Selection::new(Level::Basic, &[]), naming).unwrap();
        for name in ["otelcol_processor_memory_limiter", "otelcol_processor"] {
            for (items, count) in [
                ("accepted_spans", 1),
                ("accepted_metric_points", 2),
                ("accepted_log_records", 3),
                ("refused_spans", 4),
                ("refused_metric_points", 5),
                ("refused_log_records", 6),
            ] {
                let line =
                    format!("\n{name}_{items}_total{{processor=\"memory_limiter/a\"}} {count}\n");
                assert!(told.contains(&line), "{line:?} in {told}");
            }
        }
    }

    #[test]
    fn names_end_as_they_are_wanted() {
        let told = |type_suffix, units| {
            let counters = Counters::default();
            let _ = counters.receiver("otlp", "grpc");
            let reading = Reading::of_all(&counters, &Resource::default());
            let naming = Naming { type_suffix, units };
            let selection = Selection::new(Level::Detailed, &[]);
            encode(reading, &selection, naming).unwrap()
        };
        for (text, expected) in [
            (
                told(true, true),
                [
                    "# TYPE otelcol_process_uptime_seconds counter\n",
                    "\notelcol_process_uptime_seconds_total ",
                    "\notelcol_process_cpu_seconds_total ",
                    "\notelcol_process_memory_rss_bytes ",
                    "\notelcol_receiver_accepted_spans_total{",
                    "\nslimspan_received_bytes_total ",
                ],
            ),
            (
                told(false, true),
                [
                    "# TYPE otelcol_process_uptime_seconds unknown\n",
                    "\notelcol_process_uptime_seconds ",
                    "\notelcol_process_cpu_seconds ",
                    "\notelcol_process_memory_rss_bytes ",
                    "\notelcol_receiver_accepted_spans{",
                    "\nslimspan_received_bytes ",
                ],
            ),
            (
                told(true, false),
                [
                    "# TYPE otelcol_process_uptime counter\n",
                    "\notelcol_process_uptime_total ",
                    "\notelcol_process_cpu_seconds_total ",
                    "\notelcol_process_memory_rss ",
                    "\notelcol_receiver_accepted_spans_total{",
                    "\nslimspan_received_bytes_total ",
                ],
            ),
            (
                told(false, false),
                [
                    "# TYPE otelcol_process_uptime unknown\n",
                    "\notelcol_process_uptime ",
                    "\notelcol_process_cpu_seconds ",
                    "\notelcol_process_memory_rss ",
                    "\notelcol_receiver_accepted_spans{",
                    "\nslimspan_received_bytes ",
                ],
            ),
        ] {
            for line in expected {
                assert!(text.contains(line), "{line:?} in {text}");
            }
        }
    }
}
