use slimspan_proto::Signal;

use super::super::config::Resource;
use super::super::{
    Action, Counters, Cut, ExporterCounts, Reason, ReceiverCounts, ServerCounts, Sight, Spelling,
    Spread, StoreCounts, get,
};
use super::table::{self as of, Metric};
use crate::machine;

/// What all metrics say at one moment.
#[derive(Debug)]
pub struct Reading {
    samples: Vec<Sample>,
}

/// One number of a metric.
#[derive(Debug)]
pub struct Sample {
    metric: &'static str,
    unit: Option<&'static str>,
    /// In the order in which the table has the keys.
    pub labels: Vec<(String, String)>,
    /// The number.
    pub value: Value,
}

/// What a metric says.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    /// A number of things.
    Count(u64),
    /// A quantity.
    Amount(f64),
    /// Times in buckets.
    Spread(Spread),
}

/// The metrics that there are for each signal of [`Signal::READ`], in that order. The Collector's of
/// profiles count the samples in them, which are not looked at here.
type OfSignals = [&'static Metric; 3];

const ACCEPTED: OfSignals = [of::ACCEPTED_SPANS, of::ACCEPTED_POINTS, of::ACCEPTED_LOGS];
const REFUSED: OfSignals = [of::REFUSED_SPANS, of::REFUSED_POINTS, of::REFUSED_LOGS];
const UNFIT: OfSignals = [of::UNFIT_SPANS, of::UNFIT_POINTS, of::UNFIT_LOGS];
const LET_THROUGH: [OfSignals; 2] = [
    [of::LET_SPANS, of::LET_POINTS, of::LET_LOGS],
    [
        of::FORMERLY_LET_SPANS,
        of::FORMERLY_LET_POINTS,
        of::FORMERLY_LET_LOGS,
    ],
];
const HELD_BACK: [OfSignals; 2] = [
    [of::HELD_SPANS, of::HELD_POINTS, of::HELD_LOGS],
    [
        of::FORMERLY_HELD_SPANS,
        of::FORMERLY_HELD_POINTS,
        of::FORMERLY_HELD_LOGS,
    ],
];
const SENT: OfSignals = [of::SENT_SPANS, of::SENT_POINTS, of::SENT_LOGS];
const FAILED: OfSignals = [of::FAILED_SPANS, of::FAILED_POINTS, of::FAILED_LOGS];
const UNQUEUED: OfSignals = [of::UNQUEUED_SPANS, of::UNQUEUED_POINTS, of::UNQUEUED_LOGS];

impl Reading {
    /// Reads everything.
    pub fn of_all(counters: &Counters, resource: &Resource) -> Self {
        let mut reading = Self {
            samples: Vec::new(),
        };
        reading.process(counters, resource);
        for receiver in counters.receivers() {
            reading.receiver(&receiver);
        }
        for processor in counters.processors() {
            for signal in Signal::ALL {
                let labels = |name: &str| vec![name.to_owned(), signal.name().to_owned()];
                let (incoming, outgoing) = (&processor.incoming, &processor.outgoing);
                let name = &processor.processor;
                reading.count(of::INCOMING, labels(name), incoming.get(signal));
                reading.count(of::OUTGOING, labels(name), outgoing.get(signal));
                let took = processor.took.of(signal).read();
                // Others do what they do elsewhere, and not in one go.
                if took.count > 0 {
                    reading.add(of::INTERNAL_DURATION, labels(name), Value::Spread(took));
                }
            }
        }
        reading.passing(counters);
        for exporter in counters.exporters() {
            reading.exporter(&exporter);
        }
        reading.items(counters);
        reading.artifacts(counters);
        reading.connections(counters);
        for store in counters.stores() {
            reading.store(&store);
        }
        for server in counters.servers() {
            reading.server(&server);
        }
        reading.sight(&counters.look());
        reading
    }

    /// What this metric says.
    pub fn of(&self, metric: &Metric) -> impl Iterator<Item = &Sample> {
        let (name, unit) = (metric.name, metric.unit);
        let samples = self.samples.iter();
        samples.filter(move |sample| sample.metric == name && sample.unit == unit)
    }

    fn add(&mut self, metric: &'static Metric, labels: Vec<String>, value: Value) {
        debug_assert_eq!(metric.labels.len(), labels.len(), "{}", metric.name);
        self.samples.push(Sample {
            metric: metric.name,
            unit: metric.unit,
            labels: metric
                .labels
                .iter()
                .map(|key| (*key).to_owned())
                .zip(labels)
                .collect(),
            value,
        });
    }

    fn count(&mut self, metric: &'static Metric, labels: Vec<String>, count: u64) {
        self.add(metric, labels, Value::Count(count));
    }

    fn plain(&mut self, metric: &'static Metric, count: u64) {
        self.count(metric, Vec::new(), count);
    }

    fn process(&mut self, counters: &Counters, resource: &Resource) {
        self.samples.push(Sample {
            metric: of::TARGET.name,
            unit: None,
            labels: resource.labels(),
            value: Value::Count(1),
        });
        let uptime = counters.began.instant.elapsed().as_secs_f64();
        self.add(of::UPTIME, Vec::new(), Value::Amount(uptime));
        if let Some(usage) = machine::usage() {
            let cpu = usage.cpu.as_secs_f64();
            self.add(of::CPU, Vec::new(), Value::Amount(cpu));
            self.plain(of::RSS, usage.memory);
        }
    }

    fn receiver(&mut self, counts: &ReceiverCounts) {
        let labels = || vec![counts.receiver.clone(), counts.transport.to_owned()];
        for (index, signal) in Signal::READ.into_iter().enumerate() {
            self.count(ACCEPTED[index], labels(), counts.accepted.get(signal));
            self.count(REFUSED[index], labels(), counts.refused.get(signal));
            self.count(UNFIT[index], labels(), counts.failed.get(signal));
        }
        for (outcome, count) in [
            ("success", &counts.requests_accepted),
            ("refused", &counts.requests_refused),
        ] {
            let mut labels = labels();
            labels.push(outcome.to_owned());
            self.count(of::REQUESTS, labels, get(count));
        }
        let (duration, sizes) = (counts.latency.read(), counts.sizes.read());
        self.add(of::REQUEST_DURATION, labels(), Value::Spread(duration));
        self.add(of::REQUEST_BYTES, labels(), Value::Spread(sizes));
    }

    fn passing(&mut self, counters: &Counters) {
        for limiter in counters.limiters() {
            let labels = || vec![limiter.processor.clone()];
            for (index, signal) in Signal::READ.into_iter().enumerate() {
                for (names, items) in [
                    (LET_THROUGH, &limiter.accepted),
                    (HELD_BACK, &limiter.refused),
                ] {
                    for of_signals in names {
                        self.count(of_signals[index], labels(), items.get(signal));
                    }
                }
            }
        }
        for batch in counters.batches() {
            let labels = || vec![batch.processor.clone()];
            self.count(of::BATCH_FULL, labels(), get(&batch.full));
            self.count(of::BATCH_DUE, labels(), get(&batch.due));
            let combinations = get(&batch.combinations);
            self.count(of::BATCH_COMBINATIONS, labels(), combinations);
            let (items, bytes) = (batch.items.read(), batch.bytes.read());
            self.add(of::BATCH_ITEMS, labels(), Value::Spread(items));
            self.add(of::BATCH_BYTES, labels(), Value::Spread(bytes));
        }
        for pipeline in counters.pipelines() {
            let labels = || vec![pipeline.pipeline.clone()];
            self.count(of::PIPELINE_INCOMING, labels(), get(&pipeline.incoming));
            self.count(of::PIPELINE_ACCEPTED, labels(), get(&pipeline.accepted));
        }
        for tenant in counters.tenants() {
            for (metric, counter) in [
                (of::TENANT_REQUESTS, &tenant.requests),
                (of::TENANT_BYTES, &tenant.bytes),
                (of::TENANT_REFUSED, &tenant.refused),
                (of::TENANT_ARTIFACTS, &tenant.artifacts),
                (of::TENANT_ARTIFACT_BYTES, &tenant.artifact_bytes),
            ] {
                self.count(metric, vec![tenant.tenant.clone()], get(counter));
            }
            for signal in Signal::ALL {
                let sum = tenant.items.of(signal).read();
                // Most tenants do not send every signal.
                if sum.received == 0 {
                    continue;
                }
                for (metric, count) in [
                    (of::TENANT_ITEMS_RECEIVED, sum.received),
                    (of::TENANT_ITEMS_DELIVERED, sum.delivered),
                    (of::TENANT_ITEMS_REJECTED, sum.rejected),
                    (of::TENANT_ITEMS_REFUSED, sum.refused),
                    (of::TENANT_ITEMS_QUEUED, sum.queued),
                    (of::TENANT_ITEMS_UNDER_WAY, sum.under_way),
                ] {
                    let labels = vec![tenant.tenant.clone(), signal.name().to_owned()];
                    self.count(metric, labels, count);
                }
            }
        }
    }

    fn exporter(&mut self, counts: &ExporterCounts) {
        let labels = || vec![counts.exporter.clone()];
        for (index, signal) in Signal::READ.into_iter().enumerate() {
            self.count(SENT[index], labels(), counts.sent.get(signal));
            self.count(FAILED[index], labels(), counts.failed.get(signal));
            self.count(UNQUEUED[index], labels(), counts.not_queued.get(signal));
        }
        self.count(of::IN_FLIGHT, labels(), get(&counts.in_flight));
        self.count(of::RETRIES, labels(), get(&counts.retries));
        self.count(of::DEAD_LETTERS, labels(), get(&counts.dead_letters));
        self.count(of::LOST, labels(), get(&counts.lost));
        let spread = counts.latency.read();
        self.add(of::ATTEMPT, labels(), Value::Spread(spread));
        let (items, bytes) = (counts.batches.items.read(), counts.batches.bytes.read());
        // Most queues join nothing.
        if items.count > 0 {
            self.add(of::QUEUE_BATCH_ITEMS, labels(), Value::Spread(items));
            self.add(of::QUEUE_BATCH_BYTES, labels(), Value::Spread(bytes));
        }
    }

    fn items(&mut self, counters: &Counters) {
        for signal in Signal::ALL {
            let sum = counters.items.of(signal).read();
            for (metric, count) in [
                (of::ITEMS_RECEIVED, sum.received),
                (of::ITEMS_DELIVERED, sum.delivered),
                (of::ITEMS_REJECTED, sum.rejected),
                (of::ITEMS_REFUSED, sum.refused),
                (of::ITEMS_QUEUED, sum.queued),
                (of::ITEMS_UNDER_WAY, sum.under_way),
            ] {
                self.count(metric, vec![signal.name().to_owned()], count);
            }
        }
        for (signal, culprit, code, times) in counters.refusals() {
            let labels = [signal.name(), culprit.name(), code];
            let labels = labels.map(ToOwned::to_owned).to_vec();
            self.count(of::REFUSALS, labels, times);
        }
        for signal in Signal::READ {
            for spelling in Spelling::ALL {
                let labels = [signal.name(), spelling.name()];
                let labels = labels.map(ToOwned::to_owned).to_vec();
                let members = counters.ignored.get(signal, spelling);
                self.count(of::IGNORED, labels, members);
            }
        }
    }

    fn artifacts(&mut self, counters: &Counters) {
        for (shape, medium, files, bytes) in counters.found.read() {
            let labels = || vec![shape.name().to_owned(), medium.name().to_owned()];
            self.count(of::FOUND_FILES, labels(), files);
            self.count(of::FOUND_BYTES, labels(), bytes);
        }
        for (metric, counter) in [
            (of::PANICS, counters.panics.all()),
            (of::FORWARDED, &counters.forwarded),
            (of::RECEIVED, &counters.bytes_in),
            (of::SENT, &counters.bytes_out),
            (of::SAVED, &counters.saved),
            (of::STORED, &counters.stored),
            (of::DEDUPLICATED, &counters.deduplicated),
            (of::DROPPED, &counters.dropped),
            (of::MISLABELLED, &counters.mislabelled),
            (of::TRUNCATED, &counters.truncated),
            (of::UNTRUSTED, &counters.untrusted),
            (of::INDICES, &counters.indices),
            (of::SPOOLED, &counters.spooled),
            (of::UPLOADED, &counters.uploaded),
            (of::UPLOADS_FAILED, &counters.failed_uploads),
            (of::DAMAGED, &counters.damaged),
            (of::SPANS_SENT, &counters.own_spans.sent),
            (of::SPANS_DROPPED, &counters.own_spans.dropped),
            (of::DAMAGE_GIVEN_UP, &counters.damage_given_up),
            (of::CONNECTIONS, &counters.connections.open),
            (of::CONNECTIONS_REFUSED, &counters.refused_connections),
        ] {
            self.plain(metric, get(counter));
        }
    }

    fn connections(&mut self, counters: &Counters) {
        for cut in Cut::ALL {
            let times = counters.connections.cut_for(cut);
            self.count(of::CONNECTIONS_CUT, vec![cut.name().to_owned()], times);
        }
    }

    fn store(&mut self, counts: &StoreCounts) {
        let labels = || vec![counts.store.clone()];
        self.count(of::STORE_PUTS, labels(), get(&counts.puts));
        self.count(of::STORE_PUT_BYTES, labels(), get(&counts.put_bytes));
        let spread = counts.latency.read();
        self.add(of::STORE_DURATION, labels(), Value::Spread(spread));
        let catalog = counts.catalog.read();
        self.count(of::CATALOG_RECORDED, labels(), catalog.recorded);
        self.count(of::CATALOG_LOST, labels(), catalog.lost);
        self.count(of::CATALOG_OBJECTS, labels(), catalog.objects);
        self.count(of::CATALOG_FAILURES, labels(), catalog.failures);
        self.count(of::CATALOG_FINISHED, labels(), catalog.finished);
        self.count(of::CATALOG_GIVEN_UP, labels(), catalog.given_up);
        for action in Action::ALL {
            for reason in Reason::ALL {
                let mut labels = labels();
                labels.extend([action.name(), reason.name()].map(ToOwned::to_owned));
                let count = get(counts.failures_of(action, reason));
                self.count(of::STORE_FAILURES, labels, count);
            }
        }
    }

    fn server(&mut self, counts: &ServerCounts) {
        let labels = || vec![counts.server.clone()];
        for (request, times) in counts.requests() {
            let mut labels = labels();
            let status = request.status.to_string();
            labels.extend([request.method.to_owned(), request.route, status]);
            self.count(of::SERVER_REQUESTS, labels, times);
        }
        let served = counts.read();
        for (metric, count) in [
            (of::SERVER_SENT, served.sent),
            (of::SERVER_RECEIVED, served.received),
            (of::SERVER_CUT, served.cut),
            (of::SERVER_DAMAGED, served.damaged),
            (of::SERVER_RESTORED, served.restored),
            (of::SERVER_LEFT, served.left),
        ] {
            self.count(metric, labels(), count);
        }
        let spread = counts.latency.read();
        self.add(of::SERVER_DURATION, labels(), Value::Spread(spread));
    }

    fn sight(&mut self, sight: &Sight) {
        for queue in &sight.queues {
            let labels = || vec![queue.exporter.clone()];
            self.count(of::QUEUE_SIZE, labels(), queue.size);
            self.count(of::QUEUE_CAPACITY, labels(), queue.capacity);
        }
        for store in &sight.stores {
            let labels = || vec![store.store.clone()];
            self.count(of::STORE_AVAILABLE, labels(), u64::from(!store.failing));
            if let Some(spool) = &store.spool {
                self.count(of::SPOOL_ARTIFACTS, labels(), spool.artifacts);
                self.count(of::SPOOL_BYTES, labels(), spool.bytes);
                self.count(of::SPOOL_LIMIT, labels(), spool.limit);
                let oldest = spool.oldest.unwrap_or_default().as_secs_f64();
                self.add(of::SPOOL_OLDEST, labels(), Value::Amount(oldest));
            }
        }
        self.plain(of::MEMORY, sight.memory.in_flight);
        self.plain(of::MEMORY_LIMIT, sight.memory.limit);
    }
}
