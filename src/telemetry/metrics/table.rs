//! Every metric there is. `docs/telemetry.md` has the same table; a test holds the two equal.

use super::super::config::{Level, Naming};

/// A metric, as it is scraped.
#[derive(Debug)]
pub struct Metric {
    /// Its name without unit and without `_total`.
    pub name: &'static str,
    /// What kind of number it is.
    pub kind: Kind,
    /// What it is counted in, unless it is a number of things.
    pub unit: Option<&'static str>,
    /// The keys of its labels.
    pub labels: &'static [&'static str],
    /// From which level on it is there.
    pub level: Level,
    /// What it says, for people.
    pub help: &'static str,
}

/// The kinds of metrics.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// It only grows.
    Counter,
    /// It goes up and down.
    Gauge,
    /// Times in buckets.
    Histogram,
    /// Always 1: its labels are what it says.
    Info,
}

impl Kind {
    /// Its name in the exposition format.
    pub fn name(self) -> &'static str {
        match self {
            Self::Counter => "counter",
            Self::Gauge => "gauge",
            Self::Histogram => "histogram",
            Self::Info => "info",
        }
    }
}

/// Metrics that the Collector names without their unit, which only its exporter for Prometheus adds. The
/// names of all others have theirs in them.
const UNIT_ADDED: [&str; 3] = [
    "otelcol_process_uptime",
    "otelcol_process_memory_rss",
    "otelcol_processor_internal_duration",
];

impl Metric {
    /// The unit that its name ends in.
    pub fn unit_in(&self, naming: Naming) -> Option<&'static str> {
        let is_left_out = !naming.units && UNIT_ADDED.contains(&self.name);
        self.unit.filter(|_| !is_left_out)
    }

    /// Its name in queries; of a histogram the part that all its series have.
    pub fn full_name(&self, naming: Naming) -> String {
        let unit = self.unit_in(naming);
        let unit = unit.map(|unit| format!("_{unit}")).unwrap_or_default();
        let end = match self.kind {
            Kind::Counter if naming.type_suffix => "_total",
            Kind::Info => "_info",
            Kind::Counter | Kind::Gauge | Kind::Histogram => "",
        };
        format!("{}{unit}{end}", self.name)
    }
}

const SECONDS: Option<&str> = Some("seconds");
const BYTES: Option<&str> = Some("bytes");

const RECEIVER: &[&str] = &["receiver", "transport"];
const PROCESSOR: &[&str] = &["processor", "otel_signal"];
const EXPORTER: &[&str] = &["exporter"];
const BATCH: &[&str] = &["processor"];
const LIMITER: &[&str] = &["processor"];
const PIPELINE: &[&str] = &["pipeline"];
const TENANT: &[&str] = &["tenant"];
const TENANT_SIGNAL: &[&str] = &["tenant", "signal"];
const SIGNAL: &[&str] = &["signal"];
const STORE: &[&str] = &["store"];
const SERVER: &[&str] = &["server"];
const SERVER_REQUEST: &[&str] = &["server", "method", "route", "status"];
const FOUND: &[&str] = &["shape", "medium"];

const fn metric(
    name: &'static str,
    kind: Kind,
    unit: Option<&'static str>,
    labels: &'static [&'static str],
    level: Level,
    help: &'static str,
) -> Metric {
    Metric {
        name,
        kind,
        unit,
        labels,
        level,
        help,
    }
}

macro_rules! metrics {
    ($($constant:ident = $name:literal $kind:ident $unit:expr, $labels:expr, $level:ident, $help:literal;)*) => {
        $(pub(super) const $constant: &Metric =
            &metric($name, Kind::$kind, $unit, $labels, Level::$level, $help);)*
        /// All of them, in the order in which they are told.
        pub const METRICS: &[&Metric] = &[$($constant),*];
    };
}

metrics! {
    TARGET = "target" Info None, &["service_name", "service_version", "service_instance_id"], Basic,
        "What is measured; keys of service.telemetry.resource are labels, too";
    UPTIME = "otelcol_process_uptime" Counter SECONDS, &[], Basic,
        "Time since the process started";
    CPU = "otelcol_process_cpu" Counter SECONDS, &[], Basic,
        "Time that the process has had of all processors";
    RSS = "otelcol_process_memory_rss" Gauge BYTES, &[], Basic,
        "Physical memory of the process";
    ACCEPTED_SPANS = "otelcol_receiver_accepted_spans" Counter None, RECEIVER, Basic,
        "Spans that were taken";
    ACCEPTED_POINTS = "otelcol_receiver_accepted_metric_points" Counter None, RECEIVER, Basic,
        "Data points of metrics that were taken";
    ACCEPTED_LOGS = "otelcol_receiver_accepted_log_records" Counter None, RECEIVER, Basic,
        "Log records that were taken";
    REFUSED_SPANS = "otelcol_receiver_refused_spans" Counter None, RECEIVER, Basic,
        "Spans that a pipeline did not take, alone or with their whole request";
    REFUSED_POINTS = "otelcol_receiver_refused_metric_points" Counter None, RECEIVER, Basic,
        "Data points of metrics that a pipeline did not take, alone or with their whole request";
    REFUSED_LOGS = "otelcol_receiver_refused_log_records" Counter None, RECEIVER, Basic,
        "Log records that a pipeline did not take, alone or with their whole request";
    UNFIT_SPANS = "otelcol_receiver_failed_spans" Counter None, RECEIVER, Basic,
        "Spans that the receiver itself could not pass on, alone or with their whole request";
    UNFIT_POINTS = "otelcol_receiver_failed_metric_points" Counter None, RECEIVER, Basic,
        "Data points of metrics that the receiver itself could not pass on, alone or with their whole request";
    UNFIT_LOGS = "otelcol_receiver_failed_log_records" Counter None, RECEIVER, Basic,
        "Log records that the receiver itself could not pass on, alone or with their whole request";
    REQUESTS = "otelcol_receiver_requests" Counter None, &["receiver", "transport", "outcome"], Basic,
        "Requests that were answered; the outcome is success or refused";
    REQUEST_DURATION = "slimspan_receiver_request_duration" Histogram SECONDS, RECEIVER, Detailed,
        "What requests took from their headers to their answers";
    REQUEST_BYTES = "slimspan_receiver_request_size" Histogram BYTES, RECEIVER, Detailed,
        "How large requests were, decompressed";
    INCOMING = "otelcol_processor_incoming_items" Counter None, PROCESSOR, Normal,
        "Items that went into a processor";
    OUTGOING = "otelcol_processor_outgoing_items" Counter None, PROCESSOR, Normal,
        "Items that came out of a processor";
    INTERNAL_DURATION = "otelcol_processor_internal_duration" Histogram SECONDS, PROCESSOR, Normal,
        "What an artifact processor took for a request, without what comes after it";
    LET_SPANS = "otelcol_processor_memory_limiter_accepted_spans" Counter None, LIMITER, Basic,
        "Spans that came through a memory_limiter";
    LET_POINTS = "otelcol_processor_memory_limiter_accepted_metric_points" Counter None, LIMITER, Basic,
        "Data points of metrics that came through a memory_limiter";
    LET_LOGS = "otelcol_processor_memory_limiter_accepted_log_records" Counter None, LIMITER, Basic,
        "Log records that came through a memory_limiter";
    HELD_SPANS = "otelcol_processor_memory_limiter_refused_spans" Counter None, LIMITER, Basic,
        "Spans of requests that were read and then refused for want of memory";
    HELD_POINTS = "otelcol_processor_memory_limiter_refused_metric_points" Counter None, LIMITER, Basic,
        "Data points of metrics of requests that were read and then refused for want of memory";
    HELD_LOGS = "otelcol_processor_memory_limiter_refused_log_records" Counter None, LIMITER, Basic,
        "Log records of requests that were read and then refused for want of memory";
    FORMERLY_LET_SPANS = "otelcol_processor_accepted_spans" Counter None, LIMITER, Basic,
        "The same as otelcol_processor_memory_limiter_accepted_spans, as Collectors before 0.155 call it";
    FORMERLY_LET_POINTS = "otelcol_processor_accepted_metric_points" Counter None, LIMITER, Basic,
        "The same as otelcol_processor_memory_limiter_accepted_metric_points, as Collectors before 0.155 call it";
    FORMERLY_LET_LOGS = "otelcol_processor_accepted_log_records" Counter None, LIMITER, Basic,
        "The same as otelcol_processor_memory_limiter_accepted_log_records, as Collectors before 0.155 call it";
    FORMERLY_HELD_SPANS = "otelcol_processor_refused_spans" Counter None, LIMITER, Basic,
        "The same as otelcol_processor_memory_limiter_refused_spans, as Collectors before 0.155 call it";
    FORMERLY_HELD_POINTS = "otelcol_processor_refused_metric_points" Counter None, LIMITER, Basic,
        "The same as otelcol_processor_memory_limiter_refused_metric_points, as Collectors before 0.155 call it";
    FORMERLY_HELD_LOGS = "otelcol_processor_refused_log_records" Counter None, LIMITER, Basic,
        "The same as otelcol_processor_memory_limiter_refused_log_records, as Collectors before 0.155 call it";
    BATCH_FULL = "otelcol_processor_batch_batch_size_trigger_send" Counter None, BATCH, Normal,
        "Batches that were sent because they were full";
    BATCH_DUE = "otelcol_processor_batch_timeout_trigger_send" Counter None, BATCH, Normal,
        "Batches that were sent because it was time";
    BATCH_ITEMS = "otelcol_processor_batch_batch_send_size" Histogram None, BATCH, Normal,
        "How many items went together";
    BATCH_BYTES = "otelcol_processor_batch_batch_send_size" Histogram BYTES, BATCH, Detailed,
        "How many bytes went together";
    BATCH_COMBINATIONS = "otelcol_processor_batch_metadata_cardinality" Gauge None, BATCH, Normal,
        "Combinations of metadata of which requests wait for others";
    PIPELINE_INCOMING = "slimspan_pipeline_incoming_items" Counter None, PIPELINE, Normal,
        "Items that went into a pipeline";
    PIPELINE_ACCEPTED = "slimspan_pipeline_accepted_items" Counter None, PIPELINE, Normal,
        "Items of a pipeline that all of its exporters took";
    TENANT_REQUESTS = "slimspan_tenant_requests" Counter None, TENANT, Detailed,
        "Requests of a tenant, or parts of requests";
    TENANT_BYTES = "slimspan_tenant_received" Counter BYTES, TENANT, Detailed,
        "Bytes of these";
    TENANT_REFUSED = "slimspan_tenant_refused_requests" Counter None, TENANT, Detailed,
        "Requests that were refused because their tenant had enough under way";
    TENANT_ARTIFACTS = "slimspan_tenant_artifacts" Counter None, TENANT, Detailed,
        "Artifacts of requests of a tenant that were kept or had been before";
    TENANT_ARTIFACT_BYTES = "slimspan_tenant_artifacts" Counter BYTES, TENANT, Detailed,
        "Bytes of these";
    TENANT_ITEMS_RECEIVED = "slimspan_tenant_items_received" Counter None, TENANT_SIGNAL, Detailed,
        "Items of a tenant that came in: the sum of those delivered, rejected, refused, queued and under way";
    TENANT_ITEMS_DELIVERED = "slimspan_tenant_items_delivered" Counter None, TENANT_SIGNAL, Detailed,
        "Items of a tenant that the backends have";
    TENANT_ITEMS_REJECTED = "slimspan_tenant_items_rejected" Counter None, TENANT_SIGNAL, Detailed,
        "Items of a tenant that its senders were told of in a partial success, or that are not delivered from a queue";
    TENANT_ITEMS_REFUSED = "slimspan_tenant_items_refused" Counter None, TENANT_SIGNAL, Detailed,
        "Items of a tenant in requests that were refused as a whole";
    TENANT_ITEMS_QUEUED = "slimspan_tenant_items_queued" Gauge None, TENANT_SIGNAL, Detailed,
        "Items of a tenant that were acknowledged and wait in queues";
    TENANT_ITEMS_UNDER_WAY = "slimspan_tenant_items_under_way" Gauge None, TENANT_SIGNAL, Detailed,
        "Items of a tenant in requests that are not answered yet";
    SENT_SPANS = "otelcol_exporter_sent_spans" Counter None, EXPORTER, Basic,
        "Spans that the backend took";
    SENT_POINTS = "otelcol_exporter_sent_metric_points" Counter None, EXPORTER, Basic,
        "Data points of metrics that the backend took";
    SENT_LOGS = "otelcol_exporter_sent_log_records" Counter None, EXPORTER, Basic,
        "Log records that the backend took";
    FAILED_SPANS = "otelcol_exporter_send_failed_spans" Counter None, EXPORTER, Basic,
        "Spans that the backend did not take in the end";
    FAILED_POINTS = "otelcol_exporter_send_failed_metric_points" Counter None, EXPORTER, Basic,
        "Data points of metrics that the backend did not take in the end";
    FAILED_LOGS = "otelcol_exporter_send_failed_log_records" Counter None, EXPORTER, Basic,
        "Log records that the backend did not take in the end";
    UNQUEUED_SPANS = "otelcol_exporter_enqueue_failed_spans" Counter None, EXPORTER, Basic,
        "Spans that the queue of the exporter did not take";
    UNQUEUED_POINTS = "otelcol_exporter_enqueue_failed_metric_points" Counter None, EXPORTER, Basic,
        "Data points of metrics that the queue of the exporter did not take";
    UNQUEUED_LOGS = "otelcol_exporter_enqueue_failed_log_records" Counter None, EXPORTER, Basic,
        "Log records that the queue of the exporter did not take";
    QUEUE_SIZE = "otelcol_exporter_queue_size" Gauge None, EXPORTER, Basic,
        "How much is in the queue of the exporter, in the unit of its sizer";
    QUEUE_CAPACITY = "otelcol_exporter_queue_capacity" Gauge None, EXPORTER, Basic,
        "How much the queue of the exporter holds, in the unit of its sizer";
    QUEUE_BATCH_ITEMS = "otelcol_exporter_queue_batch_send_size" Histogram None, EXPORTER, Normal,
        "How many items went together out of a queue that joins requests";
    QUEUE_BATCH_BYTES = "otelcol_exporter_queue_batch_send_size" Histogram BYTES, EXPORTER, Detailed,
        "How many bytes went together out of a queue that joins requests";
    IN_FLIGHT = "otelcol_exporter_in_flight_requests" Gauge None, EXPORTER, Normal,
        "Requests that the exporter is sending now";
    ATTEMPT = "slimspan_exporter_attempt_duration" Histogram SECONDS, EXPORTER, Normal,
        "What one attempt to send took, whatever came of it";
    RETRIES = "slimspan_exporter_retries" Counter None, EXPORTER, Normal,
        "Attempts to send that repeat another one";
    DEAD_LETTERS = "slimspan_exporter_dead_letters" Counter None, EXPORTER, Basic,
        "Requests that were kept as dead letters";
    LOST = "slimspan_exporter_dead_letters_lost" Counter None, EXPORTER, Basic,
        "Requests that were given up because they could not be kept as dead letters";
    ITEMS_RECEIVED = "slimspan_items_received" Counter None, SIGNAL, Basic,
        "Items that came in: the sum of those delivered, rejected, refused, queued and under way";
    ITEMS_DELIVERED = "slimspan_items_delivered" Counter None, SIGNAL, Basic,
        "Items that the backends have";
    ITEMS_REJECTED = "slimspan_items_rejected" Counter None, SIGNAL, Basic,
        "Items that senders were told of in a partial success, or that are not delivered from a queue";
    ITEMS_REFUSED = "slimspan_items_refused" Counter None, SIGNAL, Basic,
        "Items of requests that were refused as a whole";
    ITEMS_QUEUED = "slimspan_items_queued" Gauge None, SIGNAL, Basic,
        "Items that were acknowledged and wait in queues";
    ITEMS_UNDER_WAY = "slimspan_items_under_way" Gauge None, SIGNAL, Basic,
        "Items of requests that are not answered yet";
    REFUSALS = "slimspan_requests_refused" Counter None, &["signal", "culprit", "code"], Normal,
        "Requests that were refused, by whose doing it was and by the gRPC code of the answer";
    PANICS = "slimspan_requests_panicked" Counter None, &[], Basic,
        "Times that slimspan itself failed at a request: a fault of the program, which its log tells";
    FORWARDED = "slimspan_requests_forwarded" Counter None, &[], Basic,
        "Requests that went on unmodified because their artifacts could not be stored";
    RECEIVED = "slimspan_received" Counter BYTES, &[], Basic,
        "Bytes of requests that went into pipelines";
    SENT = "slimspan_sent" Counter BYTES, &[], Basic,
        "Bytes of requests that came out of pipelines and were taken";
    FOUND_FILES = "slimspan_artifacts_found" Counter None, FOUND, Basic,
        "Values that were files and were replaced, by how they stood and what they are";
    FOUND_BYTES = "slimspan_artifacts_found" Counter BYTES, FOUND, Basic,
        "Decoded bytes of values that were files and were replaced";
    SAVED = "slimspan_artifacts_saved" Counter BYTES, &[], Basic,
        "Bytes that references are shorter than what they replace";
    STORED = "slimspan_artifacts_stored" Counter None, &[], Basic,
        "Artifacts that were new to the store";
    DEDUPLICATED = "slimspan_artifacts_deduplicated" Counter None, &[], Basic,
        "Artifacts of requests that were stored or spooled before";
    DROPPED = "slimspan_artifacts_dropped" Counter None, &[], Basic,
        "Artifacts whose bytes were given up";
    MISLABELLED = "slimspan_artifacts_mislabelled" Counter None, &[], Normal,
        "Files that are something else than their senders say";
    TRUNCATED = "slimspan_artifacts_truncated" Counter None, &[], Normal,
        "Values left alone because a limit of their senders had cut them";
    UNTRUSTED = "slimspan_references_untrusted" Counter None, &[], Basic,
        "References that senders wrote themselves and that went on with a mark";
    INDICES = "slimspan_dictionary_indices" Counter None, &[], Basic,
        "Keys and values that are indices of a dictionary in requests that have none: they go on, and mean nothing";
    IGNORED = "slimspan_json_members_ignored" Counter None, &["signal", "spelling"], Basic,
        "Members of requests in JSON that OTLP does not have: they are ignored, and what those in snake_case hold is lost";
    STORE_PUTS = "slimspan_store_puts" Counter None, STORE, Normal,
        "Artifacts that the store took, repetitions included";
    STORE_PUT_BYTES = "slimspan_store_puts" Counter BYTES, STORE, Normal,
        "Bytes of artifacts that the store took";
    STORE_DURATION = "slimspan_store_put_duration" Histogram SECONDS, STORE, Normal,
        "What one attempt to put an artifact took, whatever came of it";
    STORE_FAILURES = "slimspan_store_failures" Counter None, &["store", "action", "reason"], Basic,
        "Attempts that the store failed, or that were not made because it fails";
    STORE_AVAILABLE = "slimspan_store_available" Gauge None, STORE, Basic,
        "0 where the store failed lately and is hardly asked any more, else 1";
    CATALOG_RECORDED = "slimspan_catalog_entries" Counter None, STORE, Normal,
        "Entries of the catalog that were written down";
    CATALOG_LOST = "slimspan_catalog_entries_lost" Counter None, STORE, Basic,
        "References that are missing in the catalog: there was no room in memory for them, or no disk and no store took them before a stop or a reload";
    CATALOG_OBJECTS = "slimspan_catalog_objects" Counter None, STORE, Normal,
        "Objects of entries that the store took";
    CATALOG_FAILURES = "slimspan_catalog_failures" Counter None, STORE, Basic,
        "Attempts to put entries into the store that failed";
    CATALOG_FINISHED = "slimspan_catalog_deletions_finished" Counter None, STORE, Normal,
        "Deletions that were not finished when they were asked for, and are by now";
    SERVER_REQUESTS = "slimspan_artifact_server_requests" Counter None, SERVER_REQUEST, Basic,
        "Requests that an artifact server answered";
    SERVER_SENT = "slimspan_artifact_server_sent" Counter BYTES, SERVER, Basic,
        "Bytes of the bodies of its answers";
    SERVER_RECEIVED = "slimspan_artifact_server_received" Counter BYTES, SERVER, Normal,
        "Bytes of artifacts that were put over its API";
    SERVER_CUT = "slimspan_artifact_server_answers_cut" Counter None, SERVER, Basic,
        "Answers that ended before their end: their readers left or were too slow, or what was read was damaged";
    SERVER_DAMAGED = "slimspan_artifact_server_damaged" Counter None, SERVER, Basic,
        "Times that an artifact was found damaged when it was read";
    SERVER_RESTORED = "slimspan_artifact_server_references_restored" Counter None, SERVER, Normal,
        "References that its API replaced by their files";
    SERVER_LEFT = "slimspan_artifact_server_references_left" Counter None, SERVER, Normal,
        "References that stayed there, because their files cannot be had";
    SERVER_DURATION = "slimspan_artifact_server_answer_duration" Histogram SECONDS, SERVER, Detailed,
        "Time until an answer of an artifact server begins";
    CATALOG_GIVEN_UP = "slimspan_spool_deleted" Counter None, STORE, Normal,
        "Artifacts that were deleted while they waited for the store, which does not get them";
    SPOOL_ARTIFACTS = "slimspan_spool_artifacts" Gauge None, STORE, Basic,
        "Artifacts on disk that wait for the store";
    SPOOL_BYTES = "slimspan_spool" Gauge BYTES, STORE, Basic,
        "Bytes of the artifacts on disk that wait for the store";
    SPOOL_LIMIT = "slimspan_spool_limit" Gauge BYTES, STORE, Basic,
        "Disk space that the spool may take";
    SPOOL_OLDEST = "slimspan_spool_oldest" Gauge SECONDS, STORE, Basic,
        "How long the first artifact on disk has waited for the store, in this run";
    SPOOLED = "slimspan_spool_added" Counter None, &[], Normal,
        "Artifacts that were written to a spool";
    UPLOADED = "slimspan_spool_uploaded" Counter None, &[], Normal,
        "Artifacts of spools that the store took";
    UPLOADS_FAILED = "slimspan_spool_uploads_failed" Counter None, &[], Normal,
        "Attempts to upload an artifact of a spool that failed";
    DAMAGED = "slimspan_spool_damaged" Counter None, &[], Basic,
        "Artifacts of spools that cannot be read any more";
    DAMAGE_GIVEN_UP = "slimspan_damage_given_up" Counter BYTES, &[], Basic,
        "Damaged bytes of spools, queues and files that are not kept, because max_damaged_bytes are";
    MEMORY = "slimspan_memory_in_flight" Gauge BYTES, &[], Basic,
        "Memory that requests in flight take of memory_limiter";
    MEMORY_LIMIT = "slimspan_memory_limit" Gauge BYTES, &[], Basic,
        "Memory that requests in flight may take";
    SPANS_SENT = "slimspan_own_spans_sent" Counter None, &[], Normal,
        "Spans about slimspan's own work that a backend took";
    SPANS_DROPPED = "slimspan_own_spans_dropped" Counter None, &[], Basic,
        "Spans about slimspan's own work that were given up, because there were too many or no backend took them";
    CONNECTIONS = "slimspan_connections_open" Gauge None, &[], Basic,
        "Connections of senders that are open";
    CONNECTIONS_REFUSED = "slimspan_connections_refused" Counter None, &[], Basic,
        "Connections of senders that were closed because there were too many";
    CONNECTIONS_CUT = "slimspan_connections_cut" Counter None, &["fault"], Basic,
        "Connections of senders that were cut, by what their peers did or did not do";
}

#[cfg(test)]
mod tests {
    use super::*;

    const DOCS: &str = include_str!("../../../docs/telemetry.md");

    /// The table of the documentation, from what is told.
    fn table() -> String {
        let rows = METRICS.iter().map(|metric| {
            let labels: Vec<_> = metric.labels.iter().map(|of| format!("`{of}`")).collect();
            format!(
                "| `{}` | {} | {} | {} | {} |\n",
                metric.full_name(Naming::default()),
                metric.kind.name(),
                labels.join(", "),
                metric.level.name(),
                metric.help
            )
        });
        rows.collect()
    }

    #[test]
    fn the_documentation_has_every_metric() {
        let head =
            "| metric | kind | labels | from level | what it says |\n|---|---|---|---|---|\n";
        let expected = format!("{head}{}\n", table());
        let (_, told) = DOCS.split_once("<!-- metrics -->\n").unwrap_or_default();
        let told = told.split("<!-- end -->").next().unwrap_or_default();
        assert_eq!(told.trim(), expected.trim(), "docs/telemetry.md");
    }

    #[test]
    fn every_name_is_there_once() {
        for (type_suffix, units) in [(true, true), (false, true), (true, false), (false, false)] {
            let naming = Naming { type_suffix, units };
            let names = METRICS.iter().map(|metric| metric.full_name(naming));
            let mut names: Vec<_> = names.collect();
            names.sort();
            let all = names.len();
            names.dedup();
            assert_eq!(names.len(), all, "{naming:?}");
        }
    }
}
