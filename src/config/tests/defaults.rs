//! The table of defaults that differ from the Collector's in docs/configuration.md: right, and complete.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a panic is a failed test"
)]

use std::collections::BTreeMap;

use serde_json::Value;

use super::super::node::Node;
use super::super::yaml;
use super::schema::json;
use super::shipped::with_backend;

const DOCS: &str = include_str!("../../../docs/configuration.md");

/// What holds in the Collector (core and contrib, v0.159.0) where nothing is written, in the notation of the
/// shipped file: a size of 0 or a time of 0 is none at all. What only a part of it has a default for is not here,
/// nor what the shipped file sets to something else than the default.
const OF_THE_COLLECTOR: &[(&str, &[(&str, &str)])] = &[
    (
        "receivers.otlp.protocols.grpc",
        &[
            ("endpoint", "localhost:4317"),
            ("transport", "tcp"),
            ("max_recv_msg_size_mib", "4"),
            ("max_concurrent_streams", "0"),
            ("read_buffer_size", "524288"),
            ("keepalive.server_parameters.max_connection_idle", "0s"),
            ("keepalive.server_parameters.max_connection_age", "0s"),
            ("keepalive.server_parameters.max_connection_age_grace", "0s"),
            ("keepalive.server_parameters.time", "2h"),
            ("keepalive.server_parameters.timeout", "20s"),
            ("tls", "null"),
            ("auth", "null"),
            ("include_metadata", "false"),
            ("middlewares", "[]"),
        ],
    ),
    (
        "receivers.otlp.protocols.http",
        &[
            ("endpoint", "localhost:4318"),
            ("transport", "tcp"),
            ("max_request_body_size", "20MiB"),
            ("traces_url_path", "/v1/traces"),
            ("metrics_url_path", "/v1/metrics"),
            ("logs_url_path", "/v1/logs"),
            (
                "compression_algorithms",
                "[\"\", gzip, zstd, zlib, snappy, deflate, lz4]",
            ),
            ("cors", "null"),
            ("response_headers", "{}"),
            ("read_timeout", "0s"),
            ("read_header_timeout", "0s"),
            ("write_timeout", "0s"),
            ("idle_timeout", "0s"),
            ("keep_alives_enabled", "true"),
            ("tls", "null"),
            ("auth", "null"),
            ("include_metadata", "false"),
            ("middlewares", "[]"),
        ],
    ),
    (
        "processors.memory_limiter",
        &[
            ("check_interval", "0s"),
            ("limit_mib", "0"),
            ("min_gc_interval_when_soft_limited", "10s"),
            ("min_gc_interval_when_hard_limited", "0s"),
            ("max_gc_interval_when_soft_limited", "30s"),
            ("max_gc_interval_when_hard_limited", "30s"),
        ],
    ),
    (
        "processors.batch",
        &[
            ("send_batch_size", "8192"),
            ("timeout", "200ms"),
            ("send_batch_max_size", "0"),
            ("metadata_keys", "[]"),
            ("metadata_cardinality_limit", "1000"),
        ],
    ),
    (
        "exporters.debug",
        &[
            ("sampling_initial", "2"),
            ("sampling_thereafter", "1"),
            ("use_internal_logger", "true"),
            ("output_paths", "[stdout]"),
        ],
    ),
    (
        "exporters.file",
        &[
            ("append", "false"),
            ("rotation.max_megabytes", "100"),
            ("rotation.max_days", "0"),
            ("rotation.max_backups", "100"),
            ("rotation.localtime", "false"),
            ("format", "json"),
            ("flush_interval", "1s"),
        ],
    ),
    (
        "exporters.otlp_grpc",
        &[
            ("compression", "gzip"),
            ("timeout", "5s"),
            ("headers", "{}"),
            ("keepalive.time", "0s"),
            ("keepalive.timeout", "0s"),
            ("keepalive.permit_without_stream", "false"),
            ("authority", "null"),
            ("user_agent", "null"),
            ("balancer_name", "round_robin"),
            ("wait_for_ready", "false"),
            ("write_buffer_size", "524288"),
            ("auth", "null"),
        ],
    ),
    (
        "exporters.otlp_http",
        &[
            ("encoding", "proto"),
            ("compression", "gzip"),
            ("timeout", "30s"),
            ("headers", "{}"),
            ("proxy_url", "null"),
            ("max_idle_conns", "100"),
            ("max_idle_conns_per_host", "0"),
            ("idle_conn_timeout", "90s"),
            ("max_conns_per_host", "0"),
            ("disable_keep_alives", "false"),
            ("http2_read_idle_timeout", "0s"),
            ("force_attempt_http2", "true"),
            ("cookies.enabled", "false"),
            ("tls.insecure", "false"),
            ("auth", "null"),
        ],
    ),
    (
        "extensions.file_storage",
        &[
            ("directory", "/var/lib/otelcol/file_storage"),
            ("timeout", "1s"),
            ("fsync", "false"),
        ],
    ),
    ("extensions.bearertokenauth", &[("scheme", "Bearer")]),
    (
        "extensions.health_check",
        &[
            ("endpoint", "localhost:13133"),
            ("transport", "tcp"),
            ("path", "/"),
            ("response_body", "null"),
            ("tls", "null"),
        ],
    ),
    (
        "extensions.zpages",
        &[
            ("endpoint", "localhost:55679"),
            ("transport", "tcp"),
            ("tls", "null"),
        ],
    ),
    ("service.telemetry.metrics", &[("level", "normal")]),
    (
        "service.telemetry.logs",
        &[
            ("level", "info"),
            ("encoding", "console"),
            ("output_paths", "[stderr]"),
            ("error_output_paths", "[stderr]"),
            ("initial_fields", "{}"),
            ("sampling.enabled", "true"),
            ("sampling.tick", "10s"),
            ("sampling.initial", "10"),
            ("sampling.thereafter", "100"),
            ("disable_caller", "false"),
            ("disable_stacktrace", "false"),
            ("development", "false"),
        ],
    ),
];

/// The same of each exporter for OTLP.
const OF_EXPORTERS: &[(&str, &str)] = &[
    ("sending_queue.enabled", "true"),
    ("sending_queue.num_consumers", "10"),
    ("sending_queue.queue_size", "1000"),
    ("sending_queue.sizer", "requests"),
    ("sending_queue.block_on_overflow", "false"),
    ("sending_queue.wait_for_result", "false"),
    ("sending_queue.storage", "null"),
    ("sending_queue.batch.enabled", "false"),
    ("retry_on_failure.enabled", "true"),
    ("retry_on_failure.initial_interval", "5s"),
    ("retry_on_failure.randomization_factor", "0.5"),
    ("retry_on_failure.multiplier", "1.5"),
    ("retry_on_failure.max_interval", "30s"),
    ("retry_on_failure.max_elapsed_time", "5m"),
    ("tls.insecure_skip_verify", "false"),
    ("tls.server_name_override", "null"),
    ("tls.ca_file", "null"),
    ("tls.cert_file", "null"),
    ("tls.key_file", "null"),
    ("tls.include_system_ca_certs_pool", "false"),
    ("tls.min_version", "\"1.2\""),
    ("tls.max_version", "null"),
    ("tls.cipher_suites", "[]"),
    ("tls.curve_preferences", "[]"),
    ("tls.include_insecure_cipher_suites", "false"),
    ("tls.reload_interval", "0"),
];

fn read(text: &str) -> Value {
    json(&yaml::parse(text, &"c.yaml".into()).unwrap())
}

fn at(root: &Node, path: &str) -> Value {
    let mut node = root;
    for key in path.split('.') {
        let entry = node.get(key);
        node = &entry.unwrap_or_else(|| panic!("no {key} of {path}")).value;
    }
    json(node)
}

/// By key, the defaults in the Collector and here.
fn told() -> BTreeMap<String, (Value, Value)> {
    let (_, section) = DOCS.split_once("## Defaults that differ").unwrap();
    let (section, _) = section.split_once("\n## ").unwrap();
    let rows = section.lines().filter(|line| line.starts_with("| `"));
    let mut told = BTreeMap::new();
    for row in rows {
        // What stands behind a value is for people.
        let cells = row.split(" | ").map(|cell| cell.split('`').nth(1));
        let cells: Vec<Option<&str>> = cells.take(3).collect();
        let [Some(key), Some(there), Some(here)] = cells[..] else {
            panic!("{row}");
        };
        let twice = told.insert(key.to_owned(), (read(there), read(here)));
        assert_eq!(twice, None, "{key}");
    }
    told
}

#[test]
fn the_docs_tell_every_default_that_differs_and_no_other() {
    let shipped = yaml::parse(&with_backend(), &"c.yaml".into()).unwrap();
    let mut told = told();
    let exporters = ["exporters.otlp_grpc", "exporters.otlp_http"];
    let of_exporters = exporters.map(|exporter| (exporter, OF_EXPORTERS));
    for (component, defaults) in OF_THE_COLLECTOR.iter().copied().chain(of_exporters) {
        for (key, default) in defaults {
            let path = format!("{component}.{key}");
            let there = read(default);
            let here = at(&shipped, &path);
            // By the name of this machine nobody knows which version of IP it is.
            let same = read(&default.replace("localhost", "127.0.0.1")) == here;
            let differs = (!same).then_some((there, here));
            assert_eq!(told.remove(&path), differs, "{path}");
        }
    }
    assert!(told.is_empty(), "nothing is known of {told:?}");
}
